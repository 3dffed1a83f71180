"""File names from a template, below a folder and free of what file systems refuse."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import SettingError
from ...outputs import REFUSED, RESERVED

_MAX_BYTES = 200  # of one name, of the 255 that file systems allow: a number and a suffix come behind


def file_names(folder: str | os.PathLike, template: str, fields: Mapping[str, str], suffix: str) -> Iterator[Path]:
    """The names that a template stands for, one after the other: the first that is free is the one to take.

    Args:
        folder: all names lie below it.
        template: `{name}` stands for a field and `{n}` (or `{n:03}`, three digits) for 1, 2, …; without it the
            second name gets `_2`. A slash makes a folder.
        fields: what stands for what. Slashes and characters that a file system refuses become underscores; long
            ones are cut, so that the number is always whole.
        suffix: with its dot.

    Raises:
        SettingError: no such field; a template that is empty, broken, too long or leads out of the folder.
    """
    counted = any(name == "n" for _, name, _, _ in _parse(template))
    number = 1
    while True:
        *folders, name = _fill(template, {**fields, "n": number}).split("/")
        if not counted and number > 1:
            name = f"{name}_{number}"
        yield Path(folder, *map(_clean, folders), _clean(name) + suffix)
        number += 1


def _parse(template: str) -> list[tuple]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        raise _refused(template, str(error)) from error


def _fill(template: str, fields: Mapping[str, str | int]) -> str:
    parts, pieces = [], _parse(template)
    share = (_MAX_BYTES - len(template.encode())) // max(1, sum(name is not None for _, name, _, _ in pieces))
    if share < 8:
        raise _refused(template, "one that is too long")
    for text, name, spec, conversion in pieces:
        parts.append(text)
        if name is None:
            continue
        if name not in fields or conversion or (spec and (name != "n" or not re.fullmatch(r"0?\d{1,2}", spec))):
            raise SettingError(
                "The template of the file name cannot be filled.",
                expected=", ".join(f"{{{field}}}" for field in fields) + " or {n:03}",
                got="{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}",
                remedy="Use these fields, or add a tag of that name.",
            )
        value = fields[name]
        parts.append(format(value, spec or "") if isinstance(value, int) else _cut(REFUSED.sub("_", value), share))
    filled = "".join(parts).replace("\\", "/")
    if filled.startswith("/") or re.match(r"[A-Za-z]:", filled) or ".." in (part.strip() for part in filled.split("/")):
        raise _refused(template, "a way out of the folder")
    if not filled.strip(" ./"):
        raise _refused(template, "nothing" if not filled else f"'{filled}'")
    return filled


def _clean(name: str) -> str:
    """One part of a path: characters, ends, length and names that every file system takes."""
    name = _cut(REFUSED.sub("_", name), _MAX_BYTES).strip(" .") or "_"
    return f"_{name}" if RESERVED.match(name) else name


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _refused(template: str, got: str) -> SettingError:
    return SettingError(
        f"'{template}' is not a template for a file name.",
        expected="a name such as {title}_{n:03}",
        got=got,
        remedy="Folders are fine, below the output folder.",
    )
