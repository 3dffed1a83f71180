"""A script spoken by a server: lines side by side, each in a request of its own."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import partial

import torch

from ..audio.clip import AudioClip
from ..codec import Codec
from ..errors import AudioError, RemoteError, SettingError
from ..model.config import PromptFormat
from ..prompt.builder import Message
from ..rendering import Events, Line, Performance, RenderJob, Verifier
from ..rendering.line_by_line import perform_lines
from ..rendering.lines import named
from ..script import Script
from ..types import Codes, Generation, Sampling
from .client import Remote, RemoteTake
from .servers import request_body

FRAME_RATE = 25.0  # frames of codes a second, of every Higgs model
KEY_VERSION = 1  # counts up when the same request means something else
LOOK_S = 0.05  # between two looks at should_stop


@dataclass(frozen=True, eq=False)
class RemoteSpeaker:
    """Speaks with a model on a server, `RenderSettings.batch` requests at a time.

    The text is sent as it is written: the server prepares it. What a server cannot be asked for is left out, with a
    warning in the performance. Takes are stored as those of this server and model: whether the server still has the
    same weights, nobody here knows.

    Attributes:
        codec: makes sound of the voices' codes, and codes of the sound that comes back, where the server wants that.
        verifier: listens to each take; without it no line is spoken again.
    """

    remote: Remote
    codec: Codec
    verifier: Verifier | None = None

    def perform(self, job: RenderJob, events: Events) -> Performance:
        """See `render`.

        Raises:
            SettingError: continuous mode: servers speak every line alone.
            RemoteError, AudioError: as `Remote.speak`; what was spoken until then is in the store.
            MissingExtraError: openai (extra `remote`) is not installed.
        """
        if job.settings.mode != "independent":
            raise SettingError(
                f"{self.remote.server.title} does not go on from earlier lines.",
                expected="mode 'independent'",
                got=f"'{job.settings.mode}'",
                remedy="Set the mode to independent, or speak with a model on this computer.",
            )
        session = _RemoteSession(self.remote, self.codec, job.settings.batch, job.script)
        return perform_lines(job, session, self.verifier, events, self.codec)


@dataclass(eq=False)
class _Request:
    """A line to ask for. `warnings`: what the server will not be asked for."""

    messages: Sequence[Message]
    warnings: Sequence[str] = ()


class _RemoteSession:
    """The `LineSession` of a server."""

    frame_rate = FRAME_RATE
    prompt_layout: PromptFormat | None = None

    def __init__(self, remote: Remote, codec: Codec, batch: int, script: Script):
        self._remote, self._codec, self._batch, self._script = remote, codec, batch, script
        self._lock = threading.Lock()  # a codec serves one at a time
        self._sounds: dict[int, tuple[Codes, AudioClip]] = {}  # by the codes' id; of the voices, for all lines

    def request(self, line: Line, messages: Sequence[Message], *, check: bool = True) -> _Request:
        with named(line, self._script):
            _, notes = request_body(
                self._remote.server, messages, line.sampling, voice=self._remote.voice, sound_of=self._sound_of
            )
        return _Request(messages, notes)

    def fits(self, request: _Request, line: Line) -> bool:
        return True  # only the server knows

    def line_key(self, request: _Request, sampling: Sampling) -> str:
        """SHA-256 of where it is asked for, the conversation and the settings."""
        settings = {name: value for name, value in asdict(sampling).items() if name != "seed"}
        remote = self._remote
        head = [KEY_VERSION, remote.server.title, remote.base_url, remote.model, remote.voice, settings]
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for piece in _pieces(request.messages):
            digest.update(len(piece).to_bytes(8, "little") + piece)
        return digest.hexdigest()

    def takes(
        self,
        requests: Sequence[_Request],
        sampling: Sequence[Sampling],
        *,
        wanted: Callable[[int], bool],
        on_seconds: Callable[[int, float], None],
        should_stop: Callable[[], bool],
    ) -> Generator[tuple[int, Generation], None, None]:
        """One thread a request; everything is told in the caller's."""
        waiting, stopped = list(range(len(requests))), threading.Event()
        going: dict[Future, int] = {}
        seconds: queue.SimpleQueue[tuple[int, float]] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(self._batch, thread_name_prefix="higgs-remote-line")
        try:
            while waiting or going:
                while waiting and len(going) < self._batch:
                    if wanted(index := waiting.pop(0)):
                        heard = partial(lambda index, there: seconds.put((index, there)), index)
                        going[pool.submit(self._speak, requests[index], sampling[index], heard, stopped)] = index
                if should_stop():
                    stopped.set()
                    waiting.clear()
                done, _ = wait(going, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                while not seconds.empty():
                    on_seconds(*seconds.get())
                for future in done:
                    index, spoken = going.pop(future), future.result()
                    if spoken is not None:
                        yield index, spoken
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _speak(
        self, request: _Request, sampling: Sampling, on_seconds: Callable[[float], None], stopped: threading.Event
    ) -> Generation | None:
        """None: it was stopped before there was a sound."""
        try:
            take = self._remote.speak(
                request.messages,
                sampling,
                sound_of=self._sound_of,
                on_seconds=on_seconds,
                should_stop=stopped.is_set,
            )
        except AudioError:
            if stopped.is_set():
                return None
            raise
        if take.finish_reason == "cancelled":
            if stopped.is_set():
                return None
            raise RemoteError(
                f"{self._remote.server.title} broke a line off.",
                expected="the whole line",
                got=f"{take.audio_s:.2f} s of it",
                remedy="See the server's log, and render again: what has been spoken is in the store.",
            )
        codes = self._codes_of(take)
        rows = torch.empty(0, codes.num_codebooks, dtype=torch.long)  # how it was generated, only the server knows
        return Generation(codes, rows, take.finish_reason, take.seconds, prompt_positions=0)

    def _codes_of(self, take: RemoteTake) -> Codes:
        if take.codes is not None:
            return take.codes
        assert take.clip is not None, "one of both came"
        with self._lock:
            return self._codec.encode(take.clip)

    def _sound_of(self, codes: Codes) -> AudioClip:
        with self._lock:
            if id(codes) not in self._sounds:
                self._sounds[id(codes)] = codes, self._codec.decode(codes)
            return self._sounds[id(codes)][1]


def _pieces(messages: Sequence[Message]) -> Iterable[bytes]:
    """All that a conversation holds."""
    for message in messages:
        yield message.role.encode()
        for part in message.content:
            if isinstance(part, str):
                yield part.encode()
            elif isinstance(part, Codes):
                yield f"{list(part.ids.shape)} {part.codec}".encode() + part.ids.cpu().numpy().astype("<i8").tobytes()
            else:
                yield f"{part.sample_rate}".encode() + part.samples.cpu().numpy().astype("<f4").tobytes()
