"""Scripts as people and other tools write them: read where it is certain, doubted at its place where it is not."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from helpers_time import grows_linearly

from higgs_runtime import ScriptError, Turn, parse_script
from higgs_runtime.script.grammar import PAUSE_S
from higgs_runtime.text.sound_tags import _ALSO_MADE, FIRST_WORDS


def turns(text: str) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in parse_script(text).turns]


def places(text: str) -> list[tuple[int, int]]:
    return [(warning.line, warning.column) for warning in parse_script(text).warnings]


# --- tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, expected",
    [
        (
            "[S1] Good morning. [S2] Hello, my friend. [S1] The story is ready.",
            [("S1", "Good morning."), ("S2", "Hello, my friend."), ("S1", "The story is ready.")],
        ),
        ("[Anna] Who? [Ben]: Me!", [("Anna", "Who?"), ("Ben", "Me!")]),
        ("[Anna] “Who?” [Ben] “Me.”", [("Anna", "“Who?”"), ("Ben", "“Me.”")]),
        ("[小明] 你好。[小红] 你好！", [("小明", "你好。"), ("小红", "你好！")]),
        ("[Anna] One.\nTwo. [Ben] Three.", [("Anna", "One.\nTwo."), ("Ben", "Three.")]),
        ("[Anna] One. [pause 1s] Two. [Ben] {seed=3} Three.", [("Anna", "One."), ("Anna", "Two."), ("Ben", "Three.")]),
        ("[Anna] One. [laugh] Two. [Sighs] Three.", [("Anna", "One. [laugh] Two. [Sighs] Three.")]),
        ("[S1] Hey there [S2] what is it", [("S1", "Hey there"), ("S2", "what is it")]),
        ("[Anna] \\One. [Ben] Two.", [("Anna", "One. [Ben] Two.")]),
    ],
)
def test_tags_inside_of_a_line(line, expected):
    script = parse_script(line)
    assert [(turn.speaker, turn.text) for turn in script.turns] == expected and script.warnings == ()
    assert str(script) == line and parse_script(str(replace(script))) == script


@pytest.mark.parametrize(
    "text, place",
    [
        ("[Anna] One.\n[Ben] Two.\n[Anna] He asked [Ben] for it.", (3, 17)),
        ("Anna: One.\nBen: Two.\nAnna: He came. Ben: Hello.", (3, 16)),
        ("Anna: One. [Anna] Two.", (1, 12)),
        ("[Anna] One.\n\n<Anna> Two.", (3, 1)),
        ("[Anna] One.\n\n(Anna) Two.", (3, 1)),
        ("[Anna] One.\n\n@Anna: Two.", (3, 1)),
        ("[Anna] One.\n\nAnna - Two.", (3, 1)),
        ("[Anna] One.\n\nAnna\tTwo.", (3, 1)),
        ("[Anna] One.\n\nanna: Two.", (3, 1)),
        ("[Anna] One.\n[anna] Two.", (2, 1)),
        ("[Anna] One.\n\nAnna:Two.", (3, 1)),
        ("[Anna] One.\n\nANNA\nTwo.", (3, 1)),
        ("<Anna> One.\n\n<Ben> Two.", (3, 1)),
        ("Anna: One.\n\nAnna, whispering: Two.", (3, 1)),
        ("Anna: One.\n\nANNA & BEN: Two.", (3, 1)),
        ("Anna: One.\n\nAnna [angry]: Two.", (3, 1)),
        ("Anna: One.\n\n`Anna`: Two.", (3, 1)),
        ("INT. KITCHEN - NIGHT\n\nAnna: One.", (1, 1)),
        ("anna: One.\nben: Two.", (2, 1)),
        ("[Anna] (sighs) One.", (1, 8)),
        ("[Anna] One. *laughs* Two.", (1, 13)),
        ("S1 went. [S2] Two.", None),
    ],
)
def test_what_may_be_a_speaker_is_doubted_at_its_place(text, place):
    if place is None:
        assert turns(text) == [("", "S1 went."), ("S2", "Two.")]
    else:
        assert place in places(text)


@pytest.mark.parametrize(
    "line",
    [
        "[Alice]: Hello.",
        "[Alice] : Hello.",
        "[Alice]：Hello.",
        "**Alice:** Hello.",
        "**Alice**: Hello.",
        "*Alice:* Hello.",
        "__Alice:__ Hello.",
        '"Alice": Hello.',
        "“Alice”: Hello.",
        "«Alice» : Hello.",
        "「Alice」：Hello.",
        "- Alice: Hello.",
        "• Alice: Hello.",
        "1. Alice: Hello.",
        "'Alice': Hello.",
        "12) [Alice] Hello.",
        "**[Alice]** Hello.",
        "**[Alice]:** Hello.",
        "Alice (angry): Hello.",
        "Alice (V.O.): Hello.",
        "**Alice (angry):** Hello.",
    ],
)
def test_names_in_other_forms(line):
    assert turns(line) == [("Alice", "Hello.")]
    assert turns("\\" + line) == [("", line)], "a backslash makes text"
    turn = Turn("Bob", line)
    assert parse_script(str(turn)).turns == (turn,)


def test_a_number_in_brackets_belongs_to_the_name():
    script = parse_script("Host (1): Hello.\nHost (2): Good morning.\nHost (1): Bye.\nHost (2): Bye.")
    assert [turn.speaker for turn in script.turns] == ["Host 1", "Host 2", "Host 1", "Host 2"] and script.warnings == ()


def test_what_stands_behind_a_name_is_left_out_with_a_warning():
    script = parse_script("Host 1 (male): Good morning.")
    assert [(turn.speaker, turn.text) for turn in script.turns] == [("Host 1", "Good morning.")]
    assert "'(male)' behind the name 'Host 1' is left out" in str(script.warnings[0])
    assert any("two speakers" in str(one) for one in parse_script("[Anna] a\n[Anna (old)] b").warnings)


@pytest.mark.parametrize(
    "line", ["- Note: text", "**Bold** text: more", '"Yes": he said no', "1. Step 2: open", "5: five"]
)
def test_ordinary_text_in_such_forms_stays_text(line):
    assert turns(f"[A] Hi.\n{line}")[0][0] == "A" and len(turns(f"[A] Hi.\n{line}")) == 1 or line.startswith('"Yes')


def test_sheets_of_the_cases():
    """Names in bold, in quotation marks and in lower case."""
    text = '**Anna:** Hello there.\n\n"Ben": Good morning.\n\nanna: The story is ready.\n'
    assert turns(text)[:2] == [("Anna", "Hello there."), ("Ben", "Good morning.")] and (5, 1) in places(text)


# --- sounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sound", ["Laughs", "SIGHS", "Laugh", "Coughing", "Laughs softly", "Gasps", "Music", "Sing start"]
)
def test_sound_words_are_sounds_whatever_their_case(sound):
    assert turns(f"[Anna] Good morning.\n[{sound}] That is good.") == [
        ("Anna", f"Good morning.\n[{sound}] That is good.")
    ]
    with pytest.raises(ScriptError, match="not a speaker's name"):
        Turn(sound, "Hello.")


def test_the_scene_editor_knows_the_same_sound_words():
    script = (Path(__file__).resolve().parents[2] / "web" / "common" / "scene" / "grammar.js").read_text(
        encoding="utf-8"
    )
    assert set(re.search(r"SOUNDS = new Set\(`([^`]*)`", script)[1].split()) == FIRST_WORDS | _ALSO_MADE


def test_people_who_are_called_like_sounds_and_more_speak():
    assert turns("[Music Teacher] One.\n[Sing Lee] Two.") == [("Music Teacher", "One."), ("Sing Lee", "Two.")]


@pytest.mark.parametrize("name", ["Door opens", "Clears throat", "Thunder", "Applauds", "Intro", "Beat", "Chapter 2"])
def test_a_bracket_that_is_hardly_a_speaker_is_doubted(name):
    assert (2, 1) in places(f"[Anna] Good morning.\n[{name}] That is good.\n\n[Ben] Hello.")


def test_people_who_speak_once_are_not_doubted():
    assert parse_script("[Anna] One.\n[Queen of Hearts] Two.\n[Guard 2] Three.\n[Anna] Four.").warnings == ()


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pause, seconds",
    [
        ("[pause:1.5s]", 1.5),
        ("[pause=1.5s]", 1.5),
        ("[pause: 500 ms]", 0.5),
        ("[pause]", PAUSE_S),
        ("[Pause]", PAUSE_S),
        ("[pause 2 seconds]", 2),
        ("[pause for 2 seconds]", 2),
        ("[pause 1 sec]", 1),
        ("[pause 0,5s]", 0.5),
        ('<break time="1s"/>', 1),
        ("<break time='500ms' />", 0.5),
        ('<break time="1s"></break>', 1),
        ("<break/>", PAUSE_S),
        ('<break strength="weak"/>', 0.25),
        ("<pause 2s>", 2),
        ("(pause 2s)", 2),
        ("(pause)", PAUSE_S),
        ("<#0.5#>", 0.5),
    ],
)
def test_pauses_in_other_forms(pause, seconds):
    script = parse_script(f"[Anna] Hello {pause} world.")
    assert [(turn.text, turn.pause_s) for turn in script.turns] == [("Hello", seconds), ("world.", 0.0)]
    assert script.warnings == ()
    turn = Turn("Anna", f"Hello {pause} world.")
    assert parse_script(str(turn)).turns == (turn,), "as text it is escaped"


@pytest.mark.parametrize(
    "form", ["[long pause]", "[beat]", "(beat)", "[silence 2s]", "{pause 1s}", "[2s]", "(1.5s pause)", "<wait>"]
)
def test_pauses_that_nobody_defined_are_doubted(form):
    [turn] = parse_script(f"[Anna] Hello {form} world.").turns
    assert form in turn.text and (1, 14) in places(f"[Anna] Hello {form} world.")


@pytest.mark.parametrize(
    "pause", ['<break time="soon"/>', '<break strength="loud"/>', "[pause:]x [pause ;]", "[pause -1s]"]
)
def test_pauses_that_cannot_be_read_are_an_error(pause):
    with pytest.raises(ScriptError, match="pause cannot be read"):
        parse_script(f"[Anna] Hello {pause} world.")


def test_brackets_that_speak_of_pauses_are_text():
    assert turns("He made a (pause for effect) there.") == [("", "He made a (pause for effect) there.")]


@pytest.mark.parametrize(
    "piece",
    ["a. [B] ", "[B] a. ", "a.a.", "**", "- ", "(pause ", "<break ", '"', "1. ", "a: ", ". ", "<#1", "[beat]", "a b "],
)
def test_time_grows_with_the_length(piece):
    def parse(count: int) -> None:
        with suppress(ScriptError):
            parse_script("[A] x. " + piece * count)

    assert grows_linearly(parse, 2_000)
