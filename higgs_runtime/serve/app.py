"""The routes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import prometheus_client
import torch
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..audio.clip import AudioClip
from ..audio.files import MEDIA_TYPES
from ..errors import AudioError, CheckpointError, HiggsError, MissingExtraError, SettingError, StoppedError, VoiceError
from ..monologue import pieces_of
from ..prompt import DEFAULT_SYSTEM
from ..types import Codes, Sampling
from ..voices import inspect_reference
from .answers import (
    CLIENT_LEFT,
    CODES_TYPE,
    BrokenStream,
    Pieces,
    Stream,
    error_answer,
    headers_of,
    media_type,
    timed_file,
    whole_file,
)
from .budget import BusyError, Share
from .engine import SpeechEngine
from .fields import NO_VOICE, Reference, SpeechRequest
from .guard import Guard
from .lines import Asked, Done, Event, Failed, PieceOver, ServedRequest
from .references import read_reference, too_long
from .timestamps import PieceWords, Wanted, WordFinder, wanted_words
from .waiting import EventStream, bytes_of

TOLD = ("X-Higgs-Seed", "X-Higgs-Finish-Reason", "X-Higgs-Warning", "X-Sample-Rate", "X-Channels", "X-Bit-Depth")
MAX_PLACE = 200  # characters of a field's name, which may be as long as a body
_ERROR = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {"message": {"type": "string"}, "type": {"type": "string"}},
                }
            },
        }
    }
}
_REFUSALS = {
    400: "The request is not as it has to be.",
    401: "The key is missing or wrong.",
    404: "No such model.",
    408: "The body took too long.",
    413: "The body is too large.",
    429: "Too many wait; see Retry-After.",
    500: "The line could not be spoken.",
    501: "A package is not installed here.",
    503: "The engine has stopped.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": _ERROR} for status, what in _REFUSALS.items()
}
_SOUND: dict[str, dict[str, Any]] = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in (*MEDIA_TYPES.values(), CODES_TYPE, "text/event-stream")
}
_SOUND["application/json"] = {"schema": {"type": "object", "description": "With timestamp_granularities."}}


@dataclass(frozen=True)
class ModelNames:
    """How clients may call the model: its name, and others, in any case."""

    name: str
    aliases: tuple[str, ...] = ()

    def known(self, asked: str) -> bool:
        return asked.casefold() in {one.casefold() for one in self.all}

    @property
    def all(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


def create_app(
    engine: SpeechEngine,
    names: ModelNames | str,
    key: str | None = None,
    origins: Sequence[str] = (),
    finder: WordFinder | None = None,
) -> FastAPI:
    """The server of an engine that runs.

    Args:
        names: of the model, for clients.
        key: that clients have to send; None: none.
        origins: of web pages that may read the answers, as "https://example.org"; "*": of all.
        finder: of words, for requests that want timestamps; None: with the recognizers that are found.
    """
    names = ModelNames(names) if isinstance(names, str) else names
    doors = [] if key is None else [Depends(HTTPBearer(auto_error=False))]  # for the OpenAPI page; Guard decides
    app = _bare_app(engine, key, origins, finder := finder or WordFinder())
    limits, counted = engine.limits, engine.metrics.requests

    @app.post(
        "/v1/audio/speech",
        response_class=Response,
        dependencies=doors,
        responses={200: {"description": "The sound.", "content": _SOUND}, **RESPONSES},
    )
    async def speech(asked: SpeechRequest, request: Request) -> Response:
        """Speak a text."""
        if asked.model and not names.known(asked.model):
            return _no_model(asked.model)
        checked = await asyncio.to_thread(_checked, asked, engine, request.scope["share"])
        wanted = await asyncio.to_thread(_wanted, asked, checked, engine, finder)
        line = ServedRequest(checked, lambda event: listener.tell(event))
        pieces = Pieces(asked, engine.codec.sample_rate)  # or the error that a package is missing
        listener = EventStream(request, line, engine)
        try:
            if wanted is not None:
                listener.find_words(finder, wanted)
            engine.submit(line)
            first = await listener.next()
        except BaseException:
            await listener.leave()
            raise
        if first is None or isinstance(first, Failed):
            await listener.leave()
            return _refused(CLIENT_LEFT, "") if first is None else _failed(first)
        if not asked.streamed:
            return await whole(asked, listener, first)
        counted.labels("200").inc()
        return Stream(
            _streamed(pieces, listener, first),
            listener.leave,
            limits.send_timeout_s,
            media_type(asked),
            headers_of(asked, line, engine.codec.sample_rate),
        )

    async def whole(asked: SpeechRequest, listener: EventStream, event: Event | PieceWords | None) -> Response:
        pieces, words, event = await _collected(listener, event)
        if not isinstance(event, Done):
            return _refused(CLIENT_LEFT, "") if event is None else _failed(event)
        data = await asyncio.to_thread(whole_file, asked, pieces, event)
        if asked.timestamp_granularities:
            data = await asyncio.to_thread(timed_file, asked, data, sum(clip.seconds for clip in pieces), words, event)
        headers = headers_of(asked, listener.line, engine.codec.sample_rate)
        headers["X-Higgs-Finish-Reason"] = event.reason
        counted.labels("200").inc()
        return Response(data, 200, headers, media_type(asked))

    def _no_model(asked: str) -> Response:
        here = ", ".join(f"'{one}'" for one in names.all)
        return _refused(404, f"There is no model '{asked[:80]}' here, only {here}.", "model", "model_not_found")

    def _refused(status: int, message: str, param: str | None = None, code: str | None = None) -> Response:
        counted.labels(str(status)).inc()
        return error_answer(status, message, param=param, code=code)

    def _failed(failed: Failed) -> Response:
        stopped = isinstance(failed.error, StoppedError)
        return _refused(400 if failed.by_client else 503 if stopped else 500, str(failed.error))

    _add_pages(app, engine, names, {"dependencies": doors, "responses": {401: RESPONSES[401]}})
    return app


def _bare_app(engine: SpeechEngine, key: str | None, origins: Sequence[str], finder: WordFinder) -> FastAPI:
    """With all that stands before the routes, and without these."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        finder.close()

    about = "Speech by a Higgs Audio model."
    app = FastAPI(title="Higgs Audio", description=about, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Guard, limits=engine.limits, budget=engine.budget, key=key, counted=engine.metrics.requests)
    _allow_pages(app, origins)
    _add_error_handlers(app, engine)
    return app


