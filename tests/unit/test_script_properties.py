"""Properties of the script language: what is written is read as the same, whatever it says; and in time."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import replace

import pytest
from helpers_examples import examples
from helpers_time import grows_linearly
from hypothesis import given, settings, strategies as st

from higgs_runtime import Script, ScriptError, Turn, parse_script
from higgs_runtime.script import Comment, Music, Sound
from higgs_runtime.script.grammar import SETTINGS, to_micro

PIECES = [
    "[Anna]",
    "Bob:",
    "小明：",
    "שרה: ",
    "[B C]",
    "[1]",
    "Note:",
    "Scene: x",
    "[laugh]",
    "word",
    "two words",
    "12:30",
    "[pause 0.5s]",
    "[pause 1e3s]",
    "[pause",
    "[overlap 0.2s]",
    "[slot 1s-2s]",
    "[slot 2s-1s]",
    "[fit: 2.4s]",
    "[Fit：900ms]",
    "[fit: ]",
    "[sfx: a.wav -6dB]",
    '[sfx: "a [b].wav"]',
    '[sfx: "',
    "[music: bed.flac fade=1s duck]",
    "[music: b]",
    "[/music]",
    "[/ Music ]",
    "{seed=3}",
    "{temperature=1e-05 gain=-3dB}",
    "{x=1}",
    "{",
    "}",
    "# note",
    "# Scene: a room",
    "##scene:",
    "#",
    "\\",
    "[",
    "]",
    '"',
    "=",
    ":",
    "：",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "\u2028",
    "\x85",
    "\x0b",
    "\x00",
    "\ufeff",
    "\u200f",
    "مرحبا",
    "👩‍🚀",
    "é",
    "ſ",
    "[pauſe 1s]",
    "\ud800",
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=10).map("".join)
ANY_TEXT = HOSTILE | st.text(max_size=60)
SPEAKERS = st.sampled_from(["", "Anna", "SPEAKER0", "小明", "Dr. No {x}", 'A "b"\\', "שרה", "Music Teacher"])
TIMES = st.sampled_from([0, 0.1, 1 / 3, 0.7, 1e-6, 2, 599.999999])
SPOKEN = ANY_TEXT.filter(lambda text: any(part.strip() for part in re.split("[\r\n]", text)))
FILES = st.sampled_from(["a.wav", "b c.flac", "duck", "x [1].mp3", "-6dB", "小.wav", "a,b", " ", "7", "a=b", "fade=1s"])
NUMBERS = {
    name: st.integers(one.least, one.most) if one.kind is int else st.floats(one.least, one.most)
    for name, one in SETTINGS.items()
}
LENGTHS = (
    st.none()
    | st.tuples(TIMES, TIMES).map(lambda span: (span[0], span[0] + span[1] + 0.001))
    | TIMES.map(lambda seconds: max(0.1, seconds))
)


def turn_of(*about, length, **more):
    return Turn(*about, **more, **({"slot": length} if isinstance(length, tuple) else {"fit_s": length}))


TURNS = st.builds(
    turn_of,
    SPEAKERS,
    SPOKEN,
    TIMES,
    st.fixed_dictionaries({}, optional=NUMBERS),
    scene=st.just("") | ANY_TEXT,
    overlap_s=TIMES,
    length=LENGTHS,
)
QUICK = settings(max_examples=examples(150), derandomize=True, deadline=None, database=None)


def left_of_pause(turns, gap, taken):
    """What music before this turn has of the pause, where other music may still play: one at a time."""
    return to_micro(turns[gap - 1].pause_s - taken[gap]) if gap in taken else math.inf


@st.composite
def scripts(draw):
    turns = draw(st.lists(TURNS, min_size=1, max_size=5))
    places = st.integers(0, len(turns))
    gains = st.floats(-60, 24)

    def part_of_pause(gap):
        return to_micro(draw(st.floats(0, turns[gap - 1].pause_s if gap else 5)))

    cues = []
    for gap in draw(st.lists(places, max_size=4)):
        cues.append(Sound(draw(FILES.filter(str.strip)), draw(gains), gap, before_s=part_of_pause(gap)))
    edges = sorted(draw(st.sets(st.integers(0, len(turns) - 1), max_size=4)))
    taken = {}  # gap -> the part of its pause under the music before
    for first, last in zip(edges[::2], edges[1::2], strict=False):
        before_s = min(part_of_pause(first), left_of_pause(turns, first, taken))
        taken[last + 1] = part_of_pause(last + 1)
        cues.append(
            Music(
                "bed.flac",
                draw(gains),
                draw(st.floats(0, 60)),
                draw(st.booleans()),
                first,
                last,
                before_s=before_s,
                after_s=taken[last + 1],
            )
        )
    notes = draw(st.lists(st.sampled_from(["#", "# a [b]", "##x"]), max_size=3))
    comments = [Comment(text, draw(places)) for text in notes]
    return Script(turns, cues, comments)


@QUICK
@given(scripts())
def test_a_script_made_by_hand_is_read_as_the_same(script):
    text = str(script)
    again = parse_script(text)
    assert again == script
    assert str(again) == text and str(replace(again)) == text


@settings(QUICK, max_examples=examples(400))
@given(ANY_TEXT)
def test_any_text_is_read_and_written_or_refused_at_a_place(text):
    try:
        script = parse_script(text)
    except ScriptError as error:
        lines = re.split(r"\r\n|\r|\n", text)
        assert 1 <= error.line <= len(lines) and 1 <= error.column <= len(lines[error.line - 1]) + 1
        return
    assert str(script) == text and parse_script(str(script)) == script
    again = parse_script(str(replace(script)))
    assert again == script and str(replace(again)) == str(replace(script))
    assert all(1 <= warning.line <= text.count("\n") + text.count("\r") + 1 for warning in script.warnings)


@QUICK
@given(SPOKEN)
def test_no_word_is_lost(text):
    """What a turn says stays in the text that is written, but for blanks at the ends of its lines."""
    turn = Turn("A", text)
    assert parse_script(str(turn)).turns == (turn,)
    kept = "".join(part.strip() for part in re.split(r"[\r\n]", text))
    assert turn.text.replace("\n", "") == kept


MEGABYTE = 1_000_000
REPEATED = {  # what fills a megabyte
    "one line": "word ",
    "turns": "[Anna] Some words that are said.\n\n",
    "colons": "Bob: That is what I say.\n",
    "brackets": "[a",
    "braces": "{",
    "open pauses": "[pause ",
    "cues": "Some words here [sfx: door.wav] ",
    "cues without words": "[sfx: x.wav][pause 0s]",
    "quotes": '[sfx: "',
    "lines": "\n",
    "comments": "# What is noted here\n",
    "escapes": "\\[x]\n",
    "settings": "{seed=1}",
}
LONG = {name: "x\n" + piece * (MEGABYTE // len(piece)) for name, piece in REPEATED.items()} | {
    "capitals": "A " * (MEGABYTE // 2) + ": x",
    "blanks": "x" + " " * MEGABYTE + "y",
    "digits": "x [pause " + "1" * MEGABYTE,
    "open blanks": "[ " + " " * MEGABYTE,
    "a long file": f"[sfx: {'x ' * (MEGABYTE // 2)}] a",
    "a long setting": "{" + "a" * MEGABYTE + "} x",
}


def assert_linear(text: str, size: int) -> None:
    def parse(length: int) -> None:
        with suppress(ScriptError):
            parse_script(text[:length])

    assert grows_linearly(parse, size, most=80, times=20)


@pytest.mark.parametrize("name", LONG)
def test_time_grows_with_the_length(name):
    """In forms where a careless pattern looks ahead again."""
    assert_linear(LONG[name], 5_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_megabyte_is_read_and_written(name):
    assert_linear(LONG[name], MEGABYTE // 20)
    try:
        script = parse_script(LONG[name])
    except ScriptError as error:
        assert len(str(error)) < 500
    else:
        assert parse_script(str(replace(script))) == script
