"""A recording whose words are changed: what is not changed stays, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..audio.clip import AudioClip
from ..audio.loudness.decibels import peak
from ..errors import AudioError, SettingError
from ..generation.session import Session
from ..model import HiggsModel
from ..monologue import LEAST_CHARS, MAX_CHARS
from ..prompt import build_prompt, conversation
from ..prompt.builder import Message
from ..text.languages import base_language
from ..types import Codes, Generation, Prompt, Voice
from ..verification import compare_words, length_bounds, word_times
from .changes import WordChange, before, behind, changes_of, written
from .join import (
    EDGE_S,
    MARGIN_S,
    SLACK_S,
    Patch,
    at_most,
    fitting_gain,
    level,
    part,
    patched,
    quiet_cut,
    roughness,
    speech_level,
    spread,
    with_gain,
)
from .listening import FoundWords, can_find_words, find_words, reference_words
from .recording import Recording, Speaking, check_words_of

TOO_SHORT = 0.3  # as bad as so many wrong letters
LEVEL_S = 3.0  # of it at either side that new words are as loud as
CONTEXT_FRAMES = 20  # at either side of new frames that the codec decodes them with
APART_FRAMES = 4  # between two edits; what is nearer becomes one


@dataclass(frozen=True)
class EditedSpan:
    """A stretch that was changed.

    Attributes:
        old, new: its words before and now.
        start_s, end_s: seconds in the result: outside of these it is the recording, sample by sample.
        was_start_s, was_end_s: the same in the recording.
        roughness_db, level_db: how much the worse of both joins shows, and how far the new words are from the level of
            those around; 0 where nothing was spoken.
        heard: what the recognizer hears of the sentence; empty without one.
        word_errors: of what it heard against what is written, 0 to 1 and more; None without one.
        seed: of the take that was chosen; None where nothing was spoken.
        candidates: takes there were to choose from.
    """

    old: str
    new: str
    start_s: float
    end_s: float
    was_start_s: float
    was_end_s: float
    roughness_db: float = 0.0
    level_db: float = 0.0
    heard: str = ""
    word_errors: float | None = None
    seed: int | None = None
    candidates: int = 0

    def __str__(self) -> str:
        """A line for a person."""
        what = f"“{self.old}” → “{self.new}”" if self.old and self.new else f"+ “{self.new}”" if self.new else ""
        parts = [f"{self.start_s:.2f} to {self.end_s:.2f} s: {what or f'- “{self.old}”'}"]
        if self.seed is not None:
            parts.append(f"seed {self.seed} of {self.candidates}")
        parts.append(f"join {self.roughness_db:.1f} dB, level {self.level_db:+.1f} dB")
        if self.word_errors is not None:
            parts.append(f"word errors {self.word_errors:.0%}, heard: {' '.join(self.heard.split())}")
        return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class EditedSpeech:
    """An edited recording.

    Attributes:
        clip: at the recording's rate and in its channels.
        codes: its frames, where the recording came as frames; None else.
        text: what it says now.
        spans: what was changed, in order; none: the clip is the recording.
        margin_s: that each span reaches into what was kept at either side, where old and new sound cross over.
        warnings: one sentence each.
    """

    clip: AudioClip
    codes: Codes | None
    text: str
    spans: tuple[EditedSpan, ...] = ()
    margin_s: float = MARGIN_S
    warnings: tuple[str, ...] = ()

    @property
    def within(self) -> str:
        """Which parts are synthetic, for `Provenance`."""
        return ", ".join(
            f"{one.start_s:.2f} to {one.end_s:.2f} s " + (f"“{one.new}”" if one.new else "(words cut out)")
            for one in self.spans
        )

    def __str__(self) -> str:
        """A line for each span, for a person."""
        if not self.spans:
            return "Nothing was changed: this is the recording."
        head = f"{len(self.spans)} edit(s), with {self.margin_s * 1000:.0f} ms of margin; all else is the recording."
        return "\n".join([head, *map(str, self.spans), *(f"Note: {one}" for one in self.warnings)])


@dataclass(frozen=True, eq=False)
class _EditPlace:
    """Where a change stands.

    Attributes:
        first, stop: the frames that go, [first, stop).
        opening: number of the first word, and the first frame, of what the model goes on from.
    """

    change: WordChange
    first: int
    stop: int
    opening: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Candidate:
    ids: torch.Tensor
    patch: Patch
    roughness_db: float
    level_db: float
    heard: str = ""
    errors: tuple[float, float] | None = None  # of words and of letters
    seed: int | None = None
    short: bool = False  # no reading of the new words is so quick

    @property
    def rank(self) -> tuple[float, float]:
        """Fewest wrong letters, in hundredths, and long enough; then the smoothest and most even."""
        wrong = round(self.errors[1], 2) if self.errors else 0.0
        return wrong + TOO_SHORT * self.short, self.roughness_db + abs(self.level_db) / 2


def edit_speech(source: AudioClip | Codes, transcript: str, text: str, speaking: Speaking) -> EditedSpeech:
    """Has a recording say a text in place of what it says. Words that both share are kept as they are.

    Each changed stretch is spoken by the model, which has the recording's own voice as reference: it says the sentence
    around it, or goes on from the recording up to there. Of several candidates the one is taken that is heard right,
    joins smoothly and is as loud as what is around. A long recording is heard and encoded only near the edits.

    Args:
        source: speech of one speaker, of any length; of codes, codes are given back too.
        transcript: what it says; empty: what the recognizer hears.
        text: what it shall say.

    Returns:
        EditedSpeech; where the words are the same its clip and codes are those of `source`.

    Raises:
        AudioError: no samples, nobody speaks, it says something else than the transcript, or the call was stopped.
        SettingError: no words are left, or there is no transcript and no recognizer; see `find_words` too.
        PromptError: the model cannot read the text.
        MissingExtraError: an extra is not installed, see `word_times`.
    """
    recording = Recording.of(source, speaking.codec)
    speaking = speaking.in_language_of(recording.clip)
    language = base_language(speaking.language) or "en"
    new = check_words_of(text, language, "The new text")
    transcript = transcript if transcript.strip() else heard_text(recording.clip, speaking)
    old = check_words_of(transcript, language, "The transcript")
    changes = changes_of(old, new, language)
    if not changes:
        return EditedSpeech(recording.clip, recording.codes, transcript.strip())
    return _Editor(recording, old, new, speaking).edited(changes)


def heard_text(clip: AudioClip, speaking: Speaking) -> str:
    """What the recognizer hears.

    Raises:
        SettingError: there is no recognizer.
        AudioError: it hears nothing.
    """
    if speaking.recognizer is None:
        raise SettingError(
            "What the recording says is not known.",
            expected="a transcript, or a recognizer that hears it",
            got="neither",
            remedy="Type the transcript, or choose a recognizer (extra 'asr').",
        )
    text = speaking.hear(clip).text.strip()
    if not text:
        raise AudioError(
            "No word can be found in the recording.", expected="speech", got="none", remedy="Check the step before."
        )
    return text


def line_chars(model: HiggsModel) -> int:
    """Characters of a line that the model speaks best: one with a closed vocabulary knows short ones."""
    return MAX_CHARS if model.config.vocabulary is None else LEAST_CHARS


class _Editor:
    """One call of `edit_speech`."""

    def __init__(self, recording: Recording, old: Sequence[str], new: Sequence[str], speaking: Speaking):
        self.recording, self.old, self.new, self.how = recording, old, new, speaking
        self.language = base_language(speaking.language) or "en"
        self.session = Session(speaking.model, batch=speaking.candidates)
        self.most_chars = line_chars(speaking.model)
        self.warnings: list[str] = []
        self._done = self._steps = 0

    def edited(self, changes: Sequence[WordChange]) -> EditedSpeech:
        self._steps = len(changes) * (2 + self.how.candidates)
        self._step(0)
        places: list[tuple[_EditPlace, FoundWords]] = []
        found = None
        for change in changes:
            found = self._found(change, found)
            self._step()
            place = self._place(change, found)
            if places and place.first - places[-1][0].stop < APART_FRAMES:
                both = _joined(places.pop()[0].change, change)
                found = self._found(both, found)
                place = self._place(both, found)
            places.append((place, found))
        chosen = [self._best(place, found) for place, found in places]
        return self._result([place for place, _ in places], chosen)

    def _step(self, steps: int = 1) -> None:
        if self.how.on_step is not None:
            self._done = min(self._done + steps, self._steps)
            self.how.on_step(self._done, self._steps)
        self.how.check()

    # --- where ------------------------------------------------------------------------------------------------------

    def _found(self, change: WordChange, known: FoundWords | None) -> FoundWords:
        """The words around a change, heard again only where it lies beyond those that are known."""
        if known is not None and known.hold(change[:2], len(self.old)):
            return known
        return find_words(self.recording.clip, self.old, change[:2], self.how)

    def _place(self, change: WordChange, found: FoundWords) -> _EditPlace:
        first_word, added = before(self.old, change.first, self.most_chars // 2), change.first == change.stop
        first = self._cut(found, change.first, late=True)
        stop = first if added else max(first, self._cut(found, change.stop, late=False))
        start = min(first, self._cut(found, max(first_word, found.first), late=True))
        return _EditPlace(change, first, stop, (max(first_word, found.first), start))

    def _cut(self, found: FoundWords, word: int, late: bool) -> int:
        """The frame to cut before, between a word and the one before it."""
        clip = self.recording.clip
        low = found.time(word - 1).end_s - SLACK_S if word > found.first else None
        high = found.time(word).start_s + SLACK_S if word < found.stop else None
        if low is None:
            low = max(0.0, (high or 0.0) - SLACK_S - EDGE_S)
        if high is None:
            high = min(clip.seconds, low + SLACK_S + EDGE_S)
        return min(quiet_cut(clip, low, max(low, high), self.recording.frame_rate, late=late), self.recording.frames)

    # --- what is spoken ---------------------------------------------------------------------------------------------

    def _best(self, place: _EditPlace, found: FoundWords) -> _Candidate:
        change = place.change
        if change.new_first == change.new_stop:
            best = self._candidate(place, self._nothing(), None)
            self._step(1 + self.how.candidates)
            return best
        context = self.old[place.opening[0] : change.first]
        stop = max(change.new_stop, behind(self.new, change.new_stop, self.most_chars // 2))
        words = [*context, *self.new[change.new_first : stop]]
        takes = self._spoken(place, words, self._voice(place, found))
        self._step()
        new, candidates = written(self.new[change.new_first : change.new_stop], self.language), []
        least_s = length_bounds(new, self.language)[0]
        for take, opening in takes:
            ids = self._new_frames(place, take, opening, words, len(context))
            if ids is not None:
                one = self._candidate(place, ids, take.sampling and take.sampling.seed)
                one = replace(one, short=ids.shape[1] / self.recording.frame_rate < least_s)
                candidates.append(self._heard(place, found, one, context, stop))
            self._step()
        if not candidates:
            raise AudioError(
                f"The model did not say “{new}”.",
                expected="new words that can be found in what it spoke",
                got=f"{len(takes)} take(s) without them",
                remedy="Try another seed, more candidates, or change a few words around as well.",
            )
        return min(candidates, key=lambda one: one.rank)

    def _spoken(self, place: _EditPlace, words: Sequence[str], voice: Voice) -> list[tuple[Generation, Codes | None]]:
        """Takes of the sentence, each with the frames of the recording that it goes on from; None: it says all of it.

        Frames that a model made it goes on from as from its own; those that a codec made of a sound are not always
        like them, and may lead it astray: with Higgs Nano 13 of 56 takes say the new word then, and 56 of 56 that say
        the sentence anew. So both are candidates where somebody listens.
        """
        messages, begun = conversation(written(words, self.language), [voice]), None
        start, model, count = place.opening[1], self.how.model, self.how.candidates
        if place.first > start:
            begun = self.recording.codes_of(start, place.first)
        kinds: list[Codes | None] = [begun if self.recording.codes is not None else None] * count
        if self.how.recognizer is not None:
            kinds[1::2] = [None if kinds[0] is not None else begun] * len(kinds[1::2])
        prompts: dict[bool, Prompt] = {}
        for goes_on in {kind is not None for kind in kinds}:
            turn = [Message("assistant", [begun], goes_on=True)] if goes_on and begun is not None else []
            prompts[goes_on] = build_prompt([*messages, *turn], model.tokenizer)
            self.warnings += [one for one in prompts[goes_on].warnings if one not in self.warnings]
        most = round(length_bounds(written(words, self.language), self.language)[1] * model.config.frame_rate)
        sampling = replace(self.how.sampling, max_frames=min(most, self.how.sampling.max_frames))
        takes = self.session.generate(
            [prompts[kind is not None] for kind in kinds],
            [replace(sampling, seed=(sampling.seed + number) % 2**64) for number in range(count)],
            should_stop=self.how.should_stop,
        )
        if any(take.finish_reason == "cancelled" for take in takes):
            self._step(0)
            self.how.check()
        return list(zip(takes, kinds, strict=True))

    def _voice(self, place: _EditPlace, found: FoundWords) -> Voice:
        """That of the recording: what it says around the change, in whole words."""
        if self.how.voice is not None:
            return self.how.voice
        low, high = reference_words(found, place.change[:2], self.how.model)
        words = written(self.old[low:high], self.language)
        start, end = self._cut(found, low, late=True), self._cut(found, high, late=False)
        return Voice(self.recording.codes_of(start, max(end, start + 1)), words)

    def _nothing(self) -> torch.Tensor:
        return torch.empty((self.how.codec.num_codebooks, 0), dtype=torch.long)

    def _new_frames(
        self, place: _EditPlace, take: Generation, begun: Codes | None, words: Sequence[str], known: int
    ) -> torch.Tensor | None:
        """Of a take the frames of the new words alone; None where they cannot be found."""
        if take.frames == 0:
            return None
        change, ids = place.change, take.codes.ids.cpu()
        if begun is not None:
            ids = torch.cat((begun.ids, ids), dim=1)
        clip = self.how.codec.decode(replace(take.codes, ids=ids))
        count = change.new_stop - change.new_first
        try:
            text = written(words, self.language)
            ears = None if can_find_words(None, self.language) else self.how
            times = word_times(clip, text, heard=ears and ears.hear(clip).words, language=self.language)
        except AudioError:  # it stayed silent
            return None
        rate, last = self.recording.frame_rate, times[known + count - 1]
        added = change.first == change.stop
        end = ids.shape[1]
        if known + count < len(times):
            end = quiet_cut(clip, last.end_s - SLACK_S, times[known + count].start_s + SLACK_S, rate, late=added)
        else:
            end = quiet_cut(clip, last.end_s - SLACK_S, min(clip.seconds, last.end_s + EDGE_S), rate, late=False)
        begin, first = 0 if begun is None else begun.frames, times[known].start_s
        if begun is None:
            early = times[known - 1].end_s - SLACK_S if known else max(0.0, first - EDGE_S)
            begin = quiet_cut(clip, early, first + SLACK_S, rate, late=True)
        return ids[:, begin:end] if end > begin else None

    # --- how it fits ------------------------------------------------------------------------------------------------

    def _candidate(self, place: _EditPlace, ids: torch.Tensor, seed: int | None) -> _Candidate:
        """New frames in their place."""
        recording, rate = self.recording, self.recording.clip.sample_rate
        left = recording.codes_of(max(0, place.first - CONTEXT_FRAMES), place.first)
        right = recording.codes_of(place.stop, min(recording.frames, place.stop + CONTEXT_FRAMES))
        joined = replace(left, ids=torch.cat((left.ids, ids, right.ids), dim=1))
        sound = self.how.codec.decode(joined)
        begin, end = (frame / recording.frame_rate for frame in (left.frames, left.frames + ids.shape[1]))
        start, stop = recording.sample(place.first), recording.sample(place.stop)
        around_s = round(LEVEL_S * recording.frame_rate)
        before_it = recording.between(max(0, place.first - around_s), place.first)
        after_it = recording.between(place.stop, min(recording.frames, place.stop + around_s))
        around = AudioClip(torch.cat((before_it.samples, after_it.samples), dim=1), rate)
        new = part(sound, begin, end)
        gain = fitting_gain(new, around) if new.length and around.length else 0.0
        sound, new = with_gain(sound, gain), with_gain(new, gain)
        first, last = round(begin * rate), round(end * rate)
        margins = [min(round(MARGIN_S * rate), room) for room in (min(start, first), recording.clip.length - stop)]
        whole = spread(sound, around if around.length else recording.clip, last + margins[1])
        piece = at_most(whole[:, first - margins[0] : last + margins[1]], max(1.0, peak(around)))
        loud = speech_level(around) if around.length else level(new)
        rough = max(roughness(part(sound, 0, at), part(sound, at, sound.seconds), loud) for at in {begin, end})
        off = speech_level(new) - loud if new.length and around.length else 0.0
        return _Candidate(ids, Patch(start, stop, piece, *margins), rough, off, seed=seed)

    def _heard(
        self, place: _EditPlace, found: FoundWords, one: _Candidate, context: Sequence[str], stop: int
    ) -> _Candidate:
        """With what the recognizer hears of the sentence in its place."""
        if self.how.recognizer is None:
            return one
        change = place.change
        last = min(found.stop, change.stop + stop - change.new_stop)
        start = self.recording.sample(place.opening[1])
        end = max(self.recording.sample(self._cut(found, last, late=False)), one.patch.stop + one.patch.right)
        window = AudioClip(self.recording.clip.samples[:, start:end], self.recording.clip.sample_rate)
        moved = replace(
            one.patch,
            start=one.patch.start - start,
            stop=one.patch.stop - start,
            left=(left := min(one.patch.left, one.patch.start - start)),
            sound=one.patch.sound[:, one.patch.left - left :],
        )
        heard = self.how.hear(patched(window, [moved])).text
        there = [*context, *self.new[change.new_first : change.new_stop], *self.old[change.stop : last]]
        text = written(there, self.language)  # a further change in this sentence is not made yet
        errors = compare_words(text, heard, self.language)
        return replace(one, heard=heard, errors=(errors.wer, errors.cer))

    # --- what comes of it -------------------------------------------------------------------------------------------

    def _result(self, places: Sequence[_EditPlace], chosen: Sequence[_Candidate]) -> EditedSpeech:
        recording, rate, moved, spans = self.recording, self.recording.clip.sample_rate, 0, []
        for place, one in zip(places, chosen, strict=True):
            patch, change = one.patch, place.change
            start, stop = patch.start - patch.left, patch.stop + patch.right
            longer = patch.length - (patch.stop - patch.start)
            spans.append(
                EditedSpan(
                    old=written(self.old[change.first : change.stop], self.language),
                    new=written(self.new[change.new_first : change.new_stop], self.language),
                    start_s=(start + moved) / rate,
                    end_s=(stop + moved + longer) / rate,
                    was_start_s=start / rate,
                    was_end_s=stop / rate,
                    roughness_db=one.roughness_db,
                    level_db=one.level_db,
                    heard=one.heard,
                    word_errors=one.errors and one.errors[0],
                    seed=one.seed,
                    candidates=self.how.candidates if one.seed is not None else 0,
                )
            )
            moved += longer
        clip = patched(recording.clip, [one.patch for one in chosen])
        codes, done, kept = recording.codes, 0, []
        if codes is not None:
            for place, one in zip(places, chosen, strict=True):
                kept += [codes.ids[:, done : place.first], one.ids.to(codes.ids)]
                done = place.stop
            codes = replace(codes, ids=torch.cat((*kept, codes.ids[:, done:]), dim=1))
        return EditedSpeech(clip, codes, written(self.new, self.language), tuple(spans), warnings=tuple(self.warnings))


def _joined(one: WordChange, other: WordChange) -> WordChange:
    return WordChange(one.first, other.stop, one.new_first, other.new_stop)
