"""Prompts through the processor's bfloat16 products: how far they are off float32, and when they are not used."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_session import lines, same, settings
from test_fused import PLAIN, random_model

from higgs_runtime import Session, load_model
from higgs_runtime.choices import CONVERSIONS
from higgs_runtime.generation.prefill import prefill
from higgs_runtime.model import linear as linear_module
from higgs_runtime.model.linear import FEW, Linear, rounded_products
from higgs_runtime.model.loading import quantize_layers
from higgs_runtime.model.quantization import KINDS, Int4Linear
from higgs_runtime.model.transformer import HiggsModel

FORMS = ("bfloat16", *KINDS)
WORST = 0.004, 0.015  # root mean square, relative: of one product, of what six layers make of it


@pytest.fixture(autouse=True)
def products(monkeypatch):
    """As on a processor that has them; torch computes the same without."""
    monkeypatch.setattr(linear_module, "has_bfloat16_products", lambda: True)


def error(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def random_linear(form, rows=96, features=192):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(rows, features, generator=generator)
    if form in KINDS:
        return KINDS[form](weight, None)
    made = Linear(features, rows, bias=False).requires_grad_(False)
    made.weight.copy_(weight)
    return made.bfloat16()


@pytest.mark.parametrize("panel", [2**19, 7 * 192])
@pytest.mark.parametrize("form", FORMS)
def test_one_product(form, panel, monkeypatch):
    monkeypatch.setattr(linear_module, "PANEL", panel)
    matrix, x = random_linear(form), torch.randn(2, 20, 192, generator=torch.Generator().manual_seed(1))
    exact = matrix(x)
    with rounded_products():
        found = matrix(x)
        assert torch.equal(matrix(x[0, :FEW]), exact[0, :FEW]) or error(matrix(x[0, :FEW]), exact[0, :FEW]) < 1e-6
        with rounded_products(False):
            assert torch.equal(matrix(x), exact)
    assert found.dtype == torch.float32 and 1e-4 < error(found, exact) < WORST[0]
    assert torch.equal(matrix(x), exact)


@pytest.mark.parametrize("form", FORMS)
def test_products_in_inference_mode_as_in_comfyui(form, monkeypatch):
    """Threads fill what another one made in that mode."""
    monkeypatch.setattr(linear_module, "PANEL", 7 * 192)
    matrix, x = random_linear(form), torch.randn(2, 20, 192, generator=torch.Generator().manual_seed(1))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for rounded in (True, False):
            with rounded_products(rounded), torch.no_grad():
                wanted = matrix(x)
                with torch.inference_mode():
                    assert torch.equal(matrix(x.clone()), wanted)
    finally:
        torch.set_num_threads(before)


def test_nibbles_as_bfloat16():
    """Each of the 16 in both halves of a byte."""
    packed, scale = torch.arange(256, dtype=torch.uint8).view(2, 128), torch.tensor([[0.5, 2, 1, 4], [-1, 8, 0.25, 1]])
    matrix = Int4Linear(torch.zeros(2, 256), None)
    matrix.weight, matrix.scale = packed, scale
    rows = slice(None)
    assert torch.equal(matrix._unpacked(rows, torch.bfloat16).float(), matrix._unpacked(rows, torch.float32))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_prompt_leaves_in_the_cache(tmp_path, form, monkeypatch):
    shape = {"num_hidden_layers": 6, "hidden_size": 128, "intermediate_size": 192, "initializer_range": 0.05}
    folder = make_lm_checkpoint(tmp_path, **shape)
    model = load_model(folder, dtype=torch.bfloat16, quantization=None if form == "bfloat16" else form)
    prompt, stores = lines(model)[7], {}
    for way in ("exact", "rounded", "all in bfloat16"):
        if way == "all in bfloat16":
            monkeypatch.setattr(HiggsModel, "compute_dtype", torch.bfloat16)
        cache = model.new_cache(len(prompt))
        hidden = prefill(model, prompt, cache, 0, lambda: False, exact=way == "exact")
        stores[way] = [one.float() for one in (hidden, *cache.keys[:, 0], *cache.values[:, 0])]
    exact, rounded, half = stores.values()
    errors, theirs = ([error(*pair) for pair in zip(found, exact, strict=True)] for found in (rounded, half))
    assert 1e-4 < max(errors) < WORST[1] and sum(errors) < 0.9 * sum(theirs)


@pytest.mark.parametrize("form", ("bfloat16", *CONVERSIONS))  # whose steps are the same to the bit
def test_takes_of_exact_prompts_are_those_of_float32(tmp_path, form):
    folder = make_lm_checkpoint(
        tmp_path, stream_end=1.05, hidden_size=128, intermediate_size=192, num_attention_heads=8, dtype="bfloat16"
    )
    model = load_model(folder, dtype=torch.bfloat16)
    if form in KINDS:
        quantize_layers(model, form)
    widened = copy.deepcopy(model).float()
    widened.tokenizer = model.tokenizer
    found = Session(model, batch=3, exact_prompts=True).generate(lines(model), settings(seed=20))
    wanted = Session(widened, batch=3, exact_prompts=True).generate(lines(model), settings(seed=20))
    rounded = Session(model, batch=3).generate(lines(model), settings(seed=20))
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))
    assert not all(same(a, b) for a, b in zip(found, rounded, strict=True)), "by default they are rounded"
    alone = Session(model, batch=1).generate(lines(model), settings(seed=20))
    assert all(same(a, b) for a, b in zip(alone, rounded, strict=True)), "and the same alone and side by side"


def test_float32_weights_are_never_rounded(monkeypatch):
    model = random_model(replace(PLAIN, num_layers=1))
    x = torch.randn(1, 40, 48)
    exact = model.layers[0].attention.qkv(x)
    with rounded_products():
        assert torch.equal(model.layers[0].attention.qkv(x), exact)


def test_a_processor_without_them_multiplies_in_float32(monkeypatch):
    matrix, x = random_linear("int8"), torch.randn(40, 192)
    exact = matrix(x)
    monkeypatch.setattr(linear_module, "has_bfloat16_products", lambda: False)
    with rounded_products():
        assert torch.equal(matrix(x), exact)


@pytest.mark.parametrize(
    "form, exact, alone",
    [("bfloat16", False, False), ("bfloat16", True, True), ("int8", False, True), ("int4", True, True)],
)
def test_torchs_own_team_sleeps_while_ours_unpacks(tmp_path, monkeypatch, form, exact, alone):
    """Its threads wait busily for the next operation for a while, on the cores that ours need."""
    monkeypatch.setattr("higgs_runtime.generation.prefill.has_bfloat16_products", lambda: True)
    folder = make_lm_checkpoint(tmp_path, dtype="bfloat16")
    model = load_model(folder, dtype=torch.bfloat16, quantization=None if form == "bfloat16" else form)
    threads, teams = [], []
    model.layers[0].register_forward_pre_hook(lambda *_: threads.append(torch.get_num_threads()))

    def watched(work, count):
        parts = []  # not threads: one that is done at once takes the next part as well
        shared_out(lambda *part: (parts.append(part), work(*part)), count)
        teams.append(len(parts))

    shared_out = linear_module.shared_out
    monkeypatch.setattr(linear_module, "shared_out", watched)
    before, prompt = torch.get_num_threads(), lines(model)[7]
    torch.set_num_threads(2)
    try:
        prefill(model, prompt, model.new_cache(len(prompt)), 0, lambda: False, exact=exact)
        assert set(threads) == {1 if alone else 2} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert (max(teams) == 2) if alone else not teams
