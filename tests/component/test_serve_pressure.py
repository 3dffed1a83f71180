"""The server under pressure: clips that grow, half requests, many connections, other names."""

from __future__ import annotations

import base64
import io
import json
import socket
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import requests
import soundfile
import torch
from helpers_serve import SMALL, load_pair, serving

from higgs_runtime import AudioClip, AudioError, SettingError
from higgs_runtime.audio.clip import resample, to_mono
from higgs_runtime.serve.budget import Budget, BusyError
from higgs_runtime.serve.limits import ServerLimits
from higgs_runtime.serve.references import clip_of, read_reference

TEXT = "Good morning to you."
PATIENCE_S = 20.0  # for what ends after a fraction of a second
HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return load_pair(tmp_path_factory.mktemp("models"))


def flac(seconds: float, rate: int = 192_000, channels: int = 8, level: int = 0) -> bytes:
    file = io.BytesIO()
    samples = np.full((round(seconds * rate), channels), level, "int16")
    soundfile.write(file, samples, rate, format="FLAC")
    return file.getvalue()


def until_closed(plug: socket.socket) -> bytes:
    """All that still comes."""
    plug.settimeout(PATIENCE_S)
    said = b""
    while block := plug.recv(4096):
        said += block
    return said


# --- clips ----------------------------------------------------------------------------------------------------------


def test_a_clip_whose_length_is_open_is_called_that():
    data = bytearray(flac(0.5))
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])  # as in test_audio
    with pytest.raises(AudioError, match="does not state its length.*Export it again"):
        clip_of(bytes(data), ServerLimits())


