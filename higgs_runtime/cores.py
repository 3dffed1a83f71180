"""The cores that this process may use, and work that is quicker on one of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import torch

GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # Linux's, version 2


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
def one_thread(wanted: bool) -> Iterator[None]:
    """Torch's operations of this thread by it alone, if that is wanted.

    Where they are short, threads wait for each other longer than they work, and for as long as the others' slices of
    time last where a core is shared with another process.
    """
    threads = torch.get_num_threads()
    if not wanted or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
