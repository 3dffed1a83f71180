"""The child process: it renders a job, tells what happens as lines of JSON, and ends with its parent."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import astuple
from pathlib import Path

from ..errors import HiggsError
from ..takes import open_takes
from .job import error_told, line_told, read_job, remove_job, spoken_told
from .render import render_on_cluster


def main(place: str) -> int:
    """Lines on the standard output, each an object with one name:

        queued   a line (see `line_told`)            line    [number, state, seconds]
        take     a take that was considered           pool    [waiting, loading, speaking, idle, lost, nodes]
        done     {"lines": […], "warnings": […]}      error   in the words of a HiggsError

    The end of the standard input asks it to stop; what is spoken until then is kept.
    """
    news = os.fdopen(os.dup(1), "w", encoding="ascii")  # no process that Ray starts has it
    os.dup2(2, 1)  # what others print is no news
    stop = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(stop,), daemon=True).start()

    def tell(**one) -> None:
        news.write(json.dumps(one) + "\n")
        news.flush()

    def on_line(line, state: str, seconds: float) -> None:
        if state == "queued":
            tell(queued=line_told(line))
        else:
            tell(line=[line.number, state, seconds])

    try:
        job = read_job(Path(place))
        remove_job(Path(place))
        made = render_on_cluster(
            job.script,
            job.voices,
            job.engine,
            job.sampling,
            job.settings,
            cluster=job.cluster,
            store=open_takes(job.where, job.max_bytes),
            on_line=on_line,
            should_stop=stop.is_set,
            on_take=lambda spoken: tell(take=spoken_told(spoken)),
            on_pool=lambda pool: tell(pool=astuple(pool)),
        )
    except HiggsError as error:
        tell(error=error_told(error))
        return 1
    tell(
        done={
            "lines": [spoken_told(spoken) for spoken in made.lines if spoken.take is not None],
            "warnings": list(made.warnings),
        }
    )
    return 0


def _wait_for_the_end(stop: threading.Event) -> None:
    """The parent closes our standard input to say so; its own end closes it too."""
    sys.stdin.buffer.read()
    stop.set()
