"""What needs no recognizer to look wrong: length, silence, an end that comes twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..audio.clip import AudioClip, to_mono
from ..audio.loudness.decibels import power_ratio
from ..audio.quality import levels, profile
from ..text.reading_time import UNSPOKEN, calm_seconds

WINDOW_S, STEP_S = 0.04, 0.01
PAUSE_S, SMEARED_S = 0.12, 0.02
QUIET_DB, HUSH_DBFS = 40.0, -60.0  # below the loudest moment, and below full scale

FASTEST, SLOWEST = 2.2, 2.5  # times as fast, and as slow
PAUSES_S, TAG_S = 1.5, 3.0  # that any line may add, and each tag or sound event in it


def length_bounds(text: str, language: str | None = None) -> tuple[float, float]:
    """(least, most) seconds that a reading of a text can take.

    Counted by writing systems, so that mixed texts come out right; generous, as speakers differ.

    Args:
        language: ISO 639-1; it tells how long a Han character takes.
    """
    calm = calm_seconds(text, language)
    return calm / FASTEST, PAUSES_S + calm * SLOWEST + TAG_S * len(UNSPOKEN.findall(text))


class Silence(NamedTuple):
    """Where a clip is silent.

    Attributes:
        share: of its length, 0 to 1.
        longest_s: seconds of the longest silence between two sounds; the whole length of a clip without sound.
    """

    share: float
    longest_s: float


def measure_silence(clip: AudioClip) -> Silence:
    """Windows of 40 ms are silent that lie 40 dB below the loudest one, or below -60 dBFS (RMS)."""
    hop = max(1, round(STEP_S * clip.sample_rate))
    size = max(hop, round(WINDOW_S * clip.sample_rate))
    if clip.length < size:
        return Silence(1.0, clip.seconds)
    power = torch.nn.functional.avg_pool1d(to_mono(clip).samples.square()[None], size, hop)[0, 0]
    floor = max(float(power.max()) * power_ratio(-QUIET_DB), power_ratio(HUSH_DBFS))
    loud = (power > floor).nonzero()[:, 0]
    if not len(loud):
        return Silence(1.0, clip.seconds)
    gaps = (loud[1:] - loud[:-1] - 1).clamp(min=0)
    longest = int(gaps.max()) if len(gaps) else 0
    return Silence(1 - len(loud) / len(power), longest * hop / clip.sample_rate)


def loud_spans(clip: AudioClip) -> list[tuple[float, float]]:
    """(start, end) in seconds of the stretches that are no silence, to about 20 ms; one under PAUSE_S parts none."""
    if clip.length < clip.sample_rate * WINDOW_S:
        return []
    found = profile(clip)
    loud = (found.db > max(float(levels(found.db).threshold), HUSH_DBFS)).nonzero()[:, 0].tolist()
    spans: list[list[float]] = []
    for hop in loud:
        start = hop * found.hop_s
        if spans and start - spans[-1][1] < PAUSE_S:
            spans[-1][1] = start + found.hop_s
        else:
            spans.append([start, start + found.hop_s])
    # levels are means over 50 ms, which reach so far into silence
    return [(a + SMEARED_S, max(a + SMEARED_S, min(b - SMEARED_S, clip.seconds))) for a, b in spans]


def different_end(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """(written, heard): what stands behind the last word that both have. See WordErrors.pairs."""
    same = [n for n, (one, other) in enumerate(pairs) if one == other]
    rest = pairs[same[-1] + 1 :] if same else pairs
    return [one for one, _ in rest if one], [other for _, other in rest if other]


def repeated_end(written: Sequence[str], heard: Sequence[str]) -> list[str]:
    """The words that the end of what was heard says once more, and the text does not; empty if there are none."""
    for count in range(len(heard) // 2, 0, -1):
        tail = list(heard[-count:])
        if tail == list(heard[-2 * count : -count]) and tail != list(written[-2 * count : -count]):
            return tail
    return []
