"""A line that falls silent ends early: known by its codes, with the codec of the pack."""

from __future__ import annotations

import pytest
import torch
from helpers_speech import speech

from higgs_runtime import AudioClip, SettingError, load_codec
from higgs_runtime.audio.clip import resample
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.verification import SilenceStop, silence_stop


@pytest.fixture(scope="module")
def codec():
    return load_codec(EMBEDDED / "higgs-nano-codec")


@pytest.fixture(scope="module")
def entries(codec):
    return silence_stop.silent_entries(codec)


@pytest.fixture
def stop(codec, entries, monkeypatch):
    """Makes a SilenceStop without another look at the codec."""
    monkeypatch.setattr(silence_stop, "silent_entries", lambda _codec: entries)
    return lambda seconds: SilenceStop(codec, seconds)


def with_pause(clip: AudioClip, seconds: float, hiss: float) -> AudioClip:
    middle, count = clip.length // 2, round(seconds * clip.sample_rate)
    pause = hiss * torch.randn(1, count, generator=torch.Generator().manual_seed(1))
    return AudioClip(torch.cat([clip.samples[:, :middle], pause, clip.samples[:, middle:]], dim=1), clip.sample_rate)


def ended_at(stop: SilenceStop, ids: torch.Tensor, index: int = 0, size: int = 8) -> int | None:
    """Frames after which a line of these codes [K, F] was ended, handed over in pieces of a size."""
    for start in range(0, ids.shape[1], size):
        if stop(index, ids[:, start : start + size]):
            return start + size
    return None


@pytest.mark.parametrize(
    "hiss", [pytest.param(0.0, id="digital", marks=pytest.mark.slow), pytest.param(0.001, id="-60 dBFS")]
)
def test_three_seconds_of_silence_end_a_line_and_speech_does_not(codec, stop, hiss):
    for clip, _ in speech():
        clip = resample(clip, codec.sample_rate)
        assert ended_at(stop(0.5), codec.encode(clip).ids) is None, "pauses of speech are shorter"
        ids = codec.encode(with_pause(clip, 3.0, hiss)).ids
        pause = clip.length // 2 / codec.hop  # its first frame
        assert pause + 40 < ended_at(stop(2.0), ids) < pause + 75
        assert ended_at(stop(4.0), ids) is None, "three seconds are less than four"


def test_lines_of_a_batch_end_independently(codec, stop):
    silent = codec.encode(AudioClip(torch.zeros(1, 2 * codec.sample_rate), codec.sample_rate)).ids[:, 5:45]
    spoken = codec.encode(resample(speech()[0][0], codec.sample_rate)).ids
    both = stop(1.0)
    asked = [(both(0, silent[:, n : n + 4]), both(1, spoken[:, n : n + 4])) for n in range(0, 40, 4)]
    assert [index for index, (first, _) in enumerate(asked) if first][0] in (5, 6)
    assert not any(second for _, second in asked)
    assert not both(2, silent[:, :0]), "no frames yet"


def test_speech_has_few_frames_of_silence(codec, entries):
    ids = codec.encode(resample(speech()[0][0], codec.sample_rate)).ids[0]
    assert 3 <= len(entries) < 60
    assert sum(int(one) in entries for one in ids) < 0.15 * len(ids)


def test_seconds_out_of_range(codec):
    with pytest.raises(SettingError, match="seconds"):
        SilenceStop(codec, 0.0)
