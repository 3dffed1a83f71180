"""Subtitles in and out, and how lines get into their slots."""

from __future__ import annotations

import builtins
import errno
import math
from pathlib import Path

import pytest
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import (
    MissingExtraError,
    ScriptError,
    SettingError,
    atomic_write,
    parse_script,
    read_subtitles,
    write_subtitles,
)
from higgs_runtime.script import TempoLimits, plan_fit

pytest.importorskip("pysubs2")

SRT = """\
1
00:00:01,000 --> 00:00:02,500
Anna: Who is <i>there</i>?

2
00:00:02,000 --> 00:00:03,000
It is {dark}.
Answer:
42

3
00:00:05,000 --> 00:00:05,000
{\\an8}- Anna: Me.
- Bob: No!

4
00:00:06,000 --> 00:00:07,000
<b></b>

5
01:00:00,250 --> 01:00:01,000
Blank line

inside, 3 --> 4
7
"""
VTT = """\
WEBVTT - a title

STYLE
::cue { color: red }

NOTE nobody
says this

intro
00:01.000 --> 00:02.500 align:start
<v.loud anna>Hi &amp; <00:01.500>bye &lt;3</v>

00:00:03.000 --> 00:00:04.000
Anna: One.

NOTE after
"""
ASS = """\
[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:04.50,Default,dr: no,0,0,0,,{\\b1}Second,{\\b0} with\\Na comma
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:01.00,0:00:02.00,Default,Anna,0,0,0,,First <3 &amp;
Dialogue: 0,0:00:01.00,0:00:02.00,Default,Anna,0,0,0,,{\\p1}m 0 0 l 1 1
Dialogue: 0,0:00:05.00,0:00:06.00,Default,7,0,0,0,,Third
"""


def file_of(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def said(script) -> list[tuple]:
    return [(turn.speaker, turn.text, turn.slot) for turn in script.turns]


def test_srt(tmp_path):
    script = read_subtitles(file_of(tmp_path, "a.srt", SRT))
    assert said(script) == [
        ("Anna", "Who is there?", (1.0, 2.5)),
        ("", "It is {dark}.\nAnswer:\n42", (2.0, 3.0)),
        ("Anna", "Me.", (5.0, 5.5)),
        ("Bob", "No!", (5.5, 6.0)),
        ("", "Blank line\n7", (3600.25, 3601.0)),
    ]
    assert [str(warning) for warning in script.warnings] == [
        "Line 24: 'inside, 3 --> 4' has an arrow and no times; it is left out.",
        "The subtitle at 0:00:02.000 starts 0.50 s before the one above ends; both keep their time.",
        "The subtitle at 0:00:05.000 has no duration; it is given 1 s.",
        "The subtitle at 0:00:05.000 has 2 speakers, who share its time.",
        "The subtitle at 0:00:06.000 has no text and is left out.",
    ]
    assert parse_script(str(script)) == script, "the slots are in the text, too"


def test_vtt(tmp_path):
    script = read_subtitles(file_of(tmp_path, "a.vtt", VTT))
    assert said(script) == [("Anna", "Hi & bye <3", (1.0, 2.5)), ("Anna", "One.", (3.0, 4.0))]
    assert [str(warning) for warning in script.warnings] == ["The speaker 'anna' is called 'Anna' here."]


@pytest.mark.parametrize("name", ["a.ass", "A.SSA"])
def test_ass(tmp_path, name):
    text = ASS if name == "a.ass" else ASS.replace("Format: Layer", "Format: Marked").replace(": 0,", ": Marked=0,")
    script = read_subtitles(file_of(tmp_path, name, text))
    assert said(script) == [
        ("Anna", "First <3 &amp;", (1.0, 2.0)),
        ("Dr no", "Second, with\na comma", (3.0, 4.5)),
        ("Speaker 7", "Third", (5.0, 6.0)),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_ends_of_lines(tmp_path, encoding, end):
    text = SRT.replace("dark", "düster 暗").replace("\n", end)
    plain = read_subtitles(file_of(tmp_path, "a.srt", SRT.replace("dark", "düster 暗")))
    assert read_subtitles(file_of(tmp_path, "b.srt", text.encode(encoding))) == plain


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.srt", "Grüße".encode("latin-1"), "UTF-8, got the byte 0xfc at 2"),
        ("a.srt", b"", "no subtitle"),
        ("a.srt", b"\xff\xfea", "UTF-8"),
        ("a.srt", b"RIFF\0\0\0\0WAVE", "no subtitle"),
        ("a.vtt", b"WEBVTT\n", "no subtitle"),
        ("a.ass", b"[Events]\n", "no subtitle"),
        ("a.ass", ASS[: ASS.index("Second") - 30].encode(), "no subtitles in"),
        ("a.ass", ASS.replace("0:00:03.00", "soon").encode(), "no subtitles in"),
        ("a.txt", b"hi", r"\.srt, \.vtt"),
        ("a.srt", SRT[:20].encode(), "no subtitle"),
    ],
)
def test_a_file_that_is_not_subtitles_is_explained(tmp_path, name, content, message):
    with pytest.raises(ScriptError, match=message):
        read_subtitles(file_of(tmp_path, name, content))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ScriptError, match="could not be read"):
        read_subtitles(tmp_path / "none.srt")
    (tmp_path / "folder.srt").mkdir()
    with pytest.raises(ScriptError, match="could not be read"):
        read_subtitles(tmp_path / "folder.srt")


LINES = [
    (3.0, 4.25, "", "Count this:\nis there?\n\n42"),
    (0.0, 1.5, "Anna", "Hello."),
    (1.2, 2.0, "Dr. No", "Good <3 {x} & 5\n42"),
]


