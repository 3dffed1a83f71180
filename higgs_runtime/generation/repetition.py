"""A take that says the same frames again and again is ended: models without a guard of their own may never stop.

Letters in shapes: K codebooks, F frames, P periods.
"""

from __future__ import annotations

import torch
from torch import Tensor

PERIODS = 25  # frames, the longest: a second
COARSE = 4  # codebooks that have to agree: the finer ones differ where a sampled take repeats itself
# Frames that agree with those a period before. Recordings of speech have runs of 5 at most; Higgs Nano, whose words are
# always the same, comes to 70 where it says "yes" six times. Above that a second more than speech does.
LONGEST = 100
LONGEST_HELD = 200  # of one frame, as it is in a pause: nobody pauses for 8 s


class RepetitionGuard:
    """Watches the frames of one take as they become complete."""

    def __init__(self):
        self._last: Tensor | None = None  # PERIODS frames at most, of the coarse codebooks
        self._runs = torch.zeros(PERIODS, dtype=torch.long)  # frames that agree with those 1, 2, … P before, until now

    def repeats(self, frames: Tensor) -> bool:
        """Whether the take with these next frames [K, F] repeats itself."""
        coarse = frames[:COARSE].cpu()
        last = coarse[:, :0] if self._last is None else self._last
        for n in range(coarse.shape[1]):
            frame = coarse[:, n : n + 1]
            same = (last == frame).all(dim=0).flip(0)  # [P] or fewer, the nearest first
            self._runs[: len(same)] = (self._runs[: len(same)] + 1) * same
            self._last = last = torch.cat((last, frame), dim=1)[:, -PERIODS:]
            held = int(self._runs[0])
            # what is held agrees at any period; a run of it that ended a while ago says nothing of a loop either
            if held > LONGEST_HELD or (held < PERIODS and int(self._runs.max()) > LONGEST):
                return True
        return False
