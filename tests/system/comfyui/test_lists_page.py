"""Lists in the editor: the player has a sound for each item, the file player each file; cancel ends one prompt."""

from __future__ import annotations

import json

import pytest
import requests
from helpers_scene import open_editor
from helpers_screen import on_screen
from helpers_server import PACK_FOLDER
from helpers_workflow import read_workflow

pytestmark = pytest.mark.web

TEXTS = ["Welcome, everyone.", "The weather is beautiful.", "The story is ready."]


def graph(texts: list[str], **speaking) -> dict:
    """The workflow text_to_speech with Higgs Nano, and texts that come from a list."""
    prompt = read_workflow("text_to_speech", api=True)
    prompt["1"]["inputs"]["checkpoint"], prompt["2"]["inputs"]["checkpoint"] = "higgs-nano", "higgs-nano-codec"
    prompt["8"] = {"class_type": "TestList", "inputs": {"items": json.dumps(texts)}, "_meta": {"title": "List"}}
    prompt["3"]["inputs"]["text"] = ["8", 0]
    prompt["4"]["inputs"] |= speaking
    prompt["7"]["inputs"]["file_name"] = "lists/page"
    return prompt


HELPERS = """
    const player = () => named(found("HiggsGenerate"), "live_player").player;
    const open = async (prompt) => {
        await app.loadApiJson(prompt, "lists");
        await until(() => found("HiggsGenerate") && player());
        app.graph.nodes.forEach((node, n) => { node.pos = [20 + 520 * (n % 4), 60 + 480 * (n >> 2)]; });
    };
"""


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    page.click(900, 100)  # a person has touched the page: it may make sounds
    yield page
    page.close()


def test_the_player_plays_the_items_one_after_another(page):
    counts, names, shown, order, exact = on_screen(
        page,
        HELPERS
        + f"""
        await open({json.dumps(graph(TEXTS, seed=11, max_seconds=2.0))});
        const heard = [], {{ element }} = player();
        const note = () => {{
            const {{ items, playback }} = player(), at = items.findIndex((one) => one.playback.state === "playing");
            if (at >= 0 && heard.at(-1) !== at) heard.push(at);
            if (at >= 0 && items[at].playback !== playback) heard.push(`${{at}} is not shown`);
        }};
        const timer = setInterval(note, 30);
        await app.queuePrompt(0);
        await until(() => player().items.length === 3 && player().items.every(({{ sound }}) => sound.whole));
        await until(() => heard.includes(2) && player().items.every(({{ playback }}) => playback.state === "paused"));
        clearInterval(timer);
        const counts = player().items.map(({{ sound }}) => sound.length > 20000);
        const which = () => element.querySelector(".higgs-live-items").innerText.trim();
        const press = (label) => element.querySelector(`button[title="${{label}}"]`);
        await until(() => which() === "3/3");
        press("The one before").click();
        await until(() => which() === "2/3");
        await lookAt(found("HiggsGenerate"));
        const wrongs = await allRight(["HiggsGenerate"]);
        const files = await until(() => named(found("HiggsExportAudio"), "files"));
        return [counts, [...files.element.options].map((one) => one.textContent), wrongs, heard,
            await until(() => player().items.every(({{ sound }}) => sound.exact))];
    """,
    )
    assert counts == [True] * 3 and order == [0, 1, 2] and shown == [] and exact
    assert len({name.split("/")[-1] for name in names}) == 3 and [name[0] for name in names] == ["1", "2", "3"]


def test_each_file_can_be_played(page):
    sources = on_screen(
        page,
        """
        const node = found("HiggsExportAudio"), { element } = named(node, "files"), sources = [];
        const wrongs = await allRight(["HiggsExportAudio"]);
        for (const n of [1, 2, 0]) {
            element.selectedIndex = n;
            element.dispatchEvent(new Event("change"));
            const { src } = named(node, "audioUI").element;
            sources.push([element.options[n].textContent.split("/").at(-1), new URL(src).searchParams.get("filename")]);
            await until(() => named(node, "audioUI").element.duration > 0);
        }
        return [...sources, ...wrongs];
    """,
    )
    assert len(sources) == 3 and all(label == file for label, file in sources)


def test_a_person_who_stops_hears_no_more_of_the_run(page):
    before, after = on_screen(
        page,
        HELPERS
        + f"""
        await open({json.dumps(graph(TEXTS, seed=12, max_seconds=2.0))});
        await app.queuePrompt(0);
        await until(() => player().playback?.state === "playing");
        player().toggle();
        const before = player().items.length;
        await until(() => player().items.length === 3 && player().items.every(({{ sound }}) => sound.whole));
        await wait(300);
        return [before, player().items.map(({{ playback }}) => playback.state)];
    """,
    )
    assert before >= 1 and after == ["paused"] * 3


def test_cancel_ends_this_prompt_and_no_other(page, server):
    """By the job's own route where the server has it, else as before."""
    asked, states = on_screen(
        page,
        HELPERS
        + f"""
        await open({json.dumps(graph(["Welcome."] * 3, seed=13, max_seconds=120.0))});
        const asked = [], fetched = window.fetch;
        window.fetch = (path, ...more) => {{
            const found = /(jobs\\/[^/]+\\/cancel|interrupt)/.exec(String(path));
            if (found) asked.push(found[1].replace(/jobs\\/.+\\/cancel/, "cancel"));
            return fetched(path, ...more);
        }};
        named(found("HiggsLoadModel"), "checkpoint").value = "large"; // slow
        named(found("HiggsLoadCodec"), "checkpoint").value = "higgs-audio-v2-tokenizer";
        await app.queuePrompt(0);
        await until(() => player().sound?.about.state === "rendering");
        player().element.querySelector('button[title="Cancel the render"]').click();
        await until(() => player().sound.about.state === "cancelled");
        window.fetch = fetched;
        return [asked, player().items.map(({{ sound }}) => sound.about.state)];
    """,
    )
    newer = requests.post(f"{server.url}/api/jobs/none/cancel", timeout=30).ok
    assert asked == (["cancel"] if newer else ["cancel", "interrupt"]) and states == ["cancelled"]


def test_scripts_throw_nothing(page):
    assert [error for error in page.errors if PACK_FOLDER in error] == []
