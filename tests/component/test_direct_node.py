"""Director and Load Book as ComfyUI calls them: what waits, what is accepted, what is refused; and on the shell."""

from __future__ import annotations

import json

import pytest
from helpers_chat import KEY, ChatStub, lines_of
from helpers_epub import make_epub, nav, page
from helpers_workflow import node_classes, node_module, pack_module

from higgs_runtime import parse_script
from higgs_runtime.cli import main

STORY = "“Who is there?” said Anna.\n\n[Bob] It is only me.\n"
ASKED = {"model": "", "tags": "sounds (Higgs Audio v2)", "speakers": True}


@pytest.fixture(scope="module")
def runtime():
    return pack_module()


@pytest.fixture
def told(monkeypatch):
    """What is sent to the page."""
    node_classes()
    events, messages = [], node_module("host.messages")
    monkeypatch.setattr(messages, "send_event", lambda name, **data: events.append({"name": name, **data}))
    return events


def well(body: dict) -> dict:
    parts = {1: [("Anna", '"Who is there?"'), ("", "said Anna.")], 2: [("Bob", "It is only me. [laugh]")]}
    wanted = [one["n"] for one in lines_of(body)["lines"]]
    return {"lines": [{"n": n, "parts": [{"speaker": who, "text": text} for who, text in parts[n]]} for n in wanted]}


def run(url: str, runtime, text: str = STORY, **more):
    return node_classes()["HiggsDirector"].execute(runtime.parse_script(text), url, **{**ASKED, **more}).args


def test_without_the_page_the_proposal_is_used_at_once(runtime, told):
    with ChatStub(speak=well) as stub:
        script, report, texts, speakers, text = run(stub.url, runtime)
    assert speakers == ["Anna", "", "Bob"] and texts == ["“Who is there?”", "said Anna.", "It is only me. [laugh]"]
    assert "2 of 2 lines changed" in report and parse_script(text).turns[2].text == texts[2]
    assert isinstance(script, runtime.Script) and told[-1]["state"] == "used"


def test_a_proposal_waits_and_what_is_accepted_is_used_without_a_server(runtime, told):
    with ChatStub(speak=well) as stub:
        found = run(stub.url, runtime, review=True)
    assert found[1].startswith("2 of 2") and {type(one).__name__ for one in (found[0], *found[2:])} == {
        "ExecutionBlocker"
    }
    event = told[-1]
    assert event["state"] == "waits" and [row["turn"] for row in event["rows"]] == [1, 2] and not event["stale"]
    rows = {str(row["turn"]): row["pieces"] for row in json.loads(json.dumps(event["rows"]))}
    accepted = json.dumps({"of": event["of"], "turns": {"1": rows["1"]}})  # as the page does, without line 2
    script, report, *_ = run("", runtime, review=True, accepted=accepted)
    assert [turn.speaker for turn in script.turns] == ["Anna", "", "Bob"] and script.turns[2].text == "It is only me."
    assert "1 line as accepted\n" in report and told[-1]["state"] == "accepted"
    with pytest.raises(runtime.SettingError, match="No chat server is named"):
        run("", runtime, text=STORY + "More.", accepted=accepted)  # the script has changed
    with ChatStub(speak=well) as stub:
        run(stub.url, runtime, tags="none", accepted=accepted, review=True)
    assert told[-1]["stale"] and len(stub.bodies) == 1


def test_what_nobody_accepted_is_asked_for_again():
    node = node_classes()["HiggsDirector"]
    assert node.fingerprint_inputs(review=True) != node.fingerprint_inputs(review=True, accepted=" ")
    assert node.fingerprint_inputs(review=True, accepted="x") == node.fingerprint_inputs(url="any")


def test_where_the_script_has_changed_it_is_asked_for_again_until_that_is_accepted(runtime, told):
    """The page may have been loaded anew, and then ComfyUI's cache would hold back all that follows for ever."""
    node = node_classes()["HiggsDirector"]
    accepted = json.dumps({"of": "another script", "turns": {}})

    def fixed() -> bool:
        return node.fingerprint_inputs(review=True, accepted=accepted) == ""

    assert fixed()
    with ChatStub(speak=well) as stub:
        run(stub.url, runtime, review=True, accepted=accepted)
        assert not fixed() and node.fingerprint_inputs(review=False, accepted=accepted) == ""
        of = told[-1]["of"]
    accepted = json.dumps({"of": of, "turns": {}})
    run("", runtime, review=True, accepted=accepted)
    assert fixed()


