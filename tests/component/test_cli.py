"""`speak` and the `higgs` command, on small random checkpoints. Rendering on a server: tests/system/comfyui."""

from __future__ import annotations

import json
import logging
import re
import signal
import tempfile
from pathlib import Path

import pytest
import soundfile
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint

from higgs_runtime import (
    AudioClip,
    AudioError,
    HiggsError,
    PromptError,
    Sampling,
    SettingError,
    Voice,
    load_codec,
    load_model,
    speak,
)
from higgs_runtime.cli import main
from higgs_runtime.devices import pick_dtype
from higgs_runtime.generation import cpu_kernel as fused
from higgs_runtime.generation.cpu_kernel import step

ROOT = Path(__file__).resolve().parents[2]
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


def test_speak_reports_wrong_arguments(models, clip):
    folders = {"model": models / "lm", "codec": models / "codec", "device": "cpu"}
    with pytest.raises(PromptError, match="transcript"):
        speak("Hello.", clip, **folders)
    with pytest.raises(PromptError, match="nothing to say"):
        speak("  ", **folders)
    with pytest.raises(AudioError, match="stopped before the first sound"):
        speak("Hello.", should_stop=lambda: True, **folders)


@pytest.mark.parametrize("text, voice, says", [(" ", None, "nothing to say"), ("Hi.", "nobody.wav", "no audio file")])
def test_invalid_input_is_reported_before_a_model_is_loaded(tmp_path, text, voice, says):
    with pytest.raises(HiggsError, match=says):  # and not that there is no model
        speak(text, voice, transcript="Words.", model=tmp_path / "lm", codec=tmp_path / "codec", device="cpu")


class Amplified:
    """A codec whose decoder overshoots."""

    def __init__(self, codec, factor):
        self.codec, self.factor, self.takes = codec, factor, codec.takes

    def decode(self, codes, **how):
        clip = self.codec.decode(codes, **how)
        return AudioClip(clip.samples * self.factor / clip.samples.abs().max(), clip.sample_rate)


def test_sound_above_full_scale_is_turned_down_as_a_whole(models, tmp_path):
    lm, codec = load_model(models / "lm"), load_codec(models / "codec")
    quiet, loud = (
        speak("Hello.", model=lm, codec=Amplified(codec, factor), sampling=SHORT, silence_s=None)
        for factor in (0.5, 3.0)
    )
    assert float(quiet.samples.abs().max()) == 0.5
    assert float(loud.samples.abs().max()) == 1.0
    torch.testing.assert_close(loud.samples, quiet.samples * 2)
    loud.save(tmp_path / "loud.flac")


@pytest.mark.parametrize(
    "device, mac, dtype",
    [
        ("cpu:0", 0, torch.float32),
        ("cuda:1", 0, torch.bfloat16),
        ("mps:0", 13, torch.float32),
        ("mps", 14, torch.bfloat16),
    ],
)
def test_dtype_of_a_device(monkeypatch, device, mac, dtype):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.backends.mps.is_macos_or_newer", lambda major, minor: mac >= major)
    assert pick_dtype(device) == dtype


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_missing_device_is_reported(models, monkeypatch, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(SettingError, match=f"Expected 'cpu', got '{device}'"):
        speak("Hello.", model=models / "lm", codec=models / "codec", device=device)


def test_say(models, clip, tmp_path, capsys):
    out = tmp_path / "out.flac"
    args = ["say", "Hello.", "--voice", str(clip), "--transcript", "Words.", "-o", str(out), "--max-seconds", "0.4"]
    assert main([*args, "--models-dir", str(models), "--device", "cpu"]) == 0
    assert AudioClip.load(out).seconds == pytest.approx(0.4)
    assert "0.40 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "extra, says",
    [
        (["--max-seconds", "nan"], "The setting 'max-seconds' is out of range."),
        (["--max-seconds", "0"], "The setting 'max-seconds' is out of range."),
        (["--temperature", "11"], "temperature"),
        (["--voice", "/nowhere/clip.wav", "--transcript", "x"], "clip.wav"),
        (["-o", "/nowhere/out.wav"], "existing folder"),
        (["-o", "out.xyz"], "Name a file such as"),  # before the rendering, not after it
        (["--model", "unheard-of"], "lm"),
        (["-o", "/proc/out.wav"], "Nothing can be written"),
    ],
)
def test_say_explains_itself(models, tmp_path, capsys, extra, says):
    args = ["say", "Hello.", "-o", str(tmp_path / "o.wav"), "--models-dir", str(models), "--device", "cpu", *extra]
    assert main(args) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "o.wav").exists()


