"""The codec's networks with compiled loops, against their slow twins and in double precision."""

from __future__ import annotations

import copy
import logging
import math
import sys

import numpy as np
import pytest
import torch
from helpers_codec import SMALL, make_codec_checkpoint, sound_clip

from higgs_runtime import Codes
from higgs_runtime.codec import cpu_kernel
from higgs_runtime.codec.cpu_kernel import (
    circle,
    encoder as encoder_module,
    fast_decoder,
    fast_encoder,
    fast_front,
    kernels,
    units,
)
from higgs_runtime.codec.cpu_kernel.networks import PreparedDecoder, PreparedEncoder, PreparedFront
from higgs_runtime.codec.dac_layers import AcousticDecoder, AcousticEncoder
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec
from higgs_runtime.codec.hubert import Hubert, HubertSizes
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
        codec, clip = HiggsCodec.load(folder), sound_clip(1.0)
        codec.module.float()
        for weight in codec.module.parameters():
            weight.data = weight.data.clone()
    wanted, before = HiggsCodec.load(folder).decode(codes_of(codec, 330)).samples, torch.get_num_threads()
    ids = HiggsCodec.load(folder).encode(clip).ids
    torch.set_num_threads(2)
    try:
        with torch.inference_mode(decoded):
            found, heard = codec.decode(codes_of(codec, 330)).samples, codec.encode(clip).ids
    finally:
        torch.set_num_threads(before)
    assert codec._fast.now() is not None and torch.equal(found, wanted) and torch.equal(heard, ids)


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


def test_networks_of_another_shape_are_left_to_the_modules():
    decoder, encoder = AcousticDecoder(6, 32, (4,)), AcousticEncoder(4, (4,), 6)
    front = Hubert(HubertSizes.of({**SMALL["semantic_model_config"], "num_hidden_layers": 1})).feature_extractor
    fast = fast_decoder(decoder), fast_encoder(encoder), fast_front(front)
    assert all(one.now() is not None for one in fast)
    for block in (decoder.block[0], encoder.block[0]):
        block.res_unit2.conv1 = torch.nn.Conv1d(block.res_unit2.conv1.in_channels, 16, 5, padding=2)
    front.conv_layers[2].activation = torch.nn.functional.relu
    front.conv_layers[2].conv.weight.data = front.conv_layers[2].conv.weight.data.clone()  # it is looked at anew
    assert [one.now() for one in fast] == [None, None, None]


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
    monkeypatch.setitem(sys.modules, "higgs_runtime.codec.cpu_kernel.networks", None)
    monkeypatch.delattr(cpu_kernel, "networks", raising=False)
    with caplog.at_level(logging.WARNING):
        codec = HiggsCodec.load(folder)
        codes = codes_of(codec, 20)
        assert torch.equal(codec.decode(codes).samples, HiggsCodec.load(folder, fused=False).decode(codes).samples)
    assert "slower" in caplog.text
    cpu_kernel._compiled.cache_clear()


