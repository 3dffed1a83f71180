"""The director of a script: what is asked of a chat server, what becomes of its answers, and that no word changes."""

from __future__ import annotations

import json
import time

import pytest
from helpers_chat import KEY, KINDS, SAID, STORY, ChatStub, as_it_is, lines_of

from higgs_runtime import MissingExtraError, SettingError, parse_script
from higgs_runtime.errors import RemoteError, StoppedError
from higgs_runtime.remote import call
from higgs_runtime.remote.chat import ChatAnswer, ChatServer
from higgs_runtime.remote.direct import DirectSettings, direct
from higgs_runtime.script import write
from higgs_runtime.script.directing import Accepted, accepted_script, read_accepted, script_key


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(call, "FIRST_WAIT_S", 0.01)


def well(body: dict) -> dict:
    wanted = [one["n"] for one in lines_of(body)["lines"]]
    return {"lines": [{"n": n, "parts": [{"speaker": who, "text": text} for who, text in SAID[n]]} for n in wanted]}


def ask(stub: ChatStub, text: str = STORY, server: dict | None = None, **more):
    return direct(parse_script(text), ChatServer(stub.url, **(server or {})), DirectSettings(**more))


def said(script) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in script.turns]


# --- servers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{}, {"forms": False}, {"streams": False}, {"key": KEY}])
def test_a_story_is_directed_by_each_server(kind, more):
    with ChatStub(kind, well, **more) as stub:
        found = ask(stub, server={"key": KEY} if "key" in more else None)
    assert said(found.script) == [
        ("Anna", "“Who is there?”"),
        ("", "said Anna."),
        ("Anna", "[laugh] “Hello?”"),
        ("Bob", "It is only me."),
        ("Bob", "Good night."),
        ("", "The old bridge… was quiet."),
    ]
    assert [turn.pause_s for turn in found.script.turns] == [0, 0, 0, 0.8, 0, 0] and found.kept == {}
    assert {turn.scene for turn in found.script.turns} == {"a quiet hall"} and set(found.turns) == {0}
    assert parse_script(str(found.script)) == found.script
    assert len(stub.bodies) == (2 if "forms" in more else 1) and stub.bodies[0]["model"] == "any-model"
    assert "1 of 4 lines changed" in found.report() and "Anna, Bob" in found.report()
    assert (
        stub.bodies[0]["response_format"]["type"] == "json_schema"
        and "response_format" not in stub.bodies[-1]
        or more.get("forms", True) is not False
    )


def test_a_key_goes_as_a_token_and_nowhere_else():
    with ChatStub(speak=well, failures=[(401, f"wrong key {KEY}")]) as stub, pytest.raises(RemoteError) as told:
        ask(stub, server={"key": KEY})
    assert stub.headers[0]["authorization"] == f"Bearer {KEY}" and KEY not in str(told.value)
    assert KEY not in json.dumps(stub.bodies) and KEY not in repr(ChatServer(stub.url, key=KEY))
    with ChatStub(speak=well) as stub:
        ask(stub)
    assert "authorization" not in stub.headers[0]


@pytest.mark.parametrize("failures", [[500], [429, 503], ["drop"], ["thinks"], ["break"], ["error"], ["length"]])
def test_what_passes_is_asked_again(failures):
    with ChatStub(speak=well, failures=failures) as stub:
        found = ask(stub)
    assert not found.kept and found.script.turns[0].speaker == "Anna", found.report()


@pytest.mark.parametrize(
    "failures, words",
    [
        (["refusal"] * 9, "refused: I cannot help"),
        (["filter"] * 9, "content filter"),
        (["break"] * 9, "did not answer"),
        (["error"] * 9, "out of memory"),
        ([(404, "no such model")], "no such model"),
        ([500] * 9, "status 500"),
        (["drop"] * 9, "did not answer"),
    ],
)
def test_a_server_without_an_answer_is_told(failures, words):
    with ChatStub(speak=well, failures=failures) as stub, pytest.raises(RemoteError, match=words):
        ask(stub)


BROKEN = [
    "",
    "Sure! Here it is.",
    "{",
    "[]]",
    "[" * 100_000,
    "null",
    "\0",
    '{"lines": 3}',
    '{"lines": [3]}',
    '{"lines": [{"n": "1", "parts": []}]}',
    '{"lines": [{"n": 1, "parts": [{"speaker": 1, "text": 2}]}]}',
]


@pytest.mark.parametrize("answer", BROKEN)
def test_broken_answers_leave_the_script_and_are_told(answer):
    with ChatStub(speak=lambda body: answer) as stub, pytest.raises(RemoteError, match="no answer that can be used"):
        ask(stub)
    assert len(stub.bodies) == 2  # it was asked once more


