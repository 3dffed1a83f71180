"""Checkpoints that are written anew in 8 or 4 bits."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers_checkpoint import make_folder, make_lm_checkpoint
from helpers_v3 import make_v3_checkpoint

from higgs_runtime import CheckpointError, Sampling, SettingError, build_prompt, conversation, generate, load_model
from higgs_runtime import convert as convert_module
from higgs_runtime.cli import main
from higgs_runtime.convert import convert_model
from higgs_runtime.model_cache import model_bytes


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    wide = {"hidden_size": 128, "intermediate_size": 192}
    return {"v2": make_lm_checkpoint(root / "v2", attention_bias=True, **wide), "v3": make_v3_checkpoint(root / "v3")}


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("name", ["v2", pytest.param("v3", marks=pytest.mark.slow)])
def test_the_same_weights_as_quantized_while_loading(sources, tmp_path, name, quantization, dtype):
    source = shutil.copytree(sources[name], tmp_path / "source")
    fresh = load_model(source, dtype=dtype, quantization=quantization)
    made = convert_model(source, tmp_path / "small", quantization, dtype=dtype)
    shutil.rmtree(source)
    again = load_model(made, dtype=dtype)
    mine, theirs = again.state_dict(), fresh.state_dict()
    assert list(mine) == list(theirs)
    assert all(mine[key].dtype == theirs[key].dtype and torch.equal(mine[key], theirs[key]) for key in mine)
    assert model_bytes(again) == model_bytes(fresh)
    prompt = build_prompt(conversation("Hello there."), again.tokenizer)
    codes = [generate(model, [prompt], Sampling(seed=1, max_frames=8))[0].codes.ids for model in (again, fresh)]
    assert torch.equal(*codes)
    assert not list(tmp_path.glob("*.partial"))


def test_the_file_is_as_small_as_the_model(sources, tmp_path):
    made = convert_model(sources["v2"], tmp_path / "small", "int8")
    size = model_bytes(load_model(made, dtype=torch.bfloat16))
    assert (made / "model.safetensors").stat().st_size < 1.01 * size + 2e4


def test_it_is_quantized_once(sources, tmp_path):
    made = convert_model(sources["v2"], tmp_path / "small", "int8")
    assert load_model(made, quantization="int8").layers[0].attention.o.weight.dtype == torch.int8
    with pytest.raises(SettingError, match="quantized already.*'int8', or None.*'int4'"):
        load_model(made, quantization="int4")
    with pytest.raises(CheckpointError, match="converted already"):
        convert_model(made, tmp_path / "smaller", "int8")
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps({**config, "higgs_runtime_quantization": "int3"}))
    with pytest.raises(CheckpointError, match="another version"):
        load_model(made)


def test_nothing_is_overwritten_and_nothing_half_is_left(sources, tmp_path, monkeypatch):
    kept = make_folder(tmp_path / "there")
    with pytest.raises(CheckpointError, match="exists"):
        convert_model(sources["v2"], kept, "int8")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert_module.shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match="No space left"):
        convert_model(sources["v2"], tmp_path / "small", "int8")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_full_disk_is_seen_before(sources, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(convert_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CheckpointError, match="too full"):
        convert_model(sources["v2"], tmp_path / "small", "int4")
    assert not list(tmp_path.iterdir())


def test_by_command(sources, tmp_path, capsys):
    assert main(["convert", str(sources["v2"]), str(tmp_path / "small"), "--quantization", "int4"]) == 0
    assert "GB (v2 has" in capsys.readouterr().out
    assert load_model(tmp_path / "small").layers[0].attention.o.weight.dtype == torch.uint8
    assert main(["convert", str(sources["v2"]), str(tmp_path / "small")]) == 1
    assert "exists" in capsys.readouterr().err
