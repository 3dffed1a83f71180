"""Higgs Audio without ComfyUI: the public names of the runtime. Each is imported when it is first used."""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "errors": (
        "AudioError", "CheckpointError", "ClusterError", "DownloadError", "HiggsError", "HiggsWarning",
        "MemoryShortError", "MissingExtraError", "NumericError", "PromptError", "RemoteError", "ScriptError",
        "SettingError", "StoppedError", "TakeError", "VoiceError",
    ),
    "text.vocabulary": ("unknown_words",),
    "choices": ("EXPORT_FORMATS", "NORMS", "Norm"),
    "types": ("Codes", "Generation", "Prompt", "Sampling", "Voice", "combine_voices"),
    "audio.clip": ("AudioClip", "level_peak", "resample", "to_mono", "trim", "trim_silence"),
    "script": (
        "Comment", "Fit", "Music", "Script", "ScriptWarning", "Sound", "Turn", "book_script",
        "describe_script", "parse_script", "plan_fit", "read_book", "read_script", "read_subtitles", "resolve_cue",
        "subtitles_text", "write_subtitles",
    ),
    "text.chunking": ("chunk_text",),
    "text.languages": ("detect_language",),
    "codec": ("Codec", "load_codec"),
    "prompt.builder": ("DEFAULT_SYSTEM", "Message", "build_prompt", "conversation"),
    "text.normalize": ("Change", "PreparedText", "prepare_text"),
    "model.transformer": ("HiggsModel",),
    "audio.mix": (
        "AudioFile", "Ducking", "MixReport", "Mixdown", "Track", "duck", "join", "mix", "mix_to_file",
        "mix_with_report",
    ),
    "audio.effects": (
        "CHARACTERS", "EQ_PRESETS", "Band", "character", "compress", "de_ess", "equalize", "gate", "high_pass",
        "low_pass", "room", "synthetic_room",
    ),
    "audio.stretch": ("change_pitch", "change_tempo"),
    "audio.vad": ("speech_spans",),
    "verification": (
        "Limits", "Recognizer", "Silence", "SilenceStop", "Transcript", "Verdict", "Word", "WordErrors", "best_take",
        "compare_words", "describe_verdict", "find_recognizers", "length_bounds", "load_recognizer", "measure_silence",
        "speaker_similarity", "verify_take",
    ),
    "audio.loudness.limiter": ("Limited", "limit"),
    "audio.loudness.measure": (
        "Loudness", "LoudnessCurve", "Normalized", "level_loudness", "loudness_over_time", "measure_loudness",
        "normalize_loudness",
    ),
    "audio.waveform": ("Peaks", "waveform_peaks"),
    "audio.plots": ("loudness_picture", "spectrogram_picture", "timeline_picture", "waveform_picture"),
    "audio.files.codecs": ("Chapter",),
    "audio.files.export": ("Exported", "Provenance", "export_audio", "parse_chapters", "parse_tags"),
    "audio.loudness.targets": ("LoudnessReport", "NormResult", "check_norms", "normalize_to", "report_loudness"),
    "model.loading": ("load_model",),
    "model.memory": ("weights_bytes", "working_bytes"),
    "generation.session": ("Session",),
    "generation.generate": ("generate", "stream"),
    "hub.convert": ("convert_codec", "convert_model"),
    "hub.describe": ("Details", "describe_checkpoint"),
    "model.lora": ("Adapter", "adapted", "load_adapter"),
    "takes": (
        "ModelIdentity", "ObjectStore", "Take", "TakeStore", "default_takes_folder", "export_takes", "line_key",
        "model_identity", "open_takes", "take_key",
    ),
    "hub.catalog": (
        "Checkpoint", "default_pair", "embedded_voices", "find_adapters", "find_checkpoints", "model_roots",
    ),
    "voices.library": ("VoiceCard", "describe_voice", "find_voices", "load_voice", "save_voice", "voice_path"),
    "voices.reference": ("PreparedReference", "ReferenceReport", "inspect_reference", "prepare_reference"),
    "hub.releases": ("RELEASES", "Release", "release_named"),
    "hub.download": ("describe_plan", "download", "plan_download"),
    "hub.cache": ("ModelCache", "ModelKey", "shared_cache"),
    "rendering": (
        "Assembly", "Cast", "Delivered", "Ears", "Performance", "RenderSettings", "SpokenLine", "assemble",
        "cast_voices", "deliver", "parse_choice", "render_script", "rendering_bytes",
    ),
    "cluster": ("ClusterSettings", "CrewStatus", "Engine", "Listening", "render_apart", "render_on_cluster"),
    "speech": ("check_pair", "speak", "speak_stream"),
    "remote.servers": ("SERVERS", "RemoteServer"),
    "remote.allowed": ("check_cluster", "remote_key"),
    "remote.client": ("Remote", "RemoteTake"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
