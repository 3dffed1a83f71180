"""Files that appear whole or not at all: each is written beside its place, under a hidden name, and then put there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PART = ".part"  # ends the name of a file that is being written


@contextmanager
def unfinished(target: Path, suffix: str = PART) -> Iterator[Path]:
    """Lends a name in the target's folder that nothing has; what is left there when the with-block ends is gone."""
    part = target.with_name(f".higgs-{secrets.token_hex(8)}{suffix}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing(target: Path, *, new: bool = False) -> Iterator[Path]:
    """Lends such a name, whose file takes the target's place at the end of the with-block; not where that raises.

    Args:
        new: nothing is replaced; of two writers one is refused.

    Raises:
        OSError: the disk is full or not writable; what was there stays.
        FileExistsError: the name is taken, with `new`.
    """
    with unfinished(target) as part:
        yield part
        if new:
            target.open("xb").close()  # takes the name
        try:
            os.replace(part, target)
        except BaseException:
            if new:
                target.unlink()
            raise


def write_bytes(target: Path, data: bytes, *, new: bool = False, sync: bool = False) -> None:
    """Write a file whole or not at all.

    Args:
        new: as in `replacing`.
        sync: it is on the disk before it takes its place, also where the power fails.

    Raises:
        OSError: as `replacing`.
    """
    with replacing(target, new=new) as part, open(part, "xb") as file:
        file.write(data)
        if sync:
            on_disk(file)


def on_disk(file: IO[bytes]) -> None:
    """Waits until what was written lies on the disk."""
    file.flush()
    os.fsync(file.fileno())
