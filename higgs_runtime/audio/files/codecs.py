"""Coded sound files through PyAV (FFmpeg's libraries), with tags, chapters and a cover.

Shapes: C channels, T samples; arrays are NumPy float32 [C, T].
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from ...errors import AudioError, MissingExtraError
from .id3 import id3_tag
from .tags import NOTHING_TOLD, Chapter as Chapter, Cover as Cover, Told, cut_to_bytes

if TYPE_CHECKING:
    import numpy as np

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_BLOCK = 65_536  # samples at once
MOST_TITLE_BYTES = 255  # of a chapter in MP4: FFmpeg cuts longer ones there, also inside a letter
MOST_NERO_CHAPTERS = 255  # the list of Nero counts them in a byte (libavformat/movenc.c)
_AAC = (7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
# The lower rates of MP3 end at 160 kbit/s, and ComfyUI's editor does not find the workflow in such files.
_MP3 = (44_100, 48_000)
# In Matroska the delay of the codec is told in samples of this rate but counted in those of 48 kHz (FFmpeg 8.0): the
# first milliseconds of other rates are lost to every reader.
_OPUS = (8000, 12_000, 16_000, 24_000, 48_000)


@dataclass(frozen=True)
class Coding:
    """How a kind of file is written.

    Attributes:
        muxer, codec, sample_format: FFmpeg's names.
        rates: what the codec takes, rising; () takes all.
        channels: at most.
        kbps: bit rate where none is asked for; None where there is none.
        muxer_options, codec_options: FFmpeg's.
        frame: samples of one codec frame at the coded rate: by so much the length may change where the file does not
            say it (aac, wma, ac3).
        lead, tail: samples that every decoder leaves out at the start and at the end.
    """

    muxer: str
    codec: str
    sample_format: str
    rates: tuple[int, ...] = ()
    channels: int = 8
    kbps: int | None = None
    frame: int = 1
    lead: int = 0
    tail: int = 0
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)

    def rate_for(self, rate: int) -> int:
        """The nearest rate from this one up that the codec takes, else its highest."""
        return next((one for one in self.rates if one >= rate), self.rates[-1]) if self.rates else rate


def _mp4(brand: str) -> Coding:
    return Coding("mp4", "aac", "fltp", _AAC, kbps=128, frame=1024, muxer_options={"brand": brand})


CODINGS = {
    "flac": Coding("flac", "flac", "s16"),
    "flac24": Coding("flac", "flac", "s32", codec_options={"bits_per_raw_sample": "24"}),
    "mp3": Coding("mp3", "libmp3lame", "fltp", _MP3, 2, 192, 1152, muxer_options={"id3v2_version": "0"}),
    "opus": Coding("opus", "libopus", "flt", _OPUS, kbps=96, frame=960),
    "m4a": _mp4("M4A "),
    "m4b": _mp4("M4B "),
    "mp4": _mp4("isom"),
    "aac": Coding("adts", "aac", "fltp", _AAC, kbps=128, frame=1024),
    "wma": Coding("asf", "wmav2", "fltp", (8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000), 2, 128, 2048, 2048),
    "ac3": Coding("ac3", "ac3", "fltp", (32_000, 44_100, 48_000), 6, 192, 1536, tail=256),
    "mka": Coding("matroska", "libopus", "flt", (48_000,), kbps=96, frame=960),
    "webm": Coding("webm", "libopus", "flt", (48_000,), kbps=96, frame=960),
}


def pyav():
    """The package; asked for before the long work, too.

    Raises:
        MissingExtraError: it (extra `export`) is not installed.
    """
    try:
        import av.error
    except ImportError as error:
        raise MissingExtraError("Writing this kind of file", "export", "av") from error
    return av


def encode(
    file: BinaryIO,
    wave: np.ndarray,
    rate: int,
    coding: Coding,
    kbps: int | None = None,
    told: Told = NOTHING_TOLD,
) -> None:
    """Writes a whole file; a rate that the codec does not take is first changed to `coding.rate_for` of it.

    Args:
        file: open for writing, and seekable.
        wave: within ±1.

    Raises:
        MissingExtraError: PyAV (extra `export`) is not installed.
        AudioError: too many channels, or FFmpeg refuses.
        OSError: the file cannot be written.
    """
    import numpy as np

    av = pyav()
    if wave.shape[0] > coding.channels:
        raise AudioError(
            f"{coding.codec} takes fewer channels.",
            expected=f"{coding.channels} at most",
            got=str(wave.shape[0]),
            remedy="Mix down, or save as .wav.",
        )
    coded = coding.rate_for(rate)
    if coded != rate:
        import soxr

        wave = soxr.resample(wave.T, rate, coded).T.clip(-1, 1)
    if coding.lead or coding.tail:
        wave = np.pad(wave, ((0, 0), (coding.lead, coding.tail)))
    if coding.muxer == "mp3":  # FFmpeg's own tag is not read everywhere
        file.write(id3_tag(told))
        told = NOTHING_TOLD
    watched, options = _Watched(file), dict(coding.muxer_options)
    if coding.muxer == "mp4":
        options["movie_timescale"] = str(coded)  # the length in samples; FFmpeg's own unit is 1 ms
        if len(told.chapters) > MOST_NERO_CHAPTERS:  # its list would end there, and hide the track that holds them all
            options["movflags"] = "disable_chpl"
    try:
        with av.open(watched, "w", format=coding.muxer, options=options) as container:
            stream = container.add_stream(
                coding.codec, rate=coded, layout=LAYOUTS[wave.shape[0]], options=codec_options_of(coding, len(wave))
            )
            stream.format = coding.sample_format
            if wanted := kbps or coding.kbps:
                stream.bit_rate = 1000 * wanted
            container.metadata.update({**told.further, **told.tags})
            picture = _add_extras(container, coding, told.chapters, told.cover)
            container.start_encoding()
            if picture is not None:
                container.mux(picture)
            _encode_samples(container, stream, wave, coded)
    except (av.error.FFmpegError, ValueError) as error:
        if watched.error:
            raise watched.error from error
        raise AudioError(
            f"FFmpeg could not write this as {coding.codec}.",
            got=str(error),
            expected="a rate and channel count that it supports",
            remedy="Resample, mix down, or save as .wav.",
        ) from error


class _Watched:
    """A file for FFmpeg, from the place on where it stands, that keeps the operating system's error: FFmpeg itself may
    pass over it."""

    def __init__(self, file: BinaryIO):
        self._file, self.error, self._start = file, None, file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset + (0 if whence else self._start), whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise


def _encode_samples(container, stream, wave: np.ndarray, rate: int) -> None:
    for start in range(0, wave.shape[1], _BLOCK):
        block = wave[:, start : start + _BLOCK]
        frame = audio_frame(block)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def audio_frame(block: np.ndarray):
    """PyAV's frame of float32 [C, n], with packed samples: of planar frames it handles six channels at most (18.1)."""
    import av
    import numpy as np

    packed = np.ascontiguousarray(block.T, dtype=np.float32).reshape(1, -1)
    return av.AudioFrame.from_ndarray(packed, format="flt", layout=LAYOUTS[block.shape[0]])


