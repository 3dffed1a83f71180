"""The cores that this process may use, and how many of them are worth using while others use them too."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path, PurePosixPath

import torch

GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # Linux's, version 2
WINDOW = 0.05  # seconds of steps that are judged together: clocks of a thread may be as coarse as 1/64 s
LATE = 0.25  # a team whose threads are run for less of the time is no quicker than half of it with half a core each
REST, LONGEST = 20, 5.0  # how much longer than what was late, and for how many seconds, the halved team stays


def available() -> int:
    """Those that the process is bound to, but no more than a container's share of their time is worth."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _share())))


def _share() -> float:
    """The least number of cores whose time the groups of this process allow it; infinity without a limit."""
    try:
        own = next(line[3:] for line in OWN_GROUP.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return math.inf
    path, least = PurePosixPath(own.lstrip("/")), math.inf
    for group in (path, *path.parents):
        try:
            quota, period = (GROUPS / group / "cpu.max").read_text().split()
            least = min(least, int(quota) / int(period))
        except (OSError, ValueError):  # no limit: "max", or no file
            continue
    return least


@contextmanager
def torch_threads(most: int) -> Iterator[None]:
    """Torch's operations of this thread by so many threads or fewer."""
    threads = torch.get_num_threads()
    if threads <= most:
        yield
        return
    torch.set_num_threads(most)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def shared_out(work: Callable[[int, int], None], count: int) -> None:
    """Have threads, as many as torch uses, do `work(first, last)` for a part of `count` each; torch's operations in it
    are by that thread alone. So threads meet once, where torch would have them meet in each operation: that takes long
    where other processes keep them off their cores."""
    threads = min(_SHARED.get() or torch.get_num_threads(), count)
    if threads <= 1:
        work(0, count)
        return

    inference = torch.is_inference_mode_enabled()  # of this thread: what it made there, others may fill there alone

    def alone(n: int) -> None:
        with torch_threads(1), torch.inference_mode(inference), torch.no_grad():
            work(count * n // threads, count * (n + 1) // threads)

    for _ in _pool(threads).map(alone, range(threads)):
        pass


_SHARED: ContextVar[int] = ContextVar("threads of shared_out; 0: as many as torch uses", default=0)


@contextmanager
def only_shared_out() -> Iterator[None]:
    """Within it, only what is `shared_out` is done by several threads.

    A team of torch's own, once an operation has woken it, keeps its cores busy for a while in case there is a next one:
    the threads of `shared_out`, of which there is one a core too, would have to wait for it.
    """
    before = _SHARED.set(torch.get_num_threads())
    try:
        with torch_threads(1):
            yield
    finally:
        _SHARED.reset(before)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "higgs-products")


class TeamSize:
    """How many threads go through a step: all that may, and fewer while other processes keep them off their cores.

    Threads meet over a hundred times a step or so, and each time all wait for the last. One that has to wait for a
    core makes a step last as long as the slices of time that others get, a hundred times longer than it takes. So a
    team whose threads were hardly run is halved, and grows again by trial. Steps say how they were scheduled; a process
    has one object of this class.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._halvings, self._until, self._halved = 0, 0.0, -math.inf
        self._wall = self._ran = 0.0

    def size(self, most: int) -> int:
        """How many of so many threads should go through the next step."""
        return max(1, most >> self._halvings)

    def undisturbed(self) -> bool:
        """Whether no team had to be halved lately: what cannot be judged by itself may use all cores."""
        return self._clock() - self._halved > 2 * LONGEST

    def note(self, size: int, wall: float, ran: float) -> None:
        """A step by so many threads took `wall` seconds, of which each was on a core for `ran` or more."""
        self._wall += wall
        self._ran += ran
        if self._wall < WINDOW:
            return
        late, now = size > 1 and self._ran < LATE * self._wall, self._clock()
        if late:
            self._halvings += 1
            self._halved = now
            self._until = now + min(REST * self._wall, LONGEST)
        elif self._halvings and now >= self._until:
            self._halvings -= 1
        self._wall = self._ran = 0.0


TEAM_SIZE = TeamSize()


@contextmanager
def threads_for(short: bool) -> Iterator[None]:
    """Torch's operations of this thread: by one thread if they are short and others lately needed the cores."""
    threads = torch.get_num_threads()
    if not short or threads == 1:
        yield
    elif not TEAM_SIZE.undisturbed():
        with torch_threads(1):
            yield
    else:
        started, ran = time.perf_counter(), time.process_time()
        yield
        TEAM_SIZE.note(threads, time.perf_counter() - started, (time.process_time() - ran) / threads)
