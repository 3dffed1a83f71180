"""Where the editor hears live sound: GET /higgs/live and GET /higgs/live/<prompt id>/<node id>."""

from __future__ import annotations

import asyncio
import json

from . import live

PIECE_BYTES = 2**20  # of one answer
WAIT_S = 10.0  # for more sound, before an answer without any
LOOK_S = 0.05


def serve(routes) -> None:
    """Adds the routes to aiohttp's table; None (the nodes alone, without a server): none.

    GET /higgs/live?workflow=<id>: {"sounds": […]}, what is kept of the workflow's nodes (`LiveSound.about`).
    GET /higgs/live/<prompt id>/<node id>?after=<n>: samples from number n on, float32 little-endian, at most 1 MB;
    where there are none yet it waits for some. The header Higgs-Live holds `LiveSound.about` as JSON.
    Errors are JSON: 400 for a number that is none, 404 for a sound that is not kept.
    """
    if routes is None:
        return
    from aiohttp import web

    @routes.get("/higgs/live")
    async def sounds(request: web.Request) -> web.Response:
        kept = live.sounds_of(request.query.get("workflow", ""))
        return web.json_response({"sounds": [sound.about() for sound in kept]})

    @routes.get("/higgs/live/{prompt_id}/{node}")
    async def samples(request: web.Request) -> web.Response:
        sound = live.find(request.match_info["prompt_id"], request.match_info["node"])
        if sound is None:
            return web.json_response({"error": "There is no such sound."}, status=404)
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 16):
            return web.json_response({"error": "`after` is no number of samples."}, status=400)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_S
        while sound.samples <= int(after) and sound.state == "rendering" and loop.time() < deadline:
            await asyncio.sleep(LOOK_S)
        about = sound.about()  # before the samples: what it says is over, is over
        data = await asyncio.to_thread(sound.read, int(after), PIECE_BYTES)
        headers = {"Higgs-Live": json.dumps(about), "Cache-Control": "no-store"}
        return web.Response(body=data, content_type="application/octet-stream", headers=headers)
