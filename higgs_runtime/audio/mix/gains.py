"""Gains that change along the time line: fades and ducking.

Letters in shapes: n samples of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from ...errors import check_range

# Amplitude of a rising fade from its position, 0 to 1.
FADES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda position: position,
    "equal_power": lambda position: torch.sin(position * (math.pi / 2)),
    "s_curve": lambda position: (1 - torch.cos(position * math.pi)) / 2,
}


@dataclass(frozen=True)
class Ducking:
    """How a bed goes down under speech.

    The gain falls in dB along a line, stays down, and rises along a line. Speech is what the detector hears as such;
    music and noise, however loud, lower nothing.

    Attributes:
        threshold: probability of speech from which it counts, 0.05 to 0.95.
        depth_db: how far down, 0 to 80 dB.
        attack_s: seconds of the fall, 0.001 to 10.
        hold_s: seconds that it stays down after the speech, 0 to 30; pauses that are shorter do not bring it back.
        release_s: seconds of the rise, 0.001 to 30.
        look_ahead_s: seconds before the speech at which the fall begins, 0 to 10; with `attack_s` or more the bed is
            down at the first word.

    Raises:
        SettingError: a value out of its range.
    """

    threshold: float = 0.5
    depth_db: float = 12.0
    attack_s: float = 0.15
    hold_s: float = 0.3
    release_s: float = 0.6
    look_ahead_s: float = 0.15

    def __post_init__(self):
        check_range("threshold", self.threshold, 0.05, 0.95, "0.5 suits clean speech.")
        check_range("depth_db", self.depth_db, 0.0, 80.0, "12 dB suits music under speech.")
        for name, low, high in (
            ("attack_s", 0.001, 10.0),
            ("hold_s", 0.0, 30.0),
            ("release_s", 0.001, 30.0),
            ("look_ahead_s", 0.0, 10.0),
        ):
            check_range(name, getattr(self, name), low, high)


class DuckCurve:
    """The gain of a bed over time.

    Args:
        ducking: the settings.
        speech: (start, end) of all that is spoken, in seconds, in any order; they may overlap.
    """

    def __init__(self, ducking: Ducking, speech: Iterable[tuple[float, float]]):
        self._ducking = ducking
        self._down: list[tuple[float, float]] = []  # when the fall begins, when the rise begins; apart from each other
        for start, end in sorted(speech):
            start, end = start - ducking.look_ahead_s, end + ducking.hold_s
            if self._down and start <= self._down[-1][1]:
                start, end = self._down[-1][0], max(end, self._down.pop()[1])
            self._down.append((start, end))

    def block(self, first: int, count: int, rate: int) -> torch.Tensor | None:
        """Gains [n] of the samples from `first` on; None where all are 1."""
        attack, release = self._ducking.attack_s, self._ducking.release_s
        begin, finish = first / rate, (first + count) / rate
        near = [(start, end) for start, end in self._down if start < finish and end + release > begin]
        if not near or not self._ducking.depth_db:
            return None
        time = (first + torch.arange(count, dtype=torch.float64)) / rate
        depth = torch.zeros(count, dtype=torch.float64)  # share of the way down
        for start, end in near:
            reached = min(1.0, (end - start) / attack)
            fall, rise = ((time - start) / attack).clamp(0, reached), reached - (time - end).clamp(min=0) / release
            depth = depth.maximum(fall.minimum(rise))
        return (10 ** (depth * (-self._ducking.depth_db / 20))).float()


def fade(length: int, rising: int, falling: int, shape: str, first: int, count: int) -> torch.Tensor | None:
    """Gains [n] of the samples from `first` on, of `length` with fades at both ends; None where all are 1.

    Linear starts at 0 and would reach 1 one sample after the fade; the other shapes lie half a sample later, so that
    two that cross complement each other exactly.
    """
    last = first + count
    if first >= rising and last <= length - falling:
        return None
    curve, shift = FADES[shape], 0.0 if shape == "linear" else 0.5
    gains, place = torch.ones(count), torch.arange(first, last)
    if first < rising:
        up = place < rising
        gains[up] *= curve((place[up] + shift) / rising)
    if last > length - falling:
        down = place >= length - falling
        gains[down] *= curve((length - 1 - place[down] + shift) / falling)
    return gains
