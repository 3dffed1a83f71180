"""8-bit floats that stay so: kept to the bit, multiplied where a device can, and known to all that asks.

No GPU is needed: torch has their product on the CPU too, where the package does not choose it by itself.
"""

from __future__ import annotations

import sys

import pytest
import torch
from helpers_checkpoint import edit_tensors, make_lm_checkpoint, random_codes
from helpers_forms import copied, in_float8
from helpers_v3 import make_v3_checkpoint
from helpers_workflow import PACK, node_module
from safetensors.torch import load_file

from higgs_runtime import (
    CheckpointError,
    Sampling,
    Session,
    SettingError,
    Voice,
    build_prompt,
    conversation,
    convert_model,
    load_model,
)
from higgs_runtime.checkpoint.source import open_source
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.model import quantization as quantized
from higgs_runtime.model.linear import Linear
from higgs_runtime.model.loading import auto_quantization
from higgs_runtime.model.memory import weights_bytes
from higgs_runtime.model.quantization import E4M3, Float8Linear, Int8Linear
from higgs_runtime.takes.keys import model_identity

SCALES = {"none": "", "by tensor": "{0}_scale:tensor", "by channel": "{0}_scale:channel"}
WIDE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}


def widen_on(monkeypatch, kinds: set[str], module=quantized) -> None:
    monkeypatch.setattr(module, "WIDENED_ON", kinds)
    module.multiplies_float8.cache_clear()


@pytest.fixture
def multiplied(monkeypatch):
    """The CPU counts as a device that multiplies 8-bit floats."""
    if not hasattr(torch, "_scaled_mm"):
        pytest.skip("this torch has no product of 8-bit floats")
    widen_on(monkeypatch, set())
    yield
    quantized.multiplies_float8.cache_clear()


@pytest.fixture(scope="module")
def v3(tmp_path_factory):
    return make_v3_checkpoint(tmp_path_factory.mktemp("float8") / "v3", **WIDE)


@pytest.fixture(scope="module")
def v2(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("float8") / "v2", **WIDE, stream_end=0)


def prompt_for(model):
    return build_prompt(conversation("Now.", [Voice(random_codes(5), "Hello.")]), model.tokenizer)


def matrices(model) -> dict[str, torch.nn.Module]:
    named = model.layers.named_modules(prefix="layers")
    return {name: part for name, part in named if isinstance(part, (Linear, Float8Linear, Int8Linear))}


# --- the product ----------------------------------------------------------------------------------------------------


def test_torchs_product_on_the_cpu_is_its_slow_twin(multiplied):
    assert quantized.float8_agrees("cpu") and quantized.multiplies_float8("cpu")
    draw = torch.Generator().manual_seed(1)
    for count in (1, 7, 40):
        x = torch.randn(count, 96, generator=draw) * 10 ** torch.randn(count, 1, generator=draw)
        weight, scale = quantized._pack_float8(torch.randn(48, 96, generator=draw))
        fast, slow = (one(x, weight, scale) for one in (quantized.float8_product, quantized.float8_product_widened))
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4 * float(slow.abs().max()))


def test_on_a_cpu_they_are_widened_and_exact():
    assert not quantized.multiplies_float8("cpu")
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(0))
    part, x = Float8Linear(weight, None), torch.randn(3, 96)
    torch.testing.assert_close(part(x), x @ (part.weight.float() * part.scale[:, None]).t())


def test_a_wrong_product_is_not_used(multiplied, monkeypatch, caplog):
    plain = torch._scaled_mm
    monkeypatch.setattr(torch, "_scaled_mm", lambda *args, **more: plain(*args, **more) * 1.5)
    assert not quantized.float8_agrees("cpu") and "8-bit floats is wrong on this device" in caplog.text
    for error in (NotImplementedError, RuntimeError("requires compute capability"), AttributeError, TypeError):

        def missing(*args, error=error, **more):
            raise error

        monkeypatch.setattr(torch, "_scaled_mm", missing)
        assert not quantized.float8_agrees("cpu")


def test_odd_sizes_are_widened(multiplied):
    weight = torch.randn(33, 72, generator=torch.Generator().manual_seed(0))
    part, x = Float8Linear(weight, None), torch.randn(3, 72)
    torch.testing.assert_close(part(x), x @ (part.weight.float() * part.scale[:, None]).t())


