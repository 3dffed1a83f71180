"""A recording that is continued: new text in its voice and its room, after a pause of its own quiet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from ..audio.clip import AudioClip
from ..audio.loudness.decibels import peak
from ..audio.quality import levels, profile
from ..errors import AudioError, check_range
from ..generation.session import Session
from ..monologue import pieces_of
from ..prompt import build_prompt, conversation
from ..prompt.builder import Message
from ..text.languages import base_language
from ..text.rests import rest_after
from ..types import Codes, Generation, Voice
from ..verification import compare_words
from ..verification.shape import loud_spans
from ..voices import crossfaded, own_quiet
from .changes import before, ends_sentence, written
from .edit import heard_text, line_chars
from .join import EDGE_S, MARGIN_S, SLACK_S, at_most, fitting_gain, part, quiet_cut, spread, with_gain
from .listening import WHOLE_S, can_find_words, check_short_enough, find_words, reference_words
from .recording import AROUND_FRAMES, Recording, Speaking, check_words_of

LEAST_PAUSE_S, MOST_PAUSE_S = 0.12, 10.0
TAIL_S = 60.0  # of a recording in which its quiet is looked for
LEVEL_S = 6.0  # of it that the new speech is as loud as
CONTEXT_FRAMES = 20  # that the codec decodes new frames with
AT_ONCE = 8  # takes that are spoken side by side, where there are several pieces


@dataclass(frozen=True, eq=False)
class ContinuedSpeech:
    """A continued recording.

    Attributes:
        clip: the recording and what follows, at its rate and in its channels. Up to `kept_s` it is the recording,
            sample by sample.
        continuation: what follows alone, its pause included.
        codes: the frames of `clip`, where the recording came as frames; None else.
        transcript: of the recording, as far as it was read.
        text: what was added.
        kept_s, start_s: seconds until which the recording was not touched, and where the new speech begins.
        pause_s: seconds between both.
        pieces: that the text was spoken in.
        seeds: of the takes that were chosen.
        heard: what the recognizer hears of the new speech; empty without one.
        warnings: one sentence each.
    """

    clip: AudioClip
    continuation: AudioClip
    codes: Codes | None
    transcript: str
    text: str
    kept_s: float
    start_s: float
    pause_s: float
    pieces: int
    seeds: tuple[int, ...]
    heard: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def within(self) -> str:
        """Which part is synthetic, for `Provenance`."""
        return f"from {self.start_s:.2f} s on"

    def __str__(self) -> str:
        """Some lines for a person."""
        lines = [
            f"{self.clip.seconds:.2f} s; up to {self.kept_s:.2f} s the recording, new speech from {self.start_s:.2f} s",
            f"pause {self.pause_s:.2f} s; {self.pieces} piece(s), seed(s) {', '.join(map(str, self.seeds))}",
        ]
        if self.heard:
            lines.append(f"heard: {' '.join(self.heard.split())}")
        return "\n".join([*lines, *(f"Note: {one}" for one in self.warnings)])


@dataclass(frozen=True, eq=False)
class _Opening:
    """What each piece goes on from.

    Attributes:
        text, codes: the last words of the recording, and their frames with the pause behind them.
        voice: of the recording.
        pause: samples [C, T] that are added behind the recording, with what crosses over at both ends.
        pause_s: from its last word to the new speech.
    """

    text: str
    codes: Codes
    voice: Voice
    pause: torch.Tensor
    pause_codes: torch.Tensor
    pause_s: float


def speak_on(
    source: AudioClip | Codes, transcript: str, text: str, speaking: Speaking, *, pause_s: float | None = None
) -> ContinuedSpeech:
    """Continues a recording with a text of any length.

    The model goes on in the midst of its turn, which begins with the end of the recording; a long text is spoken in
    pieces that all do, with the recording's own quiet between them. Of a long recording only the end is heard and read.

    Args:
        source: speech of one speaker; of codes, codes are given back too.
        transcript: what it says, all or its end; empty: what the recognizer hears.
        text: what follows.
        pause_s: seconds from its last word to the new speech, 0 to 10; a longer silence at its end stays. None: as
            the recording pauses between its sentences.

    Raises:
        AudioError: no samples, nobody speaks, it says something else than the transcript, the model stays silent, or
            the call was stopped.
        SettingError: no words, or no transcript and no recognizer; see `find_words` too.
        PromptError: the model cannot read the text.
        MissingExtraError: an extra is not installed, see `word_times`.
    """
    if pause_s is not None:
        check_range("pause_s", pause_s, 0.0, MOST_PAUSE_S, "None: as the recording pauses itself.")
    recording = Recording.of(source, speaking.codec)
    speaking = speaking.in_language_of(recording.clip)
    language = base_language(speaking.language) or "en"
    check_words_of(text, language, "The new text")
    if not transcript.strip():
        transcript = heard_text(
            part(recording.clip, recording.clip.seconds - WHOLE_S, recording.clip.seconds), speaking
        )
    words = check_words_of(transcript, language, "The transcript")
    return _Continuing(recording, words, speaking).continued(text, pause_s)


class _Continuing:
    """One call of `speak_on`."""

    def __init__(self, recording: Recording, words: Sequence[str], speaking: Speaking):
        self.recording, self.words, self.how = recording, words, speaking
        self.language = base_language(speaking.language) or "en"
        self.warnings: list[str] = []
        self._done, self._steps = 0, 1

    def continued(self, text: str, pause_s: float | None) -> ContinuedSpeech:
        self._step(0)
        config, sampling = self.how.model.config, self.how.sampling
        pieces = pieces_of(text, config, sampling.max_frames, language=self.how.language).texts
        self._steps = 1 + len(pieces) * (1 + self.how.candidates)
        opening = self._opening(pause_s)
        self._step()
        chosen = self._spoken(opening, pieces)
        return self._result(text, opening, pieces, chosen)

    def _step(self, steps: int = 1) -> None:
        self._done += steps
        if self.how.on_step is not None:
            self.how.on_step(min(self._done, self._steps), self._steps)
        self.how.check()

    # --- what is there ----------------------------------------------------------------------------------------------

    def _opening(self, pause_s: float | None) -> _Opening:
        recording, clip, rate = self.recording, self.recording.clip, self.recording.frame_rate
        loud = loud_spans(part(clip, clip.seconds - TAIL_S, clip.seconds))
        if not loud:
            raise AudioError(
                "Nobody speaks at the end of the recording.",
                expected=f"speech within its last {TAIL_S:g} s",
                got="silence",
                remedy="Trim the recording, or check the step before.",
            )
        first, begin, own, voice = self._last_words()
        ends_s = loud[-1][1] + max(0.0, clip.seconds - TAIL_S)
        there_s = max(0.0, clip.seconds - ends_s)
        wanted = own if pause_s is None else pause_s
        added = round(max(0.0, wanted - there_s) * rate)
        tone = self._rest(added)
        codes = recording.codes_of(begin, recording.frames)
        pause_codes = codes.ids[:, :0]
        if added:
            known = recording.between(max(0, recording.frames - AROUND_FRAMES), recording.frames)
            both = AudioClip(torch.cat((known.samples, tone), dim=1), clip.sample_rate)
            pause_codes = self.how.codec.encode(both).ids[:, min(AROUND_FRAMES, recording.frames) :][:, :added]
        codes = replace(codes, ids=torch.cat((codes.ids, pause_codes), dim=1))
        text = written(self.words[first:], self.language)
        return _Opening(text, codes, voice, tone, pause_codes, there_s + added / rate)

    def _last_words(self) -> tuple[int, int, float, Voice]:
        """Of the last sentence: the number of its first word and its first frame; how long the recording pauses
        between sentences; its voice."""
        recording, words, last = self.recording, self.words, len(self.words)
        usual = rest_after(written(words, self.language))
        if not can_find_words(self.how.recognizer, self.language):  # then all of it is one
            check_short_enough(recording.clip)
            return (
                0,
                0,
                usual,
                self.how.voice or Voice(recording.codes_of(0, recording.frames), written(words, self.language)),
            )
        found = find_words(recording.clip, words, (last - 1, last), self.how)
        first = max(before(words, last, line_chars(self.how.model) // 2), found.first)

        def cut(word: int) -> int:
            if word >= found.stop:
                return recording.frames
            low = found.time(word - 1).end_s - SLACK_S if word > found.first else found.time(word).start_s - EDGE_S
            return quiet_cut(recording.clip, max(0.0, low), found.time(word).start_s, recording.frame_rate, late=True)

        pauses = [
            other.start_s - one.end_s
            for one, other in zip(found.times[:-1], found.times[1:], strict=True)
            if ends_sentence(one.text) and other.start_s - one.end_s >= LEAST_PAUSE_S
        ]
        voice = self.how.voice
        if voice is None:
            low, high = reference_words(found, (last - 1, last), self.how.model)
            start = cut(low)
            voice = Voice(recording.codes_of(start, max(start + 1, cut(high))), written(words[low:high], self.language))
        return first, cut(first), median(pauses) if pauses else usual, voice

    def _rest(self, frames: int) -> torch.Tensor:
        """Samples [C, T] of the recording's own quiet, or silence where it has none: so many frames, and what crosses
        over at both ends."""
        clip = self.recording.clip
        length = self.recording.sample_count(frames) + 2 * round(MARGIN_S * clip.sample_rate)
        tail = part(clip, clip.seconds - TAIL_S, clip.seconds)
        tone = own_quiet(tail, levels(profile(tail).db), length)
        return torch.zeros(clip.channels, length) if tone is None else tone

    # --- what is spoken ---------------------------------------------------------------------------------------------

    def _spoken(self, opening: _Opening, pieces: Sequence[str]) -> list[tuple[Generation, AudioClip, str]]:
        """Of each piece the take that was chosen, its sound, and what was heard of it."""
        model, count = self.how.model, self.how.candidates
        session, chosen = Session(model, batch=max(count, min(len(pieces) * count, AT_ONCE))), []
        prompts = []
        for text in pieces:
            both = written([opening.text, text], self.language)
            going_on = [*conversation(both, [opening.voice]), Message("assistant", [opening.codes], goes_on=True)]
            # every second one, where somebody listens, knows the recording as its voice alone: see `edit_speech`
            anew = conversation(text, [opening.voice]) if self.how.recognizer is not None else going_on
            laid = [build_prompt(messages, model.tokenizer) for messages in (going_on, anew)]
            prompts += [laid[number % 2] for number in range(count)]
            self.warnings += [one for prompt in laid for one in prompt.warnings if one not in self.warnings]
        seeds = [(self.how.sampling.seed + number) % 2**64 for _ in pieces for number in range(count)]
        takes = session.generate(
            prompts,
            [replace(self.how.sampling, seed=seed) for seed in seeds],
            should_stop=self.how.should_stop,
        )
        if any(take.finish_reason == "cancelled" for take in takes):
            self._step(0)
            self.how.check()
        for number, text in enumerate(pieces):
            self._step()
            found = [self._sounding(opening, take, text) for take in takes[number * count : (number + 1) * count]]
            there = [one for one in found if one is not None]
            if not there:
                raise AudioError(
                    f"The model did not say “{text[:40]}”.",
                    expected="speech",
                    got=f"{count} silent take(s)",
                    remedy="Try another seed, or more candidates.",
                )
            _, take, sound, heard = min(there, key=lambda one: one[0])
            if take.finish_reason in ("length", "repeating"):
                self.warnings.append(f"Piece {number + 1} was cut off and may lack its end: raise max_seconds.")
            chosen.append((take, sound, heard))
        return chosen

    def _sounding(
        self, opening: _Opening, take: Generation, text: str
    ) -> tuple[tuple[float, float], Generation, AudioClip, str] | None:
        """(rank, the take and its sound, from its first sound to its last one, what is heard); None of a silent one."""
        self._step()
        if not take.frames:
            return None
        known = opening.codes.ids[:, -CONTEXT_FRAMES:]
        ids = torch.cat((known, take.codes.ids.to(known)), dim=1)
        rate = self.recording.frame_rate
        whole = self.how.codec.decode(replace(take.codes, ids=ids))
        spans = loud_spans(part(whole, known.shape[1] / rate, whole.seconds))
        if not spans:
            return None
        first = max(0, int(spans[0][0] * rate) - 1)
        stop = min(take.frames, int(spans[-1][1] * rate) + 2)
        begin = known.shape[1] / rate
        sound = part(whole, begin + first / rate, begin + stop / rate)
        cut = replace(take, codes=replace(take.codes, ids=take.codes.ids[:, first:stop]))
        heard, wrong = "", 0.0
        if self.how.recognizer is not None:
            heard = self.how.hear(sound).text
            wrong = compare_words(text, heard, self.language).cer
        around = self._level()
        return (round(wrong, 2), abs(fitting_gain(sound, around))), cut, sound, heard

    def _level(self) -> AudioClip:
        clip = self.recording.clip
        return part(clip, clip.seconds - LEVEL_S, clip.seconds)

    # --- what comes of it -------------------------------------------------------------------------------------------

    def _result(self, text: str, opening: _Opening, pieces: Sequence[str], chosen) -> ContinuedSpeech:
        clip, codes = self.recording.clip, self.recording.codes
        rate, margin, around = clip.sample_rate, round(MARGIN_S * clip.sample_rate), self._level()
        new, ids = opening.pause, [opening.pause_codes]
        for number, (take, sound, _) in enumerate(chosen):
            loud = with_gain(sound, fitting_gain(sound, around))
            samples = at_most(spread(loud, around, round(sound.seconds * rate)), max(1.0, peak(around)))
            new = crossfaded(new, samples, margin)
            ids.append(take.codes.ids)
            if number + 1 < len(chosen):
                frames = round(rest_after(pieces[number]) * self.recording.frame_rate)
                quiet = self._rest(frames)
                new = crossfaded(new, quiet, margin)
                if codes is not None and frames:
                    ids.append(self.how.codec.encode(AudioClip(quiet, rate)).ids[:, :frames])
        whole = AudioClip(crossfaded(clip.samples, new, margin), rate)
        kept = max(0, clip.length - margin)
        if codes is not None:
            codes = replace(codes, ids=torch.cat((codes.ids, *(one.to(codes.ids) for one in ids)), dim=1))
        return ContinuedSpeech(
            clip=whole,
            continuation=AudioClip(new, rate),
            codes=codes,
            transcript=opening.text,
            text=text,
            kept_s=kept / rate,
            start_s=(kept + opening.pause.shape[1] - margin) / rate,
            pause_s=opening.pause_s,
            pieces=len(pieces),
            seeds=tuple(take.sampling.seed for take, _, _ in chosen),
            heard=" ".join(heard for _, _, heard in chosen).strip(),
            warnings=tuple(self.warnings),
        )
