"""Reading a prompt into a row of the cache."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from torch import Tensor

from ..cores import only_shared_out, threads_for
from ..devices import has_bfloat16_products, prefill_chunk
from ..model import HiggsModel, KVCache
from ..model.linear import rounded_products
from ..model.quantization import KINDS
from ..model.transformer import Routing
from ..types import Prompt

ShouldStop = Callable[[], bool]
SMALL = 10_000_000  # products of a position; the operations of a smaller model are short


class Stopped(Exception):
    """should_stop said so."""


def prefill(
    model: HiggsModel,
    prompt: Prompt,
    cache: KVCache,
    row: int,
    should_stop: ShouldStop,
    chunk: int | None = None,
    exact: bool = False,
) -> Tensor | None:
    """Read what a row of the cache does not hold of a prompt yet, in chunks; returns the last hidden state [H].

    Args:
        exact: see `Session`'s `exact_prompts`.
    """
    x, mask = model.embed(prompt)
    packed = isinstance(model.layers[0].attention.o, tuple(KINDS.values()))
    narrow = packed or model.dtype != model.compute_dtype
    rounded = narrow and not exact
    unpacked = narrow and (packed or exact or not has_bfloat16_products())
    chunk, hidden = chunk or prefill_chunk(model.device, model.config.products, rounded), None
    for start in range(cache.lengths[row], len(prompt), chunk):
        if should_stop():
            raise Stopped
        part = slice(start, start + chunk)
        count = x[:, part].shape[1]
        team = only_shared_out() if unpacked and model.device.type == "cpu" else nullcontext()
        with threads_for(short=model.config.products < SMALL), team, rounded_products(not exact):
            hidden = model(x[:, part], Routing.from_mask(mask[:, part]), cache.extend(row, count))[0, -1]
        cache.add(row, count)
    return hidden
