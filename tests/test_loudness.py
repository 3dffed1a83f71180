"""Loudness."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from helpers_audio import RATE, flat, sine

from higgs_runtime import AudioClip, AudioError, MissingExtraError, SettingError, level_loudness, measure_loudness


def test_loudness_of_the_reference_tone():
    """BS.1770: 997 Hz at 0 dBFS in one channel reads -3.01 LKFS; two channels add 3 dB."""
    mono, stereo = measure_loudness(sine(997, 5)), measure_loudness(sine(997, 5, channels=2))
    assert mono.integrated_lufs == pytest.approx(-3.01, abs=0.1)
    assert stereo.integrated_lufs == pytest.approx(0.0, abs=0.1)
    assert mono.range_lu == pytest.approx(0, abs=0.01)
    assert mono.true_peak_dbtp == pytest.approx(0, abs=0.05)


def test_loudness_range():
    """EBU Tech 3342, minimum requirement 1: 20 s at -20 then 20 s at -30 dBFS is 10 ± 1 LU."""
    clip = AudioClip(torch.cat([sine(1000, 20, -20, 2, 8000).samples, sine(1000, 20, -30, 2, 8000).samples], 1), 8000)
    assert measure_loudness(clip).range_lu == pytest.approx(10, abs=1)


def test_true_peak_lies_between_the_samples():
    clip = sine(12_000, 1, phase=math.pi / 4)
    assert clip.samples.abs().max() == pytest.approx(math.sqrt(0.5), rel=1e-4)
    inner = AudioClip(clip.samples * torch.hann_window(clip.length), clip.sample_rate)  # its edges are clicks
    assert measure_loudness(inner).true_peak_dbtp == pytest.approx(0, abs=0.2)


def test_true_peak_in_blocks_equals_the_whole(monkeypatch):
    clip = AudioClip(torch.rand(2, 5000, generator=torch.Generator().manual_seed(1)) - 0.5, 48_000)
    whole = measure_loudness(clip).true_peak_dbtp
    monkeypatch.setattr(sys.modules["higgs_runtime.loudness"], "_PEAK_BLOCK", 333)
    assert measure_loudness(clip).true_peak_dbtp == pytest.approx(whole, abs=1e-9)


def test_loudness_where_it_is_not_defined():
    assert measure_loudness(AudioClip(torch.zeros(1, 0), RATE)) == (-math.inf, 0, -math.inf)
    assert measure_loudness(flat(0.0)) == (-math.inf, 0, -math.inf)
    short = measure_loudness(sine(997, 0.39))
    assert short[:2] == (-math.inf, 0) and short.true_peak_dbtp > -0.1
    assert math.isfinite(measure_loudness(sine(997, 0.4)).integrated_lufs)
    assert measure_loudness(sine(997, 1, -90)).integrated_lufs == -math.inf
    for clip in (flat(0.1, channels=6), flat(0.1, rate=4000)):
        with pytest.raises(AudioError, match="1 to 5 channels at 8000 Hz"):
            measure_loudness(clip)


def test_level_loudness():
    out = level_loudness(sine(997, 2, -40, 2), -16)
    assert measure_loudness(out).integrated_lufs == pytest.approx(-16, abs=0.01)
    with pytest.raises(AudioError, match=r"-3\.1 LUFS or less"):
        level_loudness(sine(997, 2, -40), -2)
    for clip in (flat(0.0), sine(997, 0.2), flat(0.0, 0)):
        with pytest.raises(AudioError, match="0.4 s or more"):
            level_loudness(clip, -16)
    with pytest.raises(SettingError, match="target_lufs"):
        level_loudness(flat(0.1), 1)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyloudnorm", None)
    with pytest.raises(MissingExtraError, match=r"pip install pyloudnorm"):
        measure_loudness(flat(0.1))
