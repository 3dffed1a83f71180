"""A folder of takes that processes and machines share: content-addressed, atomic, within a budget.

    ab/abcd…-7.safetensors    a take, by its key; all takes of a line lie side by side
    ab/abcd…-7.keep           it is locked
    ab/abcd…-7.claim          somebody renders it, or did until it was killed
    ab/.write                 held while a take in this folder is changed
    .locks                    touched when a take is locked or unlocked
    broken/                   what could not be read

Every change is one rename, so whoever is killed leaves whole files. Locks only save work: without them (a shared folder
that has none) two may render the same take, and the first one stays.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..atomic_write import PART
from ..errors import HiggsWarning, SettingError, TakeError, check_range
from ..kept import cache_folder
from .by_key import KEEP, KEY, SUFFIX, Pruned, Stored, Takes, check_ended, check_key, joined, keys_of, missing_take
from .take_files import BrokenTake, Take, read_take, write_take

DEFAULT_BYTES = 2_000_000_000
GRACE_S = 3600.0  # what was used this recently is not pruned: it may be of a render that goes on
TIDY = 20  # a store that prunes itself makes room for this part of its budget at once
SKEW_S = 60.0  # that the clocks of machines with one folder may differ
WRITE_WAIT_S = 10.0  # for another's change of a few kB; then without the lock
POLL_S = 0.02
CLAIM, WRITE, LOCKS, BROKEN = ".claim", ".write", ".locks", "broken"
PREFIX = re.compile(r"[0-9a-f]{2}")


def default_takes_folder() -> Path:
    """`$HIGGS_TAKES`, else a folder of this user's cache.

    Raises:
        SettingError: it is a URL, or the user has no home folder.
    """
    named = os.environ.get("HIGGS_TAKES")
    if named and "://" in named:
        raise SettingError(
            "HIGGS_TAKES names no folder.",
            expected="a folder of this computer",
            got=f"'{named}'",
            remedy="Give a URL to `higgs render-script --store`; nodes keep takes in a folder.",
        )
    return Path(named).expanduser() if named else cache_folder() / "takes"


class TakeStore(Takes):
    """Takes by their key. Any number of stores, in any number of processes, may have the same folder.

    To render what is missing, and each once:

        while (take := store.get(key)) is None:
            with store.claim(key, wait_s=60) as mine:
                if mine:
                    take = store.put(key, render())

    Args:
        folder: made when a take is stored.
        max_bytes: what all takes may occupy; a `put` beyond it prunes (see there). None: no limit.

    Raises:
        SettingError: max_bytes is below 0.
    """

    def __init__(self, folder: str | Path, max_bytes: int | None = DEFAULT_BYTES):
        if max_bytes is not None:
            check_range("max_bytes", max_bytes, 0, 2**63)
        self.folder, self.max_bytes = Path(folder), max_bytes
        self._room = 0  # bytes that may be stored before it is looked again what there is

    def __reduce__(self):
        return type(self), (self.where, self.max_bytes)

    @property
    def where(self) -> str:
        return str(self.folder.absolute())

    def __contains__(self, key: str) -> bool:
        """Whether there is a file for it."""
        return self._path(key).exists()

    def get(self, key: str) -> Take | None:
        """The take, which is now the one used last; None if there is none. A file that is damaged is set aside.

        Warns:
            HiggsWarning: a file was set aside; the take counts as missing.

        Raises:
            TakeError: the folder cannot be read.
        """
        take = self.peek(key)
        if take is not None:
            with suppress(OSError):  # a folder that others fill and this one only reads
                os.utime(self._path(key))
        return take

    def peek(self, key: str) -> Take | None:
        """As `get`, but it does not count as a use."""
        try:
            return self._read(key)
        except BrokenTake:
            with self._writing(key):
                return self._mended(key)

    def put(self, key: str, take: Take) -> Take:
        """Store a take, and return the one that is there from now on: the codes of the first, the notes of both.

        Raises:
            TakeError: it was cancelled (its end is not that of its key), or the disk is full or not writable. What was
                there stays, and so does the take in the caller's hands.
        """
        check_ended(take)
        with self._writing(key):
            take = joined(self._mended(key), take)
            written = write_take(self._path(key), key, take)
        if self.max_bytes is not None:
            self._room -= written
            if self._room < 0:
                self._make_room(self.max_bytes)
        return take

    def update_meta(self, key: str, **notes) -> Take:
        """Add notes to a take, or write them anew.

        Raises:
            TakeError: there is no such take, or as `put`.
            SettingError: they are not JSON.
        """
        with self._writing(key):
            take = self._mended(key)
            if take is None:
                raise missing_take(key)
            take = replace(take, meta={**take.meta, **notes})
            write_take(self._path(key), key, take)
        return take

    @contextmanager
    def claim(self, key: str, wait_s: float = 0.0) -> Iterator[bool]:
        """Whether to render this take, as long as the with-block runs.

        False: it has been stored meanwhile, or after `wait_s` somebody else still renders it. The claim of a process
        that ended, however it ended, is free. Where the folder has no locks, everybody may render.
        """
        path = self._path(key)
        with _held(path.with_suffix(CLAIM), wait_s) as mine:
            try:
                yield mine is not False and not path.exists()
            finally:
                if mine and path.exists():  # who waited for this file looks whether the take is there
                    with suppress(OSError):
                        path.with_suffix(CLAIM).unlink()

    # --- the takes of a line ----------------------------------------------------------------------------------------

    def takes_of(self, line: str) -> list[str]:
        """The keys of all takes of a line (see `line_key`), by seed."""
        check_key(f"{line}-0")
        return keys_of(line, _names(self.folder / line[:2]))

    def lock_take(self, key: str) -> None:
        """Keep a take: it is never pruned, and `pick` takes it.

        Raises:
            TakeError: there is no such take, or the folder is not writable.
        """
        if key not in self:
            raise missing_take(key)
        self._change(lambda: self._path(key).with_suffix(KEEP).touch())
        self._change((self.folder / LOCKS).touch)

    def unlock_take(self, key: str) -> None:
        """Undo `lock_take`."""
        if self.is_locked(key):
            self._change(lambda: self._path(key).with_suffix(KEEP).unlink(missing_ok=True))
            self._change((self.folder / LOCKS).touch)

    def locks_changed(self) -> int:
        """Changes whenever a take is locked or unlocked: a time in nanoseconds, 0 before the first."""
        try:
            return (self.folder / LOCKS).stat().st_mtime_ns
        except OSError:
            return 0

    def is_locked(self, key: str) -> bool:
        return self._path(key).with_suffix(KEEP).exists()

    def leave_mark(self, name: str) -> None:
        self._change(lambda: (self.folder.mkdir(parents=True, exist_ok=True), (self.folder / name).touch()))

    def has_mark(self, name: str) -> bool:
        return (self.folder / name).exists()

    def remove_mark(self, name: str) -> None:
        self._change(lambda: (self.folder / name).unlink(missing_ok=True))

    # --- the whole folder -------------------------------------------------------------------------------------------

    def list(self) -> list[Stored]:
        """All takes, the one used last first. Nothing is read but the folders."""
        found = [one for name in _names(self.folder) if PREFIX.fullmatch(name) for one in self._stored(name)]
        return sorted(found, key=lambda one: -one.used)

    def prune(self, max_bytes: int, *, grace_s: float = GRACE_S) -> Pruned:
        """Delete what was used longest ago until at most `max_bytes` are left, and what killed processes left behind.

        Locked takes stay, and what was used in the last `grace_s` seconds, so more may be left. What is dated in the
        future counts as used now.
        """
        check_range("max_bytes", max_bytes, 0, 2**63)
        now, broken = time.time(), self.folder / BROKEN
        self._sweep(now, max(grace_s, GRACE_S))  # nobody writes one file for so long
        files = [
            (_aged(self._path(one.key), one.used, now), one.bytes, self._path(one.key), one.locked)
            for one in self.list()
        ]
        for name in _names(broken):
            with suppress(FileNotFoundError):
                stat = (broken / name).stat()
                files.append((_aged(broken / name, stat.st_mtime, now), stat.st_size, broken / name, False))
        left = sum(size for _, size, _, _ in files)
        count = freed = kept = 0
        for used, size, path, locked in sorted(files, key=lambda file: file[0]):
            if locked or used > now - grace_s:
                kept += size
            elif left > max_bytes and self._delete(path, used):
                left, freed, count = left - size, freed + size, count + 1
        return Pruned(count, freed, left, kept)

    def _make_room(self, budget: int) -> None:
        step = budget // TIDY
        total = sum(one.bytes for one in self.list())
        if total > budget:
            total = self.prune(budget - step).left_bytes
        self._room = min(step, budget - total) if total <= budget else step

    def _sweep(self, now: float, grace_s: float) -> None:
        """Delete unfinished files that are older, and claims that nobody holds."""
        for folder in [self.folder / name for name in _names(self.folder) if PREFIX.fullmatch(name)]:
            for name in _names(folder):
                file = folder / name
                with suppress(OSError):
                    if not name.endswith((PART, CLAIM)) or _aged(file, file.stat().st_mtime, now) >= now - grace_s:
                        continue
                    if name.endswith(PART):
                        file.unlink()
                    else:
                        with _held(file, 0.0) as free:
                            if free:
                                file.unlink()

    def _delete(self, path: Path, used: float) -> bool:
        """False if it was used or locked meanwhile. Who prunes at the same time may have been faster."""
        try:
            if path.stat().st_mtime > used or path.with_suffix(KEEP).exists():
                return False
            path.unlink()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise TakeError(
                f"'{path}' cannot be deleted.",
                got=error.strerror or str(error),
                remedy="Let this user write to the folder of takes.",
            ) from error
        return True

    # --- one file ---------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.folder / key[:2] / (key + SUFFIX)

    def _stored(self, prefix: str) -> list[Stored]:
        found, names = [], set(_names(self.folder / prefix))
        for name in names:
            key = name.removesuffix(SUFFIX)
            if key != name and KEY.fullmatch(key):
                with suppress(FileNotFoundError):  # pruned by another process
                    stat = (self.folder / prefix / name).stat()
                    found.append(Stored(key, stat.st_size, stat.st_mtime, key + KEEP in names))
        return found

    def _read(self, key: str) -> Take | None:
        try:
            return read_take(self._path(key), key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise TakeError(
                f"'{self._path(key)}' cannot be read.",
                got=error.strerror or str(error),
                remedy="Check the disk, and that this user may read the folder of takes.",
            ) from error

    def _mended(self, key: str) -> Take | None:
        """As `_read`, where nobody else changes it: what is broken is set aside."""
        try:
            return self._read(key)
        except BrokenTake as error:
            aside = self.folder / BROKEN / f"{key}.{time.time_ns()}"
            with suppress(OSError):  # then it stays where it is, until a whole one takes its place
                aside.parent.mkdir(exist_ok=True)
                os.replace(self._path(key), aside)
            warnings.warn(
                f"The stored take {key} is damaged ({error}); it counts as missing, and what was there is "
                f"set aside in '{aside.parent}'.",
                HiggsWarning,
                stacklevel=4,
            )
            return None

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        with _held(self._path(key).with_name(WRITE), WRITE_WAIT_S):
            yield

    def _change(self, call) -> None:
        try:
            call()
        except OSError as error:
            raise TakeError(
                f"'{self.folder}' cannot be changed.",
                got=error.strerror or str(error),
                remedy="Make room on the disk, and let this user write to the folder of takes.",
            ) from error


def _aged(file: Path, used: float, now: float) -> float:
    """When a file was used. One of a time to come, by a wrong clock or out of an archive, counts as used now, and ages
    as the others from now on."""
    if used <= now + SKEW_S:
        return used
    try:
        os.utime(file, (now, now))
        return file.stat().st_mtime
    except OSError:  # gone, or of another user
        return used


@contextmanager
def _held(file: Path, wait_s: float) -> Iterator[bool | None]:
    """A lock that ends with the process: True, False (another has it), or None (there are no locks in this folder)."""
    from filelock import FileLock, Timeout  # torch brings it

    held: bool | None = True
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(file))
        lock.acquire(timeout=wait_s, poll_interval=POLL_S)
    except Timeout:
        held = False
    except (OSError, NotImplementedError):
        held = None
    try:
        yield held
    finally:
        if held:
            lock.release()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise TakeError(
            f"'{folder}' cannot be read.",
            got=error.strerror or str(error),
            remedy="Let this user read the folder of takes.",
        ) from error
