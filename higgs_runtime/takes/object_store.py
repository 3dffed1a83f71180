"""Takes in an object store (S3, Google Cloud Storage, Azure, …), or in whatever else fsspec opens by a URL.

    s3://bucket/prefix/ab/abcd…-7.safetensors    a take: codes, notes and their sum in one object
    s3://bucket/prefix/ab/abcd…-7.keep           it is locked

The names are those of a folder of takes, so one may be copied into the other.

Neither renames nor locks are needed: one PUT of an object store puts a whole object or none, and a key stands for the
same codes whoever makes them. A place that does not keep the first (a folder, as file://…) may hold a take that was cut
off: its sum tells, and it is spoken again. Without locks nobody claims a take: two programs that render one script at
the same time may both speak a line; they store the same codes, and the notes of who is later.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from ..errors import HiggsWarning, MissingExtraError, SettingError, TakeError
from .by_key import KEEP, KEY, SUFFIX, Pruned, Stored, Takes, check_ended, check_key, joined, keys_of, missing_take
from .store import DEFAULT_BYTES, TakeStore, default_takes_folder
from .take_files import BrokenTake, Take, packed_take, unpacked_take

TIMES = ("LastModified", "mtime", "updated", "last_modified", "created")  # what file systems of fsspec call it


def open_takes(where: str | Path | None = None, max_bytes: int | None = DEFAULT_BYTES) -> Takes:
    """The store in a folder (None: `default_takes_folder`), or at a URL; `max_bytes` is for folders.

    Raises:
        SettingError: as `ObjectStore` and `TakeStore`.
    """
    if where is not None and "://" in str(where):
        return ObjectStore(str(where))
    return TakeStore(where or default_takes_folder(), max_bytes)


class ObjectStore(Takes):
    """Takes at a URL. Keys and secrets are where the store's own tools have them, as in the environment.

    Nothing is pruned, and `Stored.used` is when a take was stored: a bucket has rules of its own for old objects.

    Args:
        url: of a folder, as s3://bucket/prefix. It is opened when it is needed.

    Raises:
        SettingError: it is no URL, or several in one.
    """

    max_bytes = None

    def __init__(self, url: str):
        if "://" not in url or "::" in url:
            raise SettingError(
                "Takes cannot be kept there.",
                expected="a URL as s3://bucket/prefix",
                got=f"'{url}'",
                remedy="Name one, or a folder.",
            )
        self.where = url.rstrip("/")

    def __reduce__(self):
        return type(self), (self.where,)

    def __contains__(self, key: str) -> bool:
        return self._read(self._name(key)) is not None

    def get(self, key: str) -> Take | None:
        """The take; None if there is none. One that is damaged stays until a whole one takes its place.

        Warns:
            HiggsWarning: it is damaged, and counts as missing.

        Raises:
            TakeError: the store cannot be read.
            MissingExtraError: fsspec (extra `fsspec`) is not installed.
            SettingError: fsspec knows no such store, or needs another package for it.
        """
        data = self._read(self._name(key))
        try:
            return None if data is None else unpacked_take(data, key)
        except BrokenTake as error:
            warnings.warn(
                f"The stored take {key} is damaged ({error}); it counts as missing.", HiggsWarning, stacklevel=3
            )
            return None

    peek = get

    def put(self, key: str, take: Take) -> Take:
        check_ended(take)
        take = joined(self.get(key), take)
        self._write(self._name(key), packed_take(key, take))
        return take

    def update_meta(self, key: str, **notes) -> Take:
        take = self.get(key)
        if take is None:
            raise missing_take(key)
        take = replace(take, meta={**take.meta, **notes})
        self._write(self._name(key), packed_take(key, take))
        return take

    @contextmanager
    def claim(self, key: str, wait_s: float = 0.0) -> Iterator[bool]:
        """Whether there is no such take yet: everybody may render it."""
        yield key not in self

    def takes_of(self, line: str) -> list[str]:
        """Asks for all names that begin with the same two digits: one request for a thousand takes of them."""
        check_key(f"{line}-0")
        try:
            with self._asked("read"):
                found = self._files.ls(self._path(line[:2]), detail=False)
        except FileNotFoundError:
            return []
        return keys_of(line, map(_last, found))

    def is_locked(self, key: str) -> bool:
        return self._read(self._name(key, KEEP)) is not None

    def lock_take(self, key: str) -> None:
        if key not in self:
            raise missing_take(key)
        self._write(self._name(key, KEEP), b"")

    def unlock_take(self, key: str) -> None:
        self._delete(self._name(key, KEEP))

    def list(self) -> list[Stored]:
        """All takes, the one stored last first."""
        try:
            with self._asked("read"):
                self._files.ls(self._root, detail=False)  # `find` passes over what may not be read
                found = {_last(name): about for name, about in self._files.find(self._root, detail=True).items()}
        except FileNotFoundError:
            return []
        keys = {name.removesuffix(SUFFIX): about for name, about in found.items() if name.endswith(SUFFIX)}
        stored = [
            Stored(key, int(about.get("size") or 0), _time(about), key + KEEP in found)
            for key, about in keys.items()
            if KEY.fullmatch(key)
        ]
        return sorted(stored, key=lambda one: -one.used)

    def prune(self, max_bytes: int, *, grace_s: float = 0.0) -> Pruned:
        """Raises:
        SettingError: always.
        """
        raise SettingError(
            "Takes in an object store are not pruned from here.",
            expected="a folder of takes",
            got=f"'{self.where}'",
            remedy="Give the bucket a rule for the age of its objects.",
        )

    def leave_mark(self, name: str) -> None:
        self._write(name, b"")

    def has_mark(self, name: str) -> bool:
        return self._read(name) is not None

    def remove_mark(self, name: str) -> None:
        self._delete(name)

    # --- one object -------------------------------------------------------------------------------------------------

    def _name(self, key: str, suffix: str = SUFFIX) -> str:
        check_key(key)
        return f"{key[:2]}/{key}{suffix}"

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _read(self, name: str) -> bytes | None:
        """None where there is none. Takes are small: to ask whether there is one (`exists`) costs as much or more, and
        in some stores any failure means no."""
        try:
            with self._asked("read"):
                return self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        with self._asked("changed", missing="there is no such place"):
            self._files.pipe_file(self._path(name), data)

    def _delete(self, name: str) -> None:
        try:
            with self._asked("changed"):
                self._files.rm_file(self._path(name))
        except FileNotFoundError:
            pass

    @contextmanager
    def _asked(self, what: str, missing: str = "") -> Iterator[None]:
        """Every store has errors of its own; here they are TakeErrors, but for FileNotFoundError unless that is one."""
        self._files.invalidate_cache()  # of names: others write there too
        try:
            yield
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not missing:
                raise
            said = missing if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
            raise TakeError(
                f"'{self.where}' cannot be {what}.",
                got=" ".join(said.split())[:300],
                remedy="Check name, network and rights. Takes that were stored before are still there.",
            ) from error

    @property
    def _files(self):
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1].rstrip("/")

    @cached_property
    def _opened(self) -> tuple:
        """The file system and the path in it."""
        try:
            from fsspec.core import url_to_fs
            from fsspec.registry import known_implementations
        except ImportError as error:
            raise MissingExtraError("A store of takes at a URL", "fsspec", "fsspec") from error
        kind = self.where.partition("://")[0]
        options = {"auto_mkdir": True} if kind in ("file", "local") else {}  # others have no folders, or make them
        try:
            return url_to_fs(self.where, **options)
        except ImportError as error:
            package = known_implementations.get(kind, {}).get("class", kind).partition(".")[0]
            raise SettingError(
                f"'{kind}://' needs another package.",
                expected=f"'{package}'",
                got=str(error),
                remedy=f"With the Python that runs this: pip install {package}",
            ) from error
        except (OSError, TypeError, ValueError) as error:
            raise SettingError(
                "Takes cannot be kept there.",
                expected="a URL that fsspec opens",
                got=str(error),
                remedy="Name one as s3://bucket/prefix, or a folder.",
            ) from error


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _time(about: dict) -> float:
    """When an object was written, in seconds since 1970; 0 where the store does not say."""
    when = next((about[name] for name in TIMES if about.get(name)), 0.0)
    if isinstance(when, str):
        when = datetime.fromisoformat(when.replace("Z", "+00:00"))
    return when.timestamp() if isinstance(when, datetime) else float(when)
