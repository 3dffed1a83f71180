"""A step recorded once and played again as a whole: the device gets it in one piece.

The recorded callable is the plain one. A recording belongs to the tensors that it was made with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..devices import Recorder, can_capture

MOST = 64  # recordings that are kept: each takes some megabytes of the driver's


class StepGraphs:
    """Recordings of calls by key.

    Args:
        state: the tensors that a call changes in place; recording leaves them as they were.
    """

    def __init__(self, state: Sequence[Tensor], device: torch.device):
        self._state, self._recorder = state, Recorder(device)
        self._made: dict[object, Callable[[], None]] = {}

    def play(self, key: object, call: Callable[[], None]) -> None:
        """The call, recorded at the first use of its key; the one that was not played for longest makes room."""
        replay = self._made.pop(key, None) or self._record(call)
        if len(self._made) == MOST:
            del self._made[next(iter(self._made))]
        self._made[key] = replay
        replay()

    def _record(self, call: Callable[[], None]) -> Callable[[], None]:
        kept = [(tensor, tensor.clone()) for tensor in self._state]

        def restore() -> None:
            for tensor, before in kept:
                tensor.copy_(before)

        return self._recorder.record(call, restore)


def can_record(model: nn.Module, device: torch.device) -> bool:
    """Whether steps of a model can be recorded: recordings cannot bring weights over that lie elsewhere."""
    return can_capture(device) and all(weight.device == device for weight in model.parameters())
