"""Who speaks which cue, as a table that a person can read and correct."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ScriptError
from ..script.grammar import short
from ..text.speakers import fits_tag

_CUES = re.compile(r"(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?\s*:\s*(.*)")
_NAMES = re.compile(r"(.+?)\s*=\s*(.+)")


@dataclass(frozen=True)
class Row:
    """A cue.

    Attributes:
        cue: its number, from 1: that of the script's turn.
        start_s, end_s: in the film.
        speaker: who speaks it.
        known_by: how that is known: "corrected", "named" (in the subtitles), "voice" (it sounds like other cues of the
            speaker), "guessed" (nothing tells).
        text: of the script.
        note: what is wrong with its sound; "" where nothing is.
    """

    cue: int
    start_s: float
    end_s: float
    speaker: str
    known_by: str
    text: str
    note: str = ""

    def __str__(self):
        minutes, seconds = divmod(self.start_s, 60)
        note = f" | {self.note}" if self.note else ""
        when = f"{int(minutes) // 60}:{int(minutes) % 60:02}:{seconds:05.2f}"
        return f"{self.cue}: {self.speaker} | {when} | {self.known_by} | {short(' '.join(self.text.split()), 60)}{note}"


@dataclass(frozen=True)
class Corrections:
    """What a person says of the speakers.

    Attributes:
        cues: number of a cue -> its speaker.
        names: speaker as found -> as it is to be called.
    """

    cues: dict[int, str]
    names: dict[str, str]

    def of(self, cue: int, found: str) -> str | None:
        """The speaker of a cue; None where nothing is said of it."""
        name = self.cues.get(cue)
        if name is None and found not in self.names:
            return None
        return self.names.get(name or found, name or found)


def parse_corrections(text: str, cues: int) -> Corrections:
    """Read lines as `3: Anna`, `3-7: Anna` and `Voice A = Anna`; what stands behind a bar is not read, so that lines of
    the table itself will do. Empty lines and those that begin with # are passed over; the last line on a cue counts.

    Args:
        cues: how many there are.

    Raises:
        ScriptError: a line is none of these, names no cue that there is, or a speaker that no script can hold.
    """
    found, names = {}, {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("|")[0].strip()
        if not line or line.startswith("#"):
            continue
        if match := _CUES.fullmatch(line):
            first, last, name = int(match[1]), int(match[2] or match[1]), match[3].strip()
            if not 1 <= first <= last <= cues:
                raise _wrong(number, line, f"a cue from 1 to {cues}")
            found |= dict.fromkeys(range(first, last + 1), name)
        elif match := _NAMES.fullmatch(line):
            name = match[2].strip()
            names[match[1].strip()] = name
        else:
            raise _wrong(number, line, "a line as 3: Anna, 3-7: Anna or Voice A = Anna")
        if not fits_tag(name):
            raise _wrong(number, line, "a name that begins with a capital, without brackets and colons")
    return Corrections(found, names)


def table_of(rows: Sequence[Row]) -> str:
    """A line for each cue."""
    return "\n".join(map(str, rows))


def _wrong(number: int, line: str, expected: str) -> ScriptError:
    return ScriptError(
        f"Line {number} of the speakers cannot be used.",
        expected=expected,
        got=f"'{short(line)}'",
        remedy="Correct or remove the line.",
    )