@pytest.mark.parametrize("fast", [False, True])
def test_what_cannot_be_shows(fast, monkeypatch, multiplied):
    """Rows of zeros are zeros, and what is no number stays none instead of becoming one."""
    widen_on(monkeypatch, set() if fast else {"cpu"})
    weight = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    part = Float8Linear(weight, None)
    x = torch.zeros(3, 64)
    x[1], x[2, 5] = 1e30, float("nan")
    out = part(x)
    assert not out[:2, 3].any() and not out[0].any() and out[1].isfinite().all() and out[2].isnan().all()


# --- a checkpoint that has them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("which", ["v2", "v3"])
def test_they_are_kept_to_the_bit_where_they_are_multiplied(which, scales, request, tmp_path, multiplied):
    source = request.getfixturevalue(which)
    folder, meant = in_float8(source, tmp_path / "float8", SCALES[scales])
    stored, kept = load_file(folder / "model.safetensors"), load_model(folder, dtype=torch.bfloat16)
    assert matrices(kept) and all(isinstance(part, Float8Linear) for part in matrices(kept).values())
    prefix = "model." if which == "v2" else "body."
    o, qkv = kept.layers[1].attention.o, kept.layers[1].attention.qkv
    name = f"{prefix}layers.1.self_attn.o_proj.weight"
    assert o.weight.dtype == E4M3 and torch.equal(o.weight.view(torch.uint8), stored[name].view(torch.uint8))
    parts = [stored[f"{prefix}layers.1.self_attn.{one}_proj.weight"].view(torch.uint8) for one in "qkv"]
    assert torch.equal(qkv.weight.view(torch.uint8), torch.cat(parts))
    wide = [meant[f"{prefix}layers.1.self_attn.{one}_proj.weight"] for one in "qkv"]
    assert torch.equal(qkv._unpacked(slice(None), torch.float32), torch.cat(wide))
    assert weights_bytes(kept.config, torch.bfloat16, "fp8") == pytest.approx(model_bytes(kept), rel=0.02)


def test_logits_are_near_those_of_the_widened_ones(v3, tmp_path, multiplied):
    folder, _ = in_float8(v3, tmp_path / "float8", "{0}_scale:channel")
    kept, exact = load_model(folder, dtype=torch.bfloat16), load_model(folder)
    prompt = prompt_for(exact)
    one, other = kept.logits(prompt).flatten().float(), exact.logits(prompt).flatten()
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_a_take_is_the_same_alone_in_a_batch_and_by_the_slow_twin(v2, tmp_path, multiplied, monkeypatch):
    folder, _ = in_float8(v2, tmp_path / "float8", "{0}_scale:tensor")
    model = load_model(folder, dtype=torch.bfloat16)
    prompt, chosen = prompt_for(model), [Sampling(temperature=0, max_frames=10 + n) for n in range(3)]
    takes = Session(model, batch=3).generate([prompt] * 3, chosen)
    alone = [Session(model).generate([prompt], [one])[0] for one in chosen]
    assert [one.frames for one in alone] == [10, 11, 12]
    assert all(torch.equal(a.rows, b.rows) for a, b in zip(takes, alone, strict=True))
    monkeypatch.setattr(quantized, "float8_product", quantized.float8_product_widened)
    assert torch.equal(Session(model).generate([prompt], chosen[:1])[0].rows, alone[0].rows)


def test_what_is_not_whole_in_them_is_widened(v3, tmp_path, multiplied):
    """One matrix of a layer in bfloat16, or in the other 8-bit floats; and float32, which asks for exact numbers."""

    def chosen(folder, dtype=torch.bfloat16):
        return auto_quantization(open_source(folder), "cpu", dtype)

    folder, _ = in_float8(v3, tmp_path / "float8", "{0}_scale:tensor")
    assert chosen(folder) == chosen(folder, torch.float16) == "fp8" and chosen(folder, torch.float32) is None
    some, meant = in_float8(
        v3, tmp_path / "some", "{0}_scale:tensor", chosen=lambda name: "_proj." in name and "down" not in name
    )
    assert chosen(some) is None and chosen(v3) is None
    plain = copied(v3, tmp_path / "plain", meant)
    for name, part in matrices(load_model(some, dtype=torch.bfloat16)).items():
        weight = load_model(plain, dtype=torch.bfloat16).get_submodule(name).matrices
        assert torch.equal(torch.cat(part.matrices), torch.cat(weight))
    name = "body.layers.0.mlp.gate_proj.weight"
    edit_tensors(folder, lambda t: t.update({name: t[name].float().to(torch.float8_e5m2)}))
    assert chosen(folder) is None


