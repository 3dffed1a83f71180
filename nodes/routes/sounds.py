"""Sounds to play, their outlines, and how good they are as references."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path

from .. import load_voice
from ..host import files
from .answers import Refused, flac

LONGEST_NAME = 1000
MOST_SECONDS = 60.0  # whose quality is measured at once


async def clip(request):
    from aiohttp import web

    sound = sound_named("clip", request.match_info["name"])
    assert isinstance(sound, Path)  # clips of the pack are files
    return web.FileResponse(sound)


async def voice(request):
    sound = sound_named("voice", request.match_info["name"])
    assert isinstance(sound, bytes)  # a preview lies inside its voice
    return flac(sound)


async def peaks(request) -> dict:
    from ...higgs_runtime.audio.waveform import waveform_peaks

    query = request.query
    points = query.get("points", "512")
    if not re.fullmatch(r"\d{1,5}", points, re.ASCII):
        raise Refused(400, "`points` has to be a whole number.")

    def outline():
        sound = sound_named(query.get("kind", "input"), query.get("name", ""))
        return waveform_peaks(_decoded(sound) if isinstance(sound, bytes) else sound, int(points))

    found = await asyncio.to_thread(outline)
    low, high = ([round(value, 4) for value in side.tolist()] for side in (found.low, found.high))
    return {
        "seconds": found.seconds,
        "sample_rate": found.sample_rate,
        "channels": found.channels,
        "low": low,
        "high": high,
    }


async def quality(request) -> dict:
    query = request.query
    start, duration = (_seconds(query, name) for name in ("start", "duration"))
    report = await asyncio.to_thread(
        _quality, query.get("kind", "input"), query.get("name", ""), start, min(duration or MOST_SECONDS, MOST_SECONDS)
    )
    figures = {name: round(getattr(report, name), 2) for name in ("speech_dbfs", "noise_dbfs", "snr_db", "peak_dbfs")}
    return {
        **figures,
        "seconds": report.source_seconds,
        "clipped_samples": report.clipped_samples,
        "warnings": report.warnings,
    }


def _quality(kind: str, name: str, start: float, duration: float):
    from ...higgs_runtime import AudioClip
    from ...higgs_runtime.audio.clip import trim
    from ...higgs_runtime.voices import inspect_reference

    sound = sound_named(kind, name)
    if isinstance(sound, bytes):
        return inspect_reference(trim(_decoded(sound), start, duration))
    return inspect_reference(AudioClip.load(sound, start_s=start, duration_s=duration))


def _seconds(query, name: str) -> float:
    written = query.get(name, "0")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,9})?", written, re.ASCII):
        raise Refused(400, f"`{name}` has to be seconds, as 2.5.")
    return float(written)


def _decoded(flac: bytes):
    import soundfile
    import torch

    from ...higgs_runtime import AudioClip, VoiceError

    try:  # a voice may come from anybody: what it calls a sound may be none, or a small file of many hours
        with soundfile.SoundFile(io.BytesIO(flac)) as file:
            samples = file.read(round(MOST_SECONDS * file.samplerate), dtype="float32", always_2d=True)
            return AudioClip(torch.from_numpy(samples.T.copy()), file.samplerate)
    except (soundfile.SoundFileError, ValueError) as error:
        raise VoiceError(
            "The clip that the voice file keeps cannot be read.",
            expected="a FLAC file",
            got=str(error),
            remedy="Save the voice again.",
        ) from error


def sound_named(kind: str, name: str) -> Path | bytes:
    """The file, or the FLAC, that a request means.

    Raises:
        Refused: no such kind; there is none of this name, or it lies elsewhere.
    """
    from ...higgs_runtime import VoiceError

    found: Path | bytes | None = None
    if not 0 < len(name) <= LONGEST_NAME:
        raise Refused(404, "The name of a sound has 1 to 1000 characters.")
    if kind == "clip":
        found = files.pack_clip(name)
    elif kind == "voice":
        try:
            found = load_voice.preview(name)
        except VoiceError as error:
            raise Refused(404, str(error)) from error
    elif (folder := files.shown_folder(kind)) is not None:
        found = file_below(folder, name)
    else:
        raise Refused(400, "There is no such kind of sound: input, output, temp, clip or voice.")
    if not found:
        raise Refused(404, "There is no such sound.")
    return found


def file_below(folder: Path, name: str) -> Path | None:
    """The file of this name in or below the folder, links followed; None if there is none there."""
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # no name of a file: too long, or with a NUL
        return None


GET = {
    "/higgs/clips/{name}": clip,
    "/higgs/voices/{name}": voice,
    "/higgs/peaks": peaks,
    "/higgs/quality": quality,
}
POST = {}
