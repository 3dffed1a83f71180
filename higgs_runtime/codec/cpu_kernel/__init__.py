"""The codec's networks on a CPU, with compiled loops; `dac_layers.py` and `hubert.py` are their slow twins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import nn

from ..dac_layers import AcousticDecoder, AcousticEncoder
from ..hubert import FeatureExtractor

if TYPE_CHECKING:
    from .decoder import PreparedDecoder
    from .encoder import PreparedEncoder
    from .front import PreparedFront

Prepared = TypeVar("Prepared")


class Fast(Generic[Prepared]):
    """The prepared form of a network's weights, made anew when they have changed; None where it does not serve.

    It serves float32 on a CPU, where Numba is there. Whoever manages memory may move the weights at any time.
    """

    def __init__(self, network: nn.Module, prepare: Callable[[ModuleType, nn.Module], Prepared]):
        self._network, self._prepare = network, prepare
        self._state: tuple = ()
        self._prepared: Prepared | None = None

    def now(self) -> Prepared | None:
        """For one call, as the weights are now."""
        weights = list(self._network.parameters())
        if any(weight.device.type != "cpu" or weight.dtype != torch.float32 for weight in weights):
            self._state, self._prepared = (), None
            return None
        # ComfyUI computes in inference mode: what is made there does not count its changes
        state = tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights)
        if state != self._state:
            compiled = _compiled()
            try:
                self._prepared = self._prepare(compiled, self._network) if compiled else None
            except ValueError:  # layers of other shapes: left to the module
                self._prepared = None
            self._state = state
        return self._prepared


def fast_decoder(network: AcousticDecoder) -> Fast[PreparedDecoder]:
    return Fast(network, lambda compiled, module: compiled.PreparedDecoder(module))


def fast_encoder(network: AcousticEncoder) -> Fast[PreparedEncoder]:
    return Fast(network, lambda compiled, module: compiled.PreparedEncoder(module))


def fast_front(network: FeatureExtractor) -> Fast[PreparedFront]:
    return Fast(network, lambda compiled, module: compiled.PreparedFront(module))


@cache
def _compiled() -> ModuleType | None:
    """Numba takes a few seconds to compile the loops for the first time on a computer."""
    log = logging.getLogger(__name__)
    try:
        from . import networks
    except (ImportError, RuntimeError) as error:  # no Numba, or no folder to keep what it compiles
        log.warning("The codec is slower on the CPU than it could be: %s", error)
        return None
    if not networks.is_kept():
        log.info("The codec's loops are being compiled for this computer, once: about 5 seconds.")
    return networks
