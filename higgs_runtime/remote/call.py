"""A request to a server through OpenAI's own client: retried where that can help, left at once when it is cancelled."""

from __future__ import annotations

import asyncio
import queue
import random
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

from ..errors import AudioError, MissingExtraError, RemoteError, SettingError, check_range, one_sentence
from .allowed import place_of
from .http import http_client

POLL_S = 0.05  # between two looks at should_stop
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0  # before trying again


class Reachable:
    """A server that can be asked; what it is made of, the dataclasses below say.

    Attributes:
        title: what a person calls it.
        base_url: with the path before /audio/speech or /chat/completions.
        key: sent as bearer token; never shown.
        timeout_s: without a byte from the server.
        retries: after a failure of the connection, and after status 429 and 5xx, with growing pauses.
    """

    title: str
    base_url: str
    key: str
    timeout_s: float
    retries: int

    def check(self) -> None:
        """Raises a SettingError for what cannot be asked."""
        check_range("timeout_s", self.timeout_s, 0.1, 3600.0)
        check_range("retries", self.retries, 0, 20)
        place_of(self.base_url)
        if not self.key.isprintable():
            raise SettingError(
                "The server's key cannot be sent.",
                expected="one line without control characters",
                got=f"a key of {len(self.key)} characters with others among them",
                remedy="Set its environment variable anew, as from a file with one plain line.",
            )

    def without_key(self, said: str) -> str:
        """What a server says, which may be what it was sent."""
        return said.replace(self.key, "…") if self.key else said


class Call:
    """One request in an event loop of its own, so that it can be left at any moment.

    Args:
        expected: what is asked for, in words.
        most_bytes: of an answer; None: there may be any number.

    Raises:
        MissingExtraError: openai (extra `remote`) is not installed.
    """

    def __init__(self, server: Reachable, expected: str, most_bytes: int | None = None):
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("A model on a server", "remote", "openai") from error
        self.openai, self._server, self._expected, self._most = openai, server, expected, most_bytes
        self._found: queue.Queue = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="higgs-remote", daemon=True)

    async def ask(self, client, number: int) -> None:
        """One try, the first is number 1; what comes is told by `found`."""
        raise NotImplementedError

    def found(self, event: Any) -> None:
        self._found.put(event)

    def events(self, should_stop: Callable[[], bool]) -> Generator[Any, None, None]:
        """What comes, and None in the end if it was told to stop."""
        self._thread.start()
        try:
            asked = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
            asked.add_done_callback(lambda _: self._found.put(None))
            while True:
                if should_stop():
                    yield None
                    return
                try:
                    event = self._found.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                if event is None:
                    asked.result()  # raises what went wrong
                    return
                yield event
        finally:
            asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _leave(self) -> None:
        """Whatever still runs ends, and closes its connection."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    async def _ask(self) -> None:
        server = self._server
        async with self.openai.AsyncOpenAI(
            base_url=server.base_url,
            api_key="ours",
            max_retries=0,
            timeout=server.timeout_s,
            http_client=http_client(self.openai, server.key, server.timeout_s, self._most),
        ) as client:
            for number in range(1, server.retries + 2):
                wait_s = await self._once(client, number, last=number > server.retries)
                if wait_s is None:
                    return
                await asyncio.sleep(wait_s)

    async def _once(self, client, number: int, last: bool) -> float | None:
        """One try; seconds to wait before the next one, None if it was the last."""
        try:
            await self.ask(client, number)
            return None
        except self.openai.APIStatusError as error:
            status = error.status_code
            if last or not (status == 429 or status >= 500 and status != 501):
                raise self._refused(error, number) from error
            return _asked_wait(error.response.headers) or _pause(number)
        except (self.openai.APIConnectionError, *_transport_errors()) as error:
            if last:
                raise self._unreachable(error, number) from error
            return _pause(number)
        except self.openai.OpenAIError as error:
            raise self._unreachable(error, number) from error

    async def first_model(self, client) -> str:
        """The first that the server has."""
        try:
            return str((await client.models.list()).data[0].id)[:1000]
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # a page, or another list
            raise odd("no list of models") from error

    def _refused(self, error, tries: int) -> RemoteError:
        body = error.body
        said = body.get("message") or body.get("detail") if isinstance(body, dict) else body
        said = one_sentence(self._server.without_key(str(said or "no reason")))
        usual = "Change what it names, or see the server's log."
        if 300 <= error.status_code < 400:
            usual = "It sends requests on to another address, and they are not followed: write that address."
        remedy = {
            401: "Check the key in the environment variable, and that it may go there: docs/safety.md.",
            403: "Check what the key may do.",
            404: "Check URL and model name.",
            429: "Wait, or ask for less at once.",
        }
        found = RemoteError(
            f"{self._server.title} refused.",
            expected=self._expected,
            got=f"status {error.status_code} from {self._server.base_url}, {tries} time(s): {said}",
            remedy=remedy.get(error.status_code, usual),
        )
        found.status = error.status_code
        return found

    def _unreachable(self, error: Exception, tries: int) -> RemoteError:
        said = one_sentence(self._server.without_key(str(error)))
        return RemoteError(
            f"{self._server.title} did not answer.",
            expected=f"an answer from {self._server.base_url}",
            got=f"{said} ({tries} time(s))",
            remedy="Check that the server runs, the URL and the timeout.",
        )


def odd(got: str) -> AudioError:
    return AudioError(
        "The server's answer is not what was asked for.",
        got=got,
        expected="a whole answer in its form",
        remedy="Check that the URL is that of the server which was chosen.",
    )


def _asked_wait(headers) -> float | None:
    told = headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT_S) if told.isdecimal() else None


def _pause(number: int) -> float:
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (number - 1)) * random.uniform(0.75, 1.25)


def _transport_errors() -> tuple[type[Exception], ...]:
    """What breaks in the middle of an answer: errors of the client's HTTP library, httpx under one name or another."""
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return tuple(library.TransportError for library in libraries)
