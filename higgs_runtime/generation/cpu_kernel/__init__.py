"""The step of a float32 model on a CPU as one compiled function.

`model/transformer.py` and `generation/sampling.py` are its slow twin.
"""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from ...cores import TEAM_SIZE
from ...model import HiggsModel, KVCache

if TYPE_CHECKING:
    from .step import FusedStep


def fused_step(model: HiggsModel, cache: KVCache) -> FusedStep | None:
    """Steps of the rows of a cache, for as long as the weights stay where they are; None where it does not serve."""
    if cache.keys.device.type != "cpu" or cache.keys.dtype != torch.float32:
        return None
    compiled = _compiled()
    if compiled is None or not compiled.serves(model, cache):
        return None
    return compiled.FusedStep(model, cache, team_size=TEAM_SIZE)


@cache
def _compiled() -> ModuleType | None:
    """Numba takes a second to import, and 20 to compile the step for the first time on a computer."""
    log = logging.getLogger(__name__)
    try:
        from . import step
    except (ImportError, RuntimeError) as error:  # no Numba, or no folder to keep what it compiles
        log.warning("Steps on the CPU are slower than they could be: %s", error)
        return None
    if not step.is_kept():
        log.info("The step is being compiled for this computer, once: 10 to 30 seconds.")
    return step
