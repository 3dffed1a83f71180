"""Clips for the tests."""

from __future__ import annotations

import math

import numpy as np
import torch

from higgs_runtime import AudioClip

RATE = 8000


def flat(value: float, length=RATE, channels=1, rate=RATE) -> AudioClip:
    return AudioClip(torch.full((channels, length), value), rate)


def sine(hertz: float, seconds: float, dbfs=0.0, channels=1, rate=48_000, phase=0.0) -> AudioClip:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    wave = 10 ** (dbfs / 20) * torch.sin(2 * math.pi * hertz * time + phase)
    return AudioClip(wave.float().repeat(channels, 1), rate)


def synthetic_speech(seconds: float, spans: list[tuple[float, float]], rate=16_000) -> AudioClip:
    """A voice without words, in the spans (start, end) only: pulses of 120 Hz through the resonances of vowels that
    change every 0.2 s, four syllables a second."""
    from scipy.signal import lfilter

    time = np.arange(round(seconds * rate)) / rate
    pitch = np.cumsum(120 + 20 * np.sin(math.pi * time)) / rate
    pulses = (np.diff(np.floor(pitch), prepend=0) > 0).astype(float)
    vowels = np.array([(700, 1200, 2500), (300, 2300, 3000), (400, 800, 2600), (500, 1800, 2500)])
    wave, states = np.zeros_like(pulses), [np.zeros(2) for _ in range(3)]
    for start in range(0, len(wave), rate // 40):
        step = start / (0.2 * rate)
        part, share = pulses[start : start + rate // 40], step % 1
        for index, hertz in enumerate((1 - share) * vowels[int(step) % 4] + share * vowels[(int(step) + 1) % 4]):
            width = math.exp(-math.pi * (60 + 40 * index) / rate)
            poles = [1, -2 * width * math.cos(2 * math.pi * hertz / rate), width * width]
            part, states[index] = lfilter([1 - width], poles, part, zi=states[index])
        wave[start : start + rate // 40] = part
    wave *= 0.6 - 0.4 * np.cos(8 * math.pi * time)
    heard = sum((time >= start) & (time < end) for start, end in spans) if spans else np.zeros(len(time))
    wave = 0.4 * wave / np.abs(wave).max() * heard
    return AudioClip(torch.from_numpy(wave).float()[None], rate)


def music(seconds: float, rate=16_000) -> AudioClip:
    """Plucked notes with overtones, two a second."""
    time, wave = torch.arange(round(seconds * rate), dtype=torch.float64) / rate, 0
    for beat in range(round(seconds * 2)):
        after = time - beat / 2
        shape = torch.exp(-4 * after) * (after >= 0)
        for overtone in range(1, 6):
            hertz = (220, 261.6, 329.6, 392)[beat % 4] * overtone
            wave = wave + 0.1 / overtone * torch.sin(2 * math.pi * hertz * time) * shape
    return AudioClip(wave.float()[None], rate)
