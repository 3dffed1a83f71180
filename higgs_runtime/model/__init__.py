"""The language model: plain torch, read from any supported checkpoint, in any supported number format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_names import lazily

if TYPE_CHECKING:
    from .config import ModelConfig as ModelConfig
    from .delay import StopRule as StopRule, delayed_rows as delayed_rows, undelay as undelay
    from .kv_cache import KVCache as KVCache
    from .loading import converted_to as converted_to, load_model as load_model
    from .lora import adapted as adapted, load_adapter as load_adapter
    from .memory import new_cache as new_cache, weights_bytes as weights_bytes, working_bytes as working_bytes
    from .offload import Placement as Placement
    from .tokenizer import TOKENIZER_FILE as TOKENIZER_FILE, ChatTokenizer as ChatTokenizer
    from .transformer import HiggsModel as HiggsModel
else:
    _HOMES = {
        "config": "ModelConfig",
        "delay": "StopRule delayed_rows undelay",
        "kv_cache": "KVCache",
        "loading": "converted_to load_model",
        "lora": "adapted load_adapter",
        "memory": "new_cache weights_bytes working_bytes",
        "offload": "Placement",
        "tokenizer": "TOKENIZER_FILE ChatTokenizer",
        "transformer": "HiggsModel",
    }
    __getattr__ = lazily(__name__, _HOMES)