def test_a_small_file_of_many_samples_stays_small():
    data = flac(5.0)
    assert len(data) < 20_000
    tracemalloc.start()  # counts NumPy's arrays; the whole would be 31 MB
    try:
        clip = clip_of(data, ServerLimits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (clip.channels, clip.sample_rate, clip.length) == (1, 24_000, 5 * 24_000) and peak < 12e6, peak


@pytest.mark.parametrize("rate, channels", [(24_000, 1), (24_000, 2), (44_100, 2), (192_000, 8), (16_000, 1)])
def test_an_uploaded_clip_is_encoded_as_by_the_codec(rate, channels):
    samples = np.random.default_rng(rate).uniform(-0.5, 0.5, (rate + 77, channels)).astype("float32")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    at_once = resample(to_mono(AudioClip(torch.from_numpy(samples.T.copy()), rate)), 24_000)
    assert torch.equal(clip_of(file.getvalue(), ServerLimits()).samples, at_once.samples)


def test_a_clip_that_is_too_long_is_not_decoded(monkeypatch):
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(AudioError, match="too long"):
        clip_of(flac(3.0), ServerLimits(reference_seconds=2))
    with pytest.raises(AudioError, match="too long"):
        clip_of(flac(3.0), ServerLimits(), most_s=2.0)


def test_a_header_that_tells_less_is_not_believed(monkeypatch):
    """soundfile believes it, where it can seek."""
    monkeypatch.setattr(soundfile.SoundFile, "frames", property(lambda _: 10))
    monkeypatch.setattr(soundfile.SoundFile, "seekable", lambda _: False)
    with pytest.raises(AudioError, match="too long"):
        read_reference(base64.b64encode(flac(3.0)).decode(), ServerLimits(reference_seconds=2))


# --- the budget -----------------------------------------------------------------------------------------------------


def test_a_budget_is_given_back():
    budget = Budget(100)
    with budget.share() as one, budget.share() as other:
        one.take(60)
        with pytest.raises(BusyError, match="100 bytes"):
            other.take(41)
        other.take(41, whatever=True)
        assert budget.held == 101
        one.take(-20)
        assert budget.held == 81
    one.take(10, whatever=True)  # of a line that still spoke
    assert budget.held == 0


def test_a_budget_below_one_request_is_refused():
    with pytest.raises(SettingError, match="--max-held-mb"):
        ServerLimits(held_bytes=4000 + 30 * 96_000 - 1, body_bytes=1000)
    ServerLimits(held_bytes=4000 + 30 * 96_000, body_bytes=1000)


@pytest.mark.slow
def test_waiting_requests_stay_within_the_budget(pair):
    """Clips of lines that wait: some wait, others are told when to come again, and then there is room again."""
    clip = base64.b64encode(flac(10.0, 8000, 1, level=6000)).decode()
    body = json.dumps(
        {"input": TEXT, "ref_audio": clip, "ref_text": "A beep.", "max_new_tokens": 1500, "temperature": 1.5}
    ).encode()
    limits = replace(SMALL, rows=1, reference_seconds=10, body_bytes=300_000, held_bytes=2_500_000)
    with serving(pair, limits) as server:

        def ask() -> socket.socket:
            plug = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
            plug.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return plug

        plugs = [ask()]
        server.wait_for(lambda health: health["speaking"] == 1)
        plugs.append(ask())
        server.wait_for(lambda health: health["waiting"] == 1)
        assert 2 * 960_000 < server.engine.budget.held < 2_500_000
        plugs.append(ask())
        said = b""
        while not said.endswith(b"}"):  # head and body come one by one
            said += plugs[-1].recv(4096)
        assert b" 429 " in said and b"retry-after" in said.lower() and b"2500000 bytes" in said
        for plug in plugs:
            plug.close()
        server.wait_for(lambda health: health["speaking"] == 0 == health["waiting"])
        end = time.monotonic() + PATIENCE_S
        while server.engine.budget.held:
            assert time.monotonic() < end, server.engine.budget.held
            time.sleep(0.02)
        assert server.post({"input": TEXT, "max_new_tokens": 3}).status_code == 200


@pytest.mark.slow
def test_bodies_are_counted_before_they_come(pair):
    limits = replace(SMALL, body_bytes=1_000_000, held_bytes=4_500_000, reference_seconds=1)
    with serving(pair, limits) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as first:
            first.sendall(HEAD + b"Content-Length: 900000\r\n\r\n")
            while not server.engine.budget.held:
                time.sleep(0.01)
            with socket.create_connection(("127.0.0.1", server.port)) as second:
                second.sendall(HEAD + b"Content-Length: 900000\r\n\r\n")
                assert b" 429 " in until_closed(second)
            answer = requests.post(
                server.url + "/v1/audio/speech", data=iter([b'{"input": "', b"a" * 700_000]), timeout=PATIENCE_S
            )
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0, "in chunks"
            assert server.get("/health").status_code == 200


# --- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_half_headers_end(pair):
    with serving(pair, replace(SMALL, header_timeout_s=0.3)) as server:
        for start in (b"", b"GET /health HTTP/1.1\r\nHost: local", HEAD):
            with socket.create_connection(("127.0.0.1", server.port)) as plug:
                plug.sendall(start)
                assert b" 408 " in until_closed(plug)
        whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as plug:
            plug.sendall(whole)
            said = b""
            while not said.endswith(b"}"):
                said += plug.recv(4096)
            plug.sendall(whole[:20])
            assert until_closed(plug) == b"", "of a second request"
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", server.port)) as plug:
            for _ in range(400):  # a header that comes, but never ends
                plug.sendall(b"a")
                time.sleep(0.05)


@pytest.mark.slow
def test_an_answer_that_takes_longer_than_headers_may_comes(pair):
    with serving(pair, replace(SMALL, header_timeout_s=0.1)) as server:
        assert server.post({"input": TEXT, "max_new_tokens": 300}).status_code == 200


@pytest.mark.slow
def test_a_body_that_comes_in_drops_is_not_waited_for(pair, monkeypatch):
    with serving(pair, replace(SMALL, receive_timeout_s=0.5)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as plug:
            plug.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
            plug.settimeout(0.1)
            said, end = b"", time.monotonic() + PATIENCE_S
            while not said:
                assert time.monotonic() < end
                plug.sendall(b" ")
                try:
                    said = plug.recv(4096)
                except TimeoutError:
                    continue
            assert b" 408 " in said


@pytest.mark.slow
def test_connections_are_limited_and_come_back(pair):
    with serving(pair, replace(SMALL, connections=3)) as server:
        plugs = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        with socket.create_connection(("127.0.0.1", server.port)) as further:
            assert b" 503 " in (said := until_closed(further)) and b"3 connections" in said
        for plug in plugs:
            plug.close()
        time.sleep(0.2)
        assert server.get("/health").status_code == 200


@pytest.mark.slow
def test_a_client_that_takes_nothing_is_left(pair):
    """Of a whole answer, which uvicorn would hold for it."""
    with serving(pair, replace(SMALL, send_timeout_s=0.3)) as server:
        with socket.socket() as plug:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plug.connect(("127.0.0.1", server.port))
            page = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            plug.setblocking(False)
            sent, end = 0, time.monotonic() + PATIENCE_S
            while time.monotonic() < end:  # until the answers fill all buffers between us
                try:
                    sent += plug.send(page * 50)
                except BlockingIOError:
                    time.sleep(0.05)
                except OSError:
                    break
            else:
                pytest.fail(f"still there after {sent} bytes")


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_another_name_is_refused_where_no_key_is_asked(pair):
    with serving(pair, replace(SMALL, hosts=("voices.example",))) as server:

        def status(host: str) -> int:
            return server.get("/v1/models", headers={"Host": host}).status_code

        for host in (
            "127.0.0.1",
            "localhost",
            f"LOCALHOST:{server.port}",
            "[::1]:8000",
            "192.0.2.7:80",
            "localhost.",
            "Voices.example:443",
        ):
            assert status(host) == 200, host
        for host in ("other.example", "voices.example.other.example", "127.0.0.1.other.example", "[::1", "a@b"):
            assert status(host) in (400, 421), host
        answer = server.post({"input": TEXT}, headers={"Host": "other.example:8000"})
        assert answer.status_code == 421 and "--allow-host" in answer.json()["error"]["message"]
        with socket.create_connection(("127.0.0.1", server.port)) as plug:
            plug.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert b" 200 " in until_closed(plug), "no browser"
    with serving(pair, key="a-key-of-the-tests") as server:
        headers = {**server.headers, "Host": "other.example"}
        assert server.get("/v1/models", headers=headers).status_code == 200
