"""Releases, downloads and what lies on the disk: which checkpoints there are, what they hold, how they are
converted. `download` itself is imported from the module of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_names import lazily

if TYPE_CHECKING:
    from .cache import (
        ModelCache as ModelCache,
        ModelKey as ModelKey,
        file_stats as file_stats,
        model_bytes as model_bytes,
        shared_cache as shared_cache,
    )
    from .catalog import (
        EMBEDDED as EMBEDDED,
        RECOGNIZERS as RECOGNIZERS,
        VOICES as VOICES,
        Checkpoint as Checkpoint,
        checkpoint_at as checkpoint_at,
        default_pair as default_pair,
        embedded_books as embedded_books,
        embedded_clips as embedded_clips,
        embedded_voices as embedded_voices,
        find_adapters as find_adapters,
        find_checkpoints as find_checkpoints,
        model_roots as model_roots,
        without_mark as without_mark,
    )
    from .convert import convert_codec as convert_codec, convert_model as convert_model
    from .describe import describe_checkpoint as describe_checkpoint
    from .download import describe_plan as describe_plan, plan_download as plan_download
    from .loaded import Loading as Loading
    from .releases import RELEASES as RELEASES, notice_of as notice_of, release_named as release_named
else:
    _HOMES = {
        "cache": "ModelCache ModelKey file_stats model_bytes shared_cache",
        "catalog": "EMBEDDED RECOGNIZERS VOICES Checkpoint checkpoint_at "
        "default_pair embedded_books embedded_clips embedded_voices find_adapters find_checkpoints model_roots "
        "without_mark",
        "convert": "convert_codec convert_model",
        "describe": "describe_checkpoint",
        "loaded": "Loading",
        "download": "describe_plan plan_download",
        "releases": "RELEASES notice_of release_named",
    }
    __getattr__ = lazily(__name__, _HOMES)
