"""Chat servers, played by a strict stub: each takes what its documentation names, and refuses every other field.

The forms are written down here from documentation and source (November 2026), not taken from the client: llama.cpp's
server README, vLLM's request class for chat, Ollama's page on OpenAI compatibility. What a server says is made by
`speak`, a function of the request's JSON lines.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from helpers_http import LocalServer
from helpers_remote import NUMBER, STRING, WHOLE, _fields

_COMMON = {
    "model": STRING,
    "messages": (list,),
    "temperature": NUMBER,
    "top_p": NUMBER,
    "max_tokens": WHOLE,
    "seed": WHOLE,
    "stream": (bool,),
    "stream_options": (dict,),
    "stop": (str, list),
    "frequency_penalty": NUMBER,
    "presence_penalty": NUMBER,
    "response_format": (dict,),
    "tools": (list,),
    "reasoning_effort": STRING,
}
_FIELDS = {
    "llama.cpp": {
        **_COMMON,
        "top_k": WHOLE,
        "min_p": NUMBER,
        "chat_template_kwargs": (dict,),
        "reasoning_format": STRING,
    },
    "vLLM": {**_COMMON, "max_completion_tokens": WHOLE, "top_k": WHOLE, "include_reasoning": (bool,), "n": WHOLE},
    "Ollama": {**_COMMON, "reasoning": (dict,)},
}
KINDS = tuple(_FIELDS)
KEY = "key-of-a-chat-server"

STORY = """\
# Scene: a quiet hall

“Who is there?” said Anna. “Hello?”

[Bob] It is only me. [pause 0.8s] Good night.

The old bridge… was quiet.
"""
SAID = {  # line -> parts, as a good server has them
    1: [("Anna", '"Who is there?"'), ("", "said Anna."), ("anna", '[laugh] "Hello?"')],
    2: [("Bob", "It is only me.")],
    3: [("Bob", "Good night.")],
    4: [("Narrator", "The old bridge... was quiet.")],
}


def check_form(kind: str, body: dict) -> None:
    """Refuses what the server would refuse."""
    _fields(body, _FIELDS[kind])
    assert body["messages"], "no messages"
    for message in body["messages"]:
        assert set(message) == {"role", "content"} and message["role"] in ("system", "user", "assistant"), "message"
        assert isinstance(message["content"], str), "content"
    form = body.get("response_format")
    if form is None:
        return
    assert form["type"] in ("text", "json_object", "json_schema"), "type of response_format"
    if form["type"] == "json_schema":
        named = form["json_schema"]
        assert set(named) <= {"name", "schema", "strict", "description"} and isinstance(named["schema"], dict)
        if kind == "vLLM":
            assert isinstance(named["name"], str), "name is required"
        _check_schema(named["schema"])


def _check_schema(schema: dict) -> None:
    """What OpenAI's strict mode asks for: all properties required, no others."""
    if schema["type"] == "object":
        assert schema["additionalProperties"] is False and set(schema["required"]) == set(schema["properties"])
        for one in schema["properties"].values():
            _check_schema(one)
    elif schema["type"] == "array":
        _check_schema(schema["items"])


def lines_of(body: dict) -> dict:
    """The JSON of the person's message."""
    return json.loads(body["messages"][-1]["content"])


def as_it_is(body: dict) -> dict:
    """Every line as one part."""
    lines = lines_of(body)["lines"]
    return {"lines": [{"n": one["n"], "parts": [{"speaker": one["speaker"], "text": one["text"]}]} for one in lines]}


