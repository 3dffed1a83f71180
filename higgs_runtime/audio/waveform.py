"""The outline of a sound for a picture of its waveform. Files are read piece by piece, whatever their length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import AudioError, check_range
from .clip import AudioClip
from .files import Unreadable, open_soundfile, read_at

MOST_POINTS = 8192
LONGEST_WHOLE_S = 3600.0  # of a file that can only be read whole
_PIECE = 1 << 18  # samples


@dataclass(frozen=True, eq=False)
class Peaks:
    """Lowest and highest sample of all channels in each of equal stretches.

    Attributes:
        low, high: FloatTensor [points], or fewer where there are fewer samples.
    """

    low: torch.Tensor
    high: torch.Tensor
    seconds: float
    sample_rate: int
    channels: int


def waveform_peaks(sound: AudioClip | str | Path, points: int = 512) -> Peaks:
    """The outline of a clip or of a file.

    A file that libsndfile does not know (a video, m4a) is read whole, up to an hour of it.

    Raises:
        AudioError: no samples, or the file cannot be read (see `AudioClip.load`).
        SettingError: points outside 1 to 8192.
    """
    check_range("points", points, 1, MOST_POINTS, "512 suit a node.")
    if not isinstance(sound, AudioClip):
        try:
            return _of_file(Path(sound), points)
        except Unreadable:
            sound = AudioClip.load(sound, duration_s=LONGEST_WHOLE_S)
    pieces = (sound.samples[:, at : at + _PIECE] for at in range(0, sound.length, _PIECE))
    return Peaks(*_outline(pieces, sound.length, points), sound.seconds, sound.sample_rate, sound.channels)


def _of_file(path: Path, points: int) -> Peaks:
    if not path.is_file():
        raise Unreadable("no file")
    with open_soundfile(path) as file:
        pieces = (
            torch.from_numpy(read_at(path, file, at, min(_PIECE, len(file) - at)).T)
            for at in range(0, len(file), _PIECE)
        )
        outline = _outline(pieces, len(file), points)
        return Peaks(*outline, len(file) / file.samplerate, file.samplerate, file.channels)


def _outline(pieces: Iterator[torch.Tensor], length: int, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest of the samples [C, n] that come, in `points` stretches of `length` in all."""
    if length == 0:
        raise AudioError(
            "There is nothing to draw.",
            expected="a sound with samples",
            got="0 samples",
            remedy="Check the file, or the step before.",
        )
    points = min(points, length)
    low, high = torch.full((points,), torch.inf), torch.full((points,), -torch.inf)
    at = 0
    for piece in pieces:
        # NaN and infinity are no place in a picture
        lowest, highest = (torch.nan_to_num(one, 0.0, 0.0, 0.0) for one in (piece.amin(0), piece.amax(0)))
        stretch = torch.arange(at, at + piece.shape[1]) * points // length
        low.scatter_reduce_(0, stretch, lowest, "amin")
        high.scatter_reduce_(0, stretch, highest, "amax")
        at += piece.shape[1]
    return low, high
