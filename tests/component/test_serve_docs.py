"""docs/serve.md says what is true: its commands run, its tables are those of the program."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from helpers_serve import serve_process

from higgs_runtime.cli import serve
from higgs_runtime.errors import EXTRAS
from higgs_runtime.serve.fields import SpeechRequest

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
START, *SHELL = re.findall(r"```(?:sh)?\n(.*?)```", re.sub(r"```python\n.*?```", "", DOCS, flags=re.S), re.S)
[PYTHON] = re.findall(r"```python\n(.*?)```", DOCS, re.S)


def options() -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser()
    serve.add(parser.add_subparsers())
    [subparsers] = parser._subparsers._group_actions
    return {name: action for action in subparsers.choices["serve"]._actions for name in action.option_strings}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading's first column."""
    table = DOCS.split(f"| {heading} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_every_field_stands_there_with_its_default():
    told = {}
    for names, default, *_ in rows("field"):
        values = default.strip("`").split(", ")
        fields = re.findall(r"`(\w+)`", names)
        told.update({name: values[n] if len(values) == len(fields) else default for n, name in enumerate(fields)})
    assert set(told) == set(SpeechRequest.model_fields)
    for name in ("voice", "response_format", "temperature", "top_k", "top_p", "ras_window", "ras_max_repeats", "speed"):
        assert (
            float(told[name]) == SpeechRequest.model_fields[name].default
            if told[name][-1].isdigit()
            else told[name] == SpeechRequest.model_fields[name].default
        ), name


def test_every_limit_stands_there_with_its_default():
    known = options()
    for names, default, *_ in rows("option"):
        for name in re.findall(r"`(--[\w-]+)`", names):
            assert name in known and (default == "none" or float(default) == known[name].default), name
    assert set(re.findall(r"`(?:higgs serve )?(--[\w-]+)", DOCS)) <= set(known)


def test_the_install_command_names_the_extra():
    install, start = START.splitlines()
    assert (install,) == EXTRAS["serve"] and start == "higgs serve --port 8000"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_command_runs(tmp_path):
    """Against `higgs serve` with Higgs Nano, on a free port."""

    def here(text: str) -> str:
        return text.replace("http://127.0.0.1:8000", server.url)

    with serve_process("--model", "higgs-nano", "--codec", "higgs-nano-codec", cwd=tmp_path) as server:
        said = []
        for script in SHELL:
            assert "http://127.0.0.1:8000" in script
            done = subprocess.run(
                ["sh", "-ec", here(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)
        done = subprocess.run(
            [sys.executable, "-c", here(PYTHON)], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    for name, format, rate in (
        ("morning.wav", "WAV", 24_000),
        ("story.mp3", "MP3", 44_100),
        ("like.flac", "FLAC", 24_000),
        ("wind.wav", "WAV", 24_000),
    ):
        about = soundfile.info(tmp_path / name)
        assert (about.format, about.samplerate) == (format, rate) and about.duration > 0.3, name
    assert all(word in said[-1] for word in ('"higgs-nano"', '"rose"', '"status":"ok"'))
    assert all(name in said[-1] for name in re.findall(r"`(higgs_\w+)`", DOCS))
