"""The codec's decoder on a CPU, with compiled loops; `dac_layers.py` is its slow twin."""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from .decoder import PreparedDecoder


class FastDecoder:
    """The prepared form of a decoder's weights, made anew when they have changed; None where it does not serve.

    It serves float32 on a CPU, where Numba is there. Whoever manages memory may move the weights at any time.
    """

    def __init__(self, decoder: nn.Module):
        self._decoder = decoder
        self._state: tuple = ()
        self._prepared: PreparedDecoder | None = None

    def now(self) -> PreparedDecoder | None:
        """For one call, as the weights are now."""
        weights = list(self._decoder.parameters())
        if any(weight.device.type != "cpu" or weight.dtype != torch.float32 for weight in weights):
            self._state, self._prepared = (), None
            return None
        # ComfyUI computes in inference mode: what is made there does not count its changes
        state = tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights)
        if state != self._state:
            compiled = _compiled()
            self._prepared = compiled.prepared(self._decoder) if compiled else None
            self._state = state
        return self._prepared


@cache
def _compiled() -> ModuleType | None:
    """Numba takes a few seconds to compile the loops for the first time on a computer."""
    log = logging.getLogger(__name__)
    try:
        from . import decoder
    except (ImportError, RuntimeError) as error:  # no Numba, or no folder to keep what it compiles
        log.warning("The codec is slower on the CPU than it could be: %s", error)
        return None
    if not decoder.is_kept():
        log.info("The codec's decoder is being compiled for this computer, once: about 5 seconds.")
    return decoder
