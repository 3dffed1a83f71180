"""The codec inside a v3 checkpoint: that of v2 in its native layout, under a prefix and without a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..checkpoint.files import V3_CODEC, checkpoint_tensors
from ..errors import CheckpointError
from .higgs_config import HiggsCodecConfig

RATIOS = [8, 5, 4, 2, 3]
SIZES = {  # of the released codec
    "target_bandwidths": [0.5, 1, 1.5, 2],
    "acoustic_model_config": {"hidden_size": 256, "downsampling_ratios": RATIOS, "upsampling_ratios": RATIOS},
}


def read_bundled(folder: Path) -> tuple[HiggsCodecConfig, Mapping[str, torch.Tensor]]:
    """The sizes, and the tensors under their native names.

    Raises:
        CheckpointError: the checkpoint holds no codec.
    """
    tensors = checkpoint_tensors(folder)
    found = {name.removeprefix(V3_CODEC): tensors[name] for name in tensors if name.startswith(V3_CODEC)}
    if not found:
        raise CheckpointError(
            f"'{folder}' holds a language model alone.",
            expected="a v3 checkpoint with its codec",
            got="no codec in it",
            remedy="Choose the codec of v2, higgs-audio-v2-tokenizer: v3 was trained with it.",
        )
    return HiggsCodecConfig.from_dict(SIZES), found
