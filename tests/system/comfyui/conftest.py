"""One real ComfyUI server for all tests of this folder, with small random checkpoints in its models folder and a few
nodes for lists (tests/helpers/list_nodes.py).
Those of the page run with the page that ComfyUI brings and with the newest, or with those that HIGGS_FRONTENDS names.

They are what `auto` means there: the first of the names that are complete. The pack's own stand behind them, by name.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from dev_env import NEWEST_FRONTEND, frontend_folder
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_hub import Hub
from helpers_server import Client, ComfyServer
from helpers_v3 import make_v3_checkpoint
from helpers_workflow import comfyui_tree

LM, CODEC, LARGE_LM = "higgs-audio-v2-generation-3B-base", "higgs-audio-v2-tokenizer", "large"
V3 = "higgs-audio-v3-tts-4b"
LIST_NODES = Path(__file__).resolve().parents[2] / "helpers" / "list_nodes.py"


BROUGHT = "brought"  # by this ComfyUI
# Their time is spent on what another page does not change; all run with what HIGGS_FRONTENDS names: versions of the
# editor's page, and folders that hold one.
ONCE = {"test_live", "test_scene_render", "test_translations"}


def pytest_generate_tests(metafunc) -> None:
    if metafunc.definition.get_closest_marker("web") and "server" in metafunc.fixturenames:
        default = [BROUGHT] if metafunc.definition.path.stem in ONCE else [BROUGHT, NEWEST_FRONTEND]
        named = os.environ.get("HIGGS_FRONTENDS")
        metafunc.parametrize("server", named.split(",") if named else default, indirect=True, scope="session")


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
def servers(tmp_path_factory, server_hub):
    """The server for a frontend; it starts when it is first asked for."""
    with ExitStack() as running:
        started = {}

        def server_with(frontend: str) -> ComfyServer:
            if frontend not in started:
                base = tmp_path_factory.mktemp("comfyui")
                started[frontend] = running.enter_context(make_server(base, frontend, server_hub))
            return started[frontend]

        yield server_with


@pytest.fixture(scope="session")
def server(servers, request):
    return servers(getattr(request, "param", BROUGHT))


def make_server(base: Path, frontend: str, hub: Hub) -> ComfyServer:
    folder = None
    if frontend != BROUGHT:
        folder = Path(frontend) if os.sep in frontend else frontend_folder(frontend)
        if not (folder / "index.html").is_file():
            pytest.skip(f"needs the editor's page {frontend}, none at {folder} (`python dev.py test` gets it)")
    comfy = ComfyServer(comfyui_tree(), base, folder, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0", HF_TOKEN="")
    (base / "custom_nodes" / LIST_NODES.name).symlink_to(LIST_NODES)
    models = base / "models" / "higgs_audio"
    make_lm_checkpoint(models / LM, stream_end=0, whole_vocabulary=True)
    make_lm_checkpoint(models / LARGE_LM, stream_end=0, hidden_size=512)
    make_codec_checkpoint(models / CODEC)
    make_v3_checkpoint(models / V3, stream_end=0, whole_vocabulary=True)
    return comfy


@pytest.fixture
def client(server):
    one = Client(server)
    yield one
    one.close()
