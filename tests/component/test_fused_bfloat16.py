"""The compiled step of bfloat16 weights against the same weights in float32, and weights that stay in their file."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_session import lines, same, settings
from test_fused import PLAIN, SHAPES, filled_cache, fused_logits, plain_logits, random_model, some_ids

from higgs_runtime import Session, load_model
from higgs_runtime.choices import CONVERSIONS
from higgs_runtime.generation.cpu_kernel import fused_step
from higgs_runtime.model.linear import PackedLinear
from higgs_runtime.model.loading import quantize_layers

EVEN = {"hidden_size": 128, "intermediate_size": 192, "num_heads": 8}


def halved(config):
    """A model in bfloat16, and the same weights in float32."""
    model = random_model(config).bfloat16()
    return model, copy.deepcopy(model).float()


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("shape", ["v2", "v3", pytest.param("one codebook", marks=pytest.mark.slow)])
def test_logits_are_those_of_the_weights_in_float32(shape, rows):
    model, widened = halved(replace(SHAPES[shape], **{**EVEN, "num_kv_heads": SHAPES[shape].num_kv_heads}))
    cache, ids = filled_cache(model, rows), some_ids(model.config, rows)
    assert fused_step(model, cache) is not None and cache.keys.dtype == torch.float32
    found, same_sums = fused_logits(model, cache, ids), fused_logits(widened, filled_cache(widened, rows), ids)
    wanted = plain_logits(widened, filled_cache(widened, rows), ids)
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0)
    assert torch.equal(found, same_sums), "to the last bit where float32 goes through the same tiles"
    plain = plain_logits(model, filled_cache(model, rows), ids)
    assert torch.allclose(plain, wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0), "the slow twin as well"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_is_bit_identical_in_any_batch_and_with_any_number_of_threads(threads):
    model, _ = halved(replace(PLAIN, **EVEN))
    ids = some_ids(model.config, 9)
    together = fused_logits(model, filled_cache(model, 9), ids, threads=1)
    for rows in (1, 2, 5, 9):
        assert torch.equal(fused_logits(model, filled_cache(model, rows), ids[:rows], threads), together[:rows])


@pytest.mark.parametrize("name", CONVERSIONS)
def test_packed_matrices_whose_rest_is_bfloat16(name):
    """Scales, embeddings and heads are read as they are."""
    model = random_model(replace(PLAIN, **EVEN)).bfloat16()
    quantize_layers(model, name)
    widened = copy.deepcopy(model).float()
    assert model.layers[0].attention.o.scale.dtype == torch.bfloat16
    assert widened.layers[0].attention.o.scale.dtype == torch.float32
    for rows in (1, 5):
        ids = some_ids(model.config, rows)
        found, wanted = (fused_logits(one, filled_cache(one, rows), ids) for one in (model, widened))
        assert torch.equal(found, wanted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """bfloat16 in the file."""
    made = tmp_path_factory.mktemp("model")
    return make_lm_checkpoint(
        made, dtype="bfloat16", stream_end=1.05, hidden_size=128, intermediate_size=192, num_attention_heads=8
    )


def test_takes_are_those_of_the_plain_step_and_of_float32(folder):
    model, widened = load_model(folder, dtype=torch.bfloat16), load_model(folder)

    def takes(of, fused=True):
        return Session(of, batch=3, fused=fused, exact_prompts=True).generate(lines(model), settings(seed=20))

    found, plain, wide = takes(model), takes(model, fused=False), takes(widened)
    assert all(same(a, b) and same(a, c) for a, b, c in zip(found, plain, wide, strict=True))


def test_weights_stay_where_they_lie_in_the_file(folder):
    """Nothing of a bfloat16 checkpoint is copied for a CPU; for a GPU, what is read together is packed."""
    mapped, packed = (load_model(folder, dtype=torch.bfloat16, packed=how) for how in (None, True))
    parts = [part for part in mapped.modules() if isinstance(part, PackedLinear)]
    assert parts and all(part.weight is None and len(part.matrices) == len(part.parts) for part in parts)
    file = (folder / "model.safetensors").resolve()
    maps = [line.split() for line in open("/proc/self/maps", encoding="ascii") if line.rstrip().endswith(str(file))]
    spans = [tuple(int(end, 16) for end in line[0].split("-")) for line in maps]
    for weight in mapped.parameters():
        assert any(start <= weight.data_ptr() < end for start, end in spans)
    assert all(part.apart is None for part in packed.modules() if isinstance(part, PackedLinear))
    ids = some_ids(mapped.config, 5)
    assert torch.equal(*(fused_logits(one, filled_cache(one, 5), ids) for one in (mapped, packed)))
    quantize_layers(mapped, "int8")
    quantize_layers(packed, "int8")
    for a, b in zip(mapped.layers.buffers(), packed.layers.buffers(), strict=True):
        assert torch.equal(a, b)
