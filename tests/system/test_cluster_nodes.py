"""A script over two real Ray nodes, whose processes are killed while it is spoken."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import helpers_cluster
import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_cluster import LINES, SAMPLING, SETTINGS, VOICES, children, engine, script_of
from helpers_rendering import rendered, rendered_on_cluster

from higgs_runtime import CheckpointError, PromptError, TakeStore, cli, load_model, parse_script
from higgs_runtime.cluster import ClusterSettings
from higgs_runtime.errors import ClusterError
from higgs_runtime.takes import ObjectStore, model_identity

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]
PATIENCE_S = 120  # for what takes a second or two


@pytest.fixture(scope="module")
def nodes():
    """A cluster with one node, and how to add another."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster, small = Cluster(), {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster.add_node(**small, include_dashboard=False)
    yield cluster.address, lambda: cluster.add_node(**small)
    cluster.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    make_lm_checkpoint(folder / "lm", stream_end=1.0)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder / "lm", dtype=torch.float64)


@pytest.fixture(scope="module")
def local(folder, model, tmp_path_factory):
    """Renders here: (performance, store)."""
    identity = model_identity(folder / "lm", device="cpu", dtype=torch.float64)

    def render(script, settings=SETTINGS):
        store = TakeStore(tmp_path_factory.mktemp("local"))
        return rendered(script, VOICES, model, SAMPLING, settings, store=store, identity=identity), store

    return render


def check_same(here, there):
    assert [one.line for one in there.lines] == [one.line for one in here.lines]
    for a, b in zip(here.lines, there.lines, strict=True):
        assert a.key == b.key and torch.equal(a.take.codes.ids, b.take.codes.ids) and a.take.meta["text"] == a.line.text


def pid_of(node, kind):
    return node.all_processes[kind][0].process.pid


# ---- whole renders ----------------------------------------------------------------------------------------------


SCENES = "\n".join(f"# Scene: place {n}\n\n[Anna] What is {n}?\n[Ben] It is {n + 1}, and {n}.\n" for n in range(4))


def test_scenes_are_those_of_one_machine(nodes, folder, local, tmp_path):
    script, settings, states = parse_script(SCENES), replace(SETTINGS, mode="continuous"), Counter()
    here, _ = local(script, settings)
    there = rendered_on_cluster(
        script,
        VOICES,
        engine(folder),
        SAMPLING,
        settings,
        store=TakeStore(tmp_path),
        cluster=ClusterSettings(nodes[0]),
        on_line=lambda line, state, _: states.update([(state, line.number)]),
    )
    check_same(here, there)
    assert all(states[state, n] == 1 for state in ("queued", "spoken") for n in range(8))
    assert not any(one.stored for one in there.lines) and not list(tmp_path.glob(".cluster-*"))


def test_without_a_shared_folder_takes_come_back_and_the_keeper_may_be_killed(nodes, folder, local, tmp_path):
    raylets, killed = children_of_all("raylet"), []

    def kill_keeper(line, state, seconds):
        if state == "spoken" and line.number >= 4 and not killed:
            killed.extend(pid for raylet in raylets for pid in children(raylet, "ray::TakeStore"))
            os.kill(killed[0], signal.SIGKILL)

    script, store = script_of(12), TakeStore(tmp_path)
    store.leave_mark = lambda _: None
    here, _ = local(script)
    there = rendered_on_cluster(
        script,
        VOICES,
        engine(folder),
        SAMPLING,
        SETTINGS,
        store=store,
        on_line=kill_keeper,
        cluster=ClusterSettings(nodes[0]),
    )
    check_same(here, there)
    assert len(killed) == 1 and {one.key for one in store.list()} == {one.key for one in here.lines}


def test_takes_may_be_at_a_url(nodes, folder, local, tmp_path):
    script, store = script_of(10), ObjectStore(f"file://{tmp_path}/bucket/takes")
    here, _ = local(script)

    def render():
        return rendered_on_cluster(
            script, VOICES, engine(folder), SAMPLING, SETTINGS, store=store, cluster=ClusterSettings(nodes[0])
        )

    there = render()
    check_same(here, there)
    assert {one.key for one in store.list()} == {one.key for one in here.lines}
    assert not any(one.stored for one in there.lines) and all(one.stored for one in render().lines)
    assert not list(Path(tmp_path, "bucket", "takes").glob(".cluster-*"))


