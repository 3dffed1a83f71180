"""What files tell of themselves: chapters, a cover, entries for programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Chapter(NamedTuple):
    """A part of a file.

    Attributes:
        start_s, end_s: seconds from the start.
        title: one line.
    """

    start_s: float
    end_s: float
    title: str


class Cover(NamedTuple):
    """A JPEG picture.

    Attributes:
        data: the file.
        width, height: in pixels.
    """

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Told:
    """All that is written into a file beside its sound.

    Attributes:
        tags: names in lower case.
        further: entries that programs look for, as JSON; first, as some look only so far.
        chapters, cover: see there.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, str] = field(default_factory=dict)
    chapters: Sequence[Chapter] = ()
    cover: Cover | None = None


NOTHING_TOLD = Told()


def as_ascii(json: str) -> str:
    """The same JSON, or text, with escapes in place of letters beyond ASCII."""

    def escaped(match: re.Match) -> str:
        units = match[0].encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[n] << 8 | units[n + 1]:04x}" for n in range(0, len(units), 2))

    return re.sub(r"[^\x00-\x7f]", escaped, json)


def cut_to_bytes(text: str, most: int) -> str:
    """The beginning of a text that takes so many bytes in UTF-8 at most, and ends with a whole letter."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
