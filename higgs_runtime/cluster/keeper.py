"""Takes of workers that do not see the store: they go through Ray to a process of the driver's node.

A take is small: 400 bytes a second of speech (8 codebooks at 25 frames a second, 2 bytes each).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..takes import Take, Takes


def start_keeper(ray, store: Takes):
    """The actor that keeps the takes. It knows only where they are, so it may be killed and started at any time."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    kind, made_of = store.__reduce__()
    keeper = ray.remote(kind).options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=here,
    )
    return keeper.remote(*made_of)


class KeptStore:
    """As much of a `TakeStore` as a render uses, over there.

    Its claims are no locks: a part of the script is spoken by one worker at a time anyway.
    """

    def __init__(self, ray, keeper):
        self._ray, self._keeper = ray, keeper

    def get(self, key: str) -> Take | None:
        return self._ask("get", key)

    def put(self, key: str, take: Take) -> Take:
        return self._ask("put", key, take)

    def update_meta(self, key: str, **notes) -> Take:
        return self._ask("update_meta", key, **notes)

    def takes_of(self, line: str) -> list[str]:
        return self._ask("takes_of", line)

    def is_locked(self, key: str) -> bool:
        return self._ask("is_locked", key)

    @contextmanager
    def claim(self, key: str, wait_s: float = 0.0) -> Iterator[bool]:
        yield not self._ask("__contains__", key)

    def _ask(self, method: str, *args, **named):
        try:
            return self._ray.get(getattr(self._keeper, method).remote(*args, **named))
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