class ChatStub(LocalServer):
    """A chat server of one kind on this computer.

    Attributes:
        speak: request -> the answer: JSON, or the text itself.
        bodies, headers: of the requests; names of headers in lower case.
        failures: answers before the good one: a status, (status, message), "drop", "break", "error", "refusal",
            "length", "filter", "thinks".
        forms: whether it knows response_format.
        streams: else the answer is one piece of JSON, whatever was asked.
        pause_s: before each piece.
        left: set once a client has gone while it answered.
    """

    def __init__(self, kind: str = "llama.cpp", speak: Callable[[dict], object] = as_it_is, **more):
        super().__init__(_Answer)
        self.kind, self.speak = kind, speak
        self.bodies, self.headers, self.failures = [], [], []
        self.forms, self.streams, self.pause_s, self.key, self.left = True, True, 0.0, "", threading.Event()
        for name, value in more.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    @property
    def url(self) -> str:
        return f"{super().url}/v1"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatStub

    def log_message(self, *_):
        """Silence."""

    def do_GET(self):
        assert self.path == "/v1/models"
        self._send(
            200, {"object": "list", "data": [{"id": "any-model", "object": "model", "created": 0, "owned_by": "x"}]}
        )

    def do_POST(self):
        stub = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub.bodies.append(body)
        stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        failure = stub.failures.pop(0) if stub.failures else None
        if failure == "drop":
            self.close_connection = True
            return
        if isinstance(failure, int | tuple):
            status, said = failure if isinstance(failure, tuple) else (failure, f"this is status {failure}")
            self._send(status, {"error": {"message": said, "type": "invalid_request_error", "code": status}})
            return
        try:
            assert self.path == "/v1/chat/completions", self.path
            check_form(stub.kind, body)
            assert stub.forms or "response_format" not in body, "response_format is not supported"
            assert not stub.key or self.headers["Authorization"] == f"Bearer {stub.key}", "key"
        except (AssertionError, KeyError) as error:
            self._send(400, {"error": {"message": f"refused: {error}", "type": "invalid_request_error", "code": 400}})
            return
        said = stub.speak(body)
        self._say(body, said if isinstance(said, str) else json.dumps(said, ensure_ascii=False), failure)

    def _say(self, body: dict, text: str, failure: str | None) -> None:
        refusal, reason = "", "stop"
        if failure == "refusal":
            text, refusal = "", "I cannot help with this story."
        elif failure == "filter":
            text, reason = "", "content_filter"
        elif failure == "length":
            text, reason = text[: len(text) // 2], "length"
        if failure == "thinks":
            text = f"<think>Let me see. {{}} </think>\n```json\n{text}\n```"
        if not self.server.streams:
            message = {"role": "assistant", "content": text or None, "refusal": refusal or None, "reasoning": "Hm."}
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self._send(
                200,
                {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": body["model"],
                    "choices": [choice],
                    "usage": {},
                },
            )
            return
        self._stream(body, text, refusal, reason, failure)

    def _stream(self, body: dict, text: str, refusal: str, reason: str, failure: str | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        thought = {"llama.cpp": "reasoning_content", "vLLM": "reasoning", "Ollama": "reasoning"}[self.server.kind]
        deltas = [{"role": "assistant", "content": ""}, {thought: 'Who says it? {"lines": []}'}]
        deltas += [{"content": text[at : at + 40]} for at in range(0, len(text), 40)]
        deltas += [{"refusal": refusal}] if refusal else []
        try:
            self._piece(b": keep-alive\n\n")
            for number, delta in enumerate(deltas):
                time.sleep(self.server.pause_s)
                if failure in ("break", "error") and number == 3:
                    if failure == "error":
                        self._event({"error": {"message": "out of memory", "type": "server_error", "code": 500}})
                        self.wfile.write(b"0\r\n\r\n")
                    self.close_connection = True
                    return
                self._event(self._chunk(body, delta, None))
            self._event(self._chunk(body, {}, reason))
            self._event({**self._chunk(body, {}, None), "choices": [], "usage": {"total_tokens": 1}})
            self._piece(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.left.set()
            self.close_connection = True

    def _chunk(self, body: dict, delta: dict, reason: str | None) -> dict:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": body["model"], "choices": [choice]}

    def _event(self, said: dict) -> None:
        end = b"\r\n\r\n" if self.server.kind == "vLLM" else b"\n\n"
        self._piece(b"data: " + json.dumps(said, ensure_ascii=False).encode() + end)

    def _piece(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def _send(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
