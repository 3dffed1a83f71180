"""What stands on the screen: each element of the pack, in both renderers, after undo, redo and what comes and goes."""

from __future__ import annotations

import json

import pytest
from helpers_scene import open_editor
from helpers_screen import draw_with, on_screen
from helpers_server import PACK_FOLDER

pytestmark = pytest.mark.web

WITH_ELEMENTS = [
    "HiggsScript",
    "HiggsLoadAudio",
    "HiggsGenerate",
    "HiggsRenderScript",
    "HiggsMixAudio",
    "HiggsDirector",
    "HiggsEditSpeech",
]
BUILD = """
    await clear();
    const places = { HiggsScript: [0, 0], HiggsLoadAudio: [2000, 0], HiggsGenerate: [4000, 0],
        HiggsRenderScript: [6000, 0], HiggsMixAudio: [8000, 0], HiggsLoadCodec: [10000, 0], HiggsDirector: [12000, 0],
        HiggsEditSpeech: [14000, 0] };
    for (const [type, pos] of Object.entries(places)) make(type, pos);
    found("HiggsLoadAudio").connect(0, found("HiggsMixAudio"), slot(found("HiggsMixAudio"), "track_0"));
    for (const type of ["HiggsGenerate", "HiggsRenderScript"]) {
        found("HiggsLoadCodec").connect(0, found(type), slot(found(type), "codec"));
    }
    await until(() => app.graph.nodes.flatMap(elementsOf).filter((one) => !one.hidden).length === 7);
"""


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def browser(page, request):
    draw_with(page, request.param)
    yield page
    draw_with(page, False)


def test_every_element_is_seen_whole_in_its_node(browser):
    assert on_screen(browser, f"{BUILD} return allRight({json.dumps(WITH_ELEMENTS)});") == []


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_texts_stand_out_from_what_is_behind_them(browser, palette):
    types = [*WITH_ELEMENTS, "HiggsLoadCodec"]
    faint = on_screen(
        browser,
        f"""
        {BUILD}
        const {{ setting }} = app.extensionManager, {{ api }} = await import("/scripts/api.js");
        const script = found("HiggsScript"), text = "# Scene: a\\n[Rose] Yes.\\n[pause 1s]\\n[Bear] Good.\\n[Ross";
        await setting.set("Comfy.ColorPalette", {json.dumps(palette)});
        named(script, "text").value = text;
        script.higgsScene.load();
        api.dispatchCustomEvent("higgs.text", {{ node: found("HiggsLoadCodec").id, text: "auto: Higgs Nano" }});
        await lookAt(script);
        await wait(1000);
        const problems = [];
        for (const type of {json.dumps(types)}) {{
            await lookAt(found(type));
            problems.push(...faint([type]));
        }}
        await setting.set("Comfy.ColorPalette", "dark");
        return problems;
    """,
    )
    assert faint == []


def test_undo_and_redo_show_the_new_nodes_elements(browser):
    """And what is typed and moved there is the new node's."""
    found = on_screen(
        browser,
        f"""
        {BUILD}
        const types = {json.dumps(WITH_ELEMENTS)}, problems = [], counts = [];
        const check = async () => {{
            problems.push(...(await allRight(types)), ...seenTwice());
            counts.push(app.graph.nodes.length);
        }};
        await wait(500);
        await step();
        for (const type of ["HiggsScript", "HiggsMixAudio"]) {{
            app.graph.remove(found(type));
            await step();
        }}
        while (app.graph.nodes.length < 8) await tracker().undo();
        await check();
        await tracker().redo();
        await until(() => app.graph.nodes.length < 8);
        await tracker().undo();
        await until(() => app.graph.nodes.length === 8);
        await check();
        return [problems, counts];
    """,
    )
    assert found == [[], [8, 8]]
    text = on_screen(
        browser,
        """
        await lookAt(found("HiggsScript"));
        const shown = document.querySelectorAll(".higgs-scene.widget-expands:not(.higgs-diff)");
        if (shown.length !== 1) throw new Error(`${shown.length} scene editors`);
        shown[0].querySelectorAll(".row .words")[1].click();
        await until(() => document.activeElement.matches("textarea.words"));
        return named(found("HiggsScript"), "text").value;
    """,
    )
    browser.press("Home")
    browser.type("Well! ")
    after = on_screen(browser, "return named(found('HiggsScript'), 'text').value;")
    assert after != text and after.replace("Well! ", "") == text


