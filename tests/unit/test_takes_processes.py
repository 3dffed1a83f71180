"""Several processes on one folder of takes, and processes that are killed in the middle of their work."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter

import pytest
from helpers_takes import path_of, same
from helpers_takes_processes import KEYS, LINES, put_for_ever, render_script, rendered, use_all_of_it

from higgs_runtime import TakeStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="SIGKILL and forkserver")]


@pytest.fixture(scope="module")
def start():
    """Starts a function in a process that has everything imported; what still runs is killed in the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["higgs_runtime.speech", "higgs_runtime.takes", "helpers_takes_processes"])
    running = []

    def begin(function, *args):
        running.append(context.Process(target=function, args=args))
        running[-1].start()
        return running[-1]

    yield begin
    for process in running:
        process.kill()


def noted(log) -> Counter:
    return Counter(log.read_text().split()) if log.exists() else Counter()


def check_whole(store):
    """Every file is the take of its name; nothing is there twice, nothing was damaged."""
    stored = [one.key for one in store.list()]
    assert len(stored) == len(set(stored)) and not (store.folder / "broken").exists()
    for key in stored:
        assert same(store.peek(key), rendered(key)) and store.peek(key).meta["line"] == key
    return set(stored)


# ---- the claims -------------------------------------------------------------------------------------------------


def test_killed_at_any_moment_all_files_are_whole(start, tmp_path):
    store, log, chance = TakeStore(tmp_path / "takes", None), tmp_path / "log", random.Random(1)
    for moment in range(20):
        process = start(put_for_ever, store.folder, log, moment)
        before = time.time()
        while len(noted(log)) == moment and time.time() < before + 60:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.15))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        check_whole(store)
        assert same(store.put(KEYS[moment], rendered(KEYS[moment])), rendered(KEYS[moment])), "it is usable at once"
    stored = check_whole(store)
    assert len(stored) > 20
    unfinished = [*store.folder.glob("*/.*.part")]
    store.prune(10**9, grace_s=0)
    assert all(file.exists() for file in unfinished), "for all it knows they are being written"
    for file in unfinished:
        os.utime(file, (1, 1))
    store.prune(10**9)
    assert not list(store.folder.glob("*/.*.part")) and check_whole(store) == stored


def test_a_killed_render_goes_on_and_renders_no_line_again(start, tmp_path):
    """20 kills in 200 lines; a line is noted when it is stored, and none is noted twice."""
    store, log, chance = TakeStore(tmp_path / "takes"), tmp_path / "log", random.Random(2)
    for moment in range(20):
        process, before = start(render_script, store.folder, log, moment, 0.002), sum(noted(log).values())
        began = time.time()
        while sum(noted(log).values()) == before and process.is_alive() and time.time() < began + 60:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.04))
        process.kill()
        process.join()
    assert check_whole(store) < set(KEYS), "it was killed before the end"
    process = start(render_script, store.folder, log, 99, 0.0)
    process.join(60)
    assert process.exitcode == 0 and check_whole(store) == set(KEYS)
    assert max(noted(log).values()) == 1 and LINES - 20 <= len(noted(log)) <= LINES


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_work(start, tmp_path, processes):
    store, log = TakeStore(tmp_path / "takes"), tmp_path / "log"
    workers = [start(render_script, store.folder, log, number, 0.003) for number in range(processes)]
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * processes
    assert check_whole(store) == set(KEYS) and noted(log) == Counter(KEYS), "each line once"
    assert not list(store.folder.glob("*/*.claim"))


def test_a_claim_of_a_killed_process_is_free(start, tmp_path):
    store, log = TakeStore(tmp_path / "takes"), tmp_path / "log"
    process, began = start(render_script, store.folder, log, 0, 600.0), time.time()
    first = KEYS[:]
    random.Random(0).shuffle(first)
    while not list(store.folder.glob("*/*.claim")) and time.time() < began + 60:
        time.sleep(0.01)
    time.sleep(0.2)
    with store.claim(first[-1]) as mine:
        assert not mine, "somebody renders it"
    process.kill()
    with store.claim(first[-1], wait_s=10) as mine:
        assert mine and first[-1] not in store


def test_a_process_that_waits_gets_the_take(start, tmp_path):
    store, log = TakeStore(tmp_path / "takes"), tmp_path / "log"
    first = KEYS[:]
    random.Random(0).shuffle(first)
    process, began = start(render_script, store.folder, log, 0, 0.5), time.time()
    while not list(store.folder.glob("*/*.claim")) and time.time() < began + 60:
        time.sleep(0.01)
    with store.claim(first[-1], wait_s=30) as mine:
        assert not mine
    assert same(store.get(first[-1]), rendered(first[-1]))
    process.kill()


def test_all_at_once_for_seconds(start, tmp_path):
    """Four processes store, read, note, lock and prune far beyond the budget."""
    store, log = TakeStore(tmp_path / "takes"), tmp_path / "log"
    workers = [start(use_all_of_it, store.folder, log, number, time.time() + 4) for number in range(4)]
    for worker in workers:
        worker.join(120)
    assert noted(log) == {"done": 4} and [worker.exitcode for worker in workers] == [0] * 4
    check_whole(store)
    store.put(KEYS[0], rendered(KEYS[0]))
    assert path_of(store, KEYS[0]).exists()
