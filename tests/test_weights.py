"""Loading a language model: strictly, without copies, and with errors that name what is wrong."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from safetensors.torch import load_file, save_file

from higgs_runtime import CheckpointError, SettingError, load_model


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), num_hidden_layers=1)


@pytest.fixture
def copy(lm_folder, tmp_path):
    return shutil.copytree(lm_folder, tmp_path / "model")


def rewrite(folder, change):
    file = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_are_mapped_not_copied(lm_folder):
    """The parameters lie in the mapped file: changing the dtype is what makes a copy."""
    model = load_model(lm_folder)
    file = str(lm_folder / "model.safetensors")
    ranges = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.rstrip().endswith(file):
                ranges.append(tuple(int(part, 16) for part in line.split()[0].split("-")))
    assert ranges
    for name, parameter in model.named_parameters():
        assert any(low <= parameter.data_ptr() < high for low, high in ranges), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype(lm_folder, dtype):
    model = load_model(lm_folder, dtype=dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model.inverse_frequencies.dtype == torch.float32
    assert not any(p.is_meta for p in [*model.parameters(), *model.buffers()])


def test_unknown_missing_and_misshapen_tensors_are_named(copy):
    rewrite(copy, lambda t: t.update({"model.extra.weight": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match=r"model\.extra\.weight"):
        load_model(copy)
    rewrite(copy, lambda t: (t.pop("model.extra.weight"), t.pop("model.layers.0.audio_mlp.up_proj.weight")))
    with pytest.raises(CheckpointError, match=r"audio.*up"):
        load_model(copy)


def test_misshapen_tensor_is_named(copy):
    rewrite(copy, lambda t: t.update({"model.norm.weight": torch.zeros(63)}))
    with pytest.raises(CheckpointError, match=r"norm\.weight.*63"):
        load_model(copy)


def test_a_text_head_is_ignored(copy):
    rewrite(copy, lambda t: t.update({"text_lm_head.weight": torch.zeros(4, 64)}))
    load_model(copy)


def test_shards(copy):
    tensors = load_file(copy / "model.safetensors")
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: tensors[name].clone() for name in part}, copy / file, metadata={"format": "pt"})
    weight_map = {name: file for file, part in halves.items() for name in part}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (copy / "model.safetensors").unlink()
    whole = {name: p.clone() for name, p in load_model(copy).named_parameters()}
    assert len(whole) == len(names)
    (copy / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match="b.safetensors"):
        load_model(copy)


def test_truncated_file(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        load_model(copy)


def test_not_a_checkpoint(copy, tmp_path):
    with pytest.raises(CheckpointError, match="no such"):
        load_model(tmp_path / "nothing")
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model.safetensors"):
        load_model(copy)
    (copy / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="JSON object"):
        load_model(copy)
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match="no config.json"):
        load_model(copy)


def test_a_codec_is_not_a_language_model(tmp_path):
    with pytest.raises(CheckpointError, match="higgs_audio_v2_tokenizer"):
        load_model(make_codec_checkpoint(tmp_path / "codec"))


@pytest.mark.parametrize("change, says", [
    ({"hidden_size": None}, "hidden_size"),
    ({"hidden_act": "gelu"}, "gelu"),
    ({"num_key_value_heads": 3}, "3 key/value heads"),
    ({"codebook_size": 1024}, "no room"),
    ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "yarn"),
    ({"model_type": "llama"}, "llama"),
])
def test_contradictory_config(copy, change, says):
    config = json.loads((copy / "config.json").read_text())
    config.update(change)
    config = {key: value for key, value in config.items() if value is not None}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=says):
        load_model(copy)


def test_older_rope_fields_mean_the_same(copy):
    """transformers 4.x wrote rope_theta and rope_scaling."""
    new = load_model(copy).config
    config = json.loads((copy / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    (copy / "config.json").write_text(json.dumps(config))
    assert load_model(copy).config == new


def test_quantization_is_refused_until_it_exists(copy):
    with pytest.raises(SettingError, match="int8"):
        load_model(copy, quantization="int8")
