"""What lies on the time line, and the ranges of its settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import AudioError, SettingError, check_range
from ..clip import AudioClip
from .gains import FADES, Ducking
from .sources import AudioFile

_LONGEST_S = 86_400.0


@dataclass(frozen=True, eq=False)
class Track:
    """A clip with its place in a mix.

    Attributes:
        clip: any rate and channel count; an `AudioFile` is read piece by piece while it is mixed.
        start_s: seconds from the start of the mix, 0 to 86400; with `after` from the end of that track, -86400 to
            86400. Rounded to the nearest sample of the mix, so n / rate is sample n.
        gain_db: -120 to 120.
        pan: -1 left, 0 centre, 1 right.
        fade_in_s, fade_out_s: seconds; together not longer than what is heard of the clip.
        fade_shape: "linear" in amplitude; "equal_power" (a quarter sine: two that cross keep the power of unrelated
            sounds); "s_curve" (half a cosine: two that cross keep the amplitude).
        trim_start_s, trim_end_s: seconds of the clip to leave out at its ends.
        loop_s: None plays the clip once; seconds repeat it, or cut it, to this length; infinity repeats it to the end
            of the mix, which the other tracks set.
        after: index of the track, in the sequence given to `mix`, whose end `start_s` counts from.
        mute: it keeps its place and length, and is not heard.
        solo: tracks without it are not heard as soon as one has it.
        duck: lower this track while others speak: all that are heard and have no `duck` themselves.
        speech: where this track speaks, as (start, end) in seconds of the clip, for the ducking of others; () is
            nowhere; None asks the detector (extra `asr`).

    Raises:
        SettingError: a value out of its range.
        AudioError: the clip has no samples, or nothing is left after trimming.
    """

    clip: AudioClip | AudioFile
    start_s: float = 0.0
    gain_db: float = 0.0
    pan: float = 0.0
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0
    fade_shape: str = "linear"
    trim_start_s: float = 0.0
    trim_end_s: float = 0.0
    loop_s: float | None = None
    after: int | None = None
    mute: bool = False
    solo: bool = False
    duck: Ducking | None = None
    speech: Sequence[tuple[float, float]] | None = None

    def __post_init__(self):
        if self.clip.length == 0:
            raise AudioError(
                "A track of the mix is empty.",
                expected="a clip with samples",
                got="0 samples",
                remedy="Check the step that made the clip.",
            )
        earliest = 0.0 if self.after is None else -_LONGEST_S
        check_range("start_s", self.start_s, earliest, _LONGEST_S, "Seconds count from the start of the mix.")
        check_range("gain_db", self.gain_db, -120.0, 120.0, "0 dB leaves the level as it is.")
        check_range("pan", self.pan, -1.0, 1.0, "-1 is left, 0 the centre, 1 right.")
        self._check_length()
        if self.fade_shape not in FADES:
            raise SettingError(
                "There is no fade of this shape.",
                expected=" or ".join(FADES),
                got=repr(self.fade_shape),
                remedy="Choose one of these.",
            )
        heard_s = self.heard_s
        for name in ("fade_in_s", "fade_out_s"):
            check_range(name, getattr(self, name), 0.0, min(heard_s, _LONGEST_S), "A fade fits inside its clip.")
        if self.fade_in_s + self.fade_out_s > heard_s:
            raise SettingError(
                "The fades of a track overlap.",
                expected=f"{heard_s:g} s or less together",
                got=f"{self.fade_in_s:g} s + {self.fade_out_s:g} s",
                remedy="Shorten one of them.",
            )
        for start, end in self.speech or ():
            if not 0 <= start <= end < math.inf:
                raise SettingError(
                    "A stretch of speech is not usable.",
                    expected="0 <= start <= end, in seconds",
                    got=f"{start} to {end}",
                    remedy="Count both from the start of the clip.",
                )

    def _check_length(self) -> None:
        for name in ("trim_start_s", "trim_end_s"):
            check_range(name, getattr(self, name), 0.0, _LONGEST_S, "Seconds of the clip to leave out.")
        first, last = self.span
        if first >= last:
            raise AudioError(
                "Nothing is left of a track.",
                expected=f"less than {self.clip.seconds:g} s trimmed away",
                got=f"{self.trim_start_s:g} s + {self.trim_end_s:g} s",
                remedy="Trim less.",
            )
        if self.loop_s is not None and self.loop_s != math.inf:
            check_range("loop_s", self.loop_s, 1 / self.clip.sample_rate, _LONGEST_S, "Infinity fills the mix.")

    @property
    def span(self) -> tuple[int, int]:
        """The first sample of the clip that is used, and the one after the last."""
        rate = self.clip.sample_rate
        return round(self.trim_start_s * rate), self.clip.length - round(self.trim_end_s * rate)

    @property
    def heard_s(self) -> float:
        """How long it is, in seconds; infinity where it lasts as long as the mix."""
        first, last = self.span
        return (last - first) / self.clip.sample_rate if self.loop_s is None else self.loop_s
