"""The script language: what is a turn, what is text, what is wrong and where."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace

import pytest

from higgs_runtime import ScriptError, Turn, parse_script


def turns(text: str) -> list[tuple]:
    return [(turn.speaker, turn.text) for turn in parse_script(text).turns]


EXAMPLE = """\
# Two people at a door
The door opens.
It is dark.

[SPEAKER0] {seed=7 temperature=0.6} Who is there? [pause 0.8s] Hello?
Say something!

Anna: Only me.
[pause 500ms]

[小明] 你好。
"""


def test_example():
    script = parse_script(EXAMPLE)
    assert list(script.turns) == [
        Turn("", "The door opens.\nIt is dark."),
        Turn("SPEAKER0", "Who is there?", 0.8, {"seed": 7, "temperature": 0.6}),
        Turn("SPEAKER0", "Hello?\nSay something!", 0.0, {"seed": 7, "temperature": 0.6}),
        Turn("Anna", "Only me.", 0.5),
        Turn("小明", "你好。"),
    ]
    assert [turn.line for turn in script.turns] == [2, 5, 5, 8, 11]
    assert script.warnings == ()
    assert type(script.turns[1].settings["seed"]) is int and str(script) == EXAMPLE


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[Anna] Hi.", [("Anna", "Hi.")]),
        ("[ Anna Lee ]Hi.", [("Anna Lee", "Hi.")]),
        ("Anna: Hi.", [("Anna", "Hi.")]),
        ("ANNA:\nHi.", [("ANNA", "Hi.")]),
        ("Mr. Smith: Hi.", [("Mr. Smith", "Hi.")]),
        ("Guard 2: Halt!", [("Guard 2", "Halt!")]),
        ("Queen of Hearts: Off!", [("Queen of Hearts", "Off!")]),
        ("O’Neil-Jones: Yes.", [("O’Neil-Jones", "Yes.")]),
        ("Élodie: Oui.", [("Élodie", "Oui.")]),
        ("小明：你好", [("小明", "你好")]),
        ("Анна: Да.", [("Анна", "Да.")]),
        ("\ufeffAnna: Hi.\r\nMore.\rEnd.", [("Anna", "Hi.\nMore.\nEnd.")]),
        ("  Anna: Hi.  \n\tthere", [("Anna", "Hi.\nthere")]),
        ("A: one\nB: two", [("A", "one"), ("B", "two")]),
        ("A: one\n# note\ntwo", [("A", "one\ntwo")]),
        ("A: one\n\ntwo\nthree\n\nfour", [("A", "one"), ("", "two\nthree"), ("", "four")]),
        ("[A] one [pause 1s] two", [("A", "one"), ("A", "two")]),
        ("[A] one\n[pause 1s]\ntwo", [("A", "one"), ("A", "two")]),
        ("[A] one\n\n[pause 1s]\ntwo", [("A", "one"), ("", "two")]),
        ("{seed=1} one", [("", "one")]),
        ("[A]\n{seed=1}\none", [("A", "one")]),
    ],
)
def test_turns(text, expected):
    assert turns(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        "Note: this is text.",
        "Step 1: open it.",
        "It is 12:30 now.",
        "12:30: lunch.",
        "He said: hello.",
        "Chapter 3: Home",
        "http://example.com/a",
        "Anna:no blank",
        "他说：“你好”",
        "注意：小心",
        "The Very Long Name Of Someone: hi",
        "[laugh] That was good.",
        "I like {braces}.",
        "One, two: three.",
        ": nothing",
        "However: no.",
    ],
)
def test_ordinary_text_stays_text(line):
    assert turns(line) == [("", line)] and parse_script(line).warnings == ()
    assert turns(f"[A] Hi.\n{line}") == [("A", f"Hi.\n{line}")]


@pytest.mark.parametrize(
    "line",
    [
        "[Bob] hi",
        "Bob: hi",
        "# no comment",
        "{seed=1} x",
        "\\ slash",
        "a [pause 1s] b",
        "[open",
        "[sfx: a.wav]",
        "[pause 1s]",
    ],
)
def test_a_backslash_makes_text(line):
    assert turns("\\" + line) == [("", line)]
    assert turns(f"[A] \\{line}\n\\{line}") == [("A", f"{line}\n{line}")]


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("[pause 0.8s]", 0.8),
        ("[pause 800ms]", 0.8),
        ("[PAUSE .5]", 0.5),
        ("[pause 1s]\n\n[pause 2 s]", 3.0),
        ("[pause 1s] [pause 250 ms]", 1.25),
        ("[ pause 0s ]", 0.0),
    ],
)
def test_pauses_follow_the_turn_before(text, seconds):
    script = parse_script(f"[A] one\n{text}\n[B] two")
    assert [turn.pause_s for turn in script.turns] == [pytest.approx(seconds), 0.0]
    assert parse_script(f"[A] one {text}").turns[0].pause_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text, line, column, message",
    [
        ("", 1, 1, "no turns.*an empty text"),
        ("# a\n\n", 1, 1, "no turns.*only comments"),
        ("[A]\n[B] x", 1, 1, "no text"),
        ("[A] x\n\nB:\n", 3, 1, "no text"),
        ("x\n  [A y", 2, 3, "not closed"),
        ("[pause 1s]\n[A] x", 1, 1, "nothing to pause after"),
        ("[A] x [pause soon]", 1, 7, r"got \[pause soon\]"),
        ("[A] x [pause -1s]", 1, 7, "cannot be read"),
        ("[A] x [pause 601s]", 1, 7, "600 s or less"),
        ("[A] [pause 1s] x", 1, 5, "nothing to pause after"),
        ("[A] {seed=1 x", 1, 5, "not closed"),
        ("[A] {sed=1} x", 1, 6, "got 'sed'"),
        ("[A] {} {seed} x", 1, 5, "x"),
        ("[A] {seed=1.5} x", 1, 6, "a whole number from 0 .*, got '1.5'"),
        ("[A] {seed=1, top_p=x} y", 1, 14, "a number from -1 to 1,"),
        ("[A] {seed=1 seed=2} x", 1, 13, "'seed' twice"),
        ("[A] {temperature=nan} x", 1, 6, "'nan'"),
    ],
)
def test_errors_point_at_their_place(text, line, column, message):
    if message == "x":  # empty settings are none; the second braces are text
        assert turns(text) == [("A", "{seed} x")]
        return
    with pytest.raises(ScriptError, match=message) as caught:
        parse_script(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert f"Line {line}, column {column}" in str(caught.value)


@pytest.mark.parametrize(
    "text, line, column, message",
    [
        ("Hi.\n [anna] there", 2, 2, r"\[anna\].*capital"),
        ("[1] Hi.", 1, 1, "read as text"),
        ("[Anna] a\n[ANNA] b", 2, 1, "'ANNA' and 'Anna' are two"),
        ("[Anna] a\n[Bob] b\n[Anna] c\n\n Ending: d", 5, 2, "'Ending:' is read as a speaker"),
    ],
)
def test_warnings_are_data(text, line, column, message):
    [warning] = parse_script(text).warnings
    assert (warning.line, warning.column) == (line, column)
    assert re.search(message, warning.message) and str(warning).startswith(f"Line {line}, column {column}: ")


def test_turns_refuse_text_that_no_script_can_express():
    for values in (
        {"speaker": "anna", "text": "x"},
        {"speaker": "A]", "text": "x"},
        {"speaker": "A", "text": "\n"},
        {"speaker": "A", "text": "x", "pause_s": -1},
        {"speaker": "A", "text": "x", "pause_s": math.nan},
    ):
        with pytest.raises(ScriptError):
            Turn(**values)


def test_a_changed_script_is_written_anew():
    script = parse_script(EXAMPLE)
    changed = replace(script, turns=[Turn("Bob", "New."), *script.turns])
    assert str(changed).startswith("# Two people at a door\n[Bob] New.\n\nThe door opens.")
    assert parse_script(str(changed)) == changed


PIECES = [
    "[Anna]",
    "[pause 0.5s]",
    "Bob:",
    "小明：",
    "{seed=3}",
    "{temperature=1e-05 top_p=0.1}",
    "#",
    "\\",
    "[",
    "]",
    "[laugh]",
    "word",
    "Note:",
    "two words",
    "12:30",
    "[sfx: a]",
    "：",
    "{",
    "}",
    "\n",
    "\n\n",
    " ",
    "[pause 1e-06s]",
    "[/music]",
    "é",
    "\u2028",
    "\r\n",
    "\t",
    "[B C]",
    "[1]",
    "Dr. No: ",
    "…",
]


def test_round_trip_of_random_scripts():
    """parse → text → parse is the identity, both for the text itself and for turns written anew."""
    generator, parsed = random.Random(11), 0
    for _ in range(6000):
        text = "".join(
            generator.choice(PIECES) + generator.choice(["", " ", "\n"]) for _ in range(generator.randrange(9))
        )
        try:
            script = parse_script(text)
        except ScriptError as error:
            assert 1 <= error.line <= text.count("\n") + text.count("\r") + 1 and error.column >= 1
            continue
        parsed += 1
        assert str(script) == text
        assert parse_script(str(replace(script))) == script, text
        assert all(turn.text and turn.text == "\n".join(map(str.strip, turn.text.split("\n"))) for turn in script.turns)
    assert parsed > 1500


def test_a_long_script_is_read_in_line_with_its_length():
    assert len(parse_script("[Anna] Some words that are said.\n\n" * 20_000).turns) == 20_000
    for text in ("a" * 200_000, "[a" * 50_000, "{" * 100_000, "A " * 100_000 + ": x", "[pause " * 30_000):
        try:
            parse_script(text)
        except ScriptError:
            pass
