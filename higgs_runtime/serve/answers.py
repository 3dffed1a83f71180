"""Answers: errors in OpenAI's form, whole files, and streams."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ..audio.clip import AudioClip, within_full_scale
from ..audio.files import MEDIA_TYPES, StreamEncoder, file_bytes
from ..audio.stretch import change_tempo
from ..types import Codes
from .fields import SpeechRequest
from .lines import Done, Failed, ServedRequest
from .timestamps import PieceWords, fields_of

CODES_TYPE = "application/x-ndjson"
CLIENT_LEFT = 499  # nobody reads it; nginx's number for it
MAX_WARNING = 1000  # characters in a header


def error_answer(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error in OpenAI's form."""
    kind = (
        "invalid_request_error"
        if status < 500 and status != 429
        else "rate_limit_error"
        if status == 429
        else "server_error"
    )
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status, headers)


def headers_of(asked: SpeechRequest, line: ServedRequest, rate: int) -> dict[str, str]:
    """What is told beside the sound."""
    found = {
        "X-Higgs-Seed": str(line.asked.sampling.seed),
        "X-Sample-Rate": str(rate),
        "X-Channels": "1",
        "X-Bit-Depth": "16",
        "Cache-Control": "no-store",
    }
    if line.warnings:
        found["X-Higgs-Warning"] = json.dumps(" ".join(line.warnings)[:MAX_WARNING])  # ASCII
    return found


def media_type(asked: SpeechRequest) -> str:
    if asked.stream_format == "sse":
        return "text/event-stream"
    if asked.timestamp_granularities:
        return "application/json"
    return CODES_TYPE if asked.response_format == "codes" else MEDIA_TYPES[asked.response_format]


def codes_line(codes: Codes) -> bytes:
    """Frames as a line of JSON: {"ids": [[K ids] for each frame], "frame_rate", "codebook_size", "codec"}."""
    fields = {
        "ids": codes.ids.T.tolist(),
        "frame_rate": codes.frame_rate,
        "codebook_size": codes.codebook_size,
        "codec": codes.codec,
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def end_line(done: Done) -> bytes:
    """The last line after those of `codes_line`."""
    fields = {"finish_reason": done.reason, "prompt_positions": done.prompt_positions}
    return json.dumps(fields).encode() + b"\n"


def whole_file(asked: SpeechRequest, pieces: Iterable[AudioClip | Codes], done: Done) -> bytes:
    """All of it at once; sound that leaves full scale is turned down as a whole."""
    if asked.response_format == "codes":
        return b"".join(codes_line(one) for one in pieces if isinstance(one, Codes)) + end_line(done)
    clips = [one for one in pieces if isinstance(one, AudioClip)]
    whole = AudioClip(torch.cat([one.samples for one in clips], dim=1), clips[0].sample_rate)
    clip = change_tempo(within_full_scale(whole), asked.speed)
    return file_bytes(asked.response_format, clip.samples.numpy(), clip.sample_rate)


def timed_file(asked: SpeechRequest, sound: bytes, seconds: float, words: Sequence[PieceWords], done: Done) -> bytes:
    """A whole answer with its words, as JSON: the sound in base64, and the rest as OpenAI's transcriptions have it."""
    told = {
        "audio": base64.b64encode(sound).decode(),
        "format": asked.response_format,
        "duration": round(seconds / asked.speed, 3),
        "text": asked.input,
        **fields_of(words, asked.timestamp_granularities, speed=asked.speed),
        "finish_reason": done.reason,
    }
    return json.dumps(told, ensure_ascii=False).encode()


class Pieces:
    """The bytes of a stream, event by event."""

    def __init__(self, asked: SpeechRequest, rate: int):
        self._granularities, self._segments = asked.timestamp_granularities, 0
        self._sse, codes = asked.stream_format == "sse", asked.response_format == "codes"
        self._encoder = None if codes else StreamEncoder(asked.response_format, rate)

    def of(self, event: AudioClip | Codes | PieceWords) -> bytes:
        if isinstance(event, PieceWords):
            fields = fields_of([event], self._granularities, self._segments)
            self._segments += len(fields.get("segments", ()))
            return _event({"type": "speech.audio.timestamps", **fields}) if event.words else b""
        if isinstance(event, Codes):
            return codes_line(event)
        assert self._encoder is not None  # who asked for codes is told no clips
        return self._packed(self._encoder.push(event.samples.numpy()))

    def end(self, done: Done) -> bytes:
        if self._encoder is None:
            return end_line(done)
        rest = self._packed(self._encoder.finish())
        if not self._sse:
            return rest
        read, spoken = done.prompt_positions, done.frames
        usage = {"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken}
        return rest + _event({"type": "speech.audio.done", "usage": usage, "finish_reason": done.reason})

    def tells_its_end(self) -> bool:
        """Whether the reader sees why it ended; else a stream that is not whole has to be broken off."""
        return self._sse or self._encoder is None

    def failed(self, failed: Failed) -> bytes:
        """What can still be said of an error once the answer has begun."""
        error = {"message": str(failed.error), "type": "server_error", "param": None, "code": None}
        return _event({"type": "speech.audio.error", "error": error}) if self._sse else b""

    def _packed(self, data: bytes) -> bytes:
        if not self._sse or not data:
            return data
        return _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})


def _event(fields: dict[str, Any]) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


class BrokenStream(ConnectionError):
    """A stream without its end: the connection is broken off, so that nobody takes it for whole."""


class Stream(Response):
    """Sends pieces as they come.

    Args:
        pieces: the body; BrokenStream breaks the connection off.
        leave: called when nothing more is sent, whatever the reason.
        timeout_s: a client that takes nothing for so long is left.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        leave: Callable[[], Awaitable[None]],
        timeout_s: float,
        media_type: str,
        headers: dict[str, str],
    ):
        super().__init__(None, 200, headers, media_type)
        del self.headers["content-length"]
        self._pieces, self._leave, self._timeout_s = pieces, leave, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._pieces:
                message = {"type": "http.response.body", "body": piece, "more_body": True}
                await asyncio.wait_for(send(message), self._timeout_s)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.TimeoutError as error:
            raise BrokenStream("The client takes nothing.") from error
        finally:
            await self._leave()
