"""One run of a session: requests wait, speak in the slots of a decode batch, and make room for the next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ..devices import is_out_of_memory
from ..model import HiggsModel
from .batch import DecodeBatch
from .numerics import out_of_range
from .prefill import ShouldStop, prefill
from .prefix_cache import PrefixCache
from .request import GenerationRequest
from .ring import Drawn

Wanted = Callable[[int], bool]


class Run:
    """What lives from the first prompt of a run to its last frame.

    Args:
        batch: whose first slots speak, one request each.
        prefixes: what the slots hold.
        limit: slots that may speak, at most; it falls where memory is short.
        requests: those that wait.
        arrivals: asked for another when none waits and a slot is free; None: there is none yet.
        wanted: asked with a request's index before it is admitted; False leaves it out.
        should_stop: asked before every step.

    Attributes:
        exact_prompts, ahead: see `Session`.
    """

    exact_prompts = False
    ahead = False

    def __init__(
        self,
        model: HiggsModel,
        batch: DecodeBatch,
        prefixes: PrefixCache,
        limit: int,
        *,
        requests: Iterable[GenerationRequest],
        arrivals: Iterator[GenerationRequest | None],
        wanted: Wanted,
        should_stop: ShouldStop,
    ):
        self.model, self.batch, self.prefixes, self.limit = model, batch, prefixes, limit
        self.waiting, self.arrivals = deque(requests), arrivals
        self.wanted, self.should_stop = wanted, should_stop
        self.speaking: list[GenerationRequest] = []  # by slot
        self.stopped = False  # was told to
        self._given: tuple[Drawn, int] | None = None  # what the device is at work on, and how many steps that is
        self._front: GenerationRequest | None = None  # stands in front, and is wanted

    def admit(self) -> None:
        """Slots whose take is over, and free ones, go to the next requests; those that nobody takes are closed."""
        before = list(self.speaking)
        for slot in reversed(range(len(self.speaking))):
            if self.speaking[slot].written.steps_left:
                continue
            if len(self.speaking) <= self.limit and self._next() and self._read(slot, self.waiting[0]):
                self.speaking[slot] = self.waiting.popleft()
            else:
                self._close(slot)
        while len(self.speaking) < self.limit and self._next():
            if self._read(len(self.speaking), self.waiting[0]):
                self.speaking.append(self.waiting.popleft())
        if self.speaking and self.speaking != before:  # most of the time nobody came and nobody left
            self.batch.speak_as([request.sampling for request in self.speaking])

    def step(self) -> tuple[Tensor, Tensor]:
        """A few steps of all slots, fewer or none when told to stop; what they drew, see `Ring.end`.

        `ahead`: before the host waits for them, the device is given the steps that follow. A take that turns out to be
        over was spoken on by a few steps then, which nobody reads.
        """
        drawn, done = self._given or self._give(0)
        self._given = None
        if self.ahead and not self.stopped and self._left(done) and not self._next_fits():
            self._given = self._give(done)
        return drawn()

    @property
    def at_work(self) -> bool:
        """Whether the device was given steps that are to be read: slots must stay as they are."""
        return self._given is not None

    def _give(self, before: int) -> tuple[Drawn, int]:
        """The device is given the next steps, behind so many that are not read yet; what they draw, and how many."""
        steps = min(self.batch.steps, self._left(before))
        self.batch.begin([request.random for request in self.speaking], steps)
        while self.batch.done < steps and not self.should_stop():
            self.batch.step()
        self.stopped = self.batch.done < steps
        return self.batch.drawn(), self.batch.done

    def _left(self, before: int) -> int:
        """Steps that all slots may take, behind so many; 0 where a take is over."""
        return max(0, min(request.written.steps_left for request in self.speaking) - before)

    def collect(self, ids: Tensor, broken: Tensor) -> list[tuple[GenerationRequest, Tensor]]:
        """Each request with its frames [K, n] that these rows [steps, slots, K] complete.

        Raises:
            NumericError: the logits of a slot were not finite.
        """
        found = []
        for slot, request in enumerate(self.speaking):
            written = request.written
            if not written.steps_left:
                continue  # it was over before these steps
            if bool(broken[slot]):
                raise out_of_range(self.model, request.prompt, torch.cat((written.rows, ids[:, slot])))
            frames = written.push(ids[:, slot])
            found.append((request, frames))
            request.frames.append(frames)
            request.seconds = time.perf_counter() - request.started
            if request.should_end and written.steps_left and request.should_end(request.index, frames):
                written.cut()
            if request.guard and written.steps_left and request.guard.repeats(frames):
                written.cut("repeating")
            if not written.steps_left:
                self._keep(slot, request)
        return found

    def end(self) -> None:
        """Slots keep what requests have read that are not over."""
        for slot, request in enumerate(self.speaking):
            if request.written.steps_left:
                self._keep(slot, request)
        self.speaking.clear()

    def _next_fits(self) -> bool:
        """Whether a request could be admitted: it is not to wait until a take is over."""
        return len(self.speaking) < self.limit and self._next()

    def _next(self) -> bool:
        """Whether a request that is wanted waits, or has arrived; it stands in front then."""
        while self.waiting and self.waiting[0] is not self._front and not self.wanted(self.waiting[0].index):
            self.waiting.popleft()
        if not self.waiting and (arrived := next(self.arrivals, None)):
            self.waiting.append(arrived)
        self._front = self.waiting[0] if self.waiting else None
        return self._front is not None

    def _read(self, slot: int, request: GenerationRequest) -> bool:
        """Read a request's prompt into a slot. False if there is no memory for it while the others speak."""
        request.started = time.perf_counter()
        cache, keys = self.prefixes.cache, request.keys
        busy = {other for other, one in enumerate(self.speaking) if one.written.steps_left}
        try:
            request.reused = cache.lengths[slot] = self.prefixes.look_up(slot, keys, busy)
            prefill(self.model, request.prompt, cache, slot, self.should_stop, exact=self.exact_prompts)
        except (RuntimeError, MemoryError) as error:
            self.prefixes.clear()  # perhaps in the middle of a copy
            if not is_out_of_memory(error) or not busy:
                raise
            self.limit = len(busy)
            return False
        finally:
            self.prefixes.insert(slot, keys[: cache.lengths[slot] if request.reused is not None else 0])
        self.batch.start(slot, request.prompt.begun)
        request.speaks = True
        return True

    def _close(self, slot: int) -> None:
        """The last slot that speaks takes the place of this one."""
        last = len(self.speaking) - 1
        if slot != last:
            self.prefixes.swap(slot, last)
            self.batch.swap(slot, last)
            self.speaking[slot] = self.speaking[last]
        self.speaking.pop()

    def _keep(self, slot: int, request: GenerationRequest) -> None:
        """The slot holds the prompt and all rows that were read; the last one that was drawn is not read yet."""
        read = request.written.rows[:-1]
        rows = torch.cat((torch.full((len(read), 1), -1), read), dim=1)
        self.prefixes.insert(slot, torch.cat((request.keys, rows)))
