"""The compiled step of models whose matrices are in 8 or 4 bits, against the same weights in floating point."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_session import lines, same, settings
from test_fused import PLAIN, filled_cache, fused_logits, plain_logits, random_model, some_ids

from higgs_runtime import Session, load_model
from higgs_runtime.generation.cpu_kernel import fused_step
from higgs_runtime.generation.cpu_kernel.tiles import FOLDED, GROUP, ready, slim, wide
from higgs_runtime.model import quantization as quantized_module
from higgs_runtime.model.linear import Linear
from higgs_runtime.model.loading import quantize_layers
from higgs_runtime.model.quantization import Int4Linear, Int8Linear

WIDE = replace(PLAIN, hidden_size=128, intermediate_size=192, num_heads=8)
BITS = {"int8": 8, "int4": 4}
KINDS = {"int8": Int8Linear, "int4": Int4Linear}  # that the compiled step reads


def unpacked(layer):
    """float64 [O, I]."""
    if isinstance(layer, Int8Linear):
        return layer.weight.double() * layer.scale.double()[:, None]
    nibbles = torch.stack((layer.weight & 15, layer.weight >> 4), dim=2).flatten(1).double() - 8
    return (nibbles.unflatten(1, (layer.scale.shape[1], -1)) * layer.scale.double()[:, :, None]).flatten(1)


def as_matrix(layer, name):
    """As `tiles.places` takes it."""
    place = layer.weight.data_ptr(), layer.scale.data_ptr(), len(layer.weight)
    return np.array([place], np.int64), BITS[name], layer.scale.element_size()


def quantized_model(name, config=WIDE):
    """And the same weights in floating point."""
    model = random_model(config)
    plain = copy.deepcopy(model)
    quantize_layers(model, name)
    for path, layer in model.named_modules():
        if isinstance(layer, tuple(KINDS.values())):
            plain.get_submodule(path).weight.copy_(unpacked(layer))
    return model, plain


# ---- tiles -----------------------------------------------------------------------------------------------------------


@pytest.mark.numeric
@pytest.mark.parametrize("size", [64, 128, 704])
@pytest.mark.parametrize("name", KINDS)
def test_products_of_a_matrix(name, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, size, generator=generator)
    layer = KINDS[name](torch.randn(12, size, generator=generator) * torch.arange(1, 13)[:, None], None)
    matrix = as_matrix(layer, name)
    room = np.empty(4 * size // GROUP * FOLDED, np.float32)
    at, stride = ready(matrix[1], x.numpy(), room)
    wanted = x.double() @ unpacked(layer).T
    alone, together = torch.empty(4), torch.empty(2, 4)
    wide(matrix, 3, 9, at, stride, size, together.data_ptr())  # features 3 and 9
    assert torch.allclose(together.double().T, wanted[:, [3, 9]], rtol=1e-5, atol=1e-4)
    for row in range(4):
        slim(matrix, 6, at + stride * row, size, alone.data_ptr())  # features 6 to 9
        assert torch.allclose(alone.double(), wanted[row, 6:10], rtol=1e-5, atol=1e-4)
        assert torch.equal(alone[3], together[1, row]), "the same sums in every tile"


@pytest.mark.parametrize("name", KINDS)
def test_weights_at_the_ends_of_their_range(name):
    weight = torch.zeros(4, GROUP)
    weight[0], weight[1], weight[2, ::2], weight[3, 5] = 1.0, -1.0, 0.7, -3.0
    layer, x = KINDS[name](weight, None), torch.arange(1.0, GROUP + 1)[None]
    room, out = np.empty(FOLDED, np.float32), torch.empty(4)
    at, _ = ready(BITS[name], x.numpy(), room)
    slim(as_matrix(layer, name), 0, at, GROUP, out.data_ptr())
    assert torch.allclose(out.double(), unpacked(layer) @ x[0].double(), rtol=1e-6)


# ---- steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("name", KINDS)
def test_logits_are_those_of_the_weights_in_floating_point(name, rows):
    model, plain = quantized_model(name)
    ids = some_ids(WIDE, rows)
    wanted = plain_logits(plain, filled_cache(plain, rows), ids)
    found = fused_logits(model, filled_cache(model, rows), ids)
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", KINDS)
def test_a_row_is_bit_identical_in_any_batch_and_with_any_number_of_threads(name, threads):
    model, _ = quantized_model(name)
    ids = some_ids(WIDE, 9)
    together = fused_logits(model, filled_cache(model, 9), ids, threads=1)
    for rows in (1, 2, 5, 9):
        assert torch.equal(fused_logits(model, filled_cache(model, rows), ids[:rows], threads), together[:rows])


@pytest.mark.parametrize("name", ["int8", pytest.param("int4", marks=pytest.mark.numeric)])
def test_takes_are_those_of_the_plain_step(tmp_path, monkeypatch, name):
    monkeypatch.setattr(quantized_module, "_has_int8_kernel", lambda device: False)  # it rounds activations to bfloat16
    folder = make_lm_checkpoint(tmp_path / "model", stream_end=1.05, intermediate_size=128)
    model = load_model(folder, quantization=name)
    assert fused_step(model, model.new_cache(8)) is not None
    found = Session(model, batch=3).generate(lines(model), settings(seed=8))
    plain = Session(model, batch=3, fused=False).generate(lines(model), settings(seed=8))
    assert all(same(a, b) for a, b in zip(found, plain, strict=True))


def test_other_packings_take_the_plain_step():
    assert fused_step(random_model(PLAIN), random_model(PLAIN).new_cache(8)) is not None
    model = random_model(WIDE)
    quantize_layers(model, "fp8")
    assert fused_step(model, model.new_cache(8)) is None
    for name in KINDS:
        model = random_model(PLAIN)  # 48 features
        quantize_layers(model, name)
        assert fused_step(model, model.new_cache(8)) is None
        model, _ = quantized_model(name)
        assert fused_step(model, model.new_cache(8)) is not None
        for layer in model.layers:
            layer.attention.o.scale = layer.attention.o.scale.bfloat16()
        assert fused_step(model, model.new_cache(8)) is None
    mixed = random_model(WIDE)
    mixed.layers[0].attention.o = Int4Linear(mixed.layers[0].attention.o.weight, None)
    assert isinstance(mixed.layers[1].attention.o, Linear) and fused_step(mixed, mixed.new_cache(8)) is None
