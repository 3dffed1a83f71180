"""The lanes on Assemble in a real browser: lines are moved and trimmed there, and their subtitles follow."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from helpers_render_graph import render_graph
from helpers_scene import open_editor
from helpers_screen import draw_with, on_screen
from helpers_server import PACK_FOLDER

pytestmark = pytest.mark.web

TEXT = "[Rose] Good morning, everyone.\n[Ross] Hello, my friend.\n[Rose] See you soon."
FRAME_S = 0.04
HELPERS = """
const assemble = () => found("HiggsAssemble"), moved = () => named(assemble(), "moved");
const moves = () => JSON.parse(moved().value || "[]");
const clips = () => [...document.querySelectorAll(".hl-line")]
    .sort((a, b) => a.getAttribute("aria-label").localeCompare(b.getAttribute("aria-label")));
const box = (element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [x, y, width, height];
};
"""


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def run(browser, body: str):
    return on_screen(browser, HELPERS + body)


@pytest.fixture(scope="module")
def lanes(browser):
    """A scene that was rendered and assembled once."""
    graph = render_graph(TEXT, seed=77)  # takes of its own: other tests look whether theirs were spoken before
    graph["subtitles"] = {"class_type": "PreviewAny", "inputs": {"source": ["assemble", 3]}}
    del graph["stems"]
    graph["assemble"]["inputs"]["stems"] = False
    run(
        browser,
        f"""
        await app.loadApiJson({json.dumps(graph)}, "lines");
        await app.queuePrompt(0);
    """,
    )
    browser.wait_for("document.querySelectorAll('.hl-line').length === 3")
    return browser


def look(browser) -> dict:
    return run(
        browser,
        """
        await lookAt(assemble());
        const lines = elementsOf(assemble()).find((one) => one.name === "lines");
        await settled(() => clips()[0]);
        return { clips: clips().map(box), lane: clips()[2].parentNode.getBoundingClientRect().x,
                 wrong: wrong(assemble(), lines), moves: moves(),
                 edges: clips().map((clip) => [...clip.querySelectorAll(".hl-edge")].map(box)),
                 status: lines.element.querySelector("[role=status]").textContent };
    """,
    )


def scale(browser) -> float:
    """Pixels of the page that a second takes."""
    return run(
        browser,
        """
        const clip = clips()[1], lane = clip.parentNode.getBoundingClientRect().width;
        const seconds = Number(clip.getAttribute("aria-valuenow"));
        return parseFloat(clip.style.left) / 100 * lane / seconds;
    """,
    )


def middle(place) -> tuple[float, float]:
    return place[0] + place[2] / 2, place[1] + place[3] / 2


def subtitles(browser) -> str:
    """Of another run, as the node Preview shows them."""
    return run(
        browser,
        """
        const shown = app.graph.nodes.filter((node) => node.type === "PreviewAny");
        const text = () => shown.map((node) => app.nodeOutputs[node.id]?.text?.[0] ?? "")
            .find((one) => one.includes("-->"));
        const before = app.nodeOutputs[assemble().id];
        await app.queuePrompt(0);
        await until(() => app.nodeOutputs[assemble().id] !== before, 60000);
        await until(() => text());
        await wait(500);
        return text();
    """,
    )


@pytest.mark.parametrize("vue", [False, True])
def test_a_line_is_moved_and_trimmed_and_its_subtitle_follows(lanes, vue, tmp_path):
    draw_with(lanes, vue)
    try:
        for _ in range(5):  # the page may still be moving
            run(lanes, "document.activeElement?.blur(); moved().value = ''; moved().callback(''); await wait();")
            found = look(lanes)
            second, (x, y) = scale(lanes), middle(found["clips"][2])
            begun = run(lanes, "return Number(clips()[2].getAttribute('aria-valuenow'))")
            node = run(lanes, "return [...assemble().pos]")
            lanes.drag((x, y), (x + second, y))
            after = look(lanes)
            if after["moves"] and abs(after["moves"][0]["start_s"] - begun - 1.0) < 0.06:
                break
        assert not found["wrong"] and len(found["clips"]) == 3 and "3 lines" in found["status"]
        [move] = after["moves"]
        assert move["start_s"] == pytest.approx(begun + 1.0, abs=0.06)
        assert (move["line"], move["text"], move["trim_start_s"]) == (3, "See you soon.", 0)
        assert scale(lanes) * move["start_s"] == pytest.approx(after["clips"][2][0] - after["lane"], abs=4)
        assert run(lanes, "return [...assemble().pos]") == node, "the node stays where it is"
        start, second = move["start_s"], scale(lanes)
        edge = middle(after["edges"][2][0])
        lanes.drag(edge, (edge[0] + 0.2 * second, edge[1]))
        edge = middle(look(lanes)["edges"][2][1])
        lanes.drag(edge, (edge[0] - 0.1 * second, edge[1]))
        [move] = look(lanes)["moves"]
        trims = move["trim_start_s"], move["trim_end_s"]
        assert trims == pytest.approx((0.2, 0.1), abs=0.06)
        assert move["start_s"] == pytest.approx(start + move["trim_start_s"], abs=0.002), "its sound stays in its place"
        text = subtitles(lanes)
        hours, minutes, seconds = text.strip().split("\n\n")[-1].split("\n")[1].split(" --> ")[0].split(":")
        told = 3600 * int(hours) + 60 * int(minutes) + float(seconds.replace(",", "."))
        assert told == pytest.approx(move["start_s"], abs=0.002) and "See you soon." in text
        if folder := os.environ.get("HIGGS_SCREENSHOTS"):
            lanes.screenshot(Path(folder, f"lines-{'vue' if vue else 'canvas'}.png"))
        run(lanes, "clips()[2].focus();")
        lanes.press("Home")
        assert look(lanes)["moves"] == [], "it is where it was"
    finally:
        draw_with(lanes, False)


def test_the_keyboard_does_the_same_and_undo_takes_it_back(lanes):
    run(lanes, "moved().value = ''; moved().callback(''); await wait(); await lookAt(assemble());")
    run(lanes, "await step(); clips()[1].focus();")
    begun = run(lanes, "return Number(clips()[1].getAttribute('aria-valuenow'))")
    lanes.press("ArrowRight", "Shift+ArrowRight")
    [move] = look(lanes)["moves"]
    assert move["start_s"] == pytest.approx(begun + 11 * FRAME_S, abs=FRAME_S)
    label, status = run(
        lanes,
        """const clip = document.activeElement, status = document.querySelector(".higgs-lines [role=status]");
        return [clip.getAttribute("aria-label"), status.textContent]""",
    )
    assert "line 2, Ross" in label and "Hello, my friend." in status
    lanes.press("Tab", "ArrowRight", "Tab", "ArrowRight", "ArrowRight")
    [move] = look(lanes)["moves"]
    assert (move["trim_start_s"], move["trim_end_s"]) == (pytest.approx(FRAME_S), 0), "an end cannot grow"
    unnamed = run(
        lanes,
        """return [...document.querySelectorAll(".higgs-lines :is(button, input, [tabindex])")]
        .filter((one) => !one.getAttribute("aria-label")).length""",
    )
    assert unnamed == 0
    saved = run(
        lanes,
        """const prompt = (await app.graphToPrompt()).output;
        return Object.values(prompt).find((one) => one.class_type === "HiggsAssemble").inputs""",
    )
    assert json.loads(saved["moved"])[0]["line"] == 2 and "lines" not in saved
    run(lanes, "await tracker().undo(); await tracker().undo(); await tracker().undo(); await wait();")
    assert len(look(lanes)["moves"]) <= 1


def test_moves_of_a_script_without_trims_are_drawn(lanes):
    """As the help and the errors of the runtime write them."""
    move = json.dumps([{"line": 2, "text": "Hello, my friend.", "start_s": 7.5}])
    run(lanes, f"await lookAt(assemble()); moved().value = {json.dumps(move)}; moved().callback(''); await wait();")
    try:
        told = run(
            lanes, "return [clips()[1].getAttribute('aria-valuetext'), parseFloat(clips()[1].style.width) > 0.5]"
        )
        assert told == ["7.50 s", True] and "1 moved" in look(lanes)["status"]
    finally:
        run(lanes, "moved().value = ''; moved().callback(''); await wait();")


def test_a_long_time_line_is_shown_larger_and_scrolled(lanes):
    before, after, scrolled = run(
        lanes,
        """
        await lookAt(assemble());
        const scroller = document.querySelector(".hl-scroller"), width = () => scroller.scrollWidth;
        const plus = document.querySelectorAll(".hl-zoom")[1], before = width();
        plus.click(); plus.click(); plus.click();
        await wait();
        const after = width();
        scroller.scrollLeft = after;
        await wait();
        return [before, after, scroller.scrollLeft];
    """,
    )
    assert after >= 2 * before and scrolled > 0


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in json.dumps(error)] == []
