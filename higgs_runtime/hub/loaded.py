"""How much memory a checkpoint takes once it is loaded, told before it is: from its config, never from its weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ..checkpoint.files import CODEC_OF_V3, V3
from ..checkpoint.source import open_source
from ..codec.bundled import SIZES
from ..codec.higgs_config import MODEL_TYPE, HiggsCodecConfig
from ..codec.higgs_tokenizer import codec_bytes
from ..devices import memory_name
from ..errors import HiggsError
from ..model import weights_bytes
from ..model.config import ModelConfig
from ..model.loading import LAYOUTS, auto_dtype, auto_quantization, converted_to
from .catalog import CODEC, LM, Checkpoint


@dataclass(frozen=True)
class Loading:
    """How a checkpoint is going to be loaded.

    Attributes:
        device: by torch's name.
        dtype: None: what auto means for it there.
        quantization: of a language model; None: what the checkpoint has, where that can be.
        kind: "lm" or "codec", of a v3 checkpoint that holds both; "": the language model.
    """

    device: str
    dtype: torch.dtype | None = None
    quantization: str | None = None
    kind: str = ""


def once_loaded(checkpoint: Checkpoint, how: Loading) -> str:
    """What it takes of which memory and in which form, as "RAM 8.1 GB bfloat16"; empty where that cannot be known."""
    as_codec = checkpoint.kind == CODEC or how.kind == CODEC
    try:
        size, form = (_codec if as_codec else _language_model)(checkpoint, how)
    except HiggsError:  # who loads it will say what is wrong
        return ""
    return f"{memory_name(how.device)} {size_text(size)} {form}" if size else ""


def size_text(size: int) -> str:
    """As "11.6 GB" or "17.0 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _language_model(checkpoint: Checkpoint, how: Loading) -> tuple[int, str]:
    if checkpoint.kind != LM:
        return 0, ""
    source = open_source(checkpoint.path)
    dtype = how.dtype or auto_dtype(checkpoint.path, how.device)
    quantization = how.quantization or auto_quantization(source, how.device, dtype)
    if converted_to(source.config) not in (None, quantization):
        return 0, ""  # it cannot be quantized again
    size = _counted(LAYOUTS[source.config["model_type"]].parse(source.config), dtype, quantization)
    return size, quantization or str(dtype).removeprefix("torch.")


@lru_cache(64)
def _counted(config: ModelConfig, dtype: torch.dtype, quantization: str | None) -> int:
    return weights_bytes(config, dtype, quantization)


def _codec(checkpoint: Checkpoint, how: Loading) -> tuple[int, str]:
    if checkpoint.model_type not in (V3, CODEC_OF_V3, MODEL_TYPE):
        return 0, ""  # sizes of the original layout and of DAC stand in their weights
    dtype = how.dtype or torch.float32
    settings = SIZES if checkpoint.model_type != MODEL_TYPE else open_source(checkpoint.path).config
    return codec_bytes(HiggsCodecConfig.from_dict(settings), dtype), str(dtype).removeprefix("torch.")
