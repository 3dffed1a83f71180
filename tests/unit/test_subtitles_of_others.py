"""Subtitles as other tools write them: times, labels, captions that roll, descriptions for the deaf."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from helpers_time import grows_linearly

from higgs_runtime import ScriptError, read_subtitles, write_subtitles
from higgs_runtime.script.captions import read_caption
from higgs_runtime.script.timed_text import read_cues

pytest.importorskip("pysubs2")


def read(tmp_path: Path, text: str, name: str = "a.srt", **settings):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_subtitles(tmp_path / name, **settings)


def srt(*cues: str) -> str:
    return "\n".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{cue}\n" for n, cue in enumerate(cues, start=1))


def said(script) -> list[tuple]:
    return [(turn.speaker, turn.text) for turn in script.turns]


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, slot",
    [
        ("00:04:40 --> 00:04:41", (280, 281)),
        ("00:00:01,000 -> 00:00:02,000", (1, 2)),
        ("00:00:02,000 --> 00:00:03,000 X1:100 X2:200 Y1:10 Y2:20", (2, 3)),
        ("00:00:03:000 --> 00:00:04:000", (3, 4)),
        ("00:00:04,000-->00:00:05,000", (4, 5)),
        ("-00:00:01,000 --> 00:00:01,000", (0, 1)),
        ("0:0:7,1 --> 0:0:9,20", (7.1, 9.2)),
        ("00: 00: 01,500 -> 00: 00: 02,000", (1.5, 2)),
        ("00：00：01，500 --> 00：00：02，000", (1.5, 2)),
        ("00:01.5 --> 00:02.25", (1.5, 2.25)),
        ("01:05 --> 01:06", (65, 66)),
        ("12.34 --> 15.6", (12.34, 15.6)),
        ("00:00:01,000 --> 00:00:02,000 align:start position:0%", (1, 2)),
        ("00:00:01,000 –> 00:00:02,000", (1, 2)),
        ("00:00:01,000 -- > 00:00:02,000", (1, 2)),
        ("100:00:00,000 --> 100:00:01,000", (360_000, 360_001)),
        ("00:00:01.123456 --> 00:00:02.5", (1.123456, 2.5)),
    ],
)
def test_lines_of_times(tmp_path, line, slot):
    [turn] = read(tmp_path, f"1\n{line}\nGood morning.\n").turns
    assert turn.text == "Good morning." and turn.slot == pytest.approx(slot)


def test_text_behind_the_times_is_text(tmp_path):
    """As whisper.cpp writes on a screen."""
    script = read(tmp_path, "[00:00:01.000 --> 00:00:02.000]   Good morning.\n[00:00:02.000 --> 00:00:03.000]  Bye.\n")
    assert [(turn.text, turn.slot) for turn in script.turns] == [("Good morning.", (1, 2)), ("Bye.", (2, 3))]


def test_all_lines_of_times_of_a_file(tmp_path):
    text = (
        "1\n00:00:01,000 -> 00:00:02,000\nOne.\n\n2\n00:00:03:000 --> 00:00:04:000\nTwo.\n3\n0:0:7,1 --> 0:0:9,20\n3.\n"
    )
    assert [turn.text for turn in read(tmp_path, text).turns] == ["One.", "Two.", "3."]


@pytest.mark.parametrize(
    "line", ["00:00:xx,000 --> 00:00:02,000", "00:00:01,000 --> soon", "1 --> 2", "00:01 -> later"]
)
def test_times_that_cannot_be_read_are_an_error_with_their_line(tmp_path, line):
    with pytest.raises(ScriptError, match="Line 6 begins no subtitle") as caught:
        read(tmp_path, f"1\n00:00:01,000 --> 00:00:02,000\nOne.\n\n2\n{line}\nTwo.\n")
    assert caught.value.line == 6


def test_a_line_with_an_arrow_is_never_spoken(tmp_path):
    script = read(tmp_path, srt("One --> two\nwords", "Left -> right"))
    assert said(script) == [("", "words"), ("", "Left -> right")], "only the long arrow parts times"
    assert "Line 3: 'One --> two' has an arrow" in str(script.warnings[0])


def test_numbers_of_subtitles_are_not_spoken_and_numbers_that_are_said_are(tmp_path):
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\nHow many?\n42\n\n2\n\n00:00:03,000 --> 00:00:04,000\n43\n"
        "3\n00:00:05,000 --> 00:00:06,000\nBye.\n"
    )
    assert [turn.text for turn in read(tmp_path, text).turns] == ["How many?\n42", "43", "Bye."]


# --- captions that roll ----------------------------------------------------------------------------------------------

ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.149 align:start position:0%
\N{SPACE}
good<00:00:00.320><c> morning</c><00:00:00.480><c> my</c><00:00:00.800><c> friend</c>

00:00:02.149 --> 00:00:02.159 align:start position:0%
good morning my friend
\N{SPACE}

00:00:02.159 --> 00:00:04.230 align:start position:0%
good morning my friend
the<00:00:02.399><c> story</c><00:00:02.600><c> is</c><00:00:02.720><c> ready</c>

00:00:04.230 --> 00:00:04.240 align:start position:0%
the story is ready
\N{SPACE}

00:00:04.240 --> 00:00:06.000 align:start position:0%
the story is ready
now<00:00:04.400><c> we</c><00:00:04.600><c> listen</c>
"""
LINES = ["good morning my friend", "the story is ready", "now we listen"]


