"""Files that lie, and names that lead astray: nothing runs, nothing is allocated, nothing outside is touched."""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from helpers_checkpoint import ROOT, make_folder
from helpers_workflow import node_classes, node_module
from random_codec import SMALL
from safetensors.torch import load_file, save_file

from higgs_runtime import CheckpointError
from higgs_runtime.checkpoint.files import checkpoint_tensors, pickled_tensors, read_config
from higgs_runtime.checkpoint.safetensors_file import read_header, write_tensors
from higgs_runtime.codec.higgs_config import HiggsCodecConfig
from higgs_runtime.hub.catalog import find_adapters, find_checkpoints
from higgs_runtime.model.config import parse_native_v2

SOURCES = [file for folder in ("higgs_runtime", "nodes") for file in sorted((ROOT / folder).rglob("*.py"))]


# --- code that would run what it reads ------------------------------------------------------------------------------

RUNNERS = {"eval", "exec", "compile", "__import__"}


def runs_what_it_reads(text: str) -> list[str]:
    """What a program does that would run code from a file, with the line."""
    found = re.findall(r"trust_remote_code|allow_pickle|weights_only=(?!True)|from_pretrained|np\.load\b", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names} & {"marshal", "shelve", "dill", "cloudpickle", "joblib"}
            found += [f"{node.lineno}: import {name}" for name in names]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RUNNERS:
            found.append(f"{node.lineno}: {node.func.id}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = getattr(node.func.value, "id", "")
            if (owner, node.func.attr) in {("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler")}:
                found.append(f"{node.lineno}: pickle.{node.func.attr}")
            if (owner, node.func.attr) == ("torch", "load"):
                said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
                found += [] if said.get("weights_only") is True else [f"{node.lineno}: torch.load"]
    return found


def test_nothing_unpickles_but_tensors_and_nothing_trusts_remote_code():
    assert len(SOURCES) > 200
    found = {file.relative_to(ROOT).as_posix(): runs_what_it_reads(file.read_text("utf-8")) for file in SOURCES}
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize(
    "text",
    [
        "load(trust_remote_code=True)",
        "load(allow_pickle=True)",
        "load(weights_only=False)",
        "a.from_pretrained(b)",
        "np.load(a)",
        "import marshal",
        "eval(a)",
        "exec(a)",
        "__import__(a)",
        "pickle.load(a)",
        "pickle.loads(a)",
        "pickle.Unpickler(a)",
        "torch.load(a)",
        "torch.load(a, weights_only=maybe)",
    ],
)
def test_code_that_executes_its_input_is_detected(text):
    assert runs_what_it_reads(f"import json\n{text}\n")
    assert not runs_what_it_reads("torch.load(a, weights_only=True)\njson.load(a)\n")


def test_a_pickle_that_unpacks_to_more_than_it_is_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(50_000_000))
    with pytest.raises(CheckpointError, match="unpacks to more than it is"):
        pickled_tensors(tmp_path / "model.pth")


# --- headers of safetensors files -----------------------------------------------------------------------------------


