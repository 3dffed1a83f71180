"""Weights in 8 and 4 bits: how far they are off, what they take, and that the model still speaks."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes

from higgs_runtime import Message, Sampling, build_prompt, generate, load_model
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.model import quantization as quantized_module
from higgs_runtime.model.quantization import KINDS, Int4Linear, Int8Linear

WORST = {"int8": 0.008, "int4": 0.12, "fp8": 0.04}  # root mean square of the error, relative to that of the result


@pytest.fixture(autouse=True, params=["kernel", "plain"])
def kernel(request, monkeypatch):
    """As on a device that has a kernel, for which the plain product stands in here; and the plain way."""
    if request.param == "kernel":
        monkeypatch.setattr(quantized_module, "_has_int8_kernel", lambda device: True)
        monkeypatch.setattr(torch, "_weight_int8pack_mm", stand_in)
        monkeypatch.setattr(quantized_module, "multiplies_float8", lambda device: True)


def stand_in(x, weight, scale):
    return torch.nn.functional.linear(x, weight.to(x.dtype) * scale[:, None])


def test_on_a_cpu_nothing_private_is_called(monkeypatch):
    monkeypatch.undo()

    def private(*_):
        raise AssertionError("called")

    monkeypatch.setattr(torch, "_weight_int8pack_mm", private)
    assert Int8Linear(random_weight(), None)(torch.ones(3, 192, dtype=torch.bfloat16)).isfinite().all()


def test_a_kernel_is_used_only_where_it_agrees(caplog):
    """Wrong for features that are no multiple of 32, for a row of zeros, or at some addresses: all were seen."""

    def agrees(product):
        caplog.clear()
        return quantized_module.agrees_with_plain(product, "cpu"), "plain one is used" in caplog.text

    def wrong_if(wrong):
        return lambda x, weight, scale: stand_in(x, weight, scale) * (1e9 if wrong(x, weight) else 1)

    def missing(*_):
        raise NotImplementedError

    assert agrees(stand_in) == (True, False) and agrees(missing) == (False, False)
    assert agrees(wrong_if(lambda x, weight: x.shape[1] % 32)) == (False, True)
    assert agrees(wrong_if(lambda x, weight: weight.data_ptr() % 64)) == (False, True)

    def wrong_for_zeros(x, weight, scale):
        return stand_in(x, weight, scale) + 4e11 * (weight == 0).all(dim=1)

    assert agrees(wrong_for_zeros) == (False, True)


def random_weight(rows=96, features=192, seed=0):
    return torch.randn((rows, features), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3)])
def test_the_product_is_near(name, shape):
    weight, bias = random_weight(), torch.randn(96)
    x = torch.randn((*shape, 192), generator=torch.Generator().manual_seed(1))
    layer = KINDS[name](weight, bias)
    exact = torch.nn.functional.linear(x, weight, bias)
    error = (layer(x) - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert layer(x).shape == exact.shape and error < WORST[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_8_bits_are_the_nearest_of_255_steps(dtype):
    weight = random_weight().to(dtype)
    layer = Int8Linear(weight, None)
    scale = weight.float().abs().amax(dim=1, keepdim=True) / 127  # before it is rounded to the weights' dtype
    assert ((layer.weight * scale - weight).abs() <= scale * 0.501).all()
    assert layer.weight.dtype == torch.int8


def test_4_bits_are_the_nearest_of_16_steps_in_each_group():
    """Made by hand: 64 numbers on the grid come back as they are, also where the largest is negative or all are 0."""
    for reach in (-8.0, 8.0):
        grid = torch.arange(-7, 9).repeat(4) * (reach / 8.0)
        weight = torch.stack((grid * 0.5, torch.zeros(64), grid))
        layer = Int4Linear(weight, None)
        assert layer.weight.shape == (3, 32) and layer.weight.dtype == torch.uint8
        assert torch.allclose(layer(torch.eye(64)).T, weight)


@pytest.mark.parametrize("name", KINDS)
def test_packed_and_unpacked_by_rows_it_is_the_same(monkeypatch, name):
    x = torch.randn((3, 192), generator=torch.Generator().manual_seed(1))
    whole = KINDS[name](random_weight(), torch.ones(96))
    wanted = whole(x)
    monkeypatch.setattr(quantized_module, "AT_ONCE", 7 * 192)  # 96 rows by 7: the last piece is a shorter one
    pieces = KINDS[name](random_weight(), torch.ones(96))
    assert torch.equal(pieces.weight, whole.weight) and torch.equal(pieces.scale, whole.scale)
    assert torch.allclose(pieces(x), wanted, atol=1e-5)


def test_zero_rows_and_odd_group_sizes():
    for kind in KINDS.values():
        weight = torch.cat((torch.zeros(1, 72), random_weight(3, 72)))
        out = kind(weight, None)(torch.ones(1, 72))
        assert out[0, 0] == 0 and out.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_quantized_model_is_smaller_and_near(tmp_path, name, dtype):
    folder = make_lm_checkpoint(
        tmp_path, hidden_size=128, num_hidden_layers=3, intermediate_size=256, initializer_range=0.05, stream_end=0
    )
    full, small = load_model(folder, dtype=dtype), load_model(folder, dtype=dtype, quantization=name)
    messages = [Message("system", "Speak."), Message("user", "Reference."), Message("assistant", random_codes(30))]
    prompt = build_prompt([*messages, Message("user", "And now?")], full.tokenizer)
    a, b = full.logits(prompt), small.logits(prompt)
    assert (a - b).square().mean() < {"int8": 0.01, "int4": 0.15, "fp8": 0.05}[name] * a.square().mean()
    layers = model_bytes(full.layers) / model_bytes(small.layers)
    assert layers > {"int8": 0.95, "int4": 1.7, "fp8": 0.95}[name] * dtype.itemsize
    assert small.audio_head.weight.dtype == small.text_embedding.weight.dtype == dtype
    takes = [generate(small, [prompt] * count, Sampling(temperature=0.8, max_frames=20)) for count in (1, 3)]
    assert all(torch.equal(take.codes.ids, takes[0][0].codes.ids) for take in takes[1])
    assert takes[0][0].frames == 20
