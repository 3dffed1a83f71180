"""What became of the slots of a script: a table of takes, residuals, and what was done, for people and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from ..script import Fit
from ..script.fitting import CLOSE_S
from .performance import Performance, SpokenLine
from .timing import Timed, time_lines

NEAR = 0.05  # of its slot: so near a line is as long as it


@dataclass(frozen=True, kw_only=True)
class FitRow:
    """A turn with a slot, as it was spoken.

    Attributes:
        line: number of its first line, from 0; turn: its index.
        slot_s: seconds that it has.
        estimate_s: seconds that it should take, known before it is spoken.
        spoken_s: of the take that is used, without the silence at its ends; all pieces of the turn.
        residual_s: by how much that is longer than the slot.
        seeds, tries: of the takes that are used, and how many takes were considered; of each piece.
        speed: it is played at.
        length_s: seconds that it is heard.
        off: by which share of the slot that is longer than it.
        over_s: seconds by which it runs into what follows.
        late_s: seconds that it starts after its slot, because the line before was too long.
        done: what was done, for a person.
        shorter: what text would fit; "" where it does.
    """

    line: int
    turn: int
    speaker: str
    slot_s: float
    estimate_s: float
    spoken_s: float
    residual_s: float
    seeds: tuple[int, ...]
    tries: tuple[int, ...]
    speed: float
    length_s: float
    off: float
    over_s: float
    late_s: float
    done: str
    shorter: str

    @property
    def near(self) -> bool:
        """Whether it is heard within 5 % of the length of its slot."""
        return abs(self.off) <= NEAR

    def as_json(self) -> dict:
        """All of it, lines and turns counted from 1."""
        found = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**found, "line": self.line + 1, "turn": self.turn + 1, "near": self.near}

    def __str__(self):
        return f"Line {self.line + 1}: {self.done}{'. ' * bool(self.shorter)}{self.shorter}."


def planned_fits(performance: Performance) -> list[FitRow]:
    """How the lines that are spoken will fit their slots, before they are assembled."""
    spoken = [one for one in performance.lines if one.take is not None and one.take.codes.frames]
    if not spoken or not any(turn.wanted_s is not None for turn in performance.script.turns):
        return []
    turns = [one.line.turn for one in spoken]
    seconds = [_seconds(one) / performance.script.turns[one.line.turn].settings.get("speed", 1.0) for one in spoken]
    times = time_lines(performance.script, turns, [one.line.text for one in spoken], seconds, performance.tempo)
    return fit_rows(performance, spoken, times)


def fit_rows(performance: Performance, spoken: Sequence[SpokenLine], times: Sequence[Timed]) -> list[FitRow]:
    """A row for each turn that has a slot and is spoken; none where a person has moved it.

    Args:
        spoken, times: the lines on the time line, and their places.
    """
    rates, found = _rates(spoken), []
    for turn, group in groupby(zip(spoken, times, strict=True), key=lambda one: one[0].line.turn):
        pieces = list(group)
        (first, time), (_, last) = pieces[0], pieces[-1]
        slot_s, fit = performance.script.turns[turn].wanted_s, time.fit
        if fit is None or slot_s is None or any(one.moved for _, one in pieces):
            continue
        length_s = last.end_s - time.start_s
        found.append(
            FitRow(
                line=first.line.number,
                turn=turn,
                speaker=first.line.speaker,
                slot_s=slot_s,
                estimate_s=sum(one.line.estimate_s for one, _ in pieces),
                spoken_s=fit.spoken_s,
                residual_s=fit.spoken_s - slot_s,
                seeds=tuple(one.take.seed for one, _ in pieces if one.take is not None),
                tries=tuple(one.tries for one, _ in pieces),
                speed=fit.speed,
                length_s=length_s,
                off=length_s / slot_s - 1,
                over_s=fit.over_s,
                late_s=time.late_s,
                done=time.note,
                shorter=_shorter(performance.script.turns[turn].text, fit, rates[first.line.speaker]),
            )
        )
    return found


def troubles(rows: Sequence[FitRow]) -> list[FitRow]:
    """Turns that do not fit, so that it is heard: they run into what follows, or start late."""
    return [row for row in rows if row.over_s or row.late_s > CLOSE_S]


def describe_fits(rows: Sequence[FitRow]) -> str:
    """A row for each turn, and above them how many fit; "" where no turn has a slot."""
    if not rows:
        return ""
    near = sum(row.near for row in rows)
    head = [f"{near} of {len(rows)} lines are within {NEAR:.0%} of their slot".replace("%", " %")]
    table = [("line", "speaker", "slot", "estimate", "take", "residual", "heard", "what was done")]
    table += [
        (
            str(row.line + 1),
            row.speaker,
            f"{row.slot_s:.2f}",
            f"{row.estimate_s:.2f}",
            f"{row.spoken_s:.2f}",
            f"{row.residual_s:+.2f}",
            f"{row.length_s:.2f}",
            row.done + ". " * bool(row.shorter) + row.shorter,
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    head += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(head)


def _seconds(spoken: SpokenLine) -> float:
    assert spoken.take is not None
    return spoken.speech_s if spoken.speech_s else spoken.take.codes.seconds


def _rates(spoken: Sequence[SpokenLine]) -> Mapping[str, float]:
    """Characters a second of each voice."""
    said: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in spoken:
        said[one.line.speaker][0] += len(one.line.written)
        said[one.line.speaker][1] += _seconds(one)
    return {name: characters / seconds for name, (characters, seconds) in said.items()}


def _shorter(text: str, fit: Fit, rate: float) -> str:
    """What text would fit, by how fast the voice speaks; "" for a line that fits."""
    if not fit.over_s:
        return ""
    share = 1 - fit.over_s * fit.speed / fit.spoken_s  # of its own time that fits
    chars = max(1, int(min(share * len(text), rate * share * fit.spoken_s)))
    words = len(text.split())
    instead = max(1, int(words * chars / len(text)))
    counted = f"{instead} words ({chars} characters)" if words > 1 else f"{chars} characters"
    whole = f"{words} ({len(text)})" if words > 1 else str(len(text))
    return f"At this voice's {rate:.0f} characters a second, about {counted} fit instead of {whole}"
