"""Sound files as arrays: which library reads or writes what, and which damage is noticed.

`AudioClip.load` and `.save` are the public side. Shapes: C channels, T samples; arrays are NumPy float32 [C, T].
"""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .errors import AudioError

if TYPE_CHECKING:
    import numpy as np

# suffix -> libsndfile format, default sample encoding
SOUNDFILE_FORMATS = {
    ".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"), ".aiff": ("AIFF", "PCM_16"), ".aif": ("AIFF", "PCM_16"),
    ".caf": ("CAF", "PCM_16"), ".w64": ("W64", "PCM_16"), ".rf64": ("RF64", "PCM_16"),
}
# suffix -> ffmpeg muxer
FFMPEG_FORMATS = {
    ".m4a": "ipod", ".mp4": "mp4", ".aac": "adts", ".wma": "asf", ".ac3": "ac3", ".mka": "matroska", ".webm": "webm",
}
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # of one sample; other encodings: 1 at most
_FLOAT_ENCODINGS = ("FLOAT", "DOUBLE")
_WAV_LIMIT = 2**32 - 1024  # bytes: a RIFF size field has 32 bits
_WRITE_FRAMES = 65_536  # at once: libsndfile's Vorbis encoder overflows its stack on long single writes
_MP3_PREROLL = 40 * 1152  # samples: an MP3 frame borrows bits from earlier ones, so decoding starts well before
_SF_MALFORMED = 3  # libsndfile knows the format, and the file breaks its rules
_AV_PREROLL_S = 0.5  # AAC and its kin need an earlier packet too
_EXACT_CONTAINERS = {"mp4", "caf", "wav", "w64", "aiff"}  # ffmpeg only estimates the duration of others

# How libsndfile's log tells that a file ends before its header says: (declared, found).
_SIZE_MISMATCH = re.compile(r"^ *(?:data|SSND|riff|Data Size) *: (\d+) \(should be (\d+)\)", re.M)
_RF64_MISMATCH = re.compile(r"frame count (?P<found>\d+) does not match value from 'ds64' chunk of (?P<declared>\d+)")


def check_span(start_s: float, duration_s: float | None) -> None:
    """Raises AudioError unless start_s ≥ 0 and duration_s > 0 (or None), both finite, in seconds."""
    if not math.isfinite(start_s) or start_s < 0:
        raise AudioError("The start time is not usable.", expected="0 seconds or more", got=f"{start_s} s",
                         remedy="Count the start from the beginning of the clip.")
    if duration_s is not None and (not math.isfinite(duration_s) or duration_s <= 0):
        raise AudioError("The duration is not usable.", expected="more than 0 seconds", got=f"{duration_s} s",
                         remedy="Leave the duration out to take everything up to the end.")


def span(total: int, rate: int, start_s: float, duration_s: float | None, name: str) -> tuple[int, int]:
    """First sample and sample count of the asked part of `total` samples; AudioError when nothing is left."""
    first = round(start_s * rate)
    if total == 0:
        raise AudioError(f"There is no audio in {name}.", expected="samples", got="0 samples",
                         remedy="Check the step that made it.")
    if first >= total:
        raise AudioError(f"Nothing is left of {name} at the start time.", expected=f"a start before {total / rate:g} s",
                         got=f"{start_s:g} s", remedy="Choose an earlier start.")
    left = total - first
    return first, left if duration_s is None else min(left, max(1, round(duration_s * rate)))


# --- reading --------------------------------------------------------------------------------------------------------


class Unreadable(Exception):
    """This reader cannot open the file; another one might."""


