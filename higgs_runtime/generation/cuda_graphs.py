"""A step recorded once and played again as a whole: the device gets it in one piece.

The recorded callable is the plain one. A recording belongs to the tensors that it was made with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..devices import Recorder, can_capture


class StepGraphs:
    """Recordings of one callable by key.

    Args:
        state: gives the tensors that a call changes in place; recording leaves them as they were.
    """

    def __init__(self, state: Callable[[], list[Tensor]], device: torch.device):
        self._state, self._recorder = state, Recorder(device)
        self._made: dict[object, tuple[Callable[[], None], Tensor]] = {}

    def clear(self) -> None:
        self._made.clear()

    def play(self, key: object, call: Callable[[Tensor], None], given: Tensor) -> None:
        """call(given), recorded at the first use of its key."""
        if key not in self._made:
            self._made[key] = self._record(call, given)
        replay, place = self._made[key]
        place.copy_(given)
        replay()

    def _record(self, call: Callable[[Tensor], None], given: Tensor) -> tuple[Callable[[], None], Tensor]:
        place, kept = given.clone(), [tensor.clone() for tensor in self._state()]
        replay = self._recorder.record(lambda: call(place))
        for tensor, before in zip(self._state(), kept, strict=True):
            tensor.copy_(before)
        return replay, place


def can_record(model: nn.Module, device: torch.device) -> bool:
    """Whether steps of a model can be recorded: recordings cannot bring weights over that lie elsewhere."""
    return can_capture(device) and all(weight.device == device for weight in model.parameters())
