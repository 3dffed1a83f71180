"""What people keep opens with any later version: takes, a voice, and workflows of 2026-11-29 (version 0.1.0)."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from helpers_workflow import node_classes, node_inputs, ui_to_api

from higgs_runtime import AudioClip, Codes, load_voice
from higgs_runtime.cli import main

KEPT = Path(__file__).parent / "kept"
NAMES = sorted(path.stem for path in (KEPT / "workflows").glob("*.json"))


def kept(name: str, *folder: str) -> dict:
    return json.loads((KEPT / "workflows").joinpath(*folder, f"{name}.json").read_text(encoding="utf-8"))


def timed(file: Path) -> tuple[str, list[float]]:
    """Subtitles without their times, and these in seconds."""
    text, form = file.read_text(encoding="utf-8"), re.compile(r"(\d\d):(\d\d):(\d\d),(\d{3})")
    return form.sub("", text), [
        (int(h) * 60 + int(m)) * 60 + int(s) + int(ms) / 1e3 for h, m, s, ms in form.findall(text)
    ]


def test_all_of_it_is_there():
    assert len(NAMES) == 10 and len(list((KEPT / "takes").rglob("*.safetensors"))) == 10


def test_lines_rendered_by_an_earlier_version_are_not_rendered_again(tmp_path, monkeypatch):
    def speak(*_, **__):
        raise AssertionError("the key of a take has changed")

    monkeypatch.setattr("higgs_runtime.generation.session.Session._run", speak)
    shutil.copytree(KEPT / "takes", tmp_path / "takes")
    assert (
        main(
            [
                "render-script",
                str(KEPT / "scene.txt"),
                "--voice",
                "Anna=keeper",
                "--voice",
                "Ben=ross",
                "--models-dir",
                str(KEPT / "models"),
                "--takes-dir",
                str(tmp_path / "takes"),
                "--takes",
                "2",
                "-o",
                str(tmp_path / "scene.flac"),
            ]
        )
        == 0
    )
    (before, old), (now, new) = (timed(folder / "scene.srt") for folder in (KEPT, tmp_path))
    assert now == before
    # clips that begin and end cleanly are cut nearer to their words than those with a spike
    spans = zip(pairwise(old), pairwise(new), strict=True)
    assert max(abs((end - start) - (to - at)) for (start, end), (at, to) in spans) < 0.2
    assert AudioClip.load(tmp_path / "scene.flac").seconds > 5


def test_a_voice_of_an_earlier_version_speaks():
    voice, card = load_voice(KEPT / "models" / "voices" / "keeper.safetensors")
    words = KEPT.parents[2] / "higgs_runtime" / "nano" / "clips" / "rose.txt"
    assert isinstance(voice.codes, Codes) and voice.codes.frames > 50 and card.note == "Rose of Higgs Nano."
    assert voice.transcript == words.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_of_an_earlier_version_opens(name):
    """In the editor as it was queued then; and each of its nodes and inputs is still known and takes its value."""
    api = kept(name, "api")
    assert ui_to_api(kept(name)) == api
    for node in api.values():
        known = node_inputs(node["class_type"])
        assert set(node["inputs"]) <= set(known)
        assert set(node_classes()[node["class_type"]].INPUT_TYPES()["required"]) <= set(node["inputs"])
        for key, value in node["inputs"].items():
            kind, options = known[key][0], known[key][1] if len(known[key]) > 1 else {}
            if kind in ("INT", "FLOAT") and not isinstance(value, list):
                assert options["min"] <= value <= options["max"]
            elif kind == "COMBO" and key != "audio":
                assert value in options["options"]
