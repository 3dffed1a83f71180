"""Loudness."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from helpers_audio import RATE, flat, sine
from helpers_examples import examples
from helpers_loudness import ebur128, loudnorm
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, AudioError, SettingError, measure_loudness, normalize_loudness
from higgs_runtime.audio.loudness.decibels import decibels, peak
from higgs_runtime.audio.loudness.measure import k_weighting, level_loudness, loudness_over_time
from higgs_runtime.hub.catalog import embedded_clips

ROOT = Path(__file__).resolve().parents[2]


def test_loudness_of_the_reference_tone():
    """BS.1770: 997 Hz at 0 dBFS in one channel reads -3.01 LKFS; two channels add 3 dB."""
    mono, stereo = measure_loudness(sine(997, 5)), measure_loudness(sine(997, 5, channels=2))
    assert mono.integrated_lufs == pytest.approx(-3.01, abs=0.1)
    assert stereo.integrated_lufs == pytest.approx(0.0, abs=0.1)
    assert mono.range_lu == pytest.approx(0, abs=0.01)
    assert mono.true_peak_dbtp == pytest.approx(0, abs=0.05)


def tones(*parts: tuple[float, float], channels=2, rate=48_000) -> AudioClip:
    """1 kHz at (seconds, dBFS) after each other; an end of -inf dB is silence."""
    return AudioClip(torch.cat([sine(1000, *part, channels, rate).samples for part in parts], 1), rate)


# EBU Tech 3341, minimum requirements 1 to 6: all read -23 LUFS but the second, which reads -33.
INTEGRATED = {
    "1": lambda: tones((20, -23)),
    "2": lambda: tones((20, -33)),
    "3": lambda: tones((10, -36), (60, -23), (10, -36)),
    "4": lambda: tones((10, -72), (10, -36), (60, -23), (10, -36), (10, -72)),
    "5": lambda: tones((20, -26), (20.1, -20), (20, -26)),
    "6": lambda: AudioClip(torch.cat([sine(1000, 20, level).samples for level in (-28, -28, -24, -30, -30)]), 48_000),
}


@pytest.mark.parametrize("number", ["1", "3", *(pytest.param(number, marks=pytest.mark.slow) for number in "2456")])
def test_ebu_3341_integrated(number):
    loudness = measure_loudness(INTEGRATED[number]())
    wanted = -33 if number == "2" else -23
    assert loudness.integrated_lufs == pytest.approx(wanted, abs=0.1)
    if number in "126":
        assert loudness.max_momentary_lufs == pytest.approx(wanted, abs=0.1)
        assert loudness.max_short_term_lufs == pytest.approx(wanted, abs=0.1)


@pytest.mark.slow
def test_the_lfe_does_not_count():
    five = INTEGRATED["6"]().samples
    six = torch.cat([five[:3], sine(60, 20, -3).samples, five[3:]])
    assert measure_loudness(AudioClip(six, 48_000)).integrated_lufs == pytest.approx(-23, abs=0.1)
    eight = torch.cat([six[:4], torch.zeros_like(five[:2]), six[4:]])  # WAV order: back before side
    assert measure_loudness(AudioClip(eight, 48_000)).integrated_lufs == pytest.approx(-23, abs=0.1)


def test_ebu_3341_short_term_and_momentary():
    """Requirements 9, 10, 12 and 13."""
    curve = loudness_over_time(tones(*[(1.34, -20), (1.66, -30)] * 5))
    after = curve.short_term_lufs[curve.times_s >= 3]
    assert torch.allclose(after, torch.tensor(-23.0, dtype=torch.float64), atol=0.1)
    curve = loudness_over_time(tones(*[(0.18, -20), (0.22, -30)] * 25))
    after = curve.momentary_lufs[curve.times_s >= 1]
    assert torch.allclose(after, torch.tensor(-23.0, dtype=torch.float64), atol=0.1)
    for number in range(0, 20, 3):
        shifted = tones((0.15 * number, -math.inf), (3, -23), (1, -math.inf))
        assert measure_loudness(shifted).max_short_term_lufs == pytest.approx(-23, abs=0.1)
        shifted = tones((0.02 * number, -math.inf), (0.4, -23), (1, -math.inf))
        assert measure_loudness(shifted).max_momentary_lufs == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    "levels, wanted", [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20), ((-50, -35, -20, -35, -50), 15)]
)
def test_ebu_3342_range(levels, wanted):
    """EBU Tech 3342, minimum requirements 1 to 4, of which ±1 LU is asked."""
    clip = tones(*((20, level) for level in levels), rate=8000)
    assert measure_loudness(clip).range_lu == pytest.approx(wanted, abs=0.1)


def test_k_weighting_is_that_of_the_standard():
    """BS.1770, tables 1 and 2, at 48 kHz."""
    shelf, high = k_weighting(48_000)
    assert shelf == pytest.approx(
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585], abs=1e-8
    )
    assert high == pytest.approx([1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-8)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 96_000])
def test_any_rate(rate):
    assert measure_loudness(tones((5, -23), rate=rate)).integrated_lufs == pytest.approx(-23, abs=0.1)


def real_clips() -> list[AudioClip]:
    files = [*sorted((ROOT.parent / "shared" / "voices").glob("*.wav")), *embedded_clips().values()]
    return [AudioClip.load(file) for file in files]


def test_against_ffmpeg_and_pyloudnorm():
    """ffmpeg's meter also counts the first 0.3 s, in which its window is not full: the clips lead in with silence."""
    import pyloudnorm

    for clip in real_clips():
        rest = torch.zeros(1, clip.sample_rate)
        clip = AudioClip(torch.cat([rest, clip.samples, rest], 1), clip.sample_rate)
        ours, theirs = measure_loudness(clip), ebur128(clip)
        assert ours.integrated_lufs == pytest.approx(theirs["I"], abs=0.1)
        assert ours.range_lu == pytest.approx(theirs["LRA"], abs=0.3)
        assert ours.true_peak_dbtp == pytest.approx(20 * math.log10(theirs["true_peak"]), abs=0.2)
        assert ours.max_short_term_lufs == pytest.approx(theirs["S"], abs=0.1)
        meter = pyloudnorm.Meter(clip.sample_rate, "DeMan")
        assert ours.integrated_lufs == pytest.approx(meter.integrated_loudness(clip.samples[0].numpy()), abs=0.01)


