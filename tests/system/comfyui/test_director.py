"""Director and Load Book in the real server, and the director's proposal in the page of both renderers."""

from __future__ import annotations

import json

import pytest
from helpers_browser import WAITING
from helpers_chat import ChatStub, lines_of
from helpers_scene import open_editor
from helpers_screen import SCREEN, draw_with
from helpers_server import PACK_FOLDER, Refused

STORY = "“Who is there?” said Anna.\n\n[Bob] It is only me.\n\nThe sea was calm.\n"


def well(body: dict) -> dict:
    parts = {
        1: [("Anna", '"Who is there?"'), ("", "said Anna.")],
        2: [("Bob", "[laugh] It is only me.")],
        3: [("", "The sea was wild.")],  # rewritten
    }
    wanted = [one["n"] for one in lines_of(body)["lines"]]
    return {"lines": [{"n": n, "parts": [{"speaker": who, "text": text} for who, text in parts[n]]} for n in wanted]}


def graph(url: str, text: str = STORY, **more) -> dict:
    asked = {"script": ["script", 0], "url": url, "model": "", "tags": "sounds (Higgs Audio v2)", "speakers": True}
    return {
        "script": {"class_type": "HiggsScript", "inputs": {"text": text}},
        "director": {"class_type": "HiggsDirector", "inputs": {**asked, **more}},
        "text": {"class_type": "PreviewAny", "inputs": {"source": ["director", 4]}},
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["director", 1]}},
    }


# --- the server -----------------------------------------------------------------------------------------------------


def test_a_graph_without_the_page_is_directed_at_once(client):
    with ChatStub(speak=well) as stub:
        run = client.run(graph(stub.url))
    assert run.error is None, run.error
    assert run.outputs["text"]["text"][0].startswith(
        "[Anna] “Who is there?”\n\nsaid Anna.\n[Bob] [laugh] It is only me."
    )
    assert "line 3 stays as it was" in run.outputs["report"]["text"][0]
    [event] = run.of_type("higgs.directed")
    accepted = {"of": event["of"], "turns": {str(row["turn"]): row["pieces"] for row in event["rows"] if row["pieces"]}}
    again = client.run(graph("", accepted=json.dumps(accepted)))
    assert again.error is None and again.outputs["text"]["text"] == run.outputs["text"]["text"]


def test_what_waits_goes_no_further_and_says_so(client):
    with ChatStub(speak=well) as stub:
        run = client.run(graph(stub.url, review=True))
    assert "text" not in run.outputs and "2 of 3 lines changed" in run.outputs["report"]["text"][0]
    assert run.error is None
    assert "waits to be accepted" in json.dumps([data for _, _, data in run.events], ensure_ascii=False)


@pytest.mark.parametrize(
    "more, words",
    [
        ({"url": ""}, "No chat server is named"),
        ({"url": "http://127.0.0.1:9/v1", "retries": 0}, "did not answer"),
        ({"url": "http://127.0.0.1:9/v1", "accepted": "{"}, "accept anew"),
    ],
)
def test_errors_reach_the_person(client, more, words):
    assert words in client.run(graph(**more)).error["exception_message"]


def test_an_address_elsewhere_is_refused_before_it_runs(client):
    with pytest.raises(Refused, match="HIGGS_REMOTE_URLS"):
        client.queue(graph("http://203.0.113.5:8000/v1"))


def book(**inputs) -> dict:
    chosen = {"file": "the_old_bridge.epub (from the pack)", "first_chapter": 2, "chapters": 1, **inputs}
    return {
        "book": {"class_type": "HiggsLoadBook", "inputs": chosen},
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["book", 1]}},
        "tags": {"class_type": "PreviewAny", "inputs": {"source": ["book", 4]}},
    }


def test_a_book_is_loaded(client):
    run = client.run(book())
    assert run.error is None and "# Scene: The old bridge" in run.outputs["report"]["text"][0]
    assert run.outputs["tags"]["text"][0].startswith("title: The old bridge\n")
    assert "has 2 chapters" in client.run(book(first_chapter=9)).error["exception_message"]
    with pytest.raises(Refused, match="no file"):
        client.queue(book(file="../../x.epub"))


# --- the page -------------------------------------------------------------------------------------------------------


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


