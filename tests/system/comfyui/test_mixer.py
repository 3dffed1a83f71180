"""The mixer on Mix Audio in a real browser: what it draws, and what mouse and keyboard do to the node's widgets."""

from __future__ import annotations

import json

import pytest
from helpers_browser import WAITING
from helpers_scene import open_editor
from helpers_server import PACK_FOLDER

pytestmark = pytest.mark.web

HELPERS = (
    WAITING
    + """
const make = (type) => { const node = LiteGraph.createNode(type); app.graph.add(node); return node; };
const slot = (node, name) => node.inputs.findIndex((input) => input.name === name);
const mix = () => app.graph.nodes.find((node) => node.type === "HiggsMixAudio");
const value = (name) => mix().widgets.find((widget) => widget.name === name).value;
const set = (name, to) => { mix().widgets.find((widget) => widget.name === name).value = to; };
const all = (selector) => [...document.querySelectorAll(".higgs-lanes " + selector)];
const box = (element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [x, y, width, height];
};
const redrawn = async () => {
    app.canvas.setDirty(true, true);
    await frame();
    await frame();
    await wait();
};
const look = async (scale) => {
    app.canvas.ds.scale = scale;
    const mixer = mix().widgets.find((widget) => widget.name === "mixer");
    app.canvas.ds.offset = [300 / scale - mix().pos[0], 150 / scale - mix().pos[1] - mixer.y];
    app.canvas.setDirty(true, true);
    await until(() => Math.abs(mixer.element.getBoundingClientRect().width / mixer.element.offsetWidth - scale) < 0.01);
    await settled(() => mixer.element);
};
"""
)


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def run(browser, body: str):
    return browser.run(HELPERS + body)


@pytest.fixture(scope="module")
def mixer(browser):
    """Two clips of the pack that were mixed once: a voice of 4 s, and a bed after it."""
    run(
        browser,
        """
        app.graph.clear();
        const node = make("HiggsMixAudio"), save = make("SaveAudio");
        for (const [number, name] of ["rose", "bed"].entries()) {
            const clip = make("HiggsLoadAudio");
            for (const [key, to] of Object.entries({ audio: `${name} (from the pack)`, duration: 4 })) {
                clip.widgets.find((widget) => widget.name === key).value = to;
            }
            clip.pos = [900, 400 * number];
            clip.connect(0, node, slot(node, `track_${number}`));
            await wait();
        }
        node.connect(0, save, 0);
        save.pos = [900, 900];
        node.setSize([460, node.size[1]]);
        await until(() => all(".hl-clip.guess").length === 2);
        set("start_1", 4);
        await app.queuePrompt(0);
        await until(() => !all(".hl-clip.guess").length); // lengths are known once it has run
    """,
    )
    return browser


def places(browser) -> dict:
    """Boxes on the page of both clips, their fade handles and their lanes, and how many pixels a second takes."""
    return run(
        browser,
        """
        const clips = all(".hl-clip").map(box), lanes = all(".hl-lane").map(box);
        return {clips, lanes, fades: all(".hl-fade").map(box), second: clips[0][2] / 4,
                start: [value("start_0"), value("start_1")]};
    """,
    )


