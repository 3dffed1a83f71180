"""Speech from a server elsewhere, through OpenAI's own client: retried where that can help, cancelled at once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch

from ..audio.clip import AudioClip
from ..errors import AudioError
from ..generation.prefill import ShouldStop
from ..prompt.builder import Message
from ..types import Codes, FinishReason, Sampling
from .call import Call, Reachable, odd
from .servers import RemoteServer, SoundOf, request_body

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
class Remote(Reachable):
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
        self.check()

    def __repr__(self) -> str:
        return f"Remote({self.server.title} at {self.base_url})"

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  (it is read alone)
        return self.server.title

    @property
    def base_url(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
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
        call = _SpeechCall(self, body)
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


class _SpeechCall(Call):
    """One request for speech."""

    def __init__(self, remote: Remote, body: dict[str, Any]):
        super().__init__(remote, expected="speech")
        self._speech, self._body = remote, body

    async def ask(self, client, number: int) -> None:
        model = self._speech.model or self._speech.server.model or await self.first_model(client)
        async with client.audio.speech.with_streaming_response.create(
            input=self._body["input"],
            model=model,
            voice=self._body.get("voice", self.openai.NOT_GIVEN),
            extra_body={name: value for name, value in self._body.items() if name not in ("input", "voice")},
        ) as answer:
            self.found(_Start(_rate_of(answer.headers), number))
            async for piece in answer.iter_bytes():
                self.found(piece)


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
            raise odd("an answer without its last line")
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
            raise odd(f"{len(self._data)} bytes of 16-bit sound")
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
            raise odd(f"{said!r} ({self._without_key(str(error))})") from error


def _rate_of(headers) -> int:
    """Hz, as SGLang-Omni and `higgs serve` tell; the others speak at 24 kHz."""
    told = headers.get("x-sample-rate", "")
    return int(told) if told.isdigit() and 4000 <= int(told) <= 192_000 else USUAL_RATE
