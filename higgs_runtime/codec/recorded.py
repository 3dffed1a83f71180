"""Decoding on a device that a model uses as well: on a stream of its own, short windows recorded and played again.

On the model's stream a window would wait for all steps that the device has been given; and a short one is hundreds of
small calls, which take the host longer than the device. A recording is of one exact length of a window: a longer one
would be other sound at its end.

Letters in shapes: K codebooks, F frames, C channels, T samples.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor, nn

from ..devices import Recorder, SideStream, can_capture, places_of

LONGEST = 96  # frames: a window of 3 s with what is seen around it; the device is long enough at work on more
MOST = 32  # recordings; they share their memory

Decode = Callable[[Tensor], Tensor]


class WindowGraphs:
    """Decodes windows of codes, as the weights are now; recordings are made anew when they lie elsewhere.

    One call at a time; others wait. Whoever manages memory may move the weights between two calls.

    Args:
        record: whether what decodes can be recorded: it waits for nothing and stays on the device.
    """

    def __init__(self, module: nn.Module, record: bool):
        self._module, self._record = module, record
        self._lock = Lock()
        self._places: tuple = ()
        self._stream: SideStream | None = None
        self._recorder: Recorder | None = None
        self._made: dict[tuple, tuple[Callable[[], None], Tensor, list[Tensor]] | None] = {}

    def decode(self, ids: Tensor, decode: Decode, kept: tuple) -> Tensor:
        """What `decode` makes of ids [K, F] on the CPU: float32 samples [C, T] on the CPU.

        Args:
            kept: which part of the window it gives; of one part and one F the result has one shape.
        """
        device = next(self._module.parameters()).device
        if not can_capture(device):
            if self._made:  # what they take of the device that the weights have left
                with self._lock:
                    self._places, self._made, self._recorder = (), {}, None
            return decode(ids).float().cpu()
        with self._lock:
            places = places_of(self._module)
            moved = places != self._places
            if moved:
                self._places, self._made = places, {}
                self._stream, self._recorder = SideStream(device), Recorder(device)
            assert self._stream is not None
            with self._stream(after=moved):
                return self._decoded(ids, decode, (ids.shape[1], kept), device)

    def _decoded(self, ids: Tensor, decode: Decode, key: tuple, device: torch.device) -> Tensor:
        if not self._record or ids.shape[1] > LONGEST:
            return decode(ids).float().cpu()
        if key not in self._made:  # most lengths come once, at a beginning or an end
            if len(self._made) == MOST:
                self._made.clear()
            self._made[key] = None
            return decode(ids).float().cpu()
        made = self._made[key]
        if made is None:
            made = self._made[key] = self._recorded(ids.to(device), decode)
        replay, place, found = made
        place.copy_(ids)
        replay()
        return found[-1].to("cpu", copy=True)

    def _recorded(self, place: Tensor, decode: Decode) -> tuple[Callable[[], None], Tensor, list[Tensor]]:
        found: list[Tensor] = []
        assert self._recorder is not None
        replay = self._recorder.record(lambda: found.append(decode(place).float()))
        return replay, place, found[-1:]
