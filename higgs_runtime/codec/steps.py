"""Progress of a call through networks that know nothing of it: the calls of some of their modules are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident

from torch import nn

OnProgress = Callable[[int, int], None]


@contextmanager
def reporting(on_progress: OnProgress | None, steps: Sequence[tuple[nn.Module, int]]) -> Iterator[None]:
    """Calls on_progress(steps done, steps in all) while the with-block runs; what it raises ends the block.

    Args:
        steps: modules, each with how often it is going to be called, at most; calls by other threads do not count. The
            end of the block is the last step, however many there were.
    """
    if on_progress is None:
        yield
        return
    thread, done, total = get_ident(), 0, 1 + sum(times for _, times in steps)

    def step(*_) -> None:
        nonlocal done
        if get_ident() == thread:
            done += 1
            on_progress(done, total)

    hooks = []
    try:
        hooks += [module.register_forward_hook(step) for module, _ in steps]
        on_progress(0, total)
        yield
    finally:
        for hook in hooks:
            hook.remove()
    on_progress(total, total)
