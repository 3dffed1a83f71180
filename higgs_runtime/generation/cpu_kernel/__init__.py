"""The step of a float32 or bfloat16 model on a CPU as one compiled function.

`model/transformer.py` and `generation/sampling.py` are its slow twin. On a new computer it has to be compiled once,
which takes half a minute. That happens in a thread beside loading and reading the first prompts; the first step waits
for it rather than be a plain one: the two round differently, and a seed would say something else the first time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError as NotYet
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from ...cores import TEAM_SIZE
from ...model import HiggsModel, KVCache

if TYPE_CHECKING:
    from .step import FusedStep

LOOK_S = 0.1  # between two looks at should_stop


class StoppedWaiting(Exception):
    """should_stop said so while the step was compiled."""


def fused_step(model: HiggsModel, cache: KVCache, should_stop: Callable[[], bool] = lambda: False) -> FusedStep | None:
    """Steps of the rows of a cache, for as long as the weights stay where they are; None where it does not serve.

    Waits until the step is compiled; see `prepare`.

    Raises:
        StoppedWaiting: should_stop said so.
    """
    if cache.keys.device.type != "cpu" or cache.keys.dtype != torch.float32:
        return None
    compiled = _wait(should_stop)
    if compiled is None or not compiled.serves(model, cache):
        return None
    return compiled.FusedStep(model, cache, team_size=TEAM_SIZE)


def prepare() -> None:
    """Have the step loaded, or compiled where it is new to this computer, in a thread; the first call of a process."""
    _preparing()


@cache
def _preparing() -> Future[ModuleType | None]:
    thread = ThreadPoolExecutor(1, "higgs-compile")
    try:
        return thread.submit(_compiled)
    finally:
        thread.shutdown(wait=False)


def _wait(should_stop: Callable[[], bool]) -> ModuleType | None:
    preparing = _preparing()
    while True:
        try:
            return preparing.result(LOOK_S)
        except NotYet:
            if should_stop():
                raise StoppedWaiting from None


def _compiled() -> ModuleType | None:
    """Numba takes a second to import, and 20 to compile the step for the first time on a computer."""
    log = logging.getLogger(__name__)
    try:
        from . import step
    except (ImportError, RuntimeError) as error:  # no Numba, or no folder to keep what it compiles
        log.warning("Steps on the CPU are slower than they could be: %s", error)
        return None
    if not step.is_kept():
        log.info("The step is being compiled for this computer, once: 10 to 30 seconds; the first sound waits for it.")
    step.compile_it()
    return step
