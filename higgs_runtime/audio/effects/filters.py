"""High-pass, low-pass and equalizer. Computed in float64: low frequencies at high rates need it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import SettingError, check_range
from ..clip import AudioClip
from ..loudness.decibels import amplitude

TOP = 0.45  # of the rate: the highest frequency that a filter is made for


@dataclass(frozen=True)
class Band:
    """One band of an equalizer.

    Attributes:
        kind: "peak" around the frequency, "low_shelf" below it, "high_shelf" above it.
        hertz: centre of a peak, or where a shelf has half of its gain in dB; 10 to 100000.
        gain_db: -24 to 24.
        q: width: a peak of 1 is 1.4 octaves wide, a larger q is narrower; shelves are as steep as can be without
            overshoot at 0.71. 0.1 to 20.

    Raises:
        SettingError: an unknown kind, or a value out of its range.
    """

    kind: str
    hertz: float
    gain_db: float
    q: float = 0.71

    def __post_init__(self):
        if self.kind not in ("peak", "low_shelf", "high_shelf"):
            raise SettingError(
                "There is no band of this kind.",
                expected="peak, low_shelf or high_shelf",
                got=repr(self.kind),
                remedy="Choose one of these.",
            )
        check_range("hertz", self.hertz, 10.0, 100_000.0)
        check_range("gain_db", self.gain_db, -24.0, 24.0)
        check_range("q", self.q, 0.1, 20.0)

    def __str__(self) -> str:
        where = {"peak": "at", "low_shelf": "below", "high_shelf": "above"}[self.kind]
        return f"{self.gain_db:+g} dB {where} {self.hertz:g} Hz"


EQ_PRESETS = {
    "warmth": (Band("low_shelf", 200, 3),),
    "presence": (Band("peak", 3500, 3, 1.0),),
    "air": (Band("high_shelf", 10_000, 3),),
    "less mud": (Band("peak", 300, -4, 1.2),),
    "less nasal": (Band("peak", 1000, -3, 1.5),),
    "less harsh": (Band("peak", 4500, -3, 1.2),),
    "broadcast": (
        Band("low_shelf", 120, 2),
        Band("peak", 300, -3, 1.2),
        Band("peak", 4000, 3, 0.9),
        Band("high_shelf", 10_000, 2),
    ),
}


def high_pass(clip: AudioClip, hertz: float = 80.0) -> AudioClip:
    """Takes away what lies below a frequency: rumble, pops, DC. Butterworth, -3 dB there, 24 dB an octave below.

    Raises:
        SettingError: a frequency outside 10 Hz to 45% of the rate.
    """
    return run(clip, butterworth(clip, hertz, "highpass"))


def low_pass(clip: AudioClip, hertz: float = 12_000.0) -> AudioClip:
    """Takes away what lies above a frequency; as `high_pass`."""
    return run(clip, butterworth(clip, hertz, "lowpass"))


def equalize(clip: AudioClip, bands: Sequence[Band]) -> AudioClip:
    """Raises and lowers bands; `EQ_PRESETS` has some. (Filters: R. Bristow-Johnson, Audio EQ Cookbook.)

    A band beyond 45% of the rate, where the clip holds nothing, is left out.
    """
    import numpy as np

    rows = [_biquad(band, clip.sample_rate) for band in bands if band.hertz <= TOP * clip.sample_rate]
    return run(clip, np.array(rows)) if rows else clip


def run(clip: AudioClip, sections, zero_phase: bool = False) -> AudioClip:
    """The clip through second-order sections [n, 6]; with `zero_phase` forwards and backwards."""
    from scipy.signal import sosfilt, sosfiltfilt

    if clip.length == 0:
        return clip
    wave = clip.samples.detach().cpu().double().numpy()
    if zero_phase:
        wave = sosfiltfilt(sections, wave, axis=1, padlen=min(clip.length - 1, clip.sample_rate // 100)).copy()
    else:
        wave = sosfilt(sections, wave, axis=1)
    return AudioClip(torch.from_numpy(wave).float(), clip.sample_rate)


def butterworth(clip: AudioClip, hertz: float, kind: str, order: int = 4):
    """Sections of a "highpass" or "lowpass" for the clip's rate.

    Raises:
        SettingError: a frequency outside 10 Hz to 45% of the rate.
    """
    from scipy.signal import butter

    if clip.sample_rate * TOP < 10:
        raise SettingError(
            "The rate is too low to filter.",
            expected="23 Hz or more",
            got=f"{clip.sample_rate} Hz",
            remedy="Resample the clip first.",
        )
    check_range("hertz", hertz, 10.0, TOP * clip.sample_rate, "A clip holds what lies below half its rate.")
    return butter(order, hertz, kind, fs=clip.sample_rate, output="sos")


def _biquad(band: Band, rate: int) -> list[float]:
    """One section [6] of the cookbook."""
    turn = 2 * math.pi * band.hertz / rate
    cosine, alpha, root = math.cos(turn), math.sin(turn) / (2 * band.q), amplitude(band.gain_db / 2)
    if band.kind == "peak":
        above = [1 + alpha * root, -2 * cosine, 1 - alpha * root]
        below = [1 + alpha / root, -2 * cosine, 1 - alpha / root]
    else:
        side = 1 if band.kind == "low_shelf" else -1  # the shelves are each other's mirror
        plus, minus, slope = root + 1, (root - 1) * side, 2 * math.sqrt(root) * alpha
        above = [
            root * (plus - minus * cosine + slope),
            2 * root * (minus - plus * cosine),
            root * (plus - minus * cosine - slope),
        ]
        below = [plus + minus * cosine + slope, -2 * (minus + plus * cosine), plus + minus * cosine - slope]
    return [value / below[0] for value in (*above, *below)]