def _allow_pages(app: FastAPI, origins: Sequence[str]) -> None:
    """Lets web pages of these origins read the answers. Added last, so that it stands before the others: a browser asks
    without a key whether it may."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["*"] if "*" in origins else list(TOLD),
        )


def _add_pages(app: FastAPI, engine: SpeechEngine, names: ModelNames, behind: dict[str, Any]) -> None:
    def card(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 0, "owned_by": "higgs"}

    @app.get("/v1/models", **behind)
    async def models() -> dict[str, Any]:
        """The model that is served, under all its names."""
        return {"object": "list", "data": [card(name) for name in names.all]}

    one = {**behind, "responses": {**behind["responses"], 404: RESPONSES[404]}}

    @app.get("/v1/models/{name:path}", **one)
    async def model(name: str) -> dict[str, Any]:
        """The model, under one of its names."""
        if not names.known(name):
            raise HTTPException(404, f"There is no model '{name[:80]}' here.")
        return card(name)

    @app.get("/v1/audio/models", **behind)
    async def speech_models() -> dict[str, Any]:
        """As /v1/models, for clients that look for models of speech."""
        return {"models": [{"id": name, "name": name} for name in names.all]}

    @app.get("/v1/audio/voices", **behind)
    async def voices() -> dict[str, list[dict[str, str]]]:
        """For the field `voice`: its value, and what a person reads."""
        return {"voices": [{"id": name, "name": name} for name in await asyncio.to_thread(engine.voices.names)]}

    @app.get("/health", responses={503: {"description": "The engine has stopped."}})
    async def health() -> JSONResponse:
        """Whether lines can be spoken."""
        state = {
            "status": "ok" if engine.failure is None else "failed",
            "model": names.name,
            "rows": engine.limits.rows,
            "speaking": engine.speaking,
            "waiting": engine.waiting,
        }
        return JSONResponse(state, 200 if engine.failure is None else 503)

    @app.get("/metrics", response_class=PlainTextResponse, **behind)
    async def metrics() -> Response:
        """Figures in Prometheus' text format."""
        return Response(
            prometheus_client.generate_latest(engine.metrics.registry), media_type=prometheus_client.CONTENT_TYPE_LATEST
        )


