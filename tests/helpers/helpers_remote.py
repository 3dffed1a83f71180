"""Servers elsewhere, played by a strict stub: each takes what its documentation names, and refuses every other field.

The forms are written down here from the documentation, and not taken from the table that is tested.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler

import numpy as np
import soundfile
from helpers_http import LocalServer

STRING, NUMBER, WHOLE = (str,), (int, float), (int,)
KEY = "key-of-the-stub"


def _vllm(body: dict) -> None:
    """The request class of vLLM-Omni; raw streams need stream_format "audio", and stream is for events."""
    _fields(
        body,
        {
            "input": STRING,
            "model": STRING,
            "voice": STRING,
            "response_format": STRING,
            "speed": NUMBER,
            "instructions": STRING,
            "stream": (bool,),
            "stream_format": STRING,
            "language": STRING,
            "task_type": STRING,
            "ref_audio": STRING,
            "ref_text": STRING,
            "max_new_tokens": WHOLE,
            "seed": WHOLE,
            "initial_codec_chunk_frames": WHOLE,
            "non_streaming_mode": (bool,),
            "x_vector_only_mode": (bool,),
        },
    )
    assert body["stream_format"] == "audio" and body["response_format"] in ("pcm", "wav"), "not a raw stream"
    assert -(2**63) <= body.get("seed", 0) < 2**63 and body.get("max_new_tokens", 1) >= 1
    if "ref_audio" in body:
        _clip(body["ref_audio"], ("data:", "http", "file:"))


def _sglang(body: dict) -> None:
    """The request parameters in the Higgs page of SGLang-Omni's cookbook, and what its speech_service.py refuses.

    Names of voices, but "default", are those of voices that were uploaded; this one has "jake".
    """
    _fields(
        body,
        {
            "input": STRING,
            "model": STRING,
            "voice": STRING,
            "response_format": STRING,
            "stream": (bool,),
            "references": (list,),
            "ref_audio": STRING,
            "ref_text": STRING,
            "reference_codes": (list,),
            "reference_text": STRING,
            "max_new_tokens": WHOLE,
            "temperature": NUMBER,
            "top_p": NUMBER,
            "top_k": WHOLE,
            "seed": WHOLE,
            "initial_codec_chunk_frames": WHOLE,
        },
    )
    assert body["input"].strip() and len(body["input"]) <= 4096, "input must be at most 4096 characters"
    assert body.get("model", "").strip(), "model is required"
    assert body.get("voice", "").strip(), "voice is required"
    assert body["voice"] in ("default", "jake"), "no such voice"
    assert body["stream"] is True and body["response_format"] == "pcm", "not a raw stream"
    assert body.get("seed", 0) >= 0 and body.get("max_new_tokens", 1) > 0
    assert body.get("max_new_tokens", 1) <= 2048, "beyond what its engine steps"
    for one in body.get("references", []):
        _fields(one, {"audio_path": STRING, "text": STRING})
        _clip(one["audio_path"], ("data:", "http", "file:", "/"))
        assert len(one["audio_path"]) * 3 // 4 <= 10 * 2**20, "must be at most 10485760 bytes"


def _boson(body: dict) -> None:
    """The API reference of Boson AI."""
    _fields(
        body,
        {
            "input": STRING,
            "model": STRING,
            "voice": STRING,
            "response_format": STRING,
            "stream": (bool,),
            "ref_audio": STRING,
            "ref_text": STRING,
        },
    )
    assert 1 <= len(body["input"]) <= 5000, "input_too_long"
    assert body["model"] in ("higgs-tts-3", "higgs-audio-v3-tts"), "no such model"
    assert not body["stream"] or body["response_format"] == "pcm", "streaming requires pcm"
    assert not ("voice" in body and ("ref_audio" in body or "ref_text" in body)), "mutually exclusive"
    if "ref_audio" in body:
        _clip(body["ref_audio"], ("data:", "http"))
        assert len(body["ref_audio"]) <= 10_000_000 * 4 / 3 + 100, "max 10 MB"


FORMS = {"vLLM-Omni": _vllm, "SGLang-Omni": _sglang, "Boson AI": _boson}


def _fields(body: dict, known: dict) -> None:
    assert not set(body) - set(known), f"unknown fields: {sorted(set(body) - set(known))}"
    for name, value in body.items():
        whole_as_bool = isinstance(value, bool) and bool not in known[name]
        assert isinstance(value, known[name]) and not whole_as_bool, f"{name} is {value!r}"


def _clip(source: str, kinds: tuple[str, ...]) -> None:
    assert source.startswith(kinds), source[:40]
    head, _, data = source.partition(",")
    assert head == "data:audio/wav;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data, validate=True)))
    assert len(samples) and rate == 24_000


class Stub(LocalServer):
    """A server of one kind on this computer.

    Attributes:
        bodies, headers: of the requests; names of headers in lower case.
        failures: answers before the good one: a status, (status, headers), "drop" or "break".
        pieces, pause_s: of the sound, and the pause before each.
        sound: what it says, 16-bit PCM; `rate`: told, where the kind tells it.
        left: set once a client has gone while it was spoken to.
    """

    def __init__(self, kind: str):
        super().__init__(_Answer)
        self.kind, self.bodies, self.headers, self.failures = kind, [], [], []
        self.pieces, self.pause_s, self.rate, self.left = 5, 0.0, 24_000, threading.Event()
        self.sound = (8000 * np.sin(np.arange(24_000) / 15)).astype("<i2").tobytes()

    @property
    def url(self) -> str:
        return f"{super().url}/v1"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def log_message(self, *_):
        """Silence."""

    def do_GET(self):
        assert self.path == "/v1/models"
        self._send(
            200,
            {
                "object": "list",
                "data": [{"id": "bosonai/higgs-audio-v3-tts-4b", "object": "model", "created": 0, "owned_by": "stub"}],
            },
        )

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        failure = self.server.failures.pop(0) if self.server.failures else None
        if failure == "drop":
            self.close_connection = True
            return
        if isinstance(failure, (int, tuple)):
            status, headers = failure if isinstance(failure, tuple) else (failure, {})
            self._send(status, {"error": {"message": f"this is status {status}"}}, headers)
            return
        try:
            assert self.path == "/v1/audio/speech"
            FORMS[self.server.kind](body)
            if self.server.kind == "Boson AI":
                assert self.headers["Authorization"] == f"Bearer {KEY}", "key"
        except (AssertionError, KeyError) as error:
            self._send(400, {"error": {"message": f"refused: {error}"}})
            return
        self._speak(broken=failure == "break")

    def _speak(self, broken: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/pcm")
        self.send_header("Transfer-Encoding", "chunked")
        if self.server.kind == "SGLang-Omni":
            for name, value in (("x-sample-rate", self.server.rate), ("x-channels", 1), ("x-bit-depth", 16)):
                self.send_header(name, str(value))
        self.end_headers()
        sound, size = self.server.sound, max(1, len(self.server.sound) // self.server.pieces)
        try:
            for start in range(0, len(sound), size):
                time.sleep(self.server.pause_s)
                piece = sound[start : start + size]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
                if broken and start:
                    self.close_connection = True
                    return
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.left.set()
            self.close_connection = True

    def _send(self, status: int, body: dict, headers=()) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**dict(headers), "Content-Type": "application/json", "Content-Length": len(data)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)
