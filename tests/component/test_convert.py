"""Checkpoints that are written anew: language models in 8 or 4 bits, codecs in half precision."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import helpers_gguf
import pytest
import torch
from helpers_checkpoint import edit_tensors, make_folder, make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint, sound_clip
from helpers_forms import as_port, in_float8
from helpers_v3 import make_v3_checkpoint
from random_codec import SMALL
from safetensors.torch import load_file

from higgs_runtime import (
    AudioClip,
    CheckpointError,
    NumericError,
    Sampling,
    SettingError,
    build_prompt,
    conversation,
    generate,
    load_codec,
    load_model,
)
from higgs_runtime.checkpoint import safetensors_file as tensor_files
from higgs_runtime.cli import main
from higgs_runtime.codec import bundled
from higgs_runtime.codec.higgs_config import HiggsCodecConfig
from higgs_runtime.hub import convert as convert_module
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.hub.catalog import EMBEDDED, find_checkpoints
from higgs_runtime.hub.convert import convert_codec, convert_model

NARROW = {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 128}
ROOT = Path(__file__).resolve().parents[2]


class MadeWhenAsked(dict):
    """name -> checkpoint, from name -> what makes it."""

    def __init__(self, ways):
        super().__init__()
        self.ways = ways

    def __missing__(self, name):
        return self.setdefault(name, self.ways[name]())


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    wide = {"hidden_size": 128, "intermediate_size": 192}
    ways = {
        "v2": lambda: make_lm_checkpoint(root / "v2", attention_bias=True, **wide),
        "v3": lambda: make_v3_checkpoint(root / "v3"),
    }
    return MadeWhenAsked(ways)


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("quantization", ["int8", pytest.param("int4", marks=pytest.mark.slow)])
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
    assert not list(tmp_path.glob(".*"))


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

    monkeypatch.setattr(convert_module, "write_tensors", full)
    with pytest.raises(CheckpointError, match="No space left"):
        convert_model(sources["v2"], tmp_path / "small", "int8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="exists"):
        convert_model(sources["v2"], tmp_path / "link", "int8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "there"]


def stop_at(share):
    """Progress that is told in order and asks to stop when so much is done."""
    seen = []

    def on_progress(done, total):
        assert total == 1000 and done >= (seen or [0])[-1]
        seen.append(done)
        if done >= 1000 * share:
            raise KeyboardInterrupt

    return on_progress, seen


@pytest.mark.parametrize("share", [0.5, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.1, 0.7))])
def test_it_stops_where_it_is_asked_to_and_leaves_nothing(sources, codec_folder, tmp_path, monkeypatch, share):
    monkeypatch.setattr(tensor_files, "PIECE_BYTES", 1 << 18)
    for convert in (
        lambda *more: convert_model(sources["v2"], tmp_path / "small", "int8", on_progress=more[0]),
        lambda *more: convert_codec(codec_folder, tmp_path / "codec", on_progress=more[0]),
    ):
        on_progress, seen = stop_at(share)
        with pytest.raises(KeyboardInterrupt):
            convert(on_progress)
        assert not list(tmp_path.iterdir()) and 1000 * share <= seen[-1] < 1000 * share + 250


def test_progress_goes_to_the_end(sources, codec_folder, tmp_path):
    for convert in (
        lambda told: convert_model(sources["v2"], tmp_path / "small", "int8", on_progress=told),
        lambda told: convert_codec(codec_folder, tmp_path / "codec", on_progress=told),
    ):
        on_progress, seen = stop_at(2)
        convert(on_progress)
        assert seen[-1] == 1000


def test_leftovers_of_a_killed_conversion_are_hidden_and_removed(sources, tmp_path):
    left = make_folder(tmp_path / ".small.converting")
    assert find_checkpoints([tmp_path]) == []
    convert_model(sources["v2"], tmp_path / "small", "int8")
    assert not left.exists()


def test_weights_beyond_a_format_are_refused(sources, tmp_path):
    source = shutil.copytree(sources["v2"], tmp_path / "source")
    edit_tensors(source, lambda tensors: tensors["model.norm.weight"].fill_(1e6))
    with pytest.raises(NumericError, match="norm.weight.*float16.*bfloat16"):
        convert_model(source, tmp_path / "small", "int8", dtype=torch.float16)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_is_seen_before(sources, codec_folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(convert_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CheckpointError, match="too full"):
        convert_model(sources["v2"], tmp_path / "small", "int4")
    with pytest.raises(CheckpointError, match="too full"):
        convert_codec(codec_folder, tmp_path / "small")
    assert not list(tmp_path.iterdir())


# --- codecs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory):
    return make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "codec")


def same_codec(made, source, dtype=torch.float16):
    """It has the weights of the source in this format, and makes of a clip what that makes of it."""
    again, fresh = (load_codec(folder, dtype=dtype) for folder in (made, source))
    mine, theirs = again.module.state_dict(), fresh.module.state_dict()
    assert list(mine) == list(theirs)
    assert all(mine[key].dtype == theirs[key].dtype and torch.equal(mine[key], theirs[key]) for key in mine)
    assert (again.config, again.identity) == (fresh.config, fresh.identity)
    clip = sound_clip(0.5)
    again, fresh = (codec.module.float() and codec for codec in (again, fresh))
    assert torch.equal(again.encode(clip).ids, fresh.encode(clip).ids)
    assert torch.equal(again.decode(again.encode(clip)).samples, fresh.decode(fresh.encode(clip)).samples)


@pytest.mark.parametrize("dtype", [torch.float16, pytest.param(torch.bfloat16, marks=pytest.mark.slow)])
def test_a_codec_has_the_same_weights_as_cast_while_loading(codec_folder, tmp_path, dtype):
    source = shutil.copytree(codec_folder, tmp_path / "source")
    made = convert_codec(source, tmp_path / "made" / "small", dtype=dtype)
    same_codec(made, source, dtype)
    weights = load_file(made / "model.safetensors")
    assert weights["fc.weight"].dtype == dtype
    assert weights["quantizer.quantizers.0.codebook.embed"].dtype == torch.float32
    size = (source / "model.safetensors").stat().st_size
    assert (made / "model.safetensors").stat().st_size < 0.6 * size
    shutil.rmtree(source)
    assert load_codec(made).decode(random_codes(3)).seconds == 0.12
    assert [item.label for item in find_checkpoints([tmp_path / "made"], "codec")] == ["small"]


@pytest.mark.slow
def test_a_v3_checkpoint_is_converted_with_its_codec(codec_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "SIZES", SMALL)
    source = make_v3_checkpoint(tmp_path / "v3", codec=load_file(codec_folder / "model.safetensors"))
    made = convert_model(source, tmp_path / "small", "int8")
    same_codec(made, source)
    same_codec(convert_codec(source, tmp_path / "codec"), source)
    assert torch.equal(
        load_model(made, dtype=torch.bfloat16).layers[0].attention.o.weight,
        load_model(source, dtype=torch.bfloat16, quantization="int8").layers[0].attention.o.weight,
    )


def test_a_codec_in_the_original_layout_keeps_its_edges(tmp_path):
    """Names and numbers as test_original_codec proves them, without Boson AI's code."""
    sizes = HiggsCodecConfig.from_dict(SMALL)
    kept = replace(sizes, num_codebooks=6, edge_padding=320)
    assert HiggsCodecConfig.from_dict(json.loads(json.dumps(kept.native()))) == kept != sizes


