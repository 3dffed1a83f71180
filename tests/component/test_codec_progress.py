"""Encoding tells how far it is, can be stopped, and says beforehand how much memory it takes."""

from __future__ import annotations

import threading
import weakref

import pytest
import torch
from helpers_codec import make_codec_checkpoint, make_dac_weights, sound_clip
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from higgs_runtime.codec import load_codec
from higgs_runtime.types import Codes

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    return load_codec(make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "small"))


@pytest.mark.parametrize("seconds", [0.01, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (65, 125))])
def test_encoding_tells_its_progress(codec, seconds):
    seen = []
    clip = sound_clip(seconds)
    ids = codec.encode(clip, on_progress=lambda done, total: seen.append((done, total))).ids
    assert torch.equal(ids, codec.encode(clip).ids)
    total = seen[0][1]
    assert [done for done, _ in seen] == list(range(total + 1)) and {total for _, total in seen} == {total}
    windows = max(1, -(-seconds // 10))  # of HuBERT's convolutions
    assert total == windows + 2 + 5 * -(-seconds // 60) + 8 + 1  # HuBERT, acoustic blocks, codebooks, end


@pytest.mark.slow
def test_a_clip_that_just_exceeds_a_window_ends_at_the_total_too(codec):
    seen = []  # the context around a window takes the rest in, so there is no second window
    codec.encode(sound_clip(60.5), on_progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(set(seen)) and seen[-1][0] == seen[-1][1]


def test_encoding_stops_at_any_step_and_leaves_no_trace(codec):
    class Stopped(Exception):
        pass

    def hooks():
        return [list(module._forward_hooks) for module in codec.module.modules()]

    clip = sound_clip(1)
    codec.encode(clip)  # transformers leaves hooks of its own
    before = hooks()
    for last in range(0, 17, 4):

        def stop(done, total, last=last):
            assert done <= last, "went on"
            if done == last:
                raise Stopped

        with pytest.raises(Stopped):
            codec.encode(clip, on_progress=stop)
        assert hooks() == before


def test_progress_is_that_of_the_callers_own_thread(codec):
    clip, seen = sound_clip(1), []

    def between(done, total):
        seen.append(done)
        if done == 3:
            other = threading.Thread(target=codec.encode, args=(clip,))
            other.start()
            other.join()

    codec.encode(clip, on_progress=between)
    assert seen == list(range(len(seen)))


@pytest.mark.slow
def test_dac_tells_its_progress_too(tmp_path):
    pytest.importorskip("dac", reason="descript-audio-codec is not installed")
    codec, seen = load_codec(make_dac_weights(tmp_path / "weights.pth", 16_000)), []
    codec.encode(sound_clip(45, 16_000), on_progress=lambda done, total: seen.append((done, total)))
    total = 3 * (7 + 4) + 1  # windows of 20 s, each with 7 layers of the encoder and 4 codebooks
    assert seen == [(done, total) for done in range(total + 1)]
    assert codec.encode_bytes(45) == codec.encode_bytes(20) > codec.encode_bytes(10) > 0


@pytest.mark.parametrize(
    ("way", "seconds"),
    [
        ("encode", 2),
        pytest.param("encode", 20, marks=pytest.mark.slow),
        pytest.param("encode", 100, marks=pytest.mark.slow),
        ("decode", 2),
        ("decode", 7),
        pytest.param("decode", 20, marks=pytest.mark.slow),
        pytest.param("decode", 120, marks=pytest.mark.slow),
    ],
)
def test_memory_estimate_covers_what_lives_at_once(codec, way, seconds, record_property):
    codes = Codes(torch.zeros(8, 25 * seconds, dtype=torch.long), 25.0, 1024)
    given = sound_clip(seconds) if way == "encode" else codes
    estimate = getattr(codec, f"{way}_bytes")(seconds)  # lays the decoder's weights out, which then are there
    with LiveBytes(codec.module) as live:
        getattr(codec, way)(given)
    ratio = estimate / live.peak
    record_property("estimated_per_live_byte", ratio)
    assert 0.95 < ratio < 1.65


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors that exist at once, the module's own not counted."""

    def __init__(self, module):
        super().__init__()
        self.now = self.peak = 0
        self._sizes = {tensor.untyped_storage()._cdata: 0 for tensor in module.state_dict().values()}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self._sizes:
                storage = tensor.untyped_storage()
                self._sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._gone, storage._cdata)
        return result

    def _gone(self, storage: int) -> None:
        self.now -= self._sizes.pop(storage)
