"""How loud a clip is, and levelling it. All of it in blocks: an hour takes little more memory than the clip.

Letters in shapes: C channels, T samples, N steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch

from ...errors import AudioError, check_range
from ..clip import AudioClip
from .decibels import amplitude, decibels, peak
from .limiter import limit, true_peak

if TYPE_CHECKING:
    import numpy as np

_STEPS_PER_S = 100  # powers are summed up in steps of 10 ms, of which all windows are made
_MOMENTARY, _SHORT_TERM, _EVERY = 40, 300, 10  # steps: windows of 0.4 s and 3 s, looked at every 0.1 s
_BLOCK_STEPS = 2000
_OFFSET = -0.691  # BS.1770: dB
_ABSOLUTE_GATE, _RELATIVE_GATE, _RANGE_GATE = -70.0, -10.0, -20.0  # LUFS, LU, LU (the last: Tech 3342)
# BS.1770-5, table 4, by channel count: left, right, centre, (LFE,) surround left and right; 7.1 has back and side.
_WEIGHTS = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),
    4: (1.0, 1.0, 1.0, 1.41),
    5: (1.0, 1.0, 1.0, 1.41, 1.41),
    6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41),
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41),
}
_REACHED_LU = 0.05  # how close normalizing comes
_TRIES = 6


class Loudness(NamedTuple):
    """How loud a clip is.

    Attributes:
        integrated_lufs: gated loudness; -inf for silence and for clips under 0.4 s, where it is not defined.
        range_lu: loudness range; 0 for silence and for clips under 3 s, where it is not defined.
        true_peak_dbtp: peak between the samples, relative to full scale; -inf for silence.
        max_momentary_lufs: the loudest 0.4 s; -inf as above.
        max_short_term_lufs: the loudest 3 s; -inf for silence and for clips under 3 s.
    """

    integrated_lufs: float
    range_lu: float
    true_peak_dbtp: float
    max_momentary_lufs: float = -math.inf
    max_short_term_lufs: float = -math.inf


class LoudnessCurve(NamedTuple):
    """Loudness over time, every 0.1 s.

    Attributes:
        times_s: float64 [N], the end of each window, from 0.4 s on.
        momentary_lufs: float64 [N], of the 0.4 s before; -inf in silence.
        short_term_lufs: float64 [N], of the 3 s before; -inf in silence and where 3 s have not passed yet.
        integrated_lufs: as in `Loudness`.
    """

    times_s: torch.Tensor
    momentary_lufs: torch.Tensor
    short_term_lufs: torch.Tensor
    integrated_lufs: float


class Normalized(NamedTuple):
    """A clip at a level, and what that took.

    Attributes:
        clip: as many channels and samples as before.
        gain_db: the gain applied to the whole.
        reduction_db: by how much the limiter turned its loudest moment down; 0 where the peaks fit.
    """

    clip: AudioClip
    gain_db: float
    reduction_db: float


def measure_loudness(clip: AudioClip) -> Loudness:
    """Integrated, momentary and short-term loudness (ITU-R BS.1770-5, EBU Tech 3341), range (EBU Tech 3342), true peak.

    Channels are left, right, centre, left surround, right surround; with six, the fourth is the LFE, which does not
    count; eight are 7.1 as WAV files order it. For the true peak see `limiter.true_peak`.

    Raises:
        AudioError: seven or more than eight channels, or a rate below 8 kHz.
    """
    power = _powers(clip)
    momentary, short = _loudness(power, _MOMENTARY), _loudness(power, _SHORT_TERM)
    return Loudness(
        _integrated(momentary[::_EVERY]),
        _range(short[::_EVERY]),
        decibels(true_peak(clip)),
        float(momentary.max(initial=-math.inf)),
        float(short.max(initial=-math.inf)),
    )


def loudness_over_time(clip: AudioClip) -> LoudnessCurve:
    """Momentary and short-term loudness every 0.1 s (EBU Tech 3341); N is 0 for clips under 0.4 s.

    Raises:
        AudioError: see `measure_loudness`.
    """
    import numpy as np

    power = _powers(clip)
    momentary, short = _loudness(power, _MOMENTARY)[::_EVERY], _loudness(power, _SHORT_TERM)[::_EVERY]
    early = len(momentary) - len(short)
    times = (np.arange(len(momentary)) * _EVERY + _MOMENTARY) / _STEPS_PER_S
    return LoudnessCurve(
        torch.from_numpy(times),
        torch.from_numpy(momentary.copy()),
        torch.from_numpy(np.concatenate([np.full(early, -math.inf), short])),
        _integrated(momentary),
    )


def level_loudness(clip: AudioClip, target_lufs: float) -> AudioClip:
    """Scales the clip to an integrated loudness (BS.1770) and leaves its dynamics; see also `normalize_loudness`.

    Raises:
        SettingError: a target outside -70 to 0 LUFS.
        AudioError: a clip that is silent or shorter than 0.4 s, or whose peak would exceed full scale.
    """
    gain_db = _gain_db(clip, target_lufs, _integrated_lufs)
    room_db = -decibels(peak(clip))
    if gain_db > room_db:
        highest = math.floor((target_lufs - gain_db + room_db) * 10) / 10
        raise AudioError(
            "At this loudness the clip would exceed full scale.",
            expected=f"{highest:.1f} LUFS or less",
            got=f"{target_lufs:g} LUFS",
            remedy="Choose a lower target, or normalize with a limiter.",
        )
    return AudioClip(clip.samples * amplitude(gain_db), clip.sample_rate)


def normalize_loudness(clip: AudioClip, target_lufs: float, ceiling_dbtp: float = -1.0) -> Normalized:
    """Brings the clip to an integrated loudness (BS.1770) within 0.1 LU, its true peaks limited to the ceiling.

    Raises:
        SettingError: a target outside -70 to 0 LUFS, or a ceiling outside -60 to 0 dBTP.
        AudioError: a clip that is silent or shorter than 0.4 s, or that cannot be so loud below the ceiling.
    """
    return reach(clip, target_lufs, ceiling_dbtp, _integrated_lufs)


def reach(clip: AudioClip, target: float, ceiling_dbtp: float, level: Callable[[AudioClip], float]) -> Normalized:
    """As `normalize_loudness`, for any measure of level in dB."""
    gain_db, before, added, share = _gain_db(clip, target, level), 0.0, 0.0, 1.0
    for _ in range(_TRIES):  # what the limiter takes away, more gain gives back: a share of it
        out, reduction_db = limit(AudioClip(clip.samples * amplitude(gain_db), clip.sample_rate), ceiling_dbtp)
        missing = target - level(out) if reduction_db else 0.0
        if abs(missing) <= _REACHED_LU:
            return Normalized(out, gain_db, reduction_db)
        if added:
            share = min(1.0, max(0.1, (before - missing) / added))
        before, added = missing, missing / share
        gain_db += added
    raise AudioError(
        "The clip cannot be so loud below this ceiling.",
        expected=f"{target - missing:.1f} LUFS or less",
        got=f"{target:g} LUFS",
        remedy="Choose a lower target or a higher ceiling, or compress the clip first.",
    )


def _integrated_lufs(clip: AudioClip) -> float:
    return _integrated(_loudness(_powers(clip), _MOMENTARY)[::_EVERY])


def _gain_db(clip: AudioClip, target: float, level: Callable[[AudioClip], float]) -> float:
    check_range("target_lufs", target, -70.0, 0.0, "-16 suits podcasts, -23 broadcasts.")
    now = level(clip)
    if math.isinf(now):
        raise AudioError(
            "The clip has no measurable loudness.",
            expected="sound of 0.4 s or more above -70 LUFS",
            got=f"{clip.seconds:g} s at {decibels(peak(clip)):.1f} dBFS",
            remedy="Level the peak instead.",
        )
    return target - now


# --- BS.1770 --------------------------------------------------------------------------------------------------------


def k_weighting(rate: int) -> np.ndarray:
    """BS.1770's two filters, a shelf and a high-pass, as second-order sections [2, 6] for any rate.

    The standard gives them for 48 kHz only; these are the analogue filters behind its figures, bilinearly transformed.
    """
    import numpy as np

    gain, shelf_q, high_q = amplitude(3.999843853973347), 0.7071752369554196, 0.5003270373238773
    middle = gain**0.4996667741545416
    k = math.tan(math.pi * 1681.974450955533 / rate)
    a0 = 1 + k / shelf_q + k * k
    shelf = [
        (gain + middle * k / shelf_q + k * k) / a0,
        2 * (k * k - gain) / a0,
        (gain - middle * k / shelf_q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / shelf_q + k * k) / a0,
    ]
    k = math.tan(math.pi * 38.13547087602444 / rate)
    a0 = 1 + k / high_q + k * k
    high = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / high_q + k * k) / a0]
    return np.array([shelf, high])


def _powers(clip: AudioClip) -> np.ndarray:
    """The weighted mean square of each whole step of 10 ms, summed over the channels: [N]."""
    import numpy as np
    from scipy.signal import sosfilt

    if clip.channels not in _WEIGHTS or clip.sample_rate < 8000:
        raise AudioError(
            "The loudness of this clip is not defined.",
            expected="1 to 6 or 8 channels at 8000 Hz or more",
            got=f"{clip.channels} channels at {clip.sample_rate} Hz",
            remedy="Mix down or resample first.",
        )
    rate, weights = clip.sample_rate, np.array(_WEIGHTS[clip.channels])
    steps = clip.length * _STEPS_PER_S // rate
    edges = -(-np.arange(steps + 1) * rate // _STEPS_PER_S)  # rounded up
    edges = edges[edges <= clip.length]
    sections, power = k_weighting(rate), np.zeros(len(edges) - 1)
    state = np.zeros((len(sections), clip.channels, 2))
    for first in range(0, len(power), _BLOCK_STEPS):
        bounds = edges[first : first + _BLOCK_STEPS + 1]
        block = clip.samples[:, bounds[0] : bounds[-1]].detach().cpu().numpy().astype(np.float64)
        block, state = sosfilt(sections, block, axis=1, zi=state)
        sums = np.add.reduceat(weights @ np.square(block), bounds[:-1] - bounds[0])
        power[first : first + len(sums)] = sums / np.diff(bounds)
    return power


def _loudness(power: np.ndarray, window: int) -> np.ndarray:
    """The loudness of every window of so many steps, in LUFS: [N - window + 1]."""
    import numpy as np

    total = np.concatenate([[0.0], np.cumsum(power)])
    mean = np.maximum(total[window:] - total[:-window], 0) / window if len(power) >= window else np.zeros(0)
    with np.errstate(divide="ignore"):
        return _OFFSET + 10 * np.log10(mean)


def _integrated(levels: np.ndarray) -> float:
    """Gated loudness of windows of 0.4 s, overlapping by three quarters (BS.1770-5, equations 5 to 7)."""
    heard = levels[levels >= _ABSOLUTE_GATE]
    heard = heard[heard > _mean(heard) + _RELATIVE_GATE]
    return _mean(heard)


def _range(levels: np.ndarray) -> float:
    """EBU Tech 3342: the spread from the 10th to the 95th percentile of the gated short-term loudness, in LU."""
    import numpy as np

    heard = levels[levels >= _ABSOLUTE_GATE]
    heard = heard[heard >= _mean(heard) + _RANGE_GATE]
    low, high = np.percentile(heard, [10, 95]) if len(heard) else (0.0, 0.0)
    return float(high - low)


def _mean(levels: np.ndarray) -> float:
    """The mean of the powers behind levels in dB; -inf of none."""
    return 10 * math.log10((10 ** (levels / 10)).mean()) if len(levels) else -math.inf