def _add_error_handlers(app: FastAPI, engine: SpeechEngine) -> None:
    counted = engine.metrics.requests

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")[:MAX_PLACE]
        counted.labels("400").inc()
        if first["type"] == "value_error" and not place:  # of fields that do not go together
            return error_answer(400, first["msg"].removeprefix("Value error, "), code=first["type"])
        if not place or first["type"] == "json_invalid":  # its place is a character
            kind = _request.headers.get("content-type")
            came = (
                "" if kind and "json" in kind else f"; it came {f'as {kind[:80]}' if kind else 'without Content-Type'}"
            )
            what = f"The body has to be a JSON object, sent with Content-Type: application/json{came}."
            return error_answer(400, what, code=first["type"])
        message = f"{place}: {first['msg']}" if place else first["msg"]
        return error_answer(400, message, param=place or None, code=first["type"])

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> Response:
        counted.labels(str(error.status_code)).inc()
        return error_answer(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(HiggsError)
    async def higgs_error(_request: Request, error: HiggsError) -> Response:
        kinds = ((BusyError, 429), (StoppedError, 503), (MissingExtraError, 501), (CheckpointError, 501))
        status = next((status for kind, status in kinds if isinstance(error, kind)), 400)
        headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, BusyError) else None
        counted.labels(str(status)).inc()
        return error_answer(
            status, str(error), param="voice" if isinstance(error, VoiceError) else None, headers=headers
        )


async def _collected(
    listener: EventStream, event: Event | PieceWords | None
) -> tuple[list[AudioClip | Codes], list[PieceWords], Done | Failed | None]:
    """All of the sound, all words, and the end."""
    pieces: list[AudioClip | Codes] = []
    words: list[PieceWords] = []
    try:
        while isinstance(event, (AudioClip, Codes, PieceWords)):
            if isinstance(event, PieceWords):
                words.append(event)
            else:
                pieces.append(event)
            event = await listener.next()
    finally:
        await listener.leave()
    assert not isinstance(event, PieceOver)  # `next` keeps it
    return pieces, words, event


async def _streamed(pieces: Pieces, listener: EventStream, event: Event | PieceWords | None) -> AsyncIterator[bytes]:
    while isinstance(event, (AudioClip, Codes, PieceWords)):
        if piece := pieces.of(event):
            yield piece
        event = await listener.taken(event)
    if isinstance(event, Done):
        yield pieces.end(event)
        if event.reason != "stop" and not pieces.tells_its_end():
            raise BrokenStream("The speech is not whole: " + " ".join(listener.line.warnings))
    elif isinstance(event, Failed):  # None: nobody listens
        if piece := pieces.failed(event):
            yield piece
        raise BrokenStream(str(event.error))


def _wanted(asked: SpeechRequest, checked: Asked, engine: SpeechEngine, finder: WordFinder) -> Wanted | None:
    """What is to be timed; None without timestamps."""
    if not checked.timed:
        return None
    prepared = engine.limits.prepare if asked.prepare is None else asked.prepare
    return wanted_words(asked.input, checked.pieces.texts, asked.language, prepared, finder)