def codec_options_of(coding: Coding, channels: int) -> dict[str, str]:
    """FFmpeg's options for so many channels."""
    surround = {"mapping_family": "1"} if coding.codec == "libopus" and channels > 2 else {}  # else they are permuted
    return {**coding.codec_options, **surround}


def _add_extras(container, coding: Coding, chapters: Sequence[Chapter], cover: Cover | None):
    """Chapters and cover where this muxer wants them; the packet of the cover's stream, if it has one."""
    import av.stream

    if chapters and coding.muxer in ("flac", "opus"):  # Vorbis comments: FFmpeg writes none, or rounds whole seconds
        for number, chapter in enumerate(chapters):
            minutes, ms = divmod(round(1000 * chapter.start_s), 60_000)
            clock = f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
            container.metadata[f"CHAPTER{number:03}"] = clock
            container.metadata[f"CHAPTER{number:03}NAME"] = chapter.title
    elif chapters:
        if not hasattr(container, "set_chapters"):
            raise AudioError(
                "This PyAV does not write chapters.",
                got=f"av {av.__version__}",
                remedy="With the Python that runs this: pip install --upgrade av",
            )
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": round(1000 * chapter.start_s),
                    "end": round(1000 * chapter.end_s),
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": cut_to_bytes(chapter.title, MOST_TITLE_BYTES)},
                }
                for number, chapter in enumerate(chapters)
            ]
        )
    if cover is None:
        return None
    if coding.muxer == "opus":
        container.metadata["METADATA_BLOCK_PICTURE"] = base64.b64encode(_flac_picture(cover)).decode()
        return None
    stream = container.add_stream("mjpeg")
    stream.width, stream.height, stream.pix_fmt = cover.width, cover.height, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(cover.data)
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 90_000)
    packet.is_keyframe = True
    return packet


def _flac_picture(cover: Cover) -> bytes:
    """The picture block of FLAC (RFC 9639, 8.8), which Opus files carry as a comment: a front cover."""
    mime = b"image/jpeg"
    return (
        struct.pack(">II", 3, len(mime))
        + mime
        + struct.pack(">IIIII", 0, cover.width, cover.height, 24, 0)
        + struct.pack(">I", len(cover.data))
        + cover.data
    )


def append_id3(file: BinaryIO, tag: bytes) -> None:
    """Adds a tag to a finished WAV file, as the `id3 ` chunk that players read.

    Raises:
        AudioError: the file would be too long.
        OSError: it cannot be written.
    """
    end = file.seek(0, io.SEEK_END)
    if end + len(tag) > 2**32 - 16:  # the size field of a WAV file has 32 bits
        raise AudioError(
            "The clip and its tags are too long for a WAV file.",
            expected="less than 4 GiB",
            got=f"{end + len(tag)} bytes",
            remedy="Export as FLAC.",
        )
    file.write(b"\0" * (end % 2) + b"id3 " + struct.pack("<I", len(tag)) + tag + b"\0" * (len(tag) % 2))
    total = file.tell()
    file.seek(4)
    file.write(struct.pack("<I", total - 8))
