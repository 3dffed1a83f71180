"""Captions made of words with times: how they are parted, and what the formats hold."""

from __future__ import annotations

import json
import re

import pysubs2
import pytest
from hypothesis import given, strategies as st

from higgs_runtime import ScriptError, SettingError
from higgs_runtime.script import CaptionLimits, captions_text, make_captions, too_fast
from higgs_runtime.script.words import GAP_S, LEAST_S, joined
from higgs_runtime.types import WordTime

TEXT = (
    "The ferry leaves at nine, if the wind allows it. Nobody knows how long the crossing takes, for the captain "
    "never says. Bring something warm."
)


def timed(text, each=0.3, start=0.0, pauses=(), **about):
    words, at = [], start
    for number, word in enumerate(text.split()):
        at += dict(pauses).get(number, 0.0)
        words.append(WordTime(word, round(at, 3), round(at + each, 3), **about))
        at += each
    return words


def test_captions_are_parted_after_sentences_and_clauses():
    shown = make_captions(timed(TEXT))
    assert [one.text for one in shown] == [
        "The ferry leaves at nine,\nif the wind allows it.",
        "Nobody knows how long the crossing takes,\nfor the captain never says.",
        "Bring something warm.",
    ]


def test_each_is_shown_long_enough_to_be_read_where_there_is_room():
    words = timed("Go. now and here", pauses={1: 2.0})
    first, second = make_captions(words)
    assert first.end_s == pytest.approx(LEAST_S) and second.text == "now and here"
    close = make_captions(timed("Go. then", each=0.2, pauses={1: 0.7}))
    assert close[0].end_s == pytest.approx(close[1].start_s - GAP_S)  # the next one comes
    quick = make_captions(timed("incomprehensibilities " * 4, each=0.1))
    assert quick and too_fast(make_captions([*timed("incomprehensibilities", each=0.1), *timed("b", start=0.9)]))


def test_two_speakers_two_lines_and_a_pause_are_never_in_one():
    words = [
        *timed("Hello there.", speaker="Anna"),
        *timed("Hi.", start=0.6, speaker="Ben", line=1),
        *timed("Well now", start=0.9, speaker="Ben", line=2, pauses={1: 0.8}),
    ]
    assert [one.text for one in make_captions(words)] == ["Hello there.", "Hi.", "Well", "now"]
    assert "Anna: Hello there." in captions_text(words, "srt")
    assert "<v Anna>Hello there." in captions_text(words, "vtt")


def test_lines_that_are_spoken_over_each_other_have_each_their_own_captions():
    """And a line that was moved before others, whose words come behind theirs."""
    words = timed("One two three four.", line=0, speaker="A", start=10.0)
    words += timed("Five six seven.", line=1, speaker="B", start=10.1) + timed("First.", line=2, speaker="A")
    made = make_captions(words)
    assert [one.text for one in made] == ["First.", "One two three four.", "Five six seven."]
    said = [line for line in captions_text(words, "srt").splitlines() if line[:1] in ("A", "B")]
    assert said == ["A: First.", "A: One two three four.", "B: Five six seven."]


@pytest.mark.parametrize("style", ["captions", "words", "karaoke"])
@pytest.mark.parametrize("kind", ["srt", "vtt", "ass"])
def test_the_formats_are_read_by_others(style, kind):
    words = timed("a <b> {c} &amp; \\N d --> e", speaker="Anna, B")
    if (style, kind) == ("karaoke", "srt"):
        with pytest.raises(ScriptError, match="light up"):
            captions_text(words, kind, style)
        return
    read = pysubs2.SSAFile.from_string(captions_text(words, kind, style), format_=kind)
    assert len(read) == (len(words) if style == "words" else 1)
    assert read[0].start == 0 and read[-1].end >= 2400
    assert r"\N" not in read[0].plaintext and (kind == "ass" or "-->" not in read[0].plaintext)


def test_words_light_up_at_their_times():
    words = timed("One two three", each=0.5, start=1.0, pauses={2: 0.25})
    body = captions_text(words, "ass", "karaoke").splitlines()[-1]
    assert body.endswith(r"{\k50}One {\k75}two {\k50}three")
    cue = captions_text(words, "vtt", "karaoke").strip().splitlines()[-1]
    assert cue == "One <00:00:01.500>two <00:00:02.250>three"
    long = captions_text(timed(TEXT, each=0.333), "ass", "karaoke")
    for row in long.splitlines():
        if row.startswith("Dialogue"):
            start, end = row.split(",")[1:3]
            seconds = [float(one.split(":")[-1]) + 60 * int(one.split(":")[1]) for one in (start, end)]
            lit = sum(map(int, re.findall(r"\\k(\d+)", row))) / 100
            assert lit == pytest.approx(seconds[1] - seconds[0], abs=0.011)


def test_vtt_times_grow_inside_a_cue():
    words = [WordTime("a", 0.0, 0.5), WordTime("b", 0.5, 0.5), WordTime("c", 0.5, 1.0)]
    assert captions_text(words, "vtt", "karaoke").strip().splitlines()[-1] == "a <00:00:00.500>b c"


def test_json_has_everything():
    words = timed("你 好 。 Hello", each=0.3, confidence=0.5, line=3, speaker="Anna")
    told = json.loads(captions_text(words, "json"))
    assert told["words"][0] == {
        "text": "你", "start_s": 0.0, "end_s": 0.3, "confidence": 0.5, "line": 3, "speaker": "Anna",
    }  # fmt: skip
    assert told["captions"][0]["text"] == "你好。 Hello"


def test_what_is_not_known_is_refused():
    for kind, style in (("sub", "captions"), ("srt", "dance")):
        with pytest.raises(ScriptError, match="Captions have no"):
            captions_text([], kind, style)
    for values in ((7, 2, 7.0, 17.0), (42, 3, 7.0, 17.0), (42, 2, float("nan"), 17.0), (42, 2, 7.0, 0.0)):
        with pytest.raises(SettingError):
            CaptionLimits(*values)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "bc,", "word.", "–", "long" * 15]), st.floats(0, 1.5), st.floats(0.01, 2)),
        max_size=40,
    ),
    st.integers(8, 60),
    st.integers(1, 2),
)
def test_nothing_is_lost_or_longer_than_asked_for(parts, max_chars, max_lines):
    words, at = [], 0.0
    for text, pause, length in parts:
        words.append(WordTime(text, at + pause, at + pause + length))
        at += pause + length
    shown = make_captions(words, CaptionLimits(max_chars, max_lines))
    assert [word for one in shown for word in one.words] == words
    for before, one in zip(shown, shown[1:], strict=False):
        assert before.start_s <= before.end_s <= one.start_s + 1e-9
    for one in shown:
        rows = one.text.split("\n")
        assert len(rows) <= max_lines and joined(one.words) == " ".join(rows)
        assert len(one.words) == 1 or all(len(row) <= max_chars or " " not in row for row in rows)
