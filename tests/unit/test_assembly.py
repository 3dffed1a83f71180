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
from higgs_runtime.dubbing import FilmSound, deliver_dub
from higgs_runtime.rendering import Performance, assemble
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.rendering.performance import SpokenLine
from higgs_runtime.rendering.timing import ANSWER_S, SCENE_S, gap_after, time_lines
from higgs_runtime.script import TempoLimits
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


def subtitled(tmp_path, *spans):
    """Subtitles at these times, "One.", "Two." and so on."""
    words = ("One.", "Two.", "Three.", "Four.")
    file = tmp_path / "in.srt"
    cues = [
        f"{n}\n00:00:{start:06.3f} --> 00:00:{end:06.3f}\n{words[n - 1]}\n".replace(".", ",", 2)
        for n, (start, end) in enumerate(spans, start=1)
    ]
    file.write_text("\n".join(cues), encoding="utf-8")
    return read_subtitles(file)


def test_subtitles_keep_their_times_by_fitting(tmp_path):
    script = subtitled(tmp_path, (1, 2), (2.1, 4), (5, 5.8))
    found = assemble(performed(script, [1.12, 1.8, 1.0]), ToneCodec())
    assert starts(found) == [1.0, 2.1, 5.0]
    assert [round(time.speed, 3) for time in found.times] == [1.12, round(1.8 / 1.9, 3), 1.15]
    assert [round(time.end_s, 3) for time in found.times] == [2.0, 4.0, round(5 + 1 / 1.15, 3)]
    assert [row.done for row in found.fits] == [
        "12 % faster",
        "5 % slower",
        "15 % faster, and 0.07 s of the pause after it",
    ]
    assert found.warnings == (), "all of them fit"
    mixed = found.mix().clip
    assert float(mixed.samples[:, : RATE - 100].abs().max()) == 0
    assert found.tracks[0].clip.seconds == pytest.approx(1.0, abs=0.001)


def test_limits_of_the_tempo_are_those_of_the_render(tmp_path):
    performance = replace(performed(subtitled(tmp_path, (1, 2)), [1.12]), tempo=TempoLimits(1.0, 1.05))
    found = assemble(performance, ToneCodec())
    assert found.times[0].speed == 1.05 and "pause after it" in found.fits[0].done


def test_a_line_that_is_too_long_moves_the_next_one_and_says_what_would_fit(tmp_path):
    script = subtitled(tmp_path, (0, 1), (1, 2), (4, 5))
    found = assemble(performed(script, [2.0, 1.0, 1.0]), ToneCodec())
    over = 2.0 / 1.15 - 1
    assert found.times[0].end_s == pytest.approx(1 + over)
    assert found.times[1].start_s == pytest.approx(found.times[0].end_s), "never over each other"
    assert found.times[1].speed == 1.15 and starts(found)[2] == 4.0
    first, second = found.warnings
    assert "15 % faster, and still 0.74 s too long" in first and "2 characters fit instead of 4" in first
    assert f"starts {over:.2f} s late" in second


def test_of_what_nobody_hears_no_warning_is_given(tmp_path):
    found = assemble(performed(subtitled(tmp_path, (0, 2.25), (2.25, 4)), [2.28, 1.72]), ToneCodec())
    assert found.times[1].late_s == pytest.approx(0.03, abs=0.001) and not found.warnings


def test_subtitles_that_lie_over_each_other_are_spoken_over_each_other_so_far(tmp_path):
    found = assemble(performed(subtitled(tmp_path, (0, 2), (1.5, 3)), [2.0, 1.5]), ToneCodec())
    assert starts(found) == [0.0, 1.5] and not found.warnings
    found = assemble(performed(subtitled(tmp_path, (0, 2), (1.5, 3)), [4.6, 1.5]), ToneCodec())
    assert starts(found) == [0.0, pytest.approx(4.0 - 0.5)], "for no longer than the subtitles do"


def test_a_length_in_the_script_holds_wherever_the_line_starts():
    found = made(
        "[Anna] One.\n[Ben] [fit: 2s] Two.\n[Anna] Three.\n[Ben] [fit: 1.1s] Four.\n[Anna] Five.",
        [1.0, 1.9, 1.0, 1.5, 1.0],
    )
    times, gap = found.times, ANSWER_S
    assert times[1].end_s - times[1].start_s == pytest.approx(2.0) and times[1].start_s == pytest.approx(1 + gap)
    assert times[2].start_s == pytest.approx(times[1].start_s + 2.0 + gap)
    taken = 1.5 / 1.15 - 1.1
    assert 0 < taken < gap and times[4].start_s == pytest.approx(times[3].start_s + 1.1 + gap), "of the pause after it"
    assert [row.turn for row in found.fits] == [1, 3] and found.warnings == ()


def test_a_line_that_is_too_short_keeps_its_time():
    found = made("[Anna] [fit: 3s] One.\n[Ben] Two.", [1.0, 1.0])
    assert found.times[0].speed == 0.9 and found.times[1].start_s == pytest.approx(3.0 + ANSWER_S)
    assert "silence after it" in found.fits[0].done


def test_pieces_of_a_turn_share_its_slot():
    text = "A sentence of some length. " * 20
    script = parse_script(f"[Anna] [slot 0s-10s] {text}")
    lines = lines_of(script, Sampling(), 25.0, max_chars=300)
    assert len(lines) == 2
    performance = performed(script, [5.0, 5.0])
    times = assemble(performance, ToneCodec()).times
    assert times[0].speed == times[1].speed and times[1].end_s == pytest.approx(10.0)
    assert times[1].start_s - times[0].end_s == pytest.approx(SENTENCE_S), "the rest between them stays"


def test_the_time_line_tells_what_was_done(tmp_path):
    found = assemble(performed(subtitled(tmp_path, (0, 1), (1, 2)), [2.0, 1.0]), ToneCodec())
    told = json.loads(json.dumps(found.timeline()))["lines"]
    assert (
        told[0]["fit"]["residual_s"] == 1.0 and told[0]["fit"]["slot_s"] == 1.0 and told[0]["fit"]["over_s"] == 0.7391
    )
    assert told[0]["note"] == told[0]["fit"]["done"]
    assert json.loads(json.dumps(made("[Anna] One.").timeline()))["lines"][0]["fit"] is None


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


def test_cues_of_a_dub_with_their_own_voices_have_their_speakers_names_in_all_files(tmp_path):
    performance = performed("[Anna 1] [slot 0s-2s] One.\n[Anna 2] [slot 3s-5s] Two.")
    film = FilmSound.of(AudioClip(torch.zeros(1, 5 * RATE), RATE))
    plain = {"Anna 1": "Anna", "Anna 2": "Anna"}
    deliver_dub(performance, ToneCodec(), film, tmp_path / "dub.wav", plain=plain, stems=True)
    told = (tmp_path / "dub.json").read_text(encoding="utf-8")
    assert {line["speaker"] for line in json.loads(told)["lines"]} == {"Anna"} and "Anna 1" not in told
    assert sorted(path.name for path in (tmp_path / "dub-stems").iterdir()) == ["Anna.wav", "film.wav"]
    assert "Anna 1" not in (tmp_path / "dub.srt").read_text(encoding="utf-8")
