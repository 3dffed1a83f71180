"""Higgs Audio without ComfyUI: the public names of the runtime. Each is imported when it is first used."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_HOMES = {
    "errors": (
        "AudioError", "CheckpointError", "ClusterError", "DownloadError", "HiggsError", "HiggsWarning",
        "MemoryShortError", "MissingExtraError", "NumericError", "PromptError", "RemoteError", "ScriptError",
        "SettingError", "StoppedError", "TakeError", "VoiceError",
    ),
    "vocabulary": ("unknown_words",),
    "choices": ("EXPORT_FORMATS", "NORMS", "Norm"),
    "types": ("Codes", "Generation", "Prompt", "Sampling", "Voice", "combine_voices"),
    "audio": ("AudioClip", "level_peak", "resample", "to_mono", "trim", "trim_silence"),
    "script": (
        "Comment", "Fit", "Music", "Script", "ScriptWarning", "Sound", "Turn", "book_script",
        "describe_script", "parse_script", "plan_fit", "read_book", "read_script", "read_subtitles", "resolve_cue",
        "subtitles_text", "write_subtitles",
    ),
    "chunking": ("chunk_text",),
    "languages": ("detect_language",),
    "codec": ("Codec", "load_codec"),
    "prompt": ("DEFAULT_SYSTEM", "Message", "build_prompt", "conversation"),
    "preparation": ("Change", "PreparedText", "prepare_text"),
    "model": ("HiggsModel",),
    "mix": (
        "AudioFile", "Ducking", "MixReport", "Mixdown", "Track", "duck", "join", "mix", "mix_to_file",
        "mix_with_report",
    ),
    "effects": (
        "CHARACTERS", "EQ_PRESETS", "Band", "character", "compress", "de_ess", "equalize", "gate", "high_pass",
        "low_pass", "room", "synthetic_room",
    ),
    "tempo": ("change_pitch", "change_tempo"),
    "speech_activity": ("speech_spans",),
    "listening": (
        "Limits", "Recognizer", "Silence", "SilenceStop", "Transcript", "Verdict", "Word", "WordErrors", "best_take",
        "compare_words", "describe_verdict", "find_recognizers", "length_bounds", "load_recognizer", "measure_silence",
        "speaker_similarity", "verify_take",
    ),
    "limiter": ("Limited", "limit"),
    "loudness": (
        "Loudness", "LoudnessCurve", "Normalized", "level_loudness", "loudness_over_time", "measure_loudness",
        "normalize_loudness",
    ),
    "peaks": ("Peaks", "waveform_peaks"),
    "pictures": ("loudness_picture", "spectrogram_picture", "timeline_picture", "waveform_picture"),
    "encode": ("Chapter",),
    "export": ("Exported", "Provenance", "export_audio", "parse_chapters", "parse_tags"),
    "norms": ("LoudnessReport", "NormResult", "check_norms", "normalize_to", "report_loudness"),
    "weights": ("load_model",),
    "memory": ("weights_bytes", "working_bytes"),
    "session": ("Session",),
    "generate": ("generate", "stream"),
    "convert": ("convert_codec", "convert_model"),
    "inspection": ("Details", "describe_checkpoint"),
    "lora": ("Adapter", "adapted", "load_adapter"),
    "takes": (
        "ModelIdentity", "ObjectStore", "Take", "TakeStore", "default_takes_folder", "export_takes", "line_key",
        "model_identity", "open_takes", "take_key",
    ),
    "catalog": (
        "Checkpoint", "default_pair", "embedded_voices", "find_adapters", "find_checkpoints", "model_roots",
    ),
    "voices": ("VoiceCard", "describe_voice", "find_voices", "load_voice", "save_voice", "voice_path"),
    "reference": ("PreparedReference", "ReferenceReport", "inspect_reference", "prepare_reference"),
    "releases": ("RELEASES", "Release", "notice_of", "release_named"),
    "download": ("describe_plan", "download", "plan_download"),
    "model_cache": ("ModelCache", "ModelKey", "shared_cache"),
    "rendering": (
        "Assembly", "Cast", "Delivered", "Ears", "Performance", "RenderSettings", "SpokenLine", "assemble",
        "cast_voices", "deliver", "parse_choice", "render_script", "rendering_bytes",
    ),
    "cluster": ("ClusterSettings", "CrewStatus", "Engine", "Listening", "render_apart", "render_on_cluster"),
    "pipeline": ("check_pair", "speak", "speak_stream"),
    "remote_servers": ("SERVERS", "RemoteServer"),
    "allowed": ("check_cluster", "remote_key"),
    "remote": ("Remote", "RemoteTake"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


class _Package(ModuleType):
    def __getattr__(self, name: str):
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value) -> None:
        # Importing the submodule `generate` (or `mix`) makes Python bind it here, over the function of that name.
        if name in _HOME_OF and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self):
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
