"""What is told of a checkpoint before it is chosen."""

from __future__ import annotations

import json
import shutil

import helpers_gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from helpers_checkpoint import add_to_config, make_folder, make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_forms import as_port, in_float8
from helpers_v3 import make_v3_checkpoint
from random_codec import SMALL
from safetensors.torch import load_file, save_file

from higgs_runtime import convert_model, load_codec, load_model
from higgs_runtime.cli import main
from higgs_runtime.hub import Loading, model_bytes
from higgs_runtime.hub.catalog import EMBEDDED, find_checkpoints
from higgs_runtime.hub.describe import describe_checkpoint
from higgs_runtime.model.loading import auto_dtype

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


@pytest.fixture(scope="module")
def forms_of_v3(tmp_path_factory):
    """The same model in each form of files."""
    root = tmp_path_factory.mktemp("forms")
    source = make_v3_checkpoint(root / "source", hidden_size=256, intermediate_size=512, num_hidden_layers=2)
    models = root / "models"
    in_float8(source, models / "float8", "{0}_scale:channel")
    as_port(source, models / "port")
    helpers_gguf.audiocpp(source, models / "q8_0.gguf", helpers_gguf.everywhere(Kind.Q8_0))
    convert_model(source, models / "int8", "int8")
    return models


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("quantization", [None, "int8", "int4", "fp8"])
def test_the_size_once_loaded_is_that_of_the_model(forms_of_v3, dtype, quantization):
    found = {item.name: item for item in find_checkpoints([forms_of_v3])}
    assert set(found) == {"float8", "port", "q8_0.gguf", "int8"}
    for name, item in found.items():
        told = describe_checkpoint(item, Loading("cpu", dtype, quantization))
        if name == "int8" and quantization in ("int4", "fp8"):
            assert told.loaded == ""  # it cannot be quantized again
            continue
        how = dtype or auto_dtype(item.path, "cpu")
        model = load_model(item.path, dtype=how, quantization=quantization)
        memory, size, unit, form = told.loaded.split(" ")
        assert (memory, unit) == ("RAM", "MB") and f" · → {told.loaded} · " in str(told)
        assert float(size) * 1e6 == pytest.approx(model_bytes(model), rel=0.01, abs=1e5), name
        assert form == (quantization or ("int8" if name == "int8" else str(how).removeprefix("torch.")))


def test_8_bit_floats_are_told_as_they_will_lie_there(forms_of_v3, monkeypatch):
    monkeypatch.setattr("higgs_runtime.model.loading.multiplies_float8", lambda device: True)
    [item] = [one for one in find_checkpoints([forms_of_v3]) if one.name == "float8"]
    told = [describe_checkpoint(item, Loading("cuda", one)).loaded for one in (torch.bfloat16, torch.float32)]
    assert told[0].startswith("VRAM ") and told[0].endswith(" fp8") and told[1].endswith(" float32")


def test_the_size_of_a_codec_once_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("higgs_runtime.hub.loaded.SIZES", SMALL)
    monkeypatch.setattr("higgs_runtime.codec.bundled.SIZES", SMALL)
    native = make_codec_checkpoint(tmp_path / "models" / "codec")
    source = make_v3_checkpoint(tmp_path / "v3", codec=load_file(native / "model.safetensors"))
    helpers_gguf.audiocpp(source, tmp_path / "models" / "v3.gguf")
    found = {item.name: item for item in find_checkpoints([tmp_path / "models"], "codec")}
    assert set(found) == {"codec", "v3.gguf"}
    for item in found.values():
        for dtype in (torch.float32, torch.float16):
            told = describe_checkpoint(item, Loading("cpu", dtype, kind="codec")).loaded
            size = model_bytes(load_codec(item.path, dtype=dtype))
            assert told == f"RAM {size / 1e6:.1f} MB {str(dtype).removeprefix('torch.')}"


def test_a_broken_config_has_no_size(tmp_path):
    for name, config in (("empty", {}), ("huge", {"hidden_size": 2**40, "num_hidden_layers": 2**40})):
        stored(tmp_path / name, "higgs_audio_v2", {"a": torch.zeros(4)})
        add_to_config(tmp_path / name, **config)
    told = [describe_checkpoint(item, Loading("cpu")) for item in find_checkpoints([tmp_path])]
    assert [one.loaded for one in told] == ["", ""] and all("→" not in str(one) for one in told)


def test_the_shell_tells_both_sizes(capsys):
    assert main(["models", "higgs-nano"]) == 0
    assert " · 17.0 MB · float16 · → " in capsys.readouterr().out


def test_the_packs_own_are_free(capsys):
    assert told(EMBEDDED)["higgs-nano"] == "v2, transformers-native · 17.0 MB · float16 · Apache-2.0, of the pack"
    assert main(["models", "nano-codec"]) == 0
    assert "5.7 MB · float16 · → RAM 9.1 MB float32 · Apache-2.0" in capsys.readouterr().out.replace("VRAM", "RAM")
