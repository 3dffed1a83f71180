"""The HTTP client below OpenAI's: it sends what we say and nothing more, follows nobody, and stops at long answers."""

from __future__ import annotations

import sys

MOST_BYTES = 1 << 20  # of an answer that is no speech: a list of models, or why not
RAW = "x-stainless-raw-response"  # OpenAI's client tells itself by it that the answer is read piece by piece
SENT = {
    "host",
    "accept",
    "accept-encoding",
    "connection",
    "content-type",
    "content-length",
    "transfer-encoding",
    "user-agent",
}


def http_client(openai, key: str, timeout_s: float, most_bytes: int | None = None):
    """For `openai.AsyncOpenAI(http_client=...)`.

    OpenAI's client adds headers from the environment (OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS), meant
    for OpenAI's own server; none of them leaves. A redirect is an answer like others: only the address that was
    chosen is asked.

    Args:
        key: sent as bearer token; "": no such header.
        most_bytes: of what is answered to a POST; None: there may be any number.
    """

    async def only_ours(request) -> None:
        request.extensions = {**request.extensions, RAW: request.headers.get(RAW, "")}
        for name in set(request.headers) - SENT:
            del request.headers[name]
        request.headers["accept-encoding"] = "identity"  # what is compressed may be endless
        if key:
            request.headers["authorization"] = f"Bearer {key}"

    async def with_an_end(response) -> None:
        if most_bytes is not None and (raw := response.request.extensions.get(RAW)):
            response.request.headers[RAW] = raw  # it has gone without; OpenAI's client looks for it here
        if not (response.is_success and response.request.method == "POST"):
            response.headers.pop("content-encoding", None)
            response.stream = _cut(response, MOST_BYTES)
        elif most_bytes is not None:
            response.stream = _cut(response, most_bytes)

    return openai.DefaultAsyncHttpxClient(
        follow_redirects=False,
        timeout=timeout_s,
        event_hooks={"request": [only_ours], "response": [with_an_end]},
    )


def _cut(response, most: int):
    """The body's stream, up to an end."""
    stream, library = response.stream, sys.modules[type(response).__module__.split(".")[0]]

    class CutStream(library.AsyncByteStream):
        async def __aiter__(self):
            left = most
            async for piece in stream:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

        async def aclose(self):
            await stream.aclose()

    return CutStream()
