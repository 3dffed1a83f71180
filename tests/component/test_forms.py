"""A checkpoint in the forms that other tools write speaks as the released one; what is not read is named."""

from __future__ import annotations

import json

import pytest
import torch
from helpers_checkpoint import add_to_config, edit_tensors, make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint
from helpers_forms import as_port, copied, in_float8
from helpers_v3 import make_v3_checkpoint
from safetensors.torch import load_file

from higgs_runtime import CheckpointError, Voice, build_prompt, conversation, convert_model, load_codec, load_model
from higgs_runtime.checkpoint.files import checkpoint_tensors
from higgs_runtime.hub import default_pair, describe_checkpoint, find_checkpoints
from higgs_runtime.model.quantization import Int8Linear, _pack_int8
from higgs_runtime.takes.keys import model_identity


@pytest.fixture(scope="module")
def v3(tmp_path_factory):
    return make_v3_checkpoint(tmp_path_factory.mktemp("forms") / "v3")


@pytest.fixture(scope="module")
def v2(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("forms") / "v2")


def logits(model):
    prompt = build_prompt(conversation("Now.", [Voice(random_codes(5), "Hello.")]), model.tokenizer)
    return model.logits(prompt)


def same(one, other) -> bool:
    """Whether two models have the same weights."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- the transformers port of v3 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards, with_head", [(1, False), (3, False), (1, True)])
def test_the_port_of_v3_is_the_released_model(v3, tmp_path, shards, with_head):
    folder = as_port(v3, tmp_path / "port", shards=shards, with_head=with_head)
    assert all("body." not in name for name in checkpoint_tensors(folder))
    ours, theirs = load_model(v3), load_model(folder)
    assert same(ours, theirs) and torch.equal(logits(ours), logits(theirs))
    assert theirs.audio_head.weight is theirs.audio_embedding.weight
    packed = load_model(folder, quantization="int8")
    assert same(packed, load_model(v3, quantization="int8"))


def test_the_port_has_no_codec_and_gets_that_of_v2(v3, tmp_path):
    port = as_port(v3, tmp_path / "models" / "a port")
    with pytest.raises(CheckpointError, match="language model alone.*Choose the codec of v2, higgs-audio-v2-tokenizer"):
        load_codec(port)
    [item] = find_checkpoints([tmp_path / "models"])
    assert item.kind == "lm" and not item.with_codec and find_checkpoints([tmp_path / "models"], "codec") == []
    assert "v3 without codec" in str(describe_checkpoint(item)) and "non-commercial" in item.licence.lower()
    assert [one.embedded for one in default_pair(find_checkpoints([tmp_path / "models"]))] == [True, True]
    make_codec_checkpoint(tmp_path / "models" / "z codec")
    assert [one.name for one in default_pair(find_checkpoints([tmp_path / "models"]))] == ["a port", "z codec"]


def test_the_port_can_be_converted_and_has_takes_of_its_own(v3, tmp_path):
    port = as_port(v3, tmp_path / "port", shards=2)
    add_to_config(port, auto_map={"AutoModel": "modeling.X"})
    made = convert_model(port, tmp_path / "int8", "int8", dtype=torch.float32)
    assert same(load_model(made), load_model(v3, quantization="int8"))
    assert "auto_map" not in json.loads((made / "config.json").read_text())
    keys = [model_identity(path, device="cpu", dtype=torch.float32).weights for path in (v3, port)]
    assert keys[0] != keys[1]


def test_a_tensor_too_many_or_too_few_in_the_port_is_named(v3, tmp_path):
    port = as_port(v3, tmp_path / "port")
    edit_tensors(port, lambda t: (t.pop("model.norm.weight"), t.update({"model.layers.0.extra": torch.ones(2)})))
    with pytest.raises(CheckpointError, match=r"1 missing \(norm.weight\) and 1 unknown \(model.layers.0.extra\)"):
        load_model(port)


# --- 8-bit floats ---------------------------------------------------------------------------------------------------

SCALES = {
    "none": "",
    "by tensor": "{0}_scale:tensor",
    "by channel": "{0}_scale:channel",
    "by channel, flat": "{0}_scale:flat channel",
    "inverse by name": "{0}_scale_inv:tensor",
    "as ComfyUI names it": "{1}.scale_weight:tensor",
}


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("which", ["v2", "v3"])
def test_8_bit_floats_are_widened(which, scales, request, tmp_path):
    source = request.getfixturevalue(which)
    folder, meant = in_float8(source, tmp_path / "float8", SCALES[scales])
    plain = copied(source, tmp_path / "plain", meant)
    for how in (
        {"dtype": torch.float32},
        {"dtype": torch.bfloat16},
        {"dtype": torch.float32, "quantization": "int8"},
        {"dtype": torch.float32, "quantization": "int4"},
    ):
        assert same(load_model(folder, **how), load_model(plain, **how)), how


def test_8_bit_floats_are_packed_as_exactly_as_they_are(v3, tmp_path):
    """Not rounded to bfloat16 between, although that is what the rest gets."""
    folder, meant = in_float8(v3, tmp_path / "float8", "{0}_scale:channel")
    packed = load_model(folder, dtype=torch.bfloat16, quantization="int8").layers[0].attention.o
    assert isinstance(packed, Int8Linear) and packed.scale.dtype == torch.bfloat16
    weight, scale = _pack_int8(meant["body.layers.0.self_attn.o_proj.weight"])
    assert torch.equal(packed.weight, weight) and torch.equal(packed.scale, scale.bfloat16())


def test_all_may_be_8_bit_floats_and_marked_so(v2, tmp_path):
    folder, meant = in_float8(v2, tmp_path / "float8", chosen=lambda name: True)
    edit_tensors(folder, lambda t: t.update(scaled_fp8=torch.zeros(2).to(torch.float8_e4m3fn)))
    plain = copied(v2, tmp_path / "plain", meant)
    assert same(load_model(folder, dtype=torch.bfloat16), load_model(plain, dtype=torch.bfloat16))


def test_8_bit_floats_are_described_and_converted(v3, tmp_path):
    folder, _ = in_float8(v3, tmp_path / "models" / "float8", "{0}_scale:tensor", chosen=lambda name: True)
    add_to_config(folder, quantization_config={"quant_method": "fp8"})
    [item] = find_checkpoints([tmp_path / "models"])
    assert item.usable and describe_checkpoint(item).dtype == "float8_e4m3fn"
    made = convert_model(folder, tmp_path / "int8", "int8", dtype=torch.float32)
    assert same(load_model(made), load_model(folder, quantization="int8"))
    assert "quantization_config" not in json.loads((made / "config.json").read_text())


def test_scales_of_blocks_are_named(v3, tmp_path):
    name = "body.layers.0.mlp.gate_proj.weight"
    folder, _ = in_float8(v3, tmp_path / "float8", "{0}_scale_inv:tensor")
    edit_tensors(folder, lambda t: t.update({f"{name}_scale_inv": torch.ones(3, 2)}))
    with pytest.raises(CheckpointError, match=rf"scales of another kind.*96 rows, got '{name}_scale_inv' \[3, 2\]"):
        load_model(folder)


# --- what is not read -----------------------------------------------------------------------------------------------

AWQ = {"quantization_config": {"quant_method": "awq", "bits": 4}}
OTHERS = {
    "AWQ": (AWQ, {"{}.qweight": torch.int32, "{}.qzeros": torch.int32, "{}.scales": torch.float16}),
    "AWQ or GPTQ": ({}, {"{}.qweight": torch.int32, "{}.scales": torch.float16}),
    "NVFP4": (
        {},
        {"{}.weight": torch.uint8, "{}.weight_scale": torch.float8_e4m3fn, "{}.weight_scale_2": torch.float32},
    ),
    "compressed-tensors": ({}, {"{}.weight_packed": torch.int32, "{}.weight_scale": torch.float32}),
    "MLX": (
        {"quantization": {"group_size": 64, "bits": 4}},
        {"{}.weight": torch.uint32, "{}.scales": torch.float16, "{}.biases": torch.float16},
    ),
    "bitsandbytes": ({}, {"{}.weight": torch.uint8, "{}.weight.absmax": torch.uint8}),
}


@pytest.mark.parametrize("tool", OTHERS)
def test_other_quantizations_are_named_with_what_is_read(tool, v3, tmp_path):
    config, parts = OTHERS[tool]
    tensors = load_file(v3 / "model.safetensors")
    for name in [name for name in tensors if "_proj.weight" in name]:
        shape = tensors.pop(name).shape
        for pattern, dtype in parts.items():
            tensors[pattern.format(name.removesuffix(".weight"))] = torch.zeros(shape, dtype=dtype)
    folder = copied(v3, tmp_path / "models" / "other", tensors)
    add_to_config(folder, **config)
    with pytest.raises(CheckpointError, match=rf"not supported.*8-bit floats \(E4M3\), GGUF.*got {tool}\..*int8"):
        load_model(folder)
    [item] = find_checkpoints([tmp_path / "models"])
    assert item.label == f"other (not supported: quantized by {tool})" and not item.usable
    assert f"quantized by {tool}" in describe_checkpoint(item).problem
    assert all(one.embedded for one in default_pair([item]))
