"""True peak: measuring it, and keeping it under a ceiling.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

from ...errors import check_range
from ..clip import AudioClip
from .decibels import amplitude, decibels, peak

_BLOCK, _REACH = 2**14, 10  # samples; how far the interpolator looks to each side
_OVERSHOOT = 2.25  # a true peak exceeds the samples around it by less than this factor: the interpolator's L1 norm
_ATTACK_S = 0.005  # how long before a peak the gain begins to fall
_RELEASE_DB_PER_S = 60.0
_PASSES = 10
_STEP_DB = 0.01  # how much lower each further pass aims: a moving gain changes the peaks between the samples a little


class Limited(NamedTuple):
    """A clip under a ceiling.

    Attributes:
        clip: what came in, bit for bit, wherever the gain is 0 dB.
        reduction_db: by how much the gain fell at most; 0 where nothing exceeded the ceiling.
    """

    clip: AudioClip
    reduction_db: float


def true_peak(clip: AudioClip) -> float:
    """The highest amplitude of the signal at four times its rate (twice from 96 kHz, itself from 192 kHz).

    Source: ITU-R BS.1770-5, annex 2. 0 for a clip without samples.
    """
    highest, times = peak(clip), _times(clip.sample_rate)
    for start in range(0, clip.length if times > 1 else 0, _BLOCK):
        dense = _dense(clip.samples, times, start, min(clip.length, start + _BLOCK), highest)
        highest = highest if dense is None else max(highest, float(dense.max()))
    return highest


def limit(clip: AudioClip, ceiling_dbtp: float = -1.0) -> Limited:
    """Turns the gain down around what exceeds the ceiling in true peak, for all channels alike.

    The gain falls smoothly in the 5 ms before a peak and comes back at 60 dB/s; elsewhere nothing changes. It works
    in blocks, so a long clip takes little more than its copy.

    Args:
        ceiling_dbtp: dB relative to full scale, -60 to 0. No true peak of the result (see `true_peak`) is above it.

    Raises:
        SettingError: a ceiling out of its range.
    """
    check_range("ceiling_dbtp", ceiling_dbtp, -60.0, 0.0, "-1 dBTP leaves room for lossy formats.")
    ceiling = amplitude(ceiling_dbtp)
    total_db = 0.0
    for number in range(1, _PASSES + 1):
        samples, most_db = _pass(
            clip.samples.detach().cpu(), clip.sample_rate, ceiling, ceiling * amplitude(-_STEP_DB * number)
        )
        if most_db == 0:
            return Limited(clip, total_db)
        clip, total_db = AudioClip(samples, clip.sample_rate), total_db + most_db
    over = true_peak(clip) / ceiling * amplitude(1e-4)  # signals that are nothing but peaks between the samples
    return Limited(AudioClip(clip.samples / max(1.0, over), clip.sample_rate), total_db + max(0.0, decibels(over)))


def _pass(samples: torch.Tensor, rate: int, ceiling: float, aim: float) -> tuple[torch.Tensor, float]:
    """Brings what exceeds the ceiling down to the aim; the new samples [C, T], and the largest fall in dB."""
    import numpy as np

    half = max(1, round(_ATTACK_S * rate / 2))
    reach, slope = 2 * half, _RELEASE_DB_PER_S / rate
    length, out, most, carry = samples.shape[1], samples, 0.0, 0.0
    for start in range(0, length, _BLOCK):
        stop = min(length, start + _BLOCK)
        first, last = max(0, start - reach), min(length, stop + reach)
        need = _need(samples, rate, first, last, ceiling, aim)
        if carry == 0 and not need.any():
            continue
        fallen = slope * np.arange(1, len(need) + 1)
        need = np.maximum(np.maximum.accumulate(need + fallen), carry) - fallen
        carry = float(need[stop - reach - first - 1]) if stop - reach > first else carry
        need = np.pad(need, (first - (start - reach), stop + reach - last))
        fall = _smooth(need, half)[reach : reach + stop - start]
        out = samples.clone() if out is samples else out
        out[:, start:stop] *= torch.from_numpy((10 ** (-fall / 20)).astype(np.float32))
        most = max(most, float(fall.max()))
    return out, most


def _need(samples: torch.Tensor, rate: int, first: int, last: int, ceiling: float, aim: float):
    """How many dB the gain has to fall at each sample, so that neither it nor its surroundings exceed the ceiling."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d

    times = _times(rate)
    dense = _dense(samples, times, first, last, ceiling)
    if dense is None:
        return np.zeros(last - first)
    around = maximum_filter1d(dense, 2 * times - 1, mode="nearest")[::times].astype(np.float64)
    return 20 * np.log10(np.where(around > ceiling, around / aim, 1.0))


def _smooth(need, half: int):
    """A curve that is nowhere below `need` and moves within 2·half samples: a maximum ahead, then a mean behind."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    ahead = maximum_filter1d(need, 2 * half + 1, origin=-half, mode="constant")
    for _ in range(2):  # two means over half each: no corners
        ahead = uniform_filter1d(ahead, half + 1, origin=half // 2, mode="constant")
    return ahead


def _times(rate: int) -> int:
    return 4 if rate < 96_000 else 2 if rate < 192_000 else 1


@cache
def _interpolator(times: int):
    import numpy as np
    from scipy.signal import firwin

    window: Any = ("kaiser", 5.0)  # for checkers the default, a string, says what it may be
    return np.asarray(firwin(2 * _REACH * times + 1, 1 / times, window=window), np.float32)


def _dense(samples: torch.Tensor, times: int, first: int, last: int, threshold: float):
    """The loudest channel's absolute value at `times` the rate, from sample `first` to before `last`.

    None where it is surely not above the threshold.
    """
    import numpy as np
    from scipy.signal import resample_poly

    left, right = max(0, first - _REACH), min(samples.shape[1], last + _REACH)
    wave = samples[:, left:right].detach().cpu().numpy()
    if _OVERSHOOT * np.abs(wave).max() <= threshold:
        return None
    if times > 1:
        wave = resample_poly(wave, times, 1, axis=1, window=_interpolator(times))
    return np.abs(wave[:, (first - left) * times : (last - left) * times]).max(axis=0)