def test_captions_of_youtube_are_read_once(tmp_path):
    script = read(tmp_path, ROLLING, "a.en.vtt")
    assert [turn.text for turn in script.turns] == LINES
    assert [turn.slot[0] for turn in script.turns] == [0.160, 2.159, 4.240] and "roll" in str(script.warnings[0])


def test_the_same_as_srt(tmp_path):
    """What converters make of them: no marks of words, and a blank line where one blank stood."""
    shown = [[LINES[0]], [LINES[0]], LINES[:2], [LINES[1]], LINES[1:]]
    times = ["00,160", "02,149", "02,159", "04,230", "04,240", "06,000"]
    cues = [
        f"{n + 1}\n00:00:{times[n]} --> 00:00:{times[n + 1]}\n" + "\n".join(lines) + "\n"
        for n, lines in enumerate(shown)
    ]
    assert [turn.text for turn in read(tmp_path, "\n".join(cues)).turns] == LINES


def test_three_lines_that_roll_and_lines_that_grow():
    rolled, _ = read_cues("\n\n".join(f"{n}\n0:0:{n} --> 0:0:{n + 1}\n{text}" for n, text in enumerate(
        ["a b", "a b\nc d", "a b\nc d\ne f", "c d\ne f\ng h"], start=1)), "srt")  # fmt: skip
    assert [(cue.text, cue.start_s) for cue in rolled] == [("a b", 1), ("c d", 2), ("e f", 3), ("g h", 4)]
    grown, _ = read_cues("\n\n".join(f"{n}\n0:0:{n} --> 0:0:{n + 1}\n{text}" for n, text in enumerate(
        ["good", "good morning", "good morning everyone", "bye"], start=1)), "srt")  # fmt: skip
    assert [(cue.text, cue.start_s, cue.end_s) for cue in grown] == [("good morning everyone", 1, 4), ("bye", 4, 5)]


def test_a_sentence_whose_words_are_marked_one_by_one():
    """As whisperX does with --highlight_words."""
    text = "\n\n".join(
        f"{n}\n0:0:{n} --> 0:0:{n + 1}\n{line}"
        for n, line in enumerate(["<u>good</u> morning now", "good <u>morning</u> now", "good morning <u>now</u>"], 1)
    )
    [cue], _ = read_cues(text, "srt")
    assert (cue.start_s, cue.end_s) == (1, 4)


def test_people_who_repeat_themselves_are_heard(tmp_path):
    script = read(tmp_path, srt("No.", "No.", "No.\nYes.", "What?", "Yes.", "Yes."))
    assert len(script.turns) == 6
    touching = "\n\n".join(f"{n}\n0:0:{n} --> 0:0:{n + 1}\n{line}" for n, line in enumerate(["No.", "No.", "No."], 1))
    assert len(read(tmp_path, touching).turns) == 3


def test_in_webvtt_only_an_empty_line_ends_a_cue(tmp_path):
    text = (
        "WEBVTT\n\nNOTE nobody says this\n\n00:01.000 --> 00:02.000\n \nWords\n\n"
        "NOTE nor\nthis\n\nid\n00:03.000 --> 00:04.000\nMore\n"
    )
    assert [turn.text for turn in read(tmp_path, text, "a.vtt").turns] == ["Words", "More"]


