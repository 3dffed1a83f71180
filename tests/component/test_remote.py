"""Servers elsewhere: what each is sent, retries, cancelling, keys; `higgs serve` gives the codes of this computer."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers_checkpoint import random_codes
from helpers_codec import sound_clip
from helpers_remote import FORMS, KEY, Stub
from helpers_serve import load_pair, serving, spoken_alone

from higgs_runtime import (
    AudioError,
    Message,
    MissingExtraError,
    PromptError,
    Sampling,
    SettingError,
    Voice,
    conversation,
)
from higgs_runtime.errors import RemoteError
from higgs_runtime.remote import call, client as remote
from higgs_runtime.remote.client import Remote
from higgs_runtime.remote.servers import SERVERS, request_body

TEXT = "Good morning to you."
SAMPLING = Sampling(seed=7, temperature=0.8, top_k=40, top_p=0.9, ras_window=3, max_frames=100)
KINDS = sorted(FORMS)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(call, "FIRST_WAIT_S", 0.01)


@pytest.fixture(params=KINDS)
def stub(request):
    with Stub(request.param) as stub:
        yield stub


def ask(stub: Stub, messages=None, sampling=SAMPLING, *, sound_of=None, on_seconds=None, should_stop=None, **more):
    asked = Remote(SERVERS[stub.kind], stub.url, **{"key": KEY, **more})
    return asked.speak(
        messages or conversation(TEXT), sampling, sound_of=sound_of, on_seconds=on_seconds, should_stop=should_stop
    )


def with_voice():
    return conversation(TEXT, [Voice(random_codes(25), "What the clip says.")])


# --- what each server is sent ---------------------------------------------------------------------------------------


def test_the_table_has_a_form_for_each():
    assert set(SERVERS) == {*FORMS, "higgs serve"}


def test_a_line_in_the_form_of_the_documentation(stub):
    heard = []
    take = ask(stub, on_seconds=heard.append)
    assert take.codes is None and (take.clip.sample_rate, take.clip.channels, take.tries) == (24_000, 1, 1)
    sent = np.frombuffer(stub.sound, "<i2") / 32767
    assert np.abs(take.clip.samples[0].numpy() - sent).max() < 1e-6
    assert len(heard) > 1 and heard[-1] == take.audio_s == 1 and heard == sorted(heard)
    [body] = stub.bodies
    assert body["input"] == TEXT and body.get("voice") == ("default" if stub.kind == "SGLang-Omni" else None)
    assert body["model"] == ("higgs-tts-3" if stub.kind == "Boson AI" else "bosonai/higgs-audio-v3-tts-4b")


def test_a_clip_to_sound_like(stub):
    take = ask(stub, with_voice(), sound_of=lambda codes: sound_clip(codes.seconds))
    assert take.audio_s == 1
    [body] = stub.bodies
    one = body["references"][0] if stub.kind == "SGLang-Omni" else body
    assert one["text" if stub.kind == "SGLang-Omni" else "ref_text"] == "What the clip says."
    assert body.get("voice") == ("default" if stub.kind == "SGLang-Omni" else None), "it refuses clips without a voice"


def test_names_of_voice_and_model(stub):
    ask(stub, voice="jake", model="higgs-audio-v3-tts")
    assert (stub.bodies[0]["voice"], stub.bodies[0]["model"]) == ("jake", "higgs-audio-v3-tts")


EXPECTED = {
    "vLLM-Omni": {"seed": 7, "max_new_tokens": 107},
    "SGLang-Omni": {"seed": 7, "max_new_tokens": 107, "temperature": 0.8, "top_k": 40, "top_p": 0.9},
    "Boson AI": {},
}


def test_settings_that_a_server_takes_are_sent_and_the_others_are_named(stub):
    take = ask(stub)
    names = {"seed", "max_new_tokens", "temperature", "top_k", "top_p", "ras_window", "max_frames"}
    assert {name: value for name, value in stub.bodies[0].items() if name in names} == EXPECTED[stub.kind]
    [note] = take.notes
    lost = {
        "vLLM-Omni": "temperature, top_k, top_p, ras_window",
        "SGLang-Omni": "ras_window",
        "Boson AI": "temperature, top_k, top_p, seed, ras_window, max_frames",
    }
    assert f"takes no {lost[stub.kind]}; its own settings count" in note


def test_what_is_left_to_the_model_is_as_it_was_released(stub):
    """SGLang-Omni's own defaults are 0.8, 0.8 and 30, whatever the model."""
    ask(stub, sampling=Sampling(seed=7, max_frames=100))
    sent = {name: stub.bodies[0][name] for name in ("temperature", "top_k", "top_p") if name in stub.bodies[0]}
    assert sent == ({"temperature": 0.8, "top_k": 50, "top_p": 0.95} if stub.kind == "SGLang-Omni" else {})
    body, _ = request_body(SERVERS["higgs serve"], conversation(TEXT), Sampling(top_k=7))
    assert body["top_k"] == 7 and not {"temperature", "top_p", "ras_window"} & set(body), "it knows its model"


