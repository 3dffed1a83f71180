"""When each line of a script starts: gaps as a reader leaves them, pauses, overlaps, and slots of subtitles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..script import Fit, Script, TempoLimits, Turn, plan_fit
from ..script.fitting import USUAL
from ..text.rests import rest_after
from ..text.vocabulary import has_words
from .slots import LEAST_SHARE

ANSWER_S, SCENE_S = 0.3, 1.2  # speakers who answer each other leave 0.2 s (Stivers et al. 2009, PNAS 106)
WORDLESS_S = 0.6  # of a turn without words, as "…"


@dataclass(frozen=True)
class Timed:
    """A line in time.

    Attributes:
        start_s, end_s: in the performance.
        speed: it is played at; above 1 is faster.
        fit: how its turn was made to fit its slot; None without one.
        late_s: seconds after the start of its slot: the line before was too long.
        moved: a person has put it there, whatever its slot.
    """

    start_s: float
    end_s: float
    speed: float = 1.0
    fit: Fit | None = None
    late_s: float = 0.0
    moved: bool = False

    @property
    def note(self) -> str:
        """What was done to fit its slot, or by hand, for a person; "" where nothing was."""
        if self.moved:
            return "moved by hand"
        late = f"starts {self.late_s:.2f} s late, " if self.late_s else ""
        return late + self.fit.words if self.fit else ""


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


def time_lines(
    script: Script,
    turns: Sequence[int],
    texts: Sequence[str],
    seconds: Sequence[float],
    limits: TempoLimits = USUAL,
) -> list[Timed]:
    """The place of each spoken line.

    A line starts behind the last one to end, a gap later, or earlier by its overlap. A turn with a slot of subtitles
    starts there, but not before the lines above have ended, unless their slots lie over its own. All pieces of a turn
    with a slot are played at the speed that fits them. Turns without words are so much more silence.

    Args:
        turns: index of each line's turn.
        seconds: how long each is; that the turn's own `speed` is in it already.
        limits: of the speed.
    """
    found: list[Timed] = []
    end = held = 0.0  # of the lines so far, and of the time that they have
    for first, last in _turns(turns):
        turn, index = script.turns[turns[first]], turns[first]
        before = script.turns[turns[first - 1]] if first else None
        start = held + (gap_after(texts[first - 1], before, turn) if before else 0.0)
        start = max(start, end) + _wordless(script, turns[first - 1] + 1 if first else 0, index)
        start, late_s = max(0.0, start - turn.overlap_s), 0.0
        if turn.slot:
            start = max(turn.slot[0], _free_from(script, turns, found, turn.slot))
            late_s = round(start - turn.slot[0], 6)
        rests = [gap_after(text, turn, turn) for text in texts[first : last - 1]]
        fit = _fit(script, index, start, texts[last - 1], sum(seconds[first:last]), sum(rests), limits)
        speed, place = fit.speed if fit else 1.0, start
        for n, rest in zip(range(first, last), [*rests, 0.0], strict=True):
            found.append(Timed(place, place + seconds[n] / speed, speed, fit, late_s))
            place = max(found[-1].end_s, end if fit is None else 0.0) + rest
        end = max(end, found[-1].end_s)
        held = max(held, start + turn.fit_s if turn.fit_s is not None else found[-1].end_s)
    return found


def _turns(turns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first line, the one behind the last) of each turn."""
    first = 0
    for n in range(1, len(turns) + 1):
        if n == len(turns) or turns[n] != turns[first]:
            yield first, n
            first = n


def _free_from(script: Script, turns: Sequence[int], found: Sequence[Timed], slot: tuple[float, float]) -> float:
    """When no line that is spoken before still speaks, but for as long as its own slot lies over this one."""
    ends = [0.0]
    for turn, time in zip(turns, found, strict=False):
        above = script.turns[turn].slot
        ends.append(time.end_s - (max(0.0, above[1] - slot[0]) if above else 0.0))
    return max(ends)


def _wordless(script: Script, first: int, last: int) -> float:
    """Seconds of the turns without words from number `first` to the one before `last`."""
    return sum(WORDLESS_S + turn.pause_s for turn in script.turns[first:last] if not has_words(turn.text))


def _fit(
    script: Script, index: int, start: float, text: str, spoken_s: float, rests_s: float, limits: TempoLimits
) -> Fit | None:
    """How a turn that starts then fits its slot; None without one.

    Args:
        text: of its last piece.
        spoken_s, rests_s: of its pieces, and of what lies between them.
    """
    turn = script.turns[index]
    if turn.wanted_s is None:
        return None
    following = next((one for one in script.turns[index + 1 :] if has_words(one.text)), None)
    end = turn.slot[1] if turn.slot else start + turn.wanted_s
    wanted_s = max(end - start, turn.wanted_s * LEAST_SHARE)
    if turn.slot:
        later = (one.slot[0] for one in script.turns[index + 1 :] if one.slot and one.slot[0] > turn.slot[0])
        room = next(later, None)
    elif following is not None and following.slot:
        room = following.slot[0]
    else:
        room = end + gap_after(text, turn, following) if following is not None else None
    room_s = None if room is None else max(room - start, wanted_s) - rests_s
    return plan_fit(spoken_s, max(wanted_s - rests_s, wanted_s * LEAST_SHARE), room_s, limits)
