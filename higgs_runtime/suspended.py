"""Generators that compute with torch are closed before Python ends: resumed while it does, they abort the process."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator
from contextlib import closing
from functools import wraps
from weakref import WeakSet

_held: WeakSet[Generator] = WeakSet()


class Closing(closing):
    """`contextlib.closing` of a generator, which is also closed in time where nobody reads on and nobody closes it."""

    def __init__(self, generator: Generator):
        super().__init__(generator)
        _held.add(generator)


def closed_in_time(function: Callable[..., Generator]) -> Callable[..., Generator]:
    """A generator function whose generators are closed before Python ends."""

    @wraps(function)
    def made(*args, **kwargs) -> Generator:
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
