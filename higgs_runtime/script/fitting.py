"""How a spoken line gets into the time that it has. Pure arithmetic; the assembler does the stretching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import SettingError
from ..settings import check_settings, default_of

Action = Literal["as is", "slower", "faster", "pause", "too long", "too short"]
TINY = 1e-6  # seconds, and shares: what rounding leaves
CLOSE_S, CLOSE = 0.05, 0.02  # seconds, and share of its slot: nobody hears that a line is so little shorter or longer


@dataclass(frozen=True)
class TempoLimits:
    """How much slower and faster than it was spoken a line may be played, at the same pitch; 1 is as spoken.

    Raises:
        SettingError: limits that do not lie around 1.
    """

    slowest: float = default_of("slowest")
    fastest: float = default_of("fastest")

    def __post_init__(self):
        check_settings(self, ("slowest", "fastest"))


USUAL = TempoLimits()


@dataclass(frozen=True)
class Fit:
    """What is done to a take, and what is left.

    Attributes:
        action: "as is"; "slower" or "faster": at `speed` it has the length of its slot; "pause": played as fast as it
            may be, it takes a part of the pause after it; "too long": so it does, and still runs over by `over_s`;
            "too short": played as slowly as it may be, it leaves silence.
        slot_s, spoken_s: seconds that it has, and those of the take.
        speed: above 1 is faster; its length becomes spoken_s / speed.
        over_s: seconds by which it runs into what follows.
        words: the same for a person.
    """

    action: Action
    slot_s: float
    spoken_s: float
    speed: float
    over_s: float
    words: str


def plan_fit(spoken_s: float, slot_s: float, room_s: float | None = None, limits: TempoLimits = TempoLimits()) -> Fit:
    """Plan how a line of `spoken_s` seconds fits a slot of `slot_s`.

    What is left is closed by tempo, within its limits; then by the pause after it.

    Args:
        room_s: seconds until the next line starts; None where none follows and the line may run on.

    Raises:
        SettingError: no time at all.
    """
    if not (0 < spoken_s < float("inf") and 0 < slot_s < float("inf")):
        raise SettingError(
            "There is nothing to fit.",
            expected="spoken seconds, and a slot of some length",
            got=f"{spoken_s:g} s for {slot_s:g} s",
            remedy="Correct the times.",
        )
    left, close_s = spoken_s - slot_s, min(CLOSE_S, CLOSE * slot_s)
    if abs(left) <= close_s:
        return Fit("as is", slot_s, spoken_s, 1.0, 0.0, "as spoken")
    speed = min(max(spoken_s / slot_s, limits.slowest), limits.fastest)
    length, played, over = spoken_s / speed, _played(speed), 0.0
    action: Action = "slower" if left < 0 else "faster"
    if length < slot_s - close_s:
        action, played = "too short", f"{played}, {slot_s - length:.2f} s of silence after it"
    elif length > slot_s * (1 + TINY):
        over = max(0.0, length - max(slot_s, room_s)) if room_s is not None else 0.0
        action = "too long" if over > TINY else "pause"
        left_over = f"still {over:.2f} s too long" if over > TINY else f"{length - slot_s:.2f} s of the pause after it"
        played = f"{played}, and {left_over}"
    return Fit(action, slot_s, spoken_s, speed, over if over > TINY else 0.0, played)


def _played(speed: float) -> str:
    if speed == 1:
        return "as spoken"
    return f"{abs(speed - 1) * 100:.0f} % {'faster' if speed > 1 else 'slower'}"
