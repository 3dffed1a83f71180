"""The decode batch: requests that speak side by side, on the device, without waiting for it.

Letters in shapes: B rows, n of them speaking, K codebooks, V ids, W rows of history.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..devices import places_of
from ..model import HiggsModel, KVCache
from ..model.delay import begun_rows
from ..types import Sampling
from .cuda_graphs import StepGraphs
from .ring import Drawn, Ring
from .sampling import Settings, sample
from .schedule import DecodeState

if TYPE_CHECKING:
    from .cpu_kernel.step import FusedStep

SPAN = 256  # a recorded step looks at a multiple of so many keys


class DecodeBatch:
    """State of B slots; the first n of them speak.

    Args:
        cache: holds what the rows have read.
        steps: of a block, at most: between two calls of `begin`.
        window: longest window for repetitions among the takes to come.
        capture: record the step for each n and each multiple of SPAN keys, and play it again as a whole.
        exact: logits as in `HiggsModel.head`.

    Attributes:
        fused: the step as a compiled function, for as long as it is set; see `step_by`.
    """

    fused: FusedStep | None = None
    _sampling: Sequence[Sampling] = ()
    _form: tuple = ()

    def __init__(self, model: HiggsModel, cache: KVCache, steps: int, window: int, capture: bool, exact: bool = True):
        config, device, batch = model.config, model.device, cache.batch
        self.model, self.cache, self.steps, self.exact = model, cache, steps, exact
        self.state = DecodeState(
            batch, config.num_codebooks, config.stream_bos_id, config.stream_eos_id, config.stop, device
        )
        self.positions = torch.zeros(batch, dtype=torch.long, device=device)
        self.last = torch.zeros((batch, config.num_codebooks), dtype=torch.long, device=device)
        self.history = self.last.new_zeros((window, *self.last.shape))
        self.broken = torch.zeros(batch, device=device)  # NaN once the logits of a row were not finite
        self._ring = Ring(steps, batch, config.num_codebooks, device)
        self._places = places_of(model)
        self._known: dict[tuple, Settings] = {}  # by rows and form: recordings read their tensors
        self._settings: Settings  # from `speak_as` on, which comes before the first step
        own = [self.positions, self.last, self.history, self.broken, *self.state.tensors, self._ring.turn]
        self._graphs = StepGraphs(own, device) if capture else None
        self._may_look = device.type == "cpu" and not capture
        self.done = 0

    def serves(self, cache: KVCache, window: int, capture: bool) -> bool:
        """Whether takes with such a window can go on in these rows, and in the recordings that belong to them: not
        where the weights lie elsewhere by now (moved to make room and back, or with an adapter)."""
        recorded = self._graphs is not None
        same = cache is self.cache and window <= len(self.history) and capture == recorded
        return same and places_of(self.model) == self._places

    def start(self, row: int, begun: Tensor | None = None) -> None:
        """A row whose prompt is read takes its first step: the stream-begin column, or the row after given frames."""
        begin = self.model.config.stream_bos_id
        self.state.start(row, begun)
        self.positions[row] = self.cache.lengths[row]
        self.last[row] = begin if begun is None else begun_rows(begun, begin)[0][-1].to(self.last.device)
        self.history[:, row] = self.model.config.stream_eos_id  # stream ids never count as repetitions
        self.broken[row] = 0.0

    def swap(self, a: int, b: int) -> None:
        """Two slots change places, but for what the cache holds."""
        for tensor in (self.positions, self.last, self.broken, *self.state.tensors):
            tensor[[a, b]] = tensor[[b, a]]
        self.history[:, [a, b]] = self.history[:, [b, a]]

    def speak_as(self, sampling: Sequence[Sampling]) -> None:
        """How the first n rows sample from now on."""
        config = self.model.config
        settings = Settings.of(sampling, config.codebook_rows, len(self.history), self.model.device)
        self._form = len(sampling), settings.form
        self._settings, self._sampling = self._known.setdefault(self._form, settings), sampling
        self._settings.become(settings)
        if self.fused is not None:
            self.fused.speak_as(sampling)

    def step_by(self, fused: FusedStep | None) -> None:
        """The compiled function that takes the steps of a run; None: the plain step."""
        self.fused = fused
        if fused is not None:
            fused.speak_as(self._sampling)

    def begin(self, random: Sequence[torch.Generator], steps: int) -> None:
        """A block of so many steps. Random numbers are drawn of each row's own generator: the same in any batch."""
        self._ring.begin(random, steps)
        self.done = 0

    def step(self) -> None:
        """Each speaking row reads its last ids and draws the next ones."""
        count = len(self._settings)
        span = max(self.cache.lengths[:count]) + 1
        if self._graphs is None:
            self._step(count, None if count == 1 else span)
        else:
            span = min(-(-span // SPAN) * SPAN, self.cache.capacity)
            self._graphs.play((*self._form, span, self.state.begins), lambda: self._step(count, span))
        for row in range(count):
            self.cache.add(row)
        self.done += 1

    def _step(self, count: int, span: int | None) -> None:
        """The step as the device sees it; span None: of one row, whose position is known here.

        Nothing in it waits for the device or copies to the host, and a recording of it serves any step: what changes
        from step to step is in tensors.
        """
        history, uniform = self.history[:, :count], self._ring.numbers(count)
        if self.fused is not None:
            ids, broken = self.fused.draw(self.last[:count], history, uniform)
        else:
            place = self.cache.extend(0, 1) if span is None else self.cache.next(self.positions[:count], span)
            logits = self.model.step(self.last[:count], place, self.exact, self._head)
            broken = logits.sum(dim=(1, 2)) * 0.0
            entries = self.model.config.codebook_size
            ids = sample(logits, history, self._settings, uniform, entries, look=self._may_look)
        self.broken[:count] += broken
        ids = self.state.hold(ids)
        if len(history):
            history.copy_(torch.cat((history[1:], ids[None])))
        self.last[:count] = ids
        self.positions[:count] += 1
        self._ring.put(ids)

    def drawn(self) -> Drawn:
        """The steps since `begin` are a block; see `Ring.end`."""
        count = len(self._settings)
        return self._ring.end(self.done, count, self.broken[:count])

    @cached_property
    def _head(self) -> Tensor | None:
        """Only the plain step needs it."""
        return self.model.audio_head.kept_in_float32() if self.exact else None
