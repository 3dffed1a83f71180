"""Lines that are moved and trimmed on the time line, and when the lines of a dub are heard."""

from __future__ import annotations

import json
import random

import pytest
import torch
from helpers_audio import sine

from higgs_runtime import AudioClip, Codes, Sampling, ScriptError, parse_script
from higgs_runtime.audio.files import parse_chapters
from higgs_runtime.rendering import Move, Performance, assemble, read_moves, write_moves
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.rendering.performance import SpokenLine
from higgs_runtime.script import Script, Turn, subtitles_text
from higgs_runtime.takes import Take
from higgs_runtime.verification import Verdict, Word

RATE, FRAME_S = 24_000, 1 / 25
SCENE = "[Anna] One two three.\n[Ben] Four five six.\n[sfx: bed.wav -20dB]\n[Anna] Seven eight."


class QuietEnds:
    """In place of a codec: a tone with silence at both ends, so many frames as the first ids say, and a soft start."""

    def decode(self, codes):
        before, behind = (int(codes.ids[0, n]) / 25 for n in (0, 1))
        tone = sine(220.0, codes.seconds - before - behind, -14.0, rate=RATE).samples
        rise = min(tone.shape[1], round(0.02 * RATE))
        tone[:, :rise] *= torch.linspace(0, 1, rise)
        edges = [torch.zeros(1, round(seconds * RATE)) for seconds in (before, behind)]
        return AudioClip(torch.cat((edges[0], tone, edges[1]), 1), RATE)


def performed(script: Script, frames, heard=()) -> Performance:
    """Lines of so many (before, tone, behind) frames each."""
    found = []
    for line, (before, tone, behind) in zip(lines_of(script, Sampling(), 25.0, max_chars=300), frames, strict=True):
        ids = torch.full((8, before + tone + behind), 1)
        ids[0, :2] = torch.tensor([before, behind])
        verdict = Verdict(True, 0, 0, None, 1.0, "", (), tuple(heard)) if heard else None
        found.append(SpokenLine(line, Take(Codes(ids, 25.0, 1024), "stop", 1, 0.1), tries=1, verdict=verdict))
    return Performance(script, found)


def scene(moves=(), heard=(), folder=None):
    script = parse_script(SCENE if folder else SCENE.replace("[sfx: bed.wav -20dB]\n", ""))
    return assemble(performed(script, [(2, 50, 2)] * 3, heard), QuietEnds(), [folder] if folder else (), moves=moves)


def onset_s(samples: torch.Tensor, start_s: float, rate: int) -> float:
    """When something is heard that begins within half a second of a time: 30 dB below what follows."""
    first = max(0, round((start_s - 0.5) * rate))
    wave = samples.abs().amax(0)[first : round((start_s + 0.5) * rate)]
    return (first + int((wave > wave.max() * 10 ** (-30 / 20)).nonzero()[0, 0])) / rate


@pytest.mark.parametrize("cues", [24, pytest.param(150, marks=pytest.mark.slow)])
def test_each_line_of_a_dub_is_heard_within_a_frame_of_its_time(cues):
    """With silence of any length before the words, longer and shorter than their slots, so that they are
    stretched, cut and left as they are."""
    draw, turns, frames, at = random.Random(3), [], [], 0.0
    for n in range(cues):
        at = round(at + draw.uniform(1.2, 4.0), 3)
        length = draw.uniform(0.4, 2.5)
        turns.append(Turn("Anna", f"Line {n} is said.", slot=(at, at + length)))
        frames.append((draw.randint(1, 20), max(6, round(25 * length * draw.uniform(0.7, 1.15))), draw.randint(1, 20)))
        at += length
    made = assemble(performed(Script(turns), frames), QuietEnds())
    mixed = made.mix().clip
    late = [onset_s(mixed.samples, turn.slot[0], RATE) - turn.slot[0] for turn in turns]
    assert max(map(abs, late)) < FRAME_S, max(map(abs, late))
    assert len({round(time.speed, 2) for time in made.times}) > 3, "many were stretched"


def test_a_moved_line_takes_its_subtitle_words_and_sound_along(tmp_path):
    sine(110.0, 1.0, -20.0, rate=RATE).save(tmp_path / "bed.wav")
    heard = [Word("Four", 0.2, 0.7, 1.0), Word("five", 0.8, 1.3, 1.0), Word("six", 1.4, 1.9, 1.0)]
    plain, moved = scene(heard=heard), scene([Move(2, "Four five six.", 10.0)], heard=heard)
    assert (
        moved.subtitles()[1][:2] == (10.0, pytest.approx(12.0, abs=0.1)) and moved.subtitles()[1][3] == "Four five six."
    )
    assert [one[:2] for one in moved.subtitles()[::2]] == [one[:2] for one in plain.subtitles()[::2]]
    text = subtitles_text(moved.subtitles(), "srt")
    assert text.index("Four five six.") > text.index("Seven eight.") and "00:00:10,000 --> 00:00:12" in text
    by = 10.0 - plain.times[1].start_s
    before, after = ([word for word in one.words("en") if word.line == 1] for one in (plain, moved))
    assert [word.start_s for word in after] == pytest.approx([word.start_s + by for word in before], abs=0.002)
    assert abs(onset_s(moved.stem("Ben").samples, 10.0, RATE) - 10.0) < FRAME_S
    assert moved.timeline()["lines"][1]["start_s"] == 10.0 and moved.planned == plain.times
    bed = scene([Move(3, "Seven eight.", 30.0)], folder=tmp_path)
    assert bed.timeline()["cues"][0]["start_s"] == 30.0, "a sound starts with the line that it stands before"
    assert moved.timeline()["lines"][1]["note"] == "moved by hand"


