"""Codecs: clips to codes and back. `load_codec` is the way in; every codec has the interface `Codec`."""

from .interface import DECODE_WINDOW_SECONDS, Codec
from .loading import load_codec

__all__ = ["DECODE_WINDOW_SECONDS", "Codec", "load_codec"]
