"""docs/safety.md names every input that leads to the network, the file system or a process; here are the harmless ones.

A new text or choice fails until somebody has decided: either it leads somewhere, and then the page says what guards it,
or it is named here.
"""

from __future__ import annotations

import re

import pytest
from helpers_workflow import ROOT, load_pack, node_module, pack_nodes

NUMBERS = {"INT", "FLOAT", "BOOLEAN"}  # the page may name them too
SOCKETS = {
    "AUDIO",
    "IMAGE",
    "HIGGS_MODEL",
    "HIGGS_CODEC",
    "HIGGS_CODES",
    "HIGGS_PROMPT",
    "HIGGS_VOICE",
    "HIGGS_SCRIPT",
    "HIGGS_PERFORMANCE",
    "HIGGS_WORDS",
    "HIGGS_CAST",
}  # what nodes made, with inputs of their own
HARMLESS = {
    "HiggsLoadSubtitles": "from_fps to_fps",
    "HiggsLoadModel": "device dtype quantization",
    "HiggsLoadCodec": "device dtype",
    "HiggsLoadAudio": "level",
    "HiggsVoice": "transcript description",
    "HiggsChatMLPrompt": "text system scene",
    "HiggsMixAudio": "fade_shape_#",
    "HiggsVoiceChain": "eq character",
    "HiggsConvertModel": "quantization dtype",
    "HiggsConvertCodec": "dtype",
    "HiggsRemoteModel": "model voice",  # sent to the server, as words of a request
    "HiggsPrepareReference": "language",
    "HiggsSaveVoice": "note",
    "HiggsPrepareText": "text model language",
    "HiggsDirector": "model tags instructions accepted",  # what was accepted can place no other words
    "HiggsRenderScript": "mode choose language name_# when_cancelled",
    "HiggsRespeak": "text language name_#",
    "HiggsAssemble": "subtitles moved",
    "HiggsReferencesFromFilm": "each film_language speakers",
    "HiggsVerifyTakes": "text language",
    "HiggsWordTimes": "text language",
    "HiggsCaptions": "format style",
    "HiggsEditSpeech": "transcript text language consent",
    "HiggsSpeakOn": "transcript text language consent",
    "HiggsNormalizeLoudness": "preset",
    "HiggsAudioPicture": "kind",
    "HiggsExportAudio": "format tags chapters consent",
}
ROW = re.compile(r"^\| `(Higgs\w+)` \| `([\w#]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)


def page() -> list[tuple[str, str, str, str, str]]:
    return ROW.findall((ROOT / "docs" / "safety.md").read_text(encoding="utf-8"))


def unclassified(nodes: dict) -> list[str]:
    """Inputs of which nobody has said where they lead; those of a growing row count once."""
    known = {(node, name) for node, name, *_ in page()}
    known |= {(node, name) for node, names in HARMLESS.items() for name in names.split()}
    found = {
        (node_id, re.sub(r"_\d+$", "_#", one.id))
        for node_id, node in nodes.items()
        for one in node.GET_SCHEMA().inputs
        if one.io_type not in NUMBERS | SOCKETS
    }
    return sorted(f"{node}.{name}" for node, name in found - known)


def test_every_input_that_may_lead_somewhere_is_classified():
    assert unclassified(pack_nodes()) == [], "does it lead to network, files or a process? docs/safety.md or HARMLESS"


@pytest.mark.parametrize("kind", ["String", "Combo", "AnyType", "Custom"])
def test_a_new_input_is_noticed(kind):
    load_pack()
    from comfy_api.latest import io

    new = {
        "String": lambda: io.String.Input("mirror"),
        "Combo": lambda: io.Combo.Input("mirror", options=["a"]),
        "AnyType": lambda: io.AnyType.Input("mirror"),
        "Custom": lambda: io.Custom("HIGGS_PATH").Input("mirror"),
    }

    class Node:
        @classmethod
        def GET_SCHEMA(cls):
            return io.Schema(node_id="HiggsNew", inputs=[new[kind]()])

    assert unclassified({"HiggsNew": Node}) == ["HiggsNew.mirror"]


def test_the_page_and_the_list_name_inputs_that_there_are_once_each():
    there = {
        (node_id, re.sub(r"_\d+$", "_#", one.id))
        for node_id, node in pack_nodes().items()
        for one in node.GET_SCHEMA().inputs
    }
    listed = [(node, name) for node, name, *_ in page()]
    listed += [(node, name) for node, names in HARMLESS.items() for name in names.split()]
    assert len(listed) == len(set(listed)) and set(listed) <= there


def test_each_row_of_the_page_names_tests():
    text = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    assert len(page()) == text.count("| `Higgs")
    for node, name, _, guard, tests in page():
        files = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert guard.strip() and files and all((ROOT / file).is_file() for file in files), f"{node}.{name}"


# ---- guards that no other file tests --------------------------------------------------------------------------------


@pytest.mark.parametrize("node_id", ["HiggsConvertModel", "HiggsConvertCodec"])
@pytest.mark.parametrize("name", ["..", ".", "../x", "a/b", "a\\b", "C:x", "/x", "a\0", "x\n", "\\\\host\\x"])
def test_a_converted_folder_has_a_plain_name(node_id, name):
    node = pack_nodes()[node_id]
    assert node.validate_inputs(name="plain-1.x") is True
    assert "is no name for a folder" in node.validate_inputs(name=name)


@pytest.fixture
def recognizer_elsewhere(monkeypatch, tmp_path):
    """A folder that looks like a recognizer, outside of all models folders."""
    pack_nodes()
    monkeypatch.setattr(node_module("host.files"), "model_folders", lambda: [str(tmp_path / "models")])
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / "elsewhere" / name).write_bytes(b"{}")
    return str(tmp_path / "elsewhere")


def test_a_recognizer_is_one_of_the_choices_and_no_other_folder(recognizer_elsewhere):
    recognizer_inputs = node_module("shared.recognizer_inputs")
    with pytest.raises(Exception, match="no speech recognizer '.*' to choose"):
        recognizer_inputs.find_listener(recognizer_elsewhere, "en")
    with pytest.raises(Exception, match="no speech recognizer '.*' to choose"):
        pack_nodes()["HiggsPrepareReference"].execute(None, recognizer_elsewhere, "", 3.0, 10.0)
