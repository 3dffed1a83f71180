"""Sound files as arrays: which library reads what, and which damage is noticed.

`AudioClip.load` is the public side. Shapes: C channels, T samples; arrays are NumPy float32 [C, T].
"""

from __future__ import annotations

import math
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import AudioError
from .container_length import missing_bytes

if TYPE_CHECKING:
    import numpy as np

_MP3_PREROLL = 40 * 1152  # samples: an MP3 frame borrows bits from earlier ones, so decoding starts well before
OPEN_LENGTH = 2**62  # frames: libsndfile tells as many or more where a header leaves them open
_SF_MALFORMED = 3  # libsndfile knows the format, and the file breaks its rules
_AV_PREROLL_S = 0.5  # AAC and its kin need an earlier packet too
# Where in a file of Vorbis or Opus (RFC 7845, 5.1.1.2) each channel is, by our order, which is that of WAV. libsndfile
# leaves them where they are.
VORBIS_ORDER = {
    3: [0, 2, 1],
    5: [0, 2, 1, 3, 4],
    6: [0, 2, 1, 5, 3, 4],
    7: [0, 2, 1, 6, 5, 3, 4],
    8: [0, 2, 1, 7, 5, 6, 3, 4],
}
# Samples of its own that a coder begins with, in streams that have no place to say so: half a window of each.
_PRIMING = {"aac": 1024, "ac3": 256, "eac3": 256}
_EXACT_CONTAINERS = {"mp4", "caf", "wav", "w64", "aiff"}  # ffmpeg only estimates the duration of others

# How libsndfile's log tells that a file ends before its header says: (declared, found).
_SIZE_MISMATCH = re.compile(r"^ *(?:data|SSND|riff|Data Size) *: (\d+) \(should be (\d+)\)", re.M)
_RF64_MISMATCH = re.compile(r"frame count (?P<found>\d+) does not match value from 'ds64' chunk of (?P<declared>\d+)")


def check_span(start_s: float, duration_s: float | None) -> None:
    """Raises AudioError unless start_s ≥ 0 and duration_s > 0 (or None), both finite, in seconds."""
    if not math.isfinite(start_s) or start_s < 0:
        raise AudioError(
            "The start time is not usable.",
            expected="0 seconds or more",
            got=f"{start_s} s",
            remedy="Count the start from the beginning of the clip.",
        )
    if duration_s is not None and (not math.isfinite(duration_s) or duration_s <= 0):
        raise AudioError(
            "The duration is not usable.",
            expected="more than 0 seconds",
            got=f"{duration_s} s",
            remedy="Leave the duration out to take everything up to the end.",
        )


def span(total: int, rate: int, start_s: float, duration_s: float | None, name: str) -> tuple[int, int]:
    """First sample and sample count of the asked part of `total` samples; AudioError when nothing is left."""
    first = round(start_s * rate)
    if total == 0:
        raise AudioError(
            f"There is no audio in {name}.", expected="samples", got="0 samples", remedy="Check the step that made it."
        )
    if first >= total:
        raise AudioError(
            f"Nothing is left of {name} at the start time.",
            expected=f"a start before {total / rate:g} s",
            got=f"{start_s:g} s",
            remedy="Choose an earlier start.",
        )
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
        raise AudioError(
            f"There is no audio file at '{path}'.",
            expected="a file",
            got="a folder" if path.is_dir() else "nothing" if not path.exists() else "a special file",
            remedy="Check the path.",
        )
    tried = []
    for name, read in (("soundfile", _read_soundfile), ("PyAV", _read_av), ("pydub", _read_pydub)):
        try:
            if path.stat().st_size == 0:
                raise AudioError(
                    f"The file '{path}' is empty.",
                    expected="audio data",
                    got="0 bytes",
                    remedy="Copy or export the file again.",
                )
            return read(path, start_s, duration_s)
        except Unreadable as error:
            tried.append(f"{name} ({error})")
        except MemoryError as error:
            raise AudioError(
                f"'{path}' does not fit in memory.", expected="a shorter part", remedy="Set a start and a duration."
            ) from error
        except OSError as error:
            raise AudioError(
                f"'{path}' could not be opened: {error.strerror or error}.", remedy="Check the permissions."
            ) from error
    raise AudioError(
        f"'{path}' could not be read as audio.",
        expected="a sound or video file that is intact",
        got="these refusals: " + "; ".join(tried),
        remedy="Convert the file to wav or flac, or export it again.",
    )


