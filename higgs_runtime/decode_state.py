"""Where one row stands between its first and its last frame: ramp-in, open, wind-down.

Step 0 writes the stream-begin column; codebook k is held at stream-begin through step k (ramp-in) and free from
step k + 1. Once any free codebook draws stream-end at step t, codebook k is held at stream-end from step t + k + 1
(wind-down), and the row is finished when all K ids are stream-end.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .delay import undelay


class DecodeState:
    """Follows one row. `hold` imposes the schedule on freshly drawn ids, `push` records them.

    Attributes:
        rows: the delayed rows so far, a list of LongTensor [K].
        finished: all K ids of the last row were stream-end.
    """

    def __init__(self, num_codebooks: int, bos_id: int, eos_id: int, codebook_size: int):
        self.num_codebooks, self.bos_id, self.eos_id, self.codebook_size = num_codebooks, bos_id, eos_id, codebook_size
        self.rows: list[Tensor] = []
        self.end_step: int | None = None
        self.finished = False
        self._emitted = 0

    @property
    def step(self) -> int:
        return len(self.rows)

    def hold(self, ids: Tensor) -> Tensor:
        """ids [K] with the codebooks that are not free at this step replaced."""
        k = torch.arange(self.num_codebooks, device=ids.device)
        ids = torch.where(k >= self.step, self.bos_id, ids)
        if self.end_step is not None:
            ids = torch.where(k < self.step - self.end_step, self.eos_id, ids)
        return ids

    def push(self, ids: Tensor) -> None:
        """Record the row of this step and move on."""
        ended = (ids == self.eos_id).tolist()
        if self.end_step is None and any(ended):
            self.end_step = self.step
        self.finished = all(ended)
        self.rows.append(ids)

    def take_frames(self) -> Tensor:
        """Frames [K, n] that became complete since the last call: no codebook missing, none at stream-end.

        A stream-begin that a model draws where it is free stands for no entry; it is clipped to the last one.
        """
        start, stop = self._emitted, self.step - self.num_codebooks
        if stop <= start:
            return torch.empty((self.num_codebooks, 0), dtype=torch.long)
        frames = undelay(torch.stack(self.rows[1 + start : 1 + stop + self.num_codebooks - 1]))
        ended = (frames == self.eos_id).any(dim=0)
        if bool(ended.any()):
            frames = frames[:, : int(ended.int().argmax())]
            self._emitted = 2**62  # nothing after the first frame with a stream-end
        else:
            self._emitted = stop
        return frames.clamp(max=self.codebook_size - 1)
