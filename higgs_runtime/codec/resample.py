"""Band-limited resampling by windowed-sinc interpolation, the one that the semantic branch was trained with.

Source: J. O. Smith, "Digital Audio Resampling" (https://ccrma.stanford.edu/~jos/resample/), with a Hann window over
6 zero crossings on each side and a cutoff at 0.99 of the lower Nyquist frequency: the defaults of torchaudio, whose
results it reproduces.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch.nn import functional

ZERO_CROSSINGS = 6
ROLLOFF = 0.99


def sinc_resample(wave: torch.Tensor, old_rate: int, new_rate: int) -> torch.Tensor:
    """Changes the rate of a waveform.

    Args:
        wave: FloatTensor [B, T], float32.
        old_rate, new_rate: samples per second.

    Returns:
        FloatTensor [B, ceil(T * new_rate / old_rate)].
    """
    if old_rate == new_rate:
        return wave
    divisor = math.gcd(old_rate, new_rate)
    old, new = old_rate // divisor, new_rate // divisor
    filters = _filters(old, new).to(wave)
    reach = (filters.shape[-1] - old) // 2
    padded = functional.pad(wave[:, None], (reach, reach + old))
    phases = functional.conv1d(padded, filters, stride=old)  # [B, new, steps]
    return phases.transpose(1, 2).flatten(1)[:, : -(-wave.shape[-1] * new // old)]


@lru_cache(maxsize=8)
def _filters(old: int, new: int) -> torch.Tensor:
    """One low-pass filter for each of the new samples between two common sample times: [new, 1, taps]."""
    cutoff = min(old, new) * ROLLOFF  # zero crossings per unit of time; `old` input samples are one unit
    reach = math.ceil(ZERO_CROSSINGS * old / cutoff)
    input_times = torch.arange(-reach, reach + old, dtype=torch.float32) / old
    output_times = torch.arange(new, dtype=torch.float32) / new
    crossings = (input_times - output_times[:, None]).mul(cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    hann = torch.cos(crossings * math.pi / ZERO_CROSSINGS / 2).square()
    angle = crossings * math.pi
    sinc = torch.where(angle == 0, torch.ones(()), angle.sin() / angle)
    return (sinc * (hann * (cutoff / old)))[:, None]
