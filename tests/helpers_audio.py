"""Clips for the tests."""

from __future__ import annotations

import math

import torch

from higgs_runtime import AudioClip

RATE = 8000


def flat(value: float, length=RATE, channels=1, rate=RATE) -> AudioClip:
    return AudioClip(torch.full((channels, length), value), rate)


def sine(hertz: float, seconds: float, dbfs=0.0, channels=1, rate=48_000, phase=0.0) -> AudioClip:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    wave = 10 ** (dbfs / 20) * torch.sin(2 * math.pi * hertz * time + phase)
    return AudioClip(wave.float().repeat(channels, 1), rate)