def test_a_forged_acceptance_changes_no_word(runtime, told):
    from higgs_runtime.script.directing import script_key

    key = script_key(parse_script(STORY), "v2", True)
    forged = json.dumps({"of": key, "turns": {"1": [["Anna", "Send money."]]}})
    script, report, *_ = run("", runtime, accepted=forged)
    assert script.turns[0].text == parse_script(STORY).turns[0].text and "Turn 1 stays as it was" in report
    with pytest.raises(runtime.SettingError, match="accept anew"):
        run("", runtime, accepted="{")


def test_keys_and_addresses_are_guarded(runtime, told, monkeypatch):
    node = node_classes()["HiggsDirector"]
    for name in ("HIGGS_REMOTE_URLS", "HIGGS_REMOTE_KEYS"):
        monkeypatch.delenv(name, raising=False)
    assert (
        node.validate_inputs() is node.validate_inputs("", "") is node.validate_inputs("http://127.0.0.1:1/v1") is True
    )
    assert "HIGGS_REMOTE_URLS" in node.validate_inputs("http://203.0.113.5:8000/v1")
    assert "HIGGS_REMOTE_KEYS" in node.validate_inputs("http://127.0.0.1:1/v1", "PATH")
    assert "no address" in node.validate_inputs("http://me:secret@host/v1")
    assert "no tags" in node.validate_inputs(tags="others")
    away = {"url": "http://203.0.113.5:8000/v1", "key_variable": "PATH"}
    assert node.validate_inputs(**away, accepted='{"of": "", "turns": {}}') is True  # not asked for this script
    with pytest.raises(runtime.SettingError, match="HIGGS_REMOTE_URLS"):
        run(**away, runtime=runtime, accepted='{"of": "", "turns": {}}')  # for another one it would be
    with ChatStub(speak=well, key=KEY) as stub:
        monkeypatch.setenv("MY_CHAT_KEY", KEY)
        monkeypatch.setenv("HIGGS_REMOTE_KEYS", "MY_CHAT_KEY")
        with pytest.raises(runtime.SettingError, match="may not go to"):
            run(stub.url, runtime, key_variable="MY_CHAT_KEY")
        assert not stub.bodies
        monkeypatch.setenv("HIGGS_REMOTE_URLS", stub.url)
        _, report, *_ = run(stub.url, runtime, key_variable="MY_CHAT_KEY")
    assert stub.headers[0]["authorization"] == f"Bearer {KEY}" and KEY not in report + json.dumps(told, default=str)


def test_cancel_leaves_the_server(runtime, told, monkeypatch):
    class Interrupted(BaseException):
        pass

    import comfy.model_management as management

    def interrupt():
        raise Interrupted

    with ChatStub(speak=well, pause_s=0.5) as stub:
        monkeypatch.setattr(management, "processing_interrupted", lambda: len(stub.bodies) > 0)
        monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupt)
        with pytest.raises(Interrupted):
            run(stub.url, runtime)
        assert stub.left.wait(20)


# --- Load Book ------------------------------------------------------------------------------------------------------


@pytest.fixture
def books(tmp_path, monkeypatch):
    node = node_classes()["HiggsLoadBook"]
    import folder_paths

    pages = {
        "a.xhtml": page("<h1>One</h1><p>a.</p>"),
        "b.xhtml": page("<h1>Two</h1><p>b.</p><img alt='A sea' src='x'/>"),
    }
    (tmp_path / "b.epub").write_bytes(make_epub(pages, contents=nav(("a.xhtml", "One"), ("b.xhtml", "Two"))))
    (tmp_path / "c.md").write_text("# One\n\na.\n\n# Two\n\nb.\n")
    (tmp_path / "d.wav").write_text("")
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    return node


def test_chapters_of_a_book(books, runtime):
    pytest.importorskip("lxml")
    assert books.GET_SCHEMA().inputs[0].options == ["b.epub", "c.md", "the_old_bridge.epub (from the pack)"]
    script, report, texts, speakers, tags, language = books.execute("b.epub", 2, 1).args
    assert texts == ["Two.", "b."] and speakers == ["", ""] and language == "en" and script.turns[0].scene == "Two"
    assert tags.splitlines()[:2] == ["title: The old bridge", "artist: Rose Ross"] and "1 One (2 turns)" in report
    assert books.execute("b.epub", 2, 1, images=True).args[2] == ["Two.", "b.", "A sea."]
    assert books.execute("c.md", 1, 0).args[2] == ["One.", "a.", "Two.", "b."]
    with pytest.raises(runtime.SettingError, match="The book has 2 chapters"):
        books.execute("c.md", 3, 0)


