"""What stands before the routes: the key, and limits on what is received."""

from __future__ import annotations

import asyncio
import hmac

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import error_answer
from .limits import Limits

OPEN_PATHS = ("/health",)  # for whoever asks


class Guard:
    """Refuses requests without the key, with large bodies, and bodies that take too long to come.

    Args:
        key: what `Authorization: Bearer …` has to hold; None: nothing.
        counted: refusals by status.
    """

    def __init__(self, app: ASGIApp, limits: Limits, key: str | None, counted: Counter):
        self._app, self._limits, self._key, self._counted = app, limits, key, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        if not self._allowed(scope["path"], headers.get(b"authorization", b"")):
            return await self._refuse(401, "The key is missing or wrong: send Authorization: Bearer <key>.",
                                      {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limits.body_bytes:
            return await self._refuse(413, self._too_large(), {"Connection": "close"})(scope, receive, send)
        await self._app(scope, self._watched(receive), send)

    def _allowed(self, path: str, authorization: bytes) -> bool:
        if self._key is None or path in OPEN_PATHS:
            return True
        kind, _, given = authorization.partition(b" ")
        same = hmac.compare_digest(given.strip(), self._key.encode())
        return same and kind.lower() == b"bearer"

    def _watched(self, receive: Receive) -> Receive:
        received, whole = 0, False

        async def next_message() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._limits.receive_timeout_s)
            except asyncio.TimeoutError as error:
                raise HTTPException(408, "The request took too long to come.") from error
            received += len(message.get("body", b""))
            if received > self._limits.body_bytes:
                raise HTTPException(413, self._too_large())
            whole = not message.get("more_body", False)
            return message

        return next_message

    def _too_large(self) -> str:
        return f"The request is larger than {self._limits.body_bytes} bytes."

    def _refuse(self, status: int, message: str, headers: dict[str, str]) -> Response:
        self._counted.labels(str(status)).inc()
        return error_answer(status, message, headers=headers)