def test_widgets_that_are_hidden_are_not_drawn(browser, request):
    """Where Vue draws nodes, a widget that is hidden after it was made has to go as well, and to come back."""
    oldest = browser.run("return window.__COMFYUI_FRONTEND_VERSION__;") == "1.32.9"
    kept = oldest and "vue" in request.node.callspec.id.split("-")  # it keeps what it saw of a node's widgets
    counts, heights = on_screen(
        browser,
        f"const kept = {json.dumps(kept)};"
        """
        await clear();
        const mix = make("HiggsMixAudio", [0, 0]), clip = make("HiggsLoadAudio", [800, 0]);
        const script = make("HiggsScript", [0, 800]), more = named(mix, "more_settings");
        const vue = app.extensionManager.setting.get("Comfy.VueNodes.Enabled"), counts = [], heights = [];
        const drawn = (node) => document.querySelector(`[data-node-id="${node.id}"]`);
        const folded = (node) => (kept ? 0 : node.widgets.filter((one) => one.options.advanced).length);
        const rows = (node) => drawn(node)?.querySelectorAll(".lg-node-widget").length + folded(node);
        const shown = (node) => node.widgets.filter((one) => !one.hidden).length;
        const note = async (wanted) => {
            await until(() => shown(mix) === wanted);
            const end = performance.now() + 5000;
            while (vue && rows(mix) !== wanted && performance.now() < end) await wait();
            counts.push(vue ? [rows(mix), rows(script)] : [shown(mix), shown(script)]);
            heights.push(Math.max(mix.size[1], vue ? drawn(mix).offsetHeight : 0));
        };
        await note(3);
        clip.connect(0, mix, slot(mix, "track_0"));
        await note(9);
        for (const [on, count] of kept ? [] : [[true, 26], [false, 9]]) {
            more.value = on;
            more.callback(on);
            await note(count);
        }
        mix.disconnectInput(slot(mix, "track_0"));
        await note(3);
        return [counts, heights];
    """,
    )
    assert counts == [[3, 1], [9, 1], *([] if kept else [[26, 1], [9, 1]]), [3, 1]]
    assert heights[0] < 250 and heights[1] < 500


def test_inputs_that_grow_are_called_like_the_first(page):
    """And nothing asks the editor for what it calls deprecated."""
    names = on_screen(
        page,
        """
        const warned = [], warn = console.warn;
        console.warn = (...what) => { warned.push(what.join(" ")); warn(...what); };
        await clear();
        const mix = make("HiggsMixAudio", [0, 0]), clip = make("HiggsLoadAudio", [800, 0]);
        clip.connect(0, mix, slot(mix, "track_0"));
        await until(() => slot(mix, "track_1") >= 0);
        await step();
        console.warn = warn;
        const said = (name) => mix.inputs[slot(mix, name)].label ?? mix.inputs[slot(mix, name)].localized_name;
        const saved = app.graph.serialize();
        for (const node of saved.nodes) node.inputs = node.inputs.map(({ label, localized_name, ...one }) => one);
        const warnings = warned.filter((one) => /deprecated/.test(one));
        await app.loadGraphData(saved);
        const opened = found("HiggsMixAudio"), input = () => opened.inputs[slot(opened, "track_1")];
        await until(() => input()?.label ?? input()?.localized_name);
        return [said("track_0"), said("track_1"), input().label ?? input().localized_name, warnings];
    """,
    )
    assert names == ["track 0", "track 1", "track 1", []]


def test_scripts_throw_nothing(page):
    assert [error for error in page.errors if PACK_FOLDER in error] == []
