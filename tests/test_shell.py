"""The `higgs` command as a new user meets it: help, what is missing, how models are loaded, progress."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tomllib
import torch
from test_memory_table import table

from higgs_runtime import RELEASES, cli, load_model
from higgs_runtime import tempo as tempo_module
from higgs_runtime.choices import DEVICES, DTYPES, QUANTIZATIONS
from higgs_runtime.cli import common, serve
from higgs_runtime.devices import pick_device
from higgs_runtime.quantized import KINDS
from higgs_runtime.releases import FIRST, how_to_install

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of one's own, where nothing is installed."""
    for name in ("HIGGS_MODELS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.txt").write_text("[Anna] Good morning.\n", encoding="utf-8")
    return tmp_path


# ---- help and version -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["say", "--help"], ["master", "--help"]])
def test_help_needs_no_torch(args):
    code = "import sys\nfrom higgs_runtime import cli\ntry:\n    cli.main(sys.argv[1:])\nfinally:\n" \
           "    print('heavy:', sorted({'torch', 'numpy', 'transformers', 'librosa'} & set(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stdout
    if args == ["--version"]:
        assert done.stdout.startswith(f"higgs {PROJECT['version']}\n")


def test_what_is_offered_is_what_there_is():
    assert tuple(KINDS) == QUANTIZATIONS and all(isinstance(getattr(torch, name), torch.dtype) for name in DTYPES)
    assert pick_device() in DEVICES


# ---- before any speaking --------------------------------------------------------------------------------------------


@pytest.fixture
def no_speaking(monkeypatch):
    """Whoever loads a model fails."""
    def load(*_args, **_more):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("higgs_runtime.pipeline.load_model", load)  # first: its import takes the name from weights
    monkeypatch.setattr("higgs_runtime.weights.load_model", load)
    monkeypatch.setattr("higgs_runtime.codec.load_codec", load)


@pytest.mark.parametrize("port", ["99999", "-1", "x"])
def test_a_port_that_there_is_not(capsys, port, no_speaking):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", f"--port={port}"])
    assert ended.value.code == 2 and f"'{port}' is no port" in capsys.readouterr().err


def test_a_port_in_use_is_said_before_the_model_is_loaded(capsys, no_speaking):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 1
    assert f"cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


def test_an_address_of_another_computer(capsys, no_speaking):
    assert cli.main(["serve", "--host", "192.0.2.1", "--without-key"]) == 1
    assert "cannot listen at 192.0.2.1" in capsys.readouterr().err


def test_the_socket_refuses_until_it_is_served():
    with serve._listening("127.0.0.1", 0) as door, pytest.raises(ConnectionRefusedError):
        socket.create_connection(door.getsockname())


@pytest.mark.parametrize("command", [["say", "Hello."], ["render-script", "scene.txt"], ["serve"]])
def test_missing_requirements_are_named(monkeypatch, capsys, command, no_speaking):
    monkeypatch.setattr(common, "find_spec", lambda name: None if name in ("librosa", "pydub") else find_spec(name))
    assert cli.main(command) == 1
    said = capsys.readouterr().err
    assert "no librosa, pydub" in said and "pip install -r requirements.txt" in said


def test_the_requirements_are_those_of_the_project():
    assert set(common.REQUIRED) == {one.split(">")[0] for one in PROJECT["dependencies"] if ";" not in one}


@pytest.mark.parametrize("command, package", [
    (["render-script", "scene.txt", "--voice", "rose"], "av"),
    (["say", "Hello.", "-o", "a.m4a"], "av"),
    (["render-script", "quick.txt", "--voice", "rose"], "pedalboard"),
])
def test_missing_extras_are_named(folder, monkeypatch, capsys, command, package, no_speaking):
    (folder / "quick.txt").write_text("[Anna] {speed=1.2} Good morning.\n", encoding="utf-8")
    monkeypatch.setitem(sys.modules, package, None)
    assert cli.main(command) == 1
    assert f"needs the optional package '{package}'" in capsys.readouterr().err


def test_stretching_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(ImportError, match="pedalboard"):
        tempo_module.rubber_band()


# ---- how a model is loaded ------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(monkeypatch):
    """How models were loaded, and the models."""
    found = []

    def load(path, **how):
        found.append((how, load_model(path, **how)))
        return found[-1][1]

    monkeypatch.setattr("higgs_runtime.pipeline.load_model", load)  # first: its import takes the name from weights
    monkeypatch.setattr("higgs_runtime.weights.load_model", load)
    return found


@pytest.mark.parametrize("command", [
    ["say", "Good morning.", "--max-seconds", "0.2"],
    ["render-script", "scene.txt", "--voice", "rose", "--max-seconds", "0.4"],
])
def test_quantization_and_dtype(loaded, capsys, command):
    assert cli.main([*command, "--quantization", "int8", "--dtype", "bfloat16", "--device", "cpu"]) == 0
    [(how, model)] = loaded
    assert how == {"device": "cpu", "dtype": torch.bfloat16, "quantization": "int8"}
    assert model.dtype == torch.bfloat16 and any(isinstance(part, KINDS["int8"]) for part in model.modules())


def test_serve_loads_so_and_takes_any_free_port(loaded, monkeypatch, capsys):
    import uvicorn

    served = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: served.append(sockets[0].getsockname()[1]))
    assert cli.main(["serve", "--port", "0", "--quantization", "int4", "--rows", "1", "--positions", "256"]) == 0
    [(how, _)] = loaded
    assert how["quantization"] == "int4" and f"http://127.0.0.1:{served[0]}/v1" in capsys.readouterr().err


def test_another_number_format_is_another_take(folder, capsys):
    command = ["render-script", "scene.txt", "--voice", "rose", "--max-seconds", "0.4"]
    for more in ([], ["--quantization", "int8"]):
        assert cli.main([*command, *more]) == 0
        assert "1 spoken now" in capsys.readouterr().out


# ---- what is told ---------------------------------------------------------------------------------------------------


def test_who_hears_nano_is_told_what_to_install(capsys):
    assert cli.main(["say", "Good morning.", "--max-seconds", "0.2"]) == 0
    assert how_to_install() in capsys.readouterr().err
    assert all(f"higgs download {name}" in how_to_install() for name in FIRST)


def test_the_memory_that_is_told_is_that_of_the_readme():
    """Whose own figures are computed, see test_memory_table."""
    rows = {"higgs-audio-v2-generation-3B-base": "v2 language model", "higgs-audio-v3-tts-4b": "v3 language model",
            "higgs-audio-v2-tokenizer": "codec of both"}
    for name, row in rows.items():
        said = RELEASES[name].memory_gb
        assert said and said == {column: table()[row][column] for column in said}
    assert RELEASES["higgs-audio-v2-generation-3B-base-original"].memory_gb == RELEASES[FIRST[0]].memory_gb


def test_progress_without_a_terminal(monkeypatch, capsys):
    now = iter([0.0, 1.0, 11.0, 12.0, 25.0])
    monkeypatch.setattr(common, "_last_line", None)
    monkeypatch.setattr(common.time, "monotonic", lambda: next(now))
    for number in range(5):
        common.progress(f"{number} of 5")
        common.progress("")
    assert capsys.readouterr().err == "higgs: 2 of 5\nhiggs: 4 of 5\n"