def test_any_checkpoint_can_be_loaded_in_them(v3, tmp_path):
    """Also where they are not multiplied: half of bfloat16."""
    model = load_model(v3, dtype=torch.bfloat16, quantization="fp8")
    assert all(isinstance(part, Float8Linear) for part in matrices(model).values())
    exact = load_model(v3)
    one, other = model.logits(prompt_for(model)).flatten(), exact.logits(prompt_for(exact)).flatten()
    assert torch.nn.functional.cosine_similarity(one.float(), other, dim=0) > 0.99


def test_scales_of_blocks_are_refused_as_before(v3, tmp_path, multiplied):
    name = "body.layers.0.mlp.gate_proj.weight"
    folder, _ = in_float8(v3, tmp_path / "float8", "{0}_scale_inv:tensor")
    edit_tensors(folder, lambda t: t.update({f"{name}_scale_inv": torch.ones(3, 2)}))
    with pytest.raises(CheckpointError, match="scales of another kind"):
        load_model(folder, dtype=torch.bfloat16)


def test_a_device_without_such_numbers_says_so(v3, monkeypatch):
    def none(*_, **__):
        raise TypeError("this device has no float8_e4m3fn")

    monkeypatch.setattr(quantized.torch, "zeros", none)
    with pytest.raises(SettingError, match="no 8-bit floats.*Expected int8 or int4, got fp8 on 'cpu'.*Choose int8"):
        quantized.check_stored("fp8", "cpu")
    quantized.check_stored("int8", "cpu")


# --- who has to know ------------------------------------------------------------------------------------------------


def test_takes_have_keys_of_their_own(v3, tmp_path, multiplied, monkeypatch):
    """Rounded activations are other codes than widened weights."""
    folder, _ = in_float8(v3, tmp_path / "float8", "{0}_scale:tensor")

    def kind(path, dtype=torch.bfloat16, quantization=None):
        return model_identity(path, device="cpu", dtype=dtype, quantization=quantization).quantization

    assert (kind(folder), kind(folder, torch.float32), kind(v3), kind(v3, quantization="fp8")) == (
        "fp8",
        None,
        None,
        "fp8",
    )
    widen_on(monkeypatch, {"cpu"})
    assert (kind(folder), kind(v3, quantization="fp8")) == (None, "fp8 widened")


def test_a_checkpoint_is_converted_from_them_and_not_into_them(v3, tmp_path, multiplied):
    folder, meant = in_float8(v3, tmp_path / "float8", "{0}_scale:channel")
    made = load_model(convert_model(folder, tmp_path / "int8", "int8"), dtype=torch.bfloat16)
    weight, scale = quantized._pack_int8(meant["body.layers.0.self_attn.o_proj.weight"])
    assert torch.equal(made.layers[0].attention.o.weight, weight)
    assert torch.equal(made.layers[0].attention.o.scale, scale.bfloat16())
    with pytest.raises(SettingError, match="'int8' or 'int4', got 'fp8'"):
        convert_model(v3, tmp_path / "fp8", "fp8")
    assert auto_quantization(open_source(tmp_path / "int8"), "cpu", torch.bfloat16) == "int8"


def test_off_on_the_loader_keeps_them(v3, tmp_path, monkeypatch):
    """As ComfyUI opens it: what is loaded into ordinary memory is decided by the device that it is meant for."""
    handles = node_module("host.handles")
    inside = sys.modules[f"{PACK}.higgs_runtime.model.quantization"]
    widen_on(monkeypatch, set(), inside)
    folder, _ = in_float8(v3, tmp_path / "float8", "{0}_scale:tensor")
    cache, kinds = node_module("host.residency").model_cache(), []
    try:
        for choice in ({"dtype": "bfloat16"}, {"dtype": "float32"}, {"quantization": "int8"}):
            with handles.open_model(handles.ModelHandle("lm", str(folder), **choice)) as model:
                [(key, *_)] = [one for one in cache.stats().models if one[2]]  # in use
                kinds.append((type(model.layers[0].attention.o).__name__, key.quantization))
    finally:
        cache.clear()
        inside.multiplies_float8.cache_clear()
    assert kinds == [("Float8Linear", "fp8"), ("Linear", None), ("Int8Linear", "int8")]
