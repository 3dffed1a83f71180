"""Gate, compressor and de-esser. They find one gain for all channels, so that a stereo image stands still."""

from __future__ import annotations

import torch

from ...errors import MissingExtraError, check_range
from ..clip import AudioClip
from ..loudness.decibels import amplitude
from .filters import butterworth, run


def gate(
    clip: AudioClip, threshold_db: float = -50.0, ratio: float = 4.0, attack_ms: float = 2.0, release_ms: float = 150.0
) -> AudioClip:
    """Turns down what is quieter than the threshold: the noise between words.

    Args:
        threshold_db: dBFS of the peaks, -100 to 0.
        ratio: 1 to 100; each dB below the threshold becomes this many.
        attack_ms, release_ms: 0.1 to 5000; time constants of the envelope when it rises and falls.

    Raises:
        SettingError: a value out of its range.
        MissingExtraError: pedalboard (extra `sound`) is not installed.
    """
    _check(threshold_db, ratio, attack_ms, release_ms)
    gains = _gains("NoiseGate", clip, threshold_db, ratio, attack_ms, release_ms)
    return AudioClip(clip.samples * gains, clip.sample_rate)


def compress(
    clip: AudioClip,
    threshold_db: float = -20.0,
    ratio: float = 3.0,
    attack_ms: float = 5.0,
    release_ms: float = 120.0,
    makeup_db: float = 0.0,
) -> AudioClip:
    """Evens loud and quiet out: what exceeds the threshold by `ratio` dB comes out 1 dB above it.

    Args:
        threshold_db, ratio, attack_ms, release_ms: as in `gate`.
        makeup_db: gain afterwards, -24 to 24 dB.

    Raises:
        SettingError, MissingExtraError: see `gate`.
    """
    _check(threshold_db, ratio, attack_ms, release_ms)
    check_range("makeup_db", makeup_db, -24.0, 24.0)
    gains = _gains("Compressor", clip, threshold_db, ratio, attack_ms, release_ms)
    return AudioClip(clip.samples * (gains * amplitude(makeup_db)), clip.sample_rate)


def de_ess(clip: AudioClip, threshold_db: float = -32.0, hertz: float = 6000.0, ratio: float = 4.0) -> AudioClip:
    """Compresses only what lies above a frequency, where s and sh hiss; the rest stays as it is, to the sample.

    Args:
        threshold_db: dBFS of the peaks of that part, -100 to 0.
        hertz: where it begins (-6 dB, 48 dB an octave below), 10 Hz to 45% of the rate.
        ratio: 1 to 100.

    Raises:
        SettingError, MissingExtraError: see `gate`.
    """
    _check(threshold_db, ratio, 1.0, 60.0)
    hiss = run(clip, butterworth(clip, hertz, "highpass"), zero_phase=True)
    gains = _gains("Compressor", hiss, threshold_db, ratio, 1.0, 60.0)
    return AudioClip(clip.samples + hiss.samples * (gains - 1), clip.sample_rate)


def _check(threshold_db: float, ratio: float, attack_ms: float, release_ms: float) -> None:
    check_range("threshold_db", threshold_db, -100.0, 0.0, "Decibels below full scale.")
    check_range("ratio", ratio, 1.0, 100.0, "1 does nothing.")
    check_range("attack_ms", attack_ms, 0.1, 5000.0)
    check_range("release_ms", release_ms, 0.1, 5000.0)


def _gains(
    processor: str, clip: AudioClip, threshold_db: float, ratio: float, attack_ms: float, release_ms: float
) -> torch.Tensor:
    """The gain [T] that pedalboard's processor applies to the loudest channel."""
    try:
        import pedalboard
    except ImportError as error:
        raise MissingExtraError("Gate, compressor and de-esser", "sound", "pedalboard") from error
    if clip.length == 0:
        return torch.ones(0)
    level = clip.samples.detach().cpu().abs().amax(0)
    process = getattr(pedalboard, processor)(threshold_db, ratio, attack_ms, release_ms)
    after = torch.from_numpy(process(level.numpy(), clip.sample_rate))
    return torch.where(level > 0, after / level.clamp(min=1e-30), 1.0).to(clip.samples.device)
