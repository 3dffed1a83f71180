"""Norms of platforms and broadcasters."""

from __future__ import annotations

import math
import re

import pytest
import torch
from helpers_audio import RATE, flat, sine
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, AudioError, SettingError, measure_loudness
from higgs_runtime.audio.loudness.targets import NORMS, check_norms, normalize_to


def audiobook(rms_db=-20.0, floor_db=-70.0, peak_db=-6.0, rate=16_000) -> AudioClip:
    """3 s of tone, 1 s of room noise, one high sample in the tone; the RMS is that of the whole."""
    tone_db = rms_db + 10 * math.log10(4 / 3) + 3.01
    noise = torch.randn(1, rate, generator=torch.Generator().manual_seed(0))
    wave = torch.cat(
        [sine(440, 3, tone_db, rate=rate).samples, noise / noise.square().mean().sqrt() * 10 ** (floor_db / 20)], 1
    )
    wave[0, 1000] = 10 ** (peak_db / 20)
    return AudioClip(wave, rate)


def failed(clip: AudioClip, norm: str) -> list[str]:
    result = next(one for one in check_norms(clip) if one.norm == norm)
    names = [check.name for check in result.checks if not check.passed]
    assert result.passed is (not names)
    return names


@pytest.mark.parametrize(
    "clip, wanted",
    [
        (audiobook(), []),
        (audiobook(rms_db=-23.2), ["RMS"]),
        (audiobook(rms_db=-17.8), ["RMS"]),
        (audiobook(rms_db=-22.8), []),
        (audiobook(rms_db=-18.2), []),
        (audiobook(peak_db=-2.9), ["peak"]),
        (audiobook(peak_db=-3.1), []),
        (audiobook(floor_db=-59), ["noise floor"]),
        (audiobook(floor_db=-61.5), []),
        (audiobook(-10, -40, 0), ["RMS", "peak", "noise floor"]),
        (audiobook(floor_db=-math.inf), []),
    ],
)
def test_acx_report_of_files_made_for_it(clip, wanted):
    assert failed(clip, "acx") == wanted


def test_normalized_sound_passes_its_norm():
    clip = audiobook()
    for norm in NORMS:
        out = normalize_to(clip, norm)
        assert failed(out.clip, norm) == [], norm
        assert out.clip.samples.shape == clip.samples.shape
    assert measure_loudness(normalize_to(clip, "ebu r128").clip).integrated_lufs == pytest.approx(-23, abs=0.1)
    stereo = AudioClip(clip.samples.repeat(2, 1), clip.sample_rate)
    assert failed(normalize_to(stereo, "podcast mono").clip, "podcast mono") == []


@pytest.mark.parametrize(
    "norm, level, wanted",
    [
        ("streaming", -14, []),
        ("streaming", -16, ["loudness"]),
        ("podcast", -16, []),
        ("ebu r128", -23, []),
        ("ebu r128", -24, ["loudness"]),
        ("atsc a85", -25.5, []),
        ("atsc a85", -27, ["loudness"]),
        ("podcast mono", -19, []),
        ("podcast", -30, ["loudness"]),
    ],
)
def test_loudness_norms(norm, level, wanted):
    """A 1 kHz tone in one channel reads 3.0 LU below its peak."""
    assert failed(sine(1000, 3, level + 3.0, rate=16_000), norm) == wanted


def test_true_peak_counts_between_the_samples():
    clip = sine(4000, 3, -0.5, rate=16_000, phase=math.pi / 4)  # its samples stay at -3.5 dBFS
    assert "true peak" in failed(clip, "streaming") and "peak" not in failed(clip, "acx")


def test_the_report_says_what_is_wrong():
    lines = [str(result) for result in check_norms(audiobook(floor_db=-48))]
    assert re.fullmatch(r"ACX audiobook: fails: noise floor -48\.\d dB \(asked for: at most -60\)", lines[-1])
    assert "Streaming, -14 LUFS: fails: loudness" in lines[0]
    assert any(line.startswith("EBU R 128, -23 LUFS: fails: loudness -1") for line in lines)
    stereo = [str(one) for one in check_norms(sine(1000, 1, -22, 2)) if one.norm == "podcast mono"]
    assert "channels 2 (asked for: 1)" in stereo[0]


def test_silence_and_empty_clips_pass_nothing_but_their_peaks():
    for clip in (flat(0.0), flat(0.0, 0), AudioClip(torch.zeros(2, 10), RATE)):
        assert failed(clip, "acx") == ["RMS"] and failed(clip, "podcast") == ["loudness"]
        for norm in NORMS:
            with pytest.raises(AudioError, match="no measurable loudness"):
                normalize_to(clip, norm)


@given(
    channels=st.integers(1, 6),
    length=st.integers(0, 12_000),
    rate=st.sampled_from([8000, 11_025, 16_000]),
    level=st.sampled_from([0.0, 1e-30, 1e-3, 0.5, 1.0, 1e4]),
    offset=st.sampled_from([0.0, 0.3]),
    norm=st.sampled_from([*NORMS]),
)
@settings(max_examples=examples(30), deadline=None)
def test_any_clip_reaches_a_norm_or_the_reason_is_reported(channels, length, rate, level, offset, norm):
    wave = torch.rand(channels, length, generator=torch.Generator().manual_seed(length)) * 2 - 1
    clip = AudioClip(wave * level + offset, rate)
    assert not any(math.isnan(check.value) for result in check_norms(clip) for check in result.checks)
    try:
        out = normalize_to(clip, norm).clip
    except AudioError as error:
        assert "no measurable loudness" in str(error) or "cannot be so loud" in str(error)
        return
    assert out.samples.shape == clip.samples.shape and set(failed(out, norm)) <= {"channels", "noise floor"}


def test_an_unknown_norm_is_refused():
    with pytest.raises(SettingError, match="one of streaming, podcast"):
        normalize_to(flat(0.1), "vinyl")
