"""The scene editor of Script in a real browser: by keyboard and mouse, and what stands in the text then."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest
from helpers_scene import load_page, middle, open_editor, run, show, text_of
from helpers_server import PACK_FOLDER, ROOT

from higgs_runtime import ScriptError, parse_script

pytestmark = pytest.mark.web

SCENE = """\
# Two people at a door
# Scene: a quiet hall
[Anna] Who is there? [pause 0.8s]
Bob: {take=2} It is only me.

The door opens.
"""
PIECES = [
    "[Anna] ",
    "Bob: ",
    "小明：",
    "[1] ",
    "Note: ",
    "Scene: x",
    "[laugh] ",
    "word",
    "two words",
    "[pause 0.5s]",
    "[pause",
    "[overlap 0.2s] ",
    "[slot 1s-2s] ",
    "[sfx: a.wav -6dB]",
    "[music: bed.flac duck]",
    "[/music]",
    "{seed=3} ",
    "{",
    "}",
    "# note",
    "# Scene: a room",
    "##scene:",
    "\\",
    "[",
    "\n",
    "\n\n",
    "\n",
    "\t",
    " ",
    "\u2028",
    "\x85",
    "\ufeff",
    "مرحبا",
    "👩‍🚀",
    "ſ",
    "[pauſe 1s]",
    "Mr. Smith: ",
    "\r\n",
    "[anna] ",
    "He said: ",
]
LINES = [
    "[Anna] Hi.",
    "Bob: Yo. [pause 1s]",
    "Rain falls.",
    "",
    "",
    "and on",
    "[1] {seed=2} x",
    "\\[Zed] no",
    "  小明：好 [pause 1s] 好",
]


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


# --- rows and the parser --------------------------------------------------------------------------------------------


def some_texts() -> list[str]:
    told = (ROOT / "docs" / "script.md").read_text(encoding="utf-8")
    forms = [form for row in re.findall(r"^\| (`.*?`) \|", told, re.M) for form in re.findall(r"`([^`]+)`", row)]
    texts = [re.search(r"```\n(.*?)```", told, re.S)[1], SCENE, *(f"[Zoe] Before.\n{form}\n\nAfter." for form in forms)]
    chance = random.Random(8)
    return texts + ["".join(chance.choices(PIECES, k=chance.randint(1, 12))) for _ in range(600)]


def test_rows_are_the_parsers(browser):
    texts = some_texts()
    found = browser.run(f"""
        const {{ splitScript, joinRows }} = await import("/extensions/{PACK_FOLDER}/common/scene/rows.js");
        return {json.dumps(texts)}.map((text) => {{
            const script = splitScript(text), whole = (row) => row.head + row.body + row.pause === row.source;
            return [joinRows(script) === text && script.rows.every(whole),
                script.rows.map((row) => [row.kind, row.speaker, row.line, row.lines, row.continues])];
        }});
    """)
    read = 0
    for text, (whole, rows) in zip(texts, found, strict=True):
        assert whole, text
        try:
            script = parse_script(text)
        except ScriptError:
            continue
        read += 1
        spoken = [row for row in rows if row[0] == "turn"]
        for turn in script.turns:
            [row] = [row for row in spoken if row[2] <= turn.line < row[2] + row[3]]
            assert row[1] == turn.speaker, (text, row)
        lines = {turn.line for turn in script.turns}
        assert all(row[4] or any(row[2] <= line < row[2] + row[3] for line in lines) for row in spoken), text
        assert [row[2] for row in rows if row[0] == "comment"] == [one.line for one in script.comments], text
    assert read > 200


def test_moving_rows_changes_nobodys_words(browser):
    chance = random.Random(8)
    texts = ["[Anna] First.\n" + "\n".join(chance.choices(LINES, k=7)) for _ in range(25)]
    moved = browser.run(f"""
        const {{ splitScript }} = await import("/extensions/{PACK_FOLDER}/common/scene/rows.js");
        const {{ moveRow }} = await import("/extensions/{PACK_FOLDER}/common/scene/edits.js");
        return {json.dumps(texts)}.map((text) => {{
            const script = splitScript(text), turns = [...script.rows.keys()];
            return turns.flatMap((from) => turns.map((to) => moveRow(script, from, to).text));
        }});
    """)
    for text, results in zip(texts, moved, strict=True):
        for result in results:
            assert said(result) == said(text), (text, result)
    assert sum(map(len, moved)) > 300


def said(text: str) -> Counter:
    return Counter((turn.speaker, turn.text) for turn in parse_script(text).turns)


# --- by keyboard ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_scene_is_edited_by_keyboard_saved_and_loaded(browser, server):
    show(browser, SCENE)
    run(browser, "editor.views[0].focus();")
    while run(browser, "return document.activeElement.tagName;") != "TEXTAREA":
        browser.press("Tab")  # over the buttons to the first row
    browser.press("ArrowDown", "ArrowDown", "End")
    browser.type(" Hello?")
    browser.press("Enter")
    browser.type("Say it!")
    browser.press("Alt+2", "Alt+ArrowDown", "Tab")
    browser.type("1,5")
    browser.press("Enter", "ArrowDown", "Home")
    browser.type("Then ")
    browser.press("Shift+Tab")
    browser.type("Zoë")
    browser.press("Enter")
    expected = """\
