"""Download Higgs Model in a real ComfyUI, with a hub on this computer."""

from __future__ import annotations

import time

import pytest
from helpers_hub import FETCHED, FILES, LM, content, fetched_bytes
from helpers_server import Refused

CANCEL_LIMIT_S = 1.0


@pytest.fixture
def models(server, server_hub, tmp_path):
    """The server's models folder, with v2's place free; the other checkpoints of the tests are back in the end."""
    server_hub.fill()
    folder = server.base / "models" / "higgs_audio"
    (folder / LM.name).rename(tmp_path / LM.name)
    yield folder
    for left in (folder / LM.name, folder / f".{LM.name}.partial"):
        if left.exists():
            left.rename(tmp_path / f"left{left.name}")
    (tmp_path / LM.name).rename(folder / LM.name)


def graph(accepted: bool, release: str = LM.name) -> dict:
    return {
        "1": {"class_type": "HiggsDownloadModel", "inputs": {"release": release, "licence_accepted": accepted}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def report(run) -> str:
    assert run.error is None, run.error
    return run.outputs["2"]["text"][0]


def test_size_licence_and_room_come_first_and_nothing_is_fetched(client, server_hub, models):
    for _ in range(2):  # it runs again: the licence may be accepted, the disk be emptied
        said = report(client.run(graph(accepted=False)))
        assert LM.licence in said and LM.revision in said and "0.00 GB are missing" in said and "GB are free" in said
        assert "Nothing is downloaded yet" in said and "It goes with: higgs-audio-v2-tokenizer" in said
    assert len([path for path in server_hub.asked if "/api/models/" in path]) == 2
    assert not [path for path in server_hub.asked if "/resolve/" in path]
    assert not (models / LM.name).exists() and not (models / f".{LM.name}.partial").exists()


def test_an_accepted_one_arrives_whole_with_progress_and_is_listed(client, server, server_hub, models):
    server_hub.pause_s = 0.01
    run = client.run(graph(accepted=True))
    said = report(run)
    assert f"{LM.name} is there" in said and "Press R" in said
    assert content(models / LM.name) == {name: FILES[name] for name in FETCHED}
    total = sum(len(FILES[name]) for name in FETCHED)
    values = [(data["value"], data["max"]) for data in run.of_type("progress") if data["node"] == "1"]
    assert len(values) >= 3 and values == sorted(values) and values[-1] == (total, total)
    info = server.get("/object_info/HiggsLoadModel")["HiggsLoadModel"]
    assert LM.name in info["input"]["required"]["checkpoint"][1]["options"]
    asked = len(server_hub.asked)
    assert "is there" in report(client.run(graph(accepted=False))) and len(server_hub.asked) == asked


def test_cancel_acts_at_once_and_the_next_run_goes_on_from_there(client, server_hub, models):
    server_hub.pause_s = 0.05
    run = client.queue(graph(accepted=True))
    client.follow(run, until=lambda kind, data: kind == "progress" and data["value"] > 150_000)
    asked = time.monotonic()
    client.interrupt()
    client.follow(run)
    assert time.monotonic() - asked < CANCEL_LIMIT_S and run.of_type("execution_interrupted")
    assert fetched_bytes(models) > 100_000 and not (models / LM.name).exists()
    server_hub.pause_s, server_hub.ranges = 0.0, []
    assert "of which" in report(client.run(graph(accepted=False)))
    report(client.run(graph(accepted=True)))
    assert any(int(one[6:-1]) > 100_000 for one in server_hub.ranges if one)
    assert content(models / LM.name) == {name: FILES[name] for name in FETCHED}


@pytest.mark.parametrize(
    "gate, says",
    [
        ((401, ""), "does not let us read"),
        ((403, "GatedRepo"), "accept the licence"),
        ((404, "RepoNotFound"), "no such repository"),
    ],
)
def test_a_refusal_of_the_hub_is_the_nodes_error(client, server_hub, models, gate, says):
    server_hub.gate[LM.repository] = gate
    for accepted in (False, True):
        error = client.run(graph(accepted)).error
        assert error["node_type"] == "HiggsDownloadModel" and says in error["exception_message"]
    assert not (models / LM.name).exists() and not (models / f".{LM.name}.partial").exists()


def test_only_releases_can_be_named(client, models):
    for name in ("../x", "/etc", "bosonai/anything"):
        with pytest.raises(Refused):
            client.run(graph(accepted=True, release=name))