def _checked(asked: SpeechRequest, engine: SpeechEngine, share: Share) -> Asked:
    """What the engine is asked for; its voices and clips found and read.

    Raises:
        HiggsError: what cannot be used, or goes beyond the limits.
    """
    limits = engine.limits
    if len(asked.input) > limits.characters:
        raise SettingError(
            "The text is too long.",
            expected=f"at most {limits.characters} characters",
            got=str(len(asked.input)),
            remedy="Send it in pieces.",
        )
    if len(asked.references) > limits.references:
        raise SettingError(
            "There are too many references.",
            expected=f"at most {limits.references}",
            got=str(len(asked.references)),
            remedy="Send fewer.",
        )
    most = engine.max_frames
    if (asked.max_new_tokens or 0) > most:
        raise SettingError(
            "The answer would be too long.",
            expected=f"max_new_tokens of {most} at most",
            got=str(asked.max_new_tokens),
            remedy="Ask for less; send a long text in pieces.",
        )
    sampling = Sampling(
        temperature=asked.temperature,
        top_k=asked.top_k,
        top_p=asked.top_p,
        seed=secrets.randbits(63) if asked.seed is None else asked.seed,
        ras_window=asked.ras_window,
        ras_max_repeats=asked.ras_max_repeats,
        max_frames=asked.max_new_tokens or most,
    )
    references, notes = _references(asked, engine, share)
    config, prepare = engine.model.config, engine.limits.prepare if asked.prepare is None else asked.prepare
    return Asked(
        asked.input,
        sampling,
        _voice(asked, engine),
        tuple(references),
        DEFAULT_SYSTEM if asked.system is None else asked.system,
        asked.instructions,
        asked.streamed,
        asked.response_format == "codes",
        pieces_of(asked.input, config, most, language=asked.language, prepare=prepare, marks=True),
        asked.max_new_tokens is not None,
        tuple(notes),
        bool(asked.timestamp_granularities),
    )


def _voice(asked: SpeechRequest, engine: SpeechEngine) -> Path | None:
    voice = asked.voice.strip()
    if voice.lower() not in NO_VOICE:
        return engine.voices.find(voice)
    return None if asked.references or voice.lower() == "none" else engine.voices.default()


def _references(
    asked: SpeechRequest, engine: SpeechEngine, share: Share
) -> tuple[list[tuple[AudioClip | Codes, str]], list[str]]:
    """The references with their words, and what is to be said of how good they are."""
    limits, rate, seconds = engine.limits, engine.codec.sample_rate, 0.0
    found: list[tuple[AudioClip | Codes, str]] = []
    notes: list[str] = []
    room = round(limits.reference_seconds * rate * 4) if asked.references else 0
    if room and (limits.folders or limits.addresses):
        room += limits.body_bytes  # a file that this server reads for the client
    share.take(room)
    for one in asked.references:
        source = _source(one, engine, limits.reference_seconds - seconds)
        seconds += source.seconds
        if seconds > limits.reference_seconds:
            raise too_long(limits)
        found.append((source, one.text))
        if isinstance(source, AudioClip):
            notes += [f"Reference {len(found)}: {note}" for note in inspect_reference(source).warnings]
    share.take(sum(bytes_of(source) for source, _ in found) - room)
    return found, notes


def _source(one: Reference, engine: SpeechEngine, most_s: float) -> AudioClip | Codes:
    if one.codes is None:
        assert one.audio_path is not None  # else it has codes: see Reference
        return read_reference(one.audio_path, engine.limits, engine.codec.sample_rate, most_s)
    if len({len(frame) for frame in one.codes}) != 1 or not one.codes[0]:
        raise AudioError(
            "These are no codes.",
            expected=f"{engine.codec.num_codebooks} ids in each frame",
            got="frames of different length",
            remedy="Send one list of ids a frame.",
        )
    codec = engine.codec
    return Codes(torch.tensor(one.codes).T.contiguous(), codec.frame_rate, codec.codebook_size, one.codec)
