"""What stands behind the choices of a list, and what is to be known of a checkpoint before it speaks."""

from __future__ import annotations

import asyncio

from .. import download_model
from ..shared import checkpoints
from .answers import Refused

LISTS = {  # each may read the headers of many files; what the node is set to comes with the question
    "lm": lambda how: checkpoints.checkpoint_notes("lm", how),
    "codec": lambda how: checkpoints.checkpoint_notes("codec", how),
    "releases": lambda how: download_model.release_notes(),
}


async def choices(request) -> dict:
    find = LISTS.get(request.match_info["list"])
    if find is None:
        raise Refused(404, "There is no such list.")
    return await asyncio.to_thread(find, dict(request.query))


async def notice(request) -> dict:
    from ...higgs_runtime.hub import notice_of

    choice = request.query.get("checkpoint", checkpoints.AUTO)
    return {"notice": notice_of(await asyncio.to_thread(checkpoints.find_checkpoint, "lm", choice))}


GET = {
    "/higgs/choices/{list}": choices,
    "/higgs/notice": notice,
}
POST = {}