def test_other_codecs_are_refused(sources, tmp_path):
    (tmp_path / "weights_24khz.pth").write_bytes(b"")
    with pytest.raises(SettingError, match="DAC"):
        convert_codec(tmp_path / "weights_24khz.pth", tmp_path / "small")
    with pytest.raises(CheckpointError, match="another kind"):
        convert_codec(sources["v2"], tmp_path / "small")


@pytest.mark.slow
def test_a_codec_by_command(codec_folder, tmp_path, capsys):
    assert main(["convert", "--codec", str(codec_folder), str(tmp_path / "small")]) == 0
    assert "MB (codec has" in capsys.readouterr().out
    same_codec(tmp_path / "small", codec_folder)
    assert main(["convert", "--codec", str(codec_folder), str(tmp_path / "x"), "--quantization", "int8"]) == 1
    assert "A codec is not quantized" in capsys.readouterr().err


def test_by_command(sources, tmp_path, capsys):
    assert main(["convert", str(sources["v2"]), str(tmp_path / "small"), "--quantization", "int4"]) == 0
    assert "MB (v2 has" in capsys.readouterr().out
    assert load_model(tmp_path / "small").layers[0].attention.o.weight.dtype == torch.uint8
    assert main(["convert", str(sources["v2"]), str(tmp_path / "small")]) == 1
    assert "exists" in capsys.readouterr().err


