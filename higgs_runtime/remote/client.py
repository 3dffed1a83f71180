"""Speech from a server elsewhere, through OpenAI's own client: retried where that can help, cancelled at once."""

from __future__ import annotations

import asyncio
import json
import math
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch

from ..audio.clip import AudioClip
from ..errors import AudioError, MissingExtraError, RemoteError, SettingError, check_range, one_sentence
from ..generation.prefill import ShouldStop
from ..prompt.builder import Message
from ..types import Codes, FinishReason, Sampling
from .allowed import place_of
from .http import http_client
from .servers import RemoteServer, SoundOf, request_body

POLL_S = 0.05  # between two looks at should_stop
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0  # before trying again
MAX_SECONDS = 3600.0  # of sound; more is no answer to a line
MAX_LINE, MAX_LINES = 1 << 20, 1 << 26  # bytes: of a line of codes, of all of them
USUAL_RATE = 24_000

OnSeconds = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class RemoteTake:
    """What a server made.

    Attributes:
        codes: from a server that gives codes, else None.
        clip: from a server that gives sound, else None; mono.
        finish_reason: as of Generation; "stop" where the server does not tell.
        seconds: wall-clock time, with all tries.
        tries: how often it was asked.
        notes: one sentence on each thing that the server was not asked for.
    """

    codes: Codes | None
    clip: AudioClip | None
    finish_reason: FinishReason
    seconds: float
    tries: int
    notes: tuple[str, ...] = ()

    @property
    def audio_s(self) -> float:
        """Length of the audio in seconds."""
        sound = self.codes or self.clip
        return sound.seconds if sound else 0.0


@dataclass(frozen=True)
class Remote:
    """A server, and how to ask it.

    Attributes:
        url: with the path before /audio/speech; "": the usual one.
        model, voice: names that the server knows; "": the usual ones.
        key: sent as bearer token; never shown.
        timeout_s: without a byte from the server.
        retries: after a failure of the connection, and after status 429 and 5xx, with growing pauses.

    Raises:
        SettingError: no such URL, or one with a name or password in it; a setting out of range; a key that no header
            can hold.
    """

    server: RemoteServer
    url: str = ""
    model: str = ""
    voice: str = ""
    key: str = ""
    timeout_s: float = 120.0
    retries: int = 4

    def __post_init__(self):
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

    def __repr__(self) -> str:
        return f"Remote({self.server.title} at {self.base_url})"

    def without_key(self, said: str) -> str:
        """What a server says, which may be what it was sent."""
        return said.replace(self.key, "…") if self.key else said

    @property
    def base_url(self) -> str:
        return (self.url.strip() or self.server.url).rstrip("/")

    def speak(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        sound_of: SoundOf | None = None,
        on_seconds: OnSeconds | None = None,
        should_stop: ShouldStop | None = None,
    ) -> RemoteTake:
        """Have the server speak the last message of a conversation, see `request_body`.

        Args:
            on_seconds: called with the seconds of audio that have come.
            should_stop: asked all the time; True leaves the server and keeps what has come, as "cancelled".

        Raises:
            RemoteError: the server refuses, or cannot be reached in so many tries.
            AudioError: it sent no sound, or something else.
            PromptError, SettingError: as `request_body`.
            MissingExtraError: openai (extra `remote`) is not installed.
        """
        body, notes = request_body(self.server, messages, sampling, voice=self.voice, sound_of=sound_of)
        started, answer, stopped = time.perf_counter(), _Answer(self.server.returns == "codes"), False
        call = _Call(self, body)
        with closing(call.events(should_stop or (lambda: False))) as events:
            for event in events:
                if event is None:
                    stopped = True
                elif isinstance(event, _Start):
                    answer = _Answer(self.server.returns == "codes", event.rate, event.number, self.without_key)
                elif answer.take(event) and on_seconds is not None:
                    on_seconds(answer.seconds)
        codes, clip, reason = answer.finished(stopped)
        return RemoteTake(codes, clip, reason, time.perf_counter() - started, answer.tries, notes)


@dataclass(frozen=True)
class _Start:
    """The answer to a new try begins; what came before does not count."""

    rate: int
    number: int


class _Call:
    """One request in an event loop of its own, so that it can be left at any moment."""

    def __init__(self, remote: Remote, body: dict[str, Any]):
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("A model on a server", "remote", "openai") from error
        self._openai, self._remote, self._body = openai, remote, body
        self._found: queue.Queue = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="higgs-remote", daemon=True)

    def events(self, should_stop: ShouldStop) -> Generator[_Start | bytes | None, None, None]:
        """What comes, and None in the end if it was told to stop."""
        self._thread.start()
        try:
            asked = asyncio.run_coroutine_threadsafe(self._speak(), self._loop)
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

    async def _speak(self) -> None:
        remote = self._remote
        async with self._openai.AsyncOpenAI(
            base_url=remote.base_url,
            api_key="ours",
            max_retries=0,
            timeout=remote.timeout_s,
            http_client=http_client(self._openai, remote.key, remote.timeout_s),
        ) as client:
            for number in range(1, remote.retries + 2):
                wait_s = await self._once(client, number, last=number > remote.retries)
                if wait_s is None:
                    return
                await asyncio.sleep(wait_s)

    async def _once(self, client, number: int, last: bool) -> float | None:
        """One try; seconds to wait before the next one, None if it was the last."""
        try:
            model = self._remote.model or self._remote.server.model or await self._first_model(client)
            async with client.audio.speech.with_streaming_response.create(
                input=self._body["input"],
                model=model,
                voice=self._body.get("voice", self._openai.NOT_GIVEN),
                extra_body={name: value for name, value in self._body.items() if name not in ("input", "voice")},
            ) as answer:
                self._found.put(_Start(_rate_of(answer.headers), number))
                async for piece in answer.iter_bytes():
                    self._found.put(piece)
            return None
        except self._openai.APIStatusError as error:
            status = error.status_code
            if last or not (status == 429 or status >= 500 and status != 501):
                raise self._refused(error, number) from error
            return _asked_wait(error.response.headers) or _pause(number)
        except (self._openai.APIConnectionError, *_transport_errors()) as error:
            if last:
                raise self._unreachable(error, number) from error
            return _pause(number)
        except self._openai.OpenAIError as error:
            raise self._unreachable(error, number) from error

    async def _first_model(self, client) -> str:
        try:
            return str((await client.models.list()).data[0].id)[:1000]
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # a page, or another list
            raise _odd("no list of models") from error

    def _refused(self, error, tries: int) -> RemoteError:
        body = error.body
        said = body.get("message") or body.get("detail") if isinstance(body, dict) else body
        said = one_sentence(self._remote.without_key(str(said or "no reason")))
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
            f"{self._remote.server.title} refused.",
            expected="speech",
            got=f"status {error.status_code} from {self._remote.base_url}, {tries} time(s): {said}",
            remedy=remedy.get(error.status_code, usual),
        )
        found.status = error.status_code
        return found

    def _unreachable(self, error: Exception, tries: int) -> RemoteError:
        return RemoteError(
            f"{self._remote.server.title} did not answer.",
            expected=f"an answer from {self._remote.base_url}",
            got=f"{one_sentence(str(error))} ({tries} time(s))",
            remedy="Check that the server runs, the URL and the timeout.",
        )


