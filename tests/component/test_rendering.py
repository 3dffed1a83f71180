"""Scripts into takes: each line alone or in context, from the store or spoken, again where listening says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_rendering import rendered
from helpers_rendering_processes import QUICK, render, render_again_and_again

from higgs_runtime import (
    PromptError,
    RenderSettings,
    Sampling,
    ScriptError,
    SettingError,
    TakeStore,
    Voice,
    build_prompt,
    conversation,
    generate,
    load_model,
    parse_script,
)
from higgs_runtime.generation import session as session_module
from higgs_runtime.takes import model_identity
from higgs_runtime.verification import Verdict, silence_stop

SCRIPT = """# Scene: a quiet room

[Anna] Good morning, Ben.
[Ben] {temperature=0.9} Good morning. Did you sleep?
[Anna] {take=2} Not much.

The rain went on.

# Scene: the harbour

[Ben] {seed=11} So many boats!
[Anna] Nine of them.
"""
posix = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and forkserver")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.0)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def identity(folder):
    return model_identity(folder, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def voices():
    anna, ben = (Voice(random_codes(9 + n, seed=n), f"What voice {n} says.") for n in (1, 2))
    return {"Anna": anna, "Ben": ben, "Narrator": Voice(description="An old man, slow.")}


@pytest.fixture
def store(tmp_path):
    return TakeStore(tmp_path / "takes")


class Judge:
    """In place of verifier: passes a take by its seed."""

    judge = "a judge"

    def __init__(self, passes):
        self.passes, self.heard = passes, []

    def hear(self, line, codes):
        self.heard.append(line.number)
        good = self.passes(line, len([n for n in self.heard if n == line.number]))
        return Verdict(
            good,
            0.0 if good else 0.5,
            0.0 if good else 0.5,
            None,
            codes.seconds,
            "heard",
            () if good else ("the words differ",),
        )


def ids(performance):
    return [spoken.take.codes.ids.tolist() for spoken in performance.lines]


def test_a_line_is_what_generate_makes_of_its_voice_scene_and_settings(model, voices):
    found = rendered(parse_script(SCRIPT), voices, model, QUICK)
    assert [spoken.line.speaker for spoken in found.lines] == ["Anna", "Ben", "Anna", "Narrator", "Ben", "Anna"]
    assert [spoken.take.seed for spoken in found.lines] == [5, 5, 6, 5, 11, 5]
    own = {1: {"temperature": 0.9}, 2: {"seed": 6}, 4: {"seed": 11}}
    for spoken in found.lines:
        n, turn = spoken.line.number, found.script.turns[spoken.line.turn]
        messages = conversation(turn.text, [voices[spoken.line.speaker]], scene=turn.scene)
        [alone] = generate(model, [build_prompt(messages, model.tokenizer)], replace(QUICK, **own.get(n, {})))
        assert torch.equal(alone.codes.ids, spoken.take.codes.ids)
    assert found.complete and "6 of 6 lines" in found.summary() and found.table().count("\n") == 6


@pytest.mark.parametrize("mode", ["independent", "continuous"])
def test_rows_side_by_side_change_nothing(model, voices, mode):
    wide, narrow = (
        rendered(parse_script(SCRIPT), voices, model, QUICK, RenderSettings(mode=mode, batch=batch)) for batch in (8, 1)
    )
    assert ids(wide) == ids(narrow)


def test_in_continuous_mode_a_line_hears_the_turns_before_it_in_its_scene(model, voices):
    settings = RenderSettings(mode="continuous", context_turns=2)
    found = rendered(parse_script(SCRIPT), voices, model, QUICK, settings)
    first, second = (
        ids(rendered(parse_script(part), voices, model, QUICK, settings))
        for part in SCRIPT.split("# Scene: the harbour")
    )
    assert ids(found)[:4] == first, "what comes later, or elsewhere, does not matter"
    assert ids(found)[4:] != second, "the other half without its scene is another text"
    alone = rendered(parse_script(SCRIPT), voices, model, QUICK)
    assert ids(found)[0] != ids(alone)[0], "it knows both voices of the scene"
    changed = parse_script(SCRIPT.replace("So many boats!", "So few boats!"))
    after = rendered(changed, voices, model, QUICK, settings)
    assert ids(after)[:4] == ids(found)[:4] and ids(after)[5] != ids(found)[5]


def test_the_window_of_turns_slides_and_stays_within_the_model(model, voices, monkeypatch):
    from higgs_runtime.rendering import line_by_line

    heard, real = [], line_by_line.in_context

    def seen(line, voices, cast, before):
        heard.append(len(before))
        return real(line, voices, cast, before)

    monkeypatch.setattr(line_by_line, "in_context", seen)
    script = parse_script("\n".join(f"[Anna] This is line {n}." for n in range(12)))
    settings = RenderSettings(mode="continuous", context_turns=3)
    whole = rendered(script, voices, model, QUICK, settings)
    assert whole.complete and heard == [0, 1, 2, 3, 4, 5, 3, 4, 5, 3, 4, 5]
    del heard[:]
    monkeypatch.setattr(model, "config", replace(model.config, max_positions=180))
    monkeypatch.setattr(model.tokenizer, "config", model.config)
    assert rendered(script, voices, model, QUICK, settings).complete
    assert min(heard[4:]) < 3, "fewer turns where there is no room for more"


def test_a_long_turn_is_spoken_in_pieces(model, voices):
    text = "One sentence is here. Another one is there. And a third one follows."
    found = rendered(parse_script(f"[Anna] {text}"), voices, model, QUICK, RenderSettings(max_chars=25))
    assert [spoken.line.text for spoken in found.lines] == [
        "One sentence is here.",
        "Another one is there.",
        "And a third one follows.",
    ]
    assert {spoken.line.turn for spoken in found.lines} == {0}


def test_no_take_is_longer_than_its_text_can_be(folder, voices):
    endless = load_model(make_lm_checkpoint(folder.parent / "endless", stream_end=0))
    [short, long] = rendered(
        parse_script("[Anna] Yes.\n[Anna] " + "A much longer line it is. " * 4),
        voices,
        endless,
        Sampling(temperature=1.0, max_frames=300),
    ).lines
    assert short.take.finish_reason == long.take.finish_reason == "length"
    assert 25 < short.take.codes.frames < 100 < long.take.codes.frames <= 300


@pytest.mark.slow
def test_a_second_run_speaks_only_what_changed(model, voices, store, identity):
    """One of 200."""
    lines = [f"[{('Anna', 'Ben')[n % 2]}] This is line number {n}." for n in range(200)]
    keep, short = {"store": store, "identity": identity}, replace(QUICK, max_frames=2)
    first = rendered(parse_script("\n".join(lines)), voices, model, short, **keep)
    lines[7] = "[Ben] This one is new."
    told = []
    again = rendered(
        parse_script("\n".join(lines)),
        voices,
        model,
        short,
        **keep,
        on_line=lambda line, state, seconds: told.append((line.number, state)),
    )
    assert [spoken.line.number for spoken in again.lines if not spoken.stored] == [7]
    assert {number for number, state in told if state == "speaking"} == {7}
    assert ids(again)[:7] + ids(again)[8:] == ids(first)[:7] + ids(first)[8:]


def test_a_line_that_is_written_twice_is_spoken_once(model, voices, store, identity):
    found = rendered(
        parse_script("[Anna] Yes.\n[Ben] No.\n[Anna] Yes."), voices, model, QUICK, store=store, identity=identity
    )
    assert len(store.list()) == 2 and ids(found)[0] == ids(found)[2]
    assert [spoken.stored for spoken in found.lines] == [False, False, True]


def test_lines_that_do_not_pass_are_spoken_again_and_the_best_take_counts(model, voices, store, identity):
    judge = Judge(lambda line, heard: line.number != 1 and heard > 1)
    found = rendered(
        parse_script(SCRIPT),
        voices,
        model,
        QUICK,
        RenderSettings(max_takes=3),
        verifier=judge,
        store=store,
        identity=identity,
    )
    assert [spoken.tries for spoken in found.lines] == [2, 3, 2, 2, 2, 2]
    assert [spoken.take.seed for spoken in found.lines] == [6, 5, 7, 6, 12, 6]
    assert [spoken.line.number for spoken in found.failed] == [1]
    assert "Line 2 (Ben): the words differ" in found.summary()
    before = len(judge.heard)
    again = rendered(
        parse_script(SCRIPT),
        voices,
        model,
        QUICK,
        RenderSettings(max_takes=3),
        verifier=judge,
        store=store,
        identity=identity,
    )
    assert ids(again) == ids(found) and len(judge.heard) == before, "verdicts are stored, too"


def test_a_fixed_number_of_takes(model, voices):
    judge = Judge(lambda line, heard: heard == 2)
    found = rendered(
        parse_script("[Anna] One line."), voices, model, QUICK, RenderSettings(takes=4, max_takes=4), verifier=judge
    )
    assert judge.heard == [0] * 4 and found.lines[0].take.seed == 6


class GuardThatEnds:
    """In place of RepetitionGuard: ends the first so many takes at once."""

    def __init__(self, takes: int):
        self.left = takes

    def __call__(self):
        self.left -= 1
        ends = self.left >= 0
        return SimpleNamespace(repeats=lambda frames: ends)


@pytest.mark.parametrize("judge", [None, Judge(lambda *_: True)], ids=["nobody listens", "a verifier"])
def test_a_take_that_repeats_itself_is_spoken_again(model, voices, monkeypatch, judge):
    script = parse_script("[Anna] One line.")
    for stuck, seed in ((0, 5), (1, 6), (2, 7)):
        monkeypatch.setattr(session_module, "RepetitionGuard", GuardThatEnds(stuck))
        [line] = rendered(script, voices, model, QUICK, verifier=judge).lines
        assert (line.take.seed, line.tries) == (seed, stuck + 1) and line.take.finish_reason != "repeating"
    monkeypatch.setattr(session_module, "RepetitionGuard", GuardThatEnds(9))
    found = rendered(script, voices, model, QUICK, verifier=judge)
    assert found.lines[0].tries == 3 and "repeat themselves, in all takes: line 1" in found.summary()
    assert judge is None or "repeats itself" in found.lines[0].verdict.reasons[-1]


def test_a_locked_take_is_the_one(model, voices, store, identity):
    script, keep = parse_script("[Anna] One line."), {"store": store, "identity": identity}
    second = rendered(script, voices, model, replace(QUICK, seed=6), **keep).lines[0]
    store.lock_take(second.key)
    found = rendered(script, voices, model, QUICK, **keep, verifier=Judge(lambda *_: False)).lines[0]
    assert found.key == second.key and found.stored and found.tries == 1


def test_stopping_keeps_what_is_spoken(model, voices, store, identity):
    done = []
    found = rendered(
        parse_script(SCRIPT),
        voices,
        model,
        QUICK,
        RenderSettings(batch=1),
        store=store,
        identity=identity,
        on_line=lambda line, state, seconds: done.append(line.number) if state == "spoken" else None,
        should_stop=lambda: len(done) == 2,
    )
    assert [spoken.take is not None for spoken in found.lines] == [True, True, False, False, False, False]
    assert not found.complete and "2 of 6 lines" in found.summary() and "not spoken" in found.table()
    assert len(store.list()) == 2
    whole = rendered(parse_script(SCRIPT), voices, model, QUICK, store=store, identity=identity)
    assert [spoken.stored for spoken in whole.lines] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    "text, error, match",
    [
        ("[Carl] Who am I?", ScriptError, "none for Carl"),
        ("[Anna] Fine.\n[Anna] " + "Too long a line. " * 2000, PromptError, "Line 2 of the script.*longer"),
    ],
)
def test_what_cannot_be_spoken_is_said_before_anything_is(model, voices, text, error, match):
    told = []
    with pytest.raises(error, match=match):
        rendered(
            parse_script(text),
            voices,
            model,
            QUICK,
            RenderSettings(max_chars=100_000),
            on_line=lambda *event: told.append(event),
        )
    assert not told


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "both"},
        {"context_turns": 0},
        {"max_chars": 3},
        {"takes": 0},
        {"takes": 3, "max_takes": 2},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError):
        RenderSettings(**settings)


def test_a_store_needs_an_identity(model, voices, store):
    with pytest.raises(SettingError, match="identity"):
        rendered(parse_script("[Anna] Yes."), voices, model, store=store)


# ---- several processes, and one that dies --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def context():
    """Of processes that have everything imported when they start."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["higgs_runtime.speech", "helpers_rendering_processes"])
    return found


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_a_silent_line_ends_at_the_same_frame_in_any_company(folder, identity, voices, store, monkeypatch, batch):
    model = load_model(folder, dtype=torch.float64)  # in float32 another company may turn a draw of a random model
    script, sampling = parse_script(SCRIPT), Sampling(temperature=1.0, max_frames=40)
    whole = [spoken.take.codes.ids for spoken in rendered(script, voices, model, sampling).lines]
    entries = frozenset(whole[0][0, 7:12].tolist())  # as if these were silence; in 0.2 s there are 5 frames
    monkeypatch.setattr(silence_stop, "silent_entries", lambda codec: entries)
    settings = RenderSettings(silence_s=0.2, batch=batch)

    def spoken_now():
        return rendered(
            script,
            voices,
            model,
            sampling,
            settings,
            store=store,
            identity=identity,
            codec=SimpleNamespace(frame_rate=25.0),
        )

    made = spoken_now()
    for spoken, ids in zip(made.lines, whole, strict=True):
        silent = [entry in entries for entry in ids[0].tolist()]
        ends = [end for end in range(5, len(silent) + 1) if all(silent[end - 5 : end])]
        assert torch.equal(spoken.take.codes.ids, ids[:, : ends[0] if ends else None])
    assert made.lines[0].take.codes.frames <= 12 < whole[0].shape[1]
    assert all(spoken.stored for spoken in spoken_now().lines)
    without = rendered(script, voices, model, sampling, store=store, identity=identity)
    assert not any(spoken.stored for spoken in without.lines), "another ending is another take"


