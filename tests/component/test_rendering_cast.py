"""Who speaks whom, and which take of a line is wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import random_codes
from helpers_rendering import rendered

from higgs_runtime import (
    RenderSettings,
    Sampling,
    ScriptError,
    SettingError,
    TakeStore,
    Voice,
    load_model,
    parse_script,
    save_voice,
)
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.rendering import cast_voices, parse_choice, rendering_bytes
from higgs_runtime.rendering.lines import lines_of, scenes_of
from higgs_runtime.takes import model_identity
from higgs_runtime.voices.library import VoiceCard, voice_path


def voice(words: str) -> Voice:
    return Voice(description=words)


def names(cast) -> dict[str, str]:
    return {speaker: one.description for speaker, one in cast.voices.items()}


# ---- casting -------------------------------------------------------------------------------------------------------


def test_a_name_counts_before_the_library_and_that_before_the_next_one_without_a_name(tmp_path):
    for name in ("Anna", "Ben"):
        save_voice(voice_path(tmp_path, name), voice(f"{name} of the library"), VoiceCard())
    script = parse_script("[Cleo] One.\n[Anna] Two.\n[Ben] Three.\n\nFour.")
    cast = cast_voices(script, {"anna": voice("mine")}, {0: voice("first"), 3: voice("second")}, roots=[tmp_path])
    assert names(cast) == {"Cleo": "first", "Anna": "mine", "Ben": "Ben of the library", "Narrator": "second"}
    assert "Ben: Ben of the library" in str(cast) and cast.warnings == ()


def test_numbered_speakers_have_the_voice_of_their_number():
    script = parse_script("[SPEAKER1] One.\n[SPEAKER0] Two.\n[Zoe] Three.")
    cast = cast_voices(script, {}, {n: voice(f"voice {n}") for n in range(3)})
    assert names(cast) == {"SPEAKER1": "voice 1", "SPEAKER0": "voice 0", "Zoe": "voice 2"}


def test_two_names_that_differ_in_case_are_two_speakers():
    script = parse_script("[Al] One.\n[AL] Two.")
    assert names(cast_voices(script, {"AL": voice("big"), "Al": voice("small")})) == {"Al": "small", "AL": "big"}


def test_the_packs_voices_are_found_by_their_names():
    class Codec:
        weights_hash = "of these weights"
        frame_rate, codebook_size, num_codebooks, signature = 25.0, 1024, 8, ""

        def encode(self, clip, *, on_progress=None):
            return random_codes(round(clip.seconds * 25))

    cast = cast_voices(parse_script("[Rose] One."), {}, codec=Codec())
    assert cast.voices["Rose"].transcript.startswith("Hello, and welcome.")
    with pytest.raises(ScriptError, match="none for Rose"):
        cast_voices(parse_script("[Rose] One."), {})


def test_voices_that_nobody_has_are_named():
    cast = cast_voices(parse_script("[Anna] One."), {"Anna": voice("a"), "Bob": voice("b")}, {5: voice("c")})
    assert cast.warnings == ("Nobody in the script has the voice 'Bob', number 5.",)


def test_a_speaker_without_a_voice_is_named():
    with pytest.raises(ScriptError, match="none for Ben, Narrator"):
        cast_voices(parse_script("[Anna] One.\n[Ben] Two.\n\nThree."), {"Anna": voice("a")})


# ---- takes that are wanted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, chosen",
    [("", {}), (" \n", {}), ("3: 2", {3: 2}), ("3:2,7 : 1", {3: 2, 7: 1}), ("3=2;\n7: 1\n", {3: 2, 7: 1})],
)
def test_a_choice_is_read(text, chosen):
    assert parse_choice(text) == chosen


@pytest.mark.parametrize("text", ["3", "3: two", "0: 1", "3: 0", "3: 1, 3: 2", "-3: 1", "3: 1: 2", "99999999: 1"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(SettingError, match="choose a take"):
        parse_choice(text)


@pytest.fixture(scope="module")
def nano():
    return load_model(EMBEDDED / "higgs-nano")


@pytest.fixture(scope="module")
def identity():
    return model_identity(EMBEDDED / "higgs-nano", device="cpu", dtype=torch.float32)


VOICES = {"Anna": voice("Calm."), "Ben": voice("Old.")}
QUICK = Sampling(temperature=1.0, max_frames=6)


def spoken(nano, chosen, **more):
    told = []
    made = rendered(
        parse_script("[Anna] Yes.\n[Ben] No.\n[Anna] Now."),
        VOICES,
        nano,
        QUICK,
        RenderSettings(choose=chosen),
        on_line=lambda line, state, seconds: told.append((line.number, state)),
        **more,
    )
    return made, told


def test_a_chosen_take_is_the_only_one_of_its_line(nano, identity, tmp_path):
    store = TakeStore(tmp_path)
    first, told = spoken(nano, {}, store=store, identity=identity)
    assert told[:3] == [(0, "queued"), (1, "queued"), (2, "queued")]
    made, told = spoken(nano, {2: 5}, store=store, identity=identity)
    assert [spoken.take.seed for spoken in made.lines] == [0, 4, 0] and made.lines[1].tries == 1
    assert {number for number, state in told if state == "speaking"} == {1} and (1, "again") not in told
    store.lock_take(first.lines[1].key)
    again, _ = spoken(nano, {2: 5}, store=store, identity=identity)
    assert again.lines[1].take.seed == 4 and again.lines[1].stored, "it counts more than a lock"


def test_a_choice_beyond_the_lines_is_refused_before_anything_is_spoken(nano):
    with pytest.raises(SettingError, match="lines 1 to 3, got line 4"):
        spoken(nano, {4: 1})
    with pytest.raises(SettingError, match="choose"):
        RenderSettings(choose={1: 0})


def test_takes_are_told_with_their_keys(nano, identity, tmp_path):
    takes = []
    made, _ = spoken(nano, {}, store=TakeStore(tmp_path), identity=identity, on_take=takes.append)
    assert sorted(take.key for take in takes) == sorted(spoken.key for spoken in made.lines)


# ---- scenes, and room ----------------------------------------------------------------------------------------------


def test_scenes_part_the_script_also_where_the_model_does_not_read_them():
    script = parse_script("# Scene: hall\n[Anna] One.\n\n# Scene: yard\n[Anna] Two.")
    for read in (True, False):
        lines = lines_of(script, QUICK, 25.0, max_chars=300, read_scenes=read)
        assert [line.scene for line in lines] == (["hall", "yard"] if read else ["", ""])
        assert [len(scene) for scene in scenes_of(lines, script)] == [1, 1]


def test_more_voices_and_turns_need_more_room_in_continuous_mode_only(nano):
    one = {"Anna": Voice(random_codes(100), "Words.")}
    two = {**one, "Ben": Voice(random_codes(100), "Words.")}
    alone, both = RenderSettings(), RenderSettings(mode="continuous")

    def room(voices, settings):
        return rendering_bytes(nano.config, torch.float32, voices, Sampling(), settings)

    assert room(one, alone) == room(two, alone) < room(one, both) < room(two, both)
    assert room(two, both) < room(two, replace(both, context_turns=8))
    assert room(two, replace(alone, batch=1)) * 8 == pytest.approx(room(two, alone), rel=1e-6)
