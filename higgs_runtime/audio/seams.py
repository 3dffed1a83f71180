"""Lines in a row while they are made: each begins and ends at zero, with the silence between them that was planned."""

from __future__ import annotations

import torch

from .clip import AudioClip, eased, hop_of, hop_power, without_clicks
from .loudness.decibels import power_ratio

QUIET_DB = 40.0  # below the loudest moment until then
CONTEXT = 2  # hops at either side that decide whether a hop is a click


class Seams:
    """Sound goes in as it is decoded, and comes out once it is known to belong to a line.

    The first line keeps what is before it, and the last one what is behind it: all that a single line gets is its ends.
    """

    def __init__(self, sample_rate: int):
        self._rate, self._hop = sample_rate, hop_of(sample_rate)
        self._loudest = 0.0
        self._first = True  # line of all
        self._new_line()

    def _new_line(self) -> None:
        self._held: torch.Tensor | None = None
        self._before = torch.zeros(0)  # power of the last hops that went out
        self._begun = self._out = False

    def push(self, clip: AudioClip) -> AudioClip | None:
        """What can be heard now; None: nothing yet."""
        self._hold(clip.samples)
        if not self._begun and not self._begin():
            return None
        loud = self._loud(complete=False)
        return self._give(int(loud[-1]) * self._hop) if len(loud) else None

    def end_line(self, gap_s: float | None) -> AudioClip | None:
        """The line is over: the rest of it and the silence behind it.

        Args:
            gap_s: seconds until the next line; None: there is none, and what it ends with stays as it is.
        """
        rest = None
        if self._begun or self._begin(complete=True):
            if gap_s is not None and self._held is not None:
                loud = self._loud(complete=True)
                last = (int(loud[-1]) + 2) * self._hop if len(loud) else self._hop
                self._held = self._held[:, :last]
            rest = self._give(None)
        if rest is not None and gap_s is not None:
            gap = torch.zeros(rest.channels, round(gap_s * self._rate))
            rest = AudioClip(torch.cat((rest.samples.cpu(), gap), 1), self._rate)
        self._first = self._first and rest is None
        self._new_line()
        return rest

    def _hold(self, samples: torch.Tensor) -> None:
        self._held = samples if self._held is None else torch.cat((self._held, samples), 1)

    def _steady(self, complete: bool) -> torch.Tensor:
        """Power of the hops that are held, without clicks; not of those that are not full, or may be a click yet."""
        assert self._held is not None
        power = torch.cat((self._before, hop_power(self._held, self._rate).cpu()))
        steady = without_clicks(power)[len(self._before) :]
        return steady if complete else steady[: max(0, self._held.shape[1] // self._hop - CONTEXT)]

    def _loud(self, complete: bool) -> torch.Tensor:
        steady = self._steady(complete)
        if len(steady):
            self._loudest = max(self._loudest, float(steady.max()))
        return (steady > self._loudest * power_ratio(-QUIET_DB)).nonzero()[:, 0]

    def _begin(self, complete: bool = False) -> bool:
        """Whether the line has begun; what is before that goes."""
        if self._held is None:
            return False
        if self._first:
            self._begun = True
            return True
        loud = self._loud(complete)
        if len(loud):
            self._held = self._held[:, max(0, int(loud[0]) - 1) * self._hop :]
            self._begun = True
        return self._begun

    def _give(self, count: int | None) -> AudioClip | None:
        """The first so many samples, whole hops; None: all, which end the line."""
        assert self._held is not None
        given = self._held if count is None else self._held[:, :count]
        if given.shape[1] == 0:
            return None
        if count is not None:
            power = torch.cat((self._before, hop_power(given, self._rate).cpu()))
            self._before = power[-CONTEXT:]
        self._held = self._held[:, given.shape[1] :]
        begin, self._out = not self._out, True
        return eased(AudioClip(given, self._rate), begin=begin, end=count is None)
