"""What the scene editor shows of a render, and its takes beside each other, in a real browser."""

from __future__ import annotations

import json
import re

import pytest
import requests
from helpers_scene import load_page, middle, open_editor, run, show, text_of
from helpers_server import PACK_FOLDER
from helpers_takes import line_of

from higgs_runtime import AudioClip, TakeStore, load_codec
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.takes import Take

pytestmark = pytest.mark.web

SCENE = """\
# Two people at a door
# Scene: a quiet hall
[Anna] Who is there? [pause 0.8s]
Bob: {take=2} It is [pause 1s] only me.

The door opens.
"""


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def tell(browser, node: str, *lines: dict) -> None:
    whole = [
        {"line": 1, "turn": 1, "speaker": "", "seconds": 0, "wer": None, "passed": None, "take": "", **one}
        for one in lines
    ]
    run(
        browser,
        f"""
        const {{ api }} = await import("/scripts/api.js");
        const lines = {json.dumps(whole)}, known = () => [...editor.findings.states.values()];
        api.dispatchCustomEvent("higgs.lines", {{ node: {node}, prompt_id: "run", lines }});
        const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
        await until(() => lines.every((line) => known().some((row) => same(row.get(line.line), line))));
    """,
    )


def test_lines_of_a_render_show_at_their_rows(browser):
    show(browser, SCENE)
    run(
        browser,
        """
        window.below = LiteGraph.createNode("PreviewAny");
        app.graph.add(window.below);
        node.connect(0, window.below, 0);
    """,
    )
    tell(browser, "String(window.below.id)", {"state": "queued"}, {"line": 2, "turn": 2, "state": "queued"})
    run(browser, "editor.activate(2, 0);")
    browser.press("Enter")  # a row more: the rows keep what is told of them
    tell(
        browser,
        "window.below.id",
        {"state": "speaking", "seconds": 0.7},
        {"line": 2, "turn": 2, "state": "failed", "seconds": 2, "wer": 0.5, "passed": False, "take": f"{line_of(1)}-3"},
    )
    states = run(browser, "return rows().map((row) => row.querySelector('.state').textContent);")
    assert states[-2:] == ["2.0 sWER 50 %", ""] and "0.7 s" in states
    assert run(browser, "return rows().at(-2).querySelector('[data-act=takes]').value;") == "A/B"


def test_rows_get_their_states_whatever_is_typed_before_the_server_has_answered(browser):
    show(browser, "[Anna] One.\n[Bob] Two.\n[Cy] Three.\n")
    run(
        browser,
        """
        await until(() => editor.said.textContent === "3 turns");
        const { check } = editor.host, held = window.held = [];
        editor.host.check = async (text) => {
            const found = await check(text);
            await new Promise((go) => held.push(go));
            return found;
        };
        const lines = [1, 2, 3].map((line) => ({ line, turn: line, speaker: "", state: "spoken", seconds: line,
            wer: null, passed: null, take: "" }));
        editor.findings.progress({ prompt_id: "a run", lines });
        await until(() => held.length);
        editor.activate(0, 4);
    """,
    )
    browser.press("Enter")
    browser.type("{seed=x} Half.")
    run(browser, "await until(() => held.length > 1); held.shift()(); await until(() => held.length);")
    browser.type(" And again.")  # before the second answer, too
    found = run(
        browser,
        """
        const answers = setInterval(() => held.splice(0).forEach((go) => go()), 50);
        const state = (row) => row.querySelector(".state").textContent;
        await until(() => rows().some(state) && editor.said.textContent === "1 error");
        clearInterval(answers);
        return rows().map((row) => [state(row), row.classList.contains("error")]);
    """,
    )
    assert found == [["1.0 s", False], ["", True], ["2.0 s", False], ["3.0 s", False]], text_of(browser)


