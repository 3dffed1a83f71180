"""The guard against takes that repeat themselves hears real sound: words, held vowels, laughter and pauses pass, and
loops of the same sound do not. Codes are those of the pack's codec."""

from __future__ import annotations

import math

import pytest
import torch
from helpers_speech import speech

from higgs_runtime import AudioClip, embedded_voices, load_codec
from higgs_runtime.audio.clip import resample, to_mono
from higgs_runtime.generation.repetition import COARSE, RepetitionGuard
from higgs_runtime.hub.catalog import EMBEDDED

RATE = 24_000


@pytest.fixture(scope="module")
def codec():
    return load_codec(EMBEDDED / "higgs-nano-codec")


def ends(codec, samples: torch.Tensor) -> bool:
    guard = RepetitionGuard()
    return guard.repeats(codec.encode(AudioClip(samples[None], RATE)).ids)


def vowel(seconds: float, hertz: float = 140.0, vibrato: float = 0.02, seed: int = 0) -> torch.Tensor:
    """An "ah": harmonics through two formants, with the vibrato and the breath of a voice."""
    time = torch.arange(round(seconds * RATE)) / RATE
    pitch = hertz * (1 + vibrato * torch.sin(2 * math.pi * 5.3 * time))
    phase = 2 * math.pi * torch.cumsum(pitch, 0) / RATE
    wave = torch.zeros_like(time)
    for harmonic in range(1, 25):
        at = harmonic * hertz
        loud = sum(1 / (1 + ((at - formant) / 120) ** 2) for formant in (730, 1090, 2440))
        wave += loud * torch.sin(harmonic * phase)
    breath = 0.02 * torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return 0.2 * wave / wave.abs().max() + breath * 0.2


def laughter(seconds: float, seed: int = 0) -> torch.Tensor:
    """Ha ha ha: bursts of a vowel with breath between them, five a second, none like the one before."""
    random = torch.Generator().manual_seed(seed)
    parts, length = [], 0
    while length < seconds * RATE:
        high, long = 160 + 60 * torch.rand(1, generator=random).item(), 0.08 + 0.05 * torch.rand(1, generator=random)
        burst = vowel(float(long), high, seed=length)
        burst = burst * torch.hann_window(len(burst), periodic=False)
        rest = 0.01 * torch.randn(
            round(RATE * (0.06 + 0.04 * torch.rand(1, generator=random).item())), generator=random
        )
        parts += [burst, rest]
        length += len(burst) + len(rest)
    return torch.cat(parts)


def spoken(name: str) -> torch.Tensor:
    return resample(to_mono(AudioClip.load(embedded_voices()[name])), RATE).samples[0]


@pytest.mark.parametrize("name", ["rose", "ross", "alan", "bear"])
def test_clips_of_the_pack_pass(codec, name):
    clip = spoken(name)
    assert not ends(codec, clip) and not ends(codec, torch.cat([clip, clip, clip])), "also a sentence said three times"


@pytest.mark.parametrize("number", [0, 1])
def test_recordings_of_people_pass(codec, number):
    assert not ends(codec, resample(to_mono(speech()[number][0]), RATE).samples[0])


@pytest.mark.parametrize("hertz", [95.0, 140.0, 230.0])
@pytest.mark.parametrize("vibrato", [0.0, 0.02])
def test_a_held_vowel_passes(codec, hertz, vibrato):
    """Four seconds, longer than people hold one in speech; also as steady as a machine's."""
    said = spoken("rose")
    assert not ends(codec, torch.cat([said, vowel(4.0, hertz, vibrato), said]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_laughter_passes(codec, seed):
    assert not ends(codec, torch.cat([spoken("bear"), laughter(6.0, seed), spoken("bear")]))


def test_quiet_passes_for_as_long_as_anybody_pauses(codec):
    hiss = 1e-4 * torch.randn(5 * RATE, generator=torch.Generator().manual_seed(0))
    for pause in (torch.zeros(5 * RATE), hiss):
        assert not ends(codec, torch.cat([spoken("rose"), pause, spoken("rose")]))


@pytest.mark.parametrize("frames", [4, 11, 25])
def test_the_same_sound_over_and_over_does_not(codec, frames):
    """A piece of real speech as codes, in a loop; finer codebooks as a sampled take has them."""
    ids = codec.encode(AudioClip(spoken("ross")[None], RATE)).ids
    piece = ids[:, 20 : 20 + frames]
    assert len(set(piece[0].tolist())) > 1, "it is no pause"
    loop = torch.cat([ids[:, :20], piece.repeat(1, 400 // frames)], dim=1)
    loop[COARSE:] = torch.randint(0, 1024, loop[COARSE:].shape, generator=torch.Generator().manual_seed(0))
    assert RepetitionGuard().repeats(loop)