FORMS = {  # how others write v3 -> how such files are made of a folder
    "gguf of audio.cpp": lambda source, target: helpers_gguf.audiocpp(source, target / "m.gguf", Q8_0),
    "gguf of the Studio": lambda source, target: helpers_gguf.studio(source, target / "m.gguf", Q8_0),
    "gguf of higgs-audio.cpp": lambda source, target: helpers_gguf.bluryar(source, target / "m.gguf", Q8_0),
    "gguf of CrispASR": lambda source, target: helpers_gguf.crispasr(source, target / "m.gguf", Q8_0),
    "gguf pair of llama.cpp": lambda source, target: helpers_gguf.pair(source, target, Q8_0)[0],
    "port": lambda source, target: as_port(source, target / "m"),
    "fp8": lambda source, target: in_float8(source, target / "m", "{0}_scale:channel")[0],
}
Q8_0 = helpers_gguf.matrices(helpers_gguf.Kind.Q8_0)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_v3_by_command(form, quantization, tmp_path, capsys):
    """The folder that is written stands by itself, and has the weights of the form packed while loading."""
    source = make_v3_checkpoint(tmp_path / "v3", **NARROW)
    models = tmp_path / "models"
    models.mkdir()
    file, target = FORMS[form](source, models), tmp_path / "made" / "small"
    name = file.relative_to(models).as_posix()
    asked = [name, str(target), "--quantization", quantization, "--models-dir", str(models)]
    assert main(["convert", *asked]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{target}: ") and f"MB ({file.name} has " in said
    wanted = load_model(file, dtype=torch.bfloat16, quantization=quantization).state_dict()
    shutil.rmtree(models)
    shutil.rmtree(source)
    made = load_model(target, dtype=torch.bfloat16)
    found = made.state_dict()
    assert list(found) == list(wanted) and all(torch.equal(found[key], wanted[key]) for key in found)
    assert {"int8": torch.int8, "int4": torch.uint8}[quantization] == made.layers[0].attention.o.weight.dtype
    prompt = build_prompt(conversation("Hello there."), made.tokenizer)
    assert generate(made, [prompt], Sampling(seed=1, max_frames=4))[0].frames
    assert {one.name for one in target.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}


def test_fp8_is_no_form_to_convert_to(sources, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["convert", str(sources["v2"]), str(tmp_path / "small"), "--quantization", "fp8"])
    assert "'int8', 'int4'" in capsys.readouterr().err


# --- where weights lie ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 7, 8, 24, 33, 56, 63, 64])
def test_tensors_begin_at_a_multiple_of_64(tmp_path, length):
    file = tmp_path / "model.safetensors"
    tensor_files.write_tensors(file, {"a": torch.ones(4, dtype=torch.int8)}, {"note": "x" * length})
    start = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert start % 64 == 0 and load_file(file)["a"].tolist() == [1] * 4


@pytest.mark.parametrize(
    "quantization, spaces",
    [
        pytest.param("int8", [0, 1, 40], id="some"),
        pytest.param("int8", range(64), marks=pytest.mark.slow, id="int8"),
        pytest.param("int4", range(0, 64, 3), marks=pytest.mark.slow, id="int4"),
    ],
)
def test_weights_are_aligned_for_any_header_length(sources, tmp_path, quantization, spaces):
    """A file that another program wrote, or an earlier version of this one."""
    made = convert_model(sources["v2"], tmp_path / "small", quantization, dtype=torch.float32)
    file = made / "model.safetensors"
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + size].rstrip(), data[8 + size :]
    wanted = load_model(made).state_dict()
    places = set()
    for more in spaces:
        file.unlink()  # the mapped one stays as it is
        file.write_bytes((len(header) + more).to_bytes(8, "little") + header + b" " * more + rest)
        found = load_model(made).state_dict()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        packed = [tensor for tensor in found.values() if tensor.dtype in (torch.int8, torch.uint8)]
        assert packed and all(tensor.data_ptr() % 64 == 0 for tensor in packed)
        assert all(tensor.data_ptr() % tensor.element_size() == 0 for tensor in found.values())
        places.add((8 + len(header) + more) % 64)
    assert len(places) == len(spaces)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_a_converted_pair_speaks_in_a_process_of_its_own(tmp_path, quantization, dtype):
    """`say` with a model and a codec that were converted: nothing kills its process."""
    model, codec = tmp_path / "lm", tmp_path / "codec"
    assert (
        main(["convert", str(EMBEDDED / "higgs-nano"), str(model), "--quantization", quantization, "--dtype", dtype])
        == 0
    )
    assert main(["convert", "--codec", str(EMBEDDED / "higgs-nano-codec"), str(codec), "--dtype", dtype]) == 0
    words = ["say", "Good morning.", "--voice", "rose", "--model", str(model), "--codec", str(codec)]
    done = subprocess.run(
        [sys.executable, "-m", "higgs_runtime.cli", *words, "-o", str(tmp_path / "a.wav")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert 0.3 < AudioClip.load(tmp_path / "a.wav").seconds < 5
