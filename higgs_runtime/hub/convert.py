"""Checkpoints written anew and smaller: language models in 8 or 4 bits, codecs in half precision.

So they are read and kept at that size, and need no original. A folder appears when it is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..checkpoint.files import CONFIG_FILE, TOKENIZER_FILE, V3, V3_CODEC, WEIGHTS_FILE, model_type_of
from ..checkpoint.gguf_source import is_gguf
from ..checkpoint.safetensors_file import write_tensors
from ..checkpoint.source import open_source
from ..choices import CONVERSIONS
from ..codec import load_codec
from ..errors import CheckpointError, NumericError, SettingError
from ..model import load_model
from ..model.loading import CONVERTED
from ..outputs import check_folder

BESIDE = 0.02  # of the tensors: room for headers, tokenizer and what the disk itself takes
CODEC_DTYPE = torch.float16
STORED_ONLY = ("quantization_config", "auto_map")  # of a config.json: how the source is stored, and whose code reads it
STEPS = 1000  # of a progress

OnProgress = Callable[[int, int], None]


def convert_model(
    source: str | Path,
    target: str | Path,
    quantization: str,
    *,
    dtype: torch.dtype = torch.bfloat16,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write a checkpoint folder that loads with the very weights that `load_model(source, quantization=…)` gives.

    Its config.json is that of the source with a field more. The codec of a v3 checkpoint goes with it, in float16.

    Args:
        source: a checkpoint folder in any layout.
        target: a folder that is not there yet.
        quantization: "int8" or "int4".
        dtype: of embeddings, heads, norms and scales; load it with the same one.
        on_progress: called with (steps done, steps in all) after each tensor that is packed and each piece that is
            written; what it raises ends the work and leaves nothing behind.

    Returns:
        The folder.

    Raises:
        CheckpointError: the source cannot be loaded, the target exists, or the disk is too full.
        SettingError: there is no such quantization, the source is quantized already, or nothing can be written there.
        NumericError: weights beyond the range of the dtype.
    """
    source, target = Path(source), Path(target)
    if quantization not in CONVERSIONS:
        raise SettingError(
            "A checkpoint cannot be converted to that.",
            expected=" or ".join(map(repr, CONVERSIONS)),
            got=repr(quantization),
            remedy="Choose one of these; int8 loses least.",
        )
    _check_new(target)
    model = load_model(source, dtype=dtype, quantization=quantization, on_progress=_part(on_progress, 0, 0.5))
    opened = open_source(source)
    raw = {name: value for name, value in opened.config.items() if name not in STORED_ONLY}
    if CONVERTED in raw:
        raise CheckpointError(
            f"'{source}' is converted already.",
            expected="an original checkpoint",
            got=f"one in {raw[CONVERTED]}",
            remedy="Convert the original checkpoint.",
        )
    tensors = model.state_dict()
    if model.config.tied_head:
        del tensors["audio_head.weight"]
    if model_type_of(raw) == V3 and any(name.startswith(V3_CODEC) for name in opened.tensors()):
        codec = load_codec(source, dtype=CODEC_DTYPE).module.state_dict()
        tensors.update({V3_CODEC + name: tensor for name, tensor in codec.items()})
    with _appearing(target, tensors) as partial:
        (partial / TOKENIZER_FILE).write_bytes(opened.tokenizer())
        added = {CONVERTED: quantization}
        _write(partial, tensors, {**raw, **added}, added, _part(on_progress, 0.5, 1))
    return target


def convert_codec(
    source: str | Path,
    target: str | Path,
    *,
    dtype: torch.dtype = CODEC_DTYPE,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write a codec folder, in the transformers-native layout, that loads with the very weights that
    `load_codec(source, dtype=…)` gives.

    Args:
        source: a Higgs codec in any layout, or a v3 checkpoint that holds one.
        target: a folder that is not there yet.
        dtype: of the weights; the codebooks stay as they are, so that codes keep their meaning.
        on_progress: as in `convert_model`.

    Returns:
        The folder.

    Raises:
        CheckpointError: the source cannot be loaded, the target exists, or the disk is too full.
        SettingError: the source is a DAC model, or nothing can be written there.
        NumericError: weights beyond the range of the dtype.
    """
    source, target = Path(source), Path(target)
    _check_new(target)
    if source.is_file() and not is_gguf(source):
        raise SettingError(
            "A DAC model cannot be converted.",
            expected="a Higgs codec",
            got=source.name,
            remedy="Choose the folder of a Higgs codec.",
        )
    from ..codec.higgs_tokenizer import HiggsCodec

    codec = load_codec(source, dtype=dtype)
    assert isinstance(codec, HiggsCodec)  # as every codec that is a folder
    tensors = codec.module.state_dict()
    with _appearing(target, tensors) as partial:
        _write(partial, tensors, codec.config.native(), {}, _part(on_progress, 0, 1))
    return target


def _part(on_progress: OnProgress | None, first: float, last: float) -> OnProgress:
    """What to call for a part of the work, which takes from one share of the whole to another."""

    def told(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(int(STEPS * (first + (last - first) * done / total)), STEPS)

    return told


def _check_new(target: Path) -> None:
    """Before the long work, not after it."""
    if target.exists() or target.is_symlink():
        raise CheckpointError(
            f"'{target}' exists.",
            expected="a folder that is not there yet",
            got="one that is",
            remedy="Name another folder, or delete that one.",
        )
    check_folder(target.parent)


@contextmanager
def _appearing(target: Path, tensors: Mapping[str, torch.Tensor]) -> Iterator[Path]:
    """A hidden folder with room for the tensors, which gets its name when all went well, and else is gone.

    Raises:
        CheckpointError: it cannot be written, or the disk is too full.
    """
    partial = target.with_name(f".{target.name}.converting")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_disk(target.parent, sum(tensor.nbytes for tensor in tensors.values()))
        shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
        partial.mkdir()
        yield partial
        partial.rename(target)
    except OSError as error:
        raise CheckpointError(
            f"'{target}' cannot be written.",
            expected="a folder to write to",
            got=str(error),
            remedy="Make room, or name a folder elsewhere.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    folder: Path,
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    metadata: Mapping[str, str],
    told: OnProgress,
) -> None:
    size = sum(tensor.nbytes for tensor in tensors.values())
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not all(end.isfinite() for end in tensor.aminmax()):  # NaN is both
            raise NumericError(
                f"'{name}' leaves the range of {tensor.dtype}.",
                expected="finite weights",
                got="NaN or infinity",
                remedy="Choose bfloat16 or float32.",
            )
    write_tensors(folder / WEIGHTS_FILE, tensors, {"format": "pt", **metadata}, lambda done: told(done, size))
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _check_disk(folder: Path, size: int) -> None:
    needed, free = int(size * (1 + BESIDE)), shutil.disk_usage(folder).free
    if needed > free:
        raise CheckpointError(
            "The disk is too full for this checkpoint.",
            expected=f"{needed / 1e9:.1f} GB free",
            got=f"{free / 1e9:.1f} GB in {folder}",
            remedy="Make room, or name a folder elsewhere.",
        )
