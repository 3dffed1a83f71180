"""`speak` and the `higgs` command, on small random checkpoints. Rendering on a server: tests/comfyui."""

from __future__ import annotations

import json
import signal

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint

from higgs_runtime import AudioClip, AudioError, PromptError, Sampling, Voice, load_codec, load_model, speak
from higgs_runtime.cli import main
from higgs_runtime.comfy_client import RenderError, set_input

TINY = {"num_hidden_layers": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    make_lm_checkpoint(folder / "lm", initializer_range=0.1, **TINY)
    make_codec_checkpoint(folder / "codec")
    return folder


@pytest.fixture
def clip(tmp_path):
    samples = torch.randn((1, 24000), generator=torch.Generator().manual_seed(0)) * 0.1
    AudioClip(samples, 24000).save(tmp_path / "clip.wav")
    return tmp_path / "clip.wav"


SHORT = Sampling(max_frames=12, temperature=1.0, top_k=0, top_p=1.0)


def test_speak_from_folders_equals_speak_with_loaded_models(models, clip):
    loaded = {"model": load_model(models / "lm"), "codec": load_codec(models / "codec")}
    folders = {"model": models / "lm", "codec": str(models / "codec")}
    voice = Voice(loaded["codec"].encode(AudioClip.load(clip)), "Words.")
    results = [
        speak("Hello.", clip, transcript="Words.", sampling=SHORT, device="cpu", **folders),
        speak("Hello.", AudioClip.load(clip), transcript="Words.", sampling=SHORT, **loaded),
        speak("Hello.", voice, sampling=SHORT, **loaded),
    ]
    assert results[0].sample_rate == 24000 and results[0].samples.shape == (1, 12 * 960)
    for other in results[1:]:
        assert torch.equal(results[0].samples, other.samples)
    assert not torch.equal(results[0].samples, speak("Hello.", sampling=SHORT, **loaded).samples)


def test_speak_says_what_is_wrong(models, clip):
    folders = {"model": models / "lm", "codec": models / "codec", "device": "cpu"}
    with pytest.raises(PromptError, match="transcript"):
        speak("Hello.", clip, **folders)
    with pytest.raises(PromptError, match="nothing to say"):
        speak("  ", **folders)
    with pytest.raises(AudioError, match="without a sound"):
        speak("Hello.", should_stop=lambda: True, **folders)


def test_say(models, clip, tmp_path, capsys):
    out = tmp_path / "out.flac"
    args = ["say", "Hello.", "--voice", str(clip), "--transcript", "Words.", "-o", str(out), "--max-seconds", "0.4"]
    assert main([*args, "--models-dir", str(models), "--device", "cpu"]) == 0
    assert AudioClip.load(out).seconds == pytest.approx(0.4)
    assert "0.40 s" in capsys.readouterr().out


@pytest.mark.parametrize("extra, says", [
    (["--max-seconds", "nan"], "max_frames"),
    (["--temperature", "-1"], "temperature"),
    (["--voice", "/nowhere/clip.wav", "--transcript", "x"], "clip.wav"),
    (["-o", "/nowhere/out.wav"], "existing folder"),
    (["--model", "unheard-of"], "lm"),
])
def test_say_explains_itself(models, tmp_path, capsys, extra, says):
    args = ["say", "Hello.", "-o", str(tmp_path / "o.wav"), "--models-dir", str(models), "--device", "cpu", *extra]
    assert main(args) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "o.wav").exists()


def test_say_without_models(tmp_path, capsys):
    assert main(["say", "Hello.", "--models-dir", str(tmp_path)]) == 1
    assert "higgs models" in capsys.readouterr().err


def test_interrupting_say_keeps_what_is_spoken(models, tmp_path, monkeypatch, capsys):
    """Ctrl-C after some 20 frames, from where the progress line is written."""
    out, shown = tmp_path / "out.wav", []

    def interrupt(text):
        shown.append(text)
        if len(shown) == 28:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("higgs_runtime.cli._progress", interrupt)
    args = ["say", "Hello.", "-o", str(out), "--max-seconds", "300"]
    flat = ["--temperature", "1", "--top-k", "0", "--top-p", "1"]  # never ends by itself within these frames
    assert main([*args, *flat, "--models-dir", str(models), "--device", "cpu"]) == 0
    assert AudioClip.load(out).seconds == pytest.approx(20 / 25)
    assert "will be saved" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_models_lists_what_is_missing(models, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "higgs_audio_v2"}))
    assert main(["models", "--models-dir", str(models), "--models-dir", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert "language model  lm\n" in listed and "codec           codec\n" in listed
    assert "broken (missing: model.safetensors, tokenizer.json)" in listed


def test_command_without_arguments_shows_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "higgs say" in capsys.readouterr().out


WORKFLOW = {
    "1": {"class_type": "A", "inputs": {"text": "old", "link": ["2", 0]}, "_meta": {"title": "Prompt"}},
    "2": {"class_type": "B", "inputs": {"seed": 1}, "_meta": {"title": "Twin"}},
    "3": {"class_type": "B", "inputs": {"seed": 1}, "_meta": {"title": "Twin"}},
}


@pytest.mark.parametrize("assignment, node, key, value", [
    ("1.text=Hello = there", "1", "text", "Hello = there"),
    ("Prompt.text=42 things", "1", "text", "42 things"),
    ("2.seed=7", "2", "seed", 7),
    ("1.text=@clip.wav", "1", "text", "uploaded clip.wav"),
])
def test_set_input(assignment, node, key, value):
    workflow = json.loads(json.dumps(WORKFLOW))
    set_input(workflow, assignment, upload=lambda path: f"uploaded {path}")
    assert workflow[node]["inputs"][key] == value


@pytest.mark.parametrize("assignment", ["text=x", "1.text", "9.text=x", "1.nothing=x", "Twin.seed=2"])
def test_set_input_refuses(assignment):
    with pytest.raises(RenderError):
        set_input(json.loads(json.dumps(WORKFLOW)), assignment)


def test_render_without_a_server(tmp_path, capsys):
    file = tmp_path / "w.json"
    file.write_text(json.dumps(WORKFLOW))
    assert main(["render", str(file), "--server", "http://127.0.0.1:9"]) == 1
    assert "No ComfyUI answers" in capsys.readouterr().err
    file.write_text('{"nodes": []}')
    assert main(["render", str(file)]) == 1
    assert "Export (API)" in capsys.readouterr().err


