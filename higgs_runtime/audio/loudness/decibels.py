"""Decibels and amplitudes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..clip import AudioClip


def peak(clip: AudioClip) -> float:
    """The highest absolute sample; 0 for a clip without samples."""
    return float(clip.samples.abs().max()) if clip.length else 0.0


def decibels(amplitude: float) -> float:
    """20 log10 of an amplitude; -inf at 0 and below."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def amplitude(decibels: float) -> float:
    """The factor that a gain in dB means."""
    return 10 ** (decibels / 20)


def power_ratio(decibels: float) -> float:
    """The factor of power, the square of amplitude, that a gain in dB means."""
    return 10 ** (decibels / 10)
