"""The shipped workflows in the editor's App mode: all their inputs are there, and one is run to a sound."""

from __future__ import annotations

import json

import pytest
from helpers_scene import load_page, open_editor
from helpers_screen import on_screen
from helpers_server import PACK_FOLDER
from helpers_workflow import WORKFLOWS, read_workflow

pytestmark = [pytest.mark.web, pytest.mark.slow]

NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
APP = """
    const items = () => [...document.querySelectorAll("[data-testid=app-mode-widget-item]")];
    const open = async (workflow) => {
        await app.loadGraphData({ ...workflow, id: crypto.randomUUID() });
        app.extensionManager.workflow.activeWorkflow.activeMode = "app";
        const { length } = workflow.extra.linearData.inputs;
        await until(() => items().length === length && items().every((one) => one.offsetHeight > 60), 20);
        await until(() => [...document.querySelectorAll("button")].find((one) => one.textContent.trim() === "Skip")
            ?.click() ?? true); // the editor's own tour, at the first time
    };
"""  # JavaScript


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    if page.run("return window.__COMFYUI_FRONTEND_VERSION__;") == "1.32.9":
        page.close()
        pytest.skip("it has no App mode")
    yield page
    page.close()


def test_every_app_has_its_inputs(page):
    shown = {}
    for name in NAMES:
        shown[name] = on_screen(
            page,
            APP
            + f"""
            await open({json.dumps(read_workflow(name))});
            const whole = (one) => one.getBoundingClientRect().height > 80 && one.checkVisibility();
            const elements = items().flatMap((one) => [...one.querySelectorAll("[data-higgs-widget]")]).filter(whole);
            return [items().map((one) => one.dataset.widgetKey.split(":").at(-1)), elements.length];
        """,
        )
    own = {"trim", "scene", "mixer", "live_player", "edit"}
    for name in NAMES:
        names = [widget for _, widget, _ in read_workflow(name)["extra"]["linearData"]["inputs"]]
        assert shown[name] == [names, sum(widget in own for widget in names)], name


def test_the_menu_opens_what_a_newcomer_begins_with_as_apps(page):
    """The first ones; the others open on the canvas."""
    shown = on_screen(
        page,
        """
        const workflow = () => app.extensionManager.workflow.activeWorkflow, shown = [];
        const apps = () => [...document.querySelectorAll("[data-testid=app-mode-widget-item]")]
            .filter((one) => one.offsetHeight > 60).length; // also where the app before had a node of this number
        for (const name of ["clone_voice", "two_voice_dialogue", "text_to_speech", "audiobook"]) {
            await app.extensionManager.command.execute(`Higgs.Open.${name}`);
            await until(() => workflow().filename.startsWith(name));
            const { length } = app.graph.extra.linearData.inputs;
            const opened = workflow().activeMode === "app";
            if (opened) await until(() => apps() === length, 20);
            shown.push([name, opened, apps() > 0]);
        }
        return shown;
    """,
    )
    first = ["clone_voice", "two_voice_dialogue", "text_to_speech"]
    assert shown == [*([name, True, True] for name in first), ["audiobook", False, False]]


def test_an_address_opens_an_app(page, server):
    """For a bookmark, or a link in a guide."""
    page.open(f"{server.url}/?template=two_voice_dialogue&source={PACK_FOLDER}&mode=linear")
    page.wait_for("[...document.querySelectorAll('[data-testid=app-mode-widget-item]')].length > 5")
    load_page(page, server)


def test_an_app_is_run_to_a_sound(page):
    workflow = read_workflow("clone_voice")
    for node in workflow["nodes"]:
        if node["type"] in ("HiggsLoadModel", "HiggsLoadCodec"):
            node["widgets_values"][0] = "higgs-nano" if node["type"] == "HiggsLoadModel" else "higgs-nano-codec"
    seconds, heard = on_screen(
        page,
        APP
        + f"""
        await open({json.dumps(workflow)});
        const run = () => [...document.querySelectorAll("[data-testid=linear-run-button] button")].at(-1);
        await settled(run);
        run().click();
        const player = named(found("HiggsGenerate"), "live_player").player;
        await until(() => player.sound?.whole);
        const seconds = await until(() => [...document.querySelectorAll("audio")]
            .find((one) => one.src.includes("higgs_clone") && one.checkVisibility())?.duration);
        return [seconds, player.sound.length / 24000];
    """,
    )
    assert seconds == pytest.approx(heard, abs=0.1) and heard > 1


def test_scripts_throw_nothing(page):
    assert [error for error in page.errors if PACK_FOLDER in error] == []
