"""The names of an assembly's files: over what an earlier run made and nobody changed, else beside what is there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from ..outputs import is_one_of, numbered

FILES = "files"  # in the time line: each file of the run, and its SHA-256
SEAL = "sha256"  # in the time line: of all the rest of it
READ_BYTES = 1 << 20


class Places:
    """Gives names, and keeps what goes into the time line for the next run.

    Args:
        path: of the mix.
        inputs: files that no name given may stand for.
    """

    def __init__(self, path: Path, inputs: Iterable[str | os.PathLike] = ()):
        self._folder, self._inputs, self._before = path.parent, list(inputs), {}
        self.made: dict[str, str] = {}
        self.notes: list[str] = []
        wanted = path.with_suffix(".json")
        self.timeline = next(one for one in numbered(wanted) if not os.path.lexists(one) or self._is_timeline(one))
        self._tell(wanted, self.timeline)

    def of(self, wanted: Path) -> Path:
        """Where to write what should be called so."""
        path = next(one for one in numbered(wanted) if not os.path.lexists(one) or self._is_ours(one))
        self._tell(wanted, path)
        return path

    def written(self, path: Path) -> Path:
        """Remember a file as it is now."""
        self.made[self._name(path)] = _digest(path)
        return path

    def _tell(self, wanted: Path, path: Path) -> None:
        if path != wanted:
            self.notes.append(
                f"'{wanted}' is there and was not made by this: it is left as it is, and '{path.name}' "
                "is written instead."
            )

    def sealed(self, timeline: dict) -> str:
        """The time line as JSON, from which the next run knows what this one made, the time line included."""
        whole = {**timeline, FILES: self.made}
        return json.dumps({**whole, SEAL: _seal(whole)}, indent=1, ensure_ascii=False)

    def _is_timeline(self, path: Path) -> bool:
        """Whether an earlier run wrote this time line and nobody changed it; what it made is known then, and also
        where somebody did."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            made, seal = found[FILES], found.pop(SEAL, None)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return False
        if not isinstance(made, dict) or is_one_of(path, self._inputs):
            return False
        self._before |= made
        return seal == _seal(found)

    def _is_ours(self, path: Path) -> bool:
        known = self._before.get(self._name(path))
        if known is None or self._name(path) in self.made:  # two stems may have one name
            return False
        return path.is_file() and not is_one_of(path, self._inputs) and known == _digest(path)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _seal(timeline: dict) -> str:
    return hashlib.sha256(json.dumps(timeline, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
