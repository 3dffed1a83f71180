"""A script spoken by a server: the codes of this computer from `higgs serve`, many lines at once, stored, cancelled."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
import torch
from helpers_codec import sound_clip
from helpers_remote import Stub
from helpers_rendering import Told, job_of, rendered
from helpers_serve import load_pair, make_pair, serving
from helpers_workflow import node_classes, node_inputs, pack_module

from higgs_runtime import (
    AudioClip,
    PromptError,
    RenderSettings,
    Sampling,
    ScriptError,
    SettingError,
    TakeStore,
    Voice,
    load_codec,
    parse_script,
    render,
)
from higgs_runtime.errors import RemoteError
from higgs_runtime.remote import call
from higgs_runtime.remote.client import Remote
from higgs_runtime.remote.servers import SERVERS
from higgs_runtime.remote.speaker import RemoteSpeaker

SCRIPT = parse_script("[Anna] Good morning.\n[Ben] {temperature=0.9} Good morning to you.\n[Anna] {take=2} And now?")
SAMPLING = Sampling(temperature=1.0, seed=5, max_frames=12)
AS_WRITTEN = RenderSettings(prepare=False, batch=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(call, "FIRST_WAIT_S", 0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    make_pair(folder)
    return folder


@pytest.fixture(scope="module")
def codec(folder):
    return load_codec(folder / "codec")


@pytest.fixture(scope="module")
def voices(codec):
    return {name: Voice(codec.encode(sound_clip(s)), f"Words of {name}.") for name, s in (("Anna", 0.5), ("Ben", 0.6))}


@pytest.fixture
def stub():
    with Stub("SGLang-Omni") as stub:
        yield stub


def spoken(url, codec, voices, *, kind="SGLang-Omni", script=SCRIPT, settings=AS_WRITTEN, store=None, model="", **told):
    remote = Remote(SERVERS[kind], url, model, retries=0)
    return render(job_of(script, voices, SAMPLING, settings, store), RemoteSpeaker(remote, codec), Told(**told))


def test_higgs_serve_speaks_the_takes_of_this_computer(folder, codec, voices):
    pair, states = load_pair(folder), []
    here = rendered(SCRIPT, voices, pair[0], SAMPLING, AS_WRITTEN)
    with serving(pair) as server:
        there = spoken(
            f"{server.url}/v1",
            codec,
            voices,
            kind="higgs serve",
            on_line=lambda line, state, seconds: states.append((line.number, state, seconds)),
        )
    assert there.complete and [one.line for one in there.lines] == [one.line for one in here.lines]
    for one, other in zip(here.lines, there.lines, strict=True):
        assert torch.equal(one.take.codes.ids, other.take.codes.ids) and one.take.seed == other.take.seed
        assert one.take.finish_reason == other.take.finish_reason
    for number in range(3):
        mine = [(state, seconds) for line, state, seconds in states if line == number]
        assert mine[0] == ("queued", 0.0) and mine[1] == ("speaking", 0.0) and mine[-1][0] == "spoken"
        assert [seconds for _, seconds in mine] == sorted(seconds for _, seconds in mine) and mine[-1][1] == 0.48


def test_what_is_asked_for_and_sound_becomes_codes(stub, codec, voices):
    made = spoken(stub.url, codec, voices)
    sound = torch.frombuffer(bytearray(stub.sound), dtype=torch.int16)[None].float() / 32767
    for one in made.lines:
        assert torch.equal(one.take.codes.ids, codec.encode(AudioClip(sound, 24_000)).ids)
    bodies = {body["input"]: body for body in stub.bodies}
    assert [bodies[turn.text]["seed"] for turn in SCRIPT.turns] == [5, 5, 6]
    assert bodies["Good morning to you."]["temperature"] == 0.9
    assert [bodies[turn.text]["references"][0]["text"] for turn in SCRIPT.turns] == [
        f"Words of {name}." for name in ("Anna", "Ben", "Anna")
    ]


def test_a_line_that_has_a_length_is_asked_for_several_times_side_by_side(stub, codec, voices):
    script = parse_script("[Anna] [fit: 1s] Good morning.\n[Ben] Good morning to you.")
    made = spoken(stub.url, codec, voices, script=script, settings=replace(AS_WRITTEN, takes_per_slot=3))
    asked = sorted(body["seed"] for body in stub.bodies if body["input"] == "Good morning.")
    assert asked == [5, 6, 7] and [one.tries for one in made.lines] == [3, 1]
    assert made.lines[0].speech_s and made.tempo == RenderSettings().tempo


@pytest.mark.parametrize("batch, at_once", [(1, 1), (2, 2), (8, 3)])
def test_lines_are_asked_for_side_by_side(stub, codec, voices, monkeypatch, batch, at_once):
    now, most, lock = 0, 0, threading.Lock()
    speak = Remote.speak

    def counted(self, *args, **more):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            return speak(self, *args, **more)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(Remote, "speak", counted)
    stub.pause_s = 0.1  # a line takes half a second
    assert spoken(stub.url, codec, voices, settings=RenderSettings(prepare=False, batch=batch)).complete
    assert most == at_once


def test_what_is_stored_is_not_asked_for_again(stub, codec, voices, tmp_path):
    store = TakeStore(tmp_path)
    first = spoken(stub.url, codec, voices, store=store)
    assert len(stub.bodies) == 3 and not any(one.stored for one in first.lines)
    again = spoken(stub.url, codec, voices, store=store)
    assert len(stub.bodies) == 3 and all(one.stored for one in again.lines)
    changed = parse_script(str(SCRIPT).replace("Good morning.", "Good evening."))
    spoken(stub.url, codec, voices, script=changed, store=store)
    assert [body["input"] for body in stub.bodies[3:]] == ["Good evening."]
    spoken(stub.url, codec, voices, store=store, settings=RenderSettings(prepare=False, takes=2))
    assert sorted(body["seed"] for body in stub.bodies[4:]) == [6, 6, 7], "the second takes"
    spoken(stub.url, codec, voices, store=store, model="another")
    assert len(stub.bodies) == 10, "another model on that server"
    other = {**voices, "Anna": Voice(voices["Ben"].codes, voices["Anna"].transcript)}
    spoken(stub.url, codec, other, store=store)
    assert len(stub.bodies) == 12, "another voice of two lines"


def test_a_stop_leaves_the_server_and_keeps_what_is_whole(stub, codec, voices, tmp_path):
    store, done = TakeStore(tmp_path), []
    stub.pause_s, stub.pieces = 0.05, 20
    made = spoken(
        stub.url,
        codec,
        voices,
        settings=RenderSettings(prepare=False, batch=1),
        store=store,
        on_line=lambda line, state, _: done.append(line.number) if state == "spoken" else None,
        should_stop=lambda: bool(done),
    )
    assert done == [0] and [one.take is not None for one in made.lines] == [True, False, False]
    assert len(store.list()) == 1


def test_a_stop_in_the_midst_of_a_line(stub, codec, voices, tmp_path):
    store, heard = TakeStore(tmp_path), []
    stub.pause_s, stub.pieces = 1.0, 20
    began = time.monotonic()
    made = spoken(
        stub.url,
        codec,
        voices,
        store=store,
        on_line=lambda line, state, seconds: heard.append(seconds),
        should_stop=lambda: any(heard),
    )
    assert time.monotonic() - began < 15, "of 20 s"
    assert not any(one.take for one in made.lines) and store.list() == [] and stub.left.wait(10)


def test_one_line_that_fails_ends_the_render_and_the_others_are_stored(stub, codec, voices, tmp_path):
    store = TakeStore(tmp_path)
    stub.failures = [None, 400]
    with pytest.raises(RemoteError, match="this is status 400"):
        spoken(stub.url, codec, voices, store=store, settings=RenderSettings(prepare=False, batch=1))
    assert len(store.list()) == 1 and len(stub.bodies) == 2


def test_what_a_server_cannot_be_asked_for_is_said_before_the_first_line(codec, voices):
    with Stub("Boson AI") as stub:
        long = parse_script("[Anna] Short.\n\n[Ben] " + "word " * 1200)
        with pytest.raises(PromptError, match="Line 3 of the script: The text is too long for Boson AI"):
            spoken(
                stub.url,
                codec,
                voices,
                kind="Boson AI",
                script=long,
                settings=RenderSettings(prepare=False, max_chars=10_000),
            )
        with pytest.raises(SettingError, match="does not go on from earlier lines"):
            spoken(stub.url, codec, voices, kind="Boson AI", settings=RenderSettings(mode="continuous"))
        with pytest.raises(ScriptError, match="none for Ben"):
            spoken(stub.url, codec, {"Anna": voices["Anna"]}, kind="Boson AI")
        assert stub.bodies == []


def test_what_it_does_not_take_is_a_warning_of_the_performance(stub, codec, voices):
    scene = parse_script("# Scene: a quiet hall\n\n[Anna] Good morning.\n[Ben] And to you.")
    made = spoken(stub.url, codec, voices, script=scene)
    assert made.complete and [one for one in made.warnings if "no scene" in one] == [
        "SGLang-Omni takes no scene and no system message; left out."
    ]


def test_render_script_speaks_through_a_remote_model(folder, stub, handles, runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path))
    [remote] = (
        node_classes()["HiggsRemoteModel"]
        .execute(server="SGLang-Omni", url=stub.url, model="", voice="", key_variable="")
        .args
    )
    defaults = {
        name: options["default"]
        for name, (_, options) in node_inputs("HiggsRenderScript").items()
        if "default" in options
    }
    codec = runtime.load_codec(folder / "codec")
    voice = runtime.Voice(codec.encode(runtime.AudioClip(sound_clip(0.5).samples, 24_000)), "Words.")
    values = {**defaults, "recognizer": "none", "live": False, "voice_0": voice}

    def run(**more):
        return (
            node_classes()["HiggsRenderScript"]
            .execute(
                script=runtime.parse_script("[Anna] Hello.\n[Anna] And goodbye."),
                model=remote,
                codec=handles.ModelHandle("codec", str(folder / "codec")),
                **{**values, **more},
            )
            .args
        )

    made, report = run()
    assert made.complete and "2 of 2 lines, 2.0 s of speech; 0 from the store, 2 spoken now" in report
    assert len(stub.bodies) == 2
    assert "2 from the store" in run()[1] and len(stub.bodies) == 2
    with pytest.raises(pack_module("errors").SettingError, match="needs a model on this computer"):
        run(cluster="local")
