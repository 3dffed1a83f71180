"""When each line of a script starts: gaps as a reader leaves them, pauses, overlaps, and slots of subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..script import Script, Turn, plan_fit
from ..text.rests import rest_after
from ..text.vocabulary import has_words

ANSWER_S, SCENE_S = 0.3, 1.2  # speakers who answer each other leave 0.2 s (Stivers et al. 2009, PNAS 106)
WORDLESS_S = 0.6  # of a turn without words, as "…"


@dataclass(frozen=True)
class Timed:
    """A line in time.

    Attributes:
        start_s, end_s: in the performance.
        speed: it is played at; above 1 is faster.
        note: how it was made to fit its slot; "" without one.
    """

    start_s: float
    end_s: float
    speed: float = 1.0
    note: str = ""


def gap_after(text: str, turn: Turn, following: Turn | None) -> float:
    """Seconds of silence between a line and the next one."""
    if following is None:
        return turn.pause_s
    if following is not turn and turn.pause_s:
        return turn.pause_s
    if following.scene != turn.scene:
        return SCENE_S
    if following.speaker != turn.speaker:
        return ANSWER_S
    return rest_after(text)


def time_lines(script: Script, turns: Sequence[int], texts: Sequence[str], seconds: Sequence[float]) -> list[Timed]:
    """The place of each spoken line.

    A line starts behind the last one to end, a gap later, or earlier by its overlap. A turn with a slot starts there,
    and all its pieces are played at the speed that fits them. Turns without words are so much more silence.

    Args:
        turns: index of each line's turn.
        seconds: how long each is; that the turn's own `speed` is in it already.
    """
    found: list[Timed] = []
    end = 0.0
    for n, turn_index in enumerate(turns):
        turn, first = script.turns[turn_index], n == 0 or turns[n - 1] != turn_index
        speed, note = (found[-1].speed, "") if turn.slot and not first else (1.0, "")
        if turn.slot and first:
            speed, note = _fit(script, turns, n, seconds, turn.slot)
        if turn.slot and first:
            start = turn.slot[0]
        else:
            before = script.turns[turns[n - 1]] if n else None
            start = end + (gap_after(texts[n - 1], before, turn) if before else 0.0)
            start += _wordless(script, turns[n - 1] + 1 if n else 0, turn_index)
            start = max(0.0, start - turn.overlap_s) if first else start
        found.append(Timed(start, start + seconds[n] / speed, speed, note))
        end = max(end, found[-1].end_s)
    return found


def _wordless(script: Script, first: int, last: int) -> float:
    """Seconds of the turns without words from number `first` to the one before `last`."""
    return sum(WORDLESS_S + turn.pause_s for turn in script.turns[first:last] if not has_words(turn.text))


def _fit(
    script: Script, turns: Sequence[int], first: int, seconds: Sequence[float], slot: tuple[float, float]
) -> tuple[float, str]:
    """The speed at which a turn fits its slot, and what is said of it."""
    spoken = sum(length for one, length in zip(turns, seconds, strict=True) if one == turns[first])
    later = [one.slot[0] for one in script.turns[turns[first] + 1 :] if one.slot and one.slot[0] > slot[0]]
    fit = plan_fit(spoken, slot, later[0] if later else None)
    return fit.speed, fit.words
