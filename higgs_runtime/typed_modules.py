"""`nn.ModuleList` for type checkers: torch's own says of its members only that they are modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

Member = TypeVar("Member", bound=nn.Module)


class ModulesOf(nn.ModuleList, Generic[Member]):
    """A ModuleList whose members are of one class; they are called and saved as in any other."""

    if TYPE_CHECKING:

        def __init__(self, modules: Iterable[Member]): ...

        def __iter__(self) -> Iterator[Member]: ...

        def __getitem__(self, idx: int) -> Member: ...
