"""Times of subtitles in the time of another copy of the film: shifted, or counted in other frames a second. All of it
is computed in rational numbers, and rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..choices import FRAME_RATES
from ..errors import ScriptError, SettingError
from ..settings import SETTINGS

DROPPING = {30: 2, 60: 4}  # nominal frames a second of rates with drop-frame, and the numbers left out a minute


@dataclass(frozen=True)
class Retiming:
    """How times of a file become those of the film.

    Attributes:
        offset: seconds that everything is later; below 0: earlier.
        from_fps, to_fps: a name of FRAME_RATES; None: not known. The file is made for a copy that runs at `from_fps`,
            and the film runs at `to_fps`: as a PAL copy of a film, which is 24 played as 25.

    Raises:
        SettingError: no such rate, the new rate without the old one, or an offset out of its range.
    """

    offset: float = 0.0
    from_fps: str | None = None
    to_fps: str | None = None

    def __post_init__(self):
        SETTINGS["subtitle_offset"].check(self.offset, called="offset")
        for name in (self.from_fps, self.to_fps):
            if name is not None and name not in FRAME_RATES:
                raise SettingError(
                    "This is no frame rate.", expected=", ".join(FRAME_RATES), got=f"'{name}'", remedy="Choose one."
                )
        if self.to_fps is not None and self.from_fps is None:
            raise SettingError(
                "The frame rate of the subtitles is not known.",
                expected="from_fps beside to_fps",
                got="to_fps alone",
                remedy="Say which frame rate they were made for.",
            )

    @property
    def factor(self) -> Fraction:
        """Seconds of the film for a second of the file."""
        if self.from_fps is None or self.to_fps is None:
            return Fraction(1)
        return FRAME_RATES[self.from_fps] / FRAME_RATES[self.to_fps]

    def moved(self, seconds: Fraction) -> Fraction:
        """A time of the file in the film."""
        return seconds * self.factor + Fraction(str(self.offset))

    def of_frames(self, hours: int, minutes: int, seconds: int, frames: int, drop: bool) -> Fraction:
        """Seconds of a time code of the file (SMPTE ST 12-1). With drop-frame the first numbers of each minute are left
        out, but for each tenth: so the code stays with the clock.

        Raises:
            ScriptError: there is no such frame at this rate.
        """
        assert self.from_fps is not None
        rate = FRAME_RATES[self.from_fps]
        nominal = round(rate)
        left_out = DROPPING.get(nominal, 0) if drop and rate.denominator != 1 else 0
        if frames >= nominal or minutes > 59 or seconds > 59 or (drop and not left_out):
            raise ScriptError(
                f"A time code has no frame {frames}{' with drop-frame' if drop else ''} at {self.from_fps} a second.",
                expected=f"frames 0 to {nominal - 1}" + ("; drop-frame at 29.97 or 59.94" if drop else ""),
                got=f"{hours:02}:{minutes:02}:{seconds:02}{';' if drop else ':'}{frames:02}",
                remedy="Give the frame rate that the subtitles were made with.",
            )
        total = 60 * hours + minutes
        count = (60 * total + seconds) * nominal + frames - left_out * (total - total // 10)
        return count / rate