@pytest.mark.parametrize("suffix", [".srt", ".vtt", ".ass", ".ssa"])
def test_written_subtitles_are_read_as_the_same(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_subtitles(LINES, path)
    braces = "｛x｝" if suffix in (".ass", ".ssa") else "{x}"
    less = "＜3" if suffix == ".srt" else "<3"
    assert said(read_subtitles(path)) == [
        ("Anna", "Hello.", (0.0, 1.5)),
        ("Dr. No", f"Good {less} {braces} & 5\n42", (1.2, 2.0)),
        ("", "Count this:\nis there?\n42", (3.0, 4.25)),
    ]
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@settings(max_examples=examples(60), derandomize=True, deadline=None, database=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<b>",
                "</i",
                "{\\an8}",
                "\\N",
                "\\n",
                "-->",
                "00:00:01,000 --> 00:00:02,000",
                "\n",
                "\n\n",
                "7",
                "&lt;",
                "<v Bob>",
                "NOTE",
                "x",
                " ",
                "שלום",
                "\ud800",
                "\x00",
                "{",
                "}",
                "[Events]",
                ";Dialogue: 0,",
                "\r",
                "\x85",
                "\u2028",
            ]
        ),
        max_size=8,
    ).map("".join)
)
def test_no_text_becomes_another_subtitle(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    for suffix in (".srt", ".vtt", ".ass"):
        write_subtitles([(1.0, 2.0, "Anna", f"a {text} z"), (3.0, 4.0, "", "last")], folder / f"x{suffix}")
        turns = read_subtitles(folder / f"x{suffix}").turns
        assert [(turn.speaker, turn.slot) for turn in turns] == [("Anna", (1.0, 2.0)), ("", (3.0, 4.0))], suffix
        assert turns[0].text[0] == "a" and turns[0].text[-1] == "z" and turns[1].text == "last"


@pytest.mark.parametrize("line", [(2, 1, "", "x"), (-1, 1, "", "x"), (0, math.nan, "", "x"), (0, 4e5, "", "x")])
def test_times_that_are_none(tmp_path, line):
    with pytest.raises(ScriptError, match="no time"):
        write_subtitles([line], tmp_path / "a.srt")
    with pytest.raises(ScriptError, match="10 h"):
        write_subtitles([(0, 36_001, "", "x")], tmp_path / "a.ass")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = file_of(tmp_path, "a.srt", "before")

    def full(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_write, "open", full, raising=False)
    with pytest.raises(ScriptError, match="No space left"):
        write_subtitles(LINES, path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_without_pysubs2(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "pysubs2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match="pip install pysubs2"):
        read_subtitles(file_of(tmp_path, "a.srt", SRT))
    with pytest.raises(MissingExtraError):
        write_subtitles(LINES, tmp_path / "b.srt")


# --- fitting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoken, room, action, speed, over",
    [
        (2.0, 3, "as is", 1, 0),
        (1.97, 3, "as is", 1, 0),
        (2.03, 2, "as is", 1, 0),
        (1.9, 3, "slower", 0.95, 0),
        (1.8, 3, "slower", 0.9, 0),
        (1.6, 3, "too short", 0.9, 0),
        (0.1, 3, "too short", 0.9, 0),
        (2.2, 3, "faster", 1.1, 0),
        (2.3, 2, "faster", 1.15, 0),
        (2.9, 3, "pause", 1.15, 0),
        (2.9, None, "pause", 1.15, 0),
        (99, None, "pause", 1.15, 0),
        (3.45, 3, "pause", 1.15, 0),
        (3.68, 3, "too long", 1.15, 0.2),
        (2.53, 1, "too long", 1.15, 0.2),
    ],
)
def test_a_line_gets_into_its_slot(spoken, room, action, speed, over):
    fit = plan_fit(spoken, 2.0, room)
    assert (fit.action, fit.speed, fit.over_s) == (action, pytest.approx(speed), pytest.approx(over))
    assert fit.words


@settings(max_examples=examples(200), derandomize=True, deadline=None, database=None)
@given(
    st.floats(0.01, 60),
    st.floats(0.01, 60),
    st.none() | st.floats(0, 60),
    st.builds(TempoLimits, st.floats(0.5, 1), st.floats(1, 2)),
)
def test_a_fitted_line_ends_before_the_next_one(spoken, slot, room, limits):
    fit = plan_fit(spoken, slot, room, limits)
    most = math.inf if room is None else max(slot, room)
    assert limits.slowest <= fit.speed <= limits.fastest
    close = min(0.05, 0.02 * slot)
    assert spoken / fit.speed <= max(most, slot + close) + fit.over_s + 1e-5 and fit.over_s >= 0
    assert (fit.over_s > 0) == (fit.action == "too long")
    if fit.action in ("slower", "faster"):
        assert spoken / fit.speed == pytest.approx(slot, abs=close + 1e-5)


@pytest.mark.parametrize(("spoken", "slot"), [(0, 1), (math.nan, 1), (-1, 1), (1, 0), (1, -1), (1, math.inf)])
def test_clips_that_cannot_be_fitted(spoken, slot):
    with pytest.raises(SettingError):
        plan_fit(spoken, slot)


@pytest.mark.parametrize("limits", [{"slowest": 1.1}, {"fastest": 0.9}, {"fastest": math.nan}, {"slowest": 0}])
def test_limits_of_the_tempo_lie_around_1(limits):
    with pytest.raises(SettingError):
        TempoLimits(**limits)