class _Answer:
    """Collects what one try brings."""

    def __init__(self, codes: bool, rate: int = USUAL_RATE, tries: int = 1, without_key: Callable[[str], str] = str):
        self._codes, self._rate, self.tries, self._without_key = codes, rate, tries, without_key
        self._data, self._came, self._codes_s = bytearray(), 0, 0.0
        self._frames: list[Codes] = []
        self._end: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        return self._codes_s if self._codes else len(self._data) / 2 / self._rate

    def take(self, piece: bytes) -> bool:
        """Whether there is more audio now."""
        before, known = self.seconds, len(self._data)
        self._data += piece
        self._came += len(piece)
        while self._codes and (end := self._data.find(b"\n", known)) >= 0:
            line, self._data, known = bytes(self._data[:end]), self._data[end + 1 :], 0
            self._take_line(line)
        endless = self._codes and (len(self._data) > MAX_LINE or self._came > MAX_LINES)
        if endless or self.seconds > MAX_SECONDS:
            raise AudioError(
                "The server sends without end.",
                got="more",
                expected=f"at most {MAX_SECONDS:g} s of audio, in lines of 1 MB",
                remedy="Check the URL: this may be another service.",
            )
        return self.seconds > before

    def finished(self, stopped: bool) -> tuple[Codes | None, AudioClip | None, FinishReason]:
        reason = "cancelled" if stopped else (self._end or {}).get("finish_reason", "stop")
        if self._codes and not stopped and self._end is None:
            raise _odd("an answer without its last line")
        if self.seconds == 0:
            raise AudioError(
                "The server sent no sound.",
                expected="at least one frame",
                got=f"none ({reason})",
                remedy="Try another seed, or a reference clip with a matching transcript.",
            )
        if self._codes:
            first, ids = self._frames[0], torch.cat([one.ids for one in self._frames], dim=1)
            return Codes(ids, first.frame_rate, first.codebook_size, first.codec), None, reason
        if len(self._data) % 2 and not stopped:
            raise _odd(f"{len(self._data)} bytes of 16-bit sound")
        samples = np.frombuffer(self._data[: len(self._data) // 2 * 2], "<i2").astype(np.float32) / 32767
        return None, AudioClip(torch.from_numpy(samples)[None].clamp(-1, 1), self._rate), reason

    def _take_line(self, line: bytes) -> None:
        try:
            fields = json.loads(line)
            if self._end is not None or not isinstance(fields, dict):
                raise ValueError("something after the end, or no object")
            if "ids" in fields:
                ids = torch.tensor(fields["ids"], dtype=torch.long).T.contiguous()
                rate = float(fields["frame_rate"])
                if not math.isfinite(rate) or rate <= 0:
                    raise ValueError(f"{rate} frames a second")
                new = Codes(ids, rate, int(fields["codebook_size"]), str(fields["codec"]))
                if self._frames and not new.may_join(self._frames[0]):
                    raise ValueError("codes of several codecs")
                self._frames.append(new)
                self._codes_s += new.seconds
            else:
                if fields["finish_reason"] not in get_args(FinishReason):
                    raise ValueError("no reason to end")
                self._end = fields
        except (ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
            said = self._without_key(line.decode("utf-8", "replace"))[:60]
            raise _odd(f"{said!r} ({self._without_key(str(error))})") from error


def _odd(got: str) -> AudioError:
    return AudioError(
        "The server's answer is not what was asked for.",
        got=got,
        expected="a whole answer in its form",
        remedy="Check that the URL is that of the server which was chosen.",
    )


def _rate_of(headers) -> int:
    """Hz, as SGLang-Omni and `higgs serve` tell; the others speak at 24 kHz."""
    told = headers.get("x-sample-rate", "")
    return int(told) if told.isdigit() and 4000 <= int(told) <= 192_000 else USUAL_RATE


def _asked_wait(headers) -> float | None:
    told = headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT_S) if told.isdigit() else None


def _pause(number: int) -> float:
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (number - 1)) * random.uniform(0.75, 1.25)


def _transport_errors() -> tuple[type[Exception], ...]:
    """What breaks in the middle of an answer: errors of the client's HTTP library, httpx under one name or another."""
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return tuple(library.TransportError for library in libraries)