def open_soundfile(path: Path, once: bool = False):
    """libsndfile's reader of a file that is whole and tells its length.

    Args:
        once: `read_at` is called a single time, which is all that some codings of telephones allow (GSM 6.10, G.721).

    Raises:
        Unreadable: libsndfile is missing, does not know the format, finds no length, or reads it only once.
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
            if _is_chained(path):
                raise Unreadable("several streams one after another, of which it reads the first")
        if file.format == "MP3" and not _tells_length(path):
            raise Unreadable("the header tells no length")
        if len(file) == 0 or len(file) >= OPEN_LENGTH:  # a stream's header may leave the length open
            raise Unreadable(f"the header tells {'no samples' if len(file) == 0 else 'no length'}")
        if not (once or file.seekable()):
            raise Unreadable(f"{file.subtype_info} is read from its start alone")
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

    seeks = file.seekable()
    skip = 0 if seeks else first
    if file.format == "MP3":
        skip = min(first, _MP3_PREROLL)
    try:
        if seeks:
            file.seek(first - skip)
        wave = file.read(skip + count, dtype="float32", always_2d=True)[skip:]
    except soundfile.SoundFileError as error:
        raise _cut_off(path, "an intact file", str(error)) from error
    if len(wave) < count:
        raise _cut_off(path, f"{count} samples from {first / file.samplerate:g} s", str(len(wave)))
    return wave[:, VORBIS_ORDER[file.channels]] if file.format == "OGG" and file.channels in VORBIS_ORDER else wave


def _read_soundfile(path: Path, start_s: float, duration_s: float | None):
    import numpy as np

    with open_soundfile(path, once=True) as file:
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


def _is_chained(path: Path) -> bool:
    """Whether streams follow each other in an Ogg file (RFC 3533, 4), as where such files were put end to end: a first
    page comes behind others than first pages."""
    begun = False
    with open(path, "rb") as file:
        tail = b""
        while block := file.read(1 << 20):
            data = tail + block
            at = data.find(b"OggS\0")
            while 0 <= at < len(data) - 6:
                is_first = bool(data[at + 5] & 2)
                if is_first and begun:
                    return True
                begun = begun or not is_first
                at = data.find(b"OggS\0", at + 5)
            tail = data[-6:] if at < 0 else data[at:]
    return False


def _tells_length(path: Path) -> bool:
    """Whether an MP3 file's first frame counts the others (Xing, Info or VBRI). Live ones do not, and libsndfile takes
    the length that it guesses from their first bytes for the right one."""
    with open(path, "rb") as file:
        start = file.read(10)
        while start[:3] == b"ID3":
            size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(start[6:])))
            file.seek(size, 1)
            start = file.read(10)
        frame = start + file.read(4096)  # there may be a few bytes of filling in front
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def _cut_off(path: Path, expected: str, got: str) -> AudioError:
    return AudioError(
        f"'{path}' is cut off or damaged.",
        expected=expected,
        got=got,
        remedy="Copy, download or export the file again.",
    )


def _read_av(path: Path, start_s: float, duration_s: float | None):
    try:
        import av.error
    except ImportError as error:
        raise Unreadable("not installed") from error
    if missing := missing_bytes(path):  # FFmpeg hands out what there is; how it ends depends on its version
        raise _cut_off(path, f"{missing} bytes more", f"{path.stat().st_size} bytes")
    try:
        with _opened(av, path) as container:
            return _decode_av(container, _audio_stream(container, path), path, start_s, duration_s)
    except AudioError:
        raise
    except (av.error.FFmpegError, ValueError) as error:  # before OSError in read_file: some are both
        raise Unreadable(str(error).split(": 'file:")[0]) from error


def _opened(av, path: Path):
    """FFmpeg's reader; a stream of a single frame is known by its suffix alone."""
    place, options = f"file:{path.absolute()}", {"protocol_whitelist": "file"}
    try:
        return av.open(place, options=options)
    except av.error.InvalidDataError:
        if (kind := path.suffix.lower()[1:]) not in _PRIMING:
            raise
        return av.open(place, format=kind, options=options)


def _decode_av(container, stream, path: Path, start_s: float, duration_s: float | None):
    import numpy as np

    rate, pieces = _av_pieces(container, stream, path, start_s, duration_s)
    return np.concatenate(list(pieces), axis=1), rate


def _av_pieces(container, stream, path: Path, start_s: float, duration_s: float | None, stereo: bool = False):
    """The rate, and pieces [C, n] of what is asked for, decoded as they are taken."""
    if not (stream.codec_context and stream.codec_context.sample_rate):
        raise Unreadable("the audio track has no known encoding")
    rate = stream.codec_context.sample_rate
    return rate, _decoded(container, stream, path, (start_s, duration_s), rate, stereo)