# Two people at a door
# Scene: a quiet hall
[Anna] Who is there? Hello?
Bob: {take=2} It is only me.
[Bob] Say it! [pause 1.5s]

[Zoë] Then The door opens.
"""
    # the pause of the row that was split goes with its second half, and 1.5 s took its place
    assert text_of(browser) == expected
    browser.press(*["Control+z"] * 20)
    assert text_of(browser) == SCENE
    browser.press(*["Control+Shift+z"] * 20)
    assert text_of(browser) == expected
    saved = run(browser, "return app.graph.serialize();")
    [kept] = [one for one in saved["nodes"] if one["type"] == "HiggsScript"]
    assert kept["widgets_values"] == [expected]  # the text as it is, and nothing else
    prompt = run(browser, "return (await app.graphToPrompt()).output;")
    assert [one["inputs"] for one in prompt.values()] == [{"text": expected}]
    load_page(browser, server)
    loaded = run(
        browser,
        f"""
        await app.loadGraphData({json.dumps(saved)});
        const made = window.scriptNode = app.graph.nodes.find((one) => one.type === "HiggsScript");
        await until(() => made.higgsScene.list.querySelectorAll(".row").length === 6);
        return made.widgets[0].value;
    """,
    )
    assert loaded == expected


def test_rows_are_split_joined_and_removed(browser):
    show(browser, "[Anna] One two.\n[Bob] Three.\n\nFour five.\n")
    run(browser, "editor.activate(2, 4);")
    browser.press("Enter")
    assert text_of(browser) == "[Anna] One two.\n[Bob] Three.\n\nFour\n\nfive.\n"
    browser.press("Backspace")
    assert text_of(browser) == "[Anna] One two.\n[Bob] Three.\n\nFour five.\n"
    browser.press("Control+a", "Backspace")
    browser.type("Cy: Six")  # a row without words keeps its place, and a name makes it that speaker's
    assert text_of(browser) == "[Anna] One two.\n[Bob] Three.\n\nCy: Six\n"
    browser.press("Shift+Enter")
    browser.type("seven")
    browser.press("Shift+Enter", "Shift+Enter")
    browser.type("Eight")
    assert text_of(browser).endswith("Cy: Six\nseven\n\nEight\n")
    browser.press("ArrowUp", "Alt+Delete", "Alt+Delete")
    assert text_of(browser) == "[Anna] One two.\n[Bob] Three.\n"


def test_the_graphs_undo_and_the_editors_are_two(browser):
    show(browser, SCENE)
    run(browser, "await step(); editor.activate(2, 0);")
    browser.type("Oh! ")
    browser.press("Shift+Tab")  # a name: no text field of the rows, and yet the editor's undo
    browser.press("Control+z")
    assert text_of(browser) == SCENE and run(browser, "return app.graph.nodes.includes(node);")
    browser.press("Control+Shift+z")
    run(
        browser,
        f"""
        document.activeElement.blur();
        await wait();
        await tracker().undo();
        const texts = () => app.graph.nodes.flatMap((one) => [one.widgets[0].value, one.higgsScene.text]);
        await until(() => texts().length === 2 && texts().every((one) => one === {json.dumps(SCENE)}));
    """,
    )


def test_rows_are_dragged(browser):
    show(browser, "[A] 1\n[B] 2\n[C] 3\n")
    start, end = middle(browser, ".grip", 0), middle(browser, ".grip", 2, below=8)
    browser.mouse(start, (start[0], start[1] + 15), end)
    assert text_of(browser) == "[B] 2\n[C] 3\n[A] 1\n"


@pytest.fixture(params=[(False, 0.5), (False, 2.0), (True, 0.5), (True, 2.0)], ids=str)
def seen(browser, request):
    """How the node is drawn: by Vue or not, and the canvas's zoom."""
    vue, zoom = request.param
    setting = "await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {});"
    run(browser, setting.format("true") if vue else "")
    show(browser, "[A] One\n[B] Two three\n[C] Four\n")
    run(
        browser,
        f"Object.assign(app.canvas.ds, {{ scale: {zoom}, offset: [{40 / zoom}, {60 / zoom}] }});"
        "app.canvas.setDirty(true, true);"
        f"await until(() => !!editor.root.closest('[data-node-id]') === {json.dumps(vue)});"
        "const zoomed = () => editor.root.getBoundingClientRect().width / editor.root.offsetWidth;"
        f"await until(() => Math.abs(zoomed() - {zoom}) < 0.01);"
        "await settled(() => editor.root);",
    )
    yield zoom
    run(browser, setting.format("false") if vue else "")


