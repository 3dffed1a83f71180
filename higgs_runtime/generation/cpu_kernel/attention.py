"""Attention of the compiled step: each row's new position enters the cache and sees what the row has there.

The queries that share a key/value head go through its cache together. Softmax is in powers of two: log2(e) goes into
the queries with the scale.

Letters in shapes: P rows with those that fill up the last four, Q query heads, G key/value heads, N = Q / G, D of a
head, C positions of the cache, T of them in use.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.np.numpy_support import carray

from .team import pointer, share
from .tiles import FOUR, four_by_one, one_by_one, two_by_four
from .vectors import FAST, LANES
from .weighing import WIDE, add_one, add_one_wide, add_two_wide, powers_of_two

BLOCK = 32  # positions whose values stay in the nearest cache while all queries and parts of D go over them


@njit(fastmath=FAST)
def norm(x, weight, eps, out):
    """Root mean square norm of one row."""
    square = np.float32(0)
    for i in range(len(weight)):
        square += x[i] * x[i]
    scale = np.float32(1 / math.sqrt(square / len(weight) + eps))
    for i in range(len(weight)):
        out[i] = x[i] * scale * weight[i]


@njit(fastmath=FAST)
def _rotate(x, turn, out):
    """x [D] rotated by turn [2, D], as `rope.rotate` does it."""
    half = len(x) // 2
    for i in range(half):
        low, high = x[i], x[half + i]
        out[i] = low * turn[0, i] + high * turn[1, i]
        out[half + i] = high * turn[0, half + i] + low * turn[1, half + i]


@njit(fastmath=FAST)
def _score(queries, keys, total, tile, scores):
    """scores [N, >= T] = queries [N, D] keys^T; keys [T, D] by their address."""
    count, size = queries.shape
    row, first = 4 * size, queries.ctypes.data
    for t in range(0, total - FOUR + 1, FOUR):
        key = keys + row * t
        for one in range(0, count - 1, 2):
            two_by_four(first + row * one, row, 0, 0, 0, key, row, size, tile.ctypes.data)
            scores[one, t : t + FOUR], scores[one + 1, t : t + FOUR] = tile[:FOUR], tile[FOUR:]
        if count % 2:
            four_by_one(key, row, 0, 0, 0, first + row * (count - 1), 0, size, scores[count - 1, t:].ctypes.data)
    for t in range(total // FOUR * FOUR, total):
        for one in range(count):
            one_by_one(keys + row * t, 0, 0, 0, 0, first + row * one, 0, size, scores[one, t:].ctypes.data)


@njit(fastmath=FAST)
def _weigh(weights, values, total, out):
    """out [N, D] = weights [N, >= T] values; values [T, D] by their address."""
    count, size = out.shape
    row, apart = 4 * size, 4 * weights.shape[1]
    out[:] = 0
    for start in range(0, total, BLOCK):
        some, ahead = min(BLOCK, total - start), row * BLOCK
        for i in range(0, size - WIDE * LANES + 1, WIDE * LANES):
            at = values + row * start + 4 * i
            for one in range(0, count, 2):
                weight, to = weights[one, start:].ctypes.data, out[one, i:].ctypes.data
                if one + 1 < count:
                    add_two_wide(at, row, weight, apart, some, to, row, ahead)
                else:
                    add_one_wide(at, row, weight, apart, some, to, row, ahead)
        for i in range(size // (WIDE * LANES) * WIDE * LANES, size, LANES):
            for one in range(count):
                weight, to = weights[one, start:].ctypes.data, out[one, i:].ctypes.data
                add_one(values + row * start + 4 * i, row, weight, apart, some, to, row, ahead)


@njit(fastmath=FAST)
def _attend(queries, keys, values, total, tile, scores, out):
    """out [N, D] of queries [N, D] that see all of T = `total` keys and values [T, D], which are addresses.

    The queries are scaled; scores [N, >= T, a multiple of 8] is room.
    """
    _score(queries, keys, total, tile, scores)
    for one in range(len(queries)):
        largest = np.float32(-np.inf)
        for t in range(total):
            largest = max(largest, scores[one, t])
        powers_of_two(scores[one].ctypes.data, (total + LANES - 1) // LANES * LANES, largest)
    _weigh(scores, values, total, out)
    for one in range(len(queries)):
        whole = np.float32(0)
        for t in range(total):
            whole += scores[one, t]
        for i in range(out.shape[1]):
            out[one, i] /= whole


@njit(fastmath=FAST)
def attention(eps, head_norms, fresh, keys, values, rope, positions, out, thread, threads):
    """What is new [P, Q + 2 G, D] goes into the cache [rows, G, C, D] and attends to it: out [P, Q D].

    `head_norms` are the addresses of the norms of queries and keys, 0 where there are none.
    """
    kv, d = keys.shape[1], keys.shape[3]
    heads = fresh.shape[1] - 2 * kv
    group, scale = heads // kv, np.float32(1 / (math.sqrt(d) * math.log(2)))
    queries, tile = np.empty((group, d), np.float32), np.empty(2 * FOUR, np.float32)
    scores = np.empty((group, (positions.max() // LANES + 1) * LANES), np.float32)
    for unit in share(len(positions) * kv, thread, threads):
        row, head = unit // kv, unit % kv
        position, own_keys, own_values = positions[row], keys[row, head], values[row, head]
        key = fresh[row, heads + head]
        if head_norms[1]:
            norm(key, carray(pointer(head_norms[1]), d, np.float32), eps, key)
        _rotate(key, rope[position], own_keys[position])
        own_values[position] = fresh[row, heads + kv + head]
        for one in range(group):
            query = fresh[row, head * group + one]
            if head_norms[0]:
                norm(query, carray(pointer(head_norms[0]), d, np.float32), eps, query)
            _rotate(query, rope[position], queries[one])
            for i in range(d):
                queries[one, i] *= scale
        _attend(
            queries,
            own_keys.ctypes.data,
            own_values.ctypes.data,
            position + 1,
            tile,
            scores,
            out[row].reshape(-1, d)[head * group : (head + 1) * group],
        )
