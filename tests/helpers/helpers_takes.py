"""Stores, keys and takes for tests."""

from __future__ import annotations

import os
import time

import pytest
import torch
from helpers_checkpoint import random_codes

from higgs_runtime import HiggsWarning
from higgs_runtime.takes import Take

LINE = "0123456789abcdef" * 4


def key_of(number: int, seed: int = 0) -> str:
    return f"{number:02x}{LINE[2:]}-{seed}"


def some_take(seed: int = 0, frames: int = 20, **meta) -> Take:
    return Take(random_codes(frames, seed=seed, codec="0123456789abcdef"), "stop", seed, 0.5, meta)


def same(a: Take, b: Take) -> bool:
    codes = torch.equal(a.codes.ids, b.codes.ids) and a.codes.ids.dtype == b.codes.ids.dtype
    about = [
        (one.codes.frame_rate, one.codes.codebook_size, one.codes.codec, one.finish_reason, one.seed, one.seconds)
        for one in (a, b)
    ]
    return codes and about[0] == about[1]


def files_in(store) -> list[str]:
    """Names of all files but locks."""
    return sorted(file.name for file in store.folder.rglob("*") if file.is_file() and file.name != ".write")


def path_of(store, key):
    [path] = store.folder.glob(f"*/{key}.safetensors")
    return path


def age(store, key, seconds):
    then = time.time() - seconds
    os.utime(path_of(store, key), (then, then))


def line_of(number: int) -> str:
    return key_of(number).partition("-")[0]


def is_missing_until_put_again(store, key: str, take: Take) -> None:
    """What a damaged take is."""
    with pytest.warns(HiggsWarning, match="damaged"):
        assert store.get(key) is None
    with pytest.warns(HiggsWarning, match="damaged"):
        store.put(key, take)
    assert same(store.get(key), take)
