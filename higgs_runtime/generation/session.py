"""Prompts in, takes out: who speaks in which row, and what the rows still know of earlier prompts.

All speaking rows take a step together, which reads the weights once; a row that ends goes to the next prompt. What a
row has read stays in the cache until the room is needed: a prompt that begins like an earlier one is read from where
they part. Letters in shapes: K codebooks, S positions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from ..devices import is_out_of_memory, poll_steps
from ..errors import MemoryShortError, NumericError, SettingError, check_range
from ..model.kv_cache import KVCache
from ..model.memory import new_cache
from ..model.transformer import HiggsModel
from ..suspended import Closing
from ..types import Codes, Generation, Prompt, Sampling
from .batch import Rows
from .cpu_kernel import fused_step
from .cuda_graphs import can_record
from .numerics import out_of_range
from .prefill import ShouldStop, Stopped, prefill
from .request import Job, ShouldEnd, check_length, common_start, continued, position_keys, positions_of
from .schedule import Take

DEFAULT_BATCH = 8
LEAST_ROLLED = 32  # positions that are worth moving up

OnFrames = Callable[[int, Tensor], None]
Wanted = Callable[[int], bool]
Room = tuple[int, int, int]  # positions of a row, rows, repetitions looked back at


class Session:
    """Speaks prompts with one model, many at a time, and remembers what it read until it is dropped.

    Not for several threads at once. The weights must stay where they are while it runs.

    Args:
        batch: rows that speak side by side, at most.
        cache_dtype: of keys and values; bfloat16 halves their memory. None: that of the model.
        capture: record a step and play it again as a whole; None: where the device can.
        fused: run steps as one compiled function where that serves (float32 on a CPU, no quantization, no adapters).
        rolling: where a prompt goes on like an earlier one after a gap (turns that were dropped), what follows is moved
            up and not read again. It still carries what it heard in the gap, so codes are not those of a session that
            never heard it (with one layer they are); positions and distances are. Without it codes are the same, and
            what follows a gap is read again.

    Raises:
        SettingError: batch is below 1.
    """

    def __init__(
        self, model: HiggsModel, *, batch: int = DEFAULT_BATCH, cache_dtype: torch.dtype | None = None,
        capture: bool | None = None, fused: bool = True, rolling: bool = False,
    ):
        check_range("batch", batch, 1, 10_000)
        self.model, self.batch, self.cache_dtype = model, batch, cache_dtype or model.dtype
        self._capture, self._fused, self._rolling = capture, fused, rolling
        self._rows: Rows | None = None
        self._asked = 0  # rows, when the cache was made; it may have got fewer
        self._known: list[Tensor] = []  # keys of what each row of the cache holds
        self._speaking: list[Job] = []  # by row
        self._running: Iterator | None = None
        self._wanted: Wanted = lambda index: True
        self._arrivals: Iterator[Job | None] = iter(())

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        on_frames: OnFrames | None = None,
        should_stop: ShouldStop | None = None,
        should_end: ShouldEnd | None = None,
    ) -> list[Generation]:
        """As `higgs_runtime.generation.generate`; positions that an earlier call has read are not read again."""
        jobs = self._jobs(prompts, sampling, should_end)
        with self._run(jobs, should_stop) as found:
            for job, frames in found:
                if on_frames is not None:
                    on_frames(job.index, frames)
        return [self._finished(job) for job in jobs]

    @torch.no_grad()
    def takes(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        wanted: Wanted | None = None,
        on_frames: OnFrames | None = None,
        should_stop: ShouldStop | None = None,
        should_end: ShouldEnd | None = None,
    ) -> Iterator[tuple[int, Generation]]:
        """As `generate`, but yields each take as soon as it is over, with the index of its prompt.

        Args:
            wanted: asked with the index when a row is free for a prompt; False leaves the prompt out.
        """
        with self._run(self._jobs(prompts, sampling, should_end), should_stop, wanted) as found:
            for job, frames in found:
                if on_frames is not None:
                    on_frames(job.index, frames)
                if not job.take.steps_left:
                    yield job.index, self._finished(job)

    @torch.no_grad()
    def stream(self, prompt: Prompt, sampling: Sampling, *, should_stop: ShouldStop | None = None) -> Iterator[Codes]:
        """Speak one prompt; yields its frames every few steps. Whoever stops reading, or a next call, ends it."""
        with self._run(self._jobs([prompt], sampling), should_stop) as found:
            for _, frames in found:
                if frames.shape[1]:
                    yield self._codes(frames)

    @torch.no_grad()
    def serve(
        self,
        lines: Iterator[tuple[Prompt, Sampling] | None],
        *,
        positions: int,
        window: int,
        should_stop: ShouldStop | None = None,
        should_end: ShouldEnd | None = None,
    ) -> Iterator[tuple[int, Codes, Generation | None]]:
        """Speak lines that arrive while others speak, until nobody speaks and none is there.

        Args:
            lines: asked whenever a row is free; it gives a line, or None where there is none yet, and must not wait.
                What it gives is numbered from 0.
            positions: of the longest prompt together with its take, see `positions_of`; the cache is made for them.
            window: the largest `ras_window` among the lines to come.
            should_end: as in `generate`; how a line is cancelled.

        Yields:
            Every few steps, for each line that speaks: its number, its new frames and, with the last ones, its take.

        Raises:
            SettingError: a line is longer than `positions`, or looks back further than `window`.
            As `generate`. Whatever is raised ends all lines that speak.
        """
        arrivals = self._arriving(lines, positions, window, should_end)
        with self._run([], should_stop, arrivals=arrivals, room=(positions, self.batch, window)) as found:
            for job, frames in found:
                yield job.index, self._codes(frames), None if job.take.steps_left else self._finished(job)

    def _arriving(
        self, lines: Iterator[tuple[Prompt, Sampling] | None], positions: int, window: int, should_end
    ) -> Iterator[Job | None]:
        numbers = count()
        for line in lines:
            job = line and self._job(next(numbers), *line, should_end)
            if job:
                check_range("ras_window", job.sampling.ras_window, 0, window)
                check_range("positions", positions_of(job.prompt, job.sampling, self.model.config), 0, positions,
                            "Use a shorter text, shorter references or a smaller maximum length.")
            yield job

    # --- from prompts to jobs and from jobs to takes ----------------------------------------------------------------

    def _jobs(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], should_end: ShouldEnd | None = None
    ) -> list[Job]:
        settings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        if len(settings) != len(prompts):
            raise SettingError("Each prompt needs its settings.", expected=f"{len(prompts)}, or one for all",
                               got=str(len(settings)), remedy="Give a Sampling for every prompt.")
        return [self._job(index, prompt, one, should_end)
                for index, (prompt, one) in enumerate(zip(prompts, settings, strict=True))]

    def _job(self, index: int, prompt: Prompt, sampling: Sampling, should_end: ShouldEnd | None) -> Job:
        config = self.model.config
        self.model.check(prompt)
        if sampling.ras_window < 0:
            sampling = replace(sampling, ras_window=config.ras_window)
        check_length(prompt, sampling, config)
        take = Take(config.num_codebooks, config.stream_bos_id, config.stream_eos_id, config.codebook_size,
                    sampling.max_frames, config.ending)
        random = torch.Generator().manual_seed(sampling.seed)
        return Job(index, prompt, sampling, position_keys(prompt, config), take, random, should_end)

    def _finished(self, job: Job) -> Generation:
        rows = job.take.rows if job.speaks else job.take.rows[:0]
        frames = torch.cat(job.frames, dim=1) if job.frames else rows[:0].T
        return Generation(self._codes(frames), rows, job.take.reason, job.seconds, len(job.prompt), job.reused or 0)

    def _codes(self, frames: Tensor) -> Codes:
        config = self.model.config
        return Codes(frames, config.frame_rate, config.codebook_size, config.codec_identity)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _run(
        self, jobs: list[Job], should_stop: ShouldStop | None, wanted: Wanted | None = None,
        arrivals: Iterator[Job | None] | None = None, room: Room | None = None,
    ) -> Closing[Iterator[tuple[Job, Tensor]]]:
        """(job, frames that became complete) every few steps, until all jobs are done or it is told to stop.

        Args:
            arrivals: jobs beside these; see `serve`.
            room: that all of them need; None: that of these.
        """
        if self._running is not None:
            self._running.close()  # a stream that nobody reads on
        self._wanted, self._arrivals = wanted or (lambda index: True), arrivals or iter(())
        self._running = self._loop(jobs, room or self._room_for(jobs), should_stop or (lambda: False))
        return Closing(self._running)

    def _loop(self, jobs: list[Job], room: Room | None, should_stop: ShouldStop) -> Iterator[tuple[Job, Tensor]]:
        waiting = deque(jobs)
        if room is None:
            return
        try:
            rows = self._rows = self._make_rows(*room)
            rows.fused = fused_step(self.model, rows.cache) if self._fused and not self._capture else None
            self._fill(rows, waiting, should_stop)
            while self._speaking:
                yield from self._speak(rows, should_stop)
                self._fill(rows, waiting, should_stop)
        except Stopped:
            return
        except NumericError as error:
            self._forget()  # NaN stays NaN, also for rows that only pass it by
            error.takes = self._done(jobs)
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or isinstance(error, MemoryShortError):
                raise
            self._forget()
            takes = self._done(jobs)
            short = MemoryShortError(
                "There is no memory to go on.", expected=f"room on {self.model.device} for {len(jobs)} prompts",
                got=f"{len(takes)} of them spoken ({error})", remedy="Use shorter references or a smaller maximum "
                "length, load the model in a smaller dtype, or close what else uses the device.",
            )
            short.takes = takes
            raise short from error
        finally:
            if self._rows:
                self._rows.fused = None  # weights may move between two runs
            for row, job in enumerate(self._speaking):
                if job.take.steps_left and self._known:
                    self._remember(row, job)
            self._speaking.clear()

    def _done(self, jobs: list[Job]) -> dict[int, Generation]:
        """Takes that are over, by the index of their prompt."""
        return {job.index: self._finished(job) for job in jobs if not job.take.steps_left}

    def _fill(self, rows: Rows, waiting: deque[Job], should_stop: ShouldStop) -> None:
        """Rows whose take is over, and free ones, go to the next prompts."""
        before = list(self._speaking)
        for row in reversed(range(len(self._speaking))):
            if self._speaking[row].take.steps_left:
                continue
            free = len(self._speaking) <= self._limit
            if free and self._next(waiting) and self._admit(rows, row, waiting[0], should_stop):
                self._speaking[row] = waiting.popleft()
            else:  # close the gap
                last = len(self._speaking) - 1
                if row != last:
                    rows.swap(row, last)
                    self._known[row], self._known[last] = self._known[last], self._known[row]
                    self._speaking[row] = self._speaking[last]
                self._speaking.pop()
        while len(self._speaking) < self._limit and self._next(waiting):
            if self._admit(rows, len(self._speaking), waiting[0], should_stop):
                self._speaking.append(waiting.popleft())
        if self._speaking and self._speaking != before:  # most of the time nobody came and nobody left
            rows.speak_as([job.sampling for job in self._speaking])

    def _next(self, waiting: deque[Job]) -> bool:
        """Whether a prompt that is wanted waits, or has arrived; it stands in front then."""
        while waiting and not self._wanted(waiting[0].index):
            waiting.popleft()
        if not waiting and (arrived := next(self._arrivals, None)):
            waiting.append(arrived)
        return bool(waiting)

    def _admit(self, rows: Rows, row: int, job: Job, should_stop: ShouldStop) -> bool:
        """Read the job's prompt into a row. False if there is no memory for it while the others speak."""
        job.started = time.perf_counter()
        cache = rows.cache
        try:
            job.reused = cache.lengths[row] = self._recall(cache, row, job.keys)
            prefill(self.model, job.prompt, cache, row, should_stop)
        except (RuntimeError, MemoryError) as error:
            self._known = [job.keys[:0]] * cache.batch  # perhaps in the middle of a copy
            others = [one for one in self._speaking if one.take.steps_left]
            if not is_out_of_memory(error) or not others:
                raise
            self._limit = len(others)
            return False
        finally:
            self._known[row] = job.keys[: cache.lengths[row]] if job.reused is not None else job.keys[:0]
        rows.start(row)
        job.speaks = True
        return True

    def _speak(self, rows: Rows, should_stop: ShouldStop) -> Iterator[tuple[Job, Tensor]]:
        """A few steps of all speaking rows."""
        steps = min(rows.steps, *(job.take.steps_left for job in self._speaking))
        rows.prepare([job.random for job in self._speaking], steps)
        while rows.done < steps and not (stopped := should_stop()):
            rows.step()
        ids, broken = rows.drawn()
        found = []
        for row, job in enumerate(self._speaking):
            if bool(broken[row]):
                raise out_of_range(self.model, job.prompt, torch.cat((job.take.rows, ids[:, row])))
            found.append((job, job.take.push(ids[:, row])))
            job.frames.append(found[-1][1])
            job.seconds = time.perf_counter() - job.started
            if job.should_end and job.take.steps_left and job.should_end(job.index, found[-1][1]):
                job.take.cut()
            if not job.take.steps_left:
                self._remember(row, job)
        yield from found
        if stopped:
            raise Stopped

    # --- what rows remember -----------------------------------------------------------------------------------------

    def _room_for(self, jobs: list[Job]) -> Room | None:
        if not jobs:
            return None
        return (max(positions_of(job.prompt, job.sampling, self.model.config) for job in jobs),
                min(self.batch, len(jobs)), max(job.sampling.ras_window for job in jobs))

    def _make_rows(self, capacity: int, batch: int, window: int) -> Rows:
        """The rows that there are if they serve, else others; a larger cache takes over what the former one knows."""
        model, known = self.model, self._rows and self._rows.cache
        if known is not None and known.keys.device != model.device:
            known = self._forget()
        if known is None or known.capacity < capacity or self._asked < batch:
            if known is not None:
                capacity, batch = max(capacity, known.capacity), max(batch, known.batch)
            known, self._asked = self._larger(known, capacity, batch), batch
        self._limit = min(self.batch, known.batch)
        capture = can_record(model, model.device) if self._capture is None else self._capture
        if self._rows is not None and self._rows.serves(known, window, capture):
            return self._rows
        return Rows(model, known, poll_steps(model.device), window, capture)

    def _larger(self, known: KVCache | None, capacity: int, batch: int) -> KVCache:
        """A cache of another size, with what a former one knows if there is room for both."""
        if known is not None:
            try:
                cache = new_cache(self.model, capacity, batch, self.cache_dtype)
            except MemoryShortError:  # there is no room for both
                cache = None
            if cache is not None and cache.batch >= known.batch:
                cache.take_over(known)
                self._known += [self._known[0][:0]] * (cache.batch - known.batch)
                return cache
        cache = known = self._forget()
        cache = new_cache(self.model, capacity, batch, self.cache_dtype)
        self._known = [torch.empty((0, 1 + self.model.config.num_codebooks), dtype=torch.long)] * cache.batch
        return cache

    def _forget(self) -> None:
        """Let go of all that was read."""
        self._rows, self._known, self._asked = None, [], 0

    def _remember(self, row: int, job: Job) -> None:
        """The row holds the prompt and all rows that were read; the last one that was drawn is not read yet."""
        read = job.take.rows[:-1]
        self._known[row] = torch.cat((job.keys, torch.cat((torch.full((len(read), 1), -1), read), dim=1)))

    def _recall(self, cache: KVCache, row: int, keys: Tensor) -> int:
        """Have a row know as much of a prompt's beginning as any row does: how many positions."""
        shared = [common_start(known, keys) for known in self._known]
        best = max(range(len(shared)), key=lambda one: (shared[one], one == row))
        if best != row and any(job.take.steps_left for job in self._speaking[best : best + 1]):
            cache.copy(best, row, shared[row], shared[best])
            return shared[best]
        if best != row:  # nobody needs it there, and what this row knows may serve another prompt
            cache.swap(best, row)
            self._known[best], self._known[row] = self._known[row], self._known[best]
        return self._roll(cache, row, keys, shared[best]) if self._rolling else shared[best]

    def _roll(self, cache: KVCache, row: int, keys: Tensor, start: int) -> int:
        """Move up what the row knows of a prompt after a gap; how many positions it knows then."""
        known, end, source = self._known[row], start, start
        while True:
            gap, count = continued(known[source:], keys[end:])
            if count < LEAST_ROLLED:
                return end
            cache.move_up(row, source + gap, end, count)
            source, end = source + gap + count, end + count
