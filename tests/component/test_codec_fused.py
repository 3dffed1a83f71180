"""The codec's decoder with compiled loops, against its slow twin and in double precision."""

from __future__ import annotations

import copy
import logging
import math
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers_codec import make_codec_checkpoint

from higgs_runtime import Codes
from higgs_runtime.codec import cpu_kernel
from higgs_runtime.codec.cpu_kernel import kernels, toom
from higgs_runtime.codec.cpu_kernel.decoder import PreparedDecoder, prepared
from higgs_runtime.codec.dac_layers import AcousticDecoder
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec
from higgs_runtime.hub.catalog import EMBEDDED

TOLERANCE = 6e-6  # of waves whose peak is about a half


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "small")


@pytest.fixture(params=["small", "nano"])
def pair(request, folder):
    place = folder if request.param == "small" else EMBEDDED / "higgs-nano-codec"
    return HiggsCodec.load(place), HiggsCodec.load(place, fused=False)


def codes_of(codec, frames: int) -> Codes:
    ids = torch.randint(0, 1024, (8, frames), generator=torch.Generator().manual_seed(frames))
    return Codes(ids, 25.0, 1024, codec.signature)


@pytest.mark.parametrize("frames", [1, 2, 26, 95, 330])
def test_it_decodes_as_its_slow_twin_does(pair, frames):
    fast, slow = pair
    found, wanted = (codec.decode(codes_of(codec, frames)).samples for codec in pair)
    assert fast._fast.now() is not None and slow._fast is None
    assert found.shape == wanted.shape and wanted.abs().max() > 0.05
    assert (found - wanted).abs().max() <= TOLERANCE


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("decoded", [True, False])
def test_in_inference_mode_as_in_comfyui(folder, loaded, decoded):
    """What is made in that mode counts no changes, and threads without it may not fill it."""
    with torch.inference_mode(loaded):
        codec = HiggsCodec.load(folder)
        codec.module.acoustic_decoder.float()
        for weight in codec.module.acoustic_decoder.parameters():
            weight.data = weight.data.clone()
    wanted, before = HiggsCodec.load(folder).decode(codes_of(codec, 330)).samples, torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode(decoded):
            found = codec.decode(codes_of(codec, 330)).samples
    finally:
        torch.set_num_threads(before)
    assert codec._fast.now() is not None and torch.equal(found, wanted)


def test_its_error_is_that_of_the_plain_sums(folder):
    """Both against double precision: half of the products cost no accuracy that would show."""
    codec = HiggsCodec.load(folder)
    decoder, latents = codec.module.acoustic_decoder, torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = copy.deepcopy(decoder).double()(latents.double().t()[None])[0, 0]
        plain = (decoder(latents.t()[None])[0, 0] - exact).square().mean().sqrt()
        fused = (PreparedDecoder(decoder)(latents, 1) - exact).square().mean().sqrt()
    assert fused < 5 * plain and fused < 1e-6 * exact.abs().max()


