"""What is told of a checkpoint before it is chosen."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers_checkpoint import make_folder, make_lm_checkpoint
from safetensors.torch import save_file

from higgs_runtime import convert_model
from higgs_runtime.cli import main
from higgs_runtime.hub.catalog import EMBEDDED, find_checkpoints
from higgs_runtime.hub.describe import describe_checkpoint

V2 = "Boson Higgs Audio 2 Community License"


def stored(folder, model_type, tensors, name="model.safetensors"):
    """A folder with these tensors; its config tells its kind and nothing else."""
    make_folder(folder, model_type, ["tokenizer.json"])
    save_file(tensors, folder / name)
    return folder


def told(root) -> dict[str, str]:
    return {item.name: str(describe_checkpoint(item)) for item in find_checkpoints([root])}


def test_layout_size_format_and_licence_of_each_kind(tmp_path):
    many, few = torch.zeros(1000, 1000, dtype=torch.bfloat16), torch.zeros(10)
    stored(tmp_path / "native", "higgs_audio_v2", {"a": many, "b": few})
    stored(tmp_path / "original", "higgs_audio", {"a": many.half()})
    stored(tmp_path / "codec", "higgs_audio_v2_tokenizer", {"a": many.float()})
    stored(tmp_path / "v3", "higgs_multimodal_qwen3", {"a": many})
    stored(
        tmp_path / "v3-whole",
        "higgs_multimodal_qwen3",
        {"a": many, "tied.embedding.modality_embeddings.0.model.fc.bias": torch.zeros(400_000)},
    )
    assert told(tmp_path) == {
        "native": f"v2, transformers-native · 2.0 MB · bfloat16 · {V2}",
        "original": f"v2, original layout · 2.0 MB · float16 · {V2}",
        "codec": f"codec, transformers-native · 4.0 MB · float32 · {V2}",
        "v3": "v3 without codec · 2.0 MB · bfloat16 · non-commercial; creators may publish with a credit",
        "v3-whole": "v3 with its codec · 3.6 MB · bfloat16 and float32 · non-commercial; creators may publish with a "
        "credit",
    }


def test_codecs_in_pickles(tmp_path):
    folder = make_folder(tmp_path / "codec", "", [])
    (folder / "config.json").write_text(json.dumps({"semantic_techer": "", "ratios": [], "bins": 1}))
    torch.save({"a": torch.zeros(1000, 500)}, folder / "model.pth")
    torch.save({"state_dict": {}}, tmp_path / "weights_24khz.pth")
    found = told(tmp_path)
    assert found["codec"] == f"codec, original layout · 2.0 MB · float32 · {V2}"
    assert found["weights_24khz.pth"] == "DAC · 0.0 MB"
    (folder / "model.pth").write_bytes(b"no pickle")
    assert "damaged: " in told(tmp_path)["codec"]


def test_shards_count_together_and_a_lost_one_is_missing(tmp_path):
    folder = stored(tmp_path / "lm", "higgs_audio", {"a": torch.zeros(500_000)}, "one.safetensors")
    save_file({"b": torch.zeros(500_000).half()}, folder / "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert told(tmp_path)["lm"] == f"v2, original layout · 3.0 MB · float32 and float16 · {V2}"
    (folder / "two.safetensors").unlink()
    [item] = find_checkpoints([tmp_path])
    assert item.label == "lm (missing: two.safetensors)"
    assert str(describe_checkpoint(item)) == f"v2, original layout · 2.0 MB · {V2}"


@pytest.mark.parametrize("cut", [4, 200, 1_000_000])
def test_a_file_that_was_cut_off_is_seen_in_the_list(tmp_path, cut):
    file = stored(tmp_path / "lm", "higgs_audio_v2", {"a": torch.zeros(500_000)}) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    assert "damaged" in told(tmp_path)["lm"] and f"{cut} bytes" in told(tmp_path)["lm"]


def test_a_clone_without_its_large_files_is_seen(tmp_path):
    file = make_folder(tmp_path / "lm") / "model.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 11600000000\n")
    assert "damaged: " in told(tmp_path)["lm"] and "a pointer of Git LFS in its place" in told(tmp_path)["lm"]


def test_a_folder_without_a_model_is_still_described(tmp_path):
    make_folder(tmp_path / "no-config", "", ["model.safetensors"])
    (make_folder(tmp_path / "broken") / "config.json").write_text("{")
    assert told(tmp_path) == {"no-config": "unknown · 0.0 MB", "broken": "unknown · 0.0 MB"}


def test_a_file_deleted_meanwhile_is_reported_as_deleted(tmp_path):
    [item] = find_checkpoints([make_folder(tmp_path / "lm").parent])
    shutil.rmtree(tmp_path / "lm")
    assert str(describe_checkpoint(item)).startswith("v2, transformers-native · 0.0 MB · cannot be read: ")


def test_a_converted_one_says_its_bits(tmp_path):
    source = make_lm_checkpoint(tmp_path / "source", num_hidden_layers=1)
    for quantization in ("int8", "int4"):
        convert_model(source, tmp_path / "models" / quantization, quantization)
    assert " · int8 and bfloat16 · " in told(tmp_path / "models")["int8"]
    assert " · int4 and bfloat16 · " in told(tmp_path / "models")["int4"]


def test_the_packs_own_are_free(capsys):
    assert told(EMBEDDED)["higgs-nano"] == "v2, transformers-native · 17.0 MB · float16 · Apache-2.0, of the pack"
    assert main(["models", "nano-codec"]) == 0
    assert "5.7 MB · float16 · Apache-2.0" in capsys.readouterr().out
