"""Times of subtitles: shifted, in other frame rates, as time codes; and what an editor would ask about."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from higgs_runtime import ScriptError, SettingError, read_script, read_subtitles
from higgs_runtime.choices import FRAME_RATES
from higgs_runtime.cli import main
from higgs_runtime.script import Retiming

pytest.importorskip("pysubs2")


def srt(tmp_path, *cues, name="film.srt"):
    """A file of (times, text)."""
    file = tmp_path / name
    file.write_text("\n\n".join(f"{n}\n{times}\n{text}" for n, (times, text) in enumerate(cues, 1)), encoding="utf-8")
    return file


def to_a_microsecond(time: Fraction) -> float:
    """As scripts have it."""
    return float(round(time, 6))


def slots(file, **timing):
    return [turn.slot for turn in read_subtitles(file, timing=Retiming(**timing)).turns]


@pytest.mark.parametrize(
    "timing, start",
    [
        ({}, Fraction(3_600_500, 1000)),
        ({"offset": -12.345}, Fraction(3_588_155, 1000)),
        ({"from_fps": "23.976", "to_fps": "25"}, Fraction(3_600_500, 1000) * Fraction(24_000, 25_025)),
        ({"from_fps": "25", "to_fps": "23.976"}, Fraction(3_600_500, 1000) * Fraction(25_025, 24_000)),
        ({"from_fps": "29.97", "to_fps": "24"}, Fraction(3_600_500, 1000) * Fraction(30_000, 24_024)),
        ({"from_fps": "24", "to_fps": "23.976", "offset": 0.1}, Fraction(3_600_500, 1000) * Fraction(1001, 1000)
         + Fraction(1, 10)),
        ({"from_fps": "25"}, Fraction(3_600_500, 1000)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["srt", "vtt", "ass"])
def test_times_are_those_of_exact_arithmetic(tmp_path, timing, start, kind):
    file = tmp_path / f"film.{kind}"
    times = "01:00:00,500 --> 01:00:02,000"
    text = {
        "srt": f"1\n{times}\nHello.\n",
        "vtt": f"WEBVTT\n\n{times.replace(',', '.')}\nHello.\n",
        "ass": "[Events]\nFormat: Start, End, Text\nDialogue: 1:00:00.50,1:00:02.00,Hello.\n",
    }
    file.write_text(text[kind], encoding="utf-8")
    [(first, _)] = slots(file, **timing)
    assert first == to_a_microsecond(start)


@given(st.integers(0, 10**9), st.sampled_from(list(FRAME_RATES)), st.sampled_from(list(FRAME_RATES)))
def test_there_and_back_is_the_same_time(milliseconds, one, other):
    time = Fraction(milliseconds, 1000)
    assert Retiming(0.0, other, one).moved(Retiming(0.0, one, other).moved(time)) == time


@pytest.mark.parametrize(
    "rate, code, seconds",
    [
        ("25", "00:00:01:12", Fraction(37, 25)),
        ("24", "01:00:00:23", Fraction(3600 * 24 + 23, 24)),
        ("23.976", "01:00:00:00", Fraction(3600 * 24 * 1001, 24_000)),  # 3603.6 s: the clock is late
        ("29.97", "01:00:00:00", Fraction(108_000 * 1001, 30_000)),
        ("29.97", "01:00:00;00", Fraction(107_892 * 1001, 30_000)),  # 3599.9964 s: drop-frame stays with the clock
        ("29.97", "00:01:00;02", Fraction(1800 * 1001, 30_000)),  # the frame behind 00:00:59;29
        ("29.97", "00:10:00;00", Fraction(17_982 * 1001, 30_000)),
        ("59.94", "00:01:00;04", Fraction(3600 * 1001, 60_000)),
    ],
)
def test_time_codes_count_frames(tmp_path, rate, code, seconds):
    file = srt(tmp_path, (f"{code} --> 02:00:00:00", "Hello."))
    [(start, _)] = slots(file, from_fps=rate)
    assert start == to_a_microsecond(seconds)
    [(moved, _)] = slots(file, from_fps=rate, to_fps="25", offset=1.0)
    assert moved == to_a_microsecond(seconds * FRAME_RATES[rate] / 25 + 1)


def test_each_frame_of_drop_frame_is_one_later(tmp_path):
    """Ten minutes at 29.97: no code is missing, none stands for two frames."""
    rate = Retiming(0.0, "29.97")
    codes = [
        (minute, second, frame)
        for minute in range(10)
        for second in range(60)
        for frame in range(30)
        if not (frame < 2 and second == 0 and minute % 10)
    ]
    found = [rate.of_frames(0, *code, drop=True) * FRAME_RATES["29.97"] for code in codes]
    assert found == list(range(17_982))


@pytest.mark.parametrize(
    "times, rate, told",
    [
        ("00:00:01:25 --> 00:00:02:00", "25", "frame 25"),
        ("00:00:01;12 --> 00:00:02;00", "25", "drop-frame"),
        ("00:00:61:00 --> 00:01:02:00", "25", "frames 0 to 24"),
    ],
)
def test_a_code_that_there_is_not_is_an_error_with_its_line(tmp_path, times, rate, told):
    with pytest.raises(ScriptError, match=told) as caught:
        slots(srt(tmp_path, (times, "Hello.")), from_fps=rate)
    assert caught.value.line == 2


def test_times_that_look_like_frames_are_told(tmp_path):
    script = read_subtitles(
        srt(tmp_path, ("00:00:01:12 --> 00:00:02:20", "One."), ("00:00:03:01 --> 00:00:04:02", "Two."))
    )
    assert script.turns[0].slot[0] == 1.12
    assert any("say which frame rate" in warning.message for warning in script.warnings)


def test_what_an_editor_would_ask_about_is_listed(tmp_path):
    file = srt(
        tmp_path,
        ("00:00:10,000 --> 00:00:12,000", "Later."),
        ("00:00:04,000 --> 00:00:04,000", "No time."),
        ("00:00:06,000 --> 00:00:05,000", "Backwards."),
        ("00:00:11,500 --> 00:00:13,000", "- Anna: Over it.\n- Ben: Two of us."),
        ("00:00:14,000 --> 00:00:15,000", "♪ La la la ♪"),
        ("00:00:16,000 --> 00:00:17,000", "♪♪"),
        ("00:00:18,000 --> 00:00:19,000", "[door creaks] Hello."),
        ("-00:00:01,000 --> 00:00:01,000", "Too early."),
    )
    script = read_subtitles(file)
    told = "\n".join(warning.message for warning in script.warnings)
    for words in (
        "2 subtitles in the file come behind a later one, the first at 0:00:04.000",
        "at 0:00:04.000 has no duration; it is given 1 s",
        "at 0:00:06.000 ends before it starts; it is given 1 s",
        "at 0:00:11.500 starts 0.50 s before the one above ends",
        "at 0:00:11.500 has 2 speakers, who share its time",
        "at 0:00:14.000 is sung; its words are spoken",
        "at 0:00:16.000 has no words",
        "at 0:00:18.000: '[door creaks]' is left out, a description",
        "at -0:00:01.000 starts before the film does; it starts with the film",
    ):
        assert words in told, told
    starts = [turn.slot[0] for turn in script.turns]
    assert starts == sorted(starts) and starts[0] == 0 and all(a < b for a, b in (turn.slot for turn in script.turns))


def test_what_lies_before_the_film_is_left_out(tmp_path):
    file = srt(tmp_path, ("00:00:01,000 --> 00:00:02,000", "One."), ("00:00:05,000 --> 00:00:07,000", "Two."))
    script = read_subtitles(file, timing=Retiming(-6.0))
    assert [(turn.text, turn.slot) for turn in script.turns] == [("Two.", (0.0, 1.0))]
    assert "at -0:00:05.000 ends before the film begins and is left out" in script.warnings[0].message
    with pytest.raises(ScriptError, match="end before the film begins.*-60 s, and the last .* -0:00:53.000.*offset"):
        read_subtitles(file, timing=Retiming(-60.0))


@pytest.mark.parametrize(
    "timing, told",
    [
        ({"to_fps": "25"}, "from_fps"),
        ({"from_fps": "26"}, "no frame rate"),
        ({"offset": float("nan")}, "offset"),
        ({"offset": 1e6}, "offset"),
    ],
)
def test_what_cannot_be_is_refused(timing, told):
    with pytest.raises(SettingError, match=told):
        Retiming(**timing)


def test_a_script_has_no_frame_rate(tmp_path):
    (tmp_path / "scene.txt").write_text("Hello.", encoding="utf-8")
    with pytest.raises(SettingError, match="Only subtitles"):
        read_script(tmp_path / "scene.txt", Retiming(1.0))
    assert read_script(tmp_path / "scene.txt", Retiming()).turns


def test_the_shell_lists_it_and_retimes(tmp_path, capsys):
    file = srt(tmp_path, ("00:00:24,000 --> 00:00:48,000", "♪ Hello ♪"))
    assert main(["script", "check", str(file), "--turns", "--from-fps", "24", "--to-fps", "25", "--offset", "1"]) == 0
    said = capsys.readouterr().out
    assert "is sung" in said and "24.04s" in said and "47.08s" in said
    assert main(["script", "check", str(file), "--to-fps", "25"]) == 1
    (tmp_path / "scene.txt").write_text("Hello.", encoding="utf-8")
    for command in (["script", "check"], ["render-script"], ["render-script", "--book"]):
        assert main([*command, str(tmp_path / "scene.txt"), "--offset", "1"]) == 1
        assert "Only subtitles" in capsys.readouterr().err
