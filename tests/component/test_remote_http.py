"""What leaves for a server and what may come back: no header but ours, no redirect, no endless or whole page."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from helpers_http import LocalServer

from higgs_runtime import AudioError, Sampling, conversation
from higgs_runtime.errors import LONGEST_SENTENCE, RemoteError, one_sentence
from higgs_runtime.remote import client as remote
from higgs_runtime.remote.client import Remote
from higgs_runtime.remote.servers import SERVERS

KEY = "key-of-a-person"
BLOCK = b"x" * 65536
LINE = b'{"ids":[[1,2]],"frame_rate":25.0,"codebook_size":4,"codec":""}\n'


class Elsewhere(LocalServer):
    """Answers all with one status and body.

    Attributes:
        requests: (path, headers with names in small letters).
        body: bytes; None: blocks without end, until `left` is set because the client has gone.
    """

    def __init__(self, status: int, body: bytes | None = b"", **headers: str):
        super().__init__(_Answer)
        self.status, self.body, self.answer, self.requests, self.left = status, body, headers, [], threading.Event()


class _Answer(BaseHTTPRequestHandler):
    server: Elsewhere

    def log_message(self, *_):
        """Silence."""

    def do_GET(self):
        sent = self.server
        sent.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(sent.status)
        for name, value in sent.answer.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        try:
            self.wfile.write(sent.body or b"")
            while sent.body is None:
                self.wfile.write(BLOCK)
        except OSError:
            sent.left.set()

    do_POST = do_GET


def refusal(server: Elsewhere, kind="Boson AI", **more) -> str:
    asked = Remote(SERVERS[kind], server.url + "/v1", **{"key": KEY, "retries": 0, "timeout_s": 20.0, **more})
    with pytest.raises((RemoteError, AudioError)) as refused:
        asked.speak(conversation("Good morning."), Sampling())
    return str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["Boson AI", "vLLM-Omni"])  # the second is asked for its models first
def test_a_redirect_is_not_followed(status, kind):
    with Elsewhere(200) as other, Elsewhere(status, location=other.url + "/v1/audio/speech") as server:
        assert "not followed: write that address" in refusal(server, kind)
        assert len(server.requests) == 1 and other.requests == []


def test_nothing_of_the_environment_leaves(monkeypatch):
    for name, value in {
        "OPENAI_ORG_ID": "org-of-a-person",
        "OPENAI_PROJECT_ID": "project-of-a-person",
        "OPENAI_API_KEY": "sk-of-a-person",
        "OPENAI_ADMIN_KEY": "admin-of-a-person",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway: gateway-of-a-person\nAuthorization: Bearer wrong",
    }.items():
        monkeypatch.setenv(name, value)
    with Elsewhere(400) as server:
        refusal(server), refusal(server, key="")
        refusal(server, "vLLM-Omni", key="")
    (_, with_key), (_, without), (path, models) = server.requests
    assert with_key["authorization"] == f"Bearer {KEY}" and path == "/v1/models"
    assert "authorization" not in {**without, **models}
    assert set(with_key) <= {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "user-agent",
        "authorization",
    }
    assert "of-a-person" not in json.dumps([without, models])


def test_an_error_is_told_in_a_sentence():
    said = {"error": {"message": f"The key {KEY} is old.\nSecond line. " + "x" * 5000}}
    with Elsewhere(401, json.dumps(said).encode()) as server:
        told = refusal(server)
    assert "The key … is old." in told and "Second" not in told and KEY not in told and len(told) < 400
    with Elsewhere(502, b"<!DOCTYPE html><html><title>Bad</title><script>alert(1)</script></html>") as server:
        told = refusal(server)
    assert "a page, which is not shown" in told and "Bad" not in told


@pytest.mark.parametrize(
    "text, told",
    [
        ("Not found", "Not found"),
        ("\n\n One. Two.", "One."),
        ("a\x1b[31mb\u202ec\0d", "a [31mb c d"),
        ("", ""),
        ("v1.5 is old! Go.", "v1.5 is old!"),
        ("<b>Bold</b>", "a page, which is not shown"),
        ("1 < 2", "1 < 2"),
        ("y" * 5000, "y" * LONGEST_SENTENCE + "…"),
    ],
)
def test_one_sentence(text, told):
    assert one_sentence(text) == told


@pytest.mark.parametrize("status, kind", [(400, "Boson AI"), (200, "vLLM-Omni")])
def test_an_endless_answer_that_is_no_speech_is_left(status, kind):
    with Elsewhere(status, None, content_type="application/json") as server:
        assert len(refusal(server, kind)) < 500
        assert server.left.wait(20)


def test_a_packed_answer_is_not_unpacked():
    with Elsewhere(400, b"\x1f\x8b", content_encoding="gzip") as server:
        assert "status 400" in refusal(server)
    assert server.requests[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"{}", b"[]", b'{"data": []}', b'{"data": [1]}', b"{"])
def test_no_list_of_models(body):
    with Elsewhere(200, body, content_type="application/json") as server:
        assert "list of models" in refusal(server, "vLLM-Omni")


def test_an_endless_line_is_left():
    with Elsewhere(200, None) as server:
        assert "sends without end" in refusal(server, "higgs serve", model="any")
        assert server.left.wait(20)


def test_lines_without_sound_end():
    """Frames so short that no hour is ever full."""
    answer, sent, block = remote._Answer(codes=True), 0, LINE.replace(b"25.0", b"1e12") * 100
    with pytest.MonkeyPatch.context() as patched, pytest.raises(AudioError, match="without end"):
        patched.setattr(remote, "MAX_LINES", 100_000)
        while sent < 200_000:
            answer.take(block)
            sent += len(block)


@pytest.mark.parametrize(
    "body", [b"Bearer " + KEY.encode(), b"x" * 50 + KEY.encode(), LINE.replace(b"25.0", b'"%s"' % KEY.encode())]
)
def test_an_answer_that_repeats_the_key_is_not_shown(body):
    with Elsewhere(200, body + b"\n") as server:
        told = refusal(server, "higgs serve", model="m")
    assert "…" in told and KEY[:6] not in told
