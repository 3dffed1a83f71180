"""What a checkpoint's weights are stored as, in a few words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Contents:
    """What headers say.

    Attributes:
        formats: number format -> bytes, as {"bfloat16": 8_100_000_000} or {"Q8_0": 4_300_000_000}.
        with_codec: whether a codec lies beside the language model, as in a v3 checkpoint.
        packed_by: what packed them in a way that is not read here, as "AWQ"; empty for what is read.
        writer: whose form it is, as "audio.cpp"; empty for a folder in the Hugging Face layout.
    """

    formats: Counter[str]
    with_codec: bool = False
    packed_by: str = ""
    writer: str = ""
