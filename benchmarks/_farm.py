"""A render on many devices as a discrete-event simulation: the pack's own parts and batches, other clocks.

What a device does between two ends of takes is one event; how long it lasts comes from a `Machine`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import simpy
from _common import ROOT  # noqa: F401  (the path to the pack)

from higgs_runtime import Script, Turn
from higgs_runtime.cluster.parts import Part, Parts

WIND_DOWN = 8  # steps of a take beyond its frames: the delay of the codebooks


@dataclass(frozen=True)
class Machine:
    """How fast a device is.

    Attributes:
        step_s: seconds of a step, by the number of rows.
        line_s: of a line before its first step: its prompt is laid out and read, and the take claimed.
        part_s: of a part, once: a session is made, and reads what all lines begin with.
        store_s: of a take, in the store: the device waits for it, and the store serves one at a time.
        start_s: from the start of a worker until it has its model.
        mean_life_s: until a device fails, on average; None: it does not.
    """

    step_s: Callable[[int], float]
    line_s: float
    part_s: float
    store_s: float
    start_s: float
    mean_life_s: float | None = None


@dataclass(frozen=True)
class Outcome:
    """Of a render: seconds until its end, frames that were spoken, the share of rows that stood empty while others
    spoke, seconds of waiting for the store, frames spoken in vain, workers lost."""

    seconds: float
    frames: int
    empty: float
    store_wait_s: float
    lost_frames: int
    lost_workers: int


class Farm:
    """A crew with a script and a store.

    Args:
        lines: (characters, frames) of the script's lines.
        starts: of the workers, in seconds; None: all at the machine's start_s.
    """

    def __init__(
        self,
        machine: Machine,
        lines: Sequence[tuple[int, int]],
        *,
        workers: int,
        batch: int,
        seed: int = 0,
        starts: Sequence[float] | None = None,
    ):
        self.machine, self.batch, self.workers = machine, batch, workers
        self.env, self.random = simpy.Environment(), random.Random(seed)
        self.store = simpy.Resource(self.env)
        self.frames = self.lost_frames = self.lost_workers = 0
        self.row_s = self.full_s = self.store_wait_s = 0.0
        script = Script([Turn("", "x" * chars, line=n + 1) for n, (chars, _) in enumerate(lines)])
        self.parts = Parts(script, by_scene=False, batch=batch)
        self.left = {n: frames for n, (_, frames) in enumerate(lines)}
        self.working = [self.env.process(self._worker(start)) for start in starts or [machine.start_s] * workers]

    def run(self) -> Outcome:
        self.env.run(simpy.AllOf(self.env, self.working))
        return Outcome(
            self.env.now,
            self.frames,
            1 - self.row_s / (self.full_s or 1),
            self.store_wait_s,
            self.lost_frames,
            self.lost_workers,
        )

    def _worker(self, start: float):
        yield self.env.timeout(start)
        life = self._life()
        while (part := self.parts.fetch(self.workers)) is not None:
            done = yield from self._speak(part, life)
            if not done:
                self.lost_workers += 1
                self.parts.give_back(part)
                yield self.env.timeout(self.machine.start_s)
                life = self._life()

    def _life(self) -> float:
        mean = self.machine.mean_life_s
        return self.env.now + self.random.expovariate(1 / mean) if mean else float("inf")

    def _speak(self, part: Part, life: float):
        """One part, row by row as a session does it; False if the device failed."""
        numbers = range(part.first, part.first + len(part.script.turns))
        waiting = [number for number in reversed(numbers) if number in self.left]  # the others are in the store
        rows: dict[int, int] = {}
        read = self.machine.part_s
        while waiting or rows:
            while waiting and len(rows) < self.batch:
                number = waiting.pop()
                rows[number] = self.left[number] + WIND_DOWN
                read += self.machine.line_s
            steps = min(rows.values())
            seconds, read = read + steps * self.machine.step_s(len(rows)), 0.0
            if self.env.now + seconds > life:
                yield self.env.timeout(max(0.0, life - self.env.now))
                self.lost_frames += sum(self.left[number] + WIND_DOWN - more for number, more in rows.items())
                return False
            yield self.env.timeout(seconds)
            self.row_s += seconds * len(rows)
            self.full_s += seconds * self.batch
            rows = {number: more - steps for number, more in rows.items()}
            for number in [number for number, more in rows.items() if not more]:
                del rows[number]
                yield from self._keep(self.left.pop(number))
        return True

    def _keep(self, frames: int):
        asked = self.env.now
        with self.store.request() as turn:
            yield turn
            yield self.env.timeout(self.machine.store_s)
        self.store_wait_s += self.env.now - asked
        self.frames += frames


def fitted(times: dict[int, float]) -> Callable[[int], float]:
    """Seconds of a step for any number of rows: measured ones joined by straight lines."""
    known = sorted((int(rows), seconds) for rows, seconds in times.items())

    def step(rows: int) -> float:
        for (low, a), (high, b) in zip(known, known[1:], strict=False):
            if rows <= high:
                return a + (b - a) * (max(rows, low) - low) / (high - low)
        return known[-1][1]

    return step
