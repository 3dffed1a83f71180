"""One entry for every codec layout."""

from __future__ import annotations

from pathlib import Path

import torch

from ..checkpoint.gguf_source import is_gguf
from ..errors import CheckpointError
from .interface import Codec

DAC_SUFFIXES = (".pth", ".pt")


def load_codec(path: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Codec:
    """Loads a codec; its layout is detected.

    Args:
        path: a folder with the Higgs tokenizer, in transformers' native layout, in that of Boson AI's first release,
            or inside a v3 checkpoint; a GGUF file that holds one; or the .pth weights file of a DAC model (needs the
            extra `dac`).
        device: where the weights go.
        dtype: of the weights; codes are most faithful in float32.

    Raises:
        CheckpointError: nothing there, files missing or broken, or another kind of model.
        MissingExtraError: a DAC file without descript-audio-codec installed.
    """
    path = Path(path)
    if path.is_file() and path.suffix in DAC_SUFFIXES:
        from .descript_dac import DacCodec

        return DacCodec.load(path, device=device, dtype=dtype)
    if path.is_file() and not is_gguf(path):
        raise CheckpointError(
            f"'{path}' is not a codec.",
            expected="a folder with config.json, a GGUF file, or a DAC weights file (.pth)",
            got=f"a {path.suffix or 'plain'} file",
            remedy="Choose the folder that holds the codec's files.",
        )
    from .higgs_tokenizer import HiggsCodec

    return HiggsCodec.load(path, device=device, dtype=dtype)