@pytest.mark.parametrize(
    "around",
    [
        "%s",
        "<think>Who? {}</think>%s",
        "Who says {it}? [Anna]</think>\n%s",  # of a model whose prompt begins the thought
        "Here is the answer [in JSON]:\n```json\n%s\n```",
    ],
)
def test_json_is_found_in_what_is_around_it(around):
    said = {"lines": [{"n": 1, "parts": [{"speaker": "", "text": "[laugh] {a}"}]}]}
    assert ChatAnswer(around % json.dumps(said)).json() == said
    assert ChatAnswer(around % json.dumps(said["lines"])).json() == said["lines"]
    with pytest.raises(ValueError):
        ChatAnswer(around % json.dumps(said)[:-9]).json()


def test_an_error_of_null_is_none():
    """As it stands in each piece of some servers."""
    answer = ChatAnswer()
    answer.take({"error": None, "choices": [{"delta": {"content": "a"}}]})
    assert answer.text == "a" and not answer.error
    answer.take({"error": {"message": "out of memory"}})
    assert answer.error == "out of memory"


def test_a_slow_server_counts_as_lost():
    with ChatStub(speak=well, pause_s=2.0) as stub, pytest.raises(RemoteError, match="did not answer"):
        ask(stub, server={"timeout_s": 0.2, "retries": 0})


def test_an_endless_answer_is_left(monkeypatch):
    monkeypatch.setattr("higgs_runtime.remote.chat.MOST_LETTERS", 10_000)
    with ChatStub(speak=lambda body: "x" * 100_000) as stub, pytest.raises(RemoteError, match="without end"):
        ask(stub)


@pytest.mark.parametrize("chunk", [0, 2])
def test_cancel_acts_at_once(chunk):
    with ChatStub(speak=as_it_is, pause_s=0.3) as stub:
        started, text = time.monotonic(), "\n\n".join(f"Line number {n} of a story." for n in range(40))

        def stop() -> bool:
            return len(stub.bodies) > chunk and time.monotonic() - started > 0.5

        with pytest.raises(StoppedError):
            direct(parse_script(text), ChatServer(stub.url), DirectSettings(chunk_chars=200), should_stop=stop)
        assert stub.left.wait(5) and len(stub.bodies) == chunk + 1


def test_what_no_server_is():
    for url in ("", "  ", "localhost", "ftp://x", "http://user:pass@x/v1", "http://x/v1?key=1"):
        with pytest.raises(SettingError):
            ChatServer(url)
    for more in ({"timeout_s": 0}, {"retries": -1}, {"key": "a\nb"}):
        with pytest.raises(SettingError):
            ChatServer("http://127.0.0.1:1/v1", **more)
    for more in ({"chunk_chars": 10}, {"tags": "v9"}):
        with pytest.raises(SettingError):
            DirectSettings(**more)


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MissingExtraError, match="pip install openai"):
        direct(parse_script("a."), ChatServer("http://127.0.0.1:1/v1"))


# --- chunks ---------------------------------------------------------------------------------------------------------


def test_long_texts_go_in_chunks_with_the_names_and_lines_before():
    text = "\n\n".join(f"“Line number {n},” said somebody in this long story." for n in range(30))

    def speak(body):
        return named(body, lambda number: f"Voice {number // 10}")

    progress, settings = [], DirectSettings(chunk_chars=400, instructions="Be calm.")
    with ChatStub(speak=speak) as stub:
        found = direct(parse_script(text), ChatServer(stub.url), settings, on_progress=lambda *at: progress.append(at))
    asked = [lines_of(body) for body in stub.bodies]
    assert len(asked) > 3 and [one["n"] for said in asked for one in said["lines"]] == list(range(1, 31))
    assert asked[0]["speakers"] == [] and asked[0]["before"] == []
    assert asked[-1]["speakers"] == ["Voice 0", "Voice 1", "Voice 2"]
    assert all(one["instructions"] == "Be calm." for one in asked)
    before = asked[1]["before"][-1]
    assert before["text"].startswith(f"“Line number {asked[1]['lines'][0]['n'] - 2},”")
    assert before["speaker"] == "Voice 0" and len(asked[1]["before"]) == 3
    assert progress[-1][0] == progress[-1][1] and len(progress) == len(asked)
    assert found.script.turns[29].speaker == "Voice 3"


def named(body, speaker) -> dict:
    """Each line as one part of this speaker."""
    lines = lines_of(body)["lines"]
    return {"lines": [{"n": one["n"], "parts": [{"speaker": speaker(one["n"]), "text": one["text"]}]} for one in lines]}


