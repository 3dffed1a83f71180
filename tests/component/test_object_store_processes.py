"""Takes at a URL, in several processes: writers, a driver that is killed, and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers_checkpoint import random_codes
from helpers_takes import key_of, same, some_take

from higgs_runtime import cli
from higgs_runtime.takes import ObjectStore, Take

ROOT = Path(__file__).resolve().parents[2]
PUTS = """
import sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests/helpers", sys.argv[1] + "/tools"]
import warnings; warnings.simplefilter("ignore")
from helpers_takes import key_of, same, some_take
from higgs_runtime.takes import ObjectStore
store, turn = ObjectStore(sys.argv[2]), int(sys.argv[3])
for n in range(40):
    number = (n + 20 * turn) % 40
    take = some_take(number, frames=2000)
    store.put(key_of(number), take)
    assert (found := store.get(key_of(number))) is None or same(found, take)
print("done")
"""


@pytest.mark.slow
def test_processes_that_write_the_same_takes_leave_whole_ones(tmp_path):
    """Both write all of them; half of the time one writes what the other has written."""
    url = f"file://{tmp_path}/bucket"
    writers = [
        subprocess.Popen([sys.executable, "-c", PUTS, str(ROOT), url, str(turn)], stdout=subprocess.PIPE)
        for turn in range(2)
    ]
    assert [writer.communicate()[0].strip() for writer in writers] == [b"done"] * 2
    store = ObjectStore(url)
    for number in range(40):
        assert same(store.get(key_of(number)), some_take(number, frames=2000))


def render(*words: str, **more) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "higgs_runtime.cli",
        "render-script",
        "scene.txt",
        "--max-seconds",
        "2",
        "--batch",
        "1",
        *words,
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.slow
def test_a_driver_that_is_killed_loses_nothing_and_speaks_nothing_twice(tmp_path):
    texts = [
        "Good morning.",
        "Where is the old bridge?",
        "Only the wind, my friend.",
        "The story is ready.",
        "It is a quiet night by the sea.",
        "See you soon.",
        "Hello, my friend.",
        "Good night.",
    ]
    (tmp_path / "scene.txt").write_text("".join(f"[Rose] {text}\n" for text in texts), encoding="utf-8")
    url = f"file://{tmp_path}/bucket/takes"
    store, first = ObjectStore(url), render("--store", url, cwd=tmp_path)
    end = time.monotonic() + 120
    while len(store.list()) < 2:
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    kept = {one.key: one.used for one in store.list() if store.get(one.key) is not None}
    assert 2 <= len(kept) < len(texts), "it was killed on its way"

    said, _ = render("--store", url, cwd=tmp_path).communicate(timeout=200)
    assert f"{len(kept)} from the store, {len(texts) - len(kept)} spoken now" in said, said
    after = {one.key: one.used for one in store.list()}
    assert len(after) == len(texts) and all(after[key] == used for key, used in kept.items()), "not written again"
    told = json.loads((tmp_path / "scene.json").read_text(encoding="utf-8"))
    assert {line["take"] for line in told["lines"]} == set(after)


def test_takes_of_a_url_are_listed_locked_and_exported(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"file://{tmp_path}/bucket"
    store = ObjectStore(url)
    store.put(key_of(0xAB), Take(random_codes(9), "stop", 0, 0.1, {"speaker": "Rose", "text": "Hello."}))

    def takes(*words):
        status = cli.main(["takes", *words, "--store", url])
        said = capsys.readouterr()
        return status, said.out + said.err

    status, said = takes("ls")
    assert status == 0 and "Rose: Hello." in said and f"1 takes, 0.0 MB, 0 locked, in {url}" in said
    assert takes("lock", "ab")[0] == 0 and store.is_locked(key_of(0xAB))
    assert "1 locked" in takes("ls")[1]
    assert takes("unlock", "ab")[0] == 0 and not store.is_locked(key_of(0xAB))
    status, said = takes("prune")
    assert status == 1 and "not pruned from here" in said and len(store.list()) == 1
