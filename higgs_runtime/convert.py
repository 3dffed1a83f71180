"""A language model written anew in 8 or 4 bits, so that it is read and kept at that size and needs no original."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from .checkpoint_files import CONFIG_FILE, WEIGHTS_FILE, read_config
from .errors import CheckpointError
from .memory import weights_bytes
from .tokenizer import TOKENIZER_FILE
from .weights import CONVERTED, load_model

BESIDE = 0.02  # of the tensors: room for headers, tokenizer and what the disk itself takes


def convert_model(
    source: str | Path, target: str | Path, quantization: str, *, dtype: torch.dtype = torch.bfloat16
) -> Path:
    """Write a checkpoint folder that loads with the very weights that `load_model(source, quantization=…)` gives.

    The folder appears when it is complete. Its config.json is that of the source with a field more.

    Args:
        source: a checkpoint folder in any layout.
        target: a folder that is not there yet.
        quantization: "int8" or "int4".
        dtype: of embeddings, heads, norms and scales; load it with the same one.

    Returns:
        The folder.

    Raises:
        CheckpointError: the source cannot be loaded, the target exists, or the disk is too full.
        SettingError: there is no such quantization, or the source is quantized already.
    """
    from safetensors.torch import save_file

    source, target = Path(source), Path(target)
    if target.exists():
        raise CheckpointError(f"'{target}' exists.", expected="a folder that is not there yet", got="one that is",
                              remedy="Name another folder, or delete that one.")
    model = load_model(source, dtype=dtype, quantization=quantization)
    raw = read_config(source)
    if CONVERTED in raw:
        raise CheckpointError(f"'{source}' is converted already.", expected="an original checkpoint",
                              got=f"one in {raw[CONVERTED]}", remedy="Convert the original checkpoint.")
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_disk(target.parent, weights_bytes(model.config, dtype, quantization))
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        if model.config.tied_head:
            del tensors["audio_head.weight"]
        save_file(tensors, partial / WEIGHTS_FILE, metadata={"format": "pt", CONVERTED: quantization})
        shutil.copyfile(source / TOKENIZER_FILE, partial / TOKENIZER_FILE)
        config = json.dumps({**raw, CONVERTED: quantization}, indent=1)
        (partial / CONFIG_FILE).write_text(config + "\n", encoding="utf-8")
        partial.rename(target)
    except OSError as error:
        raise CheckpointError(f"'{target}' cannot be written.", expected="a folder to write to", got=str(error),
                              remedy="Make room, or name a folder elsewhere.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _check_disk(folder: Path, size: int) -> None:
    needed, free = int(size * (1 + BESIDE)), shutil.disk_usage(folder).free
    if needed > free:
        raise CheckpointError("The disk is too full for this checkpoint.", expected=f"{needed / 1e9:.1f} GB free",
                              got=f"{free / 1e9:.1f} GB in {folder}", remedy="Make room, or name a folder elsewhere.")
