"""Loading a language model: strictly, without copies, and with errors that name what is wrong."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from helpers_checkpoint import edit_tensors, make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from safetensors.torch import load_file, save_file

from higgs_runtime import CheckpointError, MemoryShortError, SettingError, load_model
from higgs_runtime.model import memory as memory_module
from higgs_runtime.model.memory import weights_bytes


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), num_hidden_layers=1)


@pytest.fixture
def copy(lm_folder, tmp_path):
    return shutil.copytree(lm_folder, tmp_path / "model")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_that_fit_are_mapped_not_copied(lm_folder):
    """They lie in the file: another dtype makes a copy, and so does packing several matrices into one."""
    model = load_model(lm_folder)
    file = str(lm_folder / "model.safetensors")
    ranges = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.rstrip().endswith(file):
                ranges.append(tuple(int(part, 16) for part in line.split()[0].split("-")))
    assert ranges
    mapped = {
        name
        for name, parameter in model.named_parameters()
        if any(low <= parameter.data_ptr() < high for low, high in ranges)
    }
    assert {name for name, _ in model.named_parameters()} - mapped == {
        name for name, _ in model.named_parameters() if "qkv" in name or "gate_up" in name
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype(lm_folder, dtype):
    model = load_model(lm_folder, dtype=dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model.inverse_frequencies.dtype == torch.float32
    assert not any(p.is_meta for p in [*model.parameters(), *model.buffers()])


def test_unknown_missing_and_misshapen_tensors_are_named(copy):
    edit_tensors(copy, lambda t: t.update({"model.extra.weight": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match=r"model\.extra\.weight"):
        load_model(copy)
    edit_tensors(copy, lambda t: (t.pop("model.extra.weight"), t.pop("model.layers.0.audio_mlp.up_proj.weight")))
    with pytest.raises(CheckpointError, match=r"audio.*up"):
        load_model(copy)


def test_misshapen_tensor_is_named(copy):
    edit_tensors(copy, lambda t: t.update({"model.norm.weight": torch.zeros(63)}))
    with pytest.raises(CheckpointError, match=r"norm\.weight.*63"):
        load_model(copy)


def test_a_text_head_is_ignored(copy):
    edit_tensors(copy, lambda t: t.update({"text_lm_head.weight": torch.zeros(4, 64)}))
    load_model(copy)


def test_shards(copy):
    single = dict(load_model(copy).named_parameters())
    tensors = load_file(copy / "model.safetensors")
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: tensors[name].clone() for name in part}, copy / file, metadata={"format": "pt"})
    weight_map = {name: file for file, part in halves.items() for name in part}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (copy / "model.safetensors").unlink()
    whole = dict(load_model(copy).named_parameters())
    assert whole.keys() == single.keys() and all(torch.equal(whole[name], single[name]) for name in single)
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


@pytest.mark.parametrize(
    "change, says",
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"num_key_value_heads": 3}, "3 key/value heads"),
        ({"codebook_size": 1024}, "no room"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "yarn"),
        ({"model_type": "llama"}, "llama"),
    ],
)
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


def test_an_unknown_quantization_is_refused(copy):
    with pytest.raises(SettingError, match="'int8' or 'int4'"):
        load_model(copy, quantization="int3")


def test_packed_matrices_are_the_files_matrices_stacked(lm_folder):
    tensors, model = load_file(lm_folder / "model.safetensors"), load_model(lm_folder)
    prefix = "model.layers.0."
    wanted = [tensors[f"{prefix}self_attn.{part}_proj.weight"] for part in "qkv"]
    assert torch.equal(model.layers[0].attention.qkv.weight, torch.cat(wanted))
    wanted = [tensors[f"{prefix}audio_mlp.{part}_proj.weight"] for part in ("gate", "up")]
    assert torch.equal(model.layers[0].audio.ffn.gate_up.weight, torch.cat(wanted))


def test_a_missing_part_of_a_packed_matrix_is_named(copy):
    edit_tensors(copy, lambda t: t.pop("model.layers.0.self_attn.k_proj.weight"))
    with pytest.raises(CheckpointError, match=r"layers\.0\.attention\.k\.weight"):
        load_model(copy)


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(copy, monkeypatch):
    needed = weights_bytes(load_model(copy).config, torch.float32)
    monkeypatch.setattr(memory_module, "free_bytes", lambda device: needed - 1)
    (copy / "tokenizer.json").unlink()  # the next file that would be read
    with pytest.raises(MemoryShortError, match="not enough memory for this model.*smaller dtype"):
        load_model(copy)
    with pytest.raises(CheckpointError, match="tokenizer"):  # half the size: it goes on
        load_model(copy, dtype=torch.bfloat16)
    with pytest.raises(CheckpointError, match="tokenizer"):
        load_model(copy, quantization="int8")