def test_seeds_and_lengths_that_a_server_does_not_know_are_brought_into_its_range(stub):
    """ComfyUI draws seeds up to 2^64 - 1."""
    take = ask(stub, sampling=Sampling(seed=2**64 - 1, max_frames=3000))
    [body] = stub.bodies
    assert body.get("seed") == {"vLLM-Omni": 2**63 - 1, "SGLang-Omni": 2**64 - 1}.get(stub.kind)
    assert body.get("max_new_tokens") == {"vLLM-Omni": 3007, "SGLang-Omni": 2048}.get(stub.kind)
    assert any("seeds below" in note for note in take.notes) == (stub.kind == "vLLM-Omni")
    assert any("at most 82 s" in note for note in take.notes) == (stub.kind == "SGLang-Omni")


def test_a_scene_is_left_out_where_there_is_no_place_for_it(stub):
    take = ask(stub, conversation(TEXT, system="Sing.", scene="A quiet room."))
    assert any("no scene and no system message" in note for note in take.notes)


TURNS = [
    Message("system", "Speak."),
    Message("user", "Hello."),
    Message("assistant", random_codes(5)),
    Message("user", "And then?"),
]


@pytest.mark.parametrize(
    "kind, messages, words",
    [
        *((kind, TURNS, "go on from earlier turns") for kind in SERVERS),
        ("SGLang-Omni", conversation("[SPEAKER0] Hi.", [Voice(random_codes(5), "A.")]), "one voice at a time"),
        (
            "vLLM-Omni",
            conversation(TEXT, [Voice(random_codes(5), "A."), Voice(random_codes(5), "B.")]),
            "fewer references",
        ),
        ("Boson AI", conversation("a" * 5001), "too long"),
        ("SGLang-Omni", conversation("a" * 4097), "too long"),
        ("vLLM-Omni", [], "not one that can be sent"),
        ("vLLM-Omni", [Message("system", "A."), Message("assistant", random_codes(5))], "not one that can be sent"),
    ],
)
def test_what_a_server_cannot_be_asked_for_is_refused_here(kind, messages, words):
    with pytest.raises(PromptError, match=words):
        request_body(SERVERS[kind], messages, SAMPLING, sound_of=lambda codes: sound_clip(1))


def test_reference_codes_need_a_codec(stub):
    with pytest.raises(SettingError, match="Connect the codec"):
        ask(stub, with_voice())
    with pytest.raises(PromptError, match="exclude each other"):
        ask(stub, with_voice(), voice="jake")
    assert stub.bodies == []


def test_a_reference_that_is_too_large():
    with pytest.raises(PromptError, match="too large"):
        request_body(
            replace(SERVERS["Boson AI"], reference_bytes=40_000),
            with_voice(),
            SAMPLING,
            sound_of=lambda codes: sound_clip(codes.seconds),
        )


def test_the_rate_that_a_server_tells_counts():
    with Stub("SGLang-Omni") as stub:
        stub.rate = 48_000
        assert ask(stub).clip.sample_rate == 48_000


# --- higgs serve ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return load_pair(tmp_path_factory.mktemp("models"))


