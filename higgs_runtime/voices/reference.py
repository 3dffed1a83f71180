"""A reference clip for a voice: the best seconds of a recording, cut where no word is, at an even level."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..audio.clip import AudioClip, eased, to_mono, trim
from ..audio.loudness.decibels import amplitude, decibels
from ..audio.quality import HOPS_PER_S, Levels, Profile, levels, profile, tonality
from ..codec import Codec
from ..codec.steps import OnProgress
from ..errors import AudioError, HiggsWarning, SettingError, check_range
from ..types import Codes
from .cut_points import Cut, at_pauses, best_cut, depth, pause_gaps, word_gaps
from .quiet_end import QUIET_END_S, ends_loud, with_quiet_end

SPEECH_DBFS, PEAK_DBFS = -20.0, -1.0  # of the prepared clip
EDGE_S = 0.1
MARGIN_S = 1.0  # around the chosen window, so that there is a choice of cuts
STEP_HOPS = HOPS_PER_S  # between windows that are compared
ROWS = 512  # windows compared at once
SHORTEST_S = 1.0  # of a reference: SGLang-Omni brings those of v3 to it as well
SHORTER = (1.0, 0.7, 0.4)  # parts of the longest window that are tried
CANCELLED_DB, NOTHING_LEFT_DB = 12.0, 40.0  # two unrelated channels lose 3 dB, one silent channel of two 6 dB
NOISY_DB, TONAL, CLIPPED_SHARE, QUIET_DBFS, NARROW_HZ, UNSURE = 17.0, 0.6, 2e-4, -36.0, 16_000, 0.6


@dataclass(frozen=True)
class ReferenceReport:
    """What was found and done, for the chosen seconds.

    Attributes:
        source_seconds, sample_rate: length in seconds and rate in Hz of the recording.
        start_s, end_s: what was taken of it, in seconds.
        peak_dbfs: highest sample of the recording.
        speech_dbfs, noise_dbfs: level of the speech (RMS) and of the quiet moments, before levelling.
        snr_db: their distance; too low where nobody pauses.
        clipped_samples: that were cut off at the top.
        speech_share: of the time, 0 to 1.
        gain_db: what the level was changed by.
        language: that the recognizer heard, or was told; empty without one.
        warnings: one sentence each.
    """

    source_seconds: float
    sample_rate: int
    start_s: float
    end_s: float
    peak_dbfs: float
    speech_dbfs: float
    noise_dbfs: float
    snr_db: float
    clipped_samples: int
    speech_share: float
    gain_db: float
    language: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"taken: {self.start_s:.2f} to {self.end_s:.2f} s ({self.end_s - self.start_s:.2f} s) of "
            f"{self.source_seconds:.2f} s at {self.sample_rate} Hz",
            f"speech {self.speech_dbfs:.1f} dBFS, noise {self.noise_dbfs:.1f} dBFS, distance {self.snr_db:.1f} dB",
            f"peak {self.peak_dbfs:.1f} dBFS, clipped samples: {self.clipped_samples}",
            f"speech {self.speech_share:.0%} of the time; level changed by {self.gain_db:+.1f} dB",
            *([f"language: {self.language}"] if self.language else []),
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class PreparedReference:
    """A clip to encode, what is said in it (empty without a recognizer), and the report."""

    clip: AudioClip
    transcript: str
    report: ReferenceReport


def encode_reference(clip: AudioClip, codec: Codec, *, on_progress: OnProgress | None = None) -> Codes:
    """The codes of a clip to sound like; silence follows one of less than SHORTEST_S.

    Args:
        on_progress: as in `Codec.encode`.

    Raises:
        AudioError: as `Codec.encode`.
    """
    missing = math.ceil(SHORTEST_S * clip.sample_rate) - clip.length
    if clip.length and missing > 0:
        clip = AudioClip(torch.nn.functional.pad(clip.samples, (0, missing)), clip.sample_rate)
    return codec.encode(clip, on_progress=on_progress)


def prepare_reference(
    clip: AudioClip,
    *,
    recognizer: Any = None,
    language: str | None = None,
    min_s: float = 3.0,
    max_s: float = 15.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> PreparedReference:
    """The part of a recording that shows a voice best: mono, without silence around, at an even level.

    Of all windows the one with the clearest speech is taken: far above the noise, not clipped, few silences, long.
    With a recognizer it is cut between words, at the ends of sentences if possible; without one at pauses. Speech is
    brought to -20 dBFS (RMS), the peak to -1 dBFS at most. The clip ends in 0.3 to 0.5 s of the recording's own quiet.

    Args:
        clip: one speaker; any length, rate and channel count. A long one takes time, not memory.
        recognizer: its `transcribe(clip, language)` gives a text and words with times; it hears the chosen window only.
        language: of the recording, as "en"; None: the recognizer finds out.
        min_s, max_s: shortest and longest result in seconds.
        on_progress: called with (steps done, steps in all); what it raises ends the call.

    Raises:
        AudioError: the clip has no samples, or is silent.
        SettingError: min_s and max_s are out of range or in the wrong order.
    """
    check_range("max_s", max_s, 1.0, 60.0)
    check_range("min_s", min_s, 0.5, 60.0)
    if min_s > max_s / 1.5:
        raise SettingError(
            "There is no room between the shortest and the longest reference.",
            expected=f"min_s of at most {max_s / 1.5:g} s",
            got=f"{min_s:g} s",
            remedy="Lower min_s or raise max_s: a cut needs a choice of pauses.",
        )
    whole = profile(clip, on_progress) if clip.length else None
    if whole is None or not whole.peak:
        raise _no_sound(clip)
    begin_s, end_s, open_ends = _window(clip, whole, max_s)
    part = to_mono(trim(clip, begin_s, end_s - begin_s))
    heard = recognizer.transcribe(part, language) if recognizer is not None else None
    found, words = profile(part), tuple(heard.words) if heard is not None else ()
    level = levels(found.db)
    between = at_pauses(word_gaps(words, part.seconds, open_ends), words, found, level)
    most_s = max(min_s, max_s - QUIET_END_S[1])
    cut = best_cut(between, found, level, min_s, most_s) if words else None
    text = _between(heard.text, words, cut.first.word, cut.last.word) if heard is not None and cut else ""
    taken_words = words[cut.first.word : cut.last.word] if cut else ()
    cut = cut or best_cut(pause_gaps(found, level, part.seconds, open_ends), found, level, min_s, most_s)
    assert cut is not None  # there are both ends of the clip, or moments near each other in it
    taken = trim(part, cut.start_s, cut.end_s - cut.start_s)
    notes = _notes_on_words(heard, taken_words)
    if not taken_words and not _in_silence(cut, part.seconds, found, level):
        notes.append("There was no pause to cut in: a word may be split at either end.")
    report = report_of(clip, whole, taken, begin_s + cut.start_s, heard.language if heard is not None else "")
    report = replace(report, warnings=(*notes_on_sound(report, taken, min_s), *notes))
    return PreparedReference(levelled(with_quiet_end(taken, part, level), report.gain_db), text, report)


def inspect_reference(clip: AudioClip, min_s: float = 3.0, max_s: float = 30.0) -> ReferenceReport:
    """How good a clip is as a reference, as it is: nothing is cut or levelled.

    Args:
        clip: one speaker; a minute or less is meant.
        min_s, max_s: shorter and longer ones get a warning.

    Raises:
        AudioError: the clip has no samples, or is silent.
    """
    whole = profile(clip) if clip.length else None
    if whole is None or not whole.peak:
        raise _no_sound(clip)
    mono = to_mono(clip)
    loudest, left = (float(one.samples.square().mean(1).amax()) for one in (clip, mono))
    lost_db = lost_in_mono(loudest, left)
    report = report_of(clip, whole, mono, 0.0, "")
    notes = notes_on_sound(report, mono, min_s)
    if lost_db > CANCELLED_DB:
        notes.append(
            f"Left and right cancel each other: mixed to mono it is {lost_db:.0f} dB quieter. Take one channel."
        )
    if ends_loud(mono):
        notes.append("It ends while there is sound, and takes may end in noise: let it end in 0.3 s of quiet.")
    if clip.seconds > max_s:
        notes.append(f"Long: {clip.seconds:.0f} s, where 5 to 15 s suit a voice.")
    return replace(report, warnings=tuple(notes))


def judged_reference(clip: AudioClip, codec: Codec, name: str = "The reference") -> Codes:
    """`encode_reference` of a clip that was looked at.

    Args:
        name: of the clip, for messages.

    Warns:
        HiggsWarning: see the warnings of `inspect_reference`.

    Raises:
        AudioError: the clip has no samples, or is silent.
    """
    for note in inspect_reference(clip).warnings:
        warnings.warn(f"{name}: {note}", HiggsWarning, stacklevel=3)
    return encode_reference(clip, codec)


def _no_sound(clip: AudioClip) -> AudioError:
    return AudioError(
        "There is no sound to make a reference of.",
        expected="a recording of speech",
        got=f"{clip.seconds:g} s of silence" if clip.length else "0 samples",
        remedy="Check the step that made the clip.",
    )


def lost_in_mono(loudest: float, mono: float) -> float:
    """By how many dB a clip is quieter as mono.

    Args:
        loudest, mono: mean squares of the loudest channel and of all mixed to one.

    Raises:
        AudioError: next to nothing is left.
    """
    lost_db = 10 * math.log10(loudest / mono) if mono else math.inf if loudest else 0.0
    if lost_db > NOTHING_LEFT_DB:
        raise AudioError(
            "There is no sound to make a reference of: the channels cancel each other, and mixed to mono it is silent.",
            expected="a recording of speech that can be mixed to mono",
            got=f"channels whose sum is {lost_db:.0f} dB quieter",
            remedy="Take one channel alone, or turn the phase of the other.",
        )
    return lost_db


def _window(clip: AudioClip, whole: Profile, max_s: float) -> tuple[float, float, tuple[bool, bool]]:
    """Begin and end, in seconds, of the best stretch with a margin; and whether either end lies inside the speech."""
    loud = (whole.db > levels(whole.db).threshold).nonzero()[:, 0]
    edge, last_hop = round(EDGE_S * HOPS_PER_S), len(whole.db)
    first, last = max(0, int(loud[0]) - edge), min(last_hop, int(loud[-1]) + 1 + edge)
    longest, start, stop = round(max_s * HOPS_PER_S), first, last
    if last - first > longest:
        start, stop = _best(whole.db[first:last], whole.clipped[first:last] / whole.hop, longest)
        margin = round(MARGIN_S * HOPS_PER_S)
        start, stop = max(first, first + start - margin), min(last, first + stop + margin)
        if start > first:  # to a quiet moment, lest the recognizer hears half a word
            start += int(whole.db[start : start + margin].argmin())
        if stop < last:
            stop -= margin - int(whole.db[stop - margin : stop].argmin())
    return start * whole.hop_s, min(clip.seconds, stop * whole.hop_s), (start > first, stop < last)


def _best(db: torch.Tensor, clipped: torch.Tensor, longest: int) -> tuple[int, int]:
    """First and last hop of the window with the highest score."""
    found: list[tuple[float, int, int]] = []
    for part in SHORTER:
        length = round(part * longest)
        windows, cut_off = (one.unfold(0, length, STEP_HOPS) for one in (db, clipped))
        for row in range(0, len(windows), ROWS):
            level = levels(windows[row : row + ROWS])
            harm = (cut_off[row : row + ROWS].mean(1) / CLIPPED_SHARE).clamp(max=3)
            score = level.snr.clamp(max=40) + 20 * (level.share / 0.7).clamp(max=1) - 10 * harm + 10 * part
            best = int(score.argmax())
            found.append((float(score[best]), (row + best) * STEP_HOPS, (row + best) * STEP_HOPS + length))
    return max(found)[1:]


def _between(text: str, words: Any, first: int, last: int) -> str:
    """The part of the text from word `first` up to, without, word `last`, as it is written there."""
    spans, at = [], 0
    for word in words:
        begin = text.find(word.text.strip(), at)
        if begin < 0:
            return " ".join(word.text.strip() for word in words[first:last])
        at = begin + len(word.text.strip())
        spans.append((begin, at))
    return text[spans[first][0] : spans[last - 1][1]].strip()


def _in_silence(cut: Cut, seconds: float, found: Profile, level: Levels) -> bool:
    sides = (cut.first.begin <= 0, cut.last.end >= seconds)
    return all(
        side or depth(gap, found, level) >= float(level.speech - level.threshold)
        for gap, side in zip((cut.first, cut.last), sides, strict=True)
    )


def report_of(clip: AudioClip, whole: Profile, taken: AudioClip, start_s: float, language: str) -> ReferenceReport:
    """What is found in the seconds that were taken of a clip."""
    found = profile(taken)
    level = levels(found.db)
    loud = (10 ** (found.db[found.db >= level.threshold] / 10)).mean()
    speech_dbfs = float(10 * loud.log10())
    return ReferenceReport(
        source_seconds=clip.seconds,
        sample_rate=clip.sample_rate,
        start_s=start_s,
        end_s=start_s + taken.seconds,
        peak_dbfs=decibels(whole.peak),
        speech_dbfs=speech_dbfs,
        noise_dbfs=float(level.noise),
        snr_db=speech_dbfs - float(level.noise),
        clipped_samples=int(found.clipped.sum()),
        language=language,
        speech_share=float(level.share),
        gain_db=min(SPEECH_DBFS - speech_dbfs, PEAK_DBFS - decibels(found.peak)),
    )


def notes_on_sound(report: ReferenceReport, taken: AudioClip, min_s: float) -> list[str]:
    """What is wrong with them, one sentence each."""
    notes = []
    if taken.seconds < min_s:
        notes.append(f"Too short: {taken.seconds:.1f} s, where at least {min_s:g} s show a voice.")
    if report.snr_db < NOISY_DB:
        found = profile(taken)
        tones = tonality(taken, found.db <= report.noise_dbfs + 3)
        what = "Music, hum or echo" if tones > TONAL else "Noise"
        notes.append(f"{what} under the speech: only {report.snr_db:.0f} dB below it.")
    if report.clipped_samples > CLIPPED_SHARE * taken.length:
        notes.append(f"Clipped: {report.clipped_samples} samples are cut off at the top.")
    if report.peak_dbfs < QUIET_DBFS:
        notes.append(f"Recorded very quietly: the peak is at {report.peak_dbfs:.0f} dBFS.")
    if report.sample_rate < NARROW_HZ:
        notes.append(f"Narrow band: {report.sample_rate} Hz lacks the brightness of a voice.")
    return notes


def _notes_on_words(heard: Any, words: tuple) -> list[str]:
    if heard is None:
        return ["No recognizer: type the transcript yourself."]
    if not words:
        return ["The recognizer heard no words: is this speech?"]
    if sum(word.probability for word in words) < UNSURE * len(words):
        return ["The recognizer was unsure of the words: compare the transcript with the clip."]
    return []


def levelled(clip: AudioClip, gain_db: float) -> AudioClip:
    """With this gain, and ends that come up and go down."""
    return eased(AudioClip(clip.samples * amplitude(gain_db), clip.sample_rate))
