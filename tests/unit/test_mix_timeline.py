"""The time line: places, loops, mute and solo, channels, fades, joining; in blocks as in one piece."""

from __future__ import annotations

import math

import pytest
import torch
from helpers_audio import RATE, flat, sine
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, AudioError, SettingError, Track, mix
from higgs_runtime.audio.clip import resample
from higgs_runtime.audio.mix import AudioFile, Mixdown, join, mix_to_file, mixer, plan, sources


def noise(length: int, channels=1, rate=RATE, seed=0) -> AudioClip:
    generator = torch.Generator().manual_seed(seed)
    return AudioClip(torch.rand(channels, length, generator=generator) * 0.4 - 0.2, rate)


def starts(tracks, rate=RATE):
    return [place.start for place in plan(tracks, rate)]


# --- places ---------------------------------------------------------------------------------------------------------


def test_a_track_after_another():
    clip = noise(1000)
    tracks = [Track(clip, 0.5 / RATE, after=2), Track(clip, 10 / RATE), Track(clip, -200 / RATE, after=1)]
    assert starts(tracks) == [1810, 10, 810]
    assert mix(tracks).length == 2810


def test_positions_are_exact_to_the_sample():
    for sample in (1, 12_345, 23_999, 1_440_001):
        assert starts([Track(noise(9), sample / 48_000)], 48_000) == [sample]
    chain = [Track(noise(333, rate=44_100), after=number - 1 if number else None) for number in range(50)]
    assert starts(chain, 44_100) == [333 * number for number in range(50)]


def test_places_that_cannot_be():
    clip = noise(100)
    with pytest.raises(SettingError, match="after track 7.*1 tracks"):
        plan([Track(clip, after=7)], RATE)
    with pytest.raises(SettingError, match="after track"):
        plan([Track(clip, after=0)], RATE)
    with pytest.raises(SettingError, match="comes after"):
        plan([Track(clip, after=1), Track(clip, after=0)], RATE)
    with pytest.raises(SettingError, match="begins before the mix"):
        plan([Track(clip), Track(clip, -1.0, after=0)], RATE)
    with pytest.raises(SettingError, match="endless"):
        plan([Track(clip, loop_s=math.inf), Track(clip, after=0)], RATE)
    with pytest.raises(SettingError, match="nothing to fill"):
        plan([Track(clip, loop_s=math.inf)], RATE)
    with pytest.raises(SettingError, match="nothing to fill"):
        plan([Track(clip, 5.0, loop_s=math.inf), Track(clip)], RATE)


def test_trimmed_ends():
    clip = noise(1000)
    out = mix([Track(clip, trim_start_s=100 / RATE, trim_end_s=50 / RATE)])
    assert torch.equal(out.samples, clip.samples[:, 100:950])
    with pytest.raises(AudioError, match="Nothing is left"):
        Track(clip, trim_start_s=500 / RATE, trim_end_s=500 / RATE)
    with pytest.raises(SettingError, match="fade_in_s"):
        Track(clip, trim_start_s=900 / RATE, fade_in_s=101 / RATE)


def test_loops():
    clip = noise(300)
    out = mix([Track(clip, loop_s=1000 / RATE)])
    assert torch.equal(out.samples, clip.samples.repeat(1, 4)[:, :1000])
    assert torch.equal(mix([Track(clip, loop_s=100 / RATE)]).samples, clip.samples[:, :100])
    out = mix([Track(flat(0.0, 1000)), Track(clip, 50 / RATE, loop_s=math.inf, fade_out_s=10 / RATE)])
    assert out.length == 1000
    assert torch.equal(out.samples[:, 50:990], clip.samples.repeat(1, 4)[:, :940])
    assert out.samples[0, -1] == 0, "the fade lies at the end of the mix"
    for bad in (0.0, -1.0, math.nan, -math.inf):
        with pytest.raises(SettingError, match="loop_s"):
            Track(clip, loop_s=bad)


def test_mute_and_solo():
    first, second, third = (noise(100, seed=seed) for seed in range(3))
    out = mix([Track(first), Track(second, after=0, mute=True), Track(third, after=1)])
    assert torch.equal(out.samples, torch.cat([first.samples, torch.zeros(1, 100), third.samples], 1))
    out = mix([Track(first), Track(second, solo=True), Track(third, 0.01, pan=0.5)])
    assert out.channels == 2 and out.length == 180, "what is not heard keeps its place"
    assert torch.allclose(out.samples[:, :100], second.samples.repeat(2, 1) / math.sqrt(2))
    assert not mix([Track(first, mute=True)]).samples.any()


# --- channels -------------------------------------------------------------------------------------------------------


