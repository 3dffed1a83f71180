"""The picker of Load Audio in a real browser: waveform, handles, keyboard, quality, microphone."""

from __future__ import annotations

import json

import pytest
import torch
from helpers_browser import WAITING
from helpers_scene import open_editor
from helpers_server import PACK_FOLDER

from higgs_runtime import AudioClip

pytestmark = pytest.mark.web

HELPERS = (
    WAITING
    + """
const named = (node, name) => node.widgets.find((widget) => widget.name === name);
const load = () => app.graph.nodes.find((node) => node.type === "HiggsLoadAudio");
const box = () => named(load(), "trim").element;
const handles = () => [...box().querySelectorAll("[role=slider]")];
const said = () => box().querySelector("[role=status]").textContent;
const times = () => [named(load(), "start").value, named(load(), "duration").value];
const now = () => handles().map((handle) => Number(handle.getAttribute("aria-valuenow")));
const press = (handle, key, more = {}) => {
  handle.focus();
  return handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
};
const make = async (audio) => {
  app.graph.clear();
  const node = LiteGraph.createNode("HiggsLoadAudio");
  node.pos = [80, 80];
  node.size[0] = 420;
  app.graph.add(node);
  const widget = named(node, "audio");
  if (!widget.options.values.includes(audio)) widget.options.values.push(audio);
  widget.value = audio;
  widget.callback(audio);
  return until(() => box().isConnected && !handles()[0].disabled);
};
"""
)


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    time = torch.arange(10 * 24_000) / 24_000
    tone = torch.sin(2 * torch.pi * 150 * time) * (torch.sin(2 * torch.pi * time) > 0) * 0.2
    AudioClip(tone[None], 24_000).save(server.base / "input" / "ten seconds & <b>.wav")
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def on_clip(browser, body: str, audio: str = "ten seconds & <b>.wav"):
    made = f"await make({json.dumps(audio)});"
    return browser.run(HELPERS + made + body)


def test_the_waveform_is_drawn_and_judged(browser):
    drawn, ends, hint, names = on_clip(
        browser,
        """
        const canvas = box().querySelector("canvas");
        await until(() => said());
        const drawn = await until(() => {
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const painted = pixels.filter((value, n) => n % 4 === 3 && value).length;
            return painted > 500 && painted;
        });
        return [drawn, now(), said(), handles().map((one) => one.getAttribute("aria-label"))];
    """,
    )
    assert drawn > 500 and ends == [0, 10] and hint.startswith("Speech -") and "apart." in hint
    assert names == ["Start of the part to use", "End of the part to use"]


def test_handles_by_keyboard(browser):
    steps = on_clip(
        browser,
        """
        const [start, end] = handles(), steps = [];
        for (const [handle, key, more] of [[start, "ArrowRight"], [start, "ArrowUp", { shiftKey: true }],
            [end, "PageDown"], [end, "ArrowLeft"], [end, "Home"], [end, "End"], [start, "Home"]]) {
            const left = press(handle, key, more);
            steps.push([...times(), left]);
        }
        press(start, "PageUp");
        return [steps, now(), press(start, "Tab"), handles().every((one) => one.tabIndex === 0)];
    """,
    )
    moves, ends, tab, reachable = steps
    assert [step[:2] for step in moves] == [[0.1, 0], [1.1, 0], [1.1, 7.9], [1.1, 7.8], [1.1, 0.05], [1.1, 0], [0, 0]]
    assert not any(step[2] for step in moves) and tab and reachable and ends == [1, 10]


def test_handles_and_the_part_by_pointer(browser):
    first, second, third = on_clip(
        browser,
        """
        const wave = box().querySelector("canvas"), width = () => wave.getBoundingClientRect().width;
        wave.setPointerCapture = () => {};
        for (const handle of handles()) handle.setPointerCapture = () => {};
        const drag = (element, share) => {
            const send = (type, clientX) => element.dispatchEvent(new PointerEvent(type, { clientX, bubbles: true }));
            send("pointerdown", 100);
            send("pointermove", 100 + share * width() / 2);
            send("pointerup", 100 + share * width());
            return times();
        };
        return [drag(handles()[0], 0.2), drag(handles()[1], -0.3), drag(wave, 0.9)];
    """,
    )
    assert first == pytest.approx([2, 0], abs=0.1) and second == pytest.approx([2, 5], abs=0.2)  # whole pixels
    assert third[0] == pytest.approx(5, abs=0.2) and third[1] == 0  # as far as it goes: to the end


