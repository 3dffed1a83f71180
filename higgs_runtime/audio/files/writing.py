"""Writing sound files: whole or not at all, through a temporary file.

`AudioClip.save` is the public side. Shapes: C channels, T samples; arrays are NumPy float32 [C, T].
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ...atomic_write import on_disk, replacing
from ...errors import AudioError
from ..loudness.decibels import decibels
from .codecs import CODINGS, encode
from .reading import VORBIS_ORDER

if TYPE_CHECKING:
    import numpy as np

# suffix -> libsndfile format, default sample encoding
SOUNDFILE_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".rf64": ("RF64", "PCM_16"),
}
FFMPEG_FORMATS = {f".{name}": CODINGS[name] for name in ("m4a", "m4b", "mp4", "aac", "wma", "ac3", "mka", "webm")}
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # of one sample; other encodings: 1 at most
_FLOAT_ENCODINGS = ("FLOAT", "DOUBLE")
_WAV_LIMIT = 2**32 - 1024  # bytes: a RIFF size field has 32 bits
_WRITE_FRAMES = 65_536  # at once: libsndfile's Vorbis encoder overflows its stack on long single writes


class _Sink:
    """A file for libsndfile that keeps the operating system's error: libsndfile itself loses it on a full disk."""

    def __init__(self, file: BinaryIO):
        self.file, self.error = file, None
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def write(self, data: bytes) -> int:
        self._kept(self.file.write, data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Writes what is buffered, so that the disk may be full here too."""
        found = self._kept(self._seek, offset, whence)
        return 0 if found is None else found

    def _kept(self, act, *args):
        try:
            return act(*args) if self.error is None else None
        except OSError as error:
            self.error = error


def write_file(path: str | os.PathLike, wave: np.ndarray, rate: int, subtype: str | None) -> None:
    """Writes float32 [C, T] through a temporary file beside the target.

    Raises:
        AudioError: see `AudioClip.save`.
    """
    with _replacing(path, wave.shape[1]) as (part, suffix):
        if suffix in SOUNDFILE_FORMATS:
            _write_soundfile(part, [wave], wave.shape, rate, suffix, subtype)
        else:
            _write_ffmpeg(part, wave, rate, suffix, subtype)


def write_blocks(
    path: str | os.PathLike,
    tries: Iterable[Generator[np.ndarray, None, None]],
    shape: tuple[int, int],
    rate: int,
    subtype: str | None,
) -> None:
    """Writes a file from blocks, float32 [C, n], through a temporary file beside the target.

    Args:
        tries: the blocks of the whole file; of several such, each is written anew, and the last one stays.
        shape: (C, T) of the whole.

    Raises:
        AudioError: see `AudioClip.save`; a format that only ffmpeg writes.
    """
    with _replacing(path, shape[1]) as (part, suffix):
        if suffix not in SOUNDFILE_FORMATS:
            raise AudioError(
                f"'{suffix}' files are not written in pieces.",
                got=f"'{suffix}'",
                expected="one of " + " ".join(SOUNDFILE_FORMATS),
                remedy="Write .flac, then convert it.",
            )
        for blocks in tries:
            part.unlink(missing_ok=True)
            with closing(blocks):
                _write_soundfile(part, blocks, shape, rate, suffix, subtype)


@contextmanager
def _replacing(path: str | os.PathLike, length: int) -> Iterator[tuple[Path, str]]:
    """Lends a path beside the target, whose file then takes its place, and the target's suffix."""
    target = Path(os.path.realpath(path))
    suffix = target.suffix.lower()
    if suffix not in SOUNDFILE_FORMATS and suffix not in FFMPEG_FORMATS:
        raise AudioError(
            f"'{path}' does not name a known audio format.",
            expected="one of " + " ".join([*SOUNDFILE_FORMATS, *FFMPEG_FORMATS]),
            got=f"'{suffix}'",
            remedy="Change the suffix.",
        )
    if length == 0:
        raise AudioError(
            "There is nothing to save.",
            expected="a clip with samples",
            got="0 samples",
            remedy="Check the step that made the clip.",
        )
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise AudioError(
            f"'{path}' cannot be written.",
            expected="a file name in a folder that exists",
            got="no such folder" if not target.parent.is_dir() else "a folder or special file",
            remedy="Choose another path, or make the folder first.",
        )
    try:
        with replacing(target) as part:
            yield part, suffix
    except OSError as error:
        raise AudioError(
            f"'{path}' could not be written: {error.strerror or error}.",
            remedy="Check free disk space and permissions, then save again.",
        ) from error


def _write_soundfile(
    part: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], rate: int, suffix: str, subtype: str | None
) -> None:
    import soundfile

    channels, length = shape
    kind, default = SOUNDFILE_FORMATS[suffix]
    encoding = (subtype or default).upper()
    if not soundfile.check_format(kind, encoding):
        raise AudioError(
            f"{kind} files cannot hold this sample encoding.",
            got=f"subtype '{subtype}'",
            expected="one of " + " ".join(soundfile.available_subtypes(kind)),
            remedy=f"Leave subtype out for {default}.",
        )
    if kind == "WAV" and channels * length * _BYTES.get(encoding, 1) > _WAV_LIMIT:
        raise AudioError(
            "The clip is too long for a WAV file.",
            expected="less than 4 GiB",
            got=f"{length / rate:g} s, {channels} channels",
            remedy="Save as .flac, .w64 or .rf64.",
        )
    try:
        with open(part, "x+b") as file:
            sink = _Sink(file)
            # It takes open files too, though its annotations do not say so.
            opened: Any = sink
            with soundfile.SoundFile(opened, "w", rate, channels, encoding, format=kind) as out:
                for wave in blocks:
                    if kind == "OGG" and channels in VORBIS_ORDER:
                        wave = wave[[VORBIS_ORDER[channels].index(place) for place in range(channels)]]
                    if encoding not in _FLOAT_ENCODINGS:
                        check_full_scale(wave)
                    for start in range(0, wave.shape[1], _WRITE_FRAMES):
                        if sink.error is None:
                            out.write(wave[:, start : start + _WRITE_FRAMES].T)
                    if sink.error:
                        break
            if sink.error:
                raise sink.error
            on_disk(file)
    except soundfile.SoundFileError as error:
        raise AudioError(
            f"The {kind} writer refused the clip.",
            expected="a rate and channel count that it supports",
            got=f"{rate} Hz, {channels} channels ({error})",
            remedy="Resample, mix down, or save as .wav.",
        ) from error


def _write_ffmpeg(part: Path, wave: np.ndarray, rate: int, suffix: str, subtype: str | None) -> None:
    if subtype is not None:
        raise AudioError(f"'{suffix}' files take no subtype.", got=f"'{subtype}'", remedy="Leave subtype out.")
    check_full_scale(wave)
    with open(part, "xb") as file:
        encode(file, wave, rate, FFMPEG_FORMATS[suffix])
        on_disk(file)


def check_full_scale(wave: np.ndarray) -> None:
    """Raises AudioError where a sample lies beyond ±1."""
    peak = float(max(wave.max(), -wave.min()))
    if peak > 1:
        raise AudioError(
            "The clip is louder than this format can hold.",
            expected="samples within ±1",
            got=f"a peak of {peak:.4g} ({decibels(peak):+.2f} dBFS)",
            remedy="Level the peak first, or save as .wav with subtype FLOAT.",
        )
