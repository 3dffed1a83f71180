"""Tensors of a checkpoint by name, whatever its files hold: read when they are asked for, and only as far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

SMALL = 2**16  # numbers; a mapping of its own takes longer than what it holds is worth


class StoredTensors(Mapping[str, Tensor]):
    """What every format gives: whole tensors by name, and rows of one.

    A *packed* tensor lies in the file as something else than its numbers (blocks of quantized ones, 8-bit floats with
    scales). It comes as float32, the exact numbers that the file means, and is best asked for a few rows at a time.
    """

    def shape(self, name: str) -> torch.Size:
        return self[name].shape

    def dtype(self, name: str) -> torch.dtype:
        """Of the numbers that come; float32 of a packed tensor."""
        return self[name].dtype

    def is_packed(self, name: str) -> bool:
        return False

    def scales(self, name: str) -> Tensor | None:
        """Of a tensor [O, …] that lies in the file as 8-bit floats (E4M3): what each row is times, float32 [O]; None of
        any other."""
        return None

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Some rows, which do not stay in memory once they are copied."""
        return self[name][start:stop]


class Held(StoredTensors):
    """Tensors that are in memory, or mapped."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class Renamed(StoredTensors):
    """Some tensors of another collection under other names.

    Args:
        names: new name -> its name there.
    """

    def __init__(self, tensors: StoredTensors, names: Mapping[str, str]):
        self._tensors, self._names = tensors, names

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def shape(self, name: str) -> torch.Size:
        return self._tensors.shape(self._names[name])

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors.dtype(self._names[name])

    def is_packed(self, name: str) -> bool:
        return self._tensors.is_packed(self._names[name])

    def scales(self, name: str) -> Tensor | None:
        return self._tensors.scales(self._names[name])

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self._tensors.rows(self._names[name], start, stop)


class Together(StoredTensors):
    """Several collections as one; where two have a name, the first one's counts."""

    def __init__(self, parts: Sequence[StoredTensors]):
        self._owner = {name: part for part in reversed(parts) for name in part}

    def __getitem__(self, name: str) -> Tensor:
        return self._owner[name][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner)

    def __len__(self) -> int:
        return len(self._owner)

    def __contains__(self, name: object) -> bool:
        return name in self._owner

    def shape(self, name: str) -> torch.Size:
        return self._owner[name].shape(name)

    def dtype(self, name: str) -> torch.dtype:
        return self._owner[name].dtype(name)

    def is_packed(self, name: str) -> bool:
        return self._owner[name].is_packed(name)

    def scales(self, name: str) -> Tensor | None:
        return self._owner[name].scales(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self._owner[name].rows(name, start, stop)


class Turned(StoredTensors):
    """Another collection, in which weights of transposed convolutions [O K, I] become [I, O, K].

    Args:
        outputs: name of each such weight -> O.
    """

    def __init__(self, tensors: StoredTensors, outputs: Mapping[str, int]):
        self._tensors, self._outputs = tensors, outputs

    def __getitem__(self, name: str) -> Tensor:
        found = self._tensors[name]
        return found.t().reshape(self.shape(name)) if name in self._outputs else found

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> torch.Size:
        shape = self._tensors.shape(name)
        outputs = self._outputs.get(name)
        return shape if outputs is None else torch.Size((shape[1], outputs, shape[0] // outputs))

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors.dtype(name)

    def is_packed(self, name: str) -> bool:
        return self._tensors.is_packed(name)

    def scales(self, name: str) -> Tensor | None:
        return self._tensors.scales(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self[name][start:stop] if name in self._outputs else self._tensors.rows(name, start, stop)


def stored(tensors: Mapping[str, Tensor]) -> StoredTensors:
    """Any mapping of tensors as one of these."""
    return tensors if isinstance(tensors, StoredTensors) else Held(tensors)


def under(tensors: StoredTensors, prefix: str) -> Renamed:
    """Those whose names begin so, without that beginning."""
    return Renamed(tensors, {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)})
