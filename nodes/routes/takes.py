"""The takes of a line: what is known of them, their sounds, decoded on the CPU beside whatever renders, and locks."""

from __future__ import annotations

import asyncio
import io
import math
import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch

from ..host import files
from .answers import Refused, flac

LINE = re.compile(r"[0-9a-f]{64}")
MOST_TAKES = 200  # of a line, in one answer
CPU = torch.device("cpu")
IDLE_S = 60.0  # so long the codec stays when nobody listens
_decoding = threading.Lock()  # one at a time
_leaving: threading.Timer | None = None


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
            found.append(
                {
                    "key": key,
                    "seed": str(take.seed),
                    "seconds": take.codes.seconds,
                    **notes,
                    "locked": store.is_locked(key),
                }
            )
    return found


async def take(request):
    key = _key(request)
    sound = await asyncio.to_thread(take_sound, str(_store().folder), key)
    return flac(sound.flac, **({} if sound.lufs is None else {"X-Loudness-LUFS": f"{sound.lufs:.2f}"}))


async def lock(request) -> dict:
    key = _key(request)
    await asyncio.to_thread(_store().lock_take, key)
    return {"key": key, "locked": True}


async def unlock(request) -> dict:
    key = _key(request)
    await asyncio.to_thread(_store().unlock_take, key)
    return {"key": key, "locked": False}


def _store():
    from ...higgs_runtime import TakeStore
    from ...higgs_runtime.takes import default_takes_folder

    return TakeStore(default_takes_folder())


def _key(request) -> str:
    """The key in the address, of a take that is there."""
    key = request.match_info["key"]
    if key not in _store():  # TakeError: no key at all
        raise Refused(404, f"There is no take {key}. It was pruned, or never rendered: render the line again.")
    return key


class TakeSound(NamedTuple):
    """A take as a FLAC file, and its loudness; None where it is too short or too quiet to have one."""

    flac: bytes
    seconds: float
    lufs: float | None


@lru_cache(maxsize=1)
def _cache():
    """Apart from the cache of what renders: another thread must not move models while a prompt runs."""
    from ...higgs_runtime.hub import ModelCache

    return ModelCache(budget_bytes=0)


@lru_cache(maxsize=32)
def take_sound(folder: str, key: str) -> TakeSound:
    """The sound of a take in a store.

    Raises:
        TakeError: there is no such take, or nothing in it.
        CheckpointError: none of the codecs here is the one that the take needs.
    """
    import soundfile

    from ...higgs_runtime import TakeStore, measure_loudness
    from ...higgs_runtime.audio.clip import within_full_scale
    from ...higgs_runtime.errors import TakeError

    take = TakeStore(folder).peek(key)
    if take is None or take.codes.frames == 0:
        raise TakeError(
            f"The take {key} cannot be heard.",
            expected="a take with frames",
            got="none" if take is None else "no frame",
            remedy="Render the line again.",
        )
    with _decoding:
        clip = within_full_scale(_decode(take.codes))
    lufs, file = measure_loudness(clip).integrated_lufs, io.BytesIO()
    soundfile.write(file, clip.samples.T.numpy(), clip.sample_rate, format="FLAC", subtype="PCM_16")
    return TakeSound(file.getvalue(), clip.seconds, lufs if math.isfinite(lufs) else None)


def _decode(codes):
    """The clip, by the codec whose codes they are."""
    from ...higgs_runtime import CheckpointError, load_codec
    from ...higgs_runtime.hub import ModelKey

    refusals = []
    for path in _codecs():
        key = ModelKey.of("codec", path, device=CPU, dtype=torch.float32)
        try:
            with _cache().use(key, lambda path=path: load_codec(path, device="cpu")) as codec:
                if codec.takes(codes.codec):
                    return codec.decode(codes)
        except (CheckpointError, ImportError) as error:
            refusals.append(f"{path}: {error}")
            continue
        finally:
            _leave_later()
    raise CheckpointError(
        "The take cannot be decoded.",
        expected=f"a codec with the identity {codes.codec or 'of any Higgs codec'}",
        got="; ".join(refusals) or "others",
        remedy=f"Put the codec that it was rendered with into models/{files.MODEL_FOLDER}.",
    )


def _codecs() -> Iterator[str]:
    """Complete codecs: that which `auto` means first."""
    from ...higgs_runtime.hub import default_pair, find_checkpoints, model_roots

    found = find_checkpoints(model_roots(files.model_folders()))
    first = default_pair(found)[1]
    yield str(first.path)
    for one in found:
        if one.is_codec() and one.usable and one.path != first.path:
            yield str(one.path)


def _leave_later() -> None:
    """Drops the codec once nobody has listened for a while."""
    global _leaving
    if _leaving is not None:
        _leaving.cancel()
    _leaving = threading.Timer(IDLE_S, _cache().clear)
    _leaving.daemon = True
    _leaving.start()


GET = {
    "/higgs/takes": takes,
    "/higgs/takes/{key}": take,
}
POST = {
    "/higgs/takes/{key}/lock": lock,
    "/higgs/takes/{key}/unlock": unlock,
}