def test_it_is_edited_at_any_zoom_and_in_vues_nodes(browser, seen):
    before = run(browser, "return [...node.pos];")
    browser.mouse(middle(browser, ".words", 1))
    browser.press("Home", *["ArrowRight"] * 4, "Enter")
    browser.type("Not ")
    assert text_of(browser) == "[A] One\n[B] Two\n[B] Not three\n[C] Four\n"
    left, middle_x = (run(browser, f"return editor.field.getBoundingClientRect().x + {x};") for x in (1, 60 * seen))
    y = middle(browser, "textarea.words")[1]
    browser.mouse((middle_x, y), (left + 9, y), (left, y))
    browser.type("Yes")
    assert re.search(r"\[B\] Yes\w", text_of(browser)), "the mouse selects words"
    start, end = middle(browser, ".grip", 0), middle(browser, ".grip", 3, below=8 * seen)
    browser.mouse(start, (start[0], start[1] + 15 * seen), end)
    assert text_of(browser).startswith("[B] Two\n") and text_of(browser).endswith("[C] Four\n[A] One\n")
    inside, pos = run(browser, "return [editor.root.offsetHeight / node.size[1], [...node.pos]];")
    assert pos == before, "the node stays where it is"
    assert 0.7 < inside < 1, "the editor fills its node"


def test_a_linked_text_is_shown_and_left_alone(browser):
    show(browser, SCENE)
    linked = run(
        browser,
        """
        const source = LiteGraph.createNode("PrimitiveStringMultiline");
        app.graph.add(source);
        Object.assign(source, { title: "Found <b>text", pos: [100, 700] });
        source.connect(0, node, node.inputs.findIndex((one) => one.name === "text"));
        await until(() => editor.linked);
        await settled(() => editor.root);
        return [editor.said.textContent, rows().length, editor.list.querySelectorAll("input, textarea").length];
    """,
    )
    assert linked[0].startswith("Linked") and "“Found <b>text”" in linked[0] and linked[1:] == [5, 0]
    for view in ("Text", "Scene"):
        browser.mouse(middle(browser, f"input[value={view}]"))
        browser.mouse(middle(browser, ".rows" if view == "Scene" else ".raw"))
        browser.type("No")
        browser.press("Enter", "F8")
    start = middle(browser, ".row", 1)
    browser.mouse(start, middle(browser, ".row", 3))
    assert text_of(browser) == SCENE
    run(
        browser,
        """
        const saved = app.graph.serialize();
        await app.loadGraphData(saved);
        window.scriptNode = app.graph.nodes.find((one) => one.type === "HiggsScript");
        await until(() => window.scriptNode.higgsScene.linked); // also in a workflow that is opened
    """,
    )
    run(
        browser,
        "node.disconnectInput(node.inputs.findIndex((one) => one.name === 'text'));"
        "await until(() => !editor.linked); editor.activate(2, 0);",
    )
    browser.type("Oh! ")
    assert text_of(browser) == SCENE.replace("Who", "Oh! Who")


def test_text_view_and_back_loses_nothing(browser):
    odd = "\n\n  # note \n\n\n[Anna]   Hi  [pause 1s]   \n\tthere\n#\n  # Scene:x\n{seed=1}  Hm [sfx: a.wav] \n\n"
    show(browser, odd)
    for view in ("Text", "Scene", "Text"):
        browser.mouse(middle(browser, f"input[value={view}]"))
        assert text_of(browser) == odd
    browser.press("Control+a")
    browser.type("[Bob] New.\n")
    browser.mouse(middle(browser, "input[value=Scene]"))
    assert run(browser, "return rows().map((row) => row.querySelector('.chip').value);") == ["Bob"]


