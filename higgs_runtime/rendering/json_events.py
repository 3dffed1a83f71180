"""A render's events as lines of JSON, for a program that follows it from another process.

Each line is an object whose `event` says what else it has; lines count from 0:

    queued    a line of the script: number, turn, text, speaker, scene, sampling, warnings
    line      number, state (see `State`), seconds of sound that there are
    take      number, key in the store, tries so far, stored (it was there before), verdict (see `Verdict`) or null,
              speech_s: seconds without the silence at its ends, where the script has slots
    workers   waiting, loading, speaking, idle, lost, nodes
    done      lines (each as in `take`, but for the event), fits (each as in the time line), warnings, files
    error     kind, made_of, expected, got, remedy: of a `HiggsError`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from .. import errors
from ..errors import HiggsError, MissingExtraError
from ..types import Sampling
from .events import Events, State
from .fits import planned_fits
from .lines import Line
from .performance import Performance, SpokenLine


class JsonEvents(Events):
    """Writes them, each at once.

    Args:
        out: takes ASCII.
    """

    def __init__(self, out: TextIO):
        self._out = out

    def on_line(self, line: Line, state: State, seconds: float) -> None:
        if state == "queued":
            self._write("queued", **asdict(line))
        else:
            self._write("line", number=line.number, state=state, seconds=seconds)

    def on_take(self, spoken: SpokenLine) -> None:
        self._write("take", **spoken_fields(spoken))

    def on_workers(self, status) -> None:
        self._write("workers", **asdict(status))

    def done(self, performance: Performance, files: Sequence[str | Path] = ()) -> None:
        """The last event of a render that came to its end, or was stopped."""
        lines = [spoken_fields(spoken) for spoken in performance.lines if spoken.take is not None]
        fits = [row.as_json() for row in planned_fits(performance)]
        notes = list(performance.warnings)
        self._write("done", lines=lines, fits=fits, warnings=notes, files=[str(path) for path in files])

    def failed(self, error: HiggsError) -> None:
        """The last event of one that did not."""
        self._write("error", **error_fields(error))

    def _write(self, event: str, **fields) -> None:
        self._out.write(json.dumps({"event": event, **fields}) + "\n")
        self._out.flush()


def line_of(fields: dict) -> Line:
    return Line(**{**fields, "sampling": Sampling(**fields["sampling"]), "warnings": tuple(fields["warnings"])})


def spoken_fields(spoken: SpokenLine) -> dict:
    """All but the line and the take: these are known by number and key."""
    return {
        "number": spoken.line.number,
        "key": spoken.key,
        "tries": spoken.tries,
        "stored": spoken.stored,
        "speech_s": spoken.speech_s,
        "verdict": None if spoken.verdict is None else asdict(spoken.verdict),
    }


def error_fields(error: HiggsError) -> dict:
    if isinstance(error, MissingExtraError):
        return {"kind": "MissingExtraError", "made_of": error.__reduce__()[1]}
    return {
        "kind": type(error).__name__,
        "made_of": [error.what],
        "expected": error.expected,
        "got": error.got,
        "remedy": error.remedy,
    }


def error_of(fields: dict) -> HiggsError:
    """The error with the same words, of the same kind if it is one of errors.py."""
    fields = dict(fields)
    kind = getattr(errors, fields.pop("kind"), HiggsError)
    return kind(*fields.pop("made_of"), **fields)
