"""Lines that have a length: takes side by side, the right one whose length is nearest, tags of speed, the store."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
import torch
from helpers_audio import sine
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_rendering import Told, rendered
from helpers_v3 import make_v3_checkpoint

from higgs_runtime import (
    AudioError,
    LocalSpeaker,
    RenderSettings,
    Sampling,
    ScriptError,
    SettingError,
    TakeStore,
    Voice,
    load_model,
    parse_script,
)
from higgs_runtime.generation.session import Session
from higgs_runtime.rendering import describe_fits, fit_line, planned_fits
from higgs_runtime.rendering.slots import pace_of, speech_seconds, with_lengths, with_pace
from higgs_runtime.script import TempoLimits
from higgs_runtime.takes import model_identity
from higgs_runtime.text.reading_time import calm_seconds
from higgs_runtime.verification import Verdict

RATE = 24_000
SAMPLING = Sampling(temperature=1.0, seed=5, max_frames=60)
SCRIPT = "[Anna] [fit: 1s] Good morning, Ben.\n[Ben] Good morning.\n[Anna] [slot 4s-4.6s] Not much."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.0)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def v3(tmp_path_factory):
    return load_model(make_v3_checkpoint(tmp_path_factory.mktemp("v3") / "higgs"))


@pytest.fixture(scope="module")
def voices():
    anna, ben = (Voice(random_codes(25, seed=n), "What a voice says.") for n in (1, 2))
    return {"Anna": anna, "Ben": ben, "Narrator": anna}


@pytest.fixture
def keep(tmp_path, folder):
    identity = model_identity(folder, device="cpu", dtype=torch.float32)
    return {"store": TakeStore(tmp_path / "takes"), "identity": identity}


class Tones:
    """In place of a codec: so many frames are so much tone, and 0.2 s of silence behind it."""

    def decode(self, codes):
        tone = sine(220.0, max(0.04, codes.seconds), -14.0, rate=RATE)
        return replace(tone, samples=torch.nn.functional.pad(tone.samples, (0, RATE // 5)))


class Judge:
    """In place of a verifier: passes takes by their number among those it hears."""

    judge = "a judge"

    def __init__(self, passes):
        self.passes, self.numbers = passes, count()

    def hear(self, line, codes):
        good = self.passes(next(self.numbers))
        reasons = () if good else ("the words differ",)
        return Verdict(good, 0.5 * (not good), 0.5 * (not good), None, codes.seconds, "heard", reasons)


def spoken(script, voices, model, settings=None, **more):
    settings = settings or RenderSettings(takes_per_slot=6)
    return rendered(parse_script(script), voices, model, SAMPLING, settings, codec=Tones(), **more)


def all_takes(script, voices, model, **more):
    """(line, seconds of speech, take) of every take that is considered."""
    told = []
    performance = spoken(script, voices, model, on_take=told.append, **more)
    return performance, told


def test_takes_of_slots_are_spoken_in_one_batch_and_the_nearest_is_kept(model, voices, monkeypatch):
    asked, takes = [], Session.takes

    def watched(self, requests, *rest, **more):
        asked.append(len(requests))
        return takes(self, requests, *rest, **more)

    monkeypatch.setattr(Session, "takes", watched)
    performance, told = all_takes(SCRIPT, voices, model)
    assert asked == [12, 1], "six each of two lines, then the line that has no length"
    assert [line.tries for line in performance.lines] == [6, 1, 6]
    for number, slot_s in ((0, 1.0), (2, 0.6)):
        lengths = {one.take.seed: one.speech_s for one in told if one.line.number == number}
        assert sorted(lengths) == [5, 6, 7, 8, 9, 10] and len(set(lengths.values())) > 2
        best = min(lengths.values(), key=lambda seconds: max(seconds, slot_s) / min(seconds, slot_s))
        assert performance.lines[number].speech_s == best


def test_a_take_is_as_long_as_its_speech(model, voices):
    performance, _ = all_takes(SCRIPT, voices, model)
    line = performance.lines[0]
    assert line.speech_s == pytest.approx(line.take.codes.seconds, abs=0.03), "the silence behind it is none"
    assert speech_seconds(None, line.take.codes) == line.take.codes.seconds
    performance, _ = all_takes("[Ben] Good morning.", voices, model)
    assert performance.lines[0].speech_s is None and performance.lines[0].tries == 1


def test_only_takes_that_pass_are_chosen_from(model, voices):
    _, told = all_takes("[Anna] [fit: 1s] Hi there.", voices, model)
    by_seed = sorted(told, key=lambda one: one.take.seed)
    nearest = min(told, key=lambda one: abs(one.speech_s - 1.0))
    judged = Judge(lambda n: told[n].take.seed != nearest.take.seed)
    found = spoken("[Anna] [fit: 1s] Hi there.", voices, model, verifier=judged).lines[0]
    assert found.take.seed != nearest.take.seed and found.passed and found.tries == len(by_seed)


def test_with_none_that_passes_more_are_spoken_and_the_most_right_is_kept(model, voices):
    judge = Judge(lambda n: n == 3)
    settings = RenderSettings(takes_per_slot=2, max_takes=6)
    found = spoken("[Anna] [fit: 1s] Hi there.", voices, model, settings, verifier=judge).lines[0]
    assert found.tries == 4 and found.passed
    found = spoken("[Anna] [fit: 1s] Hi there.", voices, model, settings, verifier=Judge(lambda n: False))
    assert found.lines[0].tries == 6 and found.failed


@pytest.mark.parametrize(
    ("script", "choose", "tries", "seed"),
    [("[Anna] {take=3} [fit: 1s] Hi.", {}, 1, 7), ("[Anna] [fit: 1s] Hi.", {1: 4}, 1, 8)],
)
def test_a_take_that_a_person_chose_is_the_only_one(model, voices, script, choose, tries, seed):
    found = spoken(script, voices, model, RenderSettings(choose=choose)).lines[0]
    assert (found.tries, found.take.seed) == (tries, seed)


def test_finished_takes_are_never_spoken_again(model, voices, keep):
    left = count()
    first, _ = all_takes(SCRIPT, voices, model, should_stop=lambda: next(left) > 25, **keep)
    there = len(keep["store"].list())
    assert not first.complete or there < 13
    second, told = all_takes(SCRIPT, voices, model, **keep)
    assert second.complete and sum(one.stored for one in told) == there and len(told) == 13
    third, told = all_takes(SCRIPT, voices, model, **keep)
    assert all(one.stored for one in told)
    assert [one.take.seed for one in third.lines] == [one.take.seed for one in second.lines]
    assert [one.speech_s for one in third.lines] == [one.speech_s for one in second.lines]


def test_a_locked_take_is_the_one(model, voices, keep):
    _, told = all_takes(SCRIPT, voices, model, **keep)
    locked = next(one for one in told if one.line.number == 0 and one.take.seed == 9)
    keep["store"].lock_take(locked.key)
    found = spoken(SCRIPT, voices, model, **keep).lines[0]
    assert found.key == locked.key and found.tries == 1


def test_takes_keep_their_keys(model, voices, keep):
    """The candidate of a slot is the take that the same line has without one."""
    spoken("[Anna] Hi there.", voices, model, RenderSettings(takes=6, max_takes=6), **keep)
    told = []
    spoken("[Anna] [fit: 1s] Hi there.", voices, model, on_take=told.append, **keep)
    assert len(told) == 6 and all(one.stored for one in told)


# ---- estimates, and what v3 is told of them --------------------------------------------------------------------------


def test_a_voice_speaks_as_fast_as_in_its_reference():
    words = "These are the words that are spoken in it."
    calm = calm_seconds(words)
    for pace in (0.8, 1.3):
        voice = Voice(random_codes(round(calm * pace * 25), seed=1), words)
        assert pace_of(voice) == pytest.approx(pace, abs=0.02)
    assert pace_of(Voice(description="An old man.")) == 1.0
    assert pace_of(Voice(random_codes(5000, seed=1), "Wrong.")) == 2.5


def lines_for(script, voices, model):
    job_lines = rendered(parse_script(script), voices, model, replace(SAMPLING, max_frames=2), codec=Tones()).lines
    return with_lengths([one.line for one in job_lines], parse_script(script), voices)


LONG = "The rain went on and on, and nobody wanted to go out."


def read_for(wanted_s, v3, voices, text=LONG, own=""):
    told = []
    settings = RenderSettings(takes_per_slot=4, max_takes=4)
    script = parse_script(f"[Anna] [fit: {wanted_s}s] {own} {text}")
    rendered(script, voices, v3, replace(SAMPLING, max_frames=3), settings, codec=Tones(), on_take=told.append)
    return [one.line.text for one in sorted(told, key=lambda one: one.take.seed)]


def test_v3_is_told_to_speak_faster_or_slower_where_tempo_is_not_enough(v3, voices):
    [line] = lines_for(f"[Anna] [fit: 3s] {LONG}", voices, v3)
    near = line.estimate_s
    assert read_for(round(near, 2), v3, voices) == [LONG] * 4, "tempo will do"
    fast, very = "<|prosody:speed_fast|>", "<|prosody:speed_very_fast|>"
    assert read_for(round(near / 1.25, 2), v3, voices) == [fast + LONG, very + LONG] * 2
    slow, very = "<|prosody:speed_slow|>", "<|prosody:speed_very_slow|>"
    assert read_for(round(near / 0.75, 2), v3, voices) == [slow + LONG, very + LONG] * 2
    own = "<|prosody:speed_slow|>" + LONG
    assert read_for(round(near / 1.25, 2), v3, voices, own) == [own] * 4, "it says its speed itself"


def test_a_take_that_is_wanted_is_read_as_it_was_among_the_others(v3, voices):
    [line] = lines_for(f"[Anna] [fit: 3s] {LONG}", voices, v3)
    wanted_s = round(line.estimate_s / 1.25, 2)
    texts = read_for(wanted_s, v3, voices)
    assert len(set(texts[:2])) == 2
    for take in (1, 2, 3):
        assert read_for(wanted_s, v3, voices, own=f"{{take={take}}}")[0] == texts[take - 1]


def test_models_that_do_not_act_on_tags_get_none(model, voices):
    told = []
    spoken(f"[Anna] [fit: 0.5s] {LONG}", voices, model, on_take=told.append)
    assert {one.line.text for one in told} == {LONG}


def test_tags_of_speed_are_in_the_keys_and_found_again(v3, voices, tmp_path):
    folder = make_v3_checkpoint(tmp_path / "higgs")
    keep = {
        "store": TakeStore(tmp_path / "takes"),
        "identity": model_identity(folder, device="cpu", dtype=torch.float32),
    }
    script = f"[Anna] [fit: 1s] {LONG}"
    first, told = all_takes(script, voices, v3, **keep)
    assert len({one.key.partition("-")[0] for one in told}) == 2, "lines of two texts"
    keep["store"].lock_take(told[-1].key)
    again, told = all_takes(script, voices, v3, **keep)
    assert len(told) == 1 and told[0].stored


def test_pieces_share_a_slot_by_their_estimates(v3, voices):
    text = "A sentence of some length. " * 10 + "Short."
    script = parse_script(f"[Anna] [slot 0s-20s] {text}")
    settings = RenderSettings(max_chars=260, takes_per_slot=1)
    made = rendered(script, voices, v3, replace(SAMPLING, max_frames=3), settings, codec=Tones())
    shares = [(one.line.slot_s, one.line.estimate_s) for one in made.lines]
    assert len(shares) == 2 and sum(slot for slot, _ in shares) == pytest.approx(20 - 0.45)
    assert shares[0][0] / shares[1][0] == pytest.approx(shares[0][1] / shares[1][1], rel=1e-3)
    assert with_pace(made.lines[0].line, 0, TempoLimits(0.5, 2.0)) is made.lines[0].line


# ---- the table, one line, and what can go wrong ----------------------------------------------------------------------


def test_the_table_says_what_was_taken_and_done(model, voices):
    performance, _ = all_takes(SCRIPT, voices, model)
    rows = planned_fits(performance)
    assert [row.line for row in rows] == [0, 2] and [row.slot_s for row in rows] == [1.0, 0.6]
    for row in rows:
        assert row.residual_s == pytest.approx(performance.lines[row.line].speech_s - row.slot_s)
        assert row.seeds == (performance.lines[row.line].take.seed,) and row.tries == (6,)
        assert 0.9 <= row.speed <= 1.15 and row.done and row.estimate_s > 0
    lines = describe_fits(rows).split("\n")
    assert len(lines) == 4 and "of 2 lines are within 5 %" in lines[0] and "what was done" in lines[1]
    assert describe_fits(planned_fits(spoken("[Ben] Hi.", voices, model))) == ""


def test_one_line_for_so_many_seconds(model, voices):
    speaker = LocalSpeaker(model, Tones())
    told = []
    found = fit_line(
        "Hi there.", 0.8, voices["Anna"], speaker, Tones(), sampling=SAMPLING, events=Told(on_take=told.append)
    )
    assert len(told) == 4 and found.row.slot_s == 0.8
    assert found.clip.seconds == pytest.approx(found.row.length_s, abs=0.001)
    best = min((one.speech_s for one in told), key=lambda seconds: max(seconds, 0.8) / min(seconds, 0.8))
    assert found.row.spoken_s == best


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 7200])
def test_seconds_that_no_line_has(model, voices, seconds):
    with pytest.raises(ScriptError, match="length is out of range"):
        fit_line("Hi.", seconds, voices["Anna"], LocalSpeaker(model, Tones()), Tones())


@pytest.mark.parametrize("text", ["", "  ", "…"])
def test_no_words_are_no_line(model, voices, text):
    with pytest.raises(ScriptError):
        fit_line(text, 1.0, voices["Anna"], LocalSpeaker(model, Tones()), Tones())


def test_a_line_that_is_stopped_before_it_is_spoken(model, voices):
    with pytest.raises(AudioError, match="not spoken"):
        fit_line(
            "Hi.", 1.0, voices["Anna"], LocalSpeaker(model, Tones()), Tones(), events=Told(should_stop=lambda: True)
        )


def test_both_a_slot_and_a_length():
    with pytest.raises(ScriptError, match="a slot and a length"):
        parse_script("[Anna] [slot 1s-2s] [fit: 1s] Hi.")


@pytest.mark.parametrize("settings", [{"takes_per_slot": 0}, {"slowest": 1.2}, {"fastest": 0.8}, {"slowest": 0.1}])
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError):
        RenderSettings(**settings)


def test_the_editor_warns_of_too_little_time():
    [warning] = parse_script(f"[Anna] [fit: 0.5s] {LONG}").warnings
    assert "has 0.5 s" in warning.message and "of its 53 characters" in warning.message
    assert parse_script(f"[Anna] [fit: 4s] {LONG}").warnings == ()
