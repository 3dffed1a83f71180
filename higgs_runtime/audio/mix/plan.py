"""Where each track lies in the mix, in samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import SettingError
from .sources import resampled_length
from .track import Track


class TrackSpan(NamedTuple):
    """The samples of the mix that a track fills.

    Attributes:
        start: the first of them.
        length: how many.
        period: after how many the clip begins anew.
    """

    start: int
    length: int
    period: int

    @property
    def end(self) -> int:
        return self.start + self.length


def plan(tracks: Sequence[Track], rate: int) -> list[TrackSpan]:
    """The place of each track at this rate.

    Raises:
        SettingError: `after` names no other track, runs in a circle or follows an endless track; a track begins
            before the mix; an endless one has nothing that says where the mix ends.
    """
    places: dict[int, TrackSpan] = {}
    for number, track in enumerate(tracks):
        if track.loop_s != math.inf:
            _place(tracks, number, rate, places, ())
    end = max((place.end for place in places.values()), default=0)
    for number, track in enumerate(tracks):
        if track.loop_s == math.inf:
            start = _start(tracks, number, rate, places, ())
            if start >= end:
                raise SettingError(
                    f"Track {number} has nothing to fill.",
                    got=f"a mix that ends at {end / rate:g} s",
                    expected=f"another track that ends after {start / rate:g} s",
                    remedy="Start it earlier, or set loop_s to seconds.",
                )
            places[number] = TrackSpan(start, end - start, _period(track, rate))
    return [places[number] for number in range(len(tracks))]


def _period(track: Track, rate: int) -> int:
    first, last = track.span
    return resampled_length(last - first, track.clip.sample_rate, rate)


def _place(
    tracks: Sequence[Track], number: int, rate: int, places: dict[int, TrackSpan], waiting: tuple[int, ...]
) -> TrackSpan:
    if number not in places:
        track = tracks[number]
        start, period = _start(tracks, number, rate, places, waiting), _period(track, rate)
        places[number] = TrackSpan(start, period if track.loop_s is None else round(track.loop_s * rate), period)
    return places[number]


def _start(
    tracks: Sequence[Track], number: int, rate: int, places: dict[int, TrackSpan], waiting: tuple[int, ...]
) -> int:
    track, other = tracks[number], tracks[number].after
    start = round(track.start_s * rate)
    if other is None:
        return start
    if not 0 <= other < len(tracks) or other in (number, *waiting) or tracks[other].loop_s == math.inf:
        raise SettingError(
            f"Track {number} cannot come after track {other}.",
            expected="the index of another track that has an end",
            got=f"{len(tracks)} tracks; {other} is endless, or comes after {number} itself"
            if 0 <= other < len(tracks)
            else f"{len(tracks)} tracks",
            remedy="Name another track, or set the start in seconds.",
        )
    start += _place(tracks, other, rate, places, (*waiting, number)).end
    if start < 0:
        raise SettingError(
            f"Track {number} begins before the mix.",
            expected="a start at 0 s or later",
            got=f"{start / rate:g} s",
            remedy="Give a negative gap that is shorter.",
        )
    return start
