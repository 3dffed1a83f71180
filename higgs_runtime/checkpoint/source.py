"""Where a model comes from: one way to its config, tokenizer and tensors, whatever the files are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import CheckpointError
from .contents import Contents
from .files import (
    CONFIG_FILE,
    INDEX_FILE,
    TOKENIZER_FILE,
    V3_CODEC,
    WEIGHTS_FILE,
    checkpoint_tensors,
    read_config,
    read_tokenizer,
    weight_files,
)
from .gguf_source import GgufSource, gguf_in, is_gguf
from .packing import packed_by, refuse_packed
from .safetensors_file import NAMES, read_header
from .tensors import StoredTensors

GGUF_FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class ModelSource(Protocol):
    """The files of one model. Opening it reads the config alone.

    Attributes:
        path: the folder or the file, as a person names it.
        config: config.json, whether it lies in a file of its own or not.
    """

    path: Path
    config: dict[str, Any]

    def files(self) -> list[Path]:
        """All that decides how the model speaks: config, tokenizer, weights.

        Raises:
            CheckpointError: one is missing.
        """
        ...

    def tokenizer(self) -> bytes:
        """What stands in tokenizer.json.

        Raises:
            CheckpointError: there is none.
        """
        ...

    def tensors(self) -> StoredTensors:
        """Under the names of the layout that the config names.

        Raises:
            CheckpointError: files are missing or broken, or hold numbers in a form that is not read here.
        """
        ...

    def contents(self) -> Contents:
        """What is stored, of headers alone.

        Raises:
            CheckpointError: files are missing, cut off or broken.
        """
        ...


class FolderSource:
    """A folder in the Hugging Face layout."""

    def __init__(self, path: Path):
        self.path, self.config = path, read_config(path)

    def files(self) -> list[Path]:
        return [self.path / CONFIG_FILE, self.path / TOKENIZER_FILE, *weight_files(self.path)]

    def tokenizer(self) -> bytes:
        return read_tokenizer(self.path / TOKENIZER_FILE)

    def tensors(self) -> StoredTensors:
        tensors = checkpoint_tensors(self.path)
        refuse_packed(str(self.path), packed_by(self.config, tensors.formats))
        return tensors

    def contents(self) -> Contents:
        names, formats = set(), Counter()
        for file in weight_files(self.path):
            for name, tensor in read_header(file).items():
                names.add(name)
                formats[tensor.dtype] += tensor.stop - tensor.start
        return Contents(
            Counter({str(NAMES.get(kind, kind)).removeprefix("torch."): size for kind, size in formats.items()}),
            any(name.startswith(V3_CODEC) for name in names),
            packed_by(self.config, names),
        )


def open_source(path: str | Path) -> ModelSource:
    """The model in a folder, in a GGUF file, or in the only GGUF file of a folder.

    Raises:
        CheckpointError: there is none, its config cannot be read, or a GGUF is broken or of a kind that is not known.
    """
    path = Path(path)
    if is_gguf(path):
        return GgufSource(path)
    if path.is_dir() and not any((path / name).exists() for name in (WEIGHTS_FILE, INDEX_FILE)):
        found = gguf_in(path)
        if len(found) == 1:
            return GgufSource(found[0])
        if found:
            raise CheckpointError(
                f"'{path}' holds several models.",
                expected="one GGUF file",
                got=", ".join(file.name for file in found),
                remedy="Name the file itself.",
            )
    return FolderSource(path)


def floating_dtype(path: str | Path) -> torch.dtype | None:
    """The number format in which most of a model's weights are stored that are not packed, by the files' headers; None
    where they cannot be read. Weights that are quantized in a GGUF have none: what they mean is float32."""
    try:
        formats = open_source(path).contents().formats
    except CheckpointError:  # who loads it will say what is wrong
        return None
    quantized = any(kind[0].isupper() and kind not in GGUF_FLOATS for kind in formats)
    found = (_dtype(kind) for kind, _ in formats.most_common(1 if quantized else None))
    return next((one for one in found if one is not None), None)


def _dtype(kind: str) -> torch.dtype | None:
    found = getattr(torch, GGUF_FLOATS.get(kind, kind), None)
    return found if isinstance(found, torch.dtype) and found.is_floating_point else None