def test_the_command_speaks_and_listens_there_and_finds_it_all_here(nodes, tmp_path, monkeypatch, capsys):
    """The pack's own model by its name; each take is heard where it is spoken, and by nobody again."""
    for name in ("HIGGS_MODELS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.txt").write_text("[Anna] Good morning.\n[Jack] Where is the old bridge?\n", encoding="utf-8")
    words = [
        "render-script",
        "scene.txt",
        "--voice",
        "Anna=rose",
        "--voice",
        "Jack=ross",
        "--takes-dir",
        "takes",
        "--listen",
        "--max-takes",
        "2",
    ]
    assert cli.main([*words, "--cluster", nodes[0]]) == 0
    there = capsys.readouterr().out
    assert "2 of 2 lines" in there and "0 from the store" in there and (tmp_path / "scene.flac").is_file()
    monkeypatch.setattr("higgs_runtime.rendering.verifier.verify_take", None)
    assert cli.main(words) == 0
    here = capsys.readouterr().out
    assert "2 from the store, 0 spoken now" in here
    assert heard(here) == heard(there) and "bridge" in str(heard(here)).lower()


def heard(table):
    """What was heard of each line, by the columns behind where it came from."""
    return [line.split("  ")[-1] for line in table.splitlines() if line[:1].isdigit() and "lines" not in line]


def children_of_all(name):
    """Processes of this name in our own cluster."""
    return children(os.getpid(), name)


def test_what_is_wrong_is_said(nodes, folder, tmp_path):
    store, script, good = TakeStore(tmp_path), script_of(3), engine(folder)

    def render(script=script, engine=good, **cluster):
        return rendered_on_cluster(
            script, VOICES, engine, SAMPLING, SETTINGS, store=store, cluster=ClusterSettings(nodes[0], **cluster)
        )

    with pytest.raises(CheckpointError, match="has no model 'no-such-folder'"):
        render(engine=replace(good, model="no-such-folder"))
    with pytest.raises(PromptError, match="Line 1 of the script"):
        render(parse_script("[Anna] {max_frames=100000} No end."))
    with pytest.raises(ClusterError, match="no place for a worker.*1 GPUs"):
        render(gpus=1, patience_s=0.1)
    with pytest.raises(ClusterError, match="cannot be reached"):
        rendered_on_cluster(script, VOICES, good, store=store, cluster=ClusterSettings("127.0.0.1:9"))
    stopped = rendered_on_cluster(
        script, VOICES, good, SAMPLING, store=store, cluster=ClusterSettings(nodes[0]), should_stop=lambda: True
    )
    assert not stopped.complete and len(stopped.lines) == 3 and store.list() == []


# ---- kills ------------------------------------------------------------------------------------------------------


class Driver:
    """The program of helpers_cluster, and what it said so far."""

    def __init__(self, address, folder):
        self.log = folder / f"log-{len(list(folder.glob('log-*')))}"
        program = Path(helpers_cluster.__file__)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(program), address, str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def said(self):
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def count(self, state):
        return sum(words[0] == state for words in self.said())

    def wait_for(self, spoken):
        """Until so many lines are spoken."""
        self.wait_until(lambda: self.count("spoken") >= spoken)

    def wait_until(self, there):
        end = time.time() + PATIENCE_S
        while not there():
            assert self.process.poll() is None, self.process.stderr.read().decode()[-3000:]
            assert time.time() < end
            time.sleep(0.01)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_killed_at_random_moments_each_take_is_there_once(nodes, folder, local):
    """A worker, the driver and a node's raylet are killed; nothing that is stored is spoken again."""
    address, add_node = nodes
    here, expected = local(script_of())
    node, chance, store = add_node(), random.Random(time.time_ns()), TakeStore(folder / "takes")

    first = Driver(address, folder)
    first.wait_for(chance.randrange(5, 40))
    workers = [pid for raylet in children_of_all("raylet") for pid in children(raylet, "ray::Worker")]
    os.kill(chance.choice(workers), signal.SIGKILL)
    first.wait_for(first.count("spoken") + chance.randrange(5, 30))
    time.sleep(chance.uniform(0, 0.2))
    first.kill()
    kept = {one.key for one in store.list()}

    second = Driver(address, folder)
    raylet = pid_of(node, "raylet")
    second.wait_until(lambda: children(raylet, "ray::Worker"))
    second.wait_for(chance.randrange(5, 40))
    os.kill(raylet, signal.SIGKILL)
    second.process.wait(PATIENCE_S)
    assert second.process.returncode == 0, second.process.stderr.read().decode()[-3000:]

    assert {one.key for one in store.list()} == {one.key for one in expected.list()}
    lines = [words[1:] for words in second.said() if words[0] == "line"]
    assert [(int(number), key) for number, key, _ in lines] == [(one.line.number, one.key) for one in here.lines]
    for one in here.lines:
        assert torch.equal(store.peek(one.key).codes.ids, one.take.codes.ids)
    number_of = {one.key: one.line.number for one in here.lines}
    known = {number_of[key] for key in kept}
    assert 10 <= len(known) < LINES, "it was killed on its way"
    spoken_again = {int(words[1]) for words in second.said() if words[0] in ("speaking", "spoken")}
    assert spoken_again & known == set()
    for driver in (first, second):
        said = Counter(int(words[1]) for words in driver.said() if words[0] == "spoken")
        assert max(said.values()) == 1
    assert any(words[0] == "pool" and "lost" in words for words in first.said() + second.said())