def read_file(path: Path, start_s: float, duration_s: float | None) -> tuple[np.ndarray, int]:
    """Decodes the asked part of a file: float32 [C, T] and the rate.

    Raises:
        AudioError: see `AudioClip.load`.
    """
    check_span(start_s, duration_s)
    if not path.is_file():
        raise AudioError(f"There is no audio file at '{path}'.", expected="a file",
                         got="a folder" if path.is_dir() else "nothing" if not path.exists() else "a special file",
                         remedy="Check the path.")
    tried = []
    for name, read in (("soundfile", _read_soundfile), ("PyAV", _read_av), ("pydub", _read_pydub)):
        try:
            if path.stat().st_size == 0:
                raise AudioError(f"The file '{path}' is empty.", expected="audio data", got="0 bytes",
                                 remedy="Copy or export the file again.")
            return read(path, start_s, duration_s)
        except Unreadable as error:
            tried.append(f"{name} ({error})")
        except MemoryError as error:
            raise AudioError(f"'{path}' does not fit in memory.", expected="a shorter part",
                             remedy="Set a start and a duration.") from error
        except OSError as error:
            raise AudioError(f"'{path}' could not be opened: {error.strerror or error}.",
                             remedy="Check the permissions.") from error
    raise AudioError(f"'{path}' could not be read as audio.", expected="a sound or video file that is intact",
                     got="these refusals: " + "; ".join(tried),
                     remedy="Convert the file to wav or flac, or export it again.")


def open_soundfile(path: Path):
    """libsndfile's reader of a file that is whole and tells its length.

    Raises:
        Unreadable: libsndfile is missing, does not know the format, or finds no length.
        AudioError: the file is cut off or damaged.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the wheel without its library
        raise Unreadable("not installed") from error
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a .raw file has no header
        if getattr(error, "code", None) == _SF_MALFORMED:
            raise _cut_off(path, "an intact file", str(error).rpartition(": ")[2]) from error
        raise Unreadable(str(error).rpartition(": ")[2]) from error
    try:
        _check_complete(path, file.extra_info)
        if file.format == "OGG":
            _check_last_page(path)
        if len(file) == 0 or len(file) >= 2**62:  # a stream's header may leave the length open
            raise Unreadable(f"the header tells {'no samples' if len(file) == 0 else 'no length'}")
    except BaseException:
        file.close()
        raise
    return file


def read_at(path: Path, file, first: int, count: int) -> np.ndarray:
    """Samples [count, C] of libsndfile's file from `first` on.

    Raises:
        AudioError: the file ends or breaks before.
    """
    import soundfile

    skip = min(first, _MP3_PREROLL) if file.format == "MP3" else 0
    try:
        file.seek(first - skip)
        wave = file.read(skip + count, dtype="float32", always_2d=True)[skip:]
    except soundfile.SoundFileError as error:
        raise _cut_off(path, "an intact file", str(error)) from error
    if len(wave) < count:
        raise _cut_off(path, f"{count} samples from {first / file.samplerate:g} s", str(len(wave)))
    return wave


def _read_soundfile(path: Path, start_s: float, duration_s: float | None):
    import numpy as np

    with open_soundfile(path) as file:
        first, count = span(len(file), file.samplerate, start_s, duration_s, f"'{path}'")
        return np.ascontiguousarray(read_at(path, file, first, count).T), file.samplerate


def _check_complete(path: Path, log: str) -> None:
    """Refuses a file that ends early; libsndfile would hand out the rest without an error."""
    if match := _SIZE_MISMATCH.search(log):
        declared, found = int(match[1]), int(match[2])
    elif match := _RF64_MISMATCH.search(log):
        declared, found = int(match["declared"]), int(match["found"])
    else:
        return
    placeholder = 0x7FFF0000 <= declared < 2**32 or declared >= 2**62  # what programs write into a pipe
    if declared > found and not placeholder:
        raise _cut_off(path, f"a size of {declared}", str(found))


def _check_last_page(path: Path) -> None:
    """Refuses an Ogg file (RFC 3533) that ends inside a page; libsndfile passes over such a page."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 70_000))  # a page has at most 65307 bytes
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if len(page) < 27 or len(lengths) < page[26] or len(page) < 27 + len(lengths) + sum(lengths):
        raise _cut_off(path, "a whole last page", f"{len(page)} bytes of it")


def _cut_off(path: Path, expected: str, got: str) -> AudioError:
    return AudioError(f"'{path}' is cut off or damaged.", expected=expected, got=got,
                      remedy="Copy, download or export the file again.")


