"""AUDIO as other packs send it: what it means is read, what it cannot mean is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
from helpers_workflow import node_classes, node_module

RATE = 24_000
MONO = torch.linspace(-1, 1 - 2**-15, 100)
STEREO = torch.stack((MONO, -MONO * 0.5))


@pytest.fixture(scope="module")
def host():
    node_classes()
    return node_module("host.audio")


class Lazy(Mapping):
    """As a pack's that asks FFmpeg once somebody wants the sound."""

    def __init__(self, make):
        self.make = make

    def __getitem__(self, name: str):
        return {**self.make(), "sample_rate": RATE}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("waveform", "sample_rate"))

    def __len__(self) -> int:
        return 2


def sound(waveform, rate=RATE) -> dict:
    return {"waveform": waveform, "sample_rate": rate}


def no_track():
    raise RuntimeError("ffmpeg: Output file does not contain any stream\nand much more")


@pytest.mark.parametrize(
    "audio, expected",
    [
        (sound(MONO), MONO[None]),
        (sound(STEREO), STEREO),
        (sound(STEREO[None]), STEREO),
        (sound(STEREO[None].double()), STEREO),
        (sound(STEREO[None].numpy()), STEREO),
        (sound([STEREO]), STEREO),
        (sound(MONO.tolist()), MONO[None]),
        (sound((MONO * 2**15).round().short()), MONO[None]),
        (sound((MONO * 2**31).double().round().int()), MONO[None]),
        (sound(((MONO + 1) * 128).floor().byte()), ((MONO * 128).floor() / 128)[None]),
        (sound(STEREO[None].requires_grad_()), STEREO),
        (sound(STEREO[None], torch.tensor(RATE)), STEREO),
        (sound(STEREO[None], float(RATE)), STEREO),
        (sound(STEREO[None], np.int64(RATE)), STEREO),
        (Lazy(lambda: {"waveform": STEREO[None]}), STEREO),
        ([sound(STEREO[None])], STEREO),
    ],
    ids=range(16),
)
def test_what_it_means_is_read(host, audio, expected):
    clip = host.clip_from_audio(audio)
    assert clip.sample_rate == RATE and clip.samples.dtype == torch.float32
    assert clip.samples.shape == expected.shape and (clip.samples - expected).abs().max() < 1e-4


def test_half_precision_is_as_exact_as_it_can_be(host):
    clip = host.clip_from_audio(sound(STEREO[None].bfloat16()))
    assert (clip.samples - STEREO).abs().max() < 0.01


@pytest.mark.parametrize("audio", [sound([MONO, MONO]), sound([STEREO, STEREO]), [sound(MONO), sound(MONO)]])
def test_several_clips_are_a_batch(host, audio):
    assert len(host.clips_from_audio(audio)) == 2
    with pytest.raises(Exception, match="takes one clip"):
        host.clip_from_audio(audio)


@pytest.mark.parametrize(
    "audio, words",
    [
        (None, "film without sound"),
        ({}, "no sample_rate|an empty one"),
        ({"waveform": MONO}, "no sample_rate"),
        ({"sample_rate": RATE}, "no waveform"),
        (sound(None), "no waveform"),
        (sound(MONO, None), "no sample_rate"),
        (sound(MONO, "fast"), "sample_rate of 'fast'"),
        (sound(MONO, float("nan")), "sample_rate of nan"),
        (sound(MONO, 24_000.5), "24000.5"),
        (sound(MONO, 0), "rate is not usable"),
        (sound("clip.wav"), "waveform that is a str"),
        (sound(torch.zeros(1, 1, 1, 10)), "shape"),
        (sound(torch.tensor(1.0)), "shape"),
        (sound(torch.zeros(0, 1, 10)), "shape"),
        (sound(torch.zeros(1, 1, 0)), "empty"),
        (sound([]), "shape|no clips|empty"),
        (sound(torch.zeros(2, 0, 10)), "wrong shape"),
        (sound(torch.zeros(48_000, 2)), "channels come before samples"),
        (sound(MONO.bool()), "torch.bool"),
        (sound(torch.tensor([0.0, float("nan")])), "not a number"),
        ("clip.wav", "a str"),
        ([], "a list|nothing"),
        (Lazy(no_track), "could not be made.*does not contain any stream"),
    ],
)
def test_what_it_cannot_mean_is_told(host, runtime, audio, words):
    with pytest.raises(runtime.AudioError, match=words):
        host.clips_from_audio(audio)


@pytest.mark.parametrize(
    "node, name, values",
    [
        ("HiggsLoudness", "audio", {}),
        ("HiggsAudioPicture", "audio", {}),
        ("HiggsEncodeAudio", "audio", {}),
    ],
)
def test_nodes_tell_of_a_film_without_sound(runtime, node, name, values):
    import inspect

    made = node_classes()[node]
    asked = [one for one in inspect.signature(made.execute).parameters.values() if one.default is one.empty]
    for one in asked:
        if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != name:
            values.setdefault(one.name, None)
    with pytest.raises(runtime.AudioError, match="film without sound"):
        made.execute(**{name: None}, **values)
