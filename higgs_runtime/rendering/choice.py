"""Which take of which line a person wants, as text: "3: 2, 7: 1"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import SettingError

_ITEM = re.compile(r"\s*(\d{1,7})\s*[:=]\s*(\d{1,7})\s*")


def parse_choice(text: str) -> dict[int, int]:
    """Number of a line -> number of its take, both from 1; items are parted by commas, semicolons or new lines.

    Raises:
        SettingError: an item that is no such pair, a number below 1, or a line twice.
    """
    chosen: dict[int, int] = {}
    for item in re.split(r"[,;\n]", text):
        if not item.strip():
            continue
        found = _ITEM.fullmatch(item)
        line, take = map(int, found.groups()) if found else (0, 0)
        if not found or line < 1 or take < 1 or line in chosen:
            raise SettingError(
                "This does not choose a take.",
                expected="line: take, each line once, as in 3: 2, 7: 1",
                got=f"'{item.strip()}'",
                remedy="Lines and takes count from 1, as in the report.",
            )
        chosen[line] = take
    return chosen


def check_choice(chosen: Mapping[int, int], lines: int) -> None:
    """Raises:
    SettingError: a take is chosen of a line that there is not.
    """
    beyond = [number for number in chosen if not 1 <= number <= lines]
    if beyond:
        raise SettingError(
            "A take is chosen of a line that there is not.",
            expected=f"lines 1 to {lines}",
            got=f"line {beyond[0]}",
            remedy="Look the number up in the report, or take it out.",
        )
