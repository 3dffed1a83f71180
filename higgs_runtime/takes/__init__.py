"""Takes on the disk: each under a key made of all that determines it, so that no line is spoken twice."""

from .export import export_takes
from .keys import ModelIdentity, line_key, model_identity, take_key
from .store import TakeStore, default_takes_folder
from .take_files import Take

__all__ = [
    "ModelIdentity", "Take", "TakeStore", "default_takes_folder", "export_takes", "line_key", "model_identity",
    "take_key",
]
