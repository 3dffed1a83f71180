"""Scripts that a page has: what is wrong with them, what became of their lines, and subtitles as a script."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from ..shared import line_states
from .answers import Refused

MOST_BYTES = 1 << 20  # of a script


async def check(request) -> dict:
    return await asyncio.to_thread(_check, await _text(request))


def _check(text: str) -> dict:
    from ...higgs_runtime import ScriptError, parse_script

    try:
        script = parse_script(text)
    except ScriptError as error:
        what = re.sub(r"^Line \d+, column \d+: ", "", str(error))
        return {"turns": [], "warnings": [], "errors": [{"line": error.line, "column": error.column, "message": what}]}
    turns = [
        {"line": turn.line, "speaker": turn.speaker, "scene": turn.scene, "pause": turn.pause_s}
        for turn in script.turns
    ]
    warnings = [{"line": one.line, "column": one.column, "message": one.message} for one in script.warnings]
    return {"turns": turns, "warnings": warnings, "errors": []}


async def mend(request) -> dict:
    """The text with its tags mended; placement=gentle: emotions behind the first word."""
    from ...higgs_runtime.text.tags import mended

    placement = "gentle" if request.query.get("placement") == "gentle" else "lead"
    return {"text": mended(await _text(request), placement=placement)}


async def tags(_request) -> dict:
    """The tags of v3, as a menu shows them: group -> [{name, does, inline, letters}]."""
    from ...higgs_runtime.text.tags import TAGS

    found: dict[str, list] = {}
    for tag in TAGS.values():
        letters = tag.letters[0] if tag.letters else ""
        found.setdefault(tag.group, []).append(
            {"name": tag.name, "does": tag.does, "inline": tag.inline, "letters": letters}
        )
    return found


async def lines(request) -> dict:
    return line_states.last_lines(await _text(request))


async def subtitles(request) -> dict:
    return await asyncio.to_thread(_subtitles, await _text(request))


def _subtitles(text: str) -> dict:
    from ...higgs_runtime import read_subtitles

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


GET = {"/higgs/script/tags": tags}
POST = {
    "/higgs/script/mend": mend,
    "/higgs/script/check": check,
    "/higgs/script/lines": lines,
    "/higgs/script/subtitles": subtitles,
}
