"""References out of a film: who speaks, which words, whose voice, and films and subtitles that are not as they should
be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers_film import GAP_S, RATE, actor, film_of, lag_s, write_film

from higgs_runtime import AudioClip, AudioError, Script, ScriptError, SettingError, Turn, read_subtitles
from higgs_runtime.dubbing import FilmSound, ReferenceSettings, film_references, parse_corrections
from higgs_runtime.verification import Transcript, Word

ACTORS = ("rose", "ross", "bear", "alan")


@pytest.fixture(scope="module")
def compared():
    """Whether voices can be compared here."""
    pytest.importorskip("resemblyzer")


def names_of(found) -> list[str]:
    return [row.speaker for row in found.rows]


# --- the sound --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("delay_s", [0.0, 1.5])
def test_a_sound_track_that_begins_later_keeps_its_place(tmp_path, suffix, delay_s):
    clip, _ = film_of(["rose"])
    film = FilmSound.of(write_film(tmp_path / f"film{suffix}", clip, delay_s))
    expected = torch.nn.functional.pad(clip.samples, (round(delay_s * RATE), 0))
    assert abs(lag_s(film.part(0, film.seconds), AudioClip(expected, RATE))) < 0.002
    assert (
        abs(lag_s(film.part(delay_s + 2.0, delay_s + 5.0), AudioClip(clip.samples[:, 2 * RATE : 5 * RATE], RATE)))
        < 0.002
    )
    assert film.seconds == pytest.approx(clip.seconds + delay_s, abs=0.1)
    assert abs(lag_s(film.whole(), AudioClip(expected, RATE))) < 0.002


def test_what_lies_outside_of_the_sound_is_silence(tmp_path):
    film = FilmSound.of(write_film(tmp_path / "film.mp4", film_of(["rose"])[0], 1.0))
    before, behind = film.part(0.0, 0.9), film.part(film.seconds + 1, film.seconds + 2)
    assert before.seconds == pytest.approx(0.9, abs=0.01) and not before.samples.any()
    assert behind.seconds == pytest.approx(1.0, abs=0.01) and not behind.samples.any()


def test_a_film_without_sound_and_no_film_are_told(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 4000)
    for path in (tmp_path / "broken.mp4", tmp_path / "none.mp4"):
        with pytest.raises(AudioError):
            FilmSound.of(path)
    with pytest.raises(AudioError, match="0 samples"):
        FilmSound.of(AudioClip(torch.zeros(1, 0), RATE))


def test_surround_sound_lies_under_the_dub_as_stereo(tmp_path):
    """As a mix averages six channels, it would be mono, and each 16 dB lower."""
    av = pytest.importorskip("av")
    wave = torch.zeros(RATE * 2, 6)
    wave[:, 0] = 0.5 * torch.sin(torch.arange(RATE * 2) / 20)
    with av.open(str(tmp_path / "film.mkv"), "w") as file:
        stream = file.add_stream("ac3", rate=48_000, layout="5.1")
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1).numpy(), format="flt", layout="5.1")
        frame.sample_rate = 48_000
        for part in av.AudioResampler("fltp", "5.1", 48_000, frame_size=1536).resample(frame):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    heard = AudioClip.load(FilmSound.of(tmp_path / "film.mkv").on_disk(tmp_path).path)
    left, right = heard.samples[:, 4_000:40_000].abs().amax(1).tolist()
    assert left == pytest.approx(0.5, abs=0.03) and right < 0.01


# --- who speaks -------------------------------------------------------------------------------------------------------


def test_names_of_the_subtitles_count_and_every_speaker_has_a_reference():
    clip, script = film_of(["rose", "ross"], named=True)
    found = film_references(FilmSound.of(clip), script)
    assert names_of(found) == ["Rose", "Ross"] and {row.known_by for row in found.rows} == {"named"}
    for name, one in found.clips.items():
        assert one.transcript == actor(name.lower())[1]
        assert one.clip.seconds == pytest.approx(actor(name.lower())[0].seconds, abs=1.0)


def test_cues_without_names_are_told_apart_by_their_voices(compared):
    clip, script = film_of([*ACTORS, "rose"])
    found = film_references(FilmSound.of(clip), script)
    assert names_of(found) == ["Voice A", "Voice B", "Voice C", "Voice D", "Voice A"]
    assert "Told by their voices alone" in found.report()


def test_a_cue_without_a_name_goes_to_the_named_speaker_it_sounds_like(compared):
    clip, script = film_of(["rose", "ross", "rose"], named=True)
    turns = [*script.turns[:2], replace(script.turns[2], speaker="")]
    found = film_references(FilmSound.of(clip), replace(script, turns=turns))
    assert names_of(found) == ["Rose", "Ross", "Rose"] and found.rows[2].known_by == "voice"


def test_without_the_extra_cues_without_names_are_the_narrators_and_that_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resemblyzer", None)
    clip, script = film_of(["rose", "ross"])
    found = film_references(FilmSound.of(clip), script)
    assert names_of(found) == ["Narrator", "Narrator"] and "resemblyzer" in found.report()


def test_a_person_corrects_cues_and_names():
    clip, script = film_of(["rose", "ross", "rose"], named=True)
    found = film_references(FilmSound.of(clip), script, corrections="# mine\n2-3: Clara\nRose = Anna\n")
    assert names_of(found) == ["Anna", "Clara", "Clara"] and set(found.clips) == {"Anna", "Clara"}
    again = film_references(FilmSound.of(clip), script, corrections=found.table())
    assert names_of(again) == names_of(found)


@pytest.mark.parametrize(
    "line", ["4: Anna", "1: anna", "0-1: Anna", "3-2: Anna", "Anna", "1: [Anna]", "9" * 5000 + ": Anna"]
)
def test_corrections_that_cannot_be_used_are_told_with_their_line(line):
    with pytest.raises(ScriptError, match="Line 2"):
        parse_corrections(f"1: Anna\n{line}", 3)


def test_dashes_part_two_speakers_of_one_subtitle(tmp_path, compared):
    (rose, said), (ross, answered) = actor("rose"), actor("ross")
    film = AudioClip(torch.cat([rose.samples, ross.samples, torch.zeros(1, RATE), rose.samples, ross.samples], 1), RATE)
    end = rose.seconds + ross.seconds
    stamp = "00:00:{:02d},{:03d}"

    def clock(seconds: float) -> str:
        return stamp.format(int(seconds), int(seconds * 1000) % 1000)

    cues = [
        (0, end, f"- {said}\n- {answered}"),
        (end + 1, end + 1 + rose.seconds, said),
        (end + 1 + rose.seconds, 2 * end, answered),
    ]
    text = "\n".join(f"{n}\n{clock(a)} --> {clock(b)}\n{words}\n" for n, (a, b, words) in enumerate(cues, start=1))
    (tmp_path / "film.srt").write_text(text, encoding="utf-8")
    assert len(read_subtitles(tmp_path / "film.srt").turns) == 3
    script = read_subtitles(tmp_path / "film.srt", dashes=True)
    assert [turn.text for turn in script.turns] == [said, answered, said, answered]
    found = film_references(FilmSound.of(film), script, corrections="1: Rose\n2: Ross\n3: Rose\n4: Ross")
    assert found.clips["Rose"].transcript == said and found.clips["Ross"].transcript == answered


# --- words ------------------------------------------------------------------------------------------------------------


class Ears:
    """Hears the same words everywhere."""

    languages = ("en",)

    def __init__(self, text: str):
        self.text = text

    def transcribe(self, clip, language=None):
        words, step = self.text.split(), clip.seconds / (len(self.text.split()) + 1)
        spans = [Word(word, n * step, (n + 1) * step, 0.9) for n, word in enumerate(words)]
        return Transcript(self.text, tuple(spans), "en")


def test_where_the_film_says_something_else_what_was_heard_is_used_and_told():
    clip, script = film_of(["rose"], named=True)
    found = film_references(FilmSound.of(clip), script, recognizer=Ears("Nobody wrote these words down at all"))
    assert found.clips["Rose"].transcript == "Nobody wrote these words down at all"
    assert "something else" in found.rows[0].note


def test_a_translation_takes_the_words_of_the_original():
    clip, original = film_of(["rose", "ross"], named=True)
    script = Script([Turn("", "Guten Morgen.", slot=turn.slot) for turn in original.turns])
    found = film_references(FilmSound.of(clip), script, original=original)
    assert names_of(found) == ["Rose", "Ross"] and found.clips["Rose"].transcript == actor("rose")[1]
    assert [turn.text for turn in found.script.turns] == ["Guten Morgen."] * 2


def test_a_long_cue_is_cut_between_two_words():
    clip, script = film_of(["rose"], named=True)
    found = film_references(FilmSound.of(clip), script, settings=ReferenceSettings(min_s=2, max_s=4))
    [one] = found.clips.values()
    assert 2 < one.clip.seconds < 5 and 0 < len(one.transcript) < len(actor("rose")[1])
    assert actor("rose")[1].startswith(one.transcript)


def test_cues_are_joined_up_to_the_longest():
    clip, script = film_of(["rose", "rose", "rose"], named=True)
    found = film_references(FilmSound.of(clip), script, settings=ReferenceSettings(min_s=14, max_s=20))
    [one] = found.clips.values()
    assert 14 < one.clip.seconds < 21 and one.transcript == " ".join([actor("rose")[1]] * 2)
    assert one.clip.samples[:, -round(0.25 * RATE) :].abs().max() < 0.01, "it ends in its own quiet"


def test_music_behind_the_voice_is_noticed():
    clip, script = film_of(["rose"], named=True)
    at = torch.arange(clip.length) / RATE
    music = 0.05 * sum(torch.sin(2 * torch.pi * tone * at) for tone in (220.0, 277.2, 329.6))
    found = film_references(FilmSound.of(AudioClip(clip.samples + music, RATE)), script)
    assert "Music, hum or echo" in found.report()
    assert "Music" not in film_references(FilmSound.of(clip), script).report()


# --- each cue ---------------------------------------------------------------------------------------------------------


def test_each_cue_has_its_own_reference_and_short_ones_borrow():
    clip, script = film_of(["rose", "rose"], named=True)
    start = script.turns[0].slot[0]
    short = Turn("Rose", "Hello.", slot=(start, start + 0.7))
    turns = [short, replace(script.turns[0], slot=(start + 0.8, script.turns[0].slot[1])), script.turns[1]]
    found = film_references(FilmSound.of(clip), Script(turns), settings=ReferenceSettings(each="cue"))
    assert [turn.speaker for turn in found.script.turns] == ["Rose", "Rose 2", "Rose 3"]
    assert set(found.clips) == {"Rose", "Rose 2", "Rose 3"} and names_of(found) == ["Rose"] * 3
    assert found.plain == {"Rose 2": "Rose", "Rose 3": "Rose"}
    assert found.in_place({"rose": 1, "Ben": 2}) == {"rose": 1, "Rose 2": 1, "Rose 3": 1, "Ben": 2}
    alone = film_references(FilmSound.of(clip), Script(turns[1:]), settings=ReferenceSettings(each="cue"))
    assert alone.in_place({"Rose": 1}) == {"Rose 1": 1, "Rose 2": 1}, "nobody else is left with that name"


def test_a_cue_with_its_own_voice_takes_no_name_of_another_speaker():
    clip, script = film_of(["rose", "ross"])
    turns = [replace(turn, speaker=name) for turn, name in zip(script.turns, ("Guard 2", "Guard"), strict=True)]
    found = film_references(FilmSound.of(clip), Script(turns), settings=ReferenceSettings(each="cue"))
    assert len(found.clips) == 2 and names_of(found) == ["Guard 2", "Guard"]
    assert [found.plain[turn.speaker] for turn in found.script.turns] == ["Guard 2", "Guard"]
    assert "Guard 2" not in found.plain
    words = [found.clips[turn.speaker].transcript for turn in found.script.turns]
    assert words == [actor("rose")[1], actor("ross")[1]]


# --- what is not as it should be --------------------------------------------------------------------------------------


def test_subtitles_beyond_the_film_are_told():
    clip, script = film_of(["rose"], named=True)
    late = Turn("Ben", "Nobody says this.", slot=(500.0, 502.0))
    found = film_references(FilmSound.of(clip), Script([*script.turns, late]))
    assert "behind the end of the film" in found.rows[1].note and set(found.clips) == {"Rose"}
    assert "Ben: nothing in the film lets hear this voice" in found.report()
    with pytest.raises(ScriptError, match="do not belong to this film"):
        film_references(FilmSound.of(clip), Script([late]))


def test_a_silent_cue_is_told_and_its_speaker_keeps_the_voice():
    clip, script = film_of(["rose"], named=True, noise=0.0)
    film = AudioClip(torch.nn.functional.pad(clip.samples, (0, 3 * RATE)), RATE)
    silent = Turn("Rose", "Hello.", slot=(clip.seconds + 0.5, clip.seconds + 2.5))
    found = film_references(FilmSound.of(film), Script([*script.turns, silent]))
    assert "silent" in found.rows[1].note and set(found.clips) == {"Rose"}


def test_a_script_without_times_is_refused():
    with pytest.raises(ScriptError, match="place in the film"):
        film_references(FilmSound.of(film_of(["rose"])[0]), Script([Turn("Rose", "Hello.")]))


@pytest.mark.parametrize("values", [{"each": "word"}, {"min_s": 9, "max_s": 5}, {"max_s": float("nan")}, {"count": -1}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(SettingError):
        ReferenceSettings(**values)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_it_can_be_cancelled_at_each_step(at):
    clip, script = film_of(["rose", "ross"], named=True)

    def cancel(done, _total):
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film_references(FilmSound.of(clip), script, on_progress=cancel)


def test_it_can_be_cancelled_between_the_cues_of_one_speaker():
    """Each is heard by the recognizer: a speaker of many cues takes minutes."""
    clip, script = film_of(["rose", "ross"], named=True)
    script = Script([replace(turn, speaker="Anna") for turn in script.turns])
    steps = []
    settings = ReferenceSettings(min_s=15, max_s=30)
    found = film_references(FilmSound.of(clip), script, settings=settings, on_progress=lambda *step: steps.append(step))
    assert found.clips["Anna"].clip.seconds > 13 and steps.count((2, 4)) == 3, "before each of two cuts"
    assert steps == sorted(steps) and steps[-1] == (4, 4)


@pytest.mark.slow
def test_an_hour_of_film_takes_no_more_memory_than_its_cues(tmp_path):
    """Samples that are read at once, by FilmSound, stay those of one cue."""
    import soundfile

    clip, script = film_of(["rose", "ross"], named=True)
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        file.write(clip.samples[0].numpy())
        for _ in range(60):
            file.write(torch.zeros(60 * RATE).numpy())
        file.write(clip.samples[0].numpy())
    late = 3600 + clip.seconds
    turns = [replace(turn, slot=(turn.slot[0] + late, turn.slot[1] + late)) for turn in script.turns]
    largest = 0.0
    load = AudioClip.load

    def watched(*args, **named):
        nonlocal largest
        found = load(*args, **named)
        largest = max(largest, found.seconds)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AudioClip, "load", watched)
        found = film_references(FilmSound.of(path), replace(script, turns=[*script.turns, *turns]))
    assert set(found.clips) == {"Rose", "Ross"} and found.rows[3].note == ""
    assert 5 < largest < 12 + 2 * GAP_S
