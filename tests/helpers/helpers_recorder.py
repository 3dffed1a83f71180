"""Stand-ins for what only a GPU has: recordings of calls, on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

WAITS = {  # what a device has to be waited for to do, or what changes shapes by values
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.equal.default,
}


class Waited(Exception):
    """A call that is recorded asked for a value."""


class NoWaiting(TorchDispatchMode):
    """Refuses operations for which the host would wait for the device; keeps the others, with what they were given.

    Attributes:
        found: (operation, arguments, named arguments, result) of each.
    """

    def __init__(self):
        super().__init__()
        self.found: list[tuple] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in WAITS:
            raise Waited(f"{func} in a step: a device would have to be waited for.")
        result = func(*args, **(kwargs or {}))
        self.found.append((func, args, kwargs or {}, result))
        return result


class OperationsRecorder:
    """Records as a CUDA graph does: the operations of one call with the very tensors that they saw, played again on
    these. Python is not run again; what it knew at the first call stays as it was.

    Attributes:
        recordings: calls that were recorded.
    """

    def __init__(self, device: torch.device | None = None):
        self.recordings = 0

    def record(self, call: Callable[[], None], restore: Callable[[], None] = lambda: None) -> Callable[[], None]:
        self.recordings += 1
        for _ in range(2):  # to warm up
            call()
            restore()
        with NoWaiting() as seen:
            call()
        restore()  # a device records without doing anything
        steps = [one for one in seen.found if not is_view(one[0])]

        def replay() -> None:
            with torch.no_grad():
                for func, args, kwargs, kept in steps:
                    found = func(*args, **kwargs)
                    for target, new in zip(tree_iter(kept), tree_iter(found), strict=True):
                        if isinstance(target, torch.Tensor) and target is not new:
                            target.copy_(new)

        return replay


def is_view(func) -> bool:
    """Whether the result shares the memory of an argument that stays as it is."""
    return any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)
