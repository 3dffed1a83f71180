"""Whether a container of sound is as long as it says: what a copy that broke off lacks, whichever library reads it.

Formats: ISO/IEC 14496-12 (MP4, M4A, MOV), RFC 8794 and 9559 (Matroska, WebM).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_BOXES = {b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"mfra", b"uuid"}
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def missing_bytes(path: Path) -> int:
    """How many bytes a file is shorter than its own parts say; 0 where it is whole, or of another format."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        file.seek(0)
        if start[4:8] in _BOXES:
            return max(0, _end_of_boxes(file, size) - size)
        if int.from_bytes(start[:4], "big") == _EBML:
            return max(0, _end_of_segment(file, size) - size)
    return 0


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last known box ends; what is behind it and no box does not count."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if kind not in _BOXES or length < 8:  # 0: as far as the file goes
            return min(at, size)
        at += length
    return at


def _end_of_segment(file: BinaryIO, size: int) -> int:
    """Where the segment ends, which holds everything; a live stream leaves its length open."""
    while (at := file.tell()) < size:
        identity, length, is_open = _number(file, keep_marker=True)[0], *_number(file)
        if identity == _SEGMENT:
            return size if is_open else file.tell() + length
        if is_open or file.tell() == at:
            break
        file.seek(length, 1)
    return size


def _number(file: BinaryIO, keep_marker: bool = False) -> tuple[int, bool]:
    """A number of variable length, and whether all its bits are set, which means unknown."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first and first[0] else 1
    value = int.from_bytes(first + file.read(length - 1), "big")
    marker = 1 << 7 * length
    return (value if keep_marker else value & (marker - 1)), value == 2 * marker - 1