def _read_av(path: Path, start_s: float, duration_s: float | None):
    try:
        import av
    except ImportError as error:
        raise Unreadable("not installed") from error
    try:
        with av.open(f"file:{path.absolute()}", options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                raise AudioError(f"'{path}' holds no audio.", expected="an audio track", got=container.format.name,
                                 remedy="Choose a file with sound.")
            return _decode_av(container, container.streams.audio[0], path, start_s, duration_s)
    except AudioError:
        raise
    except (av.error.FFmpegError, ValueError) as error:  # before OSError in read_file: some are both
        raise Unreadable(str(error).split(": 'file:")[0]) from error


def _decode_av(container, stream, path: Path, start_s: float, duration_s: float | None):
    import av
    import numpy as np

    if not (stream.codec_context and stream.codec_context.sample_rate):
        raise Unreadable("the audio track has no known encoding")
    rate = stream.codec_context.sample_rate
    tick, origin = stream.time_base, stream.start_time or 0
    first = round(start_s * rate)
    end = math.inf if duration_s is None else first + max(1, round(duration_s * rate))
    if start_s > _AV_PREROLL_S:
        container.seek(origin + int((start_s - _AV_PREROLL_S) / tick), stream=stream)
    to_float = av.AudioResampler(format="fltp")
    parts, position = [], None
    for frame in container.decode(stream):
        for block in to_float.resample(frame):
            if position is None:  # later time stamps jitter in some containers, the sample count does not
                position = 0 if block.pts is None else round((block.pts * block.time_base - origin * tick) * rate)
            wave = block.to_ndarray()
            low, high = max(0, first - position), min(wave.shape[1], end - position)
            if low < high:
                parts.append(wave[:, low:high])
            position += wave.shape[1]
        if position is not None and position >= end:
            break
    found = position or 0
    if stream.duration and _EXACT_CONTAINERS.intersection(container.format.name.split(",")):
        length_s = float(stream.duration * tick)
        if found < min(end, (length_s - 0.25) * rate):
            raise _cut_off(path, f"{length_s:g} s", f"{found / rate:g} s")
    if not parts:
        span(found, rate, start_s, duration_s, f"'{path}'")
        raise Unreadable("nothing could be decoded at the start time")
    return np.concatenate(parts, axis=1), rate


def _read_pydub(path: Path, start_s: float, duration_s: float | None):
    import numpy as np

    pydub = _pydub(Unreadable)
    try:
        part = pydub.AudioSegment.from_file(path, start_second=start_s, duration=duration_s)
    except (pydub.exceptions.PydubException, OSError, IndexError, KeyError, ValueError) as error:
        raise Unreadable((str(error).split("\n\n")[0].strip() or type(error).__name__)) from error
    wave = np.array(part.get_array_of_samples(), dtype=np.float32).reshape(-1, part.channels)
    if len(wave) == 0:
        raise Unreadable(f"no samples from {start_s:g} s")
    return np.ascontiguousarray(wave.T) / np.float32(2 ** (8 * part.sample_width - 1)), part.frame_rate


def _pydub(failure: type[Exception]):
    """The pydub package, or `failure` where it or the ffmpeg program is missing."""
    if not (shutil.which("ffmpeg") or shutil.which("avconv")):
        raise failure("the ffmpeg program was not found")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pydub
            import pydub.exceptions
    except ImportError as error:  # pydub itself, or audioop on Python 3.13
        raise failure(f"not installed: {error}") from error
    return pydub


# --- writing --------------------------------------------------------------------------------------------------------


class _Sink:
    """A file for libsndfile that keeps the operating system's error: libsndfile itself loses it on a full disk."""

    def __init__(self, file: BinaryIO):
        self.file, self.error = file, None
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def write(self, data: bytes) -> int:
        try:
            if self.error is None:
                self.file.write(data)
        except OSError as error:
            self.error = error
        return len(data)


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
    path: str | os.PathLike, tries: Iterable[Iterable[np.ndarray]], shape: tuple[int, int], rate: int,
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
            raise AudioError(f"'{suffix}' files are not written in pieces.", got=f"'{suffix}'",
                             expected="one of " + " ".join(SOUNDFILE_FORMATS), remedy="Write .flac, then convert it.")
        for blocks in tries:
            part.unlink(missing_ok=True)
            _write_soundfile(part, blocks, shape, rate, suffix, subtype)


@contextmanager
def _replacing(path: str | os.PathLike, length: int) -> Iterator[tuple[Path, str]]:
    """Lends a path beside the target, whose file then takes its place, and the target's suffix."""
    target = Path(os.path.realpath(path))
    suffix = target.suffix.lower()
    if suffix not in SOUNDFILE_FORMATS and suffix not in FFMPEG_FORMATS:
        raise AudioError(f"'{path}' does not name a known audio format.",
                         expected="one of " + " ".join([*SOUNDFILE_FORMATS, *FFMPEG_FORMATS]), got=f"'{suffix}'",
                         remedy="Change the suffix.")
    if length == 0:
        raise AudioError("There is nothing to save.", expected="a clip with samples", got="0 samples",
                         remedy="Check the step that made the clip.")
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise AudioError(f"'{path}' cannot be written.", expected="a file name in a folder that exists",
                         got="no such folder" if not target.parent.is_dir() else "a folder or special file",
                         remedy="Choose another path, or make the folder first.")
    part = target.with_name(f".higgs-{secrets.token_hex(8)}.part")
    try:
        yield part, suffix
        os.replace(part, target)
    except OSError as error:
        raise AudioError(f"'{path}' could not be written: {error.strerror or error}.",
                         remedy="Check free disk space and permissions, then save again.") from error
    finally:
        part.unlink(missing_ok=True)


def _write_soundfile(
    part: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], rate: int, suffix: str, subtype: str | None
) -> None:
    import soundfile

    channels, length = shape
    kind, default = SOUNDFILE_FORMATS[suffix]
    encoding = (subtype or default).upper()
    if not soundfile.check_format(kind, encoding):
        raise AudioError(f"{kind} files cannot hold this sample encoding.", got=f"subtype '{subtype}'",
                         expected="one of " + " ".join(soundfile.available_subtypes(kind)),
                         remedy=f"Leave subtype out for {default}.")
    if kind == "WAV" and channels * length * _BYTES.get(encoding, 1) > _WAV_LIMIT:
        raise AudioError("The clip is too long for a WAV file.", expected="less than 4 GiB",
                         got=f"{length / rate:g} s, {channels} channels",
                         remedy="Save as .flac, .w64 or .rf64.")
    try:
        with open(part, "x+b") as file:
            sink = _Sink(file)
            with soundfile.SoundFile(sink, "w", rate, channels, encoding, format=kind) as out:
                for wave in blocks:
                    if encoding not in _FLOAT_ENCODINGS:
                        _check_full_scale(wave)
                    for start in range(0, wave.shape[1], _WRITE_FRAMES):
                        if sink.error is None:
                            out.write(wave[:, start : start + _WRITE_FRAMES].T)
                    if sink.error:
                        break
            if sink.error:
                raise sink.error
            file.flush()
            os.fsync(file.fileno())
    except soundfile.SoundFileError as error:
        raise AudioError(f"The {kind} writer refused the clip.", expected="a rate and channel count that it supports",
                         got=f"{rate} Hz, {channels} channels ({error})",
                         remedy="Resample, mix down, or save as .wav.") from error


