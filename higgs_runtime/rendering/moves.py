"""What a person has done to lines on the time line: moved, and trimmed at their ends."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from ..errors import ScriptError
from .performance import SpokenLine
from .timing import Timed

LEAST_S = 0.04  # of a line that was trimmed: a frame
EASE_S = 0.005  # where a line is cut, so that it does not click


@dataclass(frozen=True)
class Move:
    """A line in another place.

    Attributes:
        line: its number, from 1.
        text: that it had when it was moved: a line that says something else now is not moved.
        start_s: seconds from the start of the mix.
        trim_start_s, trim_end_s: seconds of its take that are left out.
    """

    line: int
    text: str
    start_s: float
    trim_start_s: float = 0.0
    trim_end_s: float = 0.0


def read_moves(text: str) -> list[Move]:
    """Moves as JSON has them: a list of objects with the names of `Move`; none for an empty text.

    Raises:
        ScriptError: it is none.
    """
    if not text.strip():
        return []
    try:
        moves = [Move(**one) for one in json.loads(text)]
        for one in moves:
            times = (one.start_s, one.trim_start_s, one.trim_end_s)
            if not (isinstance(one.line, int) and isinstance(one.text, str) and one.line > 0):
                raise ValueError(f"line {one.line!r}")
            if not all(
                isinstance(time, (int, float)) and math.isfinite(time) and 0 <= time <= 86_400 for time in times
            ):
                raise ValueError(f"times of line {one.line}: {times}")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ScriptError(
            "The moved lines cannot be read.",
            expected='JSON such as [{"line": 3, "text": "Hello.", "start_s": 12.5}], seconds from 0 to 86400',
            got=str(error),
            remedy="Empty the input 'moved', and move the lines again.",
        ) from error
    return moves


def write_moves(moves: Sequence[Move]) -> str:
    return json.dumps([asdict(one) for one in moves], ensure_ascii=False)


@dataclass(frozen=True)
class Moved:
    """Lines in their places.

    Attributes:
        times: of each line.
        trims: seconds that each loses at its start and its end.
        warnings: moves that were not made, one sentence each.
    """

    times: Sequence[Timed]
    trims: Sequence[tuple[float, float]]
    warnings: Sequence[str]


def move_lines(
    moves: Sequence[Move], spoken: Sequence[SpokenLine], times: Sequence[Timed], seconds: Sequence[float]
) -> Moved:
    """Lines where they were moved to; the others stay.

    Args:
        times: where each line would be.
        seconds: how long each is, whole.
    """
    asked = {one.line: one for one in moves}
    found, trims, warnings = list(times), [(0.0, 0.0)] * len(times), []
    for n, (one, length) in enumerate(zip(spoken, seconds, strict=True)):
        move = asked.pop(one.line.number + 1, None)
        if move is None:
            continue
        if move.text != one.line.written:
            warnings.append(f"Line {move.line} was moved when it said ‘{move.text}’, and stays where it is now.")
            continue
        start = min(move.trim_start_s, max(0.0, length - LEAST_S))
        end = min(move.trim_end_s, max(0.0, length - start - LEAST_S))
        if (start, end) != (move.trim_start_s, move.trim_end_s):
            warnings.append(
                f"Line {move.line} is {length:.2f} s long, and was to be trimmed by more; {LEAST_S} s are left."
            )
        trims[n] = start, end
        stop_s = move.start_s + length - start - end
        found[n] = replace(times[n], start_s=move.start_s, end_s=stop_s, fit=None, late_s=0.0, moved=True)
    warnings += [f"Line {number} was moved, and is not there any more." for number in asked]
    return Moved(found, trims, warnings)