def test_silence_is_known_by_a_codec(model, voices):
    with pytest.raises(SettingError, match="codec"):
        rendered(parse_script(SCRIPT), voices, model, settings=RenderSettings(silence_s=2.0))
    with pytest.raises(SettingError, match="silence_s"):
        RenderSettings(silence_s=0.0)


@posix
@pytest.mark.slow
def test_a_render_that_is_killed_goes_on_with_no_line_lost_or_doubled(folder, tmp_path, context):
    takes, random = tmp_path / "takes", torch.Generator().manual_seed(0)
    ours, theirs = context.Pipe()
    nursery = context.Process(target=render_again_and_again, args=(folder, takes, theirs))
    nursery.start()
    expected, codes = [], []
    try:
        for number in range(20):
            ours.send(True)
            child, before = ours.recv(), len(TakeStore(takes).list())
            while not ours.poll(0.002) and len(TakeStore(takes).list()) == before:  # it speaks
                pass
            time.sleep(float(torch.rand((), generator=random)) * 0.02 * (number % 2))  # or a quick one has done all
            with suppress(ProcessLookupError):  # it was faster
                os.kill(child, signal.SIGKILL)
            codes.append(ours.recv())
            expected.append(len(TakeStore(takes).list()))
    finally:
        nursery.kill()
    assert codes.count(-signal.SIGKILL) >= 5, "they were caught at work"
    assert expected == sorted(expected), "no take goes away"
    out = context.Queue()
    render(folder, takes, out)
    _, resumed = out.get(timeout=60)
    render(folder, tmp_path / "fresh", out)
    spoken, fresh = out.get(timeout=60)
    assert resumed == fresh and sorted(spoken) == list(range(40))
    assert len(TakeStore(takes).list()) == 40


@posix
@pytest.mark.slow
def test_two_processes_share_the_lines_of_a_script(folder, tmp_path, context):
    out = context.Queue()
    children = [context.Process(target=render, args=(folder, tmp_path / "takes", out)) for _ in range(2)]
    for child in children:
        child.start()
    (one, first), (other, second) = (out.get(timeout=300) for _ in children)
    for child in children:
        child.join()
    assert first == second
    assert sorted(one + other) == list(range(40)), "each line was spoken once, by one of them"
