"""How a route answers: with JSON, with a sound, or with why it refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps


class Refused(Exception):
    """Ends a request with a status and a reason."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


def answering(handler: Callable):
    """The handler with what it returns, or why it refuses, as an answer."""
    from aiohttp import web

    from ...higgs_runtime import HiggsError

    @wraps(handler)
    async def answer(request):
        try:
            found = await handler(request)
        except Refused as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except HiggsError as error:
            return web.json_response({"error": str(error)}, status=400)
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)

    return answer


def flac(data: bytes, **headers: str):
    """A FLAC file as an answer."""
    from aiohttp import web

    return web.Response(body=data, content_type="audio/flac", headers={"Cache-Control": "no-cache", **headers})
