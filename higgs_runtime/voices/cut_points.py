"""Where a recording of speech can be cut without splitting a word."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from ..audio.quality import HOPS_PER_S, Levels, Profile

PAUSE_S = 0.12
NEAR_S = 0.3  # a cut leaves at most so much silence around the speech
TOUCH_S = 0.1
SLACK_S = 0.25  # recognizers place the ends of words so well at best
CELL_HOPS = HOPS_PER_S // 2
SENTENCE_ENDS = tuple(".?!…。？！")
DEEP_DB, SENTENCE_SCORE, LENGTH_SCORE = 30.0, 20.0, 60.0


class Gap(NamedTuple):
    """A stretch, in seconds, where a cut splits no word.

    Attributes:
        begin, end: in seconds.
        word: number of the word after it.
        full: whether a sentence ends here.
    """

    begin: float
    end: float
    word: int = 0
    full: bool = False


class Cut(NamedTuple):
    """The part between two gaps."""

    first: Gap
    last: Gap
    start_s: float
    end_s: float


def word_gaps(words: Iterable[Any], seconds: float, open_ends: tuple[bool, bool]) -> list[Gap]:
    """The gaps between words, which have a text, start_s and end_s.

    Args:
        seconds: length of the recording.
        open_ends: whether speech goes on before and after it: a word that touches such an end may be half.
    """
    words, found = list(words), []
    for n in range(len(words) + 1):
        inner = 0 < n < len(words)
        begin, end = words[n - 1].end_s if n else 0.0, words[n].start_s if n < len(words) else seconds
        is_open = not inner and open_ends[n > 0]
        if end - begin >= (TOUCH_S if is_open else 0):
            full = words[n - 1].text.rstrip().endswith(SENTENCE_ENDS) if inner else not is_open
            found.append(Gap(begin, end, n, full))
    return found


def pause_gaps(found: Profile, level: Levels, seconds: float, open_ends: tuple[bool, bool]) -> list[Gap]:
    """Stretches without speech, ends of the recording, and the quietest moment of each half second.

    Args:
        found, level: of the recording.
        seconds, open_ends: as in `word_gaps`.
    """
    runs = [Gap(a, min(b, seconds)) for a, b in _pauses(found, level)]
    sides = [Gap(at, at) for at, is_open in zip((0.0, seconds), open_ends, strict=True) if not is_open]
    cells = found.db.split(CELL_HOPS)
    dips = [(n * CELL_HOPS + int(cell.argmin())) * found.hop_s for n, cell in enumerate(cells)]
    return sorted([*runs, *sides, *(Gap(at, at) for at in dips)])


def at_pauses(gaps: list[Gap], words: Sequence[Any], found: Profile, level: Levels) -> list[Gap]:
    """The gaps between words, each moved into the pause that lies in it or right beside it, where there is one."""
    pauses, moved = _pauses(found, level), []
    slack = [min(SLACK_S, (word.end_s - word.start_s) / 2) for word in words]
    for gap in gaps:
        low = gap.begin - (slack[gap.word - 1] if gap.word else 0.0)
        high = gap.end + (slack[gap.word] if gap.word < len(words) else 0.0)
        near = [(min(end, high) - max(begin, low), begin, end) for begin, end in pauses]
        shared, begin, end = max(near, default=(0.0, 0.0, 0.0))
        moved.append(gap._replace(begin=begin, end=end) if shared >= PAUSE_S / 2 else gap)
    return moved


def best_cut(gaps: list[Gap], found: Profile, level: Levels, min_s: float, max_s: float) -> Cut | None:
    """The part to take: between deep gaps, at ends of sentences, long.

    Args:
        min_s, max_s: its length in seconds; shorter only where nothing else is there, longer never.

    Returns:
        None if no two gaps lie near enough.
    """
    value = [min(DEEP_DB, depth(gap, found, level)) + SENTENCE_SCORE * gap.full for gap in gaps]
    starts = [_quietest(Gap(max(gap.begin, gap.end - NEAR_S), gap.end), found) for gap in gaps]
    ends = [_quietest(Gap(gap.begin, min(gap.end, gap.begin + NEAR_S)), found) for gap in gaps]
    best, chosen = -math.inf, None
    for i, start in enumerate(starts):
        for j in range(i + 1, len(gaps)):
            seconds = ends[j] - start
            score = value[i] + value[j] + LENGTH_SCORE * seconds / max_s - 1000 * (seconds < min_s)
            if 0 < seconds <= max_s and score > best:
                best, chosen = score, Cut(gaps[i], gaps[j], start, ends[j])
    return chosen


def depth(gap: Gap, found: Profile, level: Levels) -> float:
    """How far below the speech the quietest moment of a gap lies, in dB."""
    return max(0.0, float(level.speech - _inside(gap, found)[1].min()))


def _pauses(found: Profile, level: Levels) -> list[tuple[float, float]]:
    """Stretches without speech, in seconds."""
    turns = torch.nn.functional.pad((found.db <= level.threshold).int(), (1, 1)).diff()
    begins, ends = ((turns == turn).nonzero()[:, 0] * found.hop_s for turn in (1, -1))
    return [(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True) if b - a >= PAUSE_S]


def _inside(gap: Gap, found: Profile) -> tuple[int, torch.Tensor]:
    first = min(len(found.db) - 1, math.floor(gap.begin / found.hop_s))
    return first, found.db[first : max(first + 1, math.ceil(gap.end / found.hop_s))]


def _quietest(gap: Gap, found: Profile) -> float:
    first, inside = _inside(gap, found)
    return min(max((first + int(inside.argmin()) + 0.5) * found.hop_s, gap.begin), gap.end)
