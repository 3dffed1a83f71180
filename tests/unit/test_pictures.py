"""Pictures: what stands where in them, and how long an hour takes."""

from __future__ import annotations

import sys
import time

import pytest
import torch
from helpers_audio import RATE, flat, sine
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, AudioError, MissingExtraError, SettingError, Track
from higgs_runtime.audio.plots import loudness_picture, spectrogram_picture, timeline_picture, waveform_picture

PICTURES = {
    "waveform": waveform_picture,
    "spectrogram": spectrogram_picture,
    "loudness": loudness_picture,
    "timeline": lambda clip, *size: timeline_picture([Track(clip)], (), *size),
}
BLUE, ORANGE = torch.tensor([0x4F, 0xC3, 0xF7]) / 255, torch.tensor([0xFF, 0xB7, 0x4D]) / 255


def columns_of(picture: torch.Tensor, colour: torch.Tensor, tolerance=0.08) -> torch.Tensor:
    """How many pixels of each column have a colour: [W]."""
    return ((picture - colour).abs().amax(2) < tolerance).sum(0)


@pytest.mark.parametrize("kind", PICTURES)
def test_size_and_range(kind):
    picture = PICTURES[kind](sine(440, 1, -6, 2, 16_000), 400, 200)
    assert picture.shape == (200, 400, 3) and picture.dtype == torch.float32
    assert 0 <= picture.min() and picture.max() <= 1 and picture.std() > 0.05


def test_a_waveform_shows_where_the_sound_is():
    clip = AudioClip(torch.cat([torch.zeros(1, 8000), sine(440, 1, -1, rate=8000).samples], 1), 8000)
    blue = columns_of(waveform_picture(clip, 800, 400), BLUE)
    assert blue[100:380].max() <= 4  # the line of silence
    assert blue[450:750].min() > 250  # nearly the whole height


def test_one_sample_is_seen_in_an_hour_of_silence():
    samples = torch.zeros(1, 3600 * 8000)
    samples[0, 1800 * 8000] = 1.0
    blue = columns_of(waveform_picture(AudioClip(samples, 8000), 800, 400), BLUE)
    assert blue.max() > 100 and abs(int(blue.argmax()) - 400) < 60  # the axis takes some of the left


def test_each_channel_has_its_row():
    samples = torch.cat([sine(440, 1, -1, rate=8000).samples, torch.zeros(1, 8000)])
    picture = waveform_picture(AudioClip(samples, 8000), 600, 400)
    blue = ((picture - BLUE).abs().amax(2) < 0.08).sum(1)
    assert blue[:190].sum() > 20_000 and blue[210:].sum() == 0


def test_a_spectrogram_shows_a_tone_at_its_height():
    def bright_row(hertz):
        picture = spectrogram_picture(sine(hertz, 2, -6, rate=16_000), 400, 300)
        return float(picture[:, 200].sum(1).argmax())

    rows = [bright_row(hertz) for hertz in (200, 1000, 3000, 7000)]
    assert rows == sorted(rows, reverse=True) and rows[0] > 200 and rows[-1] < 60


def test_loudness_falls_where_the_sound_does():
    clip = AudioClip(torch.cat([sine(1000, 5, -10, rate=8000).samples, sine(1000, 5, -40, rate=8000).samples], 1), 8000)
    picture = loudness_picture(clip, 800, 400)
    blue = (picture - BLUE).abs().amax(2) < 0.15
    early, late = (blue[:330, span].nonzero()[:, 0].float().mean() for span in (slice(200, 380), slice(500, 700)))
    assert late - early > 100


def test_a_timeline_shows_where_tracks_lie():
    tracks = [Track(sine(440, 2, -1, rate=8000)), Track(sine(440, 2, -1, rate=16_000), 1.0, after=0)]
    picture = timeline_picture(tracks, ["first"], 1000, 400)
    first, second = (columns_of(picture, colour) > 20 for colour in (BLUE, ORANGE))
    starts = [int(found.nonzero()[0]) for found in (first, second)]
    ends = [int(found.nonzero()[-1]) for found in (first, second)]
    second_long = (ends[1] - starts[0]) / 5  # five seconds in all
    assert ends[0] - starts[0] == pytest.approx(2 * second_long, rel=0.03)
    assert starts[1] - ends[0] == pytest.approx(second_long, rel=0.05)
    muted = timeline_picture([tracks[0], Track(tracks[1].clip, 1.0, after=0, mute=True)], (), 1000, 400)
    assert columns_of(muted, ORANGE).sum() < columns_of(picture, ORANGE).sum() / 10


@pytest.mark.filterwarnings("error")
@given(
    channels=st.sampled_from([1, 2, 9, 64]),
    length=st.integers(1, 5000),
    rate=st.sampled_from([1, 100, 8000, 48_000, 768_000]),
    level=st.sampled_from([0.0, 1e-30, 1.0, 1e6]),
    offset=st.sampled_from([0.0, 0.5]),
    kind=st.sampled_from(["waveform", "spectrogram", "timeline"]),
)
@settings(max_examples=examples(8), deadline=None)
def test_any_clip_can_be_drawn(channels, length, rate, level, offset, kind):
    wave = torch.rand(channels, length, generator=torch.Generator().manual_seed(length)) * 2 - 1
    picture = PICTURES[kind](AudioClip(wave * level + offset, rate), 128, 96)
    assert picture.shape == (96, 128, 3) and bool(picture.isfinite().all())


def test_loudness_of_silence_and_short_clips_can_be_drawn():
    for clip in (flat(0.0), flat(0.5, 10), sine(440, 1)):
        assert loudness_picture(clip, 200, 100).shape == (100, 200, 3)


@pytest.mark.parametrize("kind", PICTURES)
def test_clips_that_cannot_be_drawn(kind, monkeypatch):
    with pytest.raises(AudioError):
        PICTURES[kind](AudioClip(torch.zeros(1, 0), RATE))
    for size in ((63, 100), (100, 8193)):
        with pytest.raises(SettingError, match="width|height"):
            PICTURES[kind](flat(0.5), *size)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="pip install matplotlib"):
        PICTURES[kind](flat(0.5))


def test_no_tracks_are_refused():
    with pytest.raises(AudioError, match="no tracks"):
        timeline_picture([])


@pytest.mark.slow
@pytest.mark.parametrize("kind", PICTURES)
def test_an_hour_is_drawn_in_three_seconds(kind):
    clip = AudioClip(torch.rand(1, 3600 * 24_000, generator=torch.Generator().manual_seed(0)) - 0.5, 24_000)
    PICTURES[kind](AudioClip(clip.samples[:, :24_000], 24_000))  # the libraries are loaded
    started = time.process_time()
    PICTURES[kind](clip)
    assert time.process_time() - started < 3
