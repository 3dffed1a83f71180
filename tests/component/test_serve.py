"""The server: many clients at once, clients that leave or are slow, voices, errors of the engine."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import statistics
import time
from dataclasses import replace

import av
import numpy as np
import pytest
import requests
import torch
from helpers_codec import sound_clip
from helpers_serve import SMALL, load_pair, read_all, serving, spoken_alone

from higgs_runtime import AudioClip, MemoryShortError, NumericError, Voice, save_voice
from higgs_runtime.generation.run import Run
from higgs_runtime.generation.session import Session
from higgs_runtime.serve.answers import BrokenStream, Stream
from higgs_runtime.voices.library import VoiceCard, voice_path

TEXT = "Good morning to you."


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return load_pair(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def roots(pair, tmp_path_factory):
    """A models folder with a voice."""
    root, clip = tmp_path_factory.mktemp("root"), sound_clip(1.5)
    save_voice(voice_path(root, "Old keeper"), Voice(pair[1].encode(clip), "Old words."), VoiceCard.of(clip))
    return [root]


@pytest.fixture(scope="module")
def server(pair, roots):
    with serving(pair, roots=roots) as server:
        yield server


def reference_file(clip: AudioClip, tmp_path, suffix=".wav") -> bytes:
    clip.save(tmp_path / f"clip{suffix}")
    return (tmp_path / f"clip{suffix}").read_bytes()


# --- many at once ---------------------------------------------------------------------------------------------------


def test_a_line_has_the_same_codes_alone_and_in_a_batch(pair, server):
    def body(n):
        return {"input": f"Line {n}.", "seed": n, "temperature": 1.0, "max_new_tokens": 10 + 3 * n}

    async def batch():
        async def one(n):
            await asyncio.sleep(0.03 * n)
            return await asyncio.to_thread(server.codes, body(n))

        return await asyncio.gather(*(one(n) for n in range(7)))

    for n, codes in enumerate(asyncio.run(batch())):
        take = spoken_alone(pair[0], f"Line {n}.", seed=n, temperature=1.0, max_frames=10 + 3 * n)
        assert torch.equal(codes.ids, take.codes.ids) and codes.codec == take.codes.codec


def test_a_random_seed_is_reported_and_repeats_the_line(server):
    body = {"input": TEXT, "temperature": 1.0, "max_new_tokens": 12}
    first, other = server.post(body), server.post(body)
    assert first.headers["x-higgs-seed"] != other.headers["x-higgs-seed"] and first.content != other.content
    assert server.post({**body, "seed": int(first.headers["x-higgs-seed"])}).content == first.content
    assert first.headers["x-higgs-finish-reason"] == "length"


# --- forms of the answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "format, kind",
    [("wav", "audio/wav"), ("flac", "audio/flac"), ("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("aac", "audio/aac")],
)
def test_every_format_is_a_file(server, format, kind, stream):
    answer = server.post({"input": TEXT, "response_format": format, "stream": stream, "max_new_tokens": 40, "seed": 1})
    assert answer.status_code == 200 and answer.headers["content-type"] == kind
    assert ("content-length" in answer.headers) != stream
    with av.open(io.BytesIO(answer.content)) as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert abs(seconds - 1.6) < 0.15


def test_speech_events_of_openai(server):
    answer = server.post(
        {"input": TEXT, "response_format": "pcm", "stream_format": "sse", "max_new_tokens": 40, "seed": 1}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1) and len(events) > 3
    assert events[-1]["type"] == "speech.audio.done" and events[-1]["usage"]["output_tokens"] == 40
    assert events[-1]["finish_reason"] == "length" and not answer.broken_off, "it tells why it ended"
    plain = server.post({"input": TEXT, "response_format": "pcm", "stream": True, "max_new_tokens": 40, "seed": 1})
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == plain.content


def test_faster_speech_is_shorter(server):
    body = {"input": TEXT, "response_format": "pcm", "max_new_tokens": 25, "seed": 1}
    assert len(server.post({**body, "speed": 2.0}).content) == pytest.approx(24_000, abs=200)


def test_sound_beyond_full_scale_is_turned_down_as_a_whole(pair, server, monkeypatch):
    window = type(pair[1])._decode_window
    monkeypatch.setattr(type(pair[1]), "_decode_window", lambda self, ids, *kept: 8 * window(self, ids, *kept))
    body = {"input": TEXT, "response_format": "pcm", "max_new_tokens": 25, "seed": 1}
    whole, cut = (np.frombuffer(server.post({**body, "stream": s}).content, "<i2") for s in (False, True))
    assert abs(whole).max() == 32767 and (abs(whole) == 32767).sum() < 5 < (abs(cut) == 32767).sum()


# --- voices and references ------------------------------------------------------------------------------------------


def test_voices_have_names(server, pair):
    names = ["alan", "bear", "Old keeper", "rose", "ross"]
    assert server.get("/v1/audio/voices").json() == {"voices": [{"id": name, "name": name} for name in names]}
    chosen = {"seed": 3, "temperature": 1.0}
    voice = Voice(pair[1].encode(sound_clip(1.5)), "Old words.")
    take = spoken_alone(pair[0], TEXT, [voice], max_frames=12, **chosen)
    body = {"input": TEXT, "max_new_tokens": 12, **chosen}
    for name in ("Old keeper", "OLD KEEPER", {"id": "Old keeper"}, {"id": "old keeper", "name": "Old keeper"}):
        assert torch.equal(server.codes({**body, "voice": name}).ids, take.codes.ids)
    assert not torch.equal(server.codes({**body, "voice": "rose"}).ids, take.codes.ids)
    assert not torch.equal(server.codes(body).ids, take.codes.ids)


def test_references_in_every_form_are_one_voice(server, pair, tmp_path):
    """As vLLM-Omni, SGLang-Omni and Boson AI take them, and as codes."""
    clip = sound_clip(1.2)
    data = reference_file(clip, tmp_path, ".flac")
    codes = pair[1].encode(AudioClip.load(tmp_path / "clip.flac"))
    url = "data:audio/flac;base64," + base64.b64encode(data).decode()
    frames = codes.ids.T.tolist()
    forms = [
        {"ref_audio": url, "ref_text": "My words."},
        {"ref_audio": url.partition(",")[2], "ref_text": "My words.", "voice": "default"},
        {"references": [{"audio_path": url, "text": "My words."}]},
        {"reference_codes": frames, "reference_text": "My words."},
        {"references": [{"codes": frames, "text": "My words.", "codec": codes.codec}]},
    ]
    take = spoken_alone(pair[0], TEXT, [Voice(codes, "My words.")], max_frames=12, seed=3, temperature=1.0)
    for form in forms:
        found = server.codes({"input": TEXT, "seed": 3, "temperature": 1.0, "max_new_tokens": 12, **form})
        assert torch.equal(found.ids, take.codes.ids), list(form)


def test_scene_and_system_are_read(server, pair):
    from higgs_runtime import Sampling, build_prompt, conversation, generate

    prompt = build_prompt(conversation(TEXT, system="Sing.", scene="A quiet room."), pair[0].tokenizer)
    [take] = generate(pair[0], [prompt], Sampling(temperature=1.0, seed=3, max_frames=12))
    found = server.codes(
        {
            "input": TEXT,
            "seed": 3,
            "temperature": 1.0,
            "max_new_tokens": 12,
            "system": "Sing.",
            "instructions": "A quiet room.",
        }
    )
    assert torch.equal(found.ids, take.codes.ids)


# --- clients that leave, and slow ones ------------------------------------------------------------------------------


def long_line(**more) -> dict:
    return {"input": TEXT, "response_format": "pcm", "max_new_tokens": 1500, "seed": 1, **more}


def _asking(server, body: dict) -> socket.socket:
    """A connection on which the body was sent."""
    plug, data = socket.create_connection(("127.0.0.1", server.port)), json.dumps(body).encode()
    plug.sendall(
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(data), data)
    )
    return plug


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_row(pair, stream):
    with serving(pair, replace(SMALL, rows=1)) as server:
        with _asking(server, long_line(stream=stream)) as plug:
            if stream:
                assert plug.recv(1000).startswith(b"HTTP/1.1 200")
            server.wait_for(lambda health: health["speaking"] == 1)
        server.wait_for(lambda health: health["speaking"] == 0)
        assert server.frames() < 1000, "of 1500"
        assert server.codes({"input": TEXT, "max_new_tokens": 5, "seed": 1}).frames == 5


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_a_row_is_free_within_a_second(pair, stream):
    """By the clock, and the median: another program may have the machine for a moment."""
    waits, times = [], 7
    with serving(pair, replace(SMALL, rows=1)) as server:
        for _ in range(times):
            with _asking(server, long_line(stream=stream)) as plug:
                if stream:
                    assert plug.recv(1000).startswith(b"HTTP/1.1 200")
                server.wait_for(lambda health: health["speaking"] == 1)
                left = time.monotonic()
            while server.engine.speaking:
                assert time.monotonic() < left + 30
                time.sleep(0.002)
            waits.append(time.monotonic() - left)
        assert server.frames() < 1000 * times, "none of the lines came to its end, at 1500"
    assert statistics.median(waits) < 1.0, waits


@pytest.mark.slow
def test_a_client_that_leaves_while_it_waits_takes_no_row(pair):
    with serving(pair, replace(SMALL, rows=1)) as server:
        with server.post(long_line(stream=True, max_new_tokens=1000), stream=True) as first:
            server.wait_for(lambda health: health["speaking"] == 1)
            with pytest.raises(requests.RequestException):
                requests.post(server.url + "/v1/audio/speech", json=long_line(), timeout=0.2)
            assert not read_all(first) and len(first.content) == 1000 * 960 * 2
        server.wait_for(lambda health: health["speaking"] == health["waiting"] == 0)
        assert server.frames() == 1000


def test_a_slow_reader_blocks_no_other_client_and_gets_everything(pair):
    with serving(pair) as server:
        with server.post(long_line(stream=True, max_new_tokens=200), stream=True) as slow:
            pieces = slow.iter_content(1000)
            first = [next(pieces)]
            for _ in range(3):
                assert server.codes({"input": TEXT, "max_new_tokens": 5, "seed": 1}).frames == 5
            server.wait_for(lambda health: health["speaking"] == 0)
            with pytest.raises(requests.exceptions.ChunkedEncodingError):  # at its end, for it was cut off
                for piece in pieces:
                    first.append(piece)
            assert len(b"".join(first)) == 200 * 960 * 2


def test_a_reader_that_takes_nothing_is_left():
    left = []

    async def pieces():
        for _ in range(3):
            yield b"sound"

    async def leave():
        left.append(True)

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    stream = Stream(pieces(), leave, 0.05, "audio/pcm", {})
    with pytest.raises(BrokenStream):
        asyncio.run(stream({"type": "http"}, None, send))
    assert left == [True]


# --- too many -------------------------------------------------------------------------------------------------------


def test_a_full_server_says_when_to_try_again(pair):
    with serving(pair, replace(SMALL, rows=1, waiting=1)) as server:
        with server.post(long_line(stream=True, max_new_tokens=300), stream=True) as first:
            server.wait_for(lambda health: health["speaking"] == 1)
            with _asking(server, long_line()):
                server.wait_for(lambda health: health["waiting"] == 1)
                answer = server.post({"input": TEXT})
                assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
                assert answer.json()["error"]["type"] == "rate_limit_error"
            first.close()
        server.wait_for(lambda health: health["speaking"] == health["waiting"] == 0)
        assert server.post({"input": TEXT, "max_new_tokens": 5}).status_code == 200


# --- what goes wrong inside -----------------------------------------------------------------------------------------


def test_numbers_out_of_range_end_the_lines_that_speak_and_no_others(pair, monkeypatch):
    step, broken = Run.step, []

    def speak(self):
        if broken:
            raise broken.pop()
        return step(self)

    monkeypatch.setattr(Run, "step", speak)
    with serving(pair) as server:
        broken.append(NumericError("NaN in layer 3."))
        answer = server.post({"input": TEXT, "max_new_tokens": 5})
        assert answer.status_code == 500 and "NaN in layer 3" in answer.json()["error"]["message"]
        assert server.codes({"input": TEXT, "max_new_tokens": 5, "seed": 1}).frames == 5


def test_no_memory_for_a_line_is_no_end_of_the_server(pair, monkeypatch):
    make, short = Session._fit, []

    def fit(self, room):
        if short:
            raise short.pop()
        return make(self, room)

    monkeypatch.setattr(Session, "_fit", fit)
    with serving(pair) as server:
        short.append(MemoryShortError("There is not enough memory for a take this long."))
        answer = server.post({"input": TEXT, "max_new_tokens": 5})
        assert answer.status_code == 500 and "not enough memory" in answer.json()["error"]["message"]
        assert server.codes({"input": TEXT, "max_new_tokens": 5, "seed": 1}).frames == 5


def test_a_stream_that_breaks_does_not_end_as_if_it_were_whole(pair, monkeypatch):
    decode, calls = type(pair[1])._decode_window, []

    def window(self, ids, *kept):
        calls.append(ids)
        if len(calls) > 2:
            raise NumericError("The codec computed NaN.")
        return decode(self, ids, *kept)

    monkeypatch.setattr(type(pair[1]), "_decode_window", window)
    with serving(pair) as server:
        assert server.post(long_line(stream=True, max_new_tokens=200)).broken_off
        calls.clear()
        events = requests.post(
            server.url + "/v1/audio/speech",
            stream=True,
            timeout=60,
            json=long_line(stream_format="sse", max_new_tokens=200),
        )
        said = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            for line in events.iter_lines():
                said.append(line)
        assert any(b"speech.audio.error" in line and b"codec computed NaN" in line for line in said)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_that_ends_says_so(pair, monkeypatch):
    def serve(self, *_args, **_more):
        if self._running is not None:
            raise KeyError("a bug")
        self._running = iter(())
        return (_ for _ in ())

    monkeypatch.setattr(Session, "serve", serve)
    with serving(pair) as server:
        for _ in range(2):
            answer = server.post({"input": TEXT})
            assert answer.status_code == 503 and "stopped" in answer.json()["error"]["message"]
        assert server.get("/health").status_code == 503
        assert isinstance(server.engine.failure, KeyError)


def test_a_model_that_ends_at_once_is_no_empty_file(pair, monkeypatch):
    def serve(self, lines, **_more):
        for number, line in enumerate(lines):
            if line is None:
                return
            take = spoken_alone(pair[0], TEXT, max_frames=1)
            silent = replace(take, codes=replace(take.codes, ids=take.codes.ids[:, :0]), finish_reason="stop")
            yield number, silent.codes, silent

    monkeypatch.setattr(Session, "serve", serve)
    with serving(pair) as server:
        for more in ({}, {"stream": True}, {"response_format": "codes"}):
            answer = server.post({"input": TEXT, **more})
            assert answer.status_code == 500 and "without a sound" in answer.json()["error"]["message"]
