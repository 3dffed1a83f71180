"""Generators that compute with torch are closed before Python ends: resumed while it does, they abort the process."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator
from contextlib import closing
from functools import wraps
from typing import ParamSpec, TypeVar
from weakref import WeakSet

Given = ParamSpec("Given")
Piece = TypeVar("Piece")
Held = TypeVar("Held", bound=Generator)
_held: WeakSet[Generator] = WeakSet()


class Closing(closing[Held]):
    """`contextlib.closing` of a generator, which is also closed in time where nobody reads on and nobody closes it."""

    def __init__(self, generator: Held):
        super().__init__(generator)
        _held.add(generator)


def closed_in_time(
    function: Callable[Given, Generator[Piece, None, None]],
) -> Callable[Given, Generator[Piece, None, None]]:
    """A generator function whose generators are closed before Python ends."""

    @wraps(function)
    def made(*args: Given.args, **kwargs: Given.kwargs) -> Generator[Piece, None, None]:
        generator = function(*args, **kwargs)
        _held.add(generator)
        return generator

    return made


@atexit.register
def _close() -> None:
    for generator in list(_held):
        try:
            generator.close()
        except ValueError:  # it runs, in another thread
            continue