BUILD = """
    app.graph.clear();
    await until(() => !document.querySelector("[data-node-id], .dom-widget"));
    const made = (type, pos) => {
        const node = LiteGraph.createNode(type);
        node.pos = pos;
        app.graph.add(node);
        return node;
    };
    const script = made("HiggsScript", [0, 0]), director = made("HiggsDirector", [700, 0]);
    const show = made("PreviewAny", [1320, 0]);
    const named = (node, name) => node.widgets.find((one) => one.name === name);
    named(script, "text").value = TEXT;
    named(director, "url").value = URL_;
    const slot = (node, name) => node.inputs.findIndex((one) => one.name === name);
    script.connect(0, director, slot(director, "script"));
    director.connect(4, show, slot(show, "source"));
    Object.assign(app.canvas.ds, { offset: [80, 150], scale: 0.75 });
    app.canvas.setDirty(true, true);
    await settled(() => director.higgsDiff.root);
    window.director = director;
    window.show = show;
"""
HAVE = """
    const { director, show } = window, diff = director.higgsDiff;
    const accepted = director.widgets.find((one) => one.name === "accepted");
    const rows = () => [...diff.list.querySelectorAll(".row")];
    const texts = (row) => [...row.querySelectorAll(".chip, .words, .notes")].map((one) => one.textContent);
    const shown = () => rows().map(texts);
"""


@pytest.mark.web
def test_a_proposal_is_shown_as_a_diff_accepted_and_kept(browser, server, tmp_path):
    build = BUILD.replace("TEXT", json.dumps(STORY))
    with ChatStub(speak=well) as stub:
        browser.run(WAITING + build.replace("URL_", json.dumps(stub.url)))
        found = browser.run(
            f"""{WAITING}{HAVE}
            await app.queuePrompt(0);
            await until(() => rows().length === 3);
            await settled(() => diff.root);
            return [shown(), diff.said.textContent, diff.list.querySelectorAll("ins").length, accepted.value];
        """
        )
        browser.screenshot(tmp_path / "proposal.png")
    assert found[0] == [
        ["Narrator", "“Who is there?” said Anna.", "Anna", "“Who is there?”", "Narrator", "said Anna."],
        ["Bob", "It is only me.", "Bob", "[laugh] It is only me."],
        ["Narrator", "The sea was calm.", "the answer has other words: 'wild.' stands in place of 'calm.'"],
    ]
    assert found[1:] == ["2 lines proposed, 1 kept as they were", 1, ""]
    box = browser.run(
        f"{HAVE} const box = diff.list.querySelectorAll('input')[1].getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2];"
    )
    browser.click(*box)  # not this one
    place = browser.run(
        f"{HAVE} const box = diff.accepting.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2];"
    )
    browser.click(*place)
    saved = browser.run(
        f"{WAITING}{HAVE} await until(() => accepted.value); return [accepted.value, app.graph.serialize()];"
    )
    assert set(json.loads(saved[0])["turns"]) == {"1"}
    made = browser.run(  # the server is gone: what was accepted is used, also of a workflow that is opened
        f"""{WAITING}
        await app.loadGraphData({json.dumps(saved[1])});
        const of = (type) => app.graph.nodes.find((one) => one.type === type);
        window.director = of("HiggsDirector");
        window.show = of("PreviewAny");
        {HAVE}
        await until(() => /^1 line accepted/.test(diff.said.textContent));
        await app.queuePrompt(0);
        await until(() => /used as accepted/.test(diff.said.textContent));
        const text = () => show.widgets?.map((one) => String(one.value ?? "")).join("") ?? "";
        await until(() => text().includes("Anna"));
        return text();
    """
    )
    assert "[Anna] “Who is there?”\n\nsaid Anna.\n[Bob] It is only me." in made
    assert [error for error in browser.errors if PACK_FOLDER in error] == []


@pytest.mark.web
def test_the_box_of_a_new_node_lies_within_it(browser):
    browser.run(WAITING + BUILD.replace("TEXT", '"x"').replace("URL_", '""'))
    assert browser.run(f"{SCREEN} return allRight(['HiggsDirector']);") == []


@pytest.mark.web
def test_hostile_proposals_are_text(browser):
    build = BUILD.replace("TEXT", '"x"').replace("URL_", '""')
    found = browser.run(
        f"""{WAITING}{build}
        const diff = director.higgsDiff, bad = "<img src=x onerror='window.hacked = 1'>[laugh]";
        const row = {{ turn: 1, speaker: bad, text: bad, pieces: [[bad, bad + " <|x|>"]], kept: bad }};
        diff.show({{ state: "waits", of: "", rows: [row], stale: true }});
        await wait(300);
        return [diff.root.querySelectorAll("img").length, window.hacked ?? null,
            diff.list.querySelectorAll(".row").length];
    """
    )
    assert found == [0, None, 1]


