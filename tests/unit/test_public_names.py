"""The names that scripts, nodes and outside tests rely on, and that importing them is light."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import higgs_runtime

SIGNATURES = {
    "load_model": "path, *, device, dtype, quantization, on_progress, packed",
    "load_codec": "path, *, device, dtype",
    "build_prompt": "messages, tokenizer, *, encode, add_generation_prefix, layout",
    "generate": "model, prompts, sampling, *, on_frames, should_stop, should_end, batch",
    "stream": "model, prompt, sampling, *, should_stop",
    "check_pair": "lm, codec",
    "speak_stream": "text, voice, *, sampling, should_stop, chosen",
    "weights_bytes": "config, dtype, quantization",
    "working_bytes": "config, positions, dtype, rows",
    "parse_script": "text",
    "plan_fit": "spoken_s, slot_s, room_s, limits",
    "fit_line": "text, seconds, voice, speaker, codec, *, sampling, settings, events",
    "describe_script": "script",
    "read_script": "path, timing",
    "read_subtitles": "path, *, descriptions, dashes, timing",
    "resolve_cue": "path, folders",
    "write_subtitles": "lines, path",
    "chunk_text": "text, max_chars, language",
    "detect_language": "text",
    "prepare_text": "text, layout, language, *, spell_numbers, marks, detect, likely",
    "measure_loudness": "clip",
    "mix": "tracks, sample_rate, *, channels, allow_clipping",
    "mix_to_file": "tracks, path, sample_rate, *, channels, allow_clipping, subtype",
    "high_pass": "clip, hertz",
    "low_pass": "clip, hertz",
    "equalize": "clip, bands",
    "gate": "clip, threshold_db, ratio, attack_ms, release_ms",
    "compress": "clip, threshold_db, ratio, attack_ms, release_ms, makeup_db",
    "de_ess": "clip, threshold_db, hertz, ratio",
    "synthetic_room": "seconds, sample_rate, channels",
    "room": "clip, impulse, wet",
    "character": "clip, name",
    "change_tempo": "clip, factor",
    "change_pitch": "clip, semitones, keep_formants",
    "join": "clips, crossfade_s, gap_s",
    "duck": "bed, speech, ducking",
    "speech_spans": "clip, threshold",
    "loudness_over_time": "clip",
    "normalize_loudness": "clip, target_lufs, ceiling_dbtp",
    "limit": "clip, ceiling_dbtp",
    "check_norms": "clip",
    "report_loudness": "clip",
    "export_audio": "clip, folder, template, format, *, kbps, about, instead",
    "parse_chapters": "text, seconds",
    "parse_tags": "text",
    "waveform_picture": "clip, width, height",
    "timeline_picture": "tracks, names, width, height",
    "normalize_to": "clip, norm, *, target_db, ceiling_db",
    "unknown_words": "text, vocabulary",
    "find_checkpoints": "roots, kind",
    "model_roots": "folders",
    "default_pair": "checkpoints, lm, codec",
    "embedded_voices": "",
    "combine_voices": "voices",
    "prepare_reference": "clip, *, recognizer, language, min_s, max_s, on_progress",
    "save_voice": "path, voice, card, *, overwrite",
    "load_voice": "path",
    "find_voices": "roots",
    "voice_path": "root, name",
    "find_adapters": "roots",
    "download": "release, models_dir, *, revision, on_progress, should_stop",
    "plan_download": "release, models_dir, *, revision, should_stop",
    "describe_plan": "plan",
    "describe_checkpoint": "checkpoint, how",
    "release_named": "name",
    "convert_model": "source, target, quantization, *, dtype, on_progress",
    "convert_codec": "source, target, *, dtype, on_progress",
    "load_adapter": "folder",
    "adapted": "model, adapters",
    "find_recognizers": "folders",
    "load_recognizer": "path_or_name, *, device, folders",
    "compare_words": "written, heard, language",
    "speaker_similarity": "clip, reference",
    "length_bounds": "text, language",
    "measure_silence": "clip",
    "verify_take": "clip, text, *, recognizer, language, reference, limits",
    "best_take": "verdicts",
    "model_identity": "path, *, device, dtype, quantization, adapters, cache_dtype",
    "line_key": "prompt, sampling, model, codec_identity, ending",
    "take_key": "prompt, sampling, model, codec_identity, ending",
    "export_takes": "store, folder, codec, keys, *, suffix",
    "default_takes_folder": "",
    "open_takes": "where, max_bytes",
}
MEMBERS = {
    "AudioClip": ("load", "save", "samples", "sample_rate"),
    "Codec": (
        "sample_rate",
        "frame_rate",
        "num_codebooks",
        "codebook_size",
        "identity",
        "encode",
        "decode",
        "decode_stream",
        "decoder",
    ),
    "Codes": ("ids", "frame_rate", "codebook_size", "codec"),
    "Message": ("role", "content", "reference"),
    "Voice": ("codes", "transcript", "description", "more", "references"),
    "VoiceCard": ("note", "source_sha256", "sample_rate", "created", "preview", "of"),
    "PreparedText": ("text", "language", "changes", "warnings", "chunks", "changed", "report"),
    "Prompt": ("token_ids", "audio_rows", "warnings"),
    "HiggsModel": ("logits",),
    "Sampling": ("temperature", "top_k", "top_p", "seed", "ras_window", "ras_max_repeats", "max_frames"),
    "Generation": ("codes", "finish_reason", "frames", "seconds", "prompt_positions", "reused_positions"),
    "Take": ("codes", "finish_reason", "seed", "seconds", "meta", "of"),
    "TakeStore": (
        "get",
        "peek",
        "put",
        "update_meta",
        "claim",
        "takes_of",
        "pick",
        "lock_take",
        "unlock_take",
        "is_locked",
        "list",
        "find",
        "prune",
    ),
    "ObjectStore": (
        "get",
        "peek",
        "put",
        "update_meta",
        "claim",
        "takes_of",
        "pick",
        "lock_take",
        "unlock_take",
        "is_locked",
        "list",
        "find",
    ),
    "About": ("tags", "chapters", "cover", "provenance", "metadata"),
    "Session": ("generate", "takes", "stream", "serve"),
    "Remote": ("server", "url", "model", "voice", "key", "timeout_s", "retries", "speak"),
    "RemoteTake": ("codes", "clip", "finish_reason", "seconds", "tries", "notes", "audio_s"),
    "Script": ("turns", "cues", "comments", "warnings", "source"),
    "Turn": ("speaker", "text", "pause_s", "settings", "line", "scene", "overlap_s", "slot", "fit_s"),
    "Sound": ("path", "gain_db", "turn", "line", "before_s"),
    "Fit": ("action", "slot_s", "spoken_s", "speed", "over_s", "words"),
    "TempoLimits": ("slowest", "fastest"),
    "Music": ("path", "gain_db", "fade_s", "duck", "first", "last", "line", "before_s", "after_s", "turn"),
    "Recognizer": ("transcribe",),
    "Transcript": ("text", "words", "language"),
    "Verdict": ("passed", "wer", "cer", "similarity", "seconds", "heard", "reasons"),
    "WordErrors": ("wer", "cer", "pairs"),
    "Limits": ("max_wer", "max_cer", "min_similarity", "max_silence_s", "max_silent_share"),
    "Word": ("text", "start_s", "end_s", "probability"),
    "Track": (
        "clip",
        "start_s",
        "gain_db",
        "pan",
        "fade_in_s",
        "fade_out_s",
        "fade_shape",
        "trim_start_s",
        "trim_end_s",
        "loop_s",
        "after",
        "mute",
        "solo",
        "duck",
        "speech",
    ),
    "Ducking": ("threshold", "depth_db", "attack_s", "hold_s", "release_s", "look_ahead_s"),
    "Mixdown": ("__iter__",),
    "AudioFile": ("channels", "sample_rate", "length", "seconds"),
    "Loudness": ("integrated_lufs", "range_lu", "true_peak_dbtp", "max_momentary_lufs", "max_short_term_lufs"),
    "LoudnessCurve": ("times_s", "momentary_lufs", "short_term_lufs", "integrated_lufs"),
    "Normalized": ("clip", "gain_db", "reduction_db"),
    "Limited": ("clip", "reduction_db"),
    "NormResult": ("norm", "checks", "passed"),
}

HOMES = {
    name: module
    for module, names in {  # of names that are imported from their package
        "speech": "check_pair",
        "model": "weights_bytes working_bytes",
        "script": "plan_fit describe_script resolve_cue Sound Fit TempoLimits Music",
        "rendering": "fit_line",
        "text.languages": "detect_language",
        "audio.mix": "mix_to_file join duck Ducking Mixdown AudioFile",
        "audio.effects": "high_pass low_pass equalize gate compress de_ess synthetic_room room character",
        "audio.stretch": "change_tempo change_pitch",
        "audio.vad": "speech_spans",
        "audio.loudness.measure": "loudness_over_time LoudnessCurve Normalized",
        "audio.loudness.limiter": "limit Limited",
        "audio.loudness.targets": "check_norms report_loudness normalize_to NormResult",
        "audio.files": "About Provenance parse_chapters parse_tags",
        "audio.plots": "waveform_picture timeline_picture",
        "text.vocabulary": "unknown_words",
        "hub": "find_checkpoints model_roots default_pair find_adapters plan_download describe_plan "
        "describe_checkpoint release_named convert_codec",
        "types": "combine_voices",
        "voices": "voice_path VoiceCard",
        "verification": "find_recognizers compare_words speaker_similarity length_bounds measure_silence best_take "
        "Recognizer Transcript Verdict WordErrors Limits Word",
        "takes": "model_identity line_key take_key export_takes default_takes_folder Take ObjectStore",
        "text.normalize": "PreparedText",
        "remote.client": "Remote RemoteTake",
    }.items()
    for name in names.split()
}


def shape(function):
    parameters = inspect.signature(function).parameters.values()
    keywords = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return ", ".join([*positional, *(["*", *keywords] if keywords else [])])


def members_of(cls):
    return {*dir(cls), *getattr(cls, "__dataclass_fields__", {})}


def found(name):
    """A public name, or one of a package of the runtime."""
    if name in higgs_runtime.__all__:
        return getattr(higgs_runtime, name)
    return getattr(importlib.import_module(f"higgs_runtime.{HOMES[name]}"), name)


def test_signatures():
    assert {name: shape(found(name)) for name in SIGNATURES} == SIGNATURES


def test_members():
    missing = {name: set(members) - members_of(found(name)) for name, members in MEMBERS.items()}
    assert not {name: members for name, members in missing.items() if members}


def test_every_public_name_is_there():
    for name in higgs_runtime.__all__:
        assert getattr(higgs_runtime, name).__name__ if not name.isupper() else True


def test_they_are_few_and_an_editor_completes_them():
    assert len(higgs_runtime.__all__) <= 60
    tree = ast.parse(Path(higgs_runtime.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    listed = {(node.module, alias.asname) for node in block.body for alias in node.names}
    assert listed == {(home, name) for home, names in higgs_runtime._HOMES.items() for name in names.split()}
    assert Path(higgs_runtime.__file__).with_name("py.typed").is_file()


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, higgs_runtime; print([m for m in ('torch', 'transformers', 'librosa') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["audio.files", "hub", "model", "prompt", "voices"])
def test_a_package_gives_what_an_editor_completes(package):
    module = importlib.import_module(f"higgs_runtime.{package}")
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    listed = {(node.module, alias.asname) for node in block.body for alias in node.names}
    assert listed == {(home, name) for home, names in module._HOMES.items() for name in names.split()}
    for home, name in listed:
        assert getattr(module, name) is getattr(importlib.import_module(f"{module.__name__}.{home}"), name)
    assert not hasattr(module, "nothing")
