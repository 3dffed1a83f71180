"""The example workflows: UI and API files say the same, fit the nodes' schemas, open well in the editor, and run with
what the pack brings."""

from __future__ import annotations

import json
import os
import re

import pytest
from helpers_workflow import (
    CANVAS_ONLY,
    ROOT,
    WORKFLOWS,
    node_classes,
    node_inputs,
    read_workflow,
    ui_to_api,
    widget_names,
)

from higgs_runtime import parse_script
from higgs_runtime.hub import catalog
from higgs_runtime.text.vocabulary import unknown_words
from tools.nano import domain

WITH_NANO = [
    "audiobook",
    "clone_voice",
    "codec_round_trip",
    "directed_book",
    "dub_a_film",
    "edit_speech",
    "five_voice_scene",
    "respeak",
    "retake_line",
    "speak_on",
    "srt_dubbing",
    "text_to_speech",
    "two_voice_dialogue",
]
NAMES = sorted([*WITH_NANO, "master_a_mix", "tags_v3"])
NANO_WORDS = {*domain.words(), *"0123456789"}
FROM_PACK = " (from the pack)"


def test_every_workflow_has_both_formats():
    assert sorted(path.stem for path in WORKFLOWS.glob("*.json")) == NAMES
    assert sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json")) == NAMES


def test_every_workflow_has_a_picture_for_its_card():
    """ComfyUI looks for one of this name; python -m tools.make_cards draws them."""
    from PIL import Image

    assert sorted(path.stem for path in WORKFLOWS.glob("*.jpg")) == NAMES
    for name in NAMES:
        path = WORKFLOWS / f"{name}.jpg"
        with Image.open(path) as picture:
            assert picture.size == (480, 300) and path.stat().st_size < 20_000


@pytest.mark.parametrize("name", NAMES)
def test_what_ends_a_workflow_is_the_packs_or_shows_text(name):
    """ComfyUI's own savers are called deprecated since 0.33."""
    ends = {
        node["type"]
        for node in read_workflow(name)["nodes"]
        if not any(o.get("links") for o in node.get("outputs", []))
    }
    assert "HiggsExportAudio" in ends <= {"HiggsExportAudio", "PreviewAny", "PreviewAudio", "MarkdownNote"}


@pytest.mark.parametrize("name", NAMES)
def test_api_file_is_what_the_editor_would_queue(name):
    expected = ui_to_api(read_workflow(name))
    if os.environ.get("UPDATE_WORKFLOWS"):
        text = json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
        (WORKFLOWS / "api" / f"{name}.json").write_text(text, encoding="utf-8")
    assert read_workflow(name, api=True) == expected, "write the API files anew with UPDATE_WORKFLOWS=1"


def test_what_is_spoken_on_is_not_what_was_said():
    node = next(one for one in read_workflow("speak_on", api=True).values() if one["class_type"] == "HiggsSpeakOn")
    assert node["inputs"]["text"] != node["inputs"]["transcript"]


@pytest.mark.parametrize("name", NAMES)
def test_every_node_and_input_is_known(name):
    for node in read_workflow(name, api=True).values():
        known = node_inputs(node["class_type"])
        assert set(node["inputs"]) <= set(known)
        required = node_classes()[node["class_type"]].INPUT_TYPES()["required"]
        assert set(required) <= set(node["inputs"])


@pytest.mark.parametrize("name", NAMES)
def test_values_fit_their_widgets(name):
    for node in read_workflow(name)["nodes"]:
        if node["type"] in CANVAS_ONLY:
            continue
        names = widget_names(node["type"])
        assert len(node["widgets_values"]) >= len(names)
        for widget, value in zip(names, node["widgets_values"], strict=False):
            if ":" in widget:
                assert value in ("fixed", "increment", "decrement", "randomize")
                continue
            kind, options = node_inputs(node["type"])[widget]
            if kind in ("INT", "FLOAT"):
                assert options["min"] <= value <= options["max"]
            elif kind == "COMBO" and widget != "audio":
                assert value in options["options"]


