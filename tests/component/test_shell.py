"""The `higgs` command as a new user meets it: help, what is missing, how models are loaded, progress."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tomllib
import torch
from test_memory_table import table

from higgs_runtime import AudioClip, MissingExtraError, cli, load_model
from higgs_runtime.audio import stretch as tempo_module
from higgs_runtime.choices import DEVICES, DTYPES, QUANTIZATIONS
from higgs_runtime.cli import comfy_client, common, serve
from higgs_runtime.devices import pick_device
from higgs_runtime.hub.releases import FIRST, RELEASES, how_to_install
from higgs_runtime.model.quantization import KINDS
from higgs_runtime.rendering import Verifier

ROOT = Path(__file__).resolve().parents[2]
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
    code = (
        "import sys\nfrom higgs_runtime import cli\ntry:\n    cli.main(sys.argv[1:])\nfinally:\n"
        "    print('heavy:', sorted({'torch', 'numpy', 'transformers', 'librosa'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stdout
    if args == ["--version"]:
        assert done.stdout.startswith(f"higgs {PROJECT['version']}\n")


def test_every_offered_quantization_dtype_and_device_exists():
    assert tuple(KINDS) == QUANTIZATIONS and all(isinstance(getattr(torch, name), torch.dtype) for name in DTYPES)
    assert pick_device() in DEVICES


# ---- before any speaking --------------------------------------------------------------------------------------------


@pytest.fixture
def no_speaking(monkeypatch):
    """Whoever loads a model fails."""

    def load(*_args, **_more):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("higgs_runtime.speech.load_model", load)  # first: it keeps the function that it finds
    monkeypatch.setattr("higgs_runtime.model.loading.load_model", load)
    monkeypatch.setattr("higgs_runtime.codec.load_codec", load)


@pytest.mark.parametrize("port", ["99999", "-1", "x"])
def test_a_port_that_there_is_not(capsys, port, no_speaking):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", f"--port={port}"])
    assert ended.value.code == 2 and f"'{port}' is no port" in capsys.readouterr().err


def test_a_port_in_use_is_reported_before_the_model_is_loaded(capsys, no_speaking):
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


@pytest.mark.parametrize(
    "command, package",
    [
        (["render-script", "scene.txt", "--voice", "rose"], "av"),
        (["say", "Hello.", "-o", "a.m4a"], "av"),
        (["render-script", "quick.txt", "--voice", "rose"], "pedalboard"),
        (["render-script", "film.srt", "--voice", "rose"], "pedalboard"),
        (["render-script", "scene.txt", "--voice", "rose", "--listen", "--compare-voices"], "resemblyzer"),
    ],
)
def test_missing_extras_are_named(folder, monkeypatch, capsys, command, package, no_speaking):
    (folder / "quick.txt").write_text("[Anna] {speed=1.2} Good morning.\n", encoding="utf-8")
    (folder / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n", encoding="utf-8")
    monkeypatch.setitem(sys.modules, package, None)
    assert cli.main(command) == 1
    assert f"needs the optional package '{package}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["say", "Hello."], ["render-script", "scene.txt", "--voice", "rose"]])
@pytest.mark.parametrize(
    "output, says",
    [
        (
            "nowhere/a.wav",
            "there is no folder 'nowhere'. Expected a file name in an existing folder, got nowhere/a.wav.",
        ),
        (".", "'.' is a folder. Expected the name of a file"),
        ("a.xyz", "the suffix of the name decides the format. Expected a name that ends in ."),
        ("a", "got a. Name a file such as "),
    ],
)
def test_an_impossible_output_path_is_reported_with_its_cause(capsys, no_speaking, command, output, says):
    assert cli.main([*command, "-o", output]) == 1
    said = capsys.readouterr().err
    assert "higgs: The result cannot be saved there: " in said and says in said


def test_a_node_learns_it_before_it_speaks_too(monkeypatch):
    """Render Script makes the verifier first."""
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(MissingExtraError, match="Comparing voices"):
        Verifier(None, None, "whisper", {}, compare_voices=True)


def test_a_text_without_quotes(capsys, no_speaking):
    for more, hint in ((["morning."], True), (["--louder"], False)):
        with pytest.raises(SystemExit) as ended:
            cli.main(["say", "Good", *more])
        said = capsys.readouterr().err
        assert ended.value.code == 2 and f"unrecognized arguments: {more[0]}" in said
        assert ('what holds spaces stands in "quotes"' in said) == hint


def test_a_clip_without_a_transcript_says_how_to_give_one(folder, capsys, no_speaking):
    AudioClip(torch.zeros(1, 24_000), 24_000).save(folder / "me.wav")
    for more in ([], ["--transcript", " "]):
        assert cli.main(["say", "Hello.", "--voice", "me.wav", *more]) == 1
        assert "Give them with --transcript, or write them into me.txt." in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["say", "Hello.", "--voice", "Rose"], ["render-script", "scene.txt", "--voice", "Rose"]]
)
def test_a_voice_that_there_is_not(capsys, command):
    assert cli.main(command) == 1
    assert "one of alan, bear, rose, ross, got no such file. Name one of these, or" in capsys.readouterr().err


def test_lists_without_voices_and_takes(capsys):
    """Who has no voices and no takes yet."""
    assert cli.main(["voices", "ls"]) == 0
    assert "Of the pack: alan, bear, rose, ross\n" in capsys.readouterr().out
    assert cli.main(["takes", "export"]) == 0
    assert "higgs: there are no takes in " in capsys.readouterr().err


def test_voices_are_compared_only_with_a_recognizer(capsys, no_speaking):
    assert cli.main(["render-script", "scene.txt", "--voice", "rose", "--compare-voices"]) == 1
    assert "Add --listen" in capsys.readouterr().err


@pytest.mark.parametrize("file", [".", "nothing.txt"])
def test_no_file_to_render(capsys, no_speaking, file):
    assert cli.main(["render-script", file, "--voice", "rose"]) == 1
    assert f"higgs: '{file}' could not be read" in capsys.readouterr().err


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

    monkeypatch.setattr("higgs_runtime.model.loading.load_model", load)
    monkeypatch.setattr("higgs_runtime.speech.load_model", load)
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["say", "Good morning.", "--max-seconds", "0.2"],
        pytest.param(["render-script", "scene.txt", "--voice", "rose", "--max-seconds", "0.4"], marks=pytest.mark.slow),
    ],
)
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


def test_speaking_with_nano_says_what_to_install(capsys):
    assert cli.main(["say", "Good morning.", "--max-seconds", "0.2"]) == 0
    assert how_to_install() in capsys.readouterr().err
    assert all(f"higgs download {name}" in how_to_install() for name in FIRST)
    assert "5.8 GB with --quantization int8, 3.5 GB with int4;" in how_to_install()


@pytest.mark.parametrize("told, said", [({"notice": "Speaking with X.\n"}, "Speaking with X.\n"), ({}, ""), (None, "")])
def test_render_says_which_model_speaks_on_the_server(folder, monkeypatch, capsys, told, said):
    """Whose choice it is what `auto` means; an older pack there has no such route."""

    def request(self, path, body=None, content_type=""):
        asked.append(path)
        if path.startswith("/higgs/notice") and told is None:
            raise comfy_client.RenderError("HTTP 404")
        entry = {"one": {"status": {"status_str": "success"}, "outputs": {}}}
        return json.dumps(
            told
            if path.startswith("/higgs/notice")
            else {"prompt_id": "one"}
            if body
            else entry
            if path.startswith("/history")
            else {}
        ).encode()

    asked = []
    monkeypatch.setattr(comfy_client.ComfyClient, "_request", request)
    assert cli.main(["render", str(ROOT / "workflows" / "api" / "two_voice_dialogue.json")]) == 0
    assert capsys.readouterr().err == said
    assert [path for path in asked if "notice" in path] == ["/higgs/notice?checkpoint=auto"]


def test_a_text_without_a_name_replaces_no_earlier_one(folder, capsys):
    say = ["say", "Good morning.", "--max-seconds", "0.2"]
    (folder / "higgs.wav").write_text("mine")
    assert cli.main(say) == 0
    said = capsys.readouterr()
    assert (folder / "higgs.wav").read_text() == "mine" and said.out.startswith("higgs_2.wav: ")
    assert "'higgs.wav' is there" in said.err and "'higgs_2.wav' is written instead" in said.err
    assert cli.main([*say, "-o", "higgs.wav"]) == 0, "who names a file means it"
    said = capsys.readouterr()
    assert said.out.startswith("higgs.wav: ") and "instead" not in said.err
    assert (folder / "higgs.wav").read_bytes() == (folder / "higgs_2.wav").read_bytes()


def test_the_reported_memory_agrees_with_the_readme():
    """Whose own figures are computed, see test_memory_table."""
    rows = {
        "higgs-audio-v2-generation-3B-base": "v2 language model",
        "higgs-audio-v3-tts-4b": "v3 language model",
        "higgs-audio-v2-tokenizer": "codec of both",
    }
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