# --- who speaks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "caption, expected",
    [
        ("[SPEAKER_00]: Hello my friend.", [("SPEAKER_00", "Hello my friend.")]),
        ("SPEAKER_01: Hello.", [("SPEAKER_01", "Hello.")]),
        ("[SPEAKER_01] Hello.", [("SPEAKER_01", "Hello.")]),
        ("(speaker 1) The story is ready.", [("Speaker 1", "The story is ready.")]),
        ("(speaker ?) Hello.", [("Speaker ?", "Hello.")]),
        ("[Speaker 2]: Hello.", [("Speaker 2", "Hello.")]),
        ("Speaker 2: Hello.", [("Speaker 2", "Hello.")]),
        ("[Sprecher 1]: Hallo.", [("Sprecher 1", "Hallo.")]),
        ("[SPEAKER_TURN] Hello.", [("", "Hello.")]),
        ("[Anna]: Hello.", [("Anna", "Hello.")]),
        ("[Anna] Hello.", [("Anna", "Hello.")]),
        ("OLD MAN #2: Hello there.", [("OLD MAN #2", "Hello there.")]),
        (">> The story is ready.", [("", "The story is ready.")]),
        (">>> Anna: Ready.", [("Anna", "Ready.")]),
        ("&gt;&gt; Ready.", [("", "Ready.")]),
        ("- Anna: Me.\n>> Ben: No!", [("Anna", "Me."), ("Ben", "No!")]),
        ("‐ Who?\n‐ Me.", [("", "Who?\nMe.")]),
        ("10:30 is good.", [("", "10:30 is good.")]),
        ("- [Anna] Hi.\n- [Ben] No!", [("Anna", "Hi."), ("Ben", "No!")]),
        ("MAN: (SHOUTING) Hey!", [("MAN", "Hey!")]),
        ("Dr. Smith (on phone): Hello.", [("Dr. Smith", "Hello.")]),
    ],
)
def test_labels_are_speakers_and_not_read(tmp_path, caption, expected):
    assert said(read(tmp_path, srt(caption))) == expected


def test_a_name_is_one_in_all_its_forms(tmp_path):
    cues = (
        "Anna: One.",
        "ANNA (O.S.): Two.",
        "(ANNA) Three.",
        "[ANNA] Four.",
        "[Anna, whispering] Five.",
        "-[Anna] Six.",
    )
    assert {turn.speaker for turn in read(tmp_path, srt(*cues, "(BEN) Seven.")).turns[:-1]} == {"Anna"}
    assert said(read(tmp_path, srt("(BEN) Seven."))) == [("", "Seven.")]


def test_a_name_in_a_bracket_alone_is_doubted(tmp_path):
    assert "'[Anna]' is read as a speaker" in str(read(tmp_path, srt("[Anna] Hello.")).warnings[0])
    assert read(tmp_path, srt("[SPEAKER_00]: Hello.")).warnings == ()


def test_the_actor_of_ass_is_the_speaker():
    assert read_caption("Ben: he said so.", "Anna").said == [("Anna", "Ben: he said so.")]
    assert read_caption("ANNA: Hello.", "Anna").said == [("Anna", "Hello.")]


# --- for the deaf -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "caption, left",
    [
        ("♪ La la la ♪", "La la la"),
        ("# La la la #", "La la la"),
        ("(SIGHS) Hello.", "Hello."),
        ("(sighs) Hello.", "Hello."),
        ("[sighing] Hello.", "Hello."),
        ("Hello. [door creaks]", "Hello."),
        ("[music playing]\nHello.", "Hello."),
        ("(the wind)\nHello.", "Hello."),
        ("*laughs* Hello.", "Hello."),
        ("(in French) Bonjour.", "Bonjour."),
        ("Hello. (laughs)", "Hello."),
        ("(hot) today", "(hot) today"),
        ("（笑い声）こんにちは", "こんにちは"),
        ("【音楽】こんにちは", "こんにちは"),
        ("東京(とうきょう)です", "東京です"),
        ("It is 20 (hot) today.", "It is 20 (hot) today."),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("<font color='#ffff00'>Hi</font> {\\an8}there &amp; you", "Hi there & you"),
        ("{y:i}Hi\\hthere&nbsp;&#39;you&#39;", "Hi there 'you'"),
        ("{braces} and <3", "{braces} and <3"),
    ],
)
def test_what_is_no_speech_is_left_out(tmp_path, caption, left):
    assert [turn.text for turn in read(tmp_path, srt(caption)).turns] == [left]


