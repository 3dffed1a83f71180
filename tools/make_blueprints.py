"""Writes `subgraphs/`, the pack's blueprints: parts of the shipped workflows as one node each.

.venv/bin/python -m tools.make_blueprints
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUT_NODE, OUTPUT_NODE = -10, -20  # their ids in a subgraph
CATEGORY = "Higgs Audio"


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """One file.

    Attributes:
        workflow, nodes: which nodes of which workflow.
        inputs: name outside -> (node, name of its input).
        outputs: name outside -> (node, number of its output).
        texts: nodes whose `text` is written outside: the editor shows that of Script as a scene, which stays inside.
        joins: links in place of nodes that are left out: node, number of its output, node, name of its input.
        changes: node -> number of a widget -> value.
    """

    name: str
    about: str
    aliases: tuple[str, ...]
    workflow: str
    nodes: tuple[int, ...]
    inputs: dict[str, tuple[int, str]]
    outputs: dict[str, tuple[int, int]]
    texts: tuple[int, ...] = ()
    joins: tuple[tuple[int, int, int, str], ...] = ()
    changes: dict[int, dict[int, object]] = field(default_factory=dict)


BLUEPRINTS = (
    Blueprint(
        name="Clone a Voice (Higgs)",
        about="Speaks a text in the voice of a clip: 5 to 15 seconds of one speaker, and what is said in it.",
        aliases=("tts", "voice clone", "text to speech"),
        workflow="clone_voice",
        nodes=(1, 2, 4, 5, 6, 7, 8),
        inputs={"audio": (4, "audio"), "transcript": (5, "transcript"), "text": (6, "text"), "seed": (7, "seed")},
        outputs={"audio": (8, 0), "report": (7, 1)},
    ),
    Blueprint(
        name="Two-Voice Dialogue (Higgs)",
        about="Speaks a dialogue in the voices of two clips: [SPEAKER0] and [SPEAKER1] begin its lines.",
        aliases=("tts", "dialogue", "podcast"),
        workflow="two_voice_dialogue",
        nodes=(1, 2, 4, 5, 7, 8, 9, 10, 11),
        inputs={
            "audio_0": (4, "audio"),
            "audio_1": (7, "audio"),
            "transcript_0": (5, "transcript"),
            "transcript_1": (8, "transcript"),
            "text": (9, "text"),
            "seed": (10, "seed"),
        },
        outputs={"audio": (11, 0), "report": (10, 1)},
    ),
    Blueprint(
        name="Audiobook Chapter (Higgs)",
        about="Reads a chapter in the voice of a clip, line by line, as loud as audiobooks are.",
        aliases=("audiobook", "long text", "narrator"),
        workflow="audiobook",
        nodes=(1, 2, 3, 5, 6, 7, 8, 10),
        inputs={"audio": (5, "audio"), "transcript": (6, "transcript"), "text": (3, "text"), "seed": (7, "seed")},
        outputs={"audio": (10, 0), "chapters": (8, 4), "report": (7, 1)},
        texts=(3,),
    ),
    Blueprint(
        name="Dub Subtitles (Higgs)",
        about="Speaks subtitles, each in its slot, over the sound of a film: lines such as [at 4s] [Rose] Hello.",
        aliases=("dub", "SRT", "subtitles"),
        workflow="srt_dubbing",
        nodes=(1, 2, 3, 4, 5, 8),
        inputs={"film": (8, "track_1"), "text": (3, "text"), "seed": (4, "seed")},
        outputs={"audio": (8, 0), "subtitles": (5, 3), "report": (4, 1)},
        texts=(3,),
    ),
    Blueprint(
        name="Dub a Film (Higgs)",
        about="Dubs the sound of a film from subtitles, each line in the voice of its own actor, over the sound of the "
        "film: lines such as [at 4s] [Anna] Hello, and what the film says as lines at the same times.",
        aliases=("dub", "film", "SRT", "subtitles", "voices"),
        workflow="dub_a_film",
        nodes=(1, 2, 8, 9, 10, 12, 13, 15),
        inputs={
            "film": (10, "audio"),
            "text": (8, "text"),
            "original": (9, "text"),
            "each": (10, "each"),
            "speakers": (10, "speakers"),
            "seed": (12, "seed"),
        },
        outputs={"audio": (15, 0), "subtitles": (13, 3), "table": (10, 6), "report": (10, 7)},
        texts=(8, 9),
    ),
    Blueprint(
        name="Caption Speech (Higgs)",
        about="Finds when each word of a text is said in a clip, and makes captions of it.",
        aliases=("captions", "subtitles", "SRT", "karaoke"),
        workflow="dub_a_film",
        nodes=(18, 19),
        inputs={
            "audio": (18, "audio"),
            "text": (18, "text"),
            "language": (18, "language"),
            "format": (19, "format"),
            "style": (19, "style"),
        },
        outputs={"captions": (19, 0), "words": (18, 0), "report": (18, 1)},
    ),
    Blueprint(
        name="Re-speak (Higgs)",
        about="Says again, in the voice of a clip, what is said in a recording: performed anew, at the same times.",
        aliases=("voice changer", "revoice", "speech to speech"),
        workflow="respeak",
        nodes=(1, 2, 5, 6, 7),
        inputs={
            "recording": (7, "audio"),
            "voice": (5, "audio"),
            "transcript": (6, "transcript"),
            "text": (7, "text"),
            "seed": (7, "seed"),
        },
        outputs={"audio": (7, 0), "report": (7, 2)},
        changes={7: {0: ""}},
    ),
    Blueprint(
        name="Edit Speech (Higgs)",
        about="Changes the words of a recording by changing its text; what is not changed stays as it was.",
        aliases=("overdub", "replace word", "speech editing"),
        workflow="edit_speech",
        nodes=(1, 2, 4),
        inputs={
            "recording": (4, "audio"),
            "transcript": (4, "transcript"),
            "text": (4, "text"),
            "seed": (4, "seed"),
        },
        outputs={"audio": (4, 0), "original": (4, 2), "report": (4, 4)},
        changes={4: {0: "", 1: ""}},  # any recording says something else
    ),
    Blueprint(
        name="Speak On (Higgs)",
        about="A recording goes on with new text, in its voice and its room.",
        aliases=("continue speech", "extend audio"),
        workflow="speak_on",
        nodes=(1, 2, 4),
        inputs={
            "recording": (4, "audio"),
            "transcript": (4, "transcript"),
            "text": (4, "text"),
            "pause": (4, "pause"),
            "seed": (4, "seed"),
        },
        outputs={"audio": (4, 0), "continuation": (4, 2), "report": (4, 4)},
        changes={4: {0: ""}},
    ),
    Blueprint(
        name="Master for a Podcast (Higgs)",
        about="Speech without rumble, a little brighter, and as loud as a podcast is.",
        aliases=("master", "loudness", "podcast"),
        workflow="master_a_mix",
        nodes=(4, 7),
        inputs={"audio": (4, "audio"), "eq": (4, "eq"), "preset": (7, "preset")},
        outputs={"audio": (7, 0), "report": (7, 1)},
        joins=((4, 0, 7, "audio"),),
        changes={4: {1: 0.0, 2: 0.0, 3: 0.0}},  # what needs an extra is off
    ),
)


def main() -> None:
    folder = ROOT / "subgraphs"
    folder.mkdir(exist_ok=True)
    for one in BLUEPRINTS:
        text = json.dumps(made(one), indent=1, ensure_ascii=False) + "\n"
        (folder / f"{one.name}.json").write_text(text, encoding="utf-8")
        print(one.name)


def made(one: Blueprint) -> dict:
    """The file of a blueprint: a workflow of one node, and the subgraph that it is."""
    workflow = json.loads((ROOT / "workflows" / f"{one.workflow}.json").read_text(encoding="utf-8"))
    nodes = {node["id"]: {**copy.deepcopy(node), "mode": 0} for node in workflow["nodes"] if node["id"] in one.nodes}
    names = {(node["id"], n): entry["name"] for node in nodes.values() for n, entry in enumerate(node["inputs"])}
    links = Links(nodes)
    for _, source, slot, target, to, kind in workflow["links"]:
        if source in nodes and target in nodes:
            links.add(source, slot, target, names[target, to], kind)
    for source, slot, target, name in one.joins:
        links.add(source, slot, target, name, nodes[source]["outputs"][slot]["type"])
    for number, changed in one.changes.items():
        for place, value in changed.items():
            nodes[number]["widgets_values"][place] = value
    written = {number: written_outside(nodes, number, links) for number in one.texts}
    inputs = [links.enter(slot, name, *inside(one.inputs[name], written)) for slot, name in enumerate(one.inputs)]
    outputs = [links.leave(slot, name, *one.outputs[name]) for slot, name in enumerate(one.outputs)]
    right = max(node["pos"][0] + node["size"][0] for node in nodes.values())
    left = min(node["pos"][0] for node in nodes.values())
    subgraph = {
        "id": ident(one.name),
        "version": 1,
        "revision": 0,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": max(nodes),
            "lastLinkId": len(links.all),
            "lastRerouteId": 0,
        },
        "config": {},
        "name": one.name,
        "description": one.about,
        "category": CATEGORY,
        "inputNode": {"id": INPUT_NODE, "bounding": [left - 260, 0, 140, 40 + 20 * len(inputs)]},
        "outputNode": {"id": OUTPUT_NODE, "bounding": [right + 120, 0, 140, 40 + 20 * len(outputs)]},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": list(nodes.values()),
        "groups": [],
        "links": links.all,
        "extra": {},
    }
    outside = {
        "id": 1,
        "type": subgraph["id"],
        "pos": [0, 0],
        "size": [420, 480],
        "flags": {},
        "order": 0,
        "mode": 0,
        "title": one.name,
        "inputs": [slot_outside(entry, links) for entry in inputs],
        "outputs": [{"name": entry["name"], "type": entry["type"], "links": []} for entry in outputs],
        "properties": {"cnr_id": "comfyui-higgs"},
        "widgets_values": [],
    }
    return {
        "id": ident(one.name, "workflow"),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [outside],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {"BlueprintDescription": one.about, "BlueprintSearchAliases": list(one.aliases)},
        "version": 0.4,
    }


class Links:
    """The links of a subgraph; those of its nodes begin anew."""

    def __init__(self, nodes: dict[int, dict]):
        self.nodes, self.all, self.widgets = nodes, [], {}
        for node in nodes.values():
            node["inputs"].sort(key=is_grown)  # where an older editor has them when it looks for the slots of links
            for entry in node["inputs"]:
                entry["link"] = None
            for entry in node["outputs"]:
                entry["links"] = []

    def add(self, source: int, slot: int, target: int, name: str, kind: str) -> None:
        number = self._new(source, slot, target, self._slot(target, name), kind)
        self.nodes[source]["outputs"][slot]["links"].append(number)
        self.nodes[target]["inputs"][self._slot(target, name)]["link"] = number

    def enter(self, slot: int, name: str, node: int, inner: str) -> dict:
        """An input of the subgraph that goes to an input of one of its nodes."""
        place = self._slot(node, inner)
        entry = self.nodes[node]["inputs"][place]
        entry["link"] = self._new(INPUT_NODE, slot, node, place, entry["type"])
        if "widget" in entry:
            self.widgets[name] = [str(node), inner]
        return {"id": ident(name, str(node)), "name": name, "type": entry["type"], "linkIds": [entry["link"]]}

    def leave(self, slot: int, name: str, node: int, inner: int) -> dict:
        """An output of the subgraph that comes from an output of one of its nodes."""
        entry = self.nodes[node]["outputs"][inner]
        number = self._new(node, inner, OUTPUT_NODE, slot, entry["type"])
        entry["links"].append(number)
        return {"id": ident(name, str(node)), "name": name, "type": entry["type"], "linkIds": [number]}

    def _slot(self, node: int, name: str) -> int:
        return next(n for n, entry in enumerate(self.nodes[node]["inputs"]) if entry["name"] == name)

    def _new(self, source: int, slot: int, target: int, to: int, kind: str) -> int:
        number = len(self.all) + 1
        ends = {"origin_id": source, "origin_slot": slot, "target_id": target, "target_slot": to}
        self.all.append({"id": number, **ends, "type": kind})
        return number


def is_grown(entry: dict) -> bool:
    """Whether an input is added to its node when one before it is connected."""
    return "widget" not in entry and re.search(r"_[1-9]\d*$", entry["name"]) is not None


def written_outside(nodes: dict[int, dict], number: int, links: Links) -> int:
    """A node that holds the text of a Script; its id."""
    script, new = nodes[number], max(nodes) + 1
    nodes[new] = {
        "id": new,
        "type": "PrimitiveStringMultiline",
        "pos": [script["pos"][0], script["pos"][1] - 300],
        "size": [400, 200],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{"name": "value", "type": "STRING", "widget": {"name": "value"}, "link": None}],
        "outputs": [{"name": "STRING", "type": "STRING", "links": []}],
        "properties": {"Node name for S&R": "PrimitiveStringMultiline"},
        "widgets_values": [script["widgets_values"][0]],
    }
    links.add(new, 0, number, "text", "STRING")
    return new


def inside(end: tuple[int, str], written: dict[int, int]) -> tuple[int, str]:
    node, name = end
    return (written[node], "value") if node in written and name == "text" else end


def slot_outside(entry: dict, links: Links) -> dict:
    slot = {"name": entry["name"], "type": entry["type"], "link": None}
    return {**slot, "widget": {"name": entry["name"]}} if entry["name"] in links.widgets else slot


def ident(*names: str) -> str:
    """The same id each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("comfyui-higgs", *names))))


if __name__ == "__main__":
    main()
