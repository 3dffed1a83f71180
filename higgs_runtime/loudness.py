"""How loud a clip is, and levelling it.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .audio import AudioClip
from .errors import AudioError, MissingExtraError, check_range
from .levels import decibels, peak

_GATE_S = 0.4  # BS.1770: the shortest signal with an integrated loudness
_SHORT_TERM_S = 3.0  # EBU Tech 3342: the window of the loudness range
_RANGE_STEP_S = 0.1
_PEAK_BLOCK, _PEAK_MARGIN = 2**20, 32  # samples; the margin exceeds the interpolator's reach


class Loudness(NamedTuple):
    """How loud a clip is.

    Attributes:
        integrated_lufs: gated loudness; -inf for silence and for clips under 0.4 s, where it is not defined.
        range_lu: loudness range; 0 for silence and for clips under 3 s, where it is not defined.
        true_peak_dbtp: peak between the samples, relative to full scale; -inf for silence.
    """

    integrated_lufs: float
    range_lu: float
    true_peak_dbtp: float


def measure_loudness(clip: AudioClip) -> Loudness:
    """Integrated loudness (ITU-R BS.1770-4), loudness range (EBU Tech 3342) and true peak (BS.1770-5, annex 2).

    Channels are left, right, centre, left surround, right surround. The true peak is that of the signal at four
    times the rate (twice from 96 kHz, itself from 192 kHz).

    Raises:
        AudioError: more than five channels, or a rate below 8 kHz.
        MissingExtraError: pyloudnorm (extra `loudness`) is not installed.
    """
    if clip.channels > 5 or clip.sample_rate < 8000:
        raise AudioError("The loudness of this clip is not defined.", expected="1 to 5 channels at 8000 Hz or more",
                         got=f"{clip.channels} channels at {clip.sample_rate} Hz", remedy="Mix down or resample first.")
    try:
        import pyloudnorm
    except ImportError as error:
        raise MissingExtraError("Measuring loudness", "loudness", "pyloudnorm") from error
    if clip.length == 0 or not bool(clip.samples.any()):
        return Loudness(-math.inf, 0.0, -math.inf)
    wave = clip.samples.detach().cpu().double().numpy().T
    integrated = -math.inf
    if clip.length >= _GATE_S * clip.sample_rate:
        integrated = float(pyloudnorm.Meter(clip.sample_rate).integrated_loudness(wave))
    return Loudness(integrated, _loudness_range(wave, clip.sample_rate), decibels(_true_peak(clip)))


def level_loudness(clip: AudioClip, target_lufs: float) -> AudioClip:
    """Scales the clip to an integrated loudness (BS.1770), e.g. -16 LUFS for podcasts, -23 for broadcasts (R 128).

    Raises:
        SettingError: a target outside -70 to 0 LUFS.
        AudioError: a clip that is silent or shorter than 0.4 s, or whose peak would exceed full scale.
        MissingExtraError: see `measure_loudness`.
    """
    check_range("target_lufs", target_lufs, -70.0, 0.0, "-16 suits podcasts, -23 broadcasts.")
    integrated = measure_loudness(clip).integrated_lufs
    if math.isinf(integrated):
        raise AudioError("The clip has no measurable loudness.", expected="sound of 0.4 s or more above -70 LUFS",
                         got=f"{clip.seconds:g} s at {decibels(peak(clip)):.1f} dBFS",
                         remedy="Level the peak instead.")
    gain_db = target_lufs - integrated
    room_db = -decibels(peak(clip))
    if gain_db > room_db:
        highest = math.floor((integrated + room_db) * 10) / 10
        raise AudioError("At this loudness the clip would exceed full scale.", expected=f"{highest:.1f} LUFS or less",
                         got=f"{target_lufs:g} LUFS", remedy="Choose a lower target, or compress the clip first.")
    return AudioClip(clip.samples * 10 ** (gain_db / 20), clip.sample_rate)


def _loudness_range(wave, rate: int) -> float:
    """EBU Tech 3342: the spread from the 10th to the 95th percentile of the gated short-term loudness, in LU.

    pyloudnorm's own figure includes 1.5 s of silence that it appends, which dominates a short clip.
    """
    import numpy as np
    import pyloudnorm

    if len(wave) < _SHORT_TERM_S * rate:
        return 0.0
    meter = pyloudnorm.Meter(rate, block_size=_SHORT_TERM_S, overlap=1 - _RANGE_STEP_S / _SHORT_TERM_S)
    meter.integrated_loudness(wave)
    levels = np.array(meter.blockwise_loudness)
    levels = levels[levels >= -70]
    if len(levels) == 0:
        return 0.0
    levels = levels[levels >= 10 * np.log10(np.mean(10 ** (levels / 10))) - 20]
    low, high = np.percentile(levels, [10, 95])
    return float(high - low)


def _true_peak(clip: AudioClip) -> float:
    from scipy.signal import resample_poly

    times = 4 if clip.sample_rate < 96_000 else 2 if clip.sample_rate < 192_000 else 1
    highest = peak(clip)
    wave = clip.samples.detach().cpu().double().numpy()
    for start in range(0, clip.length if times > 1 else 0, _PEAK_BLOCK):
        first, last = max(0, start - _PEAK_MARGIN), min(clip.length, start + _PEAK_BLOCK + _PEAK_MARGIN)
        dense = resample_poly(wave[:, first:last], times, 1, axis=1)
        inner = dense[:, (start - first) * times : (min(clip.length, start + _PEAK_BLOCK) - first) * times]
        highest = max(highest, float(abs(inner).max()))
    return highest
