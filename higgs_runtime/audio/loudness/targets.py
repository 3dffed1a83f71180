"""What platforms and broadcasters ask of a file: their norms in one table, a report against them, and reaching them.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch

from ...choices import NORMS
from ...errors import SettingError
from ..clip import AudioClip, to_mono
from .decibels import decibels, peak
from .measure import Loudness, Normalized, measure_loudness, normalize_loudness, reach

_FLOOR_WINDOW_S = 0.5  # the quietest half second is the noise floor
_FLOOR_STEPS = 10  # in each window
_BLOCK_STEPS = 1000
_TRIES, _SPARE_DB = 8, 0.05  # of a file that a lossy format brings above a ceiling


class Check(NamedTuple):
    """One figure against its norm.

    Attributes:
        name, unit: of the figure.
        value: what was measured.
        low, high: what is asked for; -inf or inf where one side is open.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        if math.isinf(self.low):
            wanted = f"at most {self.high:g}"
        else:
            wanted = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        figure = f"{self.value:.0f}" if self.unit == "" else f"{self.value:.1f} {self.unit}"
        return f"{self.name} {figure} (asked for: {wanted})"


class NormResult(NamedTuple):
    """A clip against one norm. As text: one line.

    Attributes:
        norm: its key in NORMS.
        checks: every figure that it asks for.
    """

    norm: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def __str__(self) -> str:
        failed = "; ".join(str(check) for check in self.checks if not check.passed)
        return f"{NORMS[self.norm].title}: {'fails: ' + failed if failed else 'passes'}"


class LoudnessReport(NamedTuple):
    """The figures of a clip, and the clip against every norm. As text: a line each.

    Attributes:
        loudness: see `measure_loudness`.
        rms_db, floor_db, peak_dbfs: RMS of the whole and of the quietest 0.5 s, and the highest sample.
        norms: in the order of the table.
    """

    loudness: Loudness
    rms_db: float
    floor_db: float
    peak_dbfs: float
    norms: tuple[NormResult, ...]

    def __str__(self) -> str:
        one = self.loudness
        figures = (
            f"Loudness {one.integrated_lufs:.1f} LUFS, at most {one.max_short_term_lufs:.1f} in 3 s and "
            f"{one.max_momentary_lufs:.1f} in 0.4 s; range {one.range_lu:.1f} LU; true peak "
            f"{one.true_peak_dbtp:.1f} dBTP; RMS {self.rms_db:.1f} dB, noise floor {self.floor_db:.1f} dB"
        )
        return "\n".join([figures, *map(str, self.norms)])


def report_loudness(clip: AudioClip) -> LoudnessReport:
    """Measures a clip, and holds it against every norm of the table.

    Raises:
        AudioError: see `measure_loudness`.
    """
    loudness, (rms_db, floor_db), peak_dbfs = measure_loudness(clip), _rms_and_floor(clip), decibels(peak(clip))
    none, results = -math.inf, []
    for key, norm in NORMS.items():
        level, rms = norm.integrated_lufs, norm.rms_db
        checks = (
            level and Check("loudness", "LUFS", loudness.integrated_lufs, *level),
            rms and Check("RMS", "dB", rms_db, *rms),
            norm.true_peak_dbtp and Check("true peak", "dBTP", loudness.true_peak_dbtp, none, norm.true_peak_dbtp),
            norm.peak_dbfs and Check("peak", "dBFS", peak_dbfs, none, norm.peak_dbfs),
            norm.floor_db and Check("noise floor", "dB", floor_db, none, norm.floor_db),
            norm.channels and Check("channels", "", clip.channels, norm.channels, norm.channels),
        )
        results.append(NormResult(key, tuple(check for check in checks if isinstance(check, Check))))
    return LoudnessReport(loudness, rms_db, floor_db, peak_dbfs, tuple(results))


def check_norms(clip: AudioClip) -> tuple[NormResult, ...]:
    """The clip against every norm of the table, in its order: `report_loudness` without the figures.

    Raises:
        AudioError: see `measure_loudness`.
    """
    return report_loudness(clip).norms


def normalize_to(clip: AudioClip, norm: str, *, target_db: float = 0.0, ceiling_db: float = 0.0) -> Normalized:
    """Brings a clip to the level of a norm of the table, below its ceiling, in mono where that is asked for; the noise
    floor goes with the level.

    Args:
        target_db, ceiling_db: are added to the norm's own: what a lossy format makes of a clip differs from it.

    Raises:
        SettingError: no such norm.
        AudioError: see `normalize_loudness`.
    """
    if norm not in NORMS:
        raise SettingError(
            "This norm is not known.",
            expected="one of " + ", ".join(NORMS),
            got=f"'{norm}'",
            remedy="Choose one of them, or give a target in LUFS.",
        )
    asked = NORMS[norm]
    clip = to_mono(clip) if asked.channels == 1 else clip
    target, ceiling = asked.target + target_db, asked.ceiling_db + ceiling_db
    if asked.rms_db:
        return reach(clip, target, ceiling, lambda one: _rms_and_floor(one)[0])
    return normalize_loudness(clip, target, ceiling)


class Aimed:
    """A clip on its way to a norm that has to hold for the file which is made of it. For `instead` of `export_audio`.

    Attributes:
        normalized: what was written last, with what was done to it.
        result: that file against the norm, once it was looked at.

    Raises:
        SettingError, AudioError: see `normalize_to`.
    """

    def __init__(self, clip: AudioClip, norm: str):
        self._clip, self._norm, self._tries = clip, norm, _TRIES
        self._target_db = self._ceiling_db = 0.0
        self.normalized = normalize_to(clip, norm)
        self.result: NormResult | None = None

    def __call__(self, file: Path) -> AudioClip | None:
        """The clip to write in place of this file; None where it passes, or where another level would not help."""
        results = check_norms(AudioClip.load(file))
        self.result = next(one for one in results if one.norm == self._norm)
        target_db = ceiling_db = 0.0
        for check in self.result.checks:
            if check.name in ("true peak", "peak") and not check.passed:
                ceiling_db = check.high - check.value - _SPARE_DB
            elif check.name in ("loudness", "RMS") and not check.passed:
                target_db = NORMS[self._norm].target - check.value
        self._tries -= 1
        if not (target_db or ceiling_db) or not self._tries:
            return None
        self._target_db, self._ceiling_db = self._target_db + target_db, self._ceiling_db + ceiling_db
        self.normalized = normalize_to(self._clip, self._norm, target_db=self._target_db, ceiling_db=self._ceiling_db)
        return self.normalized.clip


def _rms_and_floor(clip: AudioClip) -> tuple[float, float]:
    """RMS of the whole clip and of its quietest 0.5 s (looked at every 50 ms), all channels together; in dB."""
    step = max(1, round(clip.sample_rate * _FLOOR_WINDOW_S / _FLOOR_STEPS))
    total, sums = 0.0, []
    for start in range(0, clip.length, _BLOCK_STEPS * step):
        power = clip.samples[:, start : start + _BLOCK_STEPS * step].detach().cpu().double().square().mean(0)
        total += float(power.sum())
        sums.append(power[: len(power) // step * step].reshape(-1, step).sum(1))
    mean = total / max(1, clip.length)
    steps = torch.cat(sums) if sums else torch.zeros(0, dtype=torch.float64)
    quietest = mean
    if len(steps) >= _FLOOR_STEPS:
        quietest = float(steps.unfold(0, _FLOOR_STEPS, 1).sum(1).min()) / (_FLOOR_STEPS * step)
    return decibels(math.sqrt(mean)), decibels(math.sqrt(quietest))
