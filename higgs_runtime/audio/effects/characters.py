"""Devices that a voice comes through."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...errors import AudioError, SettingError
from ..clip import AudioClip, resample
from ..loudness.decibels import amplitude
from .filters import TOP, Band, equalize, high_pass, low_pass


@dataclass(frozen=True)
class Character:
    """A device that a voice comes through.

    Attributes:
        low_hz, high_hz: the band that it passes, with 24 dB an octave beyond.
        bands: what it stresses.
        drive_db: how far it is driven into its soft limit; full scale stays full scale.
        digital_hz: it carries 8-bit µ-law samples (ITU-T G.711) at this rate; 0 if it does not.
    """

    low_hz: float
    high_hz: float
    bands: tuple[Band, ...] = ()
    drive_db: float = 0.0
    digital_hz: int = 0


CHARACTERS = {
    "telephone": Character(300, 3400, digital_hz=8000),
    "radio": Character(150, 4500, (Band("peak", 1500, 3, 0.8),), drive_db=9),
    "loudspeaker": Character(500, 5000, (Band("peak", 2000, 8, 1.5),), drive_db=15),
}


def character(clip: AudioClip, name: str) -> AudioClip:
    """The voice through a device; `CHARACTERS` has their figures.

    Args:
        clip: 2000 Hz or more.
        name: "telephone", "radio" or "loudspeaker".

    Raises:
        SettingError: another name.
        AudioError: a rate below 2000 Hz.
    """
    if name not in CHARACTERS:
        raise SettingError(
            "There is no such character.",
            expected=" or ".join(CHARACTERS),
            got=repr(name),
            remedy="Choose one of these.",
        )
    if clip.sample_rate < 2000:
        raise AudioError(
            "The rate is too low for a character.",
            expected="2000 Hz or more",
            got=f"{clip.sample_rate} Hz",
            remedy="Resample the clip first.",
        )
    device = CHARACTERS[name]
    out = equalize(_band(clip, device), device.bands)
    if device.drive_db:
        drive = amplitude(device.drive_db)
        out = AudioClip(torch.tanh(out.samples * drive) / math.tanh(drive), out.sample_rate)
    if device.digital_hz:
        out = _companded(out, device.digital_hz)
    return _band(out, device)


def _band(clip: AudioClip, device: Character) -> AudioClip:
    top = device.high_hz <= TOP * clip.sample_rate
    return high_pass(low_pass(clip, device.high_hz) if top else clip, device.low_hz)


def _companded(clip: AudioClip, rate: int) -> AudioClip:
    """Through 8-bit µ-law samples at this rate and back."""
    line = resample(clip, rate).samples.clamp(-1, 1)
    code = (line.sign() * torch.log1p(255 * line.abs()) / math.log(256) * 127).round() / 127
    heard = AudioClip(code.sign() * (256 ** code.abs() - 1) / 255, rate)
    wave = resample(heard, clip.sample_rate).samples[:, : clip.length]
    return AudioClip(torch.nn.functional.pad(wave, (0, clip.length - wave.shape[1])), clip.sample_rate)
