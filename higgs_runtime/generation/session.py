"""The engine: prompts in, codes out.

Requests speak side by side in the slots of one decode batch, whose step reads the weights once; a slot whose take is
over goes to the next request. What a slot has read stays in the cache until the room is needed: a prompt that begins
like an earlier one is read from where they part. Letters in shapes: K codebooks, S positions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor

from ..devices import is_out_of_memory, poll_steps, runs_beside
from ..errors import MemoryShortError, NumericError, SettingError, check_range
from ..model import HiggsModel, new_cache
from ..settings import SETTINGS, default_of
from ..suspended import Closing
from ..types import Codes, Generation, Prompt, Sampling
from .batch import DecodeBatch
from .cpu_kernel import StoppedWaiting, fused_step, prepare
from .cuda_graphs import can_record
from .prefill import ShouldStop, Stopped
from .prefix_cache import PrefixCache, position_keys
from .repetition import RepetitionGuard
from .request import GenerationRequest, ShouldEnd, check_length, positions_of
from .run import Run, Wanted
from .schedule import WrittenRows

DEFAULT_BATCH: int = default_of("batch")
MOST_STEPS = 64  # between two looks at what was drawn: more than a second on any device

OnFrames = Callable[[int, Tensor], None]
Frames = Generator[tuple[GenerationRequest, Tensor], None, None]


class Room(NamedTuple):
    """What the requests of a run need."""

    positions: int  # of a slot
    slots: int
    window: int  # repetitions looked back at, at most


class Session:
    """Speaks prompts with one model, many at a time, and remembers what it read until it is dropped.

    Not for several threads at once. The weights must stay where they are while it runs.

    Args:
        batch: requests that speak side by side, at most.
        cache_dtype: of keys and values; bfloat16 halves their memory. None: what the model
            computes in.
        capture: record a step and play it again as a whole; None: where the device can.
        poll: steps between two looks at what was drawn; None: as suits the device. Codes are the same with any.
        ahead: give the device the next steps before those before are read, so that it need not wait for who hears them;
            None: where it works beside the host. Codes are the same without.
        fused: run steps as one compiled function where that serves (float32 or bfloat16 on a CPU, no adapters).
        end_repeating: takes that say the same again and again are ended; see `RepetitionGuard`.
        exact_logits: the audio head multiplies in float32 whatever the weights are; see `HiggsModel.head`.
        rolling: where a prompt goes on like an earlier one after a gap (turns that were dropped), what follows is moved
            up and not read again. It still carries what it heard in the gap, so codes are not those of a session that
            never heard it (with one layer they are); positions and distances are. Without it codes are the same, and
            what follows a gap is read again.
        exact_prompts: on a CPU, multiply prompts by packed and bfloat16 weights in float32, also where the processor is
            two to three times as fast with bfloat16 (see `model.linear.rounded_products`). Only then is a prompt that
            is read again, or goes on with what was spoken, the same to a hundred thousandth.

    Raises:
        SettingError: batch or poll is below 1.
    """

    def __init__(
        self,
        model: HiggsModel,
        *,
        batch: int = DEFAULT_BATCH,
        cache_dtype: torch.dtype | None = None,
        capture: bool | None = None,
        poll: int | None = None,
        ahead: bool | None = None,
        fused: bool = True,
        end_repeating: bool = True,
        exact_logits: bool = True,
        rolling: bool = False,
        exact_prompts: bool = False,
    ):
        SETTINGS["batch"].check(batch)
        self.model, self.batch, self.cache_dtype = model, batch, cache_dtype or model.compute_dtype
        self._capture, self._fused, self._exact, self._rolling = capture, fused, exact_logits, rolling
        self._exact_prompts = exact_prompts
        self._poll, self._ahead = poll_steps(model.device) if poll is None else poll, ahead
        check_range("poll", self._poll, 1, MOST_STEPS)
        self._end_repeating = end_repeating
        self._prefixes: PrefixCache | None = None
        self._decode_batch: DecodeBatch | None = None
        self._running: Frames | None = None
        if fused and not capture and model.device.type == "cpu":
            prepare()

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
        requests = self._requests(prompts, sampling, should_end)
        with self._run(requests, should_stop) as found:
            for request, frames in found:
                if on_frames is not None:
                    on_frames(request.index, frames)
        return [self._finished(request) for request in requests]

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
    ) -> Generator[tuple[int, Generation], None, None]:
        """As `generate`, but yields each take as soon as it is over, with the index of its prompt.

        Args:
            wanted: asked with the index when a row is free for a prompt; False leaves the prompt out.
        """
        with self._run(self._requests(prompts, sampling, should_end), should_stop, wanted) as found:
            for request, frames in found:
                if on_frames is not None:
                    on_frames(request.index, frames)
                if not request.written.steps_left:
                    yield request.index, self._finished(request)

    @torch.no_grad()
    def stream(
        self, prompt: Prompt, sampling: Sampling, *, should_stop: ShouldStop | None = None
    ) -> Generator[Codes, None, None]:
        """Speak one prompt; yields its frames every few steps. Whoever stops reading, or a next call, ends it."""
        with self._run(self._requests([prompt], sampling), should_stop) as found:
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
    ) -> Generator[tuple[int, Codes, Generation | None], None, None]:
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
        with self._run([], should_stop, arrivals=arrivals, room=Room(positions, self.batch, window)) as found:
            for request, frames in found:
                take = None if request.written.steps_left else self._finished(request)
                yield request.index, self._codes(frames), take

    # --- from prompts to requests, and from requests to takes --------------------------------------------------------

    def _arriving(
        self,
        lines: Iterator[tuple[Prompt, Sampling] | None],
        positions: int,
        window: int,
        should_end: ShouldEnd | None,
    ) -> Iterator[GenerationRequest | None]:
        numbers = count()
        for line in lines:
            request = line and self._request(next(numbers), *line, should_end)
            if request:
                check_range("ras_window", request.sampling.ras_window, 0, window)
                needed = positions_of(request.prompt, request.sampling, self.model.config)
                check_range(
                    "positions",
                    needed,
                    0,
                    positions,
                    "Use a shorter text, shorter references or a smaller maximum length.",
                )
            yield request

    def _requests(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], should_end: ShouldEnd | None = None
    ) -> list[GenerationRequest]:
        settings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        if len(settings) != len(prompts):
            raise SettingError(
                "Each prompt needs its settings.",
                expected=f"{len(prompts)}, or one for all",
                got=str(len(settings)),
                remedy="Give a Sampling for every prompt.",
            )
        return [
            self._request(index, prompt, one, should_end)
            for index, (prompt, one) in enumerate(zip(prompts, settings, strict=True))
        ]

    def _request(
        self, index: int, prompt: Prompt, sampling: Sampling, should_end: ShouldEnd | None
    ) -> GenerationRequest:
        config = self.model.config
        self.model.check(prompt)
        sampling = sampling.filled_in(config.released)
        check_length(prompt, sampling, config)
        written = WrittenRows(
            config.num_codebooks,
            config.stream_bos_id,
            config.stream_eos_id,
            config.codebook_size,
            sampling.max_frames,
            config.stop,
            begun=prompt.begun,
        )
        random = torch.Generator().manual_seed(sampling.seed)
        request = GenerationRequest(index, prompt, sampling, position_keys(prompt, config), written, random, should_end)
        request.guard = RepetitionGuard() if self._end_repeating else None
        return request

    def _finished(self, request: GenerationRequest) -> Generation:
        rows = request.written.rows if request.speaks else request.written.rows[:0]
        frames = torch.cat(request.frames, dim=1) if request.frames else rows[:0].T
        return Generation(
            self._codes(frames),
            rows,
            request.written.reason,
            request.seconds,
            len(request.prompt),
            request.reused or 0,
            request.sampling,
        )

    def _codes(self, frames: Tensor) -> Codes:
        config = self.model.config
        return Codes(frames, config.frame_rate, config.codebook_size, config.codec_identity)

    def _takes_of(self, requests: list[GenerationRequest]) -> dict[int, Generation]:
        """Takes that are over, by the index of their prompt."""
        return {one.index: self._finished(one) for one in requests if not one.written.steps_left}

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _run(
        self,
        requests: list[GenerationRequest],
        should_stop: ShouldStop | None,
        wanted: Wanted | None = None,
        arrivals: Iterator[GenerationRequest | None] | None = None,
        room: Room | None = None,
    ) -> Closing[Frames]:
        """(request, frames that became complete) every few steps, until all are over or it is told to stop.

        Args:
            arrivals: requests beside these; see `serve`.
            room: that all of them need; None: that of these.
        """
        if self._running is not None:
            self._running.close()  # a stream that nobody reads on
        self._running = self._steps(
            requests,
            room or self._room_for(requests),
            wanted or (lambda index: True),
            arrivals or iter(()),
            should_stop or (lambda: False),
        )
        return Closing(self._running)

    def _steps(
        self,
        requests: list[GenerationRequest],
        room: Room | None,
        wanted: Wanted,
        arrivals: Iterator[GenerationRequest | None],
        should_stop: ShouldStop,
    ) -> Frames:
        if room is None:
            return
        run = None
        try:
            # 1. A cache and a decode batch that serve these requests, with what is held of earlier prompts.
            batch, prefixes = self._fit(room)
            run = Run(
                self.model,
                batch,
                prefixes,
                min(self.batch, prefixes.cache.batch),
                requests=requests,
                arrivals=arrivals,
                wanted=wanted,
                should_stop=should_stop,
            )
            run.exact_prompts = self._exact_prompts
            run.ahead = runs_beside(self.model.device) if self._ahead is None else self._ahead
            # 2. Free slots take requests; of a prompt is read what the prefix cache does not hold.
            run.admit()
            if self._fused and not self._capture and run.speaking:
                batch.step_by(fused_step(self.model, prefixes.cache, should_stop))
            while run.speaking:
                # 3. A few decode steps of all slots at once.
                ids, broken = run.step()
                # 4. Each request collects the frames that became complete.
                yield from run.collect(ids, broken)
                if run.at_work:
                    continue
                if run.stopped:
                    return
                # 5. Slots whose take is over go to the next requests.
                run.admit()
        except (Stopped, StoppedWaiting):
            return
        except NumericError as error:
            self._forget()  # NaN stays NaN, also for slots that only pass it by
            error.takes = self._takes_of(requests)
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or isinstance(error, MemoryShortError):
                raise
            self._forget()
            raise self._no_memory(error, requests) from error
        finally:
            if run is not None:
                run.batch.fused = None  # weights may move between two runs
                run.end()

    def _no_memory(self, error: Exception, requests: list[GenerationRequest]) -> MemoryShortError:
        takes = self._takes_of(requests)
        short = MemoryShortError(
            "There is not enough memory to continue.",
            expected=f"room on {self.model.device} for {len(requests)} prompts",
            got=f"{len(takes)} of them spoken ({error})",
            remedy="Use shorter references or a smaller maximum "
            "length, load the model in a smaller dtype, or close other programs that use the device.",
        )
        short.takes = takes
        return short

    # --- what lives from run to run ---------------------------------------------------------------------------------

    def _room_for(self, requests: list[GenerationRequest]) -> Room | None:
        if not requests:
            return None
        return Room(
            max(positions_of(one.prompt, one.sampling, self.model.config) for one in requests),
            min(self.batch, len(requests)),
            max(one.sampling.ras_window for one in requests),
        )

    def _fit(self, room: Room) -> tuple[DecodeBatch, PrefixCache]:
        """The batch and the cache of before if they serve, else others; a larger cache holds what the former did."""
        model = self.model
        if self._prefixes is not None and self._prefixes.cache.keys.device != model.device:
            self._forget()
        if self._prefixes is None or not self._prefixes.has_room(room.positions, room.slots):
            self._prefixes = self._larger(room)
        cache = self._prefixes.cache
        capture = can_record(model, model.device) if self._capture is None else self._capture
        if self._decode_batch is None or not self._decode_batch.serves(cache, room.window, capture):
            self._decode_batch = DecodeBatch(model, cache, self._poll, room.window, capture, self._exact)
        return self._decode_batch, self._prefixes

    def _larger(self, room: Room) -> PrefixCache:
        former, capacity, slots = self._prefixes, room.positions, room.slots
        if former is not None:
            capacity, slots = max(capacity, former.cache.capacity), max(slots, former.cache.batch)
            larger = former.grown(self.model, capacity, slots)
            if larger is not None:
                return larger
            former = self._forget()  # there is no memory for both
        cache = new_cache(self.model, capacity, slots, self.cache_dtype)
        return PrefixCache(cache, self.model.config.num_codebooks, self._rolling, slots)

    def _forget(self) -> None:
        """Let go of all that was read."""
        self._prefixes = self._decode_batch = None
