"""Sound as the bytes of a file, while the sound is made.

WAV and PCM are written here, the others by PyAV (FFmpeg's libraries). Shapes: C channels, T samples; arrays are NumPy
float32 [C, T].
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from ...errors import AudioError, MissingExtraError
from .codecs import CODINGS, LAYOUTS, audio_frame, codec_options_of, encode

if TYPE_CHECKING:
    import numpy as np
    from av.audio.stream import AudioStream

MEDIA_TYPES = {  # of the formats
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
}
_OPEN_END = 0xFFFFFFFF  # as size in the header of a WAV file whose end is not known
# Nothing is held back, and nothing at the start is written again at the end.
_STREAMED = {"mp3": {"write_xing": "0"}, "opus": {"page_duration": "200000"}}


def file_bytes(format: str, wave: np.ndarray, rate: int, kbps: int | None = None) -> bytes:
    """A whole file; samples beyond ±1 are cut off.

    Args:
        format: of MEDIA_TYPES; "pcm" is 16-bit, little-endian, channels interleaved, without a header.

    Raises:
        As `StreamEncoder`.
    """
    _check(format, wave.shape[0])
    if format in ("wav", "pcm"):
        samples = _sixteen_bit(wave)
        return (b"" if format == "pcm" else _wav_header(rate, wave.shape[0], len(samples))) + samples
    file = io.BytesIO()
    encode(file, wave.clip(-1, 1), rate, CODINGS[format], kbps)
    return file.getvalue()


class StreamEncoder:
    """A file in pieces: all that `push` and `finish` give, in a row, is the file. Samples beyond ±1 are cut off.

    Args:
        format: of MEDIA_TYPES, as in `file_bytes`.

    Raises:
        AudioError: there is no such format, it takes fewer channels, or FFmpeg refuses.
        MissingExtraError: PyAV (extra `export`) is not installed, and the format needs it.
    """

    def __init__(self, format: str, rate: int, channels: int = 1, kbps: int | None = None):
        _check(format, channels)
        self._wave_header = _wav_header(rate, channels, None) if format == "wav" else b""
        self._coder = None if format in ("wav", "pcm") else _Coder(format, rate, channels, kbps)

    def push(self, wave: np.ndarray) -> bytes:
        """The bytes that the next samples complete; there may be none."""
        if self._coder is not None:
            return self._coder.push(wave.clip(-1, 1))
        header, self._wave_header = self._wave_header, b""
        return header + _sixteen_bit(wave)

    def finish(self) -> bytes:
        """What has been held back."""
        header, self._wave_header = self._wave_header, b""
        return header if self._coder is None else self._coder.finish()


class _Coder:
    """FFmpeg's codec and muxer, writing into memory."""

    def __init__(self, format: str, rate: int, channels: int, kbps: int | None):
        try:
            import av.error
        except ImportError as error:
            raise MissingExtraError(f"Sound as {format}", "export", "av") from error
        coding = CODINGS[format]
        self._refusals, self._name = (av.error.FFmpegError, ValueError), format
        self._rate, self._channels, self._written = coding.rate_for(rate), channels, 0
        self._resampler = _resampler(rate, self._rate, channels)
        self._file = _Pipe()
        try:
            self._container = av.open(
                self._file,
                "w",
                format=coding.muxer,
                buffer_size=1024,
                container_options={**coding.muxer_options, **_STREAMED.get(format, {}), "fflags": "+flush_packets"},
            )
            stream = self._container.add_stream(
                coding.codec, rate=self._rate, layout=LAYOUTS[channels], options=codec_options_of(coding, channels)
            )
            self._stream = cast("AudioStream", stream)  # every one of CODINGS is of sound
            self._stream.format = coding.sample_format
            if wanted := kbps or coding.kbps:
                self._stream.bit_rate = 1000 * wanted
            self._container.start_encoding()
        except self._refusals as error:
            raise self._refused(error) from error

    def push(self, wave: np.ndarray) -> bytes:
        self._encode(wave if self._resampler is None else self._resampler(wave, last=False))
        return self._file.taken()

    def finish(self) -> bytes:
        import numpy as np

        if self._resampler is not None:
            self._encode(self._resampler(np.zeros((self._channels, 0), np.float32), last=True))
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except self._refusals as error:
            raise self._refused(error) from error
        return self._file.taken()

    def _encode(self, wave: np.ndarray) -> None:
        if wave.shape[1] == 0:
            return
        try:
            frame = audio_frame(wave.clip(-1, 1))
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._written, Fraction(1, self._rate)
            self._container.mux(self._stream.encode(frame))
        except self._refusals as error:
            raise self._refused(error) from error
        self._written += wave.shape[1]

    def _refused(self, error: Exception) -> AudioError:
        return AudioError(
            f"FFmpeg could not write this as {self._name}.",
            got=str(error),
            remedy="Ask for wav.",
            expected="a rate and channel count that it supports",
        )


class _Pipe:
    """A file that can only be written, for FFmpeg."""

    def __init__(self):
        self._parts: list[bytes] = []

    def write(self, data) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _resampler(rate: int, wanted: int, channels: int):
    """What turns [C, n] at one rate into [C, m] at the other, piece by piece; None where they are the same."""
    if rate == wanted:
        return None
    import soxr

    stream = soxr.ResampleStream(rate, wanted, channels, dtype="float32")
    return lambda wave, last: stream.resample_chunk(wave.T, last=last).reshape(-1, channels).T


def _check(format: str, channels: int) -> None:
    if format not in MEDIA_TYPES:
        raise AudioError(
            "There is no such format.",
            expected="one of " + ", ".join(MEDIA_TYPES),
            got=repr(format),
            remedy="Ask for one of these.",
        )
    most = CODINGS[format].channels if format in CODINGS else 8
    if not 1 <= channels <= most:
        raise AudioError(
            f"{format} does not take so many channels.",
            expected=f"1 to {most}",
            got=str(channels),
            remedy="Mix down, or ask for wav.",
        )


def _sixteen_bit(wave: np.ndarray) -> bytes:
    return (wave.clip(-1, 1).T * 32767).round().astype("<i2").tobytes()


def _wav_header(rate: int, channels: int, data_bytes: int | None) -> bytes:
    """44 bytes of a RIFF file with 16-bit PCM. None: its end is not known."""
    whole = _OPEN_END if data_bytes is None else min(36 + data_bytes, _OPEN_END)
    data = _OPEN_END if data_bytes is None else min(data_bytes, _OPEN_END)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        whole,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        rate * channels * 2,
        channels * 2,
        16,
        b"data",
        data,
    )