def test_times_that_are_typed_move_the_handles_and_survive_saving_and_undo(browser):
    typed, saved, prompt, undone = on_clip(
        browser,
        """
        const type = (name, value) => { named(load(), name).value = value; named(load(), name).callback(value); };
        type("start", 2.5);
        type("duration", 3);
        const typed = now();
        await app.loadGraphData(app.graph.serialize());
        await until(() => !handles()[0].disabled && now()[1] === 5.5);
        const saved = [...now(), ...times(), load().widgets_values ?? []];
        const inputs = Object.values((await app.graphToPrompt()).output)[0].inputs;
        await step();
        press(handles()[0], "ArrowRight");
        const moved = times()[0];
        await tracker().undo();
        await until(() => times()[0] === 2.5);
        return [typed, saved.slice(0, 4), "trim" in inputs, [moved, times()[0]]];
    """,
    )
    assert typed == [2.5, 5.5] and saved == [2.5, 5.5, 2.5, 3] and prompt is False and undone == [2.6, 2.5]


def test_the_part_is_played_and_ends(browser):
    begun, ended = on_clip(
        browser,
        """
        const player = named(load(), "audioUI").element, play = box().querySelector("button:not([role])");
        await until(() => player.readyState >= 1);
        named(load(), "start").value = 1;
        named(load(), "duration").value = 0.5;
        named(load(), "start").callback(1);
        play.click();
        const begun = [play.textContent, player.currentTime];
        await until(() => play.textContent.includes("Play")); // the event comes after the state
        return [begun, player.currentTime];
    """,
    )
    assert "Stop" in begun[0] and 1 <= begun[1] <= 1.5
    assert 1.4 <= ended < 9, "it stops after the part, not at the clip's end"


def test_a_recording_is_uploaded_and_chosen(browser, server):
    chosen, whole, hint = on_clip(
        browser,
        """
        const record = [...box().querySelectorAll("button:not([role])")][1];
        named(load(), "start").value = 3;
        record.click();
        await until(() => /^Recording: [1-9]/.test(said()));
        const pressed = record.getAttribute("aria-pressed");
        record.click();
        await until(() => named(load(), "audio").value.startsWith("recording-"));
        await until(() => now()[1] > 0.5 && now()[1] < 10); // the other clip's
        await until(() => said().startsWith("Speech"));
        return [[named(load(), "audio").value, pressed], [...now(), ...times()], said()];
    """,
    )
    clip = AudioClip.load(server.base / "input" / chosen[0])
    assert chosen[1] == "true" and chosen[0].endswith(".wav") and float(clip.samples.abs().max()) > 0.01
    assert whole[0] == 0 and whole[1] == pytest.approx(clip.seconds, abs=0.01) and whole[2:] == [0, 0]
    assert 0.7 <= clip.seconds < 10 and hint.startswith("Speech")


def test_no_microphone_and_no_file_are_said(browser):
    refused, missing = on_clip(
        browser,
        """
        const real = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("Permission denied"); };
        [...box().querySelectorAll("button:not([role])")][1].click();
        await until(() => said().startsWith("Nothing was recorded"));
        const refused = said();
        navigator.mediaDevices.getUserMedia = real;
        named(load(), "audio").value = "../../no <img src=x>.wav";
        named(load(), "audio").callback(named(load(), "audio").value);
        await until(() => said().includes("no such sound"));
        return [refused, [said(), handles()[0].disabled]];
    """,
    )
    assert "Permission denied" in refused and missing == ["There is no such sound.", True]


def test_the_packs_clips_have_a_waveform(browser):
    assert 3 < on_clip(browser, "return now()[1];", "rose (from the pack)") < 15


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in error] == []