@pytest.mark.parametrize("channels", [3, 35])
@pytest.mark.parametrize("dilation", [1, 3])
def test_points_round_no_more_than_the_plain_sum(channels, dilation):
    """Vectors of channels, and the rest one by one, against double precision."""
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(channels, (2 * circle.TILE + 6) * dilation, generator=generator)
    weight = torch.randn(channels, channels, 7, generator=generator)
    points = torch.empty(circle.POINTS, 2 * dilation, channels)
    kernels.points_of(x.t().contiguous().numpy(), dilation, points.numpy())
    made = torch.bmm(points, circle.points_of_taps(weight))
    bias, still = np.zeros(channels, np.float32), np.full(channels, 1e-20, np.float32)  # its snake changes nothing
    found = torch.empty(2 * circle.TILE * dilation, channels)
    kernels.rows_of(made.numpy(), dilation, bias + 1, still, bias, found.numpy())
    exact = torch.nn.functional.conv1d(x[None].double(), weight.double(), dilation=dilation)[0].t() + 1
    plain = torch.nn.functional.conv1d(x[None], weight, dilation=dilation)[0].t() + 1
    assert found.shape == exact.shape
    assert (found - exact).square().mean().sqrt() < 2 * (plain - exact).square().mean().sqrt()


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize("most", [0, units.MOST_WEIGHTS], ids=["as they are", "four points"])
def test_two_taps(monkeypatch, rows, most):
    monkeypatch.setattr(units, "MOST_WEIGHTS", most)
    first, second, bias = torch.randn(5, 4), torch.randn(5, 4), torch.randn(4)
    x, out = torch.zeros(units.TwoTaps.rows(rows), 6), torch.empty(rows, 4)
    x[: rows + 1] = torch.randn(rows + 1, 6)
    units.TwoTaps(first, second, bias)(x, out)
    wanted = x[:rows, :5] @ first + x[1 : rows + 1, :5] @ second + bias
    assert (out - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("widest", [0, 8, 512])
@pytest.mark.parametrize(("ratios", "samples"), [((8, 5, 4, 2, 3), 9600), ((3, 5), 46), ((2, 2, 2), 1001)], ids=str)
def test_the_encoder_is_its_slow_twin(monkeypatch, widest, ratios, samples):
    """With blocks left to the module, and none."""
    monkeypatch.setattr(encoder_module, "WIDEST", widest)
    torch.manual_seed(samples)
    encoder = AcousticEncoder(4, ratios, 6).requires_grad_(False).eval()
    wave = torch.randn(samples)
    wanted, found = encoder(wave[None, None])[0], PreparedEncoder(encoder)(wave, 1)
    assert found.shape == wanted.shape and (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert torch.equal(PreparedEncoder(encoder)(wave, 2), found)


@pytest.mark.parametrize("samples", [400, 401, 719, 16_000, 200_000])
@pytest.mark.parametrize("conv_bias", [False, True])
def test_huberts_convolutions_are_their_slow_twin(samples, conv_bias):
    torch.manual_seed(samples)
    sizes = HubertSizes.of(
        {
            "conv_dim": [16] * 7,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "conv_bias": conv_bias,
            "num_attention_heads": 2,
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
        }
    )
    front = Hubert(sizes).feature_extractor.requires_grad_(False).eval()
    wave = torch.randn(samples) * 0.1 + 0.3
    wanted, found = front(wave[None])[0].t(), PreparedFront(front)(wave, 1)
    assert found.shape == wanted.shape and (found - wanted).abs().max() < 2e-5 * wanted.abs().max()
    assert torch.equal(PreparedFront(front)(wave, 2), found)


@pytest.mark.parametrize("seconds", [0.001, 1.3, 7.0])
def test_it_encodes_as_its_slow_twin_does(pair, seconds):
    fast, slow = pair
    clip = sound_clip(seconds)
    assert fast._fast_encoder.now() is not None and slow._fast_encoder is None
    of_other_strides = len(fast.config.semantic["conv_kernel"]) != 7
    assert (fast._fast_front.now() is None) == of_other_strides and slow._fast_front is None
    assert torch.equal(fast.encode(clip).ids, slow.encode(clip).ids)


def test_progress_counts_what_the_compiled_networks_do(folder):
    codec, seen = HiggsCodec.load(folder), []
    codec.encode(sound_clip(25.0), on_progress=lambda done, total: seen.append((done, total)))
    total = seen[0][1]
    assert [done for done, _ in seen] == list(range(total + 1)) and total == 3 + 2 + 5 + 8 + 1


@pytest.mark.parametrize("reach", [1.0, 30.0, 3000.0])
def test_the_sine_is_exact_to_the_last_bits(reach):
    x = np.repeat(np.linspace(-reach, reach, 100_001, dtype=np.float32)[:, None], 17, axis=1)  # a vector, and one more
    alpha = np.full(17, 1.3, np.float32)
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
