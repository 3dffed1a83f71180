"""Tempo without the pitch, and pitch without the tempo."""

from __future__ import annotations

import torch

from ..errors import AudioError, MissingExtraError, check_range
from .clip import AudioClip

_LOWEST_RATE = 8000  # Hz: below, the stretcher's windows are longer than words
_SHORTEST = 1024  # samples; the library takes the longer side of an array for time


def change_tempo(clip: AudioClip, factor: float) -> AudioClip:
    """Speaks faster or slower at the same pitch.

    Args:
        clip: any channel count, 8000 Hz or more.
        factor: of the speed, 0.25 to 4; 2 is twice as fast and half as long. 1 gives the clip back as it is.

    Returns:
        The clip, [C, round(T / factor)].

    Raises:
        SettingError: a factor out of its range.
        AudioError: a rate below 8000 Hz.
        MissingExtraError: pedalboard (extra `sound`) is not installed. It stretches with Rubber Band.
    """
    check_range("factor", factor, 0.25, 4.0, "1 leaves the tempo as it is, 2 is twice as fast.")
    return clip if factor == 1 else _stretch(clip, factor, 0.0, True)


def change_pitch(clip: AudioClip, semitones: float, keep_formants: bool = True) -> AudioClip:
    """Speaks higher or lower at the same tempo.

    Args:
        clip: any channel count, 8000 Hz or more.
        semitones: -24 to 24; 12 is an octave up. 0 gives the clip back as it is.
        keep_formants: the vowels keep their colour, as if the same mouth spoke; False moves them too, as a record
            that turns faster does.

    Returns:
        The clip, [C, T].

    Raises:
        SettingError: semitones out of their range.
        AudioError, MissingExtraError: see `change_tempo`.
    """
    check_range("semitones", semitones, -24.0, 24.0, "0 leaves the pitch as it is, 12 is an octave up.")
    return clip if semitones == 0 else _stretch(clip, 1.0, semitones, keep_formants)


def _stretch(clip: AudioClip, factor: float, semitones: float, keep_formants: bool) -> AudioClip:
    if clip.sample_rate < _LOWEST_RATE:
        raise AudioError(
            "The tempo or pitch of this clip cannot be changed.",
            expected=f"{_LOWEST_RATE} Hz or more",
            got=f"{clip.sample_rate} Hz",
            remedy="Resample it first.",
        )
    pedalboard = rubber_band()
    if clip.length == 0:
        return clip
    wave = torch.nn.functional.pad(clip.samples.detach().cpu(), (0, max(0, _SHORTEST - clip.length)))
    wave = pedalboard.time_stretch(wave.numpy(), clip.sample_rate, factor, semitones, preserve_formants=keep_formants)
    length = max(1, round(clip.length / factor))
    wave = torch.from_numpy(wave[:, :length].copy())
    return AudioClip(torch.nn.functional.pad(wave, (0, length - wave.shape[1])), clip.sample_rate)


def rubber_band(feature: str = "Changing tempo or pitch"):
    """The package that stretches; asked for before the long work, too.

    Args:
        feature: what needs it, for the error.

    Raises:
        MissingExtraError: it (extra `sound`) is not installed.
    """
    try:
        import pedalboard
    except ImportError as error:
        raise MissingExtraError(feature, "sound", "pedalboard") from error
    return pedalboard
