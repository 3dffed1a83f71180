"""Spoken lines on a time line: gaps, slots, cues, stems, subtitles, chapters."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from helpers_audio import sine as tone

from higgs_runtime import (
    AudioClip,
    AudioError,
    Codes,
    Sampling,
    ScriptError,
    parse_script,
    read_subtitles,
    write_subtitles,
)
from higgs_runtime.rendering import Performance, assemble
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.rendering.performance import SpokenLine
from higgs_runtime.rendering.timing import ANSWER_S, SCENE_S, gap_after, time_lines
from higgs_runtime.takes import Take
from higgs_runtime.text.rests import SENTENCE_S

RATE = 24_000


def sine(hertz, seconds, rate):
    return tone(hertz, seconds, -14.0, rate=rate)


class ToneCodec:
    """In place of a codec: so many frames are so much tone, the first id is its pitch."""

    def decode(self, codes):
        return sine(200.0 + float(codes.ids[0, 0]), codes.seconds, RATE)


def performed(text_or_script, seconds=1.0, missing=()):
    """A script whose lines were spoken as tones of so many seconds each."""
    script = parse_script(text_or_script) if isinstance(text_or_script, str) else text_or_script
    found = []
    for line in lines_of(script, Sampling(), 25.0, max_chars=300):
        length = seconds if isinstance(seconds, float) else seconds[line.number]
        codes = Codes(torch.full((8, round(length * 25)), 20 * line.number), 25.0, 1024)
        take = Take(codes, "stop", line.sampling.seed, 0.1)
        found.append(SpokenLine(line, None if line.number in missing else take, tries=1))
    return Performance(script, found)


def made(text, seconds=1.0, folders=(), **options):
    return assemble(performed(text, seconds, **options), ToneCodec(), folders)


def starts(assembly):
    return [round(time.start_s, 3) for time in assembly.times]


# ---- times -------------------------------------------------------------------------------------------------------


def test_gaps_follow_marks_speakers_pauses_and_scenes():
    found = made("[Anna] One.\n[Ben] Two.\n[Ben] Three, [pause 0.8s]\n[Ben] four.\n# Scene: hall\n[Ben] Five.")
    gaps = [round(after.start_s - before.end_s, 3) for before, after in zip(found.times, found.times[1:], strict=False)]
    assert gaps == [ANSWER_S, SENTENCE_S, 0.8, SCENE_S]
    assert all(round(time.end_s - time.start_s, 3) == 1.0 for time in found.times)


@pytest.mark.parametrize(
    ("end", "quicker"),
    [
        ("well,", "well."),
        ("well", "well,"),
        ("好，", "好。"),
        ("well.", "well…"),
    ],
)
def test_a_mark_that_closes_more_leaves_more_time(end, quicker):
    [turn] = parse_script("[Anna] well.").turns
    assert gap_after(end, turn, turn) < gap_after(quicker, turn, turn)


def test_closing_quotes_hide_no_mark():
    [turn] = parse_script("[Anna] well.").turns
    assert gap_after('She said "well."', turn, turn) == gap_after("well.", turn, turn)


def test_overlap_starts_earlier_and_never_before_the_beginning():
    found = made("[Anna] One.\n[Ben] [overlap 0.5s] Two.")
    assert starts(found) == [0.0, round(1.0 + ANSWER_S - 0.5, 3)]
    assert starts(made("[Anna] One.\n[Ben] [overlap 9s] Two.")) == [0.0, 0.0]


def test_a_line_starts_behind_the_last_to_end_not_behind_the_last_to_start():
    found = made("[Anna] One.\n[Ben] [overlap 2.9s] Two.\n[Cleo] Three.", [3.0, 1.0, 1.0])
    assert found.times[2].start_s == pytest.approx(3.0 + ANSWER_S)


def test_subtitles_keep_their_times_by_fitting(tmp_path):
    file = tmp_path / "in.srt"
    file.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nOne.\n\n2\n00:00:02,100 --> 00:00:04,000\nTwo.\n\n"
        "3\n00:00:05,000 --> 00:00:05,500\nThree.\n",
        encoding="utf-8",
    )
    script = read_subtitles(file)
    found = assemble(performed(script, [1.2, 1.0, 1.0]), ToneCodec())
    assert starts(found) == [1.0, 2.1, 5.0]
    assert found.times[0].speed == pytest.approx(1.2 / 1.1) and found.times[0].end_s == pytest.approx(2.1)
    assert found.times[1].speed == 1.0 and "silence" in found.times[1].note
    assert [warning.split(":")[0] for warning in found.warnings] == ["Line 1", "Line 3"], "the other one fits"
    mixed = found.mix().clip
    assert float(mixed.samples[:, : RATE - 100].abs().max()) == 0
    # the stretched line ends where the next one starts
    assert found.tracks[0].clip.seconds == pytest.approx(1.1, abs=0.01)


def test_a_line_that_cannot_fit_runs_over_and_says_so(tmp_path):
    file = tmp_path / "in.srt"
    file.write_text("1\n00:00:00,000 --> 00:00:01,000\nOne.\n\n2\n00:00:01,000 --> 00:00:02,000\nTwo.\n")
    found = assemble(performed(read_subtitles(file), 2.0), ToneCodec())
    assert "too long" in found.warnings[0] and starts(found) == [0.0, 1.0]


def test_times_of_pieces_of_one_turn_follow_each_other():
    script = parse_script("[Anna] " + "A sentence of some length. " * 30)
    turns = [0, 0, 0]
    found = time_lines(script, turns, ["a.", "b.", "c."], [1.0, 1.0, 1.0])
    assert [round(time.start_s, 2) for time in found] == [0.0, 1.45, 2.9]


# ---- the mix, stems, and what goes with them ------------------------------------------------------------------------


CUED = """# Scene: hall
[music: bed.flac -12dB fade=0.2s]
[Anna] {gain=-6dB} One. [pause 0.5s]
[sfx: door.wav -3dB]
[Ben] Two.
[/music]
# Scene: yard
[Anna] Three.
"""


@pytest.fixture
def sounds(tmp_path):
    sine(1000.0, 0.2, RATE).save(tmp_path / "door.wav")
    sine(60.0, 0.5, RATE).save(tmp_path / "bed.flac")
    return tmp_path


def test_cues_lie_where_the_script_has_them(sounds):
    found = made(CUED, 1.0, [sounds])
    assert found.stems == ["Anna", "Ben", "Anna", "music", "sounds"]
    bed, door = found.tracks[3], found.tracks[4]
    assert bed.start_s == 0.0 and bed.heard_s == pytest.approx(2.5) and bed.gain_db == -12
    assert door.start_s == pytest.approx(1.5) and door.gain_db == -3
    assert found.tracks[0].gain_db == -6


def test_stems_add_up_to_the_mix(sounds):
    found = made(CUED, 1.0, [sounds])
    mixed = found.mix()
    stems = [found.stem(name) for name in dict.fromkeys(found.stems)]
    assert {stem.length for stem in stems} == {mixed.clip.length} and mixed.scaled_db == 0
    assert torch.allclose(sum(stem.samples for stem in stems), mixed.clip.samples, atol=1e-6)
    assert float(found.stem("Ben").samples[:, :RATE].abs().max()) == 0
    with pytest.raises(ScriptError, match="Anna, Ben, music, sounds"):
        found.stem("Cleo")


def test_a_speaker_named_like_a_stem_of_cues_has_its_own_stem(sounds):
    found = made("[Music] One.\n[sfx: door.wav]\n[Sounds] Two.", 1.0, [sounds])
    assert len(set(found.stems)) == 3


def test_subtitles_chapters_and_timeline(sounds, tmp_path):
    found = made(CUED, 1.0, [sounds])
    assert found.chapters == [(0.0, "hall"), (pytest.approx(2.5 + SCENE_S), "yard")]
    assert [entry[2:] for entry in found.subtitles()] == [("Anna", "One."), ("Ben", "Two."), ("Anna", "Three.")]
    write_subtitles(found.subtitles(), tmp_path / "out.srt")
    assert [turn.slot for turn in read_subtitles(tmp_path / "out.srt").turns] == [(0.0, 1.0), (1.5, 2.5), (3.7, 4.7)]
    told = json.loads(json.dumps(found.timeline()))
    assert [line["speaker"] for line in told["lines"]] == ["Anna", "Ben", "Anna"]
    assert [cue["kind"] for cue in told["cues"]] == ["music", "sounds"] and told["chapters"][1]["title"] == "yard"


def test_no_scenes_no_chapters():
    assert made("[Anna] One.").chapters == []


def test_a_spool_gives_the_same_mix(sounds, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    inside, outside = (assemble(performed(CUED), ToneCodec(), [sounds], spool=one) for one in (None, spool))
    assert len(list(spool.iterdir())) == 3
    assert torch.equal(inside.mix().clip.samples, outside.mix().clip.samples)
    report = outside.mix_to(tmp_path / "all.wav")
    assert AudioClip.load(tmp_path / "all.wav").length == inside.mix().clip.length and report.scaled_db == 0


def test_speed_of_a_turn_keeps_the_pitch():
    found = made("[Anna] {speed=1.25} One.")
    [track] = found.tracks
    assert track.clip.seconds == pytest.approx(0.8, abs=0.001)
    spectrum = torch.fft.rfft(track.clip.samples[0]).abs()
    assert float(spectrum.argmax()) / track.clip.seconds == pytest.approx(200, abs=3)


# ---- what can go wrong ----------------------------------------------------------------------------------------------


def test_lines_without_a_take_are_left_out_and_named():
    found = made("[Anna] One.\n[Ben] Two.\n[Anna] Three.", missing=(1,))
    assert len(found.spoken) == 2 and found.warnings == ("Not spoken, and left out: line 2.",)


def test_no_takes_is_an_error():
    with pytest.raises(AudioError, match="Render the script first"):
        made("[Anna] One.", missing=(0,))


def test_a_take_of_pure_silence_stays():
    performance = performed("[Anna] One.\n[Ben] Two.")

    class Silent(ToneCodec):
        def decode(self, codes):
            clip = super().decode(codes)
            return clip if codes.ids[0, 0] else replace(clip, samples=torch.zeros_like(clip.samples))

    assert starts(assemble(performance, Silent())) == [0.0, 1.0 + ANSWER_S]


@pytest.mark.parametrize("path", ["../door.wav", "/etc/door.wav", "missing.wav"])
def test_cues_stay_in_their_folders(sounds, path):
    with pytest.raises(ScriptError):
        made(f"[Anna] One.\n[sfx: {path}]", 1.0, [sounds])


def test_progress_is_reported_and_can_cancel():
    told = []
    assemble(performed("[Anna] One.\n[Ben] Two."), ToneCodec(), on_progress=lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemble(performed("[Anna] One."), ToneCodec(), on_progress=cancel)
