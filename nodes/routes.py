"""The pack's HTTP routes, all below /higgs/: sounds, outlines, takes, and scripts. ComfyUI's rule of one origin holds.

    GET  /higgs/clips/<name>, /higgs/voices/<name>    a sound to play
    GET  /higgs/peaks?kind=…&name=…&points=512        its outline; kind: input, output, temp, clip or voice
    GET  /higgs/quality?kind=…&name=…&start=0&duration=0   how good it is as a reference, a minute of it at most
    GET  /higgs/takes?line=<key of a line>            what is known of its takes
    GET  /higgs/takes/<key>                           a take as FLAC; the header X-Loudness-LUFS says how loud it is
    GET  /higgs/warnings?prompt=<id>                  what the nodes of a prompt warned of, by their ids
    GET  /higgs/notice?checkpoint=<choice>            what is to be known of who speaks: the demonstration, a licence
    POST /higgs/takes/<key>/lock, …/unlock
    POST /higgs/script/check                          turns, errors and warnings of a script (text)
    POST /higgs/script/lines                          what became of its lines in its last render
    POST /higgs/script/subtitles                      subtitles (SRT or WebVTT) as a script

What is refused is JSON, {"error": why}, with a status from 400 on. No name leads out of its folder; bodies have an end.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory

from . import checkpoints, line_states, load_voice, take_sounds
from .host import files, messages

MOST_BYTES = 1 << 20  # of a script
LONGEST_NAME = 1000
MOST_SECONDS = 60.0  # whose quality is measured at once
MOST_TAKES = 200  # of a line, in one answer
LINE = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """Ends a request with a status and a reason."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


def serve(routes) -> None:
    """Adds the routes to aiohttp's table; None (the nodes alone, without a server): none."""
    if routes is None:
        return
    for path, handler in GET.items():
        routes.get(path)(_answering(handler))
    for path, handler in POST.items():
        routes.post(path)(_answering(handler))


def _answering(handler: Callable):
    """The handler with what it returns, or why it refuses, as an answer."""
    from aiohttp import web

    from ..higgs_runtime import HiggsError

    @wraps(handler)
    async def answer(request):
        try:
            found = await handler(request)
        except Refused as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except HiggsError as error:
            return web.json_response({"error": str(error)}, status=400)
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)

    return answer


# --- sounds ---------------------------------------------------------------------------------------------------------


async def warnings(request) -> dict:
    return messages.warnings_of(request.query.get("prompt", ""))


async def notice(request) -> dict:
    from ..higgs_runtime.hub.releases import notice_of

    choice = request.query.get("checkpoint", checkpoints.AUTO)
    return {"notice": notice_of(await asyncio.to_thread(checkpoints.find_checkpoint, "lm", choice))}


async def clip(request):
    from aiohttp import web

    return web.FileResponse(sound_named("clip", request.match_info["name"]))


async def voice(request):
    return _flac(sound_named("voice", request.match_info["name"]))


async def peaks(request) -> dict:
    from ..higgs_runtime.audio.waveform import waveform_peaks

    query = request.query
    points = query.get("points", "512")
    if not re.fullmatch(r"\d{1,5}", points, re.ASCII):
        raise Refused(400, "`points` has to be a whole number.")

    def outline():
        sound = sound_named(query.get("kind", "input"), query.get("name", ""))
        return waveform_peaks(_decoded(sound) if isinstance(sound, bytes) else sound, int(points))

    found = await asyncio.to_thread(outline)
    low, high = ([round(value, 4) for value in side.tolist()] for side in (found.low, found.high))
    return {"seconds": found.seconds, "sample_rate": found.sample_rate, "channels": found.channels,
            "low": low, "high": high}


async def quality(request) -> dict:
    query = request.query
    start, duration = (_seconds(query, name) for name in ("start", "duration"))
    report = await asyncio.to_thread(_quality, query.get("kind", "input"), query.get("name", ""), start,
                                     min(duration or MOST_SECONDS, MOST_SECONDS))
    figures = {name: round(getattr(report, name), 2) for name in ("speech_dbfs", "noise_dbfs", "snr_db", "peak_dbfs")}
    return {**figures, "seconds": report.source_seconds, "clipped_samples": report.clipped_samples,
            "warnings": report.warnings}


def _quality(kind: str, name: str, start: float, duration: float):
    from ..higgs_runtime import AudioClip
    from ..higgs_runtime.audio.clip import trim
    from ..higgs_runtime.voices.reference import inspect_reference

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

    from ..higgs_runtime import AudioClip, VoiceError

    try:  # a voice may come from anybody: what it calls a sound may be none, or a small file of many hours
        with soundfile.SoundFile(io.BytesIO(flac)) as file:
            samples = file.read(round(MOST_SECONDS * file.samplerate), dtype="float32", always_2d=True)
            return AudioClip(torch.from_numpy(samples.T.copy()), file.samplerate)
    except (soundfile.SoundFileError, ValueError) as error:
        raise VoiceError("The clip that the voice file keeps cannot be read.", expected="a FLAC file", got=str(error),
                         remedy="Save the voice anew.") from error


