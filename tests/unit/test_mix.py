"""Mixing."""

from __future__ import annotations

import math
import random

import pytest
import torch
from helpers_audio import RATE, flat

from higgs_runtime import AudioClip, AudioError, SettingError, Track, mix
from higgs_runtime.audio.mix import mix_with_report


def test_a_single_track_comes_through_unchanged():
    for channels in (1, 2):
        clip = AudioClip(torch.rand(channels, 500) - 0.5, RATE)
        assert torch.equal(mix([Track(clip)]).samples, clip.samples)


def test_places_and_gains_against_a_plain_sum():
    generator = random.Random(2)
    for _ in range(20):
        tracks, expected = [], torch.zeros(1, 0)
        for _ in range(generator.randrange(1, 5)):
            clip = AudioClip(torch.rand(1, generator.randrange(1, 900)) * 0.2, RATE)
            start, gain = generator.randrange(0, 1000), generator.uniform(-20, 0)
            tracks.append(Track(clip, start / RATE, gain))
            length = max(expected.shape[1], start + clip.length)
            expected = torch.nn.functional.pad(expected, (0, length - expected.shape[1]))
            expected[:, start : start + clip.length] += clip.samples * 10 ** (gain / 20)
        assert torch.allclose(mix(tracks).samples, expected, atol=1e-6)


@pytest.mark.parametrize("pan", [-1.0, -0.5, 0.001, 0.3, 1.0])
def test_pan_has_constant_power(pan):
    left, right = mix([Track(flat(0.5), pan=pan)]).samples[:, 0].tolist()
    assert left**2 + right**2 == pytest.approx(0.25, rel=1e-5)
    assert (right > left) == (pan > 0)
    if abs(pan) == 1:
        assert min(left, right) == pytest.approx(0, abs=1e-7)


def test_a_mono_track_stands_in_the_middle_of_a_stereo_mix():
    out = mix([Track(flat(0.5)), Track(flat(0.0, channels=2))])
    assert out.channels == 2 and torch.allclose(out.samples, torch.tensor(0.5 / math.sqrt(2)))


def test_a_stereo_track_is_balanced():
    clip = AudioClip(torch.tensor([[0.2], [0.4]]).repeat(1, 9), RATE)
    assert torch.allclose(mix([Track(clip)]).samples, clip.samples)
    left, right = mix([Track(clip, pan=1.0)]).samples[:, 0].tolist()
    assert left == pytest.approx(0, abs=1e-7) and right == pytest.approx(0.4 * math.sqrt(2), rel=1e-5)


def test_many_channels_weigh_the_same():
    clip = AudioClip(torch.tensor([[0.8], [0.0], [0.4], [0.0], [0.0], [0.0]]).repeat(1, 9), RATE)
    out = mix([Track(clip)])
    assert out.channels == 1 and torch.allclose(out.samples, torch.tensor(0.2))


def test_fades_rise_and_fall_in_a_line():
    out = mix([Track(flat(1.0, 100), fade_in_s=10 / RATE, fade_out_s=20 / RATE)]).samples[0]
    assert torch.allclose(out[:11], torch.arange(11) / 10)
    assert torch.equal(out[11:80], torch.ones(69))
    assert torch.allclose(out[80:], torch.arange(20).flip(0) / 20)
    assert mix([Track(flat(1.0, 100), fade_in_s=100 / RATE)]).samples[0, -1] == pytest.approx(0.99)


def test_fades_do_not_change_the_clip_itself():
    clip = flat(1.0, 100)
    mix([Track(clip, fade_in_s=0.01)])
    assert torch.equal(clip.samples, torch.ones(1, 100))


def test_the_highest_rate_wins_unless_another_is_asked_for():
    tracks = [Track(flat(0.1, 8000, rate=8000)), Track(flat(0.1, 12_000, rate=24_000), 1.0)]
    out = mix(tracks)
    assert (out.sample_rate, out.length) == (24_000, 36_000)
    assert mix(tracks, 16_000).length == 24_000
    assert out.samples[0, 5000:20_000].mean() == pytest.approx(0.1, abs=1e-3)
    with pytest.raises(AudioError, match="768000"):
        mix(tracks, 0)


def test_no_clipping_unless_asked(caplog):
    tracks = [Track(flat(0.9)), Track(flat(0.9, RATE // 2))]
    report = mix_with_report(tracks)
    assert report.clip.samples.max() == pytest.approx(10 ** (-0.1 / 20), rel=1e-5)
    assert report.clip.samples[0, -1] == pytest.approx(10 ** (-0.1 / 20) / 2, rel=1e-5), "the whole mix is scaled"
    assert report.peak_dbfs == pytest.approx(20 * math.log10(1.8), abs=1e-4)
    assert report.scaled_db == pytest.approx(-0.1 - report.peak_dbfs)
    assert "turned down by 5.2 dB" in caplog.text
    clipped = mix_with_report(tracks, allow_clipping=True)
    assert clipped.clip.samples.max() == 1 and clipped.scaled_db == 0
    assert clipped.clip.samples[0, -1] == pytest.approx(0.9)
    assert mix_with_report([Track(flat(1.0))]).scaled_db == 0, "full scale itself is no clipping"
    assert mix_with_report([Track(flat(0.0))]).peak_dbfs == -math.inf


@pytest.mark.parametrize(
    "values, message",
    [
        ({"start_s": -0.1}, "start_s.*0 to 86400"),
        ({"start_s": math.inf}, "start_s"),
        ({"gain_db": math.nan}, "gain_db"),
        ({"gain_db": -math.inf}, "gain_db"),
        ({"pan": 1.1}, "-1 to 1"),
        ({"fade_in_s": 1.1}, "fade_in_s.*0 to 1"),
        ({"fade_out_s": -1}, "fade_out_s"),
        ({"fade_in_s": 0.6, "fade_out_s": 0.6}, "overlap"),
    ],
)
def test_tracks_refuse_bad_values(values, message):
    with pytest.raises(SettingError, match=message):
        Track(flat(0.1), **values)


def test_bad_mixes():
    with pytest.raises(AudioError, match="nothing to mix"):
        mix([])
    with pytest.raises(AudioError, match="0 samples"):
        Track(flat(0.1, 0))
    clip = flat(0.1)
    track = Track(clip, 0.5)
    clip.samples[0, 3] = math.nan  # a tensor can change after the clip was checked
    with pytest.raises(AudioError, match="channel 0 at sample 4003"):
        mix([track])
