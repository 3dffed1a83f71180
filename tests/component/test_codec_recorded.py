"""Windows of codes recorded and played again, as on a GPU; the CPU plays it (`OperationsRecorder`)."""

from __future__ import annotations

import threading

import pytest
import torch
from helpers_codec import make_codec_checkpoint
from helpers_recorder import OperationsRecorder

from higgs_runtime import Codes
from higgs_runtime.codec import recorded
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "small")


@pytest.fixture
def recorders(monkeypatch):
    made = []

    def recorder(device):
        made.append(OperationsRecorder())
        return made[-1]

    monkeypatch.setattr(recorded, "Recorder", recorder)
    monkeypatch.setattr(recorded, "can_capture", lambda device: True)
    return made


def codes_of(codec, frames: int, seed: int) -> Codes:
    ids = torch.randint(0, 1024, (8, frames), generator=torch.Generator().manual_seed(seed))
    return Codes(ids, 25.0, 1024, codec.signature)


def streamed(codec, codes, sizes=(12, 12, 25, 25)):
    starts = [0, *torch.tensor([*sizes, *[25] * 20]).cumsum(0).tolist()]
    parts = [
        Codes(codes.ids[:, a:b], 25.0, 1024, codec.signature)
        for a, b in zip(starts, starts[1:], strict=False)
        if a < codes.frames
    ]
    return torch.cat([clip.samples for clip in codec.decode_stream(parts)], dim=1)


def test_a_recording_is_of_one_length_and_sounds_the_same(folder, recorders):
    codec, plain = HiggsCodec.load(folder, fused=False), HiggsCodec.load(folder, fused=False)
    made = []
    for seed in range(3):
        codes = codes_of(codec, 187, seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recorded, "can_capture", lambda device: False)
            wanted = streamed(plain, codes)
        assert (streamed(codec, codes) - wanted).abs().max() < 1e-6 and wanted.abs().max() > 0.05
        made.append(recorders[0].recordings)
    assert 0 < made[0] < made[1] == made[2], "the first line repeats some lengths, the second all of them"
    lengths = [key[0] for key, known in codec._graphs._made.items() if known]
    assert len(lengths) == made[2] and max(lengths) <= recorded.LONGEST


def test_long_windows_and_lengths_that_come_once_are_not_recorded(folder, recorders, monkeypatch):
    monkeypatch.setattr(recorded, "LONGEST", 29)
    codec = HiggsCodec.load(folder, fused=False)
    for _ in range(3):
        codec.decode(codes_of(codec, 75, 0))
    for frames in range(1, 11):
        codec.decode(codes_of(codec, frames, 0))
    assert recorders[0].recordings == 0


def test_recordings_are_bounded(folder, recorders, monkeypatch):
    monkeypatch.setattr(recorded, "MOST", 3)
    codec = HiggsCodec.load(folder, fused=False)
    for frames in range(1, 12):
        for _ in range(2):
            codec.decode(codes_of(codec, frames, 0))
        assert len(codec._graphs._made) <= 3
    assert recorders[0].recordings >= 5


def test_weights_that_moved_are_recorded_anew(folder, recorders):
    """ComfyUI takes the codec out of the device's memory and brings it back: the recordings read what is elsewhere."""
    codec = HiggsCodec.load(folder, fused=False)
    codes = codes_of(codec, 20, 1)
    wanted = [codec.decode(codes).samples for _ in range(3)][-1]
    made = recorders[-1].recordings
    assert made > 0
    for weight in codec.module.parameters():
        before, weight.data = weight.data, weight.data.clone()
        before.fill_(torch.nan)
    assert all((codec.decode(codes).samples - wanted).abs().max() < 1e-6 for _ in range(3))
    assert [one.recordings for one in recorders] == [made, made]


def test_recordings_go_when_the_weights_leave_the_device(folder, recorders, monkeypatch):
    """They would keep its memory; and weights that come back may lie where they lay, still being copied."""
    codec = HiggsCodec.load(folder, fused=False)
    codes = codes_of(codec, 20, 1)
    wanted = [codec.decode(codes).samples for _ in range(3)][-1]
    with monkeypatch.context() as patch:
        patch.setattr(recorded, "can_capture", lambda device: False)
        assert (codec.decode(codes).samples - wanted).abs().max() < 1e-6 and not codec._graphs._made
    assert all((codec.decode(codes).samples - wanted).abs().max() < 1e-6 for _ in range(3))
    assert [one.recordings > 0 for one in recorders] == [True, True]


def test_two_threads_share_a_codec(folder, recorders):
    """A recording has one place for what goes in: they take turns."""
    codec = HiggsCodec.load(folder, fused=False)
    chosen = [codes_of(codec, 20, seed) for seed in range(2)]
    wanted = [codec.decode(codes).samples for codes in chosen]
    assert (wanted[0] - wanted[1]).abs().max() > 0.05
    wrong = []

    def work(n):
        for _ in range(20):
            if (codec.decode(chosen[n]).samples - wanted[n]).abs().max() > 1e-6:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