def test_the_number_of_threads_does_not_show_in_the_last_bit(folder):
    codec = HiggsCodec.load(folder)
    latents, before = torch.randn(120, 16), torch.get_num_threads()
    decoder = PreparedDecoder(codec.module.acoustic_decoder)
    alone = decoder(latents, 1)
    assert torch.equal(decoder(latents, 2), alone) and torch.equal(decoder(latents, 5), alone)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("ratios", [(8, 5, 4, 2, 3), (3, 5), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("frames", [1, 7, 40])
def test_other_strides(ratios, frames):
    torch.manual_seed(frames)
    decoder = AcousticDecoder(6, 16 << len(ratios), ratios).requires_grad_(False).eval()
    latents = torch.randn(frames, 6)
    wanted, found = decoder(latents.t()[None])[0, 0], PreparedDecoder(decoder)(latents, 1)
    assert found.shape == wanted.shape == (frames * math.prod(ratios),)
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_a_decoder_of_another_shape_is_left_to_the_module():
    decoder = AcousticDecoder(6, 32, (4,))
    assert prepared(decoder) is not None and prepared(torch.nn.Identity()) is None
    decoder.block[0].res_unit2.conv1 = torch.nn.Conv1d(16, 16, 5, padding=2)
    assert prepared(decoder) is None


def test_weights_that_change_or_move_are_seen(folder):
    codec, codes = HiggsCodec.load(folder), None
    codes = codes_of(codec, 30)
    before = codec.decode(codes).samples
    with torch.no_grad():
        codec.module.acoustic_decoder.conv2.weight.mul_(2)
        codec.module.acoustic_decoder.conv2.bias.mul_(2)
    assert (codec.decode(codes).samples - 2 * before).abs().max() <= 2 * TOLERANCE
    codec.module.to(torch.bfloat16)
    assert codec._fast.now() is None
    rounded = codec.decode(codes).samples
    assert 1e-5 < (rounded - 2 * before).abs().max() < 0.1
    codec.module.to(torch.float32)
    assert codec._fast.now() is not None
    assert (codec.decode(codes).samples - rounded).abs().max() < 0.1


def test_without_numba_the_module_decodes_and_says_so(folder, monkeypatch, caplog):
    cpu_kernel._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "higgs_runtime.codec.cpu_kernel.decoder", None)
    monkeypatch.delattr(cpu_kernel, "decoder", raising=False)
    with caplog.at_level(logging.WARNING):
        codec = HiggsCodec.load(folder)
        codes = codes_of(codec, 20)
        assert torch.equal(codec.decode(codes).samples, HiggsCodec.load(folder, fused=False).decode(codes).samples)
    assert "slower" in caplog.text
    cpu_kernel._compiled.cache_clear()


def test_fourteen_products_are_four_outputs_of_seven_taps():
    """In fractions, so that nothing is rounded."""
    random = np.random.default_rng(0)
    samples = [Fraction(int(one)) for one in random.integers(-99, 99, 11)]
    taps = [*(Fraction(int(one)) for one in random.integers(-99, 99, 7)), Fraction(0)]
    wanted = [sum(taps[k] * samples[n + k] for k in range(7)) for n in range(4)]
    points = [toom.INTO.astype(object) @ np.array(samples[4 * n : 4 * n + 7], object) for n in (0, 1)]
    made = sum(points[n] * (toom.FOR_TAPS @ np.array(taps[4 * n : 4 * n + 4], object)) for n in (0, 1))
    assert list(toom.OUT_OF @ made) == wanted


def test_the_loops_have_these_matrices():
    eye = np.eye(7, dtype=np.float32)
    found = np.empty((7, 1, 7), np.float32)
    kernels.points_of(eye, 1, found)
    assert np.array_equal(found[:, 0], toom.INTO)
    zeros, back = np.zeros(7, np.float32), np.empty((4, 7), np.float32)
    kernels.rows_of(eye[:, None], 1, zeros, zeros + np.float32(1e-20), zeros, back)
    assert np.array_equal(back, toom.OUT_OF.astype(np.float32))


@pytest.mark.parametrize("reach", [1.0, 30.0, 3000.0])
def test_the_sine_is_exact_to_the_last_bits(reach):
    x = np.linspace(-reach, reach, 100_001, dtype=np.float32)[:, None]
    alpha = np.array([1.3], np.float32)
    found = np.empty_like(x)
    kernels.snake_rows(x, 0, alpha, 1 / alpha, found)
    angle = (alpha * x).astype(np.float64)  # rounded once, as torch does
    wanted = x + np.sin(angle) ** 2 / alpha.astype(np.float64)
    assert np.abs(found - wanted).max() < 3e-7 * max(1.0, reach)


def test_rows_that_are_not_there_are_zeros():
    x, one = np.ones((3, 2), np.float32), np.ones(2, np.float32)
    found = np.full((7, 2), 9, np.float32)
    kernels.snake_rows(x, -2, one, one, found)
    assert np.all(found[:2] == 0) and np.all(found[5:] == 0) and np.all(found[2:5] > 1)
