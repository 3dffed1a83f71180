"""Every way in of a reference says how good it is: speak, say, voices add, render-script, Encode Audio; of the server,
tests/component/test_serve_clients.py."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import AudioClip, AudioError, HiggsWarning, Sampling, load_codec, load_model, speak
from higgs_runtime.cli import main
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.speech import make_voice
from higgs_runtime.voices import load_source, load_voice, voice_path

RATE = 24_000
NOISE = torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
REFUSED = {"silent": torch.zeros(1, RATE), "cancelling": torch.cat((NOISE, -NOISE))}
DOUBTED = {
    "Too short": NOISE[:, : round(0.3 * RATE)],
    "Noise under": NOISE,
    "Clipped": (NOISE * 50).clamp(-1, 1),
    "Long: 90 s": NOISE.repeat(1, 23)[:, : 90 * RATE],
    "Left and right cancel": torch.cat((NOISE, -0.9 * NOISE)),
}
SHORT = Sampling(max_frames=3)


@pytest.fixture(scope="module")
def pair():
    return {"model": load_model(EMBEDDED / "higgs-nano"), "codec": load_codec(EMBEDDED / "higgs-nano-codec")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIGGS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    (tmp_path / "clip.txt").write_text("Good morning.", encoding="utf-8")
    (tmp_path / "scene.txt").write_text("[Anna] Good morning.", encoding="utf-8")
    return tmp_path


COMMANDS = {
    "say": ["say", "Hello.", "--voice", "clip.wav", "-o", "out.wav", "--max-seconds", "0.2"],
    "voices add": ["voices", "add", "me", "clip.wav", "--transcript", "Good morning."],
    "render-script": ["render-script", "scene.txt", "--voice", "Anna=clip.wav", "--max-seconds", "0.2"],
}


@pytest.mark.parametrize("words", DOUBTED)
def test_speak_doubts_it(pair, words):
    with pytest.warns(HiggsWarning, match=f"The reference: {words}"):
        speak("Hello.", AudioClip(DOUBTED[words], RATE), transcript="Words.", sampling=SHORT, **pair)


@pytest.mark.parametrize("kind", REFUSED)
def test_speak_refuses_it(pair, kind):
    with pytest.raises(AudioError, match="no sound to make a reference of"):
        speak("Hello.", AudioClip(REFUSED[kind], RATE), transcript="Words.", sampling=SHORT, **pair)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_judge_it(folder, capsys, command):
    AudioClip(NOISE[:, :7200], RATE).save("clip.wav")
    assert main(COMMANDS[command]) == 0
    assert "higgs: clip.wav: Too short: 0.3 s" in capsys.readouterr().err
    AudioClip(REFUSED["silent"], RATE).save("clip.wav")
    assert main([*COMMANDS[command], *(["--overwrite"] if command == "voices add" else [])]) == 1
    assert "no sound to make a reference of" in capsys.readouterr().err


def test_encode_audio_judges_it(monkeypatch):
    from helpers_workflow import node_classes, node_module

    nodes, shown = node_classes(), []
    monkeypatch.setattr(node_module("host.messages"), "show_text", lambda text, *_: shown.append(text))
    node = nodes["HiggsEncodeAudio"]
    with pytest.raises(Exception, match="no sound to make a reference of"):
        node.execute(None, {"waveform": REFUSED["silent"][None], "sample_rate": RATE})
    with pytest.raises(AttributeError):  # it has no codec here
        node.execute(None, {"waveform": NOISE[None, :, :7200], "sample_rate": RATE})
    assert "Too short" in "".join(shown)


def test_every_way_in_lets_silence_follow_a_clip_of_less_than_a_second(pair, folder, monkeypatch):
    """As Boson AI's server does. Codes and padded clip agree, whoever encodes."""
    codec, clip = pair["codec"], AudioClip(NOISE[:, : round(0.6 * RATE)], RATE)
    right = codec.encode(AudioClip(torch.nn.functional.pad(clip.samples, (0, RATE - clip.length)), RATE)).ids
    assert right.shape[1] == 25
    clip.save(folder / "clip.wav", subtype="FLOAT")
    found = {"speak": make_voice(clip, "Words.", codec), "server": load_source(folder / "clip.wav", codec)}
    monkeypatch.setenv("HIGGS_MODELS", str(folder / "models"))
    for name, more in (("add", ["--transcript", "Words."]), ("listen", ["--listen"])):
        monkeypatch.setattr("higgs_runtime.cli.voices._heard", lambda args, clip: (clip, "Words.", ()))
        assert main(["voices", "add", name, "clip.wav", *more]) == 0
        found[name] = load_voice(voice_path(folder / "models", name))[0]
    for name, voice in found.items():
        assert torch.equal(voice.codes.ids, right), name
    from helpers_workflow import node_classes, node_module

    nodes = node_classes()
    handle = node_module("host.handles").ModelHandle("codec", str(EMBEDDED / "higgs-nano-codec"))
    audio = {"waveform": clip.samples[None], "sample_rate": RATE}
    assert torch.equal(nodes["HiggsEncodeAudio"].execute(handle, audio).args[0][0].ids, right)