@pytest.mark.slow
def test_against_ffmpegs_normalizer():
    """On a minute of the same speech again and again: it reads 0.07 LU from ffmpeg's own meter, more in short clips."""
    for clip in real_clips()[:3]:
        clip = AudioClip(clip.samples.repeat(1, 8), clip.sample_rate)
        ours, theirs = measure_loudness(clip), loudnorm(clip)
        assert ours.integrated_lufs == pytest.approx(theirs["input_i"], abs=0.15)
        assert ours.true_peak_dbtp == pytest.approx(theirs["input_tp"], abs=0.1)


def test_loudness_in_blocks_equals_the_whole(monkeypatch):
    clip = AudioClip(torch.rand(2, 50_000, generator=torch.Generator().manual_seed(1)) - 0.5, 11_025)
    whole = measure_loudness(clip)
    monkeypatch.setattr(sys.modules["higgs_runtime.audio.loudness.measure"], "_BLOCK_STEPS", 7)
    assert measure_loudness(clip) == pytest.approx(whole, abs=1e-9)


def test_loudness_where_it_is_not_defined():
    for silent in (flat(0.0, 0), flat(0.0), flat(0.0, 5 * RATE, 2)):
        assert measure_loudness(silent) == (-math.inf, 0, -math.inf, -math.inf, -math.inf)
    short = measure_loudness(sine(997, 0.39))
    assert short[:2] == (-math.inf, 0) and short.true_peak_dbtp > -0.1
    assert math.isfinite(measure_loudness(sine(997, 0.4)).integrated_lufs)
    assert measure_loudness(sine(997, 1, -90)).integrated_lufs == -math.inf
    for clip in (flat(0.1, channels=7), flat(0.1, rate=4000)):
        with pytest.raises(AudioError, match="1 to 6 or 8 channels at 8000 Hz"):
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


def test_loudness_over_time_of_short_clips():
    assert [len(curve) for curve in loudness_over_time(sine(997, 0.39))[:3]] == [0, 0, 0]
    curve = loudness_over_time(sine(997, 0.5))
    assert curve.times_s.tolist() == [0.4, 0.5] and bool(curve.momentary_lufs.isfinite().all())
    assert bool(curve.short_term_lufs.isinf().all())
    assert curve.integrated_lufs == measure_loudness(sine(997, 0.5)).integrated_lufs


def test_normalizing_hits_target_and_ceiling():
    for clip, target, ceiling in zip(real_clips(), (-14, -16, -14), (-1, -3, -1), strict=False):
        out = normalize_loudness(clip, target, ceiling)
        loudness = measure_loudness(out.clip)
        assert loudness.integrated_lufs == pytest.approx(target, abs=0.1)
        assert loudness.true_peak_dbtp <= ceiling + 1e-4
        assert out.clip.samples.shape == clip.samples.shape
    quiet = normalize_loudness(sine(997, 2, -40, 2), -23)
    assert quiet.reduction_db == 0 and quiet.gain_db == pytest.approx(17, abs=0.1)
    clip = real_clips()[0]
    again = loudnorm(normalize_loudness(clip, -16).clip)
    assert again["input_i"] == pytest.approx(-16, abs=0.5)  # its meter, too, counts the first 0.3 s
    assert again["input_tp"] <= -0.8


def test_clips_that_cannot_be_normalized():
    with pytest.raises(AudioError, match=r"cannot be so loud.*got -1 LUFS"):
        normalize_loudness(sine(997, 2, -40), -1, -6)
    for clip in (flat(0.0), sine(997, 0.2), flat(0.0, 0)):
        with pytest.raises(AudioError, match="0.4 s or more"):
            normalize_loudness(clip, -16)
    with pytest.raises(SettingError, match="ceiling_dbtp"):
        normalize_loudness(sine(997, 1, -20), -16, 1)


@given(
    channels=st.integers(1, 6),
    length=st.integers(0, 9000),
    rate=st.integers(8000, 20_000),
    level=st.sampled_from([0.0, 1e-30, 1e-5, 0.5, 1.0, 40.0]),
    offset=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=examples(25), deadline=None)
def test_any_clip_has_sensible_figures(channels, length, rate, level, offset):
    wave = torch.rand(channels, length, generator=torch.Generator().manual_seed(length)) * 2 - 1
    clip = AudioClip(wave * level + offset, rate)
    loudness = measure_loudness(clip)
    assert not any(math.isnan(figure) for figure in loudness) and loudness.range_lu >= 0
    assert loudness.max_momentary_lufs >= loudness.integrated_lufs - 1e-6
    if length:
        assert loudness.true_peak_dbtp >= decibels(peak(clip)) - 1e-6
