"""The compiled attention against torch's, for every way in which heads, their size and the filled part can fall."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numba import njit
from torch.nn.functional import scaled_dot_product_attention

from higgs_runtime.generation.cpu_kernel.attention import _attend
from higgs_runtime.generation.cpu_kernel.vectors import FAST
from higgs_runtime.generation.cpu_kernel.weighing import powers_of_two

pytestmark = pytest.mark.numeric  # compiled apart from the step, and anew each time
FILLED = (1, 2, 3, 4, 5, 31, 32, 33, 64, 101, 700)


def attended(queries, keys, values, total):
    """out [N, D] of queries [N, D]; whatever lies beyond `total` positions must not matter."""
    scores = np.full((len(queries), -(-total // 8) * 8), np.nan, np.float32)
    scaled = queries / np.float32(math.log(2) * math.sqrt(queries.shape[1]))
    out = np.empty_like(queries)
    _attend(scaled, keys.ctypes.data, values.ctypes.data, total, np.empty(8, np.float32), scores, out)
    return torch.from_numpy(out)


def some(*shape, scale=1.0, seed=0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("size", [8, 32, 40, 64, 128])
@pytest.mark.parametrize("heads", [1, 2, 3, 4, 7])
def test_it_is_that_of_torch(heads, size):
    queries, keys, values = some(heads, size, scale=2), some(max(FILLED) + 1, size, seed=1), some(800, size, seed=2)
    for total in FILLED:
        keys[total] = values[total] = np.nan  # not in use
        wanted = scaled_dot_product_attention(
            *(torch.from_numpy(x).double() for x in (queries, keys[:total], values[:total]))
        )
        found = attended(queries, keys, values, total)
        assert torch.allclose(found.double(), wanted, atol=2e-6, rtol=0), total
        keys[total], values[total] = 0.5, -0.5


def test_large_scores_neither_overflow_nor_lose_the_largest():
    keys = some(50, 64, scale=30, seed=1)
    found = attended(30 * keys[7:8], keys, values := some(50, 64, seed=2), 50)
    assert np.allclose(found, values[7])


@pytest.mark.parametrize("where", ["query", "key", "value"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_come_out(where, bad):
    queries, keys, values = abs(some(2, 64)), abs(some(33, 64, seed=1)), some(33, 64, seed=2)
    {"query": queries[1:], "key": keys[20:], "value": values[20:]}[where][0, 5] = bad
    assert not torch.isfinite(attended(queries, keys, values, 33)[1]).all()


@pytest.mark.parametrize("fast", [set(), FAST], ids=["exact", "fast"])  # the flags must not take the rounding away
def test_powers_of_two(fast):
    @njit(fastmath=fast)
    def compiled(x, largest):
        powers_of_two(x.ctypes.data, len(x), largest)

    x = np.linspace(-126, 0, 8000).astype(np.float32)
    found = x + np.float32(3)
    compiled(found, np.float32(3))
    exact = 2.0 ** ((x + np.float32(3)).astype(float) - 3)
    assert np.abs(found / exact - 1).max() < 1.2e-7
    edges = np.array([np.nan, -np.inf, -1e30, -127, 0, -1, -2, -0.5], np.float32)
    compiled(edges, np.float32(0))
    assert np.isnan(edges[0]) and (edges[1:4] == 2.0**-126).all()
    assert np.allclose(edges[4:], [1, 0.5, 0.25, 0.5**0.5], rtol=1e-7)
