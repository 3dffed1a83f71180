"""One real ComfyUI server for all tests of this folder, with small random checkpoints in its models folder.

They are what `auto` means there: the first of the names that are complete. The pack's own stand behind them, by name.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_hub import Hub
from helpers_server import Client, ComfyServer
from helpers_v3 import make_v3_checkpoint
from helpers_workflow import comfyui_tree

LM, CODEC, LARGE_LM = "higgs-audio-v2-generation-3B-base", "higgs-audio-v2-tokenizer", "large"
V3 = "higgs-audio-v3-tts-4b"


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.comfyui)


@pytest.fixture(scope="session")
def server_hub():
    """The hub that the server downloads from."""
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="session")
def server(tmp_path_factory, server_hub):
    base = tmp_path_factory.mktemp("comfyui")
    comfy = ComfyServer(comfyui_tree(), base, HF_ENDPOINT=server_hub.url, HF_HUB_OFFLINE="0", HF_TOKEN="")
    models = base / "models" / "higgs_audio"
    make_lm_checkpoint(models / LM, stream_end=0, whole_vocabulary=True)
    make_lm_checkpoint(models / LARGE_LM, stream_end=0, hidden_size=512)
    make_codec_checkpoint(models / CODEC)
    make_v3_checkpoint(models / V3, stream_end=0, whole_vocabulary=True)
    with comfy:
        yield comfy


@pytest.fixture
def client(server):
    one = Client(server)
    yield one
    one.close()
