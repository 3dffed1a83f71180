"""The safetensors format: headers whose every size is checked before it is used, and files written piece by piece.

Format: https://github.com/huggingface/safetensors. Reading tensors themselves is the library's; it maps the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError

LENGTH_BYTES = 8  # of the header's length, in front of it
MAX_HEADER_BYTES = 100_000_000  # as the library has it
PIECE_BYTES = 1 << 24  # between two calls of on_bytes
LFS_POINTER = b"version https://git-lfs"  # what a clone has in place of a large file
ALIGNED = 64  # bytes: where the first tensor begins, as vector instructions like it best
NAMES = {  # in the file -> of torch
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_NAME_OF = {dtype: name for name, dtype in NAMES.items()}


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies: its dtype as the file calls it, its shape, and its bytes behind the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(file: str | Path) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file by name. Reads the header alone, and no more than the file holds.

    Raises:
        CheckpointError: the file is cut off, or its header claims what cannot be: sizes beyond the file, tensors that
            overlap or leave gaps, shapes that do not fit their bytes.
    """
    file = Path(file)
    try:
        with open(file, "rb") as source:
            size = source.seek(0, 2)
            source.seek(0)
            length = int.from_bytes(source.read(LENGTH_BYTES), "little")
            if length > min(MAX_HEADER_BYTES, size - LENGTH_BYTES):
                raise BrokenHeader(
                    f"a header of {length} bytes, {'cut off' if length <= MAX_HEADER_BYTES else 'too long'}"
                )
            header = json.loads(source.read(length))
        tensors = {name: _stored(name, entry) for name, entry in header.items() if name != "__metadata__"}
        _check_places(tensors, size - LENGTH_BYTES - length)
    except (BrokenHeader, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise unreadable(file, error) from error
    return tensors


def unreadable(file: Path, error: Exception, form: str = "safetensors") -> CheckpointError:
    """What is said of a file that is no whole one of its format."""
    got, remedy = f"no file ({error})", "The download was probably cut short: download the file again."
    if file.is_file():
        got = f"{file.stat().st_size} bytes ({error})"
        with open(file, "rb") as source:
            if source.read(len(LFS_POINTER)) == LFS_POINTER:
                got, remedy = "a pointer of Git LFS in its place", "Run `git lfs pull` there, or download the file."
    return CheckpointError(
        f"'{file}' cannot be read as {form}.", expected=f"a complete {form} file", got=got, remedy=remedy
    )


def write_tensors(
    file: str | Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
    on_bytes: Callable[[int], None] | None = None,
) -> None:
    """Write a safetensors file in pieces, so that it can be stopped on the way.

    Args:
        tensors: on the CPU.
        on_bytes: called with the bytes of tensors that are written, after each piece; what it raises goes on, and the
            file is left as it is then.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    place, order = 0, sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so all stay aligned
    for name in order:
        tensor = tensors[name]
        entries[name] = {
            "dtype": _NAME_OF[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.nbytes],
        }
        place += tensor.nbytes
    header = json.dumps(entries).encode()
    header += b" " * (-(LENGTH_BYTES + len(header)) % ALIGNED)
    written = 0
    with open(file, "wb") as sink:
        sink.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
        for name in order:
            if not tensors[name].numel():
                continue
            data = tensors[name].contiguous().flatten().view(torch.uint8).numpy().data
            for start in range(0, len(data), PIECE_BYTES):
                written += sink.write(data[start : start + PIECE_BYTES])
                if on_bytes is not None:
                    on_bytes(written)


class BrokenHeader(Exception):
    """What is wrong with a header."""


def _stored(name: str, entry: Any) -> TensorEntry:
    (start, stop), shape = entry["data_offsets"], tuple(entry["shape"])
    if not all(type(number) is int and number >= 0 for number in (start, stop, *shape)) or start > stop:
        raise BrokenHeader(f"{name} with impossible sizes")
    dtype = NAMES.get(entry["dtype"])
    if dtype is not None and prod(shape) * dtype.itemsize != stop - start:
        raise BrokenHeader(f"{name} {list(shape)} of {entry['dtype']} in {stop - start} bytes")
    return TensorEntry(str(entry["dtype"]), shape, start, stop)


def _check_places(tensors: Mapping[str, TensorEntry], size: int) -> None:
    """Tensors follow each other without gap or overlap and end where the file ends."""
    end = 0
    for name, stored in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if stored.start != end:
            raise BrokenHeader(f"{name} at byte {stored.start}, where {end} comes next")
        end = stored.stop
    if end != size:
        raise BrokenHeader(
            f"{'cut off: ' if end > size else ''}{size} bytes of tensors, where the header speaks of {end}"
        )