@pytest.mark.parametrize("caption", ["♪", "[door creaks]", "(SIGHS)", "...", "—", "♪♪ ♪", "[♪♪♪]", ">>", "* * *", "🎵"])
def test_a_caption_without_words_is_left_out_and_listed(tmp_path, caption):
    script = read(tmp_path, srt(caption, "Hello."))
    assert [turn.text for turn in script.turns] == ["Hello."]
    [warning] = script.warnings
    assert "0:00:01.000 has no words" in str(warning) and caption.split()[0].strip("[]") in str(warning)


def test_descriptions_may_stay(tmp_path):
    script = read(tmp_path, srt("[door creaks]", "(SIGHS) Hello.", "♪"), descriptions=True)
    assert [turn.text for turn in script.turns] == ["[door creaks]", "(SIGHS) Hello."]
    left = read(tmp_path, srt("(SIGHS) Hello."))
    assert "'(SIGHS)' is left out, a description" in str(left.warnings[0])


def test_ruby_is_spoken_once(tmp_path):
    text = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<ruby>漢字<rt>かんじ</rt></ruby>です\n\n"
        "00:03.000 --> 00:04.000\n<ruby>今<rp>(</rp><rt>きょ</rt><rp>)</rp>日<rt.small>う</ruby>も\n"
    )
    assert [turn.text for turn in read(tmp_path, text, "a.vtt").turns] == ["漢字です", "今日も"]


def test_what_we_write_is_read_as_the_same(tmp_path):
    lines = [
        (1.0, 2.0, "", "Salt &amp; &lt;b&gt; -> 5"),
        (3.0, 4.0, "OLD MAN #2", "Hello."),
        (5.0, 6.0, "", "a\n0:01 -> 0:02"),
    ]
    write_subtitles(lines, tmp_path / "b.srt")
    script = read_subtitles(tmp_path / "b.srt")
    assert [(turn.speaker, turn.slot) for turn in script.turns] == [("", (1, 2)), ("OLD MAN #2", (3, 4)), ("", (5, 6))]
    assert "amp;" in script.turns[0].text and "lt;" in script.turns[0].text


@pytest.mark.parametrize(
    "piece", ["[", "(", "<rt>", "<ruby>", "1:", "-", "00:", ">>", "♪", "*a", "#", "&", "0:0:1 --> 0:0:2\n", "(a\n"]
)
def test_hostile_subtitles_take_linear_time(tmp_path, piece):
    def read_so_many(count: int) -> None:
        with suppress(ScriptError):
            read(tmp_path, srt("Hello.") + "\n2\n00:00:05,000 --> 00:00:06,000\n" + piece * count + "x\n")

    assert grows_linearly(read_so_many, 4_000)


# --- ASS --------------------------------------------------------------------------------------------------------------

EVENTS = (
    "[Script Info]\nComment: none\n[V4+ Styles]\nFormat: Fontsize, Name\nStyle: large,Default\n\n[Events]\nFormat: "
)


@pytest.mark.parametrize(
    "order, line",
    [
        ("Start, End, Layer, Style, Name, MarginL, MarginR, MarginV, Effect, Text", "{},0,Default,Anna,0,0,0,,Hi, all"),
        ("Layer, Start, End, Style, Actor, Text", "0,{},Default,Anna,Hi, all"),
        ("Marked, Start, End, Style, Name, AlphaLevel, Effect, Text", "Marked=0,{},Default,Anna,0,,Hi, all"),
        ("name,start,end,text", "Anna,{},Hi, all"),
    ],
)
@pytest.mark.parametrize("suffix", ["ass", "ssa"])
def test_the_format_line_tells_the_order_of_fields(tmp_path, order, line, suffix):
    """pysubs2 takes one order for granted: see findings/ass_field_order.sh."""
    text = f"{EVENTS}{order}\nDialogue: {line.format('0:00:01.00,0:00:02.00')}\n"
    script = read(tmp_path, text, f"a.{suffix}")
    assert said(script) == [("Anna", "Hi, all")] and script.turns[0].slot == (1.0, 2.0)
