"""What ComfyUI does with the pack's output nodes: one branch of a graph runs alone, and what was exported is listed."""

from __future__ import annotations

import json

import pytest
import requests
from helpers_scene import open_editor
from helpers_screen import on_screen
from helpers_workflow import read_workflow

NAME = "means/take"


def graph(seed: int) -> dict:
    """Speech that is exported (7), shown as a report (6), measured (8) and drawn (9)."""
    prompt = read_workflow("text_to_speech", api=True)
    prompt["4"]["inputs"] |= {"max_seconds": 0.4, "seed": seed}
    prompt["7"]["inputs"] |= {"file_name": NAME, "format": "wav 16-bit"}
    picture = {"audio": ["5", 0], "kind": "waveform", "width": 128, "height": 64}
    prompt["8"] = {"class_type": "HiggsLoudness", "inputs": {"audio": ["5", 0]}, "_meta": {"title": "Loudness"}}
    prompt["9"] = {"class_type": "HiggsAudioPicture", "inputs": picture, "_meta": {"title": "Picture"}}
    return prompt


OUTPUTS = {"6", "7", "8", "9"}


@pytest.mark.parametrize("number, wanted", list(enumerate([{"6"}, {"7"}, {"8", "9"}, OUTPUTS])))
def test_chosen_outputs_run_and_the_others_do_not(client, number, wanted):
    run = client.follow(client.queue(graph(31 + number), partial_execution_targets=sorted(wanted)))
    assert run.error is None, run.error["exception_message"]
    assert set(run.executed) & OUTPUTS == wanted and "4" in run.executed
    assert ("5" in run.executed) == (wanted != {"6"}), "the report needs no sound"


def test_what_is_exported_is_listed_as_a_sound(client, server):
    run = client.run(graph(41))
    assert run.error is None
    [file] = run.outputs["7"]["audio"]
    assert (file["subfolder"], file["type"]) == ("means", "output") and file["filename"].endswith(".wav")
    jobs = requests.get(f"{server.url}/api/jobs/{run.prompt_id}", timeout=30)
    if jobs.ok:  # a newer ComfyUI
        preview = jobs.json()["preview_output"]
        assert (preview["filename"], preview["mediaType"], preview["nodeId"]) == (file["filename"], "audio", "7")


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


@pytest.mark.web
def test_the_selected_output_runs_alone_in_the_editor(page):
    ran = on_screen(
        page,
        f"""
        await app.loadApiJson({json.dumps(graph(51))}, "means");
        const {{ api }} = await import("/scripts/api.js"), ran = [], over = new Promise((done) => {{
            api.addEventListener("executing", ({{ detail }}) => detail === null ? done() : ran.push(String(detail)));
            api.addEventListener("execution_success", done);
        }});
        app.canvas.selectItems([app.graph.getNodeById(8) ?? app.graph.getNodeById("8")]);
        await app.extensionManager.command.execute("Comfy.QueueSelectedOutputNodes");
        await over;
        return ran;
    """,
    )
    assert set(ran) & OUTPUTS == {"8"} and {"4", "5"} <= set(ran)


@pytest.mark.web
def test_the_assets_panel_shows_what_was_exported_with_its_kind(page, client, server):
    run = client.run(graph(61))
    [file] = run.outputs["7"]["audio"]
    if not requests.get(f"{server.url}/api/jobs", timeout=30).ok:
        pytest.skip("this ComfyUI does not list what was made")
    said = on_screen(
        page,
        f"""
        const panel = app.extensionManager.sidebarTab;
        panel.toggleSidebarTab("assets");
        const stem = {json.dumps(file["filename"].rsplit(".", 1)[0])};
        const cards = ["[role=button]", "li", "[data-testid*=asset]", "[data-asset-id]"];
        const all = () => document.querySelectorAll(cards.map((one) => `.side-bar-panel ${{one}}`).join());
        const said = (one) => one.ariaLabel ?? one.textContent;
        const card = await until(() => [...all()].find((one) => said(one).includes(stem)), 30);
        panel.toggleSidebarTab("assets");
        return said(card);
    """,
    )
    assert said.startswith(file["filename"].rsplit(".", 1)[0]) and "WAV" in said
