"""The codec inside a v3 checkpoint: that of v2 in its native layout, under a prefix and without a config."""

from __future__ import annotations

from ..checkpoint.files import V3_CODEC
from ..checkpoint.source import ModelSource
from ..checkpoint.tensors import StoredTensors, under
from ..errors import CheckpointError
from .higgs_config import HiggsCodecConfig

RATIOS = [8, 5, 4, 2, 3]
SIZES = {  # of the released codec
    "target_bandwidths": [0.5, 1, 1.5, 2],
    "acoustic_model_config": {"hidden_size": 256, "downsampling_ratios": RATIOS, "upsampling_ratios": RATIOS},
}


def read_bundled(source: ModelSource) -> tuple[HiggsCodecConfig, StoredTensors]:
    """The sizes, and the tensors under their native names.

    Raises:
        CheckpointError: the checkpoint holds no codec.
    """
    found = under(source.tensors(), V3_CODEC)
    if not found:
        raise CheckpointError(
            f"'{source.path}' holds a language model alone.",
            expected="a v3 checkpoint with its codec",
            got="no codec in it",
            remedy="Choose the codec of v2, higgs-audio-v2-tokenizer: v3 was trained with it.",
        )
    return HiggsCodecConfig.from_dict(SIZES), found