def test_higgs_serve_gives_the_codes_of_this_computer(pair):
    """Scene, system message, several voices, settings: the same prompt, and so the same codes."""
    from higgs_runtime import build_prompt, generate

    voices = [Voice(random_codes(20, seed=n), f"Words of voice {n}.") for n in range(2)]
    chosen = Sampling(seed=9, temperature=1.0, top_k=30, top_p=0.9, ras_window=5, ras_max_repeats=1, max_frames=20)
    heard = []
    with serving(pair, key=KEY) as server:
        asked = Remote(SERVERS["higgs serve"], server.url + "/v1", key=KEY)
        for messages in (
            conversation(TEXT),
            conversation(TEXT, voices[:1], scene="A quiet room.", system="Sing."),
            conversation("[SPEAKER0] Hi. [SPEAKER1] Ho.", voices, scene="A hall."),
        ):
            take = asked.speak(messages, chosen, on_seconds=heard.append)
            [alone] = generate(pair[0], [build_prompt(messages, pair[0].tokenizer)], chosen)
            assert torch.equal(take.codes.ids, alone.codes.ids) and take.finish_reason == alone.finish_reason
            assert take.clip is None and take.notes == () and heard[-1] == take.audio_s == 0.8
        with pytest.raises(RemoteError, match="longer than this server takes|too long"):
            asked.speak(conversation("word " * 4000), chosen)
        with pytest.raises(RemoteError, match="Check the key") as refused:
            Remote(SERVERS["higgs serve"], server.url + "/v1", key="wrong").speak(conversation(TEXT), chosen)
        assert refused.value.status == 401
        assert spoken_alone(pair[0], TEXT, max_frames=2).frames == 2


def test_leaving_higgs_serve_frees_the_row(pair):
    with serving(pair) as server:
        heard = []
        asked = Remote(SERVERS["higgs serve"], server.url + "/v1")
        take = asked.speak(
            conversation(TEXT), Sampling(max_frames=1500), on_seconds=heard.append, should_stop=lambda: len(heard) > 3
        )
        assert take.finish_reason == "cancelled" and 0 < take.codes.frames < 1000
        server.wait_for(lambda health: health["speaking"] == 0)
        assert server.frames() < 1400


# --- failures, and what is tried again ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failures", [[429], [500], [503, 502], ["drop"], ["break"], [(429, {"Retry-After": "0"}), "drop"]]
)
def test_what_may_pass_is_tried_again(failures):
    with Stub("SGLang-Omni") as stub:
        stub.failures = list(failures)
        take = ask(stub)
        assert take.tries == len(failures) + 1 == len(stub.bodies) and take.audio_s == 1, "only the last try counts"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 501])
def test_what_stays_is_not_tried_again(status):
    with Stub("SGLang-Omni") as stub:
        stub.failures = [status]
        with pytest.raises(RemoteError, match=f"this is status {status}") as refused:
            ask(stub)
        assert len(stub.bodies) == 1 and refused.value.status == status


@pytest.mark.parametrize(
    "failure, words", [(500, "status 500.*3 time"), ("drop", "did not answer.*3 time"), ("break", "did not answer")]
)
def test_tries_end(failure, words):
    with Stub("SGLang-Omni") as stub:
        stub.failures = [failure] * 9
        with pytest.raises(RemoteError, match=words):
            ask(stub, retries=2)
        assert len(stub.bodies) == 3


def test_the_wait_that_a_server_asks_for_is_kept(monkeypatch):
    with Stub("SGLang-Omni") as stub:
        stub.failures = [(429, {"Retry-After": "1"})]
        started = time.monotonic()
        assert ask(stub).tries == 2 and time.monotonic() - started >= 1


def test_pauses_grow():
    assert call._pause(1) < call._pause(3) < call._pause(6) and call._pause(60) <= 1.25 * call.LONGEST_WAIT_S


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RemoteError, match=f"did not answer.*127.0.0.1:{port}"):
        Remote(SERVERS["SGLang-Omni"], f"http://127.0.0.1:{port}/v1", retries=1).speak(conversation(TEXT), SAMPLING)


def test_a_server_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = Remote(SERVERS["Boson AI"], f"http://127.0.0.1:{silent.getsockname()[1]}/v1", retries=1, timeout_s=0.2)
        with pytest.raises(RemoteError, match="did not answer.*2 time"):
            asked.speak(conversation(TEXT), SAMPLING)


# --- cancelling -----------------------------------------------------------------------------------------------------