@pytest.mark.slow
def test_a_real_render_shows_its_lines_and_takes(browser, server):
    script = "[Rose] Good morning, everyone.\n\n[Rose] Only the wind.\n"
    show(browser, script)
    found = run(
        browser,
        """
        const make = (type) => { const one = LiteGraph.createNode(type); app.graph.add(one); return one; };
        const [model, codec, render] = ["HiggsLoadModel", "HiggsLoadCodec", "HiggsRenderScript"].map(make);
        const shown = make("PreviewAny");
        const into = (from, name) => from.connect(0, render, render.inputs.findIndex((one) => one.name === name));
        const set = (one, name, value) => { one.widgets.find((widget) => widget.name === name).value = value; };
        set(model, "checkpoint", "higgs-nano");
        set(codec, "checkpoint", "higgs-nano-codec");
        set(render, "recognizer", "none");
        set(render, "takes", 2);
        into(node, "script");
        into(model, "model");
        into(codec, "codec");
        render.connect(1, shown, 0);
        const { api } = await import("/scripts/api.js");
        const ended = new Promise((go) => api.addEventListener("execution_success", go, { once: true }));
        await app.queuePrompt(0);
        await ended;
        await until(() => rows().every((row) => row.querySelector("[data-act=takes]")));
        render.widgets.find((one) => one.name === "compare takes").callback();
        await until(() => document.querySelectorAll(".higgs-takes .take").length === 2);
        const panel = document.querySelector(".higgs-takes"), takes = panel.querySelectorAll(".take").length;
        const said = panel.querySelector(".title").textContent;
        panel.close();
        return [rows().map((row) => !!row.querySelector("[data-act=takes]")), takes, said];
    """,
    )
    assert found == [[True, True], 2, "Rose: Good morning, everyone."], found
    load_page(browser, server)
    show(browser, script)  # the page forgot, the server did not
    run(browser, "await until(() => rows().every((row) => row.querySelector('[data-act=takes]')));")


@pytest.mark.slow
def test_takes_are_compared_and_locked(browser, server):
    store, codec, line = TakeStore(server.base / "takes"), load_codec(EMBEDDED / "higgs-nano-codec"), line_of(0x5C)
    clip = AudioClip.load(EMBEDDED / "clips" / "rose.flac", duration_s=1.0)
    keys = [f"{line}-{seed}" for seed in (1, 2)]
    for seed, gain in ((1, 1.0), (2, 0.25)):
        codes = codec.encode(AudioClip(clip.samples * gain, clip.sample_rate))
        store.put(keys[seed - 1], Take(codes, "stop", seed, 0.1, {"speaker": "Rose", "text": "<b>Hi", "wer": 0.1}))
    show(browser, "[Rose] Hi.\n")
    tell(browser, "node.id", {"state": "spoken", "seconds": 1, "take": keys[0]})
    browser.mouse(middle(browser, "[data-act=takes]"))
    found = run(
        browser,
        """
        const panel = await until(() => document.querySelector(".higgs-takes"));
        await until(() => panel.textContent.split("LUFS").length === 3 && panel.textContent.includes("dB"));
        return [panel.querySelector(".title").textContent, panel.querySelectorAll(".take").length, panel.textContent];
    """,
    )
    sizes = """const root = document.querySelector(".higgs-takes");
        const shown = [...root.querySelectorAll(".take, .bar, .title")].map((one) => one.getBoundingClientRect());
        const box = root.getBoundingClientRect();
        return [box.height, Math.max(...shown.map((one) => one.bottom)) - box.bottom, box.bottom - innerHeight];"""
    height, *over = run(browser, sizes)
    assert height > 120 and max(over) <= 0, "the panel is as high as what it shows"
    assert found[:2] == ["Rose: <b>Hi", 2] and "WER 10 %" in found[2] and re.search(r"-\d+\.\d dB", found[2])
    browser.press("2")
    assert run(browser, "return document.querySelector('.higgs-takes :checked').value;") == keys[1]
    for number, locked in ((1, [False, True]), (0, [True, False])):
        run(
            browser,
            f"""
            const locks = () => [...document.querySelectorAll(".higgs-takes .take input[type=button]")];
            locks()[{number}].click();
            const told = () => JSON.stringify(locks().map((one) => one.value.includes("locked")));
            await until(() => told() === {json.dumps(json.dumps(locked, separators=(",", ":")))});
        """,
        )
        assert [store.is_locked(key) for key in keys] == locked
    browser.press("Escape")
    run(browser, "await until(() => !document.querySelector('.higgs-takes'));")


def test_other_origins_are_refused(server):
    answer = requests.post(
        f"{server.url}/higgs/takes/{line_of(1)}-1/lock", timeout=30, headers={"Origin": "http://elsewhere.example"}
    )
    assert answer.status_code == 403


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in error] == []