def test_an_answer_that_is_too_long_is_asked_for_in_halves():
    def speak(body):
        return as_it_is(body)

    text = "\n\n".join(f"[A] Line {n}." for n in range(8))
    with ChatStub(speak=speak, failures=["length", "length", "length"]) as stub:
        found = ask(stub, text)
    assert not found.kept and [len(lines_of(body)["lines"]) for body in stub.bodies][:3] == [8, 4, 2]


def test_a_server_that_is_lost_on_the_way_leaves_the_rest_as_it_was():
    text = "\n\n".join(f"Line number {n} of a story that is long." for n in range(20))
    with ChatStub(speak=lambda body: named(body, lambda number: "Anna")) as stub:
        stub.failures = [None, None] + [500] * 20
        found = ask(stub, text, chunk_chars=200)
    speakers = [turn.speaker for turn in found.script.turns]
    assert speakers[0] == "Anna" and speakers[-1] == "" and "was lost" in found.report()
    assert set(found.kept) == {n for n, who in enumerate(speakers) if not who}


def test_of_a_chunk_that_is_lost_halfway_what_was_answered_counts():
    """The first answer has lines 1 and 2 (as they were) and other words for 3; then the server is gone."""
    text = "\n\n".join(f"Line number {n} of a story." for n in range(1, 5))

    def speak(body):
        answer = named(body, lambda number: "Anna" if number == 1 else "")
        answer["lines"][2]["parts"][0]["text"] = "Other words."
        return {"lines": answer["lines"][:3]}

    with ChatStub(speak=speak) as stub:
        stub.failures = [None] + [500] * 20
        found = ask(stub, text, server={"retries": 0})
    assert found.kept[2].startswith("the answer has other words") and set(found.kept) == {2, 3}
    assert "lost before line 3" in found.report() and set(found.turns) == {0}


def test_what_a_server_says_cannot_steer_a_terminal():
    def speak(body):
        lines = named(body, lambda number: "A\x1bc")["lines"]
        lines[0]["parts"][0]["text"] += " [\x1bc]"
        lines[1]["parts"][0]["text"] = "\x1b\u202eOther."
        return {"lines": lines}

    with ChatStub(speak=speak) as stub:
        found = ask(stub, "Good night.\n\nGood day.")
    assert {turn.speaker for turn in found.script.turns} == {""} and "is no speaker's name" in found.report()
    assert all(line.isprintable() for line in found.report().splitlines()), found.report()


@pytest.mark.parametrize("told, waited", [("0", 0.0), ("2", 2.0), ("²", None), ("9" * 400, 30.0), ("soon", None)])
def test_a_server_says_when_to_come_again(told, waited):
    assert call._asked_wait({"retry-after": told}) == waited


# --- words ----------------------------------------------------------------------------------------------------------


def rewriting(change):
    def speak(body):
        answer = well(body)
        for line in answer["lines"]:
            line["parts"][-1]["text"] = change(line["parts"][-1]["text"])
        return answer

    return speak


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + " And more.",
        lambda text: text[1:],
        lambda text: text.replace("o", "a"),
        lambda text: text.upper(),
        lambda text: "",
        lambda text: f"<i>{text}</i>",
        lambda text: f"*{text}*",
        lambda text: text + text,
        lambda text: text.replace(".", "!").replace("?", "."),
    ],
)
def test_a_server_that_rewrites_the_story_changes_nothing(change):
    with ChatStub(speak=rewriting(change)) as stub, pytest.raises(RemoteError, match="other words"):
        ask(stub)

    def keep(body):
        return {"lines": [one if one["n"] != 1 else SHORT for one in well(body)["lines"]]}

    with ChatStub(speak=keep) as stub:
        found = ask(stub)
    assert said(found.script) == said(parse_script(STORY)) and "line 1 stays as it was" in found.report()


SHORT = {"n": 1, "parts": [{"speaker": "Anna", "text": "Who is there?"}]}


def test_what_was_accepted_is_kept_and_used_for_the_same_script():
    script = parse_script(STORY)
    with ChatStub(speak=well) as stub:
        found = direct(script, ChatServer(stub.url))
    key = script_key(script, "v2", True)
    kept = str(Accepted(key, {n + 1: pieces for n, pieces in found.turns.items()}))
    again, told = read_accepted(kept), []
    assert again.of == key and accepted_script(script, again, "v2", True, told.append) == found.script and not told
    assert read_accepted(" ") is None
    assert script_key(parse_script(write.write_script(script)), "v2", True) == key
    others = [(parse_script(STORY + "x"), "v2", True), (script, "v3", True), (script, "v2", False)]
    assert len({key, *(script_key(*one) for one in others)}) == 4
