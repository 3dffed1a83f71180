"""How the time of a function grows with its input, on machines where other programs take their share."""

from __future__ import annotations

import time
from collections.abc import Callable

QUICK_S = 0.01  # what takes no longer may take its time
TRIES = 3


def grows_linearly(run: Callable[[int], object], size: int, most: float = 40.0, times: int = 10) -> bool:
    """Whether `times` as much takes less than `most` times the processor time: about `times` is linear, its square not.

    A neighbour on the same core can make one run several times as slow, and never one faster: each length counts by
    its quickest run.
    """
    short, long = float("inf"), float("inf")
    for _ in range(TRIES):
        short, long = min(short, _seconds(run, size)), min(long, _seconds(run, times * size))
        if long < most * max(short, QUICK_S):
            return True
    return False


def _seconds(run: Callable[[int], object], size: int) -> float:
    start = time.process_time()
    run(size)
    return time.process_time() - start