def middle(box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def test_lanes_show_the_clips_where_they_lie(mixer):
    waves, names, text, meter = run(
        mixer,
        """
        await look(1);
        const texts = (selector) => all(selector).map((one) => one.textContent);
        return [all(".wave").map((path) => path.getAttribute("d").length), texts(".hl-name"), texts(".hl-figures")[0],
                all(".hl-meter")[0].getAttribute("aria-valuenow")];
    """,
    )
    found = places(mixer)
    assert min(waves) > 2000 and [name[:2] for name in names] == ["0 ", "1 "]
    assert "LUFS" in text and "dBTP" in text and -40 < float(meter) < -5
    (first, second), lane = found["clips"], found["lanes"][0]
    assert first[0] == pytest.approx(lane[0], abs=2) and second[0] == pytest.approx(first[0] + first[2], abs=2)
    assert first[2] == pytest.approx(second[2], abs=2) and second[0] + second[2] < lane[0] + lane[2]


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_a_clip_is_dragged_at_any_zoom(mixer, zoom):
    run(mixer, f"set('start_0', 0); set('start_1', 4); await look({zoom});")
    found = places(mixer)
    x, y = middle(found["clips"][0])
    mixer.drag((x, y), (x + 1.5 * found["second"], y))
    assert run(mixer, "await wait(); return [value('start_0'), value('start_1')]") == pytest.approx([1.5, 4], abs=0.03)
    moved = places(mixer)["clips"][0]
    assert moved[0] - found["lanes"][0][0] == pytest.approx(1.5 * found["second"], abs=3)
    mixer.drag(middle(moved), (0, y))
    assert run(mixer, "await wait(); return value('start_0')") == 0, "no track begins before the mix"
    run(mixer, "await look(1)")


def test_fades_are_dragged_and_never_overlap(mixer):
    run(mixer, "set('start_0', 0); await look(1);")
    found = places(mixer)
    x, y = middle(found["fades"][0])
    mixer.drag((x, y), (x + found["second"], y))
    end = middle(found["fades"][1])
    mixer.drag(end, (end[0] - 20 * found["second"], end[1]))
    fade_in, fade_out, start = run(mixer, "await wait(); return ['fade_in_0', 'fade_out_0', 'start_0'].map(value)")
    assert fade_in == pytest.approx(1, abs=0.1) and fade_in + fade_out == pytest.approx(4, abs=0.011) and start == 0
    assert run(mixer, "return all('.fades')[0].getAttribute('d').split('M').length - 1") == 2
    assert "before the last change" in run(mixer, "return all('.hl-figures')[0].textContent")
    run(mixer, "set('fade_in_0', 0); set('fade_out_0', 0); await wait();")


def test_everything_is_reached_by_keyboard_and_named(mixer):
    run(mixer, "set('start_0', 0); await look(1); all('.hl-clip')[0].focus();")
    mixer.press("ArrowRight", "Shift+ArrowRight", "ArrowLeft", "ArrowRight")
    assert run(mixer, "return value('start_0')") == pytest.approx(1.1)
    label, now, text = run(
        mixer,
        """return ["aria-label", "aria-valuenow", "aria-valuetext"]
        .map((name) => document.activeElement.getAttribute(name))""",
    )
    assert label.startswith("0 ") and label.endswith(": start") and float(now) == 1.1 and text.startswith("1.10 s")
    mixer.press("Home")
    mixer.press("Tab")
    mixer.press("ArrowRight")
    assert run(mixer, "return [value('start_0'), value('fade_in_0')]") == pytest.approx([0, 0.1])
    run(mixer, "set('fade_in_0', 0); all('.hl-mute')[1].focus();")
    mixer.press(" ")
    quiet = run(mixer, "await wait(); return [value('mute_1'), all('.hl-row.quiet').length]")
    mixer.press("Tab")
    mixer.press(" ")
    alone = run(mixer, "await wait(); return [value('solo_1'), all('.hl-row.quiet').length]")
    mixer.press("Tab")
    mixer.press("ArrowRight")
    gain = run(mixer, "return value('gain_1')")
    assert (quiet, alone, gain) == ([True, 1], [True, 2], 0.5)
    unnamed = run(
        mixer,
        """return all(":is(button, input, [tabindex], [role=meter])")
        .filter((one) => !one.getAttribute("aria-label")).length""",
    )
    assert unnamed == 0
    run(mixer, "set('mute_1', false); set('solo_1', false); set('gain_1', 0);")


def test_undo_and_the_workflow_know_what_was_dragged(mixer):
    run(mixer, "await look(1); await step();")
    found = places(mixer)
    x, y = middle(found["clips"][1])
    mixer.drag((x, y), (x - found["second"], y))
    dragged, queued, saved = run(
        mixer,
        """
        await wait();
        const prompt = (await app.graphToPrompt()).output;
        const node = Object.values(prompt).find((one) => one.inputs.start_1);
        const names = mix().widgets.filter((one) => one.serialize !== false).map((one) => one.name);
        return [value("start_1"), node.inputs, mix().serialize().widgets_values[names.indexOf("start_1")]];
    """,
    )
    assert dragged == saved == queued["start_1"] == pytest.approx(3, abs=0.03) and "mixer" not in queued
    back = run(
        mixer,
        """
        await tracker().undo();
        await until(() => value("start_1") === 4 && all(".hl-row").length === 2);
        return value("start_0");
    """,
    )
    assert back == 0


def test_the_newer_nodes_of_the_editor_hold_it_too(mixer):
    """Where nodes are drawn by Vue, a dragged clip moves alone, not with its node."""
    setting = "await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {});"
    before = run(
        mixer,
        setting.format("true")
        + """
        const mixer = mix().widgets.find((widget) => widget.name === "mixer");
        await until(() => mixer.element.closest("[data-node-id]"));
        await look(1);
        return [...mix().pos];
    """,
    )
    try:
        for _ in range(5):  # the page may still be moving
            found = places(mixer)
            x, y = middle(found["clips"][0])
            mixer.drag((x, y), (x + found["second"], y))
            start, after = run(mixer, "await wait(); return [value('start_0'), [...mix().pos]]")
            if start:
                break
        assert start == pytest.approx(1, abs=0.05) and after == before
    finally:
        run(
            mixer,
            setting.format("false")
            + "set('start_0', 0); await until(() => !document.querySelector('[data-node-id]'));",
        )


def test_starts_in_frames_and_after_another_track(mixer):
    run(mixer, "set('frame_rate', 25); set('start_0', 0); set('after_1', 0); set('start_1', 0); await look(1);")
    found = places(mixer)
    x, y = middle(found["clips"][1])
    assert found["clips"][1][0] == pytest.approx(sum(found["clips"][0][::2]), abs=2)
    mixer.drag((x, y), (x - found["second"], y))
    assert run(mixer, "await wait(); return value('start_1')") == pytest.approx(-25, abs=1)
    assert float(run(mixer, "return value('start_1')")).is_integer()
    run(mixer, "set('frame_rate', 0); set('after_1', -1); set('start_1', 4); await wait();")


def test_places_that_cannot_be_are_drawn_all_the_same(mixer):
    """The node says what is wrong when it runs; until then the mixer has to live with it."""
    rows = run(
        mixer,
        """
        const tries = [{after_0: 1, after_1: 0}, {after_0: 7}, {after_0: 0}, {trim_start_0: 99}, {fade_in_0: 600},
            {loop_0: -1, loop_1: -1}, {loop_0: 86400}, {start_0: -3}, {gain_0: 24}], rows = [];
        for (const values of tries) {
            const before = Object.keys(values).map((name) => [name, value(name)]);
            for (const [name, to] of Object.entries(values)) set(name, to);
            await redrawn();
            rows.push(all(".hl-clip").filter((clip) => clip.offsetWidth > 0).length);
            for (const [name, to] of before) set(name, to);
        }
        return rows;
    """,
    )
    assert rows == [2] * 9


def test_a_page_that_was_opened_again_shows_what_is_not_made_anew(mixer):
    """ComfyUI says nothing of nodes that it has kept: the mixer asks."""
    run(
        mixer,
        """
        const graph = app.graph.serialize();
        app.nodeOutputs = {};
        await app.loadGraphData(graph);
        await until(() => all(".hl-clip.guess").length === 2);
        await app.queuePrompt(0);
        await until(() => all(".hl-clip").length === 2 && !all(".hl-clip.guess").length);
    """,
    )


def test_the_wave_of_another_clip_is_not_shown(mixer):
    guesses = run(
        mixer,
        """
        const bed = mix().getInputNode(slot(mix(), "track_1")), guesses = [];
        for (const clip of [mix().getInputNode(slot(mix(), "track_0")), bed]) {
            clip.connect(0, mix(), slot(mix(), "track_1"));
            await settled(() => all(".hl-clip")[1]);
            guesses.push(all(".hl-clip").map((one) => one.classList.contains("guess")));
        }
        return guesses;
    """,
    )
    assert guesses == [[False, True], [False, False]]


def test_a_linked_setting_is_left_to_its_link(mixer):
    """A value that comes through a socket cannot be dragged; the same of other tracks can."""
    disabled = run(
        mixer,
        """
        const number = make("PrimitiveFloat"), node = mix();
        number.connect(0, node, slot(node, "gain_1"));
        await until(() => all("input").some((one) => one.disabled));
        const disabled = all("input").map((one) => one.disabled);
        node.disconnectInput(slot(node, "gain_1"));
        app.graph.remove(number);
        await until(() => all("input").every((one) => !one.disabled));
        return [...disabled, ...all("input").map((one) => one.disabled)];
    """,
    )
    assert disabled == [False, False, True, False, False, False, False, False]


def test_lanes_follow_the_connections(mixer):
    shown, heights = run(
        mixer,
        """
        const node = mix(), heights = [node.size[1]], shown = [all(".hl-row").length];
        for (const number of [1, 0]) {
            node.disconnectInput(slot(node, `track_${number}`));
            await until(() => all(".hl-row").length === number);
            await wait();
            shown.push(all(".hl-row").length);
            heights.push(node.size[1]);
        }
        return [[...shown, node.widgets.find((one) => one.name === "mixer").hidden], heights];
    """,
    )
    assert shown == [2, 1, 0, True] and heights == sorted(heights, reverse=True)


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in json.dumps(error)] == []