@pytest.mark.parametrize("name", NAMES)
def test_links_join_outputs_and_inputs_of_one_type(name):
    workflow = read_workflow(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for number, source, out_slot, target, in_slot, kind in workflow["links"]:
        output, slot = nodes[source]["outputs"][out_slot], nodes[target]["inputs"][in_slot]
        assert number in output["links"] and slot["link"] == number
        assert output["type"] == kind == node_classes()[nodes[source]["type"]].RETURN_TYPES[out_slot]
        assert node_inputs(nodes[target]["type"])[slot["name"]][0] in (kind, "*")


@pytest.mark.parametrize("name", NAMES)
def test_layout_is_readable(name):
    """Nodes do not overlap, each lies in one group, and a note explains."""
    workflow = read_workflow(name)
    boxes = {node["id"]: (*node["pos"], *node["size"]) for node in workflow["nodes"]}
    for first, a in boxes.items():
        for second, b in boxes.items():
            assert first >= second or not overlap(a, b), f"nodes {first} and {second} overlap"
    for node in workflow["nodes"]:
        holders = [group for group in workflow["groups"] if overlap(boxes[node["id"]], group["bounding"])]
        if node["type"] != "MarkdownNote":
            assert len(holders) == 1, f"node {node['id']} ({node['type']}) lies in {len(holders)} groups"
    assert [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]


def overlap(a, b) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_is_an_app_of_a_few_inputs_in_plain_words(name):
    """What newer editors show in their App mode; a description has one line there."""
    workflow = read_workflow(name)
    nodes, told = {node["id"]: node["type"] for node in workflow["nodes"]}, workflow["extra"]["linearData"]
    elements = {"HiggsLoadAudio": "trim", "HiggsScript": "scene", "HiggsMixAudio": "mixer", "HiggsEditSpeech": "edit"}
    assert 2 <= len(told["inputs"]) <= 9
    for number, widget, shown in told["inputs"]:
        assert widget in {*widget_names(nodes[number]), elements.get(nodes[number], "live_player")}
        assert 10 < len(shown["description"]) <= 36
    assert {nodes[number] for number in told["outputs"]} <= {"HiggsExportAudio", "PreviewAudio"} and told["outputs"]
    assert "linearMode" not in workflow["extra"], "frontend 1.32.9 opens an unfinished page then"


# --- what the pack brings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_NANO)
def test_checkpoints_are_left_to_auto_and_the_packs_model_knows_every_word(name):
    nodes = read_workflow(name, api=True).values()
    inputs = [node["inputs"] for node in nodes if node["class_type"] != "HiggsScript"]
    assert {one["checkpoint"] for one in inputs if "checkpoint" in one} == {"auto"}
    texts = [one.get(key, "") for one in inputs for key in ("text", "system", "scene", "transcript", "description")]
    for node in nodes:
        if node["class_type"] == "HiggsScript":  # its tags and cues are not spoken
            texts += [part for turn in parse_script(node["inputs"]["text"]).turns for part in (turn.text, turn.scene)]
    assert unknown_words(" ".join(texts), NANO_WORDS) == []


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_the_packs_and_transcripts_say_what_they_say(name):
    clips = catalog.embedded_clips()
    workflow = read_workflow(name, api=True)

    def clip_of(node: dict):
        return clips[node["inputs"]["audio"].removesuffix(FROM_PACK)]

    for node in workflow.values():
        if node["class_type"] == "HiggsLoadAudio":
            assert clip_of(node).is_file() and node["inputs"]["audio"].endswith(FROM_PACK)
        elif node["class_type"] == "HiggsVoice":
            encode = workflow[node["inputs"]["codes"][0]]
            said = clip_of(workflow[encode["inputs"]["audio"][0]]).with_suffix(".txt")
            assert node["inputs"]["transcript"] == said.read_text(encoding="utf-8").strip()


def test_readme_and_guide_speak_in_words_of_the_packs_model():
    text = "".join((ROOT / file).read_text(encoding="utf-8") for file in ("README.md", "docs/python_and_shell.md"))
    spoken = re.findall(r'(?:higgs say "|--text "|speak\(\s*"|Prompt\.text=)([^"]+)"', text)
    assert len(spoken) == 6 and unknown_words(" ".join(spoken), NANO_WORDS) == []


def test_the_number_of_words_is_right():
    notes = [node for name in WITH_NANO for node in read_workflow(name)["nodes"] if node["type"] == "MarkdownNote"]
    files = ["README.md", "higgs_runtime/nano/README.md", "web/docs/HiggsLoadModel.md"]
    texts = [*((ROOT / file).read_text(encoding="utf-8") for file in files), *(n["widgets_values"][0] for n in notes)]
    count = str(len(domain.words()))
    told = re.findall(r"(\d+)\s+words and\s+the\s+ten\s+digits", "\n".join(texts).replace("@WORDS@", count))
    assert told == 14 * [count]


def test_no_other_folder_stands_in_place_of_the_workflows():
    """ComfyUI takes templates from folders of five names, and serves the first that it finds alone."""
    names = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in names if (ROOT / name).exists()] == ["workflows"]