@pytest.mark.parametrize("refused", [["out.flac"], ["out.flac", "cwd"]])
def test_say_never_loses_the_audio(models, tmp_path, monkeypatch, capsys, refused):
    """The target cannot be written, then the current folder neither."""
    folders = {"cwd": tmp_path / "cwd", "temp": tmp_path / "temp"}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(folders["cwd"])
    monkeypatch.setattr(tempfile, "tempdir", str(folders["temp"]))
    save = AudioClip.save

    def disk_full(clip, path, **options):
        if {Path(path).name, Path(path).parent.name} & set(refused):
            raise AudioError("The disk is full.") if "cwd" in refused else MemoryError("The disk is full.")
        save(clip, path, **options)

    monkeypatch.setattr(AudioClip, "save", disk_full)
    args = ["say", "Hello.", "-o", str(tmp_path / "out.flac"), "--max-seconds", "0.4"]
    assert main([*args, "--models-dir", str(models), "--device", "cpu"]) == 1
    [kept] = folders["temp" if "cwd" in refused else "cwd"].glob("*.wav")
    assert AudioClip.load(kept).seconds == pytest.approx(0.4) and soundfile.info(kept).subtype == "FLOAT"
    said = capsys.readouterr()
    assert "The disk is full." in said.err and f"not lost: it is in {kept}" in said.err and said.out == ""


def test_say_that_can_save_nowhere_says_so(models, tmp_path, monkeypatch, capsys):
    def disk_full(clip, path, **options):
        raise AudioError("The disk is full.")

    monkeypatch.setattr(AudioClip, "save", disk_full)
    args = ["say", "Hello.", "-o", str(tmp_path / "out.flac"), "--max-seconds", "0.4"]
    assert main([*args, "--models-dir", str(models), "--device", "cpu"]) == 1
    assert "nor in the temporary one" in capsys.readouterr().err


def test_the_slow_first_compilation_is_announced(models, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(step, "is_kept", lambda: False)
    fused._preparing.cache_clear()
    args = ["say", "Hello.", "--models-dir", str(models), "--device", "cpu", "--max-seconds", "0.2"]
    assert main([*args, "-o", str(tmp_path / "out.wav")]) == 0
    assert "higgs: The step is being compiled for this computer, once" in capsys.readouterr().err
    assert not logging.getLogger("higgs_runtime").handlers


def test_say_without_models(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("higgs_runtime.hub.catalog.EMBEDDED", tmp_path / "absent")
    assert main(["say", "Hello.", "--models-dir", str(tmp_path)]) == 1
    assert "higgs models" in capsys.readouterr().err


def test_interrupting_say_keeps_the_sound_so_far(models, tmp_path, monkeypatch, capsys):
    """Ctrl-C after 28 steps, from where the progress line is written."""
    out, shown = tmp_path / "out.wav", []
    out.write_text("an earlier whole one")

    def interrupt(text):
        shown.append(text)
        if len(shown) == 7:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("higgs_runtime.cli.say.progress", interrupt)
    args = ["say", "Hello.", "-o", str(out), "--max-seconds", "300"]
    flat = ["--temperature", "1", "--top-k", "0", "--top-p", "1", "--seed", "5"]  # does not end within these frames
    assert main([*args, *flat, "--models-dir", str(models), "--device", "cpu"]) == 0
    assert AudioClip.load(tmp_path / "out.partial.wav").seconds == pytest.approx(21 / 25)
    assert out.read_text() == "an earlier whole one"
    assert "will be saved" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupting_say_before_the_first_frame(models, tmp_path, monkeypatch, capsys):
    """No fault of the model: nothing is saved, and nothing blamed on the seed."""
    monkeypatch.setattr("higgs_runtime.cli.say.progress", lambda text: signal.raise_signal(signal.SIGINT))
    args = ["say", "Hello.", "-o", str(tmp_path / "out.wav"), "--models-dir", str(models), "--device", "cpu"]
    assert main(args) == 130
    said = capsys.readouterr().err
    assert "interrupted" in said and "seed" not in said
    assert not (tmp_path / "out.wav").exists()


def test_models_lists_missing_files(models, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "higgs_audio_v2"}))
    assert main(["models", "--models-dir", str(models), "--models-dir", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert re.search(
        r"language model  lm +v2, transformers-native · \d+\.\d MB · float32 · → RAM \d+\.\d MB float32 · Boson", listed
    )
    assert re.search(r"codec           codec +codec, transformers-native · ", listed)
    assert "broken (missing: model.safetensors, tokenizer.json)" in listed


def test_command_without_arguments_shows_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "higgs say" in capsys.readouterr().out
