"""What goes between the host and the device while a batch speaks: random numbers there, drawn ids back.

There is room for two blocks of N steps: the host reads one while the device is at work on the other. Nothing is copied
within a step.

Letters in shapes: B rows, n of them speaking, K codebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..devices import host_buffer, runs_beside, waiter

Drawn = Callable[[], tuple[Tensor, Tensor]]


class Ring:
    """Random numbers and ids of the steps of two blocks, on the device and on the host.

    Args:
        steps: N, of a block at most.

    Attributes:
        turn: LongTensor [1] on the device: where among the 2 N steps the next one stands. A step moves it on.
    """

    def __init__(self, steps: int, rows: int, codebooks: int, device: torch.device):
        self.steps = steps
        self.turn = torch.zeros(1, dtype=torch.long, device=device)
        self._uniform = torch.zeros((2 * steps, 2, rows, codebooks), device=device)
        self._ids = torch.zeros((2 * steps, rows, codebooks), dtype=torch.long, device=device)
        self._half, self._wait = 1, runs_beside(device)
        self._given = host_buffer(device, *self._uniform.shape)
        self._found = host_buffer(device, *self._ids.shape, dtype=torch.long)
        self._broken = host_buffer(device, 2, rows)

    def begin(self, random: Sequence[torch.Generator], steps: int) -> None:
        """The next block: draw the random numbers of its steps, each row's from its own generator.

        The block before the last one must have been read: it stood where this one goes.
        """
        self._half = 1 - self._half
        half, numbers = self._part(), self._given[self._part()]
        for row, one in enumerate(random):
            numbers[:steps, :, row] = torch.rand((steps, 2, numbers.shape[3]), generator=one)
        self._uniform[half].copy_(numbers, non_blocking=self._wait)
        self.turn.fill_(half.start)

    def numbers(self, count: int) -> Tensor:
        """Of the step that runs, [2, n, K]. Part of a step: nothing here waits for the device."""
        return self._uniform.index_select(0, self.turn)[0, :, :count]

    def put(self, ids: Tensor) -> None:
        """What the step drew, [n, K]. Part of a step."""
        self._ids[self.turn, : len(ids)] = ids  # not index_copy_, which older torch lacks on MPS
        self.turn += 1

    def end(self, steps: int, count: int, broken: Tensor) -> Drawn:
        """The block is whole after so many steps.

        Args:
            broken: [n], NaN where a row's logits were not finite.

        Returns:
            What waits for the block, and gives ids [steps, n, K] and bool [n], whether a row is broken.
        """
        half, place = self._part(), self._half
        self._found[half].copy_(self._ids[half], non_blocking=self._wait)
        self._broken[place, :count].copy_(broken, non_blocking=self._wait)
        wait = waiter(broken.device)

        def drawn() -> tuple[Tensor, Tensor]:
            wait()
            return self._found[half][:steps, :count].clone(), self._broken[place, :count].isnan()

        return drawn

    def _part(self) -> slice:
        return slice(self._half * self.steps, (self._half + 1) * self.steps)
