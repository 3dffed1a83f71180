"""What generation takes of a device's memory, known before it is taken."""

from __future__ import annotations

import torch

from ..devices import free_bytes, is_out_of_memory
from ..errors import MemoryShortError
from .config import ModelConfig
from .kv_cache import KVCache
from .linear import Linear
from .quantization import bytes_per_weight
from .transformer import HiggsModel

BESIDE = 0.25  # of keys and values: what is computed beside them
GB = 1e9


def working_bytes(config: ModelConfig, positions: float, dtype: torch.dtype, rows: int = 1) -> int:
    """About what it takes to generate beside the weights: keys and values of so many positions in each row, and a
    quarter of that for what is computed."""
    return int((1 + BESIDE) * rows * positions * KVCache.bytes_per_position(config, dtype))


def weights_bytes(config: ModelConfig, dtype: torch.dtype, quantization: str | None = None) -> int:
    """What a model of this shape takes in memory when it is loaded."""
    with torch.device("meta"):
        model = HiggsModel(config)
    quantized = sum(part.weight.numel() for part in model.layers.modules() if isinstance(part, Linear))
    tied = model.audio_head.weight.numel() if config.tied_head else 0
    rest = sum(weight.numel() for weight in model.parameters()) - quantized - tied
    return int(rest * dtype.itemsize + quantized * bytes_per_weight(quantization, dtype))


def check_room(
    config: ModelConfig, device: torch.device | str, dtype: torch.dtype, quantization: str | None = None
) -> None:
    """Before a model is loaded.

    Raises:
        MemoryShortError: the device has no room for its weights.
    """
    free, needed = free_bytes(device), weights_bytes(config, dtype, quantization)
    if free is not None and needed > free:
        raise MemoryShortError(
            "There is not enough memory for this model.",
            expected=f"{needed / GB:.1f} GB on {device} for its weights",
            got=f"{free / GB:.1f} GB free",
            remedy="Load it in a smaller dtype, quantized to int8 or int4, or on "
            "another device, or close other programs that use this one.",
        )


def new_cache(model: HiggsModel, positions: int, batch: int, dtype: torch.dtype) -> KVCache:
    """A cache of `batch` rows, or of fewer where memory is short.

    Raises:
        MemoryShortError: not even one row fits.
    """
    free, one = free_bytes(model.device), working_bytes(model.config, positions, dtype)
    if free is not None:
        batch = min(batch, max(1, free // one))
    while True:
        try:
            if free is not None and one > free:
                raise MemoryError
            return model.new_cache(positions, batch, dtype)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise _too_long(model, positions, dtype, free) from error
            batch = (batch + 1) // 2


def _too_long(model: HiggsModel, positions: int, dtype: torch.dtype, free: int | None) -> MemoryShortError:
    needed = working_bytes(model.config, positions, dtype)
    return MemoryShortError(
        "There is not enough memory for a take this long.",
        expected=f"{needed / GB:.1f} GB on {model.device} for {positions} positions",
        got="less" if free is None else f"{free / GB:.1f} GB free",
        remedy="Use a smaller maximum length or shorter references, load the model in a smaller dtype, or close what "
        "else uses the device.",
    )
