"""Where a result may be written: never over what was read for it, and not where the long work would end in vain."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from .errors import SettingError

REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')  # in names of files, by Windows
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$")  # names of its devices


def check_target(
    path: str | os.PathLike, inputs: Iterable[str | os.PathLike], suffixes: Iterable[str], example: str
) -> None:
    """Before the long work, not after it.

    Args:
        inputs: what is read; under whatever name, the result must not be written over it.
        suffixes: of the formats that there are, in small letters; the example is a name that has one.

    Raises:
        SettingError: there is no such folder, nothing can be written into it, the suffix is of no format, or the file
            is an input.
    """
    path = Path(path)
    if path.is_dir():
        raise SettingError(
            f"The result cannot be saved there: '{path}' is a folder.",
            expected="the name of a file",
            got="a folder",
            remedy=f"Add a name to it, such as {path / example}.",
        )
    if not path.parent.is_dir():
        raise SettingError(
            f"The result cannot be saved there: there is no folder '{path.parent}'.",
            got=str(path),
            expected="a file name in an existing folder",
            remedy="Make the folder, or name another one.",
        )
    if REFUSED.search(path.name) or RESERVED.match(path.name) or path.name != path.name.strip():
        raise SettingError(
            "The audio cannot be saved under this name: Windows refuses it, and files travel.",
            expected='a name without < > : " / \\ | ? * and blanks at its ends, and none of its devices, as con or nul',
            got=repr(path.name),
            remedy=f"Name a file such as {example}.",
        )
    if path.suffix.lower() not in (known := list(suffixes)):
        raise SettingError(
            "The result cannot be saved there: the suffix of the name decides the format.",
            expected=f"a name that ends in {', '.join(known)}",
            got=path.name,
            remedy=f"Name a file such as {example}.",
        )
    check_folder(path.parent)
    check_not_read(path, inputs)


def check_not_read(path: str | os.PathLike, inputs: Iterable[str | os.PathLike]) -> None:
    """Raises:
    SettingError: the file is one of those that the result is made of.
    """
    if is_one_of(path, inputs):
        raise SettingError(
            f"'{path}' is read for this, and must not be written over.",
            expected="a new file",
            got="one of the inputs",
            remedy="Name another file with -o.",
        )


def check_folder(folder: str | os.PathLike) -> None:
    """That files can be made in a folder; one that is not there yet counts as the one it would be made in.

    Raises:
        SettingError: they cannot.
    """
    folder = Path(folder)
    there = next((one for one in (folder, *folder.absolute().parents) if os.path.lexists(one)), folder)
    try:
        tempfile.TemporaryFile(dir=there).close()  # asking for permissions is not enough: the disk may be full
    except OSError as error:
        raise SettingError(
            f"Nothing can be written in '{folder}'.",
            expected="a folder with room that may be written to",
            got=error.strerror or str(error),
            remedy="Name a folder elsewhere.",
        ) from error


def is_one_of(path: str | os.PathLike, files: Iterable[str | os.PathLike]) -> bool:
    """Whether it is one of these files, also by a link or in other letters where the file system sees no difference."""
    return os.path.exists(path) and any(os.path.exists(file) and os.path.samefile(path, file) for file in files)


def numbered(path: Path) -> Iterator[Path]:
    """The name itself, then with _2, _3, …: the first that may be taken is to be."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}_{number}{path.suffix}")


def free_name(path: Path) -> Path:
    """The first of these names that nothing has."""
    return next(one for one in numbered(path) if not os.path.lexists(one))


def partial_name(path: Path) -> Path:
    """What a result is called that broke off, so that it takes the place of no whole one."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")
