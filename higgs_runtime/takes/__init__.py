"""Takes that are kept: each under a key made of all that determines it, so that no line is spoken twice."""

from .by_key import Takes
from .export import export_takes
from .keys import ModelIdentity, key_of_take, line_key, model_identity, take_key
from .object_store import ObjectStore, open_takes
from .store import TakeStore, default_takes_folder
from .take_files import Take

__all__ = [
    "ModelIdentity",
    "ObjectStore",
    "Take",
    "TakeStore",
    "Takes",
    "default_takes_folder",
    "export_takes",
    "key_of_take",
    "line_key",
    "model_identity",
    "open_takes",
    "take_key",
]
