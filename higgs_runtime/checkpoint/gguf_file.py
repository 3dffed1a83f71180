"""The GGUF format: headers whose every size is checked before it is used, and tensors that are read a piece at a time.

Format: docs/gguf.md of https://github.com/ggml-org/ggml. The header is read here and not by the package `gguf`: its
reader allocates what a header asks for, and lists of models need no package. What is quantized is unpacked by it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..errors import MissingExtraError
from .safetensors_file import BrokenHeader, unreadable
from .tensors import SMALL, StoredTensors

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST = 2**16  # tensors, and fields: released files have about a thousand
MOST_IN_LIST = 2**20  # texts or numbers in one field: vocabularies have 150,000
MOST_DIMENSIONS = 4
LONGEST_NAME = 255  # bytes
LONGEST_TEXT = 100_000_000  # bytes of a text or a file that is asked for
ALIGNMENT = "general.alignment"
PIECE = 2**18  # numbers that are unpacked at a time

STRING, ARRAY = 8, 9  # kinds of values
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}  # kind -> struct
PLAIN = {  # number in the file -> name and torch's
    0: ("F32", torch.float32),
    1: ("F16", torch.float16),
    24: ("I8", torch.int8),
    25: ("I16", torch.int16),
    26: ("I32", torch.int32),
    27: ("I64", torch.int64),
    28: ("F64", torch.float64),
    30: ("BF16", torch.bfloat16),
}
BLOCKS = {  # number in the file -> name, numbers in a block, bytes of it
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
}


@dataclass(frozen=True)
class GgufEntry:
    """Where a tensor lies: its type as the format numbers it, its shape as torch has it, and its bytes in the file."""

    kind: int
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def format(self) -> str:
        """As "Q8_0" or "bfloat16"."""
        return BLOCKS[self.kind][0] if self.kind in BLOCKS else str(PLAIN[self.kind][1]).removeprefix("torch.")


@dataclass(frozen=True)
class _Field:
    """A value that is read when it is asked for: of which kind, where, and how many of it."""

    kind: int
    start: int
    count: int = 1
    is_array: bool = False


class GgufFile:
    """What a GGUF file says of itself. Reads the header alone, and no more than the file holds.

    Attributes:
        path: of the file.
        tensors: by name, in the order of the file.
        keys: of the metadata.

    Raises:
        CheckpointError: the file is cut off, is of another format or version, or its header claims what cannot be:
            counts and sizes beyond the file, tensors that overlap or whose numbers are no whole blocks, names that are
            none or that stand twice.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            with open(self.path, "rb") as source, _mapped(source) as data:
                self._fields, self.tensors = _read(_Cursor(data))
        except (BrokenHeader, OSError, ValueError, struct.error) as error:
            raise unreadable(self.path, error, "GGUF") from error
        self.keys = tuple(self._fields)

    def number(self, key: str) -> int | float | None:
        """A number or a truth; None where there is none of this name."""
        field = self._fields.get(key)
        if field is None or field.is_array or field.kind == STRING:
            return None
        return self._numbers(field)[0]

    def text(self, key: str) -> str | None:
        """A text; None where there is none of this name."""
        field = self._fields.get(key)
        if field is None or field.is_array or field.kind != STRING:
            return None
        return next(self._texts(field))

    def texts(self, key: str) -> list[str] | None:
        """A list of texts; None where there is none of this name."""
        field = self._fields.get(key)
        return list(self._texts(field)) if field and field.is_array and field.kind == STRING else None

    def numbers(self, key: str) -> tuple[Any, ...] | None:
        """A list of numbers; None where there is none of this name."""
        field = self._fields.get(key)
        if not field or not field.is_array or field.kind == STRING:
            return None
        if field.count > MOST_IN_LIST:
            raise unreadable(self.path, BrokenHeader(f"a list of {field.count} numbers"), "GGUF")
        return self._numbers(field)

    def content(self, key: str, start: int, stop: int) -> bytes | None:
        """Some bytes of a list of them; None where there is no such list, or they are not in it."""
        field = self._fields.get(key)
        inside = field and field.is_array and field.kind in (0, 1) and 0 <= start <= stop <= field.count
        return self._bytes(field.start + start, stop - start) if field and inside else None

    def _bytes(self, start: int, length: int) -> bytes:
        if length > LONGEST_TEXT:
            raise unreadable(self.path, BrokenHeader(f"a value of {length} bytes"), "GGUF")
        with open(self.path, "rb") as source:
            source.seek(start)
            return source.read(length)

    def _numbers(self, field: _Field) -> tuple[Any, ...]:
        form = f"<{field.count}{NUMBERS[field.kind]}"
        return struct.unpack(form, self._bytes(field.start, struct.calcsize(form)))

    def _texts(self, field: _Field) -> Iterator[str]:
        with open(self.path, "rb") as source:
            source.seek(field.start)
            for _ in range(field.count):
                length = int.from_bytes(source.read(8), "little")
                if length > LONGEST_TEXT:
                    raise unreadable(self.path, BrokenHeader(f"a text of {length} bytes"), "GGUF")
                yield source.read(length).decode("utf-8", errors="replace")


