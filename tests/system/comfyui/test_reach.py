"""What a shared workflow may not reach, in a real ComfyUI: refused before it runs, or by the node behind a link."""

from __future__ import annotations

import pytest
from helpers_render_graph import render_graph

from higgs_runtime.cli.comfy_client import ComfyClient, RenderError

AWAY = "http://203.0.113.5:8000/v1"  # of a network for documentation


def remote_graph(**inputs) -> dict:
    """Up to the first word that would leave."""
    asked = {"server": "higgs serve", "url": "", "model": "", "voice": "", "key_variable": "", **inputs}
    words = {"text": "Good morning.", "system": "", "scene": "", "reference_first": True}
    sampling = {
        "seed": 1,
        "max_seconds": 1.0,
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 0.95,
        "ras_window": -1,
        "ras_max_repeats": 2,
    }
    return {
        "url": {"class_type": "PrimitiveString", "inputs": {"value": AWAY}},
        "remote": {"class_type": "HiggsRemoteModel", "inputs": asked},
        "prompt": {"class_type": "HiggsChatMLPrompt", "inputs": words},
        "generate": {
            "class_type": "HiggsGenerate",
            "inputs": {"model": ["remote", 0], "prompt": ["prompt", 0], **sampling},
        },
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["generate", 1]}},
    }


@pytest.mark.parametrize(
    "graph, words",
    [
        (remote_graph(url=AWAY), "HIGGS_REMOTE_URLS"),
        (remote_graph(key_variable="PATH"), "HIGGS_REMOTE_KEYS"),
        (remote_graph(server="another"), "no server of the kind"),
        (render_graph(cluster="203.0.113.5:6379"), "HIGGS_CLUSTER_ADDRESSES"),
    ],
)
def test_the_editor_is_told_before_it_runs(server, graph, words):
    with pytest.raises(RenderError, match=words):
        ComfyClient(server.url).queue(graph)


def test_an_address_from_another_node_is_refused_when_it_comes(client):
    run = client.run(remote_graph(url=["url", 0]))
    assert run.error["node_type"] == "HiggsRemoteModel" and "HIGGS_REMOTE_URLS" in run.error["exception_message"]
