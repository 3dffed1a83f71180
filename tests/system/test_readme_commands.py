"""The shell commands of docs/python_and_shell.md run as they are written, in this repository's folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from higgs_runtime import AudioClip, cli, read_script
from higgs_runtime.hub.catalog import find_checkpoints, model_roots
from higgs_runtime.script import read_book
from higgs_runtime.text.vocabulary import unknown_words

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "python_and_shell.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[1:] for line in GUIDE.splitlines() if line.startswith("higgs ")]
SPOKEN = [command for command in COMMANDS if command[0] in ("say", "render-script")]


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    for name in ("HIGGS_MODELS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    monkeypatch.chdir(ROOT)


def test_there_are_commands_of_each_kind():
    assert {"say", "render-script", "render", "takes", "serve", "models"} <= {command[0] for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_parses_and_names_existing_files(command):
    """Or files that a command before it writes."""
    args = cli._parser().parse_args(command)
    before = [written[written.index("-o") + 1] for written in COMMANDS[: COMMANDS.index(command)] if "-o" in written]
    for path in (getattr(args, "file", None), getattr(args, "workflow", None)):
        own = command[0] == "dub"  # a film and its subtitles are the reader's
        assert path is None or path.is_file() or str(path) in before or own


@pytest.mark.parametrize("name, read", [("scene.txt", read_script), ("novel.txt", read_book)])
def test_the_examples_have_only_words_that_nano_speaks(name, read):
    [nano] = [one for one in find_checkpoints(model_roots()) if one.embedded and one.kind == "lm"]
    script = read(ROOT / "docs" / "examples" / name)
    assert script.turns and script.warnings == ()
    assert not [word for turn in script.turns for word in unknown_words(turn.text, nano.vocabulary)]


@pytest.mark.slow
@pytest.mark.parametrize("command", SPOKEN, ids=" ".join)
def test_a_command_that_speaks_runs(command, tmp_path, capsys):
    at = command.index("-o") + 1
    output = tmp_path / command[at]
    assert cli.main([*command[:at], str(output), *command[at + 1 :]]) == 0, capsys.readouterr().err
    assert "does not" not in capsys.readouterr().err and AudioClip.load(output).seconds > 1


@pytest.mark.slow
def test_captions_of_what_was_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [spoken] = [command for command in SPOKEN if command[-1] == "morning.flac"]
    captions = [command for command in COMMANDS if command[0] == "captions"]
    for command in (spoken, *captions):
        assert cli.main(command) == 0
    for command in captions:
        assert "story is ready" in re.sub(r"<[^>]*>", "", Path(command[-1]).read_text(encoding="utf-8"))