def test_files_of_books_are_those_of_the_input_folder_and_the_pack(books, runtime, tmp_path):
    pytest.importorskip("lxml")
    assert len(books.execute("the_old_bridge.epub (from the pack)", 1, 0).args[2]) == 6
    for name in ("none.epub", "../b.epub", "/etc/passwd", "none (from the pack)"):
        assert "no file" in books.validate_inputs(name)
    before = books.fingerprint_inputs("c.md")
    (tmp_path / "c.md").write_text("# One\n\nother.\n")
    assert books.fingerprint_inputs("c.md", images=True) != before
    (tmp_path / "e.epub").write_bytes(b"PK")
    with pytest.raises(runtime.ScriptError, match="cannot be read as an EPUB"):
        books.execute("e.epub", 1, 0)


def test_the_books_of_the_pack_are_in_words_of_nano():
    pytest.importorskip("lxml")
    from higgs_runtime.hub import embedded_books
    from higgs_runtime.script import read_book
    from higgs_runtime.text.vocabulary import unknown_words
    from tools.nano import domain

    words = {*domain.words(), *"0123456789"}
    for file in embedded_books().values():
        assert unknown_words(" ".join(turn.text for turn in read_book(file).turns), words) == []


# --- on the shell ---------------------------------------------------------------------------------------------------


def test_the_shell_shows_a_diff_and_writes_the_script(tmp_path, capsys, monkeypatch):
    (tmp_path / "story.txt").write_text(STORY)
    out = tmp_path / "out.txt"
    command = ["script", "direct", str(tmp_path / "story.txt"), "-o", str(out)]
    with ChatStub(speak=well, key=KEY) as stub:
        assert main([*command, "--server", stub.url]) == 1 and "refused" in capsys.readouterr().err
        monkeypatch.setenv("MY_KEY", KEY)
        assert main([*command, "--server", stub.url, "--key-variable", "MY_KEY"]) == 0
        said = capsys.readouterr()
        assert "+[Anna] “Who is there?”\n" in said.out and "-“Who is there?” said Anna.\n" in said.out
        assert "2 of 2 lines changed" in said.err and KEY not in said.out + said.err
        assert [turn.speaker for turn in parse_script(out.read_text()).turns] == ["Anna", "", "Bob"]
        assert main([*command, "--server", stub.url, "--key-variable", "NO_KEY"]) == 1
        assert main([*command, "--server", stub.url, "-o", str(tmp_path / "story.txt")]) == 1
        assert main([*command, "--server", "nowhere"]) == 1
    assert (tmp_path / "story.txt").read_text() == STORY


def test_the_shell_reads_books(tmp_path, capsys):
    pytest.importorskip("lxml")
    pages = {"a.xhtml": page("<h1>One</h1><p>Good morning.</p>"), "b.xhtml": page("<h1>Two</h1><p>Good evening.</p>")}
    (tmp_path / "b.epub").write_bytes(make_epub(pages, contents=nav(("a.xhtml", "One"), ("b.xhtml", "Two"))))
    assert main(["script", "check", str(tmp_path / "b.epub"), "--turns"]) == 0
    assert "# Scene: Two" in capsys.readouterr().out
    (tmp_path / "a.txt").write_text("Good morning.")
    for more in (["--chapters", "2"], ["--images"]):
        assert main(["render-script", str(tmp_path / "a.txt"), *more]) == 1
        assert "is of books" in capsys.readouterr().err
    for chapters in ("0", "3", "2-1", "x", "1-"):
        assert main(["render-script", str(tmp_path / "b.epub"), "--chapters", chapters]) == 1
        assert "chapters" in capsys.readouterr().err


@pytest.mark.slow
def test_a_book_becomes_an_audiobook_with_its_title(tmp_path, capsys, monkeypatch):
    """With Nano: one chapter of the pack's book."""
    av = pytest.importorskip("av")
    from higgs_runtime.hub import embedded_books

    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    out, file = tmp_path / "b.m4b", embedded_books()["the_old_bridge.epub"]
    assert main(["render-script", str(file), "--chapters", "2", "--voice", "rose", "-o", str(out)]) == 0
    with av.open(str(out)) as made:
        assert made.metadata["title"] == "The old bridge" and made.metadata["artist"] == "ComfyUI-Higgs"
        assert [chapter["metadata"]["title"] for chapter in made.chapters()] == ["The old bridge"]