def _decoded(container, stream, path: Path, wanted: tuple[float, float | None], rate: int, stereo: bool):
    import av

    start_s, duration_s = wanted
    tick, origin = stream.time_base, stream.start_time or 0
    # In an MP3 file that does not tell its length the places are guesses too.
    first, seeks = round(start_s * rate), start_s > _AV_PREROLL_S and container.format.name != "mp3"
    end = math.inf if duration_s is None else first + max(1, round(duration_s * rate))
    kinds = set(container.format.name.split(","))
    priming = next((_PRIMING[kind] for kind in kinds & _PRIMING.keys()), 0)
    length = math.inf
    if "mp4" in kinds and stream.duration:  # what stands behind is the rest of a frame
        length = max(1, round(stream.duration * tick * rate))
    end = min(end, length)
    if seeks:
        container.seek(origin + int((start_s - _AV_PREROLL_S) / tick), stream=stream)
    layout = stream.codec_context.layout
    fewer = stereo and layout.nb_channels > 2 and not layout.name.endswith("channels")  # where each one stands is known
    # Packed: of planar frames it handles six channels at most (18.1).
    to_float = av.AudioResampler(format="flt", layout="stereo" if fewer else None)
    position, given = None, False
    for frame in container.decode(stream):
        for block in to_float.resample(frame):
            if position is None:  # later time stamps jitter in some containers, the sample count does not
                position = -priming
                if seeks and block.pts is not None and block.time_base is not None:
                    position += round((block.pts * block.time_base - origin * tick) * rate)
            wave = block.to_ndarray().reshape(-1, len(block.layout.channels)).T
            low, high = max(0, first - position), min(wave.shape[1], end - position)
            if low < high:
                given = True
                yield wave[:, low:high]
            position += wave.shape[1]
        if position is not None and position >= end:
            break
    found = position or 0
    if stream.duration and _EXACT_CONTAINERS & kinds:
        length_s = float(stream.duration * tick)
        if found < min(end, (length_s - 0.25) * rate):
            raise _cut_off(path, f"{length_s:g} s", f"{found / rate:g} s")
    if not given:
        span(int(min(found, length)), rate, start_s, duration_s, f"'{path}'")
        raise Unreadable("nothing could be decoded at the start time")


def decoded_pieces(path: Path, stereo: bool = False):
    """The rate of a file that FFmpeg reads, and its sound in pieces [C, n], decoded as they are taken.

    Args:
        stereo: surround sound is mixed down as FFmpeg does it (ITU-R BS.775: centre and surrounds 3 dB lower on the two
            sides, the low effects left out).

    Raises:
        AudioError: it holds no audio, or is damaged; also while pieces are taken.
    """
    import av.error

    def pieces():
        try:
            with _opened(av, path) as container:
                stream = _audio_stream(container, path)
                yield stream.codec_context.sample_rate
                yield from _av_pieces(container, stream, path, 0.0, None, stereo)[1]
        except (av.error.FFmpegError, ValueError, Unreadable) as error:
            raise _cut_off(path, "an intact sound track", str(error)) from error

    found = pieces()
    return next(found), found


def sound_length(path: Path) -> tuple[float, float]:
    """(delay, seconds) of a file's sound: how much later than the film it begins, as the container says, and how long
    it is. A sound file has no delay; a length that no header tells is found by decoding.

    Raises:
        AudioError: it cannot be read.
    """
    try:
        with open_soundfile(path) as file:
            return 0.0, len(file) / file.samplerate
    except Unreadable:
        pass
    try:
        import av.error
    except ImportError:
        wave, rate = read_file(path, 0.0, None)
        return 0.0, wave.shape[1] / rate
    try:
        with _opened(av, path) as container:
            stream = _audio_stream(container, path)
            delay_s = float((stream.start_time or 0) * stream.time_base) - (container.start_time or 0) / av.time_base
            if stream.duration:
                seconds = float(stream.duration * stream.time_base)
            else:  # Matroska tells that of the whole file
                rate, parts = decoded_pieces(path)
                seconds = sum(one.shape[1] for one in parts) / rate
            return max(0.0, delay_s), seconds
    except (av.error.FFmpegError, ValueError) as error:
        raise _cut_off(path, "an intact sound track", str(error)) from error


def _audio_stream(container, path: Path):
    if not container.streams.audio:
        raise AudioError(
            f"'{path}' holds no audio.",
            expected="an audio track",
            got=container.format.name,
            remedy="Choose a file with sound.",
        )
    return container.streams.audio[0]


def _read_pydub(path: Path, start_s: float, duration_s: float | None):
    import numpy as np

    pydub = _pydub()
    try:
        part = pydub.AudioSegment.from_file(path, start_second=start_s, duration=duration_s)
        wave = np.array(part.get_array_of_samples(), dtype=np.float32).reshape(-1, part.channels)
        full, rate = np.float32(2 ** (8 * part.sample_width - 1)), part.frame_rate
    except MemoryError:
        raise
    except Exception as error:  # it trusts what a file's header says of itself, and fails in as many ways
        raise Unreadable((str(error).split("\n\n")[0].strip() or type(error).__name__)) from error
    if len(wave) == 0:
        raise Unreadable(f"no samples from {start_s:g} s")
    return np.ascontiguousarray(wave.T) / full, rate


def _pydub():
    """The pydub package, or `Unreadable` where it or the ffmpeg program is missing."""
    if not (shutil.which("ffmpeg") or shutil.which("avconv")):
        raise Unreadable("the ffmpeg program was not found")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pydub
            import pydub.exceptions
    except ImportError as error:  # pydub itself, or audioop on Python 3.13
        raise Unreadable(f"not installed: {error}") from error
    return pydub
