"""Sounds, music, scenes, overlaps and slots in a script; files of cues."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from higgs_runtime import Script, ScriptError, Turn, parse_script
from higgs_runtime.errors import SettingError
from higgs_runtime.script import Comment, Music, Sound, resolve_cue
from higgs_runtime.script.grammar import SETTINGS
from higgs_runtime.types import Sampling


def same_again(script: Script) -> Script:
    """The script written anew and read; it must say the same, and be written the same."""
    text = str(replace(script))
    again = parse_script(text)
    assert again == script and str(replace(again)) == text
    return again


EXAMPLE = """\
# A comment at the top
# Scene: a quiet room
[music: bed.flac -12dB fade=2s duck]
[pause 3s]
[Anna] {seed=7 gain=-3dB speed=0.95x take=2} Hello. [sfx: "old door [1].wav" -6 dB] [pause 1s] Who is there?
# note
Bob: [overlap 0.3s] Me! [pause 0.5s] [/music] [pause 250ms]
## scene : the street

[slot 3s-4.5s] {take=1} Cars.
[sfx: far away.wav]
"""


def test_example():
    script = parse_script(EXAMPLE)
    anna = {"seed": 7, "gain": -3.0, "speed": 0.95, "take": 2}
    assert list(script.turns) == [
        Turn("Anna", "Hello.", 1.0, anna, scene="a quiet room"),
        Turn("Anna", "Who is there?", 0.0, anna, scene="a quiet room"),
        Turn("Bob", "Me!", 0.75, scene="a quiet room", overlap_s=0.3),
        Turn("", "Cars.", settings={"take": 1}, scene="the street", slot=(3.0, 4.5)),
    ]
    assert list(script.cues) == [
        Music("bed.flac", -12.0, 2.0, True, first=0, last=2, before_s=3.0, after_s=0.5),
        Sound("old door [1].wav", -6.0, turn=1, before_s=1.0),
        Sound("far away.wav", turn=4),
    ]
    assert list(script.comments) == [Comment("# A comment at the top", 0), Comment("# note", 2)]
    assert [item.line for item in (*script.turns, *script.cues, *script.comments)] == [5, 5, 7, 10, 3, 5, 11, 1, 6]
    assert script.warnings == () and str(script) == EXAMPLE
    same_again(script)


@pytest.mark.parametrize(
    "cue, expected",
    [
        ("[sfx: door.wav]", Sound("door.wav")),
        ("[SFX:door.wav +3dB]", Sound("door.wav", 3.0)),
        ("[ sfx : a/b c.wav, gain=-1.5 dB ]", Sound("a/b c.wav", -1.5)),
        ("[sfx：小明.wav]", Sound("小明.wav")),
        ('[sfx: "duck"]', Sound("duck")),
        ("[sfx: duck]", Sound("duck")),
        ("[sfx: 7]", Sound("7")),
        ("[sfx: rain]", Sound("rain")),
        ("[sfx: v1.2 rain]", Sound("v1.2 rain")),
        ('[sfx: " a "]', Sound(" a ")),
        ("[sfx: old.door.wav -6dB]", Sound("old.door.wav", -6.0)),
        (r"[sfx: a\b.wav]", Sound(r"a\b.wav")),
        ("[sfx: Mr. X.wav]", Sound("Mr. X.wav")),
        ("[music: a.mp3 duck fade=.5s]", Music("a.mp3", 0.0, 0.5, True)),
        ("[music: a.mp3 fade=500ms -6dB]", Music("a.mp3", -6.0, 0.5)),
        ("[music: bed duck]", Music("bed", duck=True)),
        ("[sfx: a.wav 0.0000001dB]", Sound("a.wav")),
        ("[sfx: a.wav -0dB]", Sound("a.wav", 0.0)),
    ],
)
def test_cues(cue, expected):
    script = parse_script(f"{cue} Hi.")
    assert script.cues == (expected,) and script.turns == (Turn("", "Hi."),)
    same_again(script)


@pytest.mark.parametrize(
    "text, turns, starts",
    [
        ("[A] one [sfx: x] two", ["A one", "A two"], [1]),
        ("[A] [sfx: x] one", ["A one"], [0]),
        ("[A] one\n[sfx: x]\ntwo", ["A one", "A two"], [1]),
        ("[A] one\n\n[sfx: x]\ntwo", ["A one", " two"], [1]),
        ("[sfx: x]\n[sfx: y]\n[A] one\n[sfx: z]", ["A one"], [0, 0, 1]),
        ("[A] one [sfx: x] [sfx: y]\n[B] two", ["A one", "B two"], [1, 1]),
        ("[A] one\n[B] [sfx: x] [pause 1s] two", ["A one", "B two"], [1]),
    ],
)
def test_a_sound_starts_with_the_words_that_follow(text, turns, starts):
    script = parse_script(text)
    assert [f"{turn.speaker} {turn.text}" for turn in script.turns] == turns
    assert [cue.turn for cue in script.cues] == starts
    same_again(script)


@pytest.mark.parametrize(
    "text, span",
    [
        ("[music: a]\n[A] one\n[B] two\n[/music]\n[C] three", (0, 1)),
        ("[A] one\n[music: a]\n[B] two", (1, 1)),
        ("[A] one [music: a] two [/music] three", (1, 1)),
        ("[A] [music: a] one\n[B] [/ Music ] two", (0, 0)),
        ("[music: a]\n[A] one\n[music: b]\n[B] two\n[/music]", (0, 0)),
    ],
)
def test_music_lies_under_turns(text, span):
    script = parse_script(text)
    assert (script.cues[0].first, script.cues[0].last) == span
    same_again(script)


@pytest.mark.parametrize(
    "text, before, after, pauses",
    [
        ("[sfx: x] [pause 1s] [sfx: y] [pause 2s] a", [3, 2], None, [0]),
        ("a [pause 1s] [sfx: x] [pause 2s] b", [2], None, [3, 0]),
        ("[A] a\n[sfx: x]\n\n# c\n[pause 0.1s]\n[pause 0.2s]\n[B] b", [0.3], None, [0.3, 0]),
        ("[music: x] a [pause 1s] [/music] [pause 1s]", [0], 1, [2]),
        ("[music: x] a [pause 1s] [music: y] [pause 2s] b [/music]", [0, 2], 1, [3, 0]),
        ("a [sfx: x] [pause 1s]", [1], None, [1]),
    ],
)
def test_pauses_around_cues_keep_their_order(text, before, after, pauses):
    script = parse_script(text)
    assert [cue.before_s for cue in script.cues] == before
    assert after is None or script.cues[0].after_s == after
    assert [turn.pause_s for turn in script.turns] == pauses
    same_again(script)


@pytest.mark.parametrize(
    "text, line, column, message",
    [
        ("[A] x\n a [sfx: door.wav loud]", 2, 4, "got 'loud'"),
        ("[sfx: ] x", 1, 1, "got 'no file'"),
        ("[sfx: door.wav duck] x", 1, 1, "got 'duck'"),
        ("[sfx: door.wav -6] x", 1, 1, "got '-6'"),
        ("[sfx: door.wav -61dB] x", 1, 1, "got '-61dB'"),
        ("[music: a.wav fade=61s] x", 1, 1, "got 'fade=61s'"),
        ("[music: a.wav duck duck] x", 1, 1, "got 'duck'"),
        ("[music: a.wav fade=x] x", 1, 1, "got 'fade=x'"),
        ('[sfx: a "b".wav] x', 1, 1, "quotes"),
        ("a\n[sfx: door.wav", 2, 1, "not closed"),
        ("a [sfx: [x].wav]", 1, 3, "not closed"),
        ('a [sfx: "x] b', 1, 3, "not closed"),
        ("[/music] x", 1, 1, "no music"),
        ("[A] x\n[music: a] [/music]\n[B] y", 2, 12, "no turn"),
        ("[A] x\n[music: a]", 2, 1, "no turn"),
        ("[music: a] [music: b] x", 1, 12, "no turn"),
        ("[A] one [overlap 1s] two", 1, 9, "at the start of a turn"),
        ("[A] [overlap 601s] x", 1, 5, "600 at most"),
        ("[A] [overlap 1s] [overlap 1s] x", 1, 18, "once"),
        ("[A] [overlap soon] x", 1, 5, "overlap 0.3s"),
        ("[A] [slot 2s-1s] x", 1, 5, "Give start and end"),
        ("[A] [slot 2s] x", 1, 5, "Give start and end"),
        ("[sfx: x]\n[music: y]", 1, 1, "only comments, cues"),
        ("[overlap 1s]\n[A] x", 1, 1, "no text"),
        ("[sfx: x] [pause 400s] [pause 400s] a", 1, 23, "too long"),
        ("[A] {gain=-61dB} x", 1, 6, "number from -60 to 24 dB, got '-61dB'"),
        ("[A] {speed=3x} x", 1, 6, "0.5 to 2 x"),
        ("[A] {take=0} x", 1, 6, "whole number from 1"),
        ("[A] {seed=-1} x", 1, 6, "got '-1'"),
        ("[A] {top_p=1.5} x", 1, 6, "from -1 to 1,"),
        ("[A] {gain=loud} x", 1, 6, "got 'loud'"),
    ],
)
def test_errors_point_at_their_place(text, line, column, message):
    with pytest.raises(ScriptError, match=message) as caught:
        parse_script(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "text, line, column, message",
    [
        ("[A] x\n# Scene: nowhere", 2, 1, "No turn follows"),
        ("# Scene: a\n # scene: b\nx", 1, 1, "No turn follows"),
        ("a\n[music: x] b", 2, 1, "not ended"),
        ("[A] [overlap 1s] x", 1, 5, "no turn before"),
        ("[A] x [pause 1s]\n[B] [overlap 1s] y", 2, 5, "against each other"),
        ("[A] Hi {seed=7} you", 1, 5, "start of a turn"),
        ("Scene: a room", 1, 1, "begins with '#'"),
    ],
)
def test_warnings(text, line, column, message):
    [warning] = parse_script(text).warnings
    assert (warning.line, warning.column) == (line, column) and message in warning.message


def test_scenes_last_until_the_next_and_may_end():
    script = parse_script("a\n# Scene: one\n[A] b\nc\n\nd\n#Scene:two\n[A] e\n# scene:\nf")
    assert [(turn.text, turn.scene) for turn in script.turns] == [
        ("a", ""),
        ("b\nc", "one"),
        ("d", "one"),
        ("e", "two"),
        ("f", ""),
    ]
    same_again(script)


def test_names_that_only_look_like_cues_are_speakers():
    assert [turn.speaker for turn in parse_script("[Music Teacher] Hi.\n[Sfx Artist] Hi.\n[Slots] x").turns] == [
        "Music Teacher",
        "Sfx Artist",
        "Slots",
    ]
    for line in ("[slot machine] x", "[music plays] x", "[Music] x"):
        assert parse_script(line).turns == (Turn("", line),)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name in Sampling.__dataclass_fields__])
def test_ranges_of_settings_are_those_of_sampling(name):
    kind, low, high = SETTINGS[name].kind, SETTINGS[name].least, SETTINGS[name].most
    for value in (low, high):
        Sampling(**{name: value}), Turn("A", "x", settings={name: value})
    step = 1 if kind is int else 1e-6
    for value in (low - step, high + step):
        with pytest.raises(SettingError):
            Sampling(**{name: value})
        with pytest.raises(ScriptError, match=name):
            Turn("A", "x", settings={name: value})
    assert set(Sampling.__dataclass_fields__) | {"gain", "speed", "take"} == set(SETTINGS)


ONE = Turn("A", "x", 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Turn("A", "x", settings={"volume": 1}),
        lambda: Turn("A", "x", settings={"seed": 1.5}),
        lambda: Turn("A", "x", settings={"seed": None}),
        lambda: Turn("A", "x", overlap_s=-1),
        lambda: Turn("A", "x", slot=(2, 1)),
        lambda: Turn("A", "x", slot=(0, float("inf"))),
        lambda: Turn("A", "x", overlap_s=float("nan")),
        lambda: Sound('a".wav'),
        lambda: Sound(""),
        lambda: Sound("a\nb"),
        lambda: Sound("a", float("nan")),
        lambda: Sound("a", before_s=-1),
        lambda: Music("a", fade_s=99),
        lambda: Comment("x"),
        lambda: Comment("# Scene: x"),
        lambda: Comment("# a\nb"),
        lambda: Script([]),
        lambda: Script([ONE], [Sound("a", turn=2)]),
        lambda: Script([ONE], [Sound("a", turn=-1)]),
        lambda: Script([ONE], [Sound("a", turn=1, before_s=1.5)]),
        lambda: Script([ONE], [Music("a", first=0, last=1)]),
        lambda: Script([ONE], [Music("a", after_s=2)]),
        lambda: Script([ONE], comments=[Comment("# a", 2)]),
        lambda: Script([ONE, ONE], [Music("a", first=0, last=1), Music("b", first=1, last=1)]),
        lambda: Script([ONE, ONE], [Music("a", after_s=0.6), Music("b", first=1, last=1, before_s=0.5)]),
    ],
)
def test_values_that_no_script_can_express_are_refused(make):
    with pytest.raises(ScriptError):
        make()


# --- files of cues --------------------------------------------------------------------------------------------------


@pytest.fixture
def sounds(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    for name in ("secret.wav", "a/door.wav", "a/deep/far away.wav", "b/door.wav", "b/only.wav"):
        (tmp_path / name).write_bytes(b"")
    return [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize(
    "path, file",
    [
        ("door.wav", "a/door.wav"),
        ("only.wav", "b/only.wav"),
        ("deep/far away.wav", "a/deep/far away.wav"),
        (r"deep\far away.wav", "a/deep/far away.wav"),
        ("./door.wav", "a/door.wav"),
    ],
)
def test_a_cue_is_found_in_its_folders(sounds, path, file):
    assert resolve_cue(path, sounds) == sounds[0].parent / file


@pytest.mark.parametrize(
    "path",
    [
        "../secret.wav",
        "deep/../../secret.wav",
        r"deep\..\..\secret.wav",
        "/etc/passwd",
        r"C:\a.wav",
        "C:a.wav",
        r"\\host\share\a.wav",
        "~/a.wav",
        "~root",
        "",
        ".",
        "door.wav\0",
    ],
)
def test_a_cue_never_leaves_its_folders(sounds, path):
    with pytest.raises(ScriptError, match="refused"):
        resolve_cue(path, sounds)


def test_a_cue_that_is_not_there(sounds):
    for path, folders in (("none.wav", sounds), ("deep", sounds), ("door.wav", [])):
        with pytest.raises(ScriptError, match="not there"):
            resolve_cue(path, folders)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_that_leads_out_is_refused(sounds):
    (sounds[0] / "out.wav").symlink_to(sounds[0].parent / "secret.wav")
    (sounds[0] / "in.wav").symlink_to(sounds[0] / "door.wav")
    with pytest.raises(ScriptError, match="link to elsewhere"):
        resolve_cue("out.wav", sounds)
    assert resolve_cue("in.wav", sounds).name == "in.wav"
