"""How a spoken line gets into the time that it has. Pure arithmetic; the assembler does the stretching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import SettingError, check_range

CLOSE_S = 0.05  # nobody hears that a line ends so much early


@dataclass(frozen=True)
class Fit:
    """What to do with a take.

    Attributes:
        action: "as is"; "stretch": play it at `speed`; "retake": speak it again, about `speed` times as fast;
            "overrun": play it at `speed`, the fastest allowed, and it is still `over_s` too long.
        speed: above 1 is faster; its length becomes spoken seconds / speed.
        over_s: seconds by which it runs into the next line.
        words: the same for a report.
    """

    action: Literal["as is", "stretch", "retake", "overrun"]
    speed: float
    over_s: float
    words: str


def plan_fit(
    spoken_s: float,
    slot: tuple[float, float],
    next_start_s: float | None = None,
    *,
    slowest: float = 0.85,
    fastest: float = 1.2,
    retakes: int = 0,
) -> Fit:
    """Plan how a line of `spoken_s` seconds fits its slot.

    A longer line first takes the silence up to the next line, then is made faster, then is spoken again, and at last
    runs over. A shorter one is made slower if that fills the slot, and else leaves the rest silent.

    Args:
        slot: (start, end) in seconds.
        next_start_s: start of the next line; None where none follows and the line may run on.
        slowest, fastest: limits of the speed.
        retakes: how often it may still be spoken again.

    Raises:
        SettingError: no time at all, or limits that do not lie around 1.
    """
    start, end = slot
    check_range("spoken_s", spoken_s, 0.0, 1e6)
    check_range("slowest", slowest, 0.1, 1.0)
    check_range("fastest", fastest, 1.0, 10.0)
    if not 0 <= start < end < float("inf") or spoken_s == 0:
        raise SettingError(
            "There is nothing to fit.",
            expected="spoken seconds, and a slot that ends after its start",
            got=f"{spoken_s:g} s in {start:g} to {end:g} s",
            remedy="Correct the times.",
        )
    length = end - start
    room = max(length, next_start_s - start) if next_start_s is not None else float("inf")
    if spoken_s <= length:
        speed = spoken_s / length
        if length - spoken_s <= CLOSE_S or speed < slowest:
            return Fit("as is", 1.0, 0.0, f"as spoken, {length - spoken_s:.2f} s of silence after it")
        return Fit("stretch", speed, 0.0, f"{(1 - speed) * 100:.0f} % slower, to fill its slot")
    if spoken_s <= room:
        return Fit("as is", 1.0, 0.0, f"as spoken, {spoken_s - length:.2f} s longer than its slot, into the silence")
    speed = spoken_s / room
    if speed <= fastest:
        return Fit("stretch", speed, 0.0, f"{(speed - 1) * 100:.0f} % faster, to end where the next line starts")
    if retakes > 0:
        return Fit("retake", speed, spoken_s - room, f"{spoken_s - room:.2f} s too long: spoken again")
    over = spoken_s / fastest - room
    return Fit("overrun", fastest, over, f"{(fastest - 1) * 100:.0f} % faster, and still {over:.2f} s too long")
