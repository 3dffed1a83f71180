"""The thread that owns model and codec: lines join its batch as they arrive."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from itertools import count

from ..codec import Codec
from ..errors import HiggsError, MemoryShortError, NumericError, SettingError, StoppedError
from ..generation.request import check_length, positions_of, with_length_warning
from ..generation.session import Session
from ..model import HiggsModel
from ..monologue import Monologue
from ..prompt import build_prompt
from ..speech import check_pair, silence_stop
from ..types import Codes, Generation, Prompt, Sampling
from ..verification import SilenceStop
from .budget import Budget, BusyError
from .limits import MAX_WINDOW, ServerLimits
from .lines import ServedRequest
from .metrics import Metrics
from .voices import Voices

LINE_GUESS_S = 5.0  # how long a line speaks, before one has


Spoken = Generator[tuple[int, Codes, Generation | None], None, None]


class SpeechEngine:
    """Speaks lines side by side until it is closed. A context manager: the thread runs in the with-block.

    A line gives the same codes alone and in any batch. Preparing a line (encoding a reference, laying out the
    prompt) and decoding happen between the steps of the others.

    Attributes:
        budget: what requests hold.
        failure: what ended the thread, if anything did.

    Raises:
        CheckpointError: model and codec are of different releases.
        MemoryShortError: there is no memory for one row (on entering).
    """

    def __init__(self, model: HiggsModel, codec: Codec, limits: ServerLimits, voices: Voices | None = None):
        check_pair(model, codec)
        self.model, self.codec, self.limits = model, codec, limits
        self.voices = voices or Voices([], codec)
        self.positions = min(limits.positions, model.config.max_positions)
        self.failure: BaseException | None = None
        self.budget = Budget(limits.held_bytes)
        self.metrics = Metrics(self)
        self._stop: SilenceStop | None = None if limits.silence_s is None else silence_stop(codec, limits.silence_s)
        self._session = Session(model, batch=limits.rows)
        self._waiting: deque[ServedRequest] = deque()
        self._speaking: dict[int, ServedRequest] = {}  # by the number that the session gives them
        self._news = threading.Condition()
        self._closed = False
        self._mean_s = LINE_GUESS_S
        self._thread = threading.Thread(target=self._run, name="higgs-engine", daemon=True)

    def __enter__(self) -> SpeechEngine:
        with self._serving(iter(())) as found:  # the cache is made, or the error comes now
            list(found)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def speaking(self) -> int:
        return len(self._speaking)

    @property
    def max_frames(self) -> int:
        """Of one piece."""
        return max(1, round(self.limits.seconds * self.model.config.frame_rate))

    def submit(self, line: ServedRequest) -> None:
        """Have a line spoken; what becomes of it is told to the line.

        Raises:
            BusyError: too many wait.
            StoppedError: the engine has ended.
        """
        with self._news:
            if self._closed or self.failure is not None:
                raise _stopped()
            if len(self._waiting) >= self.limits.waiting:
                rounds = 1 + len(self._waiting) / self.limits.rows
                raise BusyError(
                    "Too many requests wait.",
                    f"at most {self.limits.waiting}",
                    max(1, round(rounds * self._mean_s / 2)),
                )
            self._waiting.append(line)
            self._news.notify()

    def forget(self, line: ServedRequest) -> None:
        """Nobody listens to it any more."""
        line.gone = True  # the engine looks at it between two steps
        with self._news, suppress(ValueError):
            self._waiting.remove(line)

    # --- on the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait():
                self._serve()
        except BaseException as error:
            self.failure = error
            raise
        finally:
            with self._news:
                self._closed = True
                left, self._waiting = [*self._speaking.values(), *self._waiting], deque()
                self._speaking.clear()
            for line in left:
                line.fail(_stopped())

    def _wait(self) -> bool:
        """Until there is a line (True) or the engine is closed."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closed)
            return not self._closed

    def _serve(self) -> None:
        """Speaks until nobody speaks and nobody waits."""
        try:
            with self._serving(self._arrivals()) as found:
                for number, codes, take in found:
                    self._hear(self._speaking[number], codes, take)
                    if take is not None:
                        self._next(self._speaking.pop(number))
        except (NumericError, MemoryShortError) as error:
            with self._news:
                lost = [*self._speaking.values()] or [*self._waiting]  # no line at all could speak
                if not self._speaking:
                    self._waiting.clear()
                self._speaking.clear()
            for line in lost:
                line.fail(error)

    def _hear(self, line: ServedRequest, codes: Codes, take: Generation | None) -> None:
        self.metrics.frames.inc(codes.frames)
        try:
            line.hear(codes, take, self.codec)
        except (HiggsError, RuntimeError) as error:
            line.gone = True
            line.fail(_explained(error))

    def _serving(self, arrivals: Iterator[tuple[Prompt, Sampling] | None]) -> closing[Spoken]:
        return closing(
            self._session.serve(
                arrivals,
                positions=self.positions,
                window=MAX_WINDOW,
                should_stop=lambda: self._closed,
                should_end=lambda number, frames: self._speaking[number].should_end(frames),
            )
        )

    def _arrivals(self) -> Iterator[tuple[Prompt, Sampling] | None]:
        """Lines that wait, in order, each prepared when a row is free for it; None where nobody waits."""
        numbers = count()
        while True:
            with self._news:
                line = self._waiting.popleft() if self._waiting else None
            if line is None:
                yield None
            elif not line.gone and (ready := self._prepared(line)):
                self._speaking[next(numbers)] = line
                yield ready

    def _prepared(self, line: ServedRequest) -> tuple[Prompt, Sampling] | None:
        """What the session reads for a line's next piece; None if it was refused."""
        try:
            if line.monologue is None:
                line.monologue = self._monologue(line)
            prompt, sampling = self._laid_out(line, line.monologue, 0), line.asked.budget(line.spoken)
        except (HiggsError, RuntimeError) as error:
            line.fail(_explained(error), by_client=isinstance(error, HiggsError) and line.first_s is None)
            return None
        line.begin_piece(self._stop)
        return prompt, sampling

    def _monologue(self, line: ServedRequest) -> Monologue:
        """Its pieces, each looked at: what cannot be read is told before anything is heard.

        Raises:
            HiggsError: a piece cannot be read.
        """
        asked = line.asked
        texts = asked.pieces.texts or (asked.text,)
        made = Monologue(texts, self.voices.messages(asked))
        notes = [*asked.notes, *asked.pieces.warnings]
        for n in range(made.left):
            notes += self._laid_out(line, made, n).warnings
        line.warnings = tuple(dict.fromkeys(notes))
        return made

    def _laid_out(self, line: ServedRequest, monologue: Monologue, ahead: int) -> Prompt:
        sampling = line.asked.sampling
        prompt = build_prompt(monologue.messages(ahead), self.model.tokenizer)
        self.model.check(prompt)
        check_length(prompt, sampling, self.model.config)
        needed = positions_of(prompt, sampling, self.model.config)
        if needed > self.positions:
            raise SettingError(
                "The request is longer than this server takes.",
                got=f"{len(prompt)} of prompt + {needed - len(prompt)} for the answer",
                expected=f"at most {self.positions} positions",
                remedy="Use a shorter text or shorter references, or ask for less with max_new_tokens.",
            )
        return with_length_warning(prompt, sampling, self.model.config)

    def _next(self, line: ServedRequest) -> None:
        """A piece is over: the next one has the row, if there is one."""
        if not line.goes_on:
            return self._leave(line)
        with self._news:
            self._waiting.appendleft(line)

    def _leave(self, line: ServedRequest) -> None:
        seconds = time.monotonic() - line.started
        self._mean_s += (seconds - self._mean_s) / 8
        self.metrics.line_seconds.observe(seconds)
        if line.first_s is not None:
            self.metrics.first_sound.observe(line.first_s)


def _explained(error: Exception) -> HiggsError:
    """torch's own errors in the words of ours; no others may end in one line alone."""
    if isinstance(error, HiggsError):
        return error
    return StoppedError("This line could not be spoken.", got=str(error).split("\n")[0], remedy="See the server's log.")


def _stopped() -> StoppedError:
    return StoppedError("The engine has stopped.", remedy="Start the server again; its log says why.")
