"""The example workflows: UI and API files say the same, fit the nodes' schemas, and open well in the editor."""

from __future__ import annotations

import json
import os

import pytest
from helpers_workflow import CANVAS_ONLY, WORKFLOWS, node_classes, node_inputs, read_workflow, ui_to_api, widget_names

NAMES = ["clone_voice", "codec_round_trip", "text_to_speech", "two_voice_dialogue"]


def test_every_workflow_has_both_formats():
    assert sorted(path.stem for path in WORKFLOWS.glob("*.json")) == NAMES
    assert sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_api_file_is_what_the_editor_would_queue(name):
    expected = ui_to_api(read_workflow(name))
    if os.environ.get("UPDATE_WORKFLOWS"):
        text = json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
        (WORKFLOWS / "api" / f"{name}.json").write_text(text, encoding="utf-8")
    assert read_workflow(name, api=True) == expected, "write the API files anew with UPDATE_WORKFLOWS=1"


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
            elif kind == "COMBO" and widget not in ("checkpoint", "audio"):
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
