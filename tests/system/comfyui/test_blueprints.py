"""The pack's blueprints: the server offers them, and each is one node in the editor that runs to a sound."""

from __future__ import annotations

import json

import pytest
from helpers_scene import open_editor
from helpers_screen import on_screen
from helpers_server import PACK_FOLDER, ROOT
from helpers_workflow import node_inputs, widget_names

pytestmark = pytest.mark.web

FILES = sorted((ROOT / "subgraphs").glob("*.json"))
INSTEAD = {name: ("codes", "voice") for name in ("HiggsEditSpeech", "HiggsSpeakOn")}  # of the recording and its voice
NANO = {"HiggsLoadModel": "higgs-nano", "HiggsLoadCodec": "higgs-nano-codec"}
# as their texts say
RECORDINGS = {"Re-speak (Higgs)": "bear", "Edit Speech (Higgs)": "alan", "Speak On (Higgs)": "ross"}


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def offered(server):
    """name -> blueprint, as the server hands it out."""
    listed = server.get("/global_subgraphs")
    mine = {key: one["name"] for key, one in listed.items() if one["info"]["node_pack"].endswith(PACK_FOLDER)}
    return {name: json.loads(server.get(f"/global_subgraphs/{key}")["data"]) for key, name in mine.items()}


def test_the_server_offers_them(offered):
    assert len(FILES) == 10 and sorted(offered) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem.split(" ")[0])
def test_it_is_well_formed(path):
    blueprint = json.loads(path.read_text(encoding="utf-8"))
    [outside], [inside] = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in inside["nodes"]}
    assert outside["type"] == inside["id"] and inside["name"] == path.stem
    for node in nodes.values():
        if node["type"].startswith("Higgs"):
            assert {entry["name"] for entry in node["inputs"]} <= set(node_inputs(node["type"]))
            assert len(node["widgets_values"]) >= len(widget_names(node["type"]))
    for link in inside["links"]:
        source, target = nodes.get(link["origin_id"]), nodes.get(link["target_id"])
        begins = source["outputs"] if source else inside["inputs"]
        ends = target["inputs"] if target else inside["outputs"]
        assert begins[link["origin_slot"]]["type"] == link["type"]
        assert ends[link["target_slot"]]["type"] in (link["type"], "*")
    required = {
        (node["id"], name)
        for node in nodes.values()
        if node["type"].startswith("Higgs")
        for name, spec in node_inputs(node["type"]).items()
        if spec[0] in ("AUDIO",) or spec[0].startswith("HIGGS")
        if not name[-1].isdigit() and name not in ("codec", "impulse", "cast", *INSTEAD.get(node["type"], ()))
    }
    linked = {(at["target_id"], nodes[at["target_id"]]["inputs"][at["target_slot"]]["name"])
              for at in inside["links"] if at["target_id"] in nodes}  # fmt: skip
    assert required <= linked


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in FILES if "Caption" not in path.stem])
def test_it_runs_to_a_sound(page, offered, server, name):
    if "Audiobook" in name and page.run("return window.__COMFYUI_FRONTEND_VERSION__;") == "1.32.9":
        pytest.skip("it takes longest, and is the same prompt")
    blueprint = offered[name]
    for node in blueprint["definitions"]["subgraphs"][0]["nodes"]:
        if node["type"] in NANO:
            node["widgets_values"][0] = NANO[node["type"]]
        elif "Film" in name and node["type"] == "PrimitiveStringMultiline":  # the film of this test has one actor
            node["widgets_values"][0] = node["widgets_values"][0].splitlines()[0]
    prompt_id, seen = on_screen(
        page,
        f"""
        await app.loadGraphData({{ ...{json.dumps(blueprint)}, id: crypto.randomUUID() }});
        await until(() => app.graph.nodes.length === 1);
        const [node] = app.graph.nodes, widgets = node.inputs.filter((input) => input.widget).length;
        node.inputs.forEach((input, n) => {{
            if (input.type !== "AUDIO") return;
            const load = make("HiggsLoadAudio", [-600, 600 * n]);
            const said = {json.dumps(RECORDINGS.get(name))};
            named(load, "audio").value = `${{input.name === "recording" ? said : n ? "ross" : "rose"}} (from the pack)`;
            load.connect(0, node, n);
        }});
        const out = make("HiggsExportAudio", [600, 0]);
        node.connect(0, out, slot(out, "audio"));
        const {{ api }} = await import("/scripts/api.js");
        let queued, ended;
        api.addEventListener("promptQueued", () => {{ queued = true; }});
        for (const kind of ["execution_success", "execution_error"]) {{
            api.addEventListener(kind, ({{ detail }}) => {{ ended = detail; }}, {{ once: true }});
        }}
        await app.queuePrompt(0);
        await until(() => ended);
        return [ended.prompt_id, [ended.exception_message ?? "", widgets === node.widgets.length]];
    """,
    )
    assert seen == ["", True]
    outputs = server.get(f"/history/{prompt_id}")[prompt_id]["outputs"].values()
    assert [file for output in outputs for file in output.get("audio", []) if file["type"] == "output"]


def test_scripts_throw_nothing(page):
    assert [error for error in page.errors if PACK_FOLDER in error] == []