def test_a_line_that_is_moved_before_others_takes_no_sounds_music_or_chapters_of_theirs(tmp_path):
    sine(110.0, 1.0, -20.0, rate=RATE).save(tmp_path / "bed.wav")
    text = "# Scene: hall\n[Anna] One.\n# Scene: yard\n[sfx: bed.wav]\n[music: bed.wav]\n[Anna] Two.\n"
    text += "[/music]\n[Ben] Three."
    take = performed(parse_script(text), [(2, 50, 2)] * 3)
    moves = [Move(1, "One.", 40.0), Move(3, "Three.", 0.0)]
    made = assemble(take, QuietEnds(), [tmp_path], moves=moves)
    second = made.times[1]
    for cue in made.timeline()["cues"]:
        assert cue["start_s"] == pytest.approx(second.start_s)
    [music] = [cue for cue in made.timeline()["cues"] if cue["kind"] == "music"]
    assert music["seconds"] == pytest.approx(second.end_s - second.start_s, abs=0.01), "no line before it prolongs it"
    assert made.chapters == [(0.0, "yard"), (40.0, "hall")]
    assert [one.start_s for one in parse_chapters(made.chapters_text(), made.mix().clip.seconds)] == [0.0, 40.0]
    made = assemble(take, QuietEnds(), [tmp_path], moves=[Move(1, "One.", 5.0), Move(2, "Two.", 5.0)])
    assert len(parse_chapters(made.chapters_text(), made.mix().clip.seconds)) == 1, "two do not begin at once"


def test_a_line_that_was_moved_is_not_said_to_miss_its_slot():
    script = Script([Turn("Anna", "One.", slot=(0.0, 1.0)), Turn("Anna", "Two.", slot=(1.0, 2.0))])
    take = performed(script, [(2, 100, 2)] * 2)
    plain = assemble(take, QuietEnds())
    made = assemble(take, QuietEnds(), moves=[Move(2, "Two.", 20.0)])
    assert [row.turn for row in plain.fits] == [0, 1] and [row.turn for row in made.fits] == [0]
    assert not any(warning.startswith("Line 2") for warning in made.warnings)
    assert made.times[1].speed == plain.times[1].speed and made.timeline()["lines"][1]["fit"] is None


def test_a_trimmed_line_has_the_words_that_are_left():
    heard = [Word("Four", 0.2, 0.7, 1.0), Word("five", 0.8, 1.3, 1.0), Word("six", 1.4, 1.9, 1.0)]
    whole = scene(heard=heard)
    [first] = [word for word in whole.words("en") if word.text == "five"]
    cut = first.start_s - whole.times[1].start_s
    made = scene([Move(2, "Four five six.", 10.0, trim_start_s=cut, trim_end_s=0.2)], heard=heard)
    words = [word for word in made.words("en") if word.line == 1]
    assert [word.text for word in words] == ["five", "six."] and words[0].start_s == pytest.approx(10.0, abs=0.002)
    assert words[-1].end_s <= made.times[1].end_s
    length = whole.times[1].end_s - whole.times[1].start_s
    assert made.times[1].end_s == pytest.approx(10.0 + length - cut - 0.2)
    assert made.tracks[1].heard_s == pytest.approx(length - cut - 0.2, abs=1e-3)
    assert float(made.stem("Ben").samples[0, round(10.0 * RATE)].abs()) < 1e-3, "it does not click"


def test_a_line_that_says_something_else_now_stays_and_that_is_told():
    moves = [Move(2, "Four.", 10.0), Move(9, "Gone.", 1.0), Move(1, "One two three.", 0.5, 100.0, 5.0)]
    made, plain = scene(moves), scene()
    assert made.times[1] == plain.times[1] and made.times[0].start_s == 0.5
    assert made.times[0].end_s == pytest.approx(0.54)
    told = "\n".join(made.warnings)
    assert "Line 2 was moved when it said ‘Four.’" in told and "Line 9 was moved, and is not there" in told
    assert "Line 1 is 2.0" in told


def test_moves_are_written_and_read():
    moves = [Move(3, "„Ja!“", 1.5, 0.25), Move(7, "x", 0.0)]
    assert read_moves(write_moves(moves)) == moves and read_moves("") == read_moves("  ") == read_moves("[]") == []


@pytest.mark.parametrize(
    "text",
    [
        "{", "[1]", "7", '[{"line": 1}]', '[{"line": 1, "text": "a", "start_s": -1}]',
        '[{"line": 1, "text": "a", "start_s": NaN}]', '[{"line": 0, "text": "a", "start_s": 1}]',
        '[{"line": 1, "text": "a", "start_s": "2"}]', '[{"line": 1, "text": 5, "start_s": 2}]',
        '[{"line": 1, "text": "a", "start_s": 1, "where": 2}]', "[" * 100_000,
        '[{"line": 1, "text": "a", "start_s": 1' + "0" * 400 + "}]",
    ],
)  # fmt: skip
def test_moves_that_are_none_are_refused(text):
    with pytest.raises(ScriptError, match="cannot be read"):
        read_moves(text)


def test_moves_are_plain_json():
    assert json.loads(write_moves([Move(1, "a", 2.0)]))[0]["start_s"] == 2.0