def _write_ffmpeg(part: Path, wave: np.ndarray, rate: int, suffix: str, subtype: str | None) -> None:
    if subtype is not None:
        raise AudioError(f"'{suffix}' files take no subtype.", got=f"'{subtype}'", remedy="Leave subtype out.")
    _check_full_scale(wave)

    def missing(reason: str) -> AudioError:
        return AudioError(f"'{suffix}' files need pydub and ffmpeg.", got=reason,
                          remedy="Install ffmpeg, or save as .flac, .ogg or .mp3.")

    pydub = _pydub(missing)
    pcm = (wave.T * 32767).round().astype("<i2").tobytes()
    segment = pydub.AudioSegment(pcm, sample_width=2, frame_rate=rate, channels=wave.shape[0])
    try:
        segment.export(part, format=FFMPEG_FORMATS[suffix]).close()
    except pydub.exceptions.PydubException as error:
        raise AudioError(f"ffmpeg could not write '{suffix}'.", got=str(error).split("\n\n")[0].strip(),
                         remedy="Save as .flac or .wav.") from error


def _check_full_scale(wave: np.ndarray) -> None:
    peak = float(max(wave.max(), -wave.min()))
    if peak > 1:
        raise AudioError("The clip is louder than this format can hold.", expected="samples within ±1",
                         got=f"a peak of {peak:.4g} ({20 * math.log10(peak):+.2f} dBFS)",
                         remedy="Level the peak first, or save as .wav with subtype FLOAT.")