def sound_named(kind: str, name: str) -> Path | bytes:
    """The file, or the FLAC, that a request means.

    Raises:
        Refused: no such kind; there is none of this name, or it lies elsewhere.
    """
    from ..higgs_runtime import VoiceError

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


def _flac(data: bytes, **headers: str):
    from aiohttp import web

    return web.Response(body=data, content_type="audio/flac", headers={"Cache-Control": "no-cache", **headers})


# --- takes ----------------------------------------------------------------------------------------------------------


async def takes(request) -> list[dict]:
    line = request.query.get("line", "")
    if not LINE.fullmatch(line):
        raise Refused(400, "`line` has to be the key of a line: 64 hexadecimal digits.")
    return await asyncio.to_thread(_takes_of, line)


def _takes_of(line: str) -> list[dict]:
    store, found = _store(), []
    for key in store.takes_of(line)[:MOST_TAKES]:
        take = store.peek(key)
        if take is not None:
            notes = {name: take.meta.get(name) for name in ("speaker", "text", "wer", "similarity")}
            found.append({"key": key, "seed": str(take.seed), "seconds": take.codes.seconds, **notes,
                          "locked": store.is_locked(key)})
    return found


async def take(request):
    key = _key(request)
    sound = await asyncio.to_thread(take_sounds.take_sound, str(_store().folder), key)
    return _flac(sound.flac, **({} if sound.lufs is None else {"X-Loudness-LUFS": f"{sound.lufs:.2f}"}))


async def lock(request) -> dict:
    key = _key(request)
    await asyncio.to_thread(_store().lock_take, key)
    return {"key": key, "locked": True}


async def unlock(request) -> dict:
    key = _key(request)
    await asyncio.to_thread(_store().unlock_take, key)
    return {"key": key, "locked": False}


def _store():
    from ..higgs_runtime import TakeStore
    from ..higgs_runtime.takes import default_takes_folder

    return TakeStore(default_takes_folder())


def _key(request) -> str:
    """The key in the address, of a take that is there."""
    key = request.match_info["key"]
    if key not in _store():  # TakeError: no key at all
        raise Refused(404, f"There is no take {key}. It was pruned, or never rendered: render the line again.")
    return key


# --- scripts --------------------------------------------------------------------------------------------------------


async def check(request) -> dict:
    return await asyncio.to_thread(_check, await _text(request))


def _check(text: str) -> dict:
    from ..higgs_runtime import ScriptError, parse_script

    try:
        script = parse_script(text)
    except ScriptError as error:
        what = re.sub(r"^Line \d+, column \d+: ", "", str(error))
        return {"turns": [], "warnings": [],
                "errors": [{"line": error.line, "column": error.column, "message": what}]}
    turns = [{"line": turn.line, "speaker": turn.speaker, "scene": turn.scene, "pause": turn.pause_s}
             for turn in script.turns]
    warnings = [{"line": one.line, "column": one.column, "message": one.message} for one in script.warnings]
    return {"turns": turns, "warnings": warnings, "errors": []}


async def lines(request) -> dict:
    return line_states.last_lines(await _text(request))


async def subtitles(request) -> dict:
    return await asyncio.to_thread(_subtitles, await _text(request))


def _subtitles(text: str) -> dict:
    from ..higgs_runtime import read_subtitles

    with TemporaryDirectory(prefix="higgs-") as folder:
        file = Path(folder, "pasted.vtt" if text.lstrip("\ufeff").startswith("WEBVTT") else "pasted.srt")
        file.write_text(text, encoding="utf-8")
        script = read_subtitles(file)
    return {"text": str(script), "warnings": [str(one) for one in script.warnings]}


async def _text(request) -> str:
    """The body as text: UTF-8, a megabyte at most."""
    data = bytearray()
    async for piece in request.content.iter_chunked(1 << 16):
        data += piece
        if len(data) > MOST_BYTES:
            raise Refused(413, "The text is longer than a megabyte.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(400, "The text is not UTF-8.") from error


GET = {
    "/higgs/clips/{name}": clip,
    "/higgs/voices/{name}": voice,
    "/higgs/peaks": peaks,
    "/higgs/quality": quality,
    "/higgs/takes": takes,
    "/higgs/takes/{key}": take,
    "/higgs/warnings": warnings,
    "/higgs/notice": notice,
}
POST = {
    "/higgs/takes/{key}/lock": lock,
    "/higgs/takes/{key}/unlock": unlock,
    "/higgs/script/check": check,
    "/higgs/script/lines": lines,
    "/higgs/script/subtitles": subtitles,
}
