"""How many threads go through a step: all that may, and fewer while other processes keep them off their cores.

Threads meet over a hundred times a step or so, and each time all wait for the last. One that has to wait for a core
makes a step last as long as the slices of time that others get, a hundred times longer than it takes. So a team whose
threads were hardly run is halved, and grows again by trial.
"""

from __future__ import annotations

import time
from collections.abc import Callable

WINDOW = 0.05  # seconds of steps that are judged together: clocks of a thread may be as coarse as 1/64 s
LATE = 0.25  # a team whose threads are run for less of the time is no quicker than half of it with half a core each
REST, LONGEST = 20, 2.0  # how much longer than what was late, and for how many seconds, the halved team stays


class Crew:
    """A process has one. Steps tell it how they were scheduled."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._halvings, self._until = 0, 0.0
        self._wall = self._ran = 0.0

    def size(self, most: int) -> int:
        """How many of so many threads should go through the next step."""
        return max(1, most >> self._halvings)

    def note(self, size: int, wall: float, ran: float) -> None:
        """A step by so many threads took `wall` seconds, of which each was on a core for `ran` or more."""
        self._wall += wall
        self._ran += ran
        if self._wall < WINDOW:
            return
        late, now = size > 1 and self._ran < LATE * self._wall, self._clock()
        if late:
            self._halvings += 1
            self._until = now + min(REST * self._wall, LONGEST)
        elif self._halvings and now >= self._until:
            self._halvings -= 1
        self._wall = self._ran = 0.0


CREW = Crew()
