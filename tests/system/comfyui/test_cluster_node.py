"""Render Script on a real Ray, in a real ComfyUI: the same takes, cancel, and a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest
from helpers_cluster import children
from helpers_render_graph import render_graph

from higgs_runtime import TakeStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]
# No line of another file: one that is locked there would come from the store here.
SCENE = "[Rose] Hello, my friend. Good morning.\n[Ross] See you soon.\n[Rose] Good morning, my friend."
LONG = "\n".join(f"[SPEAKER0] This is line number {n} of a rather long story." for n in range(30))
CANCEL_LIMIT_S = 15.0
GONE_S = 20.0


def shown(run) -> str:
    assert run.error is None, run.error["exception_message"]
    return run.outputs["report"]["text"][0]


def timeline(run) -> dict:
    return json.loads(run.outputs["timeline"]["text"][0])


def states(run) -> dict[int, dict]:
    return {line["line"]: line for data in run.of_type("higgs.lines") for line in data["lines"]}


def of_the_cluster(server) -> list[int]:
    """The process that the node started."""
    return children(server.process.pid, "render-script")


def spoken(count: int):
    """Until so many lines are spoken now."""
    found = set()

    def enough(kind: str, data: dict) -> bool:
        found.update(
            line["line"] for line in data.get("lines", ()) if kind == "higgs.lines" and line["state"] == "spoken"
        )
        return len(found) >= count

    return enough


def long_graph(**settings) -> dict:
    """The random model never ends by itself: each line lasts as long as its text allows."""
    return {
        **render_graph(LONG, model="auto", codec="auto", voice_0=["voice", 0], cluster="local", **settings),
        "voice": {"class_type": "HiggsVoice", "inputs": {"transcript": "", "description": "Calm."}},
    }


@pytest.fixture(autouse=True)
def ray():
    pytest.importorskip("ray")


def test_a_cluster_speaks_what_this_computer_would(server, client):
    there = client.run(render_graph(SCENE, seed=21, cluster="local"))
    assert "0 from the store, 3 spoken now" in shown(there)
    first, last = there.of_type("higgs.lines")[0], states(there)
    assert [line["state"] for line in first["lines"]] == ["queued"] * 3
    assert {line["state"] for line in last.values()} == {"spoken"}
    store = TakeStore(server.base / "takes")
    assert all(line["take"] in store for line in last.values())
    assert there.of_type("higgs.live"), "it is heard while it is spoken"
    bar = [data for data in there.of_type("progress") if data["node"] == "render"]
    assert bar and bar[-1]["value"] == bar[-1]["max"] == 3

    here = client.run(render_graph(SCENE, seed=21))
    assert "3 from the store, 0 spoken now" in shown(here), "the same keys"
    assert timeline(here)["lines"] == timeline(there)["lines"]
    assert not of_the_cluster(server)


def test_cancel_ends_the_process_and_keeps_what_is_spoken(server, client):
    run = client.queue(long_graph(seed=31, batch=1))
    client.follow(run, spoken(2))
    [process] = of_the_cluster(server)
    raylets = children(process, "raylet")
    client.interrupt()
    before = run.events[-1][0]
    client.follow(run)
    assert run.of_type("execution_interrupted"), run.error and run.error["exception_message"]
    assert run.events[-1][0] - before < CANCEL_LIMIT_S
    end = time.monotonic() + GONE_S
    while gone := [pid for pid in [process, *raylets] if alive(pid)]:
        assert time.monotonic() < end, gone
        time.sleep(0.1)
    store = TakeStore(server.base / "takes")
    kept = [line["take"] for line in states(run).values() if line["take"]]
    assert kept and all(key in store for key in kept)


def test_a_process_that_is_killed_is_an_error_and_the_next_run_goes_on(server, client):
    run = client.queue(long_graph(seed=41, batch=1))
    client.follow(run, spoken(2))
    [process] = of_the_cluster(server)
    os.kill(process, signal.SIGKILL)
    client.follow(run)
    assert "killed by signal 9" in run.error["exception_message"]
    assert "queue again to go on" in run.error["exception_message"]
    store = TakeStore(server.base / "takes")
    kept = {line["take"] for line in states(run).values() if line["take"]}
    assert kept and all(key in store for key in kept)

    again = client.queue(long_graph(seed=41, batch=1))
    client.follow(again, spoken(1))
    client.interrupt()
    client.follow(again)
    stored = {line["take"] for line in states(again).values() if line["state"] == "stored"}
    assert kept <= stored, "nothing of it is spoken again"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
