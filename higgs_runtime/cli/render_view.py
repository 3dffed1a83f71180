"""What `higgs render-script` shows of a render: to a person, or as JSON to a program. Imported when it runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ..errors import HiggsError
from ..rendering import Events, Line, Performance, State, describe_fits, planned_fits
from ..rendering.json_events import JsonEvents
from .common import StopOnInterrupt, progress


class View(Events, Protocol):
    """Events, and what becomes of a render in the end.

    Attributes:
        stop: Ctrl-C ends it.
        stopped: it is to end for another reason.
    """

    stop: StopOnInterrupt | None = None
    stopped: bool = False

    def should_stop(self) -> bool:
        return self.stopped or self.stop is not None and self.stop.asked

    def spoken(self, performance: Performance) -> None:
        """The takes are there, and files are made of them."""

    def done(self, performance: Performance, files: Sequence[Path]) -> None:
        """The files are there as well."""

    def failed(self, error: HiggsError) -> None:
        """It ends with an error, which the command writes on the standard error."""


class ProgressLine(View):
    """One line: the workers of a cluster, the lines that are done, how many seconds and how fast; and a line for each
    worker that is lost. Then the table, and the names of the files."""

    def __init__(self):
        self._lines: dict[int, tuple[str, float]] = {}
        self._began = time.perf_counter()
        self._cluster_began: float | None = None
        self._now_s = 0.0  # spoken in this render
        self._workers = None

    def on_line(self, line: Line, state: State, seconds: float) -> None:
        self._lines[line.number] = state, seconds
        if state == "spoken":
            self._now_s += seconds
        if self._workers is None:
            progress(str(self))

    def on_workers(self, status) -> None:
        if self._workers is not None and status.lost > self._workers.lost:
            progress("")
            sys.stderr.write(f"higgs: a worker is lost; its lines go to others ({status})\n")
        if status.speaking and self._cluster_began is None:
            self._cluster_began = time.perf_counter()
        self._workers = status
        progress(str(self))

    def spoken(self, performance: Performance) -> None:
        parts = [performance.table(), describe_fits(planned_fits(performance)), performance.summary()]
        sys.stdout.write("\n\n".join(filter(None, parts)) + "\n")

    def done(self, performance: Performance, files: Sequence[Path]) -> None:
        sys.stdout.write("".join(f"{path}\n" for path in files))

    def __str__(self):
        done = sum(state in ("spoken", "stored") for state, _ in self._lines.values())
        lines, now = f"{done} of {len(self._lines)} lines", time.perf_counter()
        if self._workers is not None:
            speed = self._now_s / max(1.0, now - self._cluster_began) if self._cluster_began is not None else 0.0
            return f"{self._workers}: {lines}, {speed:.1f} s of audio a second"
        audio = sum(seconds for _, seconds in self._lines.values())
        return f"{lines}, {audio:.1f} s of audio in {now - self._began:.1f} s"


class JsonView(JsonEvents, View):
    """The same as lines of JSON."""


@contextmanager
def progress_view() -> Iterator[View]:
    yield ProgressLine()


@contextmanager
def json_view() -> Iterator[View]:
    """On the standard output; what anything else prints there, in this process or in one that it starts, goes to the
    standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(out, "w", encoding="ascii", closefd=False) as file:
            yield JsonView(file)
    finally:
        os.dup2(out, 1)
        os.close(out)
