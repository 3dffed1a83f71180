"""Tags that change the voice: a tagged take is held against what the same speaker sounds like without tags.

Strong emotions pull v3 away from its reference. Where voices are compared, a take with delivery tags whose likeness
falls too far below that of the speaker's plain lines is spoken again, first with the emotion behind the first word,
which those who listened find gentler.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from ..text.tags import TAG, TAGS, mended
from .lines import Line
from .performance import SpokenLine

MOST_LOST = 0.1  # of likeness, -1 to 1: takes of one plain voice differ by about half of that


def is_tagged(line: Line) -> bool:
    """Whether tags colour how a line is spoken; pauses and sounds do not."""
    tags = (TAGS.get(match[0]) for match in TAG.finditer(line.text))
    return any(tag is not None and not tag.inline for tag in tags)


def gentler(line: Line) -> Line | None:
    """The line with its emotions behind the first word; None where that is no other line."""
    text = mended(line.text, placement="gentle")
    return None if text == line.text else replace(line, text=text)


class VoiceHeld:
    """What the speakers of one render sound like without tags, as far as they were heard."""

    def __init__(self):
        self._plain: defaultdict[str, list[float]] = defaultdict(list)

    def hear(self, spoken: SpokenLine) -> None:
        """Remember a plain take."""
        likeness = spoken.verdict.similarity if spoken.verdict is not None else None
        if likeness is not None and not is_tagged(spoken.line):
            self._plain[spoken.line.speaker].append(likeness)

    def lost(self, spoken: SpokenLine) -> float:
        """By how much a tagged take is less like its reference than it may be; 0 where it holds, or nobody can tell."""
        likeness = spoken.verdict.similarity if spoken.verdict is not None else None
        plain = self._plain[spoken.line.speaker]
        if likeness is None or not plain or not is_tagged(spoken.line):
            return 0.0
        fallen = sum(plain) / len(plain) - likeness
        return fallen if fallen > MOST_LOST else 0.0

    def judged(self, spoken: SpokenLine) -> SpokenLine:
        """The line, its verdict with what the tags have done to the voice."""
        fallen = self.lost(spoken)
        if not fallen or spoken.verdict is None:
            return spoken
        reason = f"its tags change the voice ({fallen:.2f} less like it than without)"
        verdict = replace(spoken.verdict, passed=False, reasons=(*spoken.verdict.reasons, reason))
        return replace(spoken, verdict=verdict)
