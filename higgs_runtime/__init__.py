"""Higgs Audio without ComfyUI: the public names of the runtime. Each is imported when it is first used."""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "errors": (
        "AudioError", "CheckpointError", "HiggsError", "MissingExtraError", "PromptError", "ScriptError",
        "SettingError",
    ),
    "types": ("Codes", "Generation", "Prompt", "Sampling", "Voice"),
    "audio": ("AudioClip", "level_peak", "resample", "to_mono", "trim", "trim_silence"),
    "script": ("Script", "Turn", "parse_script"),
    "chunking": ("chunk_text",),
    "codec": ("Codec", "load_codec"),
    "prompt": ("DEFAULT_SYSTEM", "Message", "build_prompt", "conversation"),
    "model": ("HiggsModel",),
    "mix": ("Loudness", "Track", "level_loudness", "measure_loudness", "mix"),
    "weights": ("load_model",),
    "generate": ("generate",),
    "model_cache": ("ModelCache",),
    "pipeline": ("speak",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
