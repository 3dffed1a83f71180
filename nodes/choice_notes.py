"""Tells the editor what stands behind the choices of a list: GET /higgs/choices/<list> gives {choice: note}."""

from __future__ import annotations

import asyncio

from . import checkpoints, download_model

LISTS = {  # each may read the headers of many files
    "lm": lambda: checkpoints.checkpoint_notes("lm"),
    "codec": lambda: checkpoints.checkpoint_notes("codec"),
    "releases": download_model.release_notes,
}


def serve(routes) -> None:
    """Adds the route to aiohttp's table; None (the nodes alone, without a server): none."""
    if routes is None:
        return
    from aiohttp import web

    @routes.get("/higgs/choices/{list}")
    async def choices(request: web.Request) -> web.Response:
        find = LISTS.get(request.match_info["list"])
        if find is None:
            return web.json_response({"error": "There is no such list."}, status=404)
        return web.json_response(await asyncio.to_thread(find))
