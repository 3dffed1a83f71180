"""What needs Numba, under one name, so that it is imported where it is used."""

from ...kept import compiled_before
from . import kernels
from .decoder import PreparedDecoder
from .encoder import PreparedEncoder
from .front import PreparedFront


def is_kept() -> bool:
    """Whether the loops were compiled before, here."""
    return compiled_before(kernels.rows_of)


__all__ = ["PreparedDecoder", "PreparedEncoder", "PreparedFront", "is_kept"]