def test_many_channels_go_channel_to_channel():
    six, mono, stereo = noise(100, 6), noise(100, 1, seed=1), noise(100, 2, seed=2)
    assert torch.equal(mix([Track(six)], channels=6).samples, six.samples)
    out = mix([Track(mono, pan=1.0), Track(stereo), Track(flat(0.0, 100, 6))], channels=6)
    assert torch.allclose(out.samples[0], stereo.samples[0]) and not out.samples[2:].any()
    assert torch.allclose(out.samples[1], stereo.samples[1] + mono.samples[0])
    assert mix([Track(stereo)], channels=1).samples[0].tolist() == pytest.approx(stereo.samples.mean(0).tolist())
    left, right = mix([Track(six, pan=-1.0)], channels=6).samples[:2]
    assert torch.allclose(left, six.samples[0] * math.sqrt(2)) and right.abs().max() < 1e-7
    for channels in (0, 65):
        with pytest.raises(SettingError, match="1 to 64"):
            mix([Track(six)], channels=channels)


# --- fades ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, power", [("equal_power", 2), ("s_curve", 1)])
def test_two_fades_that_cross_complement_each_other(shape, power):
    rising = mix([Track(flat(1.0, 1000), fade_in_s=400 / RATE, fade_shape=shape)]).samples[0, :400]
    falling = mix([Track(flat(1.0, 1000), fade_out_s=400 / RATE, fade_shape=shape)]).samples[0, 600:]
    assert torch.allclose(rising**power + falling**power, torch.ones(400), atol=1e-6)
    assert (rising.diff() > 0).all() and rising[0] < 0.005


def test_unknown_fade_shape():
    with pytest.raises(SettingError, match="linear or equal_power or s_curve.*'cubic'"):
        Track(flat(0.1), fade_shape="cubic")


# --- blocks, files and whole ----------------------------------------------------------------------------------------


def many(length=3000):
    return [
        Track(noise(length), 5 / RATE, -3.0, fade_in_s=0.1, fade_shape="s_curve"),
        Track(noise(length // 3, 2, 16_000, seed=1), 0.1, pan=-0.4, loop_s=math.inf, fade_out_s=0.05),
        Track(noise(length, 6, 11_025, seed=2), -0.02, 2.0, after=0, fade_out_s=0.1, fade_shape="equal_power"),
    ]


def test_blocks_of_any_size_give_the_same(monkeypatch):
    whole = mix(many())
    for block in (1000, 77):
        monkeypatch.setattr(mixer, "_BLOCK", block)
        monkeypatch.setattr(sources, "_PIECE", block + 3)
        assert torch.allclose(mix(many()).samples, whole.samples, atol=1e-6)
        assert {one.shape[1] for one in Mixdown(many())} == {block, whole.length % block}


def test_the_order_of_tracks_does_not_matter():
    tracks = [Track(noise(2000, seed=seed), seed / 100, seed - 20.0, pan=(seed - 10) / 10) for seed in range(20)]
    assert torch.allclose(mix(tracks).samples, mix(tracks[::-1]).samples, atol=1e-6, rtol=0)


@pytest.mark.parametrize("old, new", [(24_000, 48_000), (44_100, 48_000), (48_000, 16_000), (8000, 44_100)])
def test_resampling_in_pieces_equals_the_whole(old, new):
    for length in (1, 100, 65_536, 200_001):
        clip = noise(length, 2, old)
        assert torch.allclose(mix([Track(clip)], new).samples, resample(clip, new).samples, atol=1e-7)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "opus"])
def test_files_as_tracks(tmp_path, suffix):
    rate = 48_000 if suffix == "opus" else 44_100
    clip = sine(300, 4, -12, 2, rate)
    clip.save(tmp_path / f"clip.{suffix}")
    file, whole = AudioFile(tmp_path / f"clip.{suffix}"), AudioClip.load(tmp_path / f"clip.{suffix}")
    assert (file.length, file.channels, file.sample_rate, file.seconds) == (whole.length, 2, rate, whole.seconds)
    for trim in (0.0, 2.0 + 1 / rate):
        setting = {"trim_start_s": trim, "loop_s": 5.0}
        assert torch.allclose(mix([Track(file, **setting)]).samples, mix([Track(whole, **setting)]).samples, atol=1e-5)


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    for name in ("text.wav", "missing.wav"):
        with pytest.raises(AudioError, match="piece by piece"):
            AudioFile(tmp_path / name)
    noise(50_000).save(tmp_path / "cut.wav")
    file = AudioFile(tmp_path / "cut.wav")
    with open(tmp_path / "cut.wav", "r+b") as opened:
        opened.truncate(30_000)
    with pytest.raises(AudioError, match="cut off or damaged"):
        mix([Track(file)])
    with pytest.raises(AudioError, match="cut off or damaged"):
        AudioFile(tmp_path / "cut.wav")