@pytest.mark.web
def test_a_workflow_that_holds_no_acceptance_opens(browser):
    build = BUILD.replace("TEXT", '"x"').replace("URL_", '""')
    found = browser.run(
        f"""{WAITING}{build}
        const diff = director.higgsDiff, accepted = named(director, "accepted");
        const of = (turns) => JSON.stringify({{ of: "", turns }});
        const shown = [];
        for (const value of ["x", "null", "[]", 7, {{}}, of("ab"), of({{ 1: "ab" }}), of({{ 1: [["a", 2]] }}),
            of({{ x: [["a", "b"]] }}), of({{ 2: [["a", "b"]], 1: [["c", "d"]] }})]) {{
            accepted.value = value;
            director.onConfigure({{}});
            shown.push(diff.list.querySelectorAll(".row").length);
        }}
        return [shown, diff.said.textContent, diff.list.querySelector(".words").textContent];
    """
    )
    assert found == [[0] * 9 + [2], "2 lines accepted", "d"]


@pytest.mark.web
def test_a_proposal_is_there_again_after_undo_and_in_another_tab(browser):
    """Both make the nodes anew; the server may have thought for an hour."""
    build = BUILD.replace("TEXT", '"x"').replace("URL_", '""')
    found = browser.run(
        f"""{WAITING}{build}
        const {{ api }} = await import("/scripts/api.js"), said = [];
        const rows = [{{ turn: 1, speaker: "", text: "x", pieces: [["A", "x"]], kept: "" }}];
        const detail = {{ node: String(director.id), state: "waits", of: "key", rows, stale: false }};
        const again = async () => {{
            await app.loadGraphData(app.graph.serialize());
            const node = app.graph.nodes.find((one) => one.type === "HiggsDirector");
            said.push([node !== window.director, node.higgsDiff.said.textContent]);
            window.director = node;
        }};
        api.dispatchEvent(new CustomEvent("higgs.directed", {{ detail }}));
        const before = app.graph.serialize();
        await again();
        window.director.higgsDiff.accept();
        await again();
        await app.loadGraphData(before); // undone
        said.push(app.graph.nodes.find((one) => one.type === "HiggsDirector").higgsDiff.said.textContent);
        app.graph.nodes.find((one) => one.type === "HiggsDirector").higgsDiff.forget();
        await again();
        return said;
    """
    )
    proposed = "1 line proposed"
    nothing = "Nothing proposed yet: queue the graph."
    assert found == [[True, proposed], [True, "1 line accepted"], proposed, [True, nothing]]


@pytest.mark.web
def test_lines_that_are_not_shown_go_with_all_and_none(browser):
    build = BUILD.replace("TEXT", '"x"').replace("URL_", '""')
    found = browser.run(
        f"""{WAITING}{build}
        const diff = director.higgsDiff, accepted = named(director, "accepted");
        const row = (_, n) => ({{ turn: n + 1, speaker: "", text: "a", pieces: [["A", "a"]], kept: "" }});
        const rows = Array.from({{ length: 1002 }}, row), said = [];
        const taken = () => Object.keys(JSON.parse(accepted.value).turns).length;
        for (const choose of [() => {{}}, () => diff.tick(false), () => diff.tick(true)]) {{
            diff.show({{ state: "waits", of: "x", rows, stale: false }});
            choose();
            said.push(diff.list.querySelector(".empty").textContent);
            diff.accept();
            said.push(taken());
        }}
        return said;
    """
    )
    with_others = "2 more lines are not shown, and accepted with the others."
    assert found == [with_others, 1002, "2 more lines are not shown, and not accepted.", 0, with_others, 1002]


@pytest.mark.web
def test_a_book_is_uploaded(browser, server):
    found = browser.run(
        f"""{WAITING}
        app.graph.clear();
        const node = LiteGraph.createNode("HiggsLoadBook");
        app.graph.add(node);
        await node.higgsUpload(new File(["# One\\n\\na.\\n"], "uploaded book.md"));
        const file = node.widgets.find((one) => one.name === "file");
        const {{ values }} = file.options, buttons = node.widgets.filter((one) => one.type === "button");
        return [file.value, values.includes(file.value), buttons.length];
    """
    )
    assert found[0].startswith("uploaded book") and found[1:] == [True, 1]
