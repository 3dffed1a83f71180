"""What processes do that share a folder of takes; here, so that they can import it."""

from __future__ import annotations

import os
import random
import time

from helpers_takes import key_of, same, some_take

from higgs_runtime import TakeStore
from higgs_runtime.takes import take_files

LINES = 200
KEYS = [key_of(number % 256, number) for number in range(LINES)]


def rendered(key: str):
    """Its take, as every process renders it."""
    return some_take(seed=int(key[:2], 16) + int(key.rpartition("-")[2]), line=key)


def note(log, key):
    """Whole lines, whoever else writes."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{key}\n".encode())
    os.close(file)


class SlowFile:
    """A disk that is caught in the middle of a file."""

    def __init__(self, *how):
        self.file = open(*how, buffering=0)
        self.flush, self.fileno = self.file.flush, self.file.fileno

    def write(self, data):
        for start in range(0, len(data), len(data) // 3):
            self.file.write(data[start : start + len(data) // 3])
            time.sleep(0.001)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def put_for_ever(folder, log, seed):
    take_files.open = SlowFile
    note(log, seed)
    store, chance = TakeStore(folder, None), random.Random(seed)
    while True:
        key = chance.choice(KEYS)
        store.put(key, rendered(key))
        if chance.random() < 0.3:
            store.update_meta(key, note="x" * chance.randrange(100_000))


def render_script(folder, log, seed, seconds):
    """All lines, in an order of its own, each with a claim."""
    store, waiting = TakeStore(folder), KEYS[:]
    random.Random(seed).shuffle(waiting)
    while waiting:
        key = waiting.pop()
        if store.get(key) is not None:
            continue
        with store.claim(key) as mine:
            if mine:
                time.sleep(seconds)
                store.put(key, rendered(key))
                note(log, key)
            else:
                waiting.insert(0, key)  # another renders it: look again later


def use_all_of_it(folder, log, seed, until):
    store, chance = TakeStore(folder, 30_000), random.Random(seed)
    while time.time() < until:
        key = chance.choice(KEYS)
        store.put(key, rendered(key))
        take = store.get(chance.choice(KEYS))
        assert take is None or same(take, rendered(take.meta["line"]))
        if chance.random() < 0.2 and key in store:
            store.lock_take(key)
            store.unlock_take(key)
        if chance.random() < 0.1:
            store.prune(chance.randrange(60_000), grace_s=0)
    note(log, "done")