def test_mix_into_a_file(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(mixer, "_BLOCK", 500)
    report = mix_to_file(many(), tmp_path / "mix.wav", subtype="FLOAT")
    assert report.scaled_db == 0 and report.clip.length == mix(many()).length
    assert torch.equal(AudioClip.load(tmp_path / "mix.wav").samples, mix(many()).samples)
    loud = [Track(one.clip, one.start_s, 12.0) for one in many()[:2]]
    report, whole = mix_to_file(loud, tmp_path / "mix.flac", subtype="PCM_24"), mixer.mix_with_report(loud)
    assert report.scaled_db == pytest.approx(whole.scaled_db) and report.peak_dbfs == whole.peak_dbfs > 0
    assert torch.allclose(AudioClip.load(tmp_path / "mix.flac").samples, whole.clip.samples, atol=1e-6)
    assert "turned down" in caplog.text
    clipped = mix_to_file(loud, tmp_path / "clipped.wav", allow_clipping=True)
    assert clipped.scaled_db == 0 and AudioClip.load(tmp_path / "clipped.wav").samples.max() > 0.999


def test_a_mix_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "mix.wav"
    path.write_bytes(b"old")
    clip = noise(100)
    track = Track(clip)
    clip.samples[0, 3] = math.inf
    with pytest.raises(AudioError, match="inf in channel 0 at sample 3"):
        mix_to_file([track], path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(AudioError, match="not written in pieces"):
        mix_to_file([Track(noise(100))], tmp_path / "mix.m4a")


# --- joining --------------------------------------------------------------------------------------------------------


def test_join_edge_to_edge():
    clips = [noise(100, seed=seed) for seed in range(3)]
    assert torch.equal(join(clips, 0.0).samples, torch.cat([clip.samples for clip in clips], 1))
    assert torch.equal(join(clips[:1]).samples, clips[0].samples)
    out = join(clips, 0.0, gap_s=10 / RATE).samples
    assert out.shape[1] == 320 and not out[:, 100:110].any()


def test_crossfades_keep_the_power_and_do_not_click():
    out = join([noise(20_000), noise(20_000, seed=1)], 10_000 / RATE).samples[0]
    assert len(out) == 30_000
    power = out.square().unfold(0, 2000, 2000).mean(1)
    assert power.max() / power.min() < 1.2
    first, second = sine(100, 0.5, -6, rate=RATE), sine(100, 0.5, -6, rate=RATE, phase=math.pi / 2)
    steps = [join([first, second], fade).samples[0].diff().abs().max() for fade in (0.0, 0.02)]
    smooth = first.samples[0].diff().abs().max()
    assert steps[0] > 5 * smooth and steps[1] < 1.5 * smooth


def test_join_clips_of_different_kinds():
    out = join([noise(100, 1, 8000), noise(200, 2, 16_000)], 0.0)
    assert (out.channels, out.sample_rate, out.length) == (2, 16_000, 400)
    assert torch.equal(out.samples[0, :200], out.samples[1, :200])
    with pytest.raises(AudioError, match="Clip 1 .* 1 or 6"):
        join([noise(100, 6), noise(100, 2)], 0.0)
    with pytest.raises(AudioError, match="nothing to join"):
        join([])
    with pytest.raises(AudioError, match="0 samples"):
        join([noise(0)])
    with pytest.raises(SettingError, match="Clip 1 is too short.*at most 0.00625 s"):
        join([noise(100), noise(100), noise(100)], 0.01)


def test_join_does_not_turn_down():
    assert join([flat(1.0, 1000), flat(1.0, 1000)], 0.05).samples.max() == pytest.approx(math.sqrt(2), abs=1e-3)


# --- any clips ------------------------------------------------------------------------------------------------------

clips = st.builds(
    lambda channels, length, rate, scale, offset: AudioClip(
        noise(length, channels, rate).samples * scale + offset, rate
    ),
    st.integers(1, 8),
    st.integers(1, 600),
    st.sampled_from([1000, 8000, 11_025, 24_000]),
    st.sampled_from([0.0, 1.0, 1e3]),
    st.sampled_from([0.0, 0.3]),
)
tracks = st.builds(
    Track,
    clips,
    st.floats(0, 0.05),
    st.floats(-60, 24),
    st.floats(-1, 1),
    loop_s=st.one_of(st.none(), st.floats(0.01, 0.1)),
    fade_shape=st.sampled_from(["linear", "s_curve"]),
)


@settings(max_examples=examples(25), deadline=None)
@given(
    st.lists(tracks, min_size=1, max_size=4), st.sampled_from([None, 8000, 22_050]), st.sampled_from([None, 1, 2, 3, 8])
)
def test_any_tracks_make_a_finite_mix_of_the_planned_shape(tracks, rate, channels):
    mixdown = Mixdown(tracks, rate, channels)
    out = mix(tracks, rate, channels=channels)
    assert out.samples.shape == (mixdown.channels, mixdown.length)
    assert out.samples.isfinite().all() and out.samples.abs().max() <= 1.00001
    if channels is None:
        assert out.channels == (2 if any(one.clip.channels == 2 or one.pan for one in tracks) else 1)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(clips, min_size=1, max_size=4), st.floats(0, 0.02), st.sampled_from([0.0, 0.01]))
def test_any_clips_are_joined_or_the_misfit_is_named(clips, crossfade, gap):
    try:
        out = join(clips, crossfade, gap)
    except (AudioError, SettingError) as error:
        assert "does not fit the others" in str(error) or "too short for this crossfade" in str(error)
        return
    rate, between = max(clip.sample_rate for clip in clips), gap or -crossfade
    wanted = sum(clip.seconds for clip in clips) + between * (len(clips) - 1)
    assert out.sample_rate == rate and out.channels == max(clip.channels for clip in clips)
    assert out.seconds == pytest.approx(wanted, abs=2 * len(clips) / rate) and out.samples.isfinite().all()