def test_cancelling_leaves_the_server_and_keeps_what_came():
    with Stub("SGLang-Omni") as stub:
        stub.pieces, stub.pause_s, heard = 100, 0.05, []
        take = ask(stub, on_seconds=heard.append, should_stop=lambda: len(heard) >= 2)
        assert take.finish_reason == "cancelled" and 0.01 <= take.audio_s < 0.9
        assert stub.left.wait(10)


@pytest.mark.parametrize("failures", [[], [500] * 20, ["drop"] * 20])
def test_cancelling_before_there_is_a_sound(failures, monkeypatch):
    """While it waits for the server, and between two tries."""
    monkeypatch.setattr(call, "FIRST_WAIT_S", 60.0)
    with Stub("SGLang-Omni") as stub:
        stub.failures, stub.pause_s = failures, 60.0
        with pytest.raises(AudioError, match="no sound.*cancelled"):
            ask(stub, should_stop=lambda: len(stub.bodies) > 0)


def test_an_error_of_the_caller_leaves_the_server():
    def full(_seconds):
        raise OSError("disk full")

    with Stub("SGLang-Omni") as stub:
        stub.pieces, stub.pause_s = 100, 0.05
        with pytest.raises(OSError, match="disk full"):
            ask(stub, on_seconds=full)
        assert stub.left.wait(10)


# --- answers that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sound, words", [(b"", "no sound"), (b"a" * 4801, "not what was asked for")])
def test_sound_that_is_none(sound, words):
    with Stub("SGLang-Omni") as stub:
        stub.sound = sound
        with pytest.raises(AudioError, match=words):
            ask(stub)


FRAME = b'{"ids":[[1,2]],"frame_rate":25.0,"codebook_size":4,"codec":""}\n'
END = b'{"finish_reason":"stop"}\n'


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "without its last line"),
        (FRAME, "without its last line"),
        (END, "no sound"),
        (b"[]\n", "not what"),
        (b"RIFF....\n" + END, "not what"),
        (FRAME + END + FRAME, "not what"),
        (FRAME.replace(b"1,2", b"1,9"), "not what"),
        (FRAME.replace(b"25.0", b"NaN"), "not what"),
        (FRAME.replace(b"25.0", b"0"), "not what"),
        (FRAME.replace(b"[[1,2]]", b"[[1],[2,3]]"), "not what"),
        (FRAME.replace(b"[[1,2]]", b'"a"'), "not what"),
        (FRAME + FRAME.replace(b"[[1,2]]", b"[[1,2,3]]"), "not what"),
        (b'{"finish_reason":"broken"}\n', "not what"),
        (FRAME.replace(b"25.0", b"1e-9"), "without end"),
    ],
)
def test_codes_that_are_none(data, words):
    answer = remote._Answer(codes=True)
    with pytest.raises(AudioError, match=words):
        answer.take(data)
        answer.finished(stopped=False)


def test_codes_in_any_pieces():
    answer, data = remote._Answer(codes=True), FRAME * 3 + END
    for place in range(len(data)):
        answer.take(data[place : place + 1])
    codes, clip, reason = answer.finished(stopped=False)
    assert codes.ids.tolist() == [[1, 1, 1], [2, 2, 2]] and clip is None and reason == "stop"


# --- keys and addresses ---------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_never_shown(capfd):
    with Stub("Boson AI") as stub:
        ask(stub)
        assert stub.headers[0]["authorization"] == f"Bearer {KEY}"
        stub.failures = [401]
        with pytest.raises(RemoteError) as refused:
            ask(stub)
        assert KEY not in str(refused.value) + repr(Remote(SERVERS["Boson AI"], key=KEY)) + "".join(capfd.readouterr())


@pytest.mark.parametrize("key", ["a\nb", "key\r", "\udcff"])
def test_a_key_that_no_header_can_hold(key):
    with pytest.raises(SettingError, match="key cannot be sent") as refused:
        Remote(SERVERS["Boson AI"], key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://host/v1",
        "file:///etc",
        "http://",
        "http://me:secret@host/v1",
        "https://host/v1?key=secret",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(SettingError) as refused:
        Remote(SERVERS["higgs serve"], url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("more", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"retries": -1}, {"retries": 100}])
def test_settings_out_of_range(more):
    with pytest.raises(SettingError):
        Remote(SERVERS["higgs serve"], **more)


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match="pip install openai"):
        Remote(SERVERS["Boson AI"]).speak(conversation(TEXT), SAMPLING)
