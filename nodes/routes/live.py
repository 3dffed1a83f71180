"""What nodes let the page know while they run: live sound, and what they warned of."""

from __future__ import annotations

import asyncio
import json

from ..host import messages
from ..shared import live
from .answers import Refused

PIECE_BYTES = 2**20  # of one answer
WAIT_S = 10.0  # for more sound, before an answer without any
LOOK_S = 0.05


async def sounds(request) -> dict:
    """{"sounds": […]}, what is kept of the workflow's nodes (`LiveSound.about`)."""
    kept = live.sounds_of(request.query.get("workflow", ""))
    return {"sounds": [sound.about() for sound in kept]}


async def samples(request):
    """Samples from number `after` on of an `item` of a list (0: the first), float32 little-endian, at most 1 MB; where
    there are none yet it waits for some. The header Higgs-Live holds `LiveSound.about` as JSON.
    """
    from aiohttp import web

    after, item = (request.query.get(name, "0") for name in ("after", "item"))
    if not is_number(item):
        raise Refused(400, "`item` is no number.")
    sound = live.find(request.match_info["prompt_id"], request.match_info["node"], int(item))
    if sound is None:
        raise Refused(404, "There is no such sound.")
    if not is_number(after):
        raise Refused(400, "`after` is no number of samples.")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    while sound.samples <= int(after) and sound.state == "rendering" and loop.time() < deadline:
        await asyncio.sleep(LOOK_S)
    about = sound.about()  # before the samples: what it says is over, is over
    data = await asyncio.to_thread(sound.read, int(after), PIECE_BYTES)
    headers = {"Higgs-Live": json.dumps(about), "Cache-Control": "no-store"}
    return web.Response(body=data, content_type="application/octet-stream", headers=headers)


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


async def warnings(request) -> dict:
    return messages.warnings_of(request.query.get("prompt", ""))


GET = {
    "/higgs/live": sounds,
    "/higgs/live/{prompt_id}/{node}": samples,
    "/higgs/warnings": warnings,
}
POST = {}
