"""Model folders that are missing, broken or of another kind, and strict assignment of tensors."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers_checkpoint import edit_tensors
from helpers_codec import make_codec_checkpoint, sound_clip
from safetensors.torch import save_file

from higgs_runtime.checkpoint.assign import assign_strict
from higgs_runtime.checkpoint.files import checkpoint_tensors, read_config
from higgs_runtime.codec import load_codec
from higgs_runtime.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return make_codec_checkpoint(tmp_path_factory.mktemp("files") / "codec")


@pytest.fixture
def folder(released, tmp_path):
    return shutil.copytree(released, tmp_path / "codec")


def test_missing_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no such model folder.*nothing there"):
        load_codec(tmp_path / "nowhere")


def test_missing_config(folder):
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="has no config.json"):
        load_codec(folder)


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_broken_config(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="config.json"):
        load_codec(folder)


def test_language_model_chosen_as_codec(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "higgs_audio_v2"}))
    with pytest.raises(CheckpointError, match="another kind.*higgs_audio_v2_tokenizer.*language model.*Choose another"):
        load_codec(folder)


def test_config_without_model_type(folder):
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no model_type"):
        load_codec(folder)


def test_a_file_that_is_no_codec(folder):
    with pytest.raises(CheckpointError, match="not a codec.*safetensors file.*Choose the folder"):
        load_codec(folder / "model.safetensors")


def test_an_error_about_missing_weights_lists_the_files_found(folder):
    (folder / "model.safetensors").rename(folder / "model.pth")
    with pytest.raises(CheckpointError, match="Expected model.safetensors.*got model.pth"):
        load_codec(folder)


@pytest.mark.parametrize("keep", [0, 4, 1000, 0.5, 0.999])
def test_truncated_weights(folder, keep):
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors.*download the file again"):
        load_codec(folder)


def test_missing_and_unknown_tensors_are_named(folder):
    def change(tensors):
        tensors["fc.wait"] = tensors.pop("fc.weight")

    edit_tensors(folder, change)
    with pytest.raises(CheckpointError, match=r"1 missing \(fc.weight\) and 1 unknown \(fc.wait\)"):
        load_codec(folder)


def test_many_missing_tensors_are_counted(folder):
    def change(tensors):
        for name in [name for name in tensors if name.startswith("acoustic_decoder")]:
            del tensors[name]

    edit_tensors(folder, change)
    with pytest.raises(CheckpointError, match=r"\d{2,3} missing \(.*and \d+ more\)"):
        load_codec(folder)


def test_wrong_shapes_are_named(folder):
    edit_tensors(folder, lambda tensors: tensors.update({"fc.bias": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"1 tensors.*fc.bias \[48\].*\[3\]"):
        load_codec(folder)


def test_unused_tensors_may_be_absent(folder):
    def change(tensors):
        for name in [name for name in tensors if name.startswith(("decoder_semantic.", "fc1."))]:
            del tensors[name]

    edit_tensors(folder, change)
    load_codec(folder)


def test_old_names_of_weight_norm_are_read(folder, released):
    prefix = "semantic_model.encoder.pos_conv_embed.conv."

    def change(tensors):
        for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
            tensors[prefix + old] = tensors.pop(f"{prefix}parametrizations.weight.{new}")

    edit_tensors(folder, change)
    clip = sound_clip(1)
    assert torch.equal(load_codec(folder).encode(clip).ids, load_codec(released).encode(clip).ids)


def test_shards(tmp_path, released):
    folder = make_codec_checkpoint(tmp_path / "sharded", max_shard_size="200KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1 and not (folder / "model.safetensors").exists()
    clip = sound_clip(1)
    assert torch.equal(load_codec(folder).encode(clip).ids, load_codec(released).encode(clip).ids)
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"lacks shards.*no {shards[1].name}"):
        load_codec(folder)


def test_a_shard_that_lacks_an_indexed_tensor(tmp_path):
    folder = make_codec_checkpoint(tmp_path / "sharded", max_shard_size="200KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    shutil.copy(shards[0], shards[1])
    with pytest.raises(CheckpointError, match="do not hold what"):
        load_codec(folder)


def test_weights_stay_memory_mapped_and_are_not_copied(folder):
    module = load_codec(folder).module
    size = (folder / "model.safetensors").stat().st_size
    mapped = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    assert len(mapped) <= len(checkpoint_tensors(folder))
    data = [parameter.data_ptr() for parameter in module.parameters()]
    assert max(data) - min(data) < size  # all lie in the one mapping of the file
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in module.parameters())


def test_dtype_is_converted_and_integers_are_kept(tmp_path):
    save_file(
        {"weight": torch.ones(2, 3), "bias": torch.zeros(2), "steps": torch.tensor([7])}, tmp_path / "model.safetensors"
    )
    with torch.device("meta"):
        layer = torch.nn.Linear(3, 2)
        layer.register_buffer("steps", torch.zeros(1, dtype=torch.long))
    assign_strict(layer, checkpoint_tensors(tmp_path), dtype=torch.bfloat16)
    assert (layer.weight.dtype, layer.steps.dtype, layer.steps.item()) == (torch.bfloat16, torch.long, 7)


def test_a_failed_assignment_changes_nothing(tmp_path):
    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(5)}, tmp_path / "model.safetensors")
    layer = torch.nn.Linear(3, 2)
    before = layer.weight
    with pytest.raises(CheckpointError, match=r"bias \[2\]"):
        assign_strict(layer, checkpoint_tensors(tmp_path))
    assert layer.weight is before


def test_read_config_of_a_file_says_so(folder):
    with pytest.raises(CheckpointError, match="a file"):
        read_config(folder / "config.json")
