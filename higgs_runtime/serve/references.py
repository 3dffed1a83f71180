"""Reference clips that a client sends: read within limits as mono at the codec's rate, and nothing fetched that was not
allowed."""

from __future__ import annotations

import base64
import binascii
import http.client
import io
import urllib.request
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import torch

from ..audio.clip import AudioClip, to_mono
from ..audio.files import OPEN_LENGTH
from ..errors import AudioError
from ..voices.reference import lost_in_mono
from .budget import RATE
from .limits import ServerLimits

RATES, CHANNELS = (4_000, 192_000), 8
FETCH_TIMEOUT_S = 10.0
_BLOCK = 1 << 16  # bytes, or samples of each channel


def read_reference(source: str, limits: ServerLimits, rate: int = RATE, most_s: float | None = None) -> AudioClip:
    """The clip of a data URL, of plain base64, or of a URL or path where `limits` allow it. For `rate` and `most_s` see
    `clip_of`.

    Raises:
        AudioError: whatever is wrong with it.
    """
    if source.startswith("data:"):
        head, comma, data = source.partition(",")
        if not comma or not head.endswith(";base64"):
            raise AudioError(
                "The reference is not a base64 data URL.",
                expected="data:audio/wav;base64,…",
                got=head[:60],
                remedy="Encode the file in base64.",
            )
        return clip_of(_decoded(data), limits, rate, most_s)
    if source.startswith(("http://", "https://")):
        return clip_of(_fetched(source, limits), limits, rate, most_s)
    if source.startswith("file:") or (limits.folders and _path_like(source)):
        return clip_of(_file(source, limits), limits, rate, most_s)
    return clip_of(_decoded(source), limits, rate, most_s)


def clip_of(data: bytes, limits: ServerLimits, rate: int = RATE, most_s: float | None = None) -> AudioClip:
    """The clip in the bytes of a WAV, FLAC, OGG, MP3 or AIFF file. Only libsndfile reads what clients send: it opens no
    other files, as FFmpeg does for a playlist. A block at a time becomes what the codec would make of it: 62 kB of FLAC
    may be 184 MB of samples.

    Args:
        rate: of the clip, which is mono.
        most_s: seconds of it at most; None: as many as a request may have.

    Raises:
        AudioError: no such file, damaged, too long, with odd rates or channels, or samples that are not finite.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            own, channels = file.samplerate, file.channels
            if not RATES[0] <= own <= RATES[1] or channels > CHANNELS:
                raise AudioError(
                    "The reference clip has an odd form.",
                    got=f"{own} Hz, {channels} channels",
                    expected=f"{RATES[0]} to {RATES[1]} Hz, up to {CHANNELS} channels",
                    remedy="Convert it to 24 kHz mono.",
                )
            most = round((limits.reference_seconds if most_s is None else most_s) * own)
            if file.frames >= OPEN_LENGTH:
                raise AudioError(
                    "The reference clip does not state its length.",
                    got="an open one, as from a pipe",
                    expected="a file that says how long it is",
                    remedy="Export it again as wav or flac.",
                )
            if file.frames > most:
                raise too_long(limits)
            samples = _converted(file, rate, most, limits)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError(
            "The reference clip cannot be read.",
            expected="a wav, flac, ogg or mp3 file that is intact",
            got=f"{len(data)} bytes ({error})",
            remedy="Export it again as wav or flac.",
        ) from error
    if len(samples) == 0:
        raise AudioError("The reference clip is empty.", expected="samples", got="none", remedy="Export it again.")
    return AudioClip(samples[None], rate)


def _converted(file, rate: int, most: int, limits: ServerLimits) -> torch.Tensor:
    """`resample(to_mono(…))` block by block, whatever length the header told."""
    import soxr

    stream = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32", quality="HQ")
    samples_read, parts = 0, []
    channel_power, mono_power = np.zeros(file.channels), 0.0
    while len(block := file.read(frames=_BLOCK, dtype="float32", always_2d=True)):
        samples_read += len(block)
        if samples_read > most:
            raise too_long(limits)
        channel_power += np.square(block, dtype=np.float64).sum(0)
        mono = to_mono(AudioClip(torch.from_numpy(block.T.copy()), file.samplerate)).samples[0].numpy()
        mono_power += float(np.square(mono, dtype=np.float64).sum())
        parts.append(mono if rate == file.samplerate else stream.resample_chunk(mono))
    lost_in_mono(float(channel_power.max()), mono_power)
    parts.append(stream.resample_chunk(np.zeros(0, "float32"), last=True))
    made, length = torch.from_numpy(np.concatenate(parts)), -(-samples_read * rate // file.samplerate)
    return torch.nn.functional.pad(made[:length], (0, max(0, length - len(made))))


def too_long(limits: ServerLimits) -> AudioError:
    return AudioError(
        "The references are too long.",
        expected=f"at most {limits.reference_seconds:g} s together",
        got="more",
        remedy="Cut them to 5 to 15 s of one speaker.",
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AudioError(
            "The reference is not base64.",
            expected="a data URL, or base64 of a sound file",
            got=f"{text[:40]!r} ({error})",
            remedy="Send the file itself; this server takes URLs and paths only where it was told to.",
        ) from error


def _path_like(source: str) -> bool:
    return len(source) < 4096 and Path(source).suffix.lower() in (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff")


def _file(source: str, limits: ServerLimits) -> bytes:
    refused = AudioError(
        "This server does not read that path for clients.",
        got=source[:200],
        expected="a sound file below a folder that it allows" if limits.folders else "the file itself",
        remedy="Send the file as a data URL, or start the server with --allow-folder.",
    )
    place = unquote(source.removeprefix("file:").removeprefix("//")) if source.startswith("file:") else source
    if "\0" in place:
        raise refused
    try:
        path = Path(place).resolve()
        inside = any(path.is_relative_to(folder.resolve()) for folder in limits.folders)
        if not inside or not path.is_file() or path.stat().st_size > limits.body_bytes:
            raise refused
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise refused from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_more):
        return None  # an error then: where it leads was not allowed


def _fetched(source: str, limits: ServerLimits) -> bytes:
    odd = any(part in source.lower() for part in ("..", "%2e", "\\", "\0", " "))
    if odd or not any(source.startswith(address) for address in limits.addresses):
        raise AudioError(
            "This server does not fetch that URL for clients.",
            got=source[:200],
            expected="a URL below one that it allows" if limits.addresses else "the file itself",
            remedy="Send the file as a data URL, or start the server with --allow-url.",
        )
    try:
        with urllib.request.build_opener(_NoRedirect).open(source, timeout=FETCH_TIMEOUT_S) as answer:
            data = bytearray()
            while block := answer.read(_BLOCK):
                data += block
                if len(data) > limits.body_bytes:
                    raise AudioError(
                        "The reference at this URL is too large.",
                        got="more",
                        expected=f"at most {limits.body_bytes} bytes",
                        remedy="Use a shorter clip.",
                    )
            return bytes(data)
    except (http.client.HTTPException, OSError, ValueError) as error:  # the first: what answers speaks no HTTP
        if isinstance(error, AudioError):
            raise
        raise AudioError(
            "The reference could not be fetched.",
            expected="a sound file at the URL",
            got=str(error),
            remedy="Check the URL, or send the file as a data URL.",
        ) from error
