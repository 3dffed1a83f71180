"""One real ComfyUI server for all tests of this folder, with small random checkpoints in its models folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint, sound_like
from helpers_server import Client, ComfyServer
from helpers_workflow import comfyui_tree

LM, CODEC, LARGE_LM = "higgs-audio-v2-generation-3B-base", "higgs-audio-v2-tokenizer", "large"
CLIPS = {  # name -> seconds, rate, channels
    "reference.wav": (3.0, 44_100, 2),
    "voice_a.wav": (2.0, 24_000, 1),
    "voice_b.wav": (2.5, 16_000, 1),
    "bed.wav": (6.0, 48_000, 2),
}


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.comfyui)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui")
    comfy = ComfyServer(comfyui_tree(), base)
    models = base / "models" / "higgs_audio"
    make_lm_checkpoint(models / LM, stream_end=0)
    make_lm_checkpoint(models / LARGE_LM, stream_end=0, hidden_size=512)
    make_codec_checkpoint(models / CODEC)
    for name, (seconds, rate, channels) in CLIPS.items():
        wave = sound_like(seconds, rate)
        soundfile.write(base / "input" / name, wave[:, None].expand(-1, channels).numpy(), rate)
    with comfy:
        yield comfy


@pytest.fixture
def client(server):
    one = Client(server)
    yield one
    one.close()