def entry(dtype="F32", shape=(4,), offsets=(0, 16)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def made(tensors: object, data: int = 16, length: int | None = None) -> bytes:
    header = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(data)


TB = 2**40
LIES = {
    "empty": b"",
    "half a length": b"\x10\0\0",
    "header of 1 TB": made({"a": entry()}, length=TB),
    "header longer than a number can be": made({"a": entry()}, length=2**64 - 1),
    "header just past the end": made({"a": entry()}, data=0, length=len(json.dumps({"a": entry()})) + 1),
    "tensor of 1 TB": made({"a": entry(shape=[TB // 4], offsets=[0, TB])}),
    "shape of 1 TB in few bytes": made({"a": entry(shape=[TB // 4])}),
    "shape that overflows": made({"a": entry(shape=[2**32, 2**32, 4])}),
    "negative offsets": made({"a": entry(offsets=[-16, 0])}),
    "negative shape": made({"a": entry(shape=[-4])}),
    "ends before it begins": made({"a": entry(offsets=[16, 0])}),
    "overlapping": made({"a": entry(), "b": entry(shape=[2], offsets=[8, 16])}),
    "the same place twice": made({"a": entry(), "b": entry()}),
    "gap": made({"a": entry(), "b": entry(offsets=[32, 48])}, data=48),
    "bytes of nobody": made({"a": entry()}, data=17),
    "cut off": made({"a": entry()}, data=15),
    "fractions": made({"a": entry(shape=[4.0])}),
    "truths": made({"a": entry(shape=[True, 4])}),
    "no json": made(b"{"),
    "a list": made(b"[1]"),
    "an entry that is none": made({"a": 3}),
    "no offsets": made({"a": {"dtype": "F32", "shape": [4]}}),
    "deep": made(b"[" * 100_000 + b"]" * 100_000),
}


def peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused_and_nothing_is_allocated_for_it(tmp_path, name):
    file = tmp_path / "model.safetensors"
    file.write_bytes(LIES[name])
    before = peak_bytes()
    for read in (read_header, lambda file: checkpoint_tensors(file.parent)):
        with pytest.raises(CheckpointError, match="cannot be read as safetensors.*download the file again"):
            read(file)
    assert peak_bytes() - before < 50_000_000


def test_a_header_of_a_hundred_megabytes_is_not_read(tmp_path):
    file = tmp_path / "model.safetensors"
    with file.open("wb") as sink:
        sink.write((150_000_000).to_bytes(8, "little") + b"{")
        sink.truncate(200_000_000)  # it is as long as it says, and takes no room on the disk
    before = peak_bytes()
    for read in (read_header, lambda file: checkpoint_tensors(file.parent)):
        with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
            read(file)
    assert peak_bytes() - before < 50_000_000


def test_our_files_and_the_librarys_are_interchangeable(tmp_path):
    tensors = {
        "b": torch.arange(6.0).view(2, 3),
        "a": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.zeros(0, 4),
        "one": torch.tensor(7),
        "packed": torch.arange(5).byte(),
        "signed": -torch.ones(1).char(),
        "turned": torch.arange(6.0).view(2, 3).t(),
        "yes": torch.tensor([True]),
        "half": torch.ones(2).half(),
    }
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs.safetensors")
    told = []
    write_tensors(tmp_path / "ours.safetensors", tensors, {"format": "pt"}, told.append)
    size = sum(tensor.nbytes for tensor in tensors.values())
    assert told[-1] == size and told == sorted(told)
    for file in ("theirs.safetensors", "ours.safetensors"):
        assert {name: one.shape for name, one in read_header(tmp_path / file).items()} == {
            name: tuple(tensor.shape) for name, tensor in tensors.items()
        }
    loaded = load_file(tmp_path / "ours.safetensors")
    assert all(
        torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype for name, tensor in tensors.items()
    ) and set(loaded) == set(tensors)


# --- other files ----------------------------------------------------------------------------------------------------


def test_a_config_of_many_brackets_is_refused(tmp_path):
    folder = make_folder(tmp_path / "models" / "lm")
    (folder / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_config(folder)
    assert [item.label for item in find_checkpoints([tmp_path / "models"])] == ["lm"]


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "{0}/outside.safetensors",
        "a/../../outside.safetensors",
        "..\\outside.safetensors",
        "C:outside.safetensors",
        ".",
        "",
        None,
        ["x"],
    ],
)
def test_an_index_names_files_of_its_own_folder_and_no_others(tmp_path, shard):
    save_file({"a": torch.ones(1)}, tmp_path / "outside.safetensors")
    folder = make_folder(tmp_path / "models" / "lm", files=["tokenizer.json"])
    name = shard.format(tmp_path) if isinstance(shard, str) else shard
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="files in this folder"):
        checkpoint_tensors(folder)
    assert [item.name for item in find_checkpoints([tmp_path / "models"])] == ["lm"]


def test_a_config_of_gigabytes_is_not_read(tmp_path):
    folder = make_folder(tmp_path / "models" / "lm")
    with (folder / "config.json").open("wb") as sink:
        sink.truncate(3_000_000_000)
    before = peak_bytes()
    with pytest.raises(CheckpointError, match="3000000000 bytes"):
        read_config(folder)
    assert [item.label for item in find_checkpoints([tmp_path / "models"])] == ["lm"]
    assert peak_bytes() - before < 50_000_000


GOOD = json.loads((ROOT / "higgs_runtime" / "nano" / "higgs-nano" / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "field, value",
    [
        ("num_hidden_layers", 10**9),
        ("vocab_size", 10**15),
        ("hidden_size", -64),
        ("num_codebooks", 0),
        ("num_hidden_layers", "4"),
        ("intermediate_size", 1e300),
        ("num_attention_heads", 0),
        ("head_dim", [1]),
        ("audio_token_id", "x"),
        ("rms_norm_eps", "x"),
        ("rope_parameters", {"rope_theta": -1, "rope_type": "default"}),
        ("rope_parameters", [1]),
        ("max_position_embeddings", True),
    ],
)
def test_a_language_model_of_impossible_size_is_refused_at_once(field, value):
    parse_native_v2(GOOD)
    with pytest.raises(CheckpointError, match="config.json"):
        parse_native_v2({**GOOD, field: value})


@pytest.mark.parametrize(
    "change",
    [
        {"codebook_size": 2**40},
        {"codebook_dim": 10**9},
        {"block_dilations": [1] * 10_000},
        {"acoustic_model_config": {**SMALL["acoustic_model_config"], "hidden_size": 10**12}},
        {"semantic_model_config": {**SMALL["semantic_model_config"], "num_hidden_layers": 10**6}},
        {"semantic_model_config": {**SMALL["semantic_model_config"], "conv_dim": [10**9] * 7}},
        {"semantic_model_config": {**SMALL["semantic_model_config"], "num_hidden_layers": "2"}},
        {"num_codebooks": None},
        {"num_codebooks": 10**9},
        {"edge_padding": -1},
        {"edge_padding": 10**9},
    ],
)
def test_a_codec_of_impossible_size_is_refused_at_once(change):
    HiggsCodecConfig.from_dict(SMALL)
    with pytest.raises(CheckpointError, match="config.json"):
        HiggsCodecConfig.from_dict({**SMALL, **change})


# --- names in a workflow --------------------------------------------------------------------------------------------


@pytest.fixture
def models(monkeypatch, tmp_path):
    """ComfyUI's only models folder, with one of each; a whole pair and a LoRA lie outside."""
    node_classes()
    import folder_paths

    for place in ("models", "outside"):
        make_folder(tmp_path / place / "lm")
        make_folder(tmp_path / place / "codec", "higgs_audio_v2_tokenizer", ["model.safetensors"])
        make_folder(tmp_path / place / "lora", "", ["adapter_config.json", "adapter_model.safetensors"])
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "higgs_audio", ([str(tmp_path / "models")], set()))
    return tmp_path / "models"


def astray(name: str, root: Path) -> list[str]:
    """Ways to say the thing of this name that lies beside the models folder."""
    return [
        f"../outside/{name}",
        str(root / "outside" / name),
        f"{name}/../../outside/{name}",
        f"./{name}",
        f"..\\outside\\{name}",
        f"{name}/",
        f"{name}\0",
        "",
        ".",
        "..",
    ]


@pytest.mark.parametrize(
    "node_id, name", [("HiggsLoadModel", "lm"), ("HiggsLoadCodec", "codec"), ("HiggsLoadLoRA", "lora")]
)
def test_a_workflow_names_what_is_in_the_models_folders_and_nothing_else(models, node_id, name):
    node, more = node_classes()[node_id], {"HiggsLoadLoRA": (1.0,)}.get(node_id, ("auto", "auto"))
    handle = node_module("host.handles").ModelHandle("lm", "x")
    first = (handle,) if node_id == "HiggsLoadLoRA" else ()
    assert node.validate_inputs(name) is True
    node.execute(*first, name, *more)
    for wrong in astray(name, models.parent):
        assert "There is no" in node.validate_inputs(wrong)
        with pytest.raises(Exception, match="There is no"):  # also when it comes from another node
            node.execute(*first, wrong, *more)


def test_links_that_a_person_made_are_followed_for_reading_alone(models, tmp_path):
    (models / "linked").symlink_to(tmp_path / "outside" / "lm")
    assert node_classes()["HiggsLoadModel"].validate_inputs("linked") is True
    handles = node_module("host.handles")
    before = sorted((tmp_path / "outside").rglob("*"))
    (models / "new").symlink_to(tmp_path / "outside" / "nothing")
    for target in ("linked", "new"):
        with pytest.raises(Exception, match="exists"):
            node_classes()["HiggsConvertModel"].execute(handles.ModelHandle("lm", "x"), "int8", "bfloat16", target)
    assert sorted((tmp_path / "outside").rglob("*")) == before


def test_input_files_lie_in_comfyuis_own_folders(models, tmp_path, monkeypatch):
    import folder_paths

    input_path = node_module("host.files").input_path
    for place in ("input", "output"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "sub" / "a.wav").write_bytes(b"x")
        monkeypatch.setattr(folder_paths, f"get_{place}_directory", lambda place=place: str(tmp_path / place))
    (tmp_path / "secret.wav").write_bytes(b"x")
    assert input_path("sub/a.wav") == tmp_path / "input" / "sub" / "a.wav"
    assert input_path("sub/a.wav [output]") == tmp_path / "output" / "sub" / "a.wav"
    for wrong in (
        "../secret.wav",
        str(tmp_path / "secret.wav"),
        "sub/../../secret.wav",
        "../secret.wav [output]",
        "sub",
    ):
        with pytest.raises(Exception, match="There is no file"):
            input_path(wrong)

    def refuses(name, default_dir=None):  # as ComfyUI 0.33, also for a link that leads out of the folder
        raise ValueError(f"Invalid file path: {name!r}")

    monkeypatch.setattr(folder_paths, "get_annotated_filepath", refuses)
    with pytest.raises(Exception, match="There is no file '../secret.wav'. Expected a file in .*, got a path outside"):
        input_path("../secret.wav")


def test_hidden_files_are_not_offered_as_loras(tmp_path):
    (make_folder(tmp_path / "models" / ".hidden" / "lora", "", []) / "adapter_config.json").write_text("{}")
    assert find_adapters([tmp_path / "models"]) == {}
