"""A connection, with an end to what it may keep waiting: its headers, its answer, and other connections."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from .answers import error_answer
from .limits import ServerLimits


class Connection(H11Protocol):
    """uvicorn's own, which waits for ever for the end of headers and for a client that takes nothing, and goes on to
    accept connections whatever `limit_concurrency` says. Always on h11: it bounds the size of headers."""

    def __init__(self, *args: Any, limits: ServerLimits, **more: Any):
        super().__init__(*args, **more)
        self._limits = limits
        self._headers_due: asyncio.TimerHandle | None = None
        self._bytes_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        crowded = len(self.connections) >= self._limits.connections
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # whatever cannot be sent at once pauses writing
        if crowded:
            self._end_with(
                503,
                f"There are {self._limits.connections} connections already: try again in a moment, or "
                "use one connection for several requests.",
            )
        else:
            self._await_headers()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._headers_due = _cancelled(self._headers_due)
        elif self._headers_due is None:  # the first bytes of a further request
            self._await_headers()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bytes_due = self.loop.call_later(self._limits.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._bytes_due = _cancelled(self._bytes_due)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_due = _cancelled(self._headers_due)
        self._bytes_due = _cancelled(self._bytes_due)
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._headers_due = self.loop.call_later(self._limits.header_timeout_s, self._too_late)

    def _too_late(self) -> None:
        if self.cycle is None:
            self._end_with(408, f"The headers took longer than {self._limits.header_timeout_s:g} s.")
        else:
            self.transport.close()

    def _end_with(self, status: int, message: str) -> None:
        """A few hundred bytes, past h11: it knows of no request yet."""
        answer = error_answer(status, message, headers={"Connection": "close", "Retry-After": "1"})
        lines = [b"HTTP/1.1 %d Refused" % status, *(b"%s: %s" % pair for pair in answer.raw_headers), b"", answer.body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    """None, in place of a timer that no longer counts."""
    if timer is not None:
        timer.cancel()
