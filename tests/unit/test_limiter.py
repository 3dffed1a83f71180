"""True peak and the limiter."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from helpers_audio import RATE, flat, sine
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, SettingError
from higgs_runtime.audio.loudness.decibels import decibels, peak
from higgs_runtime.audio.loudness.limiter import limit, true_peak


def noise(length: int, level=1.0, channels=1, rate=48_000, seed=0) -> AudioClip:
    wave = torch.randn(channels, length, generator=torch.Generator().manual_seed(seed))
    return AudioClip(wave * level / wave.abs().max(), rate)


# --- true peak ------------------------------------------------------------------------------------------------------


def faded(clip: AudioClip) -> AudioClip:
    """EBU's signals do not begin or end with a click."""
    edge = torch.linspace(0, 1, 480)
    window = torch.cat([edge, torch.ones(clip.length - 960), edge.flip(0)])
    return AudioClip(clip.samples * window, clip.sample_rate)


@pytest.mark.parametrize(
    "part, degrees, amplitude, wanted",
    [
        (4, 0, 0.5, -6.0),
        (4, 45, 0.5, -6.0),
        (6, 60, 0.5, -6.0),
        (8, 67.5, 0.5, -6.0),
        (4, 45, 1.41, 3.0),
    ],
)
def test_ebu_3341_true_peak_of_tones(part, degrees, amplitude, wanted):
    """EBU Tech 3341, minimum requirements 15 to 19: a tone at a whole part of the rate."""
    clip = faded(sine(48_000 / part, 1, 20 * math.log10(amplitude), phase=math.radians(degrees)))
    assert decibels(true_peak(clip)) == pytest.approx(wanted, abs=0.2)


@pytest.mark.parametrize("offset", range(4))
def test_ebu_3341_true_peak_between_the_samples(offset):
    """Requirements 20 to 23: one period of fs/4 at full scale within fs/6 at half, every fourth sample of 4 fs."""
    from scipy.signal import firwin, lfilter

    dense, rate = np.arange(4 * 24_000), 4 * 48_000
    wave = 0.5 * np.sin(2 * np.pi * 8_000 * dense / rate)
    start = 4 * 12_000
    wave[start : start + 16] = np.sin(2 * np.pi * np.arange(16) / 16)
    wave = lfilter(firwin(2001, 0.24), 1, wave)  # nothing of the new corners may fold back
    wave /= np.abs(wave).max()  # the peak before sampling: 0 dBTP
    sampled = torch.from_numpy(wave[offset::4].copy()).float()[None]
    assert decibels(true_peak(faded(AudioClip(sampled, 48_000)))) == pytest.approx(0, abs=0.2)


def test_true_peak_lies_between_the_samples():
    clip = faded(sine(12_000, 1, phase=math.pi / 4))
    assert decibels(peak(clip)) == pytest.approx(-3.01, abs=0.01)
    assert decibels(true_peak(clip)) == pytest.approx(0, abs=0.05)
    assert true_peak(AudioClip(torch.zeros(2, 0), RATE)) == true_peak(flat(0.0)) == 0
    assert true_peak(noise(1000, rate=192_000)) == peak(noise(1000, rate=192_000))


def test_blocks_equal_the_whole(monkeypatch):
    clip = noise(20_000, 3.0, 2)
    whole, limited = true_peak(clip), limit(clip, -1)
    monkeypatch.setattr(sys.modules["higgs_runtime.audio.loudness.limiter"], "_BLOCK", 3331)
    assert true_peak(clip) == whole
    out = limit(clip, -1)
    assert torch.allclose(out.clip.samples, limited.clip.samples, atol=1e-6)
    assert out.reduction_db == pytest.approx(limited.reduction_db, abs=1e-6)


# --- limiter --------------------------------------------------------------------------------------------------------


def test_sound_below_the_ceiling_is_unchanged():
    clip = sine(997, 1, -1.5, 2)
    out = limit(clip, -1)
    assert out.clip is clip and out.reduction_db == 0


def test_nothing_changes_away_from_a_peak():
    clip = noise(48_000, 0.3, 2)
    clip.samples[1, 24_000] = 2.0
    out = limit(clip, -1)
    assert decibels(true_peak(out.clip)) <= -1
    assert out.reduction_db == pytest.approx(decibels(true_peak(clip)) + 1, abs=0.1)
    changed = (out.clip.samples != clip.samples).any(0).nonzero()[:, 0]
    before, after = 24_000 - int(changed[0]), int(changed[-1]) - 24_000
    assert before <= 0.006 * 48_000  # the look-ahead of 5 ms, and the interpolator's reach
    assert after <= (0.007 + out.reduction_db / 60) * 48_000  # back at 60 dB/s
    gain = out.clip.samples / clip.samples  # one gain for both channels, without jumps
    assert torch.allclose(gain[0], gain[1], rtol=1e-5)
    assert gain[0].diff().abs().max() < 0.02


def test_the_gain_comes_back_at_60_db_a_second():
    loud, soft = sine(1000, 0.5, 12), sine(1000, 1, -20)
    clip = AudioClip(torch.cat([loud.samples, soft.samples], 1), 48_000)
    out = limit(clip, -6)
    gain = (out.clip.samples / clip.samples)[0, 24_000:].nan_to_num(1.0)
    at = [20 * math.log10(float(gain[round(t * 48_000) + 12])) for t in (0.05, 0.15, 0.25)]
    assert at[1] - at[0] == pytest.approx(6, abs=0.1) and at[2] - at[1] == pytest.approx(6, abs=0.1)
    assert torch.equal(out.clip.samples[:, 24_000 + 16_000 :], clip.samples[:, 24_000 + 16_000 :])


@given(
    channels=st.integers(1, 3),
    length=st.integers(0, 3000),
    rate=st.sampled_from([1, 8000, 44_100, 96_000, 192_000]),
    kind=st.sampled_from(["noise", "constant", "clicks", "nyquist"]),
    level=st.sampled_from([1e-6, 0.9, 1.0, 5.0, 1e4]),
    ceiling=st.sampled_from([-20.0, -1.0, 0.0]),
)
@settings(max_examples=examples(60), deadline=None)
def test_nothing_ever_exceeds_the_ceiling(channels, length, rate, kind, level, ceiling):
    generator = torch.Generator().manual_seed(length)
    wave = {
        "noise": lambda: torch.rand(channels, length, generator=generator) * 2 - 1,
        "constant": lambda: torch.ones(channels, length),
        "clicks": lambda: (torch.rand(channels, length, generator=generator) > 0.99).float(),
        "nyquist": lambda: torch.ones(channels, length) * (1 - 2 * (torch.arange(length) % 2)),
    }[kind]()
    clip = AudioClip(wave * level, rate)
    out = limit(clip, ceiling)
    assert out.clip.samples.shape == clip.samples.shape and out.reduction_db >= 0
    assert decibels(true_peak(out.clip)) <= ceiling + 1e-6
    assert decibels(peak(out.clip)) <= ceiling + 1e-6
    if decibels(true_peak(clip)) <= ceiling:
        assert torch.equal(out.clip.samples, clip.samples)


def test_a_ceiling_out_of_range():
    for ceiling in (0.1, -61, math.nan):
        with pytest.raises(SettingError, match="ceiling_dbtp"):
            limit(flat(0.1), ceiling)