# --- what comes in --------------------------------------------------------------------------------------------------


def paste(browser, text: str) -> None:
    run(
        browser,
        f"""
        const data = new DataTransfer();
        data.setData("text/plain", {json.dumps(text)});
        const event = new ClipboardEvent("paste", {{ clipboardData: data, bubbles: true, cancelable: true }});
        if (editor.field.dispatchEvent(event)) document.execCommand("insertText", false, {json.dumps(text)});
    """,
    )


def test_pasted_text_becomes_rows(browser):
    show(browser, "[Anna] Hi.\n")
    run(browser, "editor.activate(0, 3);")
    paste(browser, "\n[Bob] Yes?\n\nRain falls.")
    assert text_of(browser) == "[Anna] Hi.\n[Bob] Yes?\n\nRain falls.\n"
    assert run(browser, "return [rows().length, editor.active];") == [3, 2]


def test_pasted_subtitles_become_rows(browser):
    show(browser, "[Anna] Hi.\n")
    run(browser, "editor.activate(0, 3);")
    paste(
        browser,
        "1\n00:00:01,000 --> 00:00:02,500\nBob: Who <i>is</i> there?\n\n2\n00:00:03,000 --> 00:00:04,000\nRain.\n",
    )
    run(browser, "await until(() => rows().length === 3);")
    assert text_of(browser) == "[Anna] Hi.\n[Bob] [slot 1s-2.5s] Who is there?\n\n[slot 3s-4s] Rain.\n"


def test_errors_stand_at_their_rows(browser):
    show(browser, "[Anna] Hi.\n[Bob] {seed=x} No.\n")
    found = run(
        browser,
        """
        await until(() => editor.said.textContent === "1 error");
        return rows().map((row) => [row.classList.contains("error"), row.querySelector(".notes").textContent]);
    """,
    )
    assert found[0] == [False, ""] and found[1][0] and "'seed'" in found[1][1]
    browser.press("F8")
    run(browser, "editor.activate(1, 0); editor.findings.next();")
    assert run(browser, "return editor.active;") == 1


HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\u202eevil\u202c",
    "\0nul",
    '[<b>Eve</b>] "><img src=x onerror=window.hacked=1>',
    '[Eve" onfocus="window.hacked=1] x',
    "../../etc",
]


def test_hostile_texts_are_text(browser):
    text = "".join(f"{one}\n\n[A] {one}\n\n" for one in HOSTILE)
    show(browser, text)
    found = run(
        browser,
        """
        for (const at of rows().keys()) editor.activate(at, 0);
        await editor.findings.check();
        return [editor.root.querySelectorAll("img, script, b").length, window.hacked ?? null, text(), rows().length];
    """,
    )
    assert found == [0, None, text, 2 * len(HOSTILE)]


@pytest.mark.slow
def test_a_megabyte_is_edited_as_text(browser):
    text = "[Anna] Some words that are said.\n" * 31_000
    show(browser, text)
    found = run(browser, "return [editor.raw, editor.list.hidden, editor.area.value === text(), text().length];")
    assert found == [True, True, True, len(text)]
    assert parse_script(text_of(browser)).turns[-1].line == 31_000


def test_a_scene_of_300_rows_touches_one_row_at_a_time(browser):
    names = ["Anna", "Bob", "Cy"]
    show(browser, "".join(f"[{names[n % 3]}] Line number {n} of a long scene. [pause 0.5s]\n" for n in range(300)))
    found = run(
        browser,
        """
        await editor.findings.check();
        const touched = [];
        const watch = new MutationObserver((all) => touched.push(...all.map((one) => (
            one.target.closest?.(".row") ?? one.target.parentElement?.closest(".row")))));
        watch.observe(editor.list, { subtree: true, childList: true, attributes: true, characterData: true });
        const of = async (act) => {
            touched.length = 0;
            act();
            await wait(0);
            return new Set(touched).size;
        };
        editor.activate(150, 0);
        await wait(0);
        const send = (event) => editor.field.dispatchEvent(event);
        const type = () => { editor.field.value += "x"; send(new Event("input", { bubbles: true })); };
        const press = (key, more) => send(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
        return { elements: editor.root.querySelectorAll("*").length, type: await of(type),
            split: await of(() => press("Enter")), move: await of(() => press("ArrowUp", { altKey: true })),
            undo: await of(() => press("z", { ctrlKey: true })) };
    """,
    )
    assert found.pop("elements") < 300 * 12
    assert all(0 < count <= 5 for count in found.values()), found


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in error] == []
