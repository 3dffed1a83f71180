"""A step recorded once and played again as a whole (CUDA graphs): the device gets it in one piece.

The recorded callable is the plain one. A recording belongs to the tensors that it was made with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UPS = 2  # calls before recording, so that libraries have set themselves up


class Recordings:
    """Recordings of one callable by key.

    Args:
        state: the tensors that a call changes in place; recording must not.
    """

    def __init__(self, state: Callable[[], list[Tensor]]):
        self._state = state
        self._made: dict[object, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def clear(self) -> None:
        self._made.clear()

    def play(self, key: object, call: Callable[[Tensor], None], given: Tensor) -> None:
        """call(given), recorded at the first use of its key."""
        if key not in self._made:
            self._made[key] = self._record(call, given)
        graph, place = self._made[key]
        place.copy_(given)
        graph.replay()

    def _record(self, call: Callable[[Tensor], None], given: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        place, kept = given.clone(), [tensor.clone() for tensor in self._state()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                call(place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call(place)
        for tensor, before in zip(self._state(), kept, strict=True):
            tensor.copy_(before)
        return graph, place
