"""The nodes for voices, inside this process with ComfyUI's own modules."""

from __future__ import annotations

import pytest
import torch
from helpers_speech import speech
from helpers_workflow import executed, node_classes, node_inputs, node_module, pack_module

NAME = "Old keeper 老"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The only models folder, empty."""
    node_classes()
    monkeypatch.setattr(node_module("host.files"), "model_folders", lambda: [str(tmp_path)])
    return tmp_path


def voice_of(runtime, seed=0, said="Words."):
    ids = torch.randint(0, 1024, (8, 30), generator=torch.Generator().manual_seed(seed))
    return runtime.Voice(runtime.Codes(ids, 25.0, 1024, "0123456789abcdef"), said)


def run(node_id: str, **inputs):
    return executed(node_id, **inputs)


def audio() -> dict:
    clip, _ = speech()[0]
    return {"waveform": clip.samples[None], "sample_rate": clip.sample_rate}


def test_a_voice_is_saved_found_and_loaded(folder, runtime):
    voice, node = voice_of(runtime), node_classes()["HiggsLoadVoice"]
    assert node_inputs("HiggsLoadVoice")["voice"][1]["options"] == []
    [report] = run("HiggsSaveVoice", voice=voice, name=NAME, note="CC0", overwrite=False, audio=audio())
    assert NAME in report and [file.name for file in (folder / "voices").iterdir()] == [f"{NAME}.safetensors"]
    assert node_inputs("HiggsLoadVoice")["voice"][1]["options"] == [NAME]
    assert node.validate_inputs(voice=NAME) is True and "no voice" in node.validate_inputs(voice="../../x")
    loaded, about = run("HiggsLoadVoice", voice=NAME)
    assert torch.equal(loaded.codes.ids, voice.codes.ids) and "CC0" in about and "0123456789abcdef" in about
    assert node_module("load_voice").preview(NAME)[:4] == b"fLaC"


def test_a_voice_without_words_is_kept_for_v3(folder, runtime):
    [voice] = run("HiggsVoice", transcript="", description="", codes=voice_of(runtime).codes)
    run("HiggsSaveVoice", voice=voice, name=NAME, note="", overwrite=False)
    loaded, about = run("HiggsLoadVoice", voice=NAME)
    assert loaded.transcript == "" and torch.equal(loaded.codes.ids, voice.codes.ids) and "without words" in about


def test_a_taken_name_is_refused_and_the_node_may_run_again(folder, runtime):
    inputs = {"name": NAME, "note": "", "overwrite": False}
    first = run("HiggsSaveVoice", voice=voice_of(runtime), **inputs)
    fingerprint = node_classes()["HiggsLoadVoice"].fingerprint_inputs(voice=NAME)
    assert run("HiggsSaveVoice", voice=voice_of(runtime), **inputs) == first
    with pytest.raises(runtime.VoiceError, match="already.*overwriting"):
        run("HiggsSaveVoice", voice=voice_of(runtime, seed=1), **inputs)
    run("HiggsSaveVoice", voice=voice_of(runtime, seed=1, said="Other words."), **{**inputs, "overwrite": True})
    assert node_classes()["HiggsLoadVoice"].fingerprint_inputs(voice=NAME) != fingerprint


@pytest.mark.parametrize("name", ["", "../x", "a/b", "nul", "x" * 81])
def test_a_name_is_checked_before_the_graph_runs(folder, name):
    assert isinstance(node_classes()["HiggsSaveVoice"].validate_inputs(name=name), str)
    assert node_classes()["HiggsSaveVoice"].validate_inputs(name=NAME) is True
    assert node_classes()["HiggsSaveVoice"].validate_inputs(name=None) is True  # comes from another node


def test_voices_are_combined(runtime):
    one, two = voice_of(runtime), voice_of(runtime, seed=1)
    [voice] = run("HiggsCombineVoices", voice_0=one, voice_1=two, voice_2=None)
    assert [codes for codes, _ in voice.references] == [one.codes, two.codes]
    with pytest.raises(runtime.SettingError, match="gap"):
        run("HiggsCombineVoices", voice_0=one, voice_2=two)


SETTINGS = {"language": "", "min_seconds": 3.0, "max_seconds": 15.0}


def test_a_reference_is_prepared_without_a_recognizer(folder):
    made, transcript, report = run("HiggsPrepareReference", audio=audio(), recognizer="none", **SETTINGS)
    seconds = made["waveform"].shape[-1] / made["sample_rate"]
    assert made["waveform"].shape[:2] == (1, 1) and 3 <= seconds <= 15
    assert transcript == "" and "dBFS" in report and "type the transcript" in report


def test_the_first_recognizer_is_taken(folder, runtime, monkeypatch):
    heard = pack_module("verification")

    class FakeRecognizer:
        def transcribe(self, clip, language):
            return heard.Transcript(f"So {language}", (heard.Word("So", 0.3, clip.seconds - 0.3, 0.9),), "de")

    asked = []
    monkeypatch.setattr(heard, "find_recognizers", lambda folders: {"big": folders[0], "small": folders[0]})
    monkeypatch.setattr(runtime, "load_recognizer", lambda name, folders: asked.append(name) or FakeRecognizer())
    settings = {**SETTINGS, "language": " de "}
    _, transcript, report = run("HiggsPrepareReference", audio=audio(), recognizer="auto", **settings)
    assert asked == ["big"] and transcript == "So" and "language: de" in report


def test_cancel_ends_it(folder):
    import comfy.model_management as management
    import comfy.utils

    def hook(*_, **__):
        management.throw_exception_if_processing_interrupted()

    comfy.utils.set_progress_bar_global_hook(hook)
    try:
        management.interrupt_current_processing()
        with pytest.raises(management.InterruptProcessingException):
            run("HiggsPrepareReference", audio=audio(), recognizer="none", **SETTINGS)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
        management.interrupt_current_processing(False)
