"""Small results that take seconds to compute, kept in this user's cache from one start to the next.

A result is a JSON value in a file of its own, named by the hash of all that it follows from. What a file holds is
checked, not trusted: it says what it was made from and the hash of its value, and the caller looks at the value as
well. A file that does not pass, or a folder that cannot be written, costs the seconds again and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .atomic_write import write_bytes
from .errors import SettingError

SWITCH = "HIGGS_KEEP"  # environment variable; 0: nothing is kept, and nothing kept is read
MOST_BYTES = 1_000_000  # of a file
log = logging.getLogger(__name__)


def named_for(module: str, *files: Path) -> Callable[[Callable], Callable]:
    """A decorator, below Numba's, of a function that Numba keeps on the disk once it is compiled.

    Numba looks for it by the function's name and its file's date. With this the content of all files that go into it
    is in the name, and the module's name, which differs by the path of the pack: what another one compiled names
    modules that are not here.
    """
    mark = f"_{zlib.crc32(b''.join(file.read_bytes() for file in files), zlib.crc32(module.encode())):08x}"

    def named(function: Callable) -> Callable:
        function.__qualname__ += mark
        return function

    return named


def compiled_before(function) -> bool:
    """Whether Numba keeps what it compiled of a function of `named_for` that has cache=True."""
    folder = function.stats.cache_path
    assert folder is not None  # it has cache=True
    return any(Path(folder).glob(f"*{function.py_func.__qualname__}*.nbi"))


def cache_folder() -> Path:
    """Where this user keeps what can be made again.

    Raises:
        SettingError: the user has no home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "higgs_audio"
    except RuntimeError as error:
        raise SettingError(
            "There is no folder for this user's cache.",
            expected="a home folder",
            got=str(error),
            remedy="Name one in the environment variable XDG_CACHE_HOME, or one for takes in HIGGS_TAKES.",
        ) from error


def kept(made_from: Mapping[str, str], make: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    """The value that `make` gives, from the cache where it is there.

    Args:
        made_from: everything that the value follows from, the version of the way that it is made included.
        make: gives a JSON value.
        fits: whether a value read from a file can be one of these; it sees any JSON value.
    """
    if os.environ.get(SWITCH) == "0":
        return make()
    name = _hash(dict(made_from))
    try:
        file = cache_folder() / "kept" / f"{name}.json"
        found = _read(file, made_from)
        if found is not None and fits(found[0]):
            return found[0]
    except SettingError:
        return make()
    value = make()
    record = {"made_from": dict(made_from), "value": value, "hash": _hash(value)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, json.dumps(record).encode())
    except OSError as error:
        log.debug("'%s' could not be kept: %s", file, error)
    return value


def _read(file: Path, made_from: Mapping[str, str]) -> tuple[Any] | None:
    """The value in a whole file that says it was made from this."""
    try:
        if file.stat().st_size > MOST_BYTES:
            return None
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("made_from") != dict(made_from):
        return None
    value = record.get("value")
    return (value,) if record.get("hash") == _hash(value) else None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
