"""Conversations become prompts: ChatML tokens and the audio between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_names import lazily

if TYPE_CHECKING:
    from .builder import (
        DEFAULT_SYSTEM as DEFAULT_SYSTEM,
        Message as Message,
        build_prompt as build_prompt,
        conversation as conversation,
    )
else:
    _HOMES = {
        "builder": "DEFAULT_SYSTEM Message build_prompt conversation",
    }
    __getattr__ = lazily(__name__, _HOMES)
