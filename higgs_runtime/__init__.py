"""Higgs Audio without ComfyUI: the names that most programs need. Each is imported when it is first used.

The rest is imported from where it is: `from higgs_runtime.audio.effects import equalize`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy_names import lazily

if TYPE_CHECKING:  # for editors and type checkers; a test holds it equal to _HOMES
    from .audio.clip import AudioClip as AudioClip
    from .audio.files.export import export_audio as export_audio
    from .audio.loudness.measure import (
        Loudness as Loudness,
        measure_loudness as measure_loudness,
        normalize_loudness as normalize_loudness,
    )
    from .audio.mix import Track as Track, mix as mix
    from .codec import Codec as Codec, load_codec as load_codec
    from .errors import (
        AudioError as AudioError,
        CheckpointError as CheckpointError,
        HiggsError as HiggsError,
        HiggsWarning as HiggsWarning,
        MemoryShortError as MemoryShortError,
        MissingExtraError as MissingExtraError,
        NumericError as NumericError,
        PromptError as PromptError,
        ScriptError as ScriptError,
        SettingError as SettingError,
        VoiceError as VoiceError,
    )
    from .generation.generate import generate as generate, stream as stream
    from .generation.session import Session as Session
    from .hub.catalog import embedded_voices as embedded_voices
    from .hub.convert import convert_model as convert_model
    from .hub.download import download as download
    from .model.loading import load_model as load_model
    from .model.lora import adapted as adapted, load_adapter as load_adapter
    from .model.transformer import HiggsModel as HiggsModel
    from .prompt.builder import (
        Message as Message,
        build_prompt as build_prompt,
        conversation as conversation,
    )
    from .rendering import (
        LocalSpeaker as LocalSpeaker,
        RenderJob as RenderJob,
        RenderSettings as RenderSettings,
        render as render,
    )
    from .script import (
        Script as Script,
        Turn as Turn,
        parse_script as parse_script,
        read_script as read_script,
        read_subtitles as read_subtitles,
        write_subtitles as write_subtitles,
    )
    from .speech import speak as speak, speak_stream as speak_stream
    from .takes import TakeStore as TakeStore, open_takes as open_takes
    from .text.chunking import chunk_text as chunk_text
    from .text.normalize import prepare_text as prepare_text
    from .types import Codes as Codes, Generation as Generation, Prompt as Prompt, Sampling as Sampling, Voice as Voice
    from .verification import load_recognizer as load_recognizer, verify_take as verify_take
    from .voices.library import find_voices as find_voices, load_voice as load_voice, save_voice as save_voice
    from .voices.reference import prepare_reference as prepare_reference

_HOMES = {
    "errors": "AudioError CheckpointError HiggsError HiggsWarning MemoryShortError MissingExtraError NumericError "
    "PromptError ScriptError SettingError VoiceError",
    "types": "Codes Generation Prompt Sampling Voice",
    "audio.clip": "AudioClip",
    "script": "Script Turn parse_script read_script read_subtitles write_subtitles",
    "text.chunking": "chunk_text",
    "codec": "Codec load_codec",
    "prompt.builder": "Message build_prompt conversation",
    "text.normalize": "prepare_text",
    "model.transformer": "HiggsModel",
    "audio.mix": "Track mix",
    "verification": "load_recognizer verify_take",
    "audio.loudness.measure": "Loudness measure_loudness normalize_loudness",
    "audio.files.export": "export_audio",
    "model.loading": "load_model",
    "generation.session": "Session",
    "generation.generate": "generate stream",
    "hub.convert": "convert_model",
    "model.lora": "adapted load_adapter",
    "takes": "TakeStore open_takes",
    "hub.catalog": "embedded_voices",
    "voices.library": "find_voices load_voice save_voice",
    "voices.reference": "prepare_reference",
    "hub.download": "download",
    "rendering": "LocalSpeaker RenderJob RenderSettings render",
    "speech": "speak speak_stream",
}

__all__ = sorted(" ".join(_HOMES.values()).split())  # pyright: ignore[reportUnsupportedDunderAll]
__version__ = "0.1.0"
__getattr__ = lazily(__name__, _HOMES)


def __dir__():
    return sorted({*globals(), *__all__})
