"""What a render, and a person, want of takes by their keys; where they are kept is another matter."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ..errors import TakeError
from .take_files import Take

SUFFIX, KEEP = ".safetensors", ".keep"  # of the name of a take, and of what says that it is locked
KEY = re.compile(r"[0-9a-f]{64}-\d{1,20}")


@dataclass(frozen=True)
class Stored:
    """A take in the store. `used`: when it was last stored or asked for, in seconds since 1970."""

    key: str
    bytes: int
    used: float
    locked: bool


@dataclass(frozen=True)
class Pruned:
    """How many files went, and what is left: in all, and of that what had to stay (locked, or in use of late)."""

    files: int
    bytes: int
    left_bytes: int
    kept_bytes: int


class Takes(ABC):
    """Takes by their key. What is not said here is that of `TakeStore`.

    A store that is pickled opens the same place elsewhere.

    Attributes:
        where: folder or URL, the same for every process that sees it.
        max_bytes: what all takes may occupy; None: no limit.
    """

    where: str
    max_bytes: int | None

    @abstractmethod
    def __contains__(self, key: str) -> bool: ...

    @abstractmethod
    def peek(self, key: str) -> Take | None: ...

    @abstractmethod
    def get(self, key: str) -> Take | None: ...

    @abstractmethod
    def put(self, key: str, take: Take) -> Take: ...

    @abstractmethod
    def update_meta(self, key: str, **notes) -> Take: ...

    @abstractmethod
    def claim(self, key: str, wait_s: float = 0.0) -> AbstractContextManager[bool]: ...

    @abstractmethod
    def takes_of(self, line: str) -> list[str]: ...

    @abstractmethod
    def is_locked(self, key: str) -> bool: ...

    @abstractmethod
    def lock_take(self, key: str) -> None: ...

    @abstractmethod
    def unlock_take(self, key: str) -> None: ...

    @abstractmethod
    def list(self) -> list[Stored]: ...

    @abstractmethod
    def leave_mark(self, name: str) -> None:
        """Put a mark there, by which others know whether they see the same place.

        Raises:
            TakeError: it is not writable.
        """

    @abstractmethod
    def has_mark(self, name: str) -> bool: ...

    @abstractmethod
    def remove_mark(self, name: str) -> None: ...

    @abstractmethod
    def prune(self, max_bytes: int, *, grace_s: float = 0.0) -> Pruned:
        """Make room: see `TakeStore.prune`.

        Raises:
            SettingError: the store is not one whose takes are pruned from here.
        """

    def pick(self, line: str) -> tuple[str, Take] | None:
        """The key and the take to use for a line; None if there is none.

        A locked one first; then by the notes `wer` (smaller) and `similarity` (larger), those without them last; then
        the smallest seed.
        """
        found = {key: take for key in self.takes_of(line) if (take := self.peek(key)) is not None}

        def rank(key: str) -> tuple:
            wer, similarity = (found[key].meta.get(name) for name in ("wer", "similarity"))
            return (not self.is_locked(key), *_worse(wer, 1), *_worse(similarity, -1), seed_of(key))

        best = min(found, key=rank, default=None)
        return None if best is None else (best, found[best])

    def find(self, start: str) -> str:
        """The only key that begins so. "ab12-7" means seed 7 of the line that begins with "ab12".

        Raises:
            TakeError: there is none, or there are several.
        """
        line, dash, seed = start.lower().strip().partition("-")
        keys = [one.key for one in self.list()]
        found = [key for key in keys if key.startswith(line) and (not dash or key.partition("-")[2] == seed)]
        if len(found) != 1:
            shown = ", ".join(found[:4]) + (" …" if len(found) > 4 else "")
            raise TakeError(
                f"Which take is '{start}'?",
                expected="the beginning of one key",
                got=f"{len(found)} takes" + (f" ({shown})" if found else ""),
                remedy="Write more of the key; `higgs takes ls` lists them.",
            )
        return found[0]


def check_key(key: str) -> None:
    """A key becomes a name: nothing else must.

    Raises:
        TakeError: it is none.
    """
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise TakeError(
            "This is not the key of a take.",
            expected="64 hexadecimal digits, a dash and the seed",
            got=repr(key)[:100],
            remedy="Make keys with take_key.",
        )


def keys_of(line: str, names) -> list[str]:
    """The keys of a line's takes among the names of a folder, by seed."""
    files = (name for name in names if name.startswith(line) and name.endswith(SUFFIX))
    return sorted((key for name in files if KEY.fullmatch(key := name.removesuffix(SUFFIX))), key=seed_of)


def check_ended(take: Take) -> None:
    """Raises:
    TakeError: it was cancelled: its end is not that of its key.
    """
    if take.finish_reason == "cancelled":
        raise TakeError(
            "A cancelled take is not stored.",
            expected="one that came to its end",
            got="'cancelled'",
            remedy="Render the line again.",
        )


def joined(there: Take | None, take: Take) -> Take:
    """The codes of the one that is there, if any, and the notes of both."""
    return replace(there or take, meta={"created": time.time(), **(there.meta if there else {}), **take.meta})


def missing_take(key: str) -> TakeError:
    return TakeError(f"There is no take {key}.", remedy="It was pruned, or never rendered: render the line again.")


def seed_of(key: str) -> int:
    return int(key.rpartition("-")[2])


def _worse(value, sign: int) -> tuple:
    return (True, 0.0) if not isinstance(value, (int, float)) else (False, sign * value)
