"""What stands before the routes: the key or the host, and limits on what is received and held."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from urllib.parse import urlsplit

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import error_answer
from .budget import BODY_COPIES, Budget, BusyError, Share
from .limits import ServerLimits

OPEN_PATHS = ("/health",)  # for whoever asks
SLOWEST = 8192  # bytes a second that a body comes with, on the average
PIECE = 1 << 16  # of an answer; the next one is given away when this one was taken


class Guard:
    """Refuses requests without the key, with large bodies, and bodies that take too long to come. Where no key is
    asked, also those for a host of another name: a page on the web may have its own name lead to this computer.

    Routes find in `scope["share"]` what their request holds.

    Args:
        budget: what all requests may hold.
        key: what `Authorization: Bearer …` has to hold; None: nothing.
        counted: refusals by status.
    """

    def __init__(self, app: ASGIApp, limits: ServerLimits, budget: Budget, key: str | None, counted: Counter):
        self._app, self._limits, self._budget, self._key, self._counted = app, limits, budget, key, counted
        self._hosts = {"localhost", *(name.lower().rstrip(".") for name in limits.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        if not self._allowed(scope["path"], headers.get(b"authorization", b"")):
            return await self._refuse(
                401, "The key is missing or wrong: send Authorization: Bearer <key>.", {"WWW-Authenticate": "Bearer"}
            )(scope, receive, send)
        if self._key is None and not self._known(host := headers.get(b"host", b"").decode("latin-1")):
            return await self._refuse(
                421,
                f"This server is not known as '{host[:80]}': use its address, or start it with --allow-host NAME.",
                {"Connection": "close"},
            )(scope, receive, send)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limits.body_bytes:
            return await self._refuse(413, self._too_large(), {"Connection": "close"})(scope, receive, send)
        with self._budget.share() as share:
            try:
                share.take(BODY_COPIES * int(length))
            except BusyError as error:
                more = {"Connection": "close", "Retry-After": str(error.retry_after_s)}
                return await self._refuse(429, str(error), more)(scope, receive, send)
            await self._app({**scope, "share": share}, self._watched(receive, share, int(length)), self._sliced(send))

    def _allowed(self, path: str, authorization: bytes) -> bool:
        if self._key is None or path in OPEN_PATHS:
            return True
        kind, _, given = authorization.partition(b" ")
        same = hmac.compare_digest(given.strip(), self._key.encode())
        return same and kind.lower() == b"bearer"

    def _known(self, host: str) -> bool:
        """Addresses belong to nobody else, and whoever names no host is no browser."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # a bracket without its other one
            return False
        return not host or name.rstrip(".") in self._hosts or _is_address(name)

    def _watched(self, receive: Receive, share: Share, declared: int) -> Receive:
        received, whole, started = 0, False, time.monotonic()

        async def next_message() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()
            patience = self._limits.receive_timeout_s
            left = started + patience + received / SLOWEST - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), min(patience, max(0.0, left)))
            except asyncio.TimeoutError as error:
                raise HTTPException(408, "The request took too long to come.") from error
            before, received = received, received + len(message.get("body", b""))
            if received > self._limits.body_bytes:
                raise HTTPException(413, self._too_large())
            try:
                share.take(BODY_COPIES * (max(received, declared) - max(before, declared)))  # chunks tell no length
            except BusyError as error:
                raise HTTPException(429, str(error), {"Retry-After": str(error.retry_after_s)}) from error
            whole = not message.get("more_body", False)
            return message

        return next_message

    @staticmethod
    def _sliced(send: Send) -> Send:
        """Large bodies go piece by piece: uvicorn would hold what a slow client does not take, uncounted."""

        async def send_pieces(message: Message) -> None:
            body = message.get("body", b"")
            for start in range(0, len(body) - PIECE, PIECE):
                await send({**message, "body": body[start : start + PIECE], "more_body": True})
            rest = max(0, -(-len(body) // PIECE) - 1) * PIECE
            await send({**message, "body": body[rest:]} if rest else message)

        return send_pieces

    def _too_large(self) -> str:
        return f"The request is larger than {self._limits.body_bytes} bytes."

    def _refuse(self, status: int, message: str, headers: dict[str, str]) -> Response:
        self._counted.labels(str(status)).inc()
        return error_answer(status, message, headers=headers)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
