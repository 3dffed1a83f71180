"""A film is dubbed in a real ComfyUI, and the page's table of cues is corrected."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from helpers_browser import WAITING
from helpers_film import film_of, write_film
from helpers_scene import open_editor
from helpers_server import PACK_FOLDER, Refused
from helpers_workflow import read_workflow

from higgs_runtime import AudioClip

LM, CODEC = "higgs-nano", "higgs-nano-codec"
HELPERS = WAITING + "\nconst named = (node, name) => node.widgets.find((widget) => widget.name === name);\n"


def dubbed_film(**references) -> dict:
    prompt = read_workflow("dub_a_film", api=True)
    for node in prompt.values():
        inputs = node["inputs"]
        if "checkpoint" in inputs:
            inputs["checkpoint"] = LM if node["class_type"] == "HiggsLoadModel" else CODEC
        if "takes_per_slot" in inputs:
            inputs["takes_per_slot"] = 1
        if node["class_type"] == "HiggsRenderScript":
            inputs["recognizer"] = "none"
        if node["class_type"] == "HiggsReferencesFromFilm":
            inputs.update(references)
    return prompt


def test_the_workflow_speaks_each_line_in_its_actors_voice(client, tmp_path):
    run = client.run(dubbed_film())
    assert run.error is None, run.error["exception_message"]
    [told] = run.of_type("higgs.cues")
    assert [row["speaker"] for row in told["rows"]] == ["Anna", "Ben", "Jack"]
    texts = {key: output["text"][0] for key, output in run.outputs.items() if "text" in output}
    shown = {node["_meta"]["title"]: texts[key] for key, node in dubbed_film().items() if key in texts}
    assert shown["Who speaks what"].splitlines()[1].startswith("2: Ben | 0:00:09.50 | named")
    assert shown["Subtitles"].count("-->") == 3
    [files] = [run.outputs[key]["audio"] for key in run.outputs if run.outputs[key].get("audio")]
    assert AudioClip.load(client.download(files[0], tmp_path)).seconds > 22


def test_a_video_of_the_input_folder_keeps_the_place_of_its_sound(server, client):
    clip, _ = film_of(["rose"])
    write_film(Path(server.base) / "input" / "late.mp4", clip, 1.5)
    prompt = {key: node for key, node in dubbed_film(film="late.mp4").items() if key in ("2", "8", "9", "10", "11")}
    for key in ("8", "9"):
        prompt[key]["inputs"]["text"] = "[Anna] [slot 2s-10.4s] Hello, and welcome."
    del prompt["10"]["inputs"]["audio"]
    prompt["12"] = {"class_type": "HiggsLoudness", "inputs": {"audio": ["10", 2]}}
    run = client.run(prompt)
    assert run.error is None, run.error["exception_message"]
    [told] = run.of_type("higgs.cues")
    assert [row["note"] for row in told["rows"]] == [""] and told["rows"][0]["start_s"] == 2.0


@pytest.mark.parametrize(
    "references, words",
    [
        ({"speakers": "9: Anna"}, "a cue from 1 to 3"),
        ({"film": "none.mp4"}, "none.mp4"),
        ({"film": "../../secret.mp4"}, "a path outside"),
        ({"max_seconds": 3.0}, "min_s"),
    ],
)
def test_what_cannot_be_used_is_told(client, references, words):
    prompt = {key: node for key, node in dubbed_film(**references).items() if key in map(str, range(2, 12))}
    prompt.pop("6")
    prompt["7"]["inputs"].pop("track_3")
    try:
        said = json.dumps(client.run(prompt).error)
    except Refused as refusal:
        said = str(refusal)
    assert words in said


@pytest.mark.web
def test_the_table_of_cues_is_corrected_on_the_page(server, tmp_path):
    page = open_editor(server, tmp_path / "chromium")
    try:
        page.run(
            HELPERS
            + f"""
            const file = await fetch("/api/workflow_templates/{PACK_FOLDER}/dub_a_film.json");
            await app.loadGraphData(await file.json());
            const node = await until(() => app.graph.nodes.find((one) => one.type === "HiggsReferencesFromFilm"));
            const {{ api }} = await import("/scripts/api.js");
            const row = {{ start_s: 3661, end_s: 3662, text: "Hello.", note: "" }};
            const rows = [
                {{ ...row, cue: 1, speaker: "Anna", known_by: "named" }},
                {{ ...row, cue: 2, speaker: "Voice A", known_by: "voice" }},
            ];
            api.dispatchCustomEvent("higgs.cues", {{ node: node.id, rows }});
            await wait();
            app.canvas.ds.scale = 0.7; app.canvas.ds.offset = [-node.pos[0] + 300, -node.pos[1] + 100];
            app.graph.setDirtyCanvas(true, true);
            await wait(800);
        """
        )
        if folder := os.environ.get("HIGGS_SCREENSHOTS"):
            page.screenshot(Path(folder) / "dub_a_film.png")
        kept, text, shown, again = page.run(
            HELPERS
            + """
            const node = app.graph.nodes.find((one) => one.type === "HiggsReferencesFromFilm");
            const fields = () => [...named(node, "cues").element.querySelectorAll("td input")];
            const first = fields().map((one) => one.value);
            fields()[1].value = "Ben";
            fields()[1].dispatchEvent(new Event("change"));
            await wait();
            const saved = JSON.parse(JSON.stringify(app.graph.serialize()));
            await app.loadGraphData(saved);
            const anew = await until(() => app.graph.nodes.find((one) => one.type === "HiggsReferencesFromFilm"));
            await wait();
            const back = [...named(anew, "cues").element.querySelectorAll("td input")].map((one) => one.value);
            const prompt = (await app.graphToPrompt()).output;
            return [first, named(anew, "speakers").value, prompt["10"].inputs.speakers, back];
        """
        )
        assert (kept, text, shown, again) == (["Anna", "Voice A"], "2: Ben", "2: Ben", ["Anna", "Ben"])
        assert [error for error in page.errors if PACK_FOLDER in error] == []
    finally:
        page.close()