class GgufTensors(StoredTensors):
    """The tensors of a GGUF file under its own names: plain ones mapped, quantized ones unpacked by the package `gguf`.

    Args:
        shapes: by name, of as many numbers; of those that are not named, as the file has them.

    Raises:
        MissingExtraError: there are quantized tensors, and the package is not installed (extra `gguf`).
    """

    def __init__(self, file: GgufFile, shapes: Mapping[str, tuple[int, ...]] | None = None):
        self._file, self._shapes = file, shapes or {}
        self._quants = _quants() if any(entry.kind in BLOCKS for entry in file.tensors.values()) else None
        self._whole = self._mapping()

    def __getitem__(self, name: str) -> Tensor:
        entry = self._file.tensors[name]
        if entry.kind in BLOCKS:
            return self._unpacked(entry, self._whole[entry.start : entry.stop]).view(self.shape(name))
        return self._whole[entry.start : entry.stop].view(PLAIN[entry.kind][1]).view(self.shape(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.tensors)

    def __len__(self) -> int:
        return len(self._file.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._file.tensors

    def shape(self, name: str) -> torch.Size:
        return torch.Size(self._shapes.get(name, self._file.tensors[name].shape))

    def dtype(self, name: str) -> torch.dtype:
        kind = self._file.tensors[name].kind
        return torch.float32 if kind in BLOCKS else PLAIN[kind][1]

    def is_packed(self, name: str) -> bool:
        return self._file.tensors[name].kind in BLOCKS

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Some rows, from a mapping of their own that ends with them."""
        entry, whole = self._file.tensors[name], self.shape(name)
        _, block, _ = BLOCKS.get(entry.kind, ("", 1, 0))
        if whole.numel() <= SMALL or len(whole) < 2 or whole[1:].numel() % block:  # a list may give another shape
            return self[name][start:stop]
        row = (entry.stop - entry.start) // whole[0]
        data = self._mapping()[entry.start + start * row : entry.start + stop * row]
        shape = (stop - start, *whole[1:])
        if entry.kind in BLOCKS:
            return self._unpacked(entry, data).view(shape)
        return data.view(PLAIN[entry.kind][1]).view(shape)

    def _unpacked(self, entry: GgufEntry, data: Tensor) -> Tensor:
        """float32 numbers of whole blocks, in a row."""
        assert self._quants is not None  # there are quantized tensors
        name, size, length = BLOCKS[entry.kind]
        blocks = data.view(-1, length).numpy()
        kind, unpacked = self._quants.GGMLQuantizationType[name], torch.empty(len(blocks) * size)
        step = max(1, PIECE // size)
        for start in range(0, len(blocks), step):
            row = blocks[start : start + step].reshape(1, -1)  # the package goes row by row: here it has one
            part = torch.from_numpy(self._quants.dequantize(row, kind)).flatten()
            unpacked[start * size : start * size + len(part)] = part
        return unpacked

    def _mapping(self) -> Tensor:
        """All bytes of the file, read where they are touched; what is written into them stays out of it."""
        path = self._file.path
        return torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)


class _Cursor:
    """A place in the bytes of a file, which never leaves them."""

    def __init__(self, data: mmap.mmap):
        self.data, self.size, self.place = data, len(data), 0

    def skip(self, length: int) -> int:
        """Where what is passed over begins."""
        start = self.place
        if length > self.size - start:
            raise BrokenHeader(f"cut off: {length} bytes at {start} of {self.size}")
        self.place += length
        return start

    def number(self, form: str) -> int:
        return struct.unpack_from(f"<{form}", self.data, self.skip(struct.calcsize(form)))[0]

    def name(self, what: str) -> str:
        length = self.number("Q")
        if not 0 < length <= LONGEST_NAME:
            raise BrokenHeader(f"a name of a {what} of {length} bytes")
        start = self.skip(length)
        name = self.data[start : start + length].decode("utf-8")
        if not name.isprintable():
            raise BrokenHeader(f"a name of a {what} with characters that cannot be shown")
        return name

    def field(self) -> _Field:
        """The value here, passed over."""
        kind, count, is_array = self.number("I"), 1, False
        if kind == ARRAY:
            kind, count, is_array = self.number("I"), self.number("Q"), True
        start = self.place
        if kind in NUMBERS:
            self.skip(count * struct.calcsize(NUMBERS[kind]))
        elif kind == STRING:
            if count > MOST_IN_LIST:
                raise BrokenHeader(f"a list of {count} texts")
            for _ in range(count):
                self.skip(self.number("Q"))
        else:
            raise BrokenHeader(f"a value of kind {kind}")
        return _Field(kind, start, count, is_array)


def _mapped(source) -> mmap.mmap:
    return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)


def _read(cursor: _Cursor) -> tuple[dict[str, _Field], dict[str, GgufEntry]]:
    if cursor.data[:4] != MAGIC:
        raise BrokenHeader("it does not begin as one")
    cursor.skip(len(MAGIC))
    version = cursor.number("I")
    if version not in VERSIONS:
        turned = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        raise BrokenHeader(
            "written for big-endian machines" if turned else f"version {version}, where 2 and 3 are known"
        )
    counts = cursor.number("Q"), cursor.number("Q")
    if max(counts) > MOST:
        raise BrokenHeader(f"{counts[0]} tensors and {counts[1]} fields")
    fields: dict[str, _Field] = {}
    for _ in range(counts[1]):
        _put(fields, cursor.name("field"), cursor.field())
    places: dict[str, tuple[int, tuple[int, ...], int]] = {}
    for _ in range(counts[0]):
        name, dimensions = cursor.name("tensor"), cursor.number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise BrokenHeader(f"{name} with {dimensions} dimensions")
        shape = tuple(cursor.number("Q") for _ in range(dimensions))[::-1]  # the fastest stands first in the file
        _put(places, name, (cursor.number("I"), shape, cursor.number("Q")))
    alignment = _alignment(cursor, fields)
    begin = -(-cursor.place // alignment) * alignment
    return fields, _placed(places, begin, alignment, cursor.size)


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    if name in found:
        raise BrokenHeader(f"{name} stands there twice")
    found[name] = value


def _alignment(cursor: _Cursor, fields: dict[str, _Field]) -> int:
    field = fields.get(ALIGNMENT)
    if field is None:
        return 32
    alignment = int.from_bytes(cursor.data[field.start : field.start + 4], "little")
    if field.kind != 4 or field.is_array or not 8 <= alignment <= 2**20 or alignment & (alignment - 1):
        raise BrokenHeader(f"an alignment of {alignment} bytes")
    return alignment


def _placed(
    places: dict[str, tuple[int, tuple[int, ...], int]], begin: int, alignment: int, size: int
) -> dict[str, GgufEntry]:
    """Tensors lie inside the file, at multiples of the alignment, and do not overlap."""
    found = {}
    for name, (kind, shape, offset) in places.items():
        length = prod(shape)
        if kind in BLOCKS:
            _, block, bytes_each = BLOCKS[kind]
            if shape[-1] % block:
                raise BrokenHeader(f"{name} {list(shape)} is no whole number of blocks of {block}")
            length = length // block * bytes_each
        elif kind in PLAIN:
            length *= PLAIN[kind][1].itemsize
        else:
            known = ", ".join(entry[0] for entry in (PLAIN | BLOCKS).values())
            raise BrokenHeader(f"{name} of type {kind}, where these are known: {known}")
        if not length or offset % alignment or length > size - begin - offset:
            raise BrokenHeader(f"{name} {list(shape)} at byte {offset} behind the header, of {max(0, size - begin)}")
        found[name] = GgufEntry(kind, shape, begin + offset, begin + offset + length)
    end, last = 0, ""
    for name, entry in sorted(found.items(), key=lambda item: item[1].start):
        if entry.start < end:
            raise BrokenHeader(f"{name} overlaps {last}")
        end, last = entry.stop, name
    return found


def _quants() -> ModuleType:
    try:
        from gguf import quants
    except ImportError as error:
        raise MissingExtraError("A quantized GGUF file", "gguf", "gguf") from error
    return quants
