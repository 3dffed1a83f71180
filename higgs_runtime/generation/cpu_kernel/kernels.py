"""One step of the language model as a single compiled function, run by a team of threads.

Torch starts some twenty operations a layer, each of which costs more than the arithmetic of a small model, and its
threads wait for each other after every one. Here the threads of a team go through all layers together, meet five times
a layer, and read the weights with all cores. Each row is computed by the same sums in any batch and by any number of
threads.

Compiled by Numba (Lam et al. 2015). The mathematics is that of `model/transformer.py`.

Letters in shapes: B rows, P rows with those that fill up the last four, L layers, H hidden, I inner, Q query heads, G
key/value heads, D of a head, C positions of the cache, K codebooks, V ids, W rows of history.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numba import njit
from numba.np.numpy_support import carray

from ...kept import named_for
from .attention import attention, norm
from .draws import draw
from .team import meet, pointer, share
from .tiles import FOLDED, FOUR, GROUP, ready, slim, wide
from .vectors import FAST

_FOLDER = Path(__file__).parent
MEETINGS_A_LAYER, MEETINGS_AT_THE_END = 5, 2


@njit(fastmath=FAST)
def _matrix(matrix, x, room, out, add, thread, threads, tile):
    """out [P, O] = x [P, I] W^T, or added to it; a matrix as `places` takes it. Each thread has features of its own."""
    rows, size = x.shape
    at, stride = ready(matrix[1], x, room)
    for block in share(out.shape[1] // FOUR, thread, threads):
        first = block * FOUR
        if rows == 1:
            slim(matrix, first, at, size, tile.ctypes.data)
            for j in range(FOUR):
                out[0, first + j] = (out[0, first + j] if add else np.float32(0)) + tile[j]
        else:
            for one in range(first, first + FOUR, 2):
                for row in range(0, rows, FOUR):
                    wide(matrix, one, one + 1, at + stride * row, stride, size, tile.ctypes.data)
                    for j in range(2 * FOUR):
                        here, feature = row + j % FOUR, one + j // FOUR
                        out[here, feature] = (out[here, feature] if add else np.float32(0)) + tile[j]


@njit(fastmath=FAST)
def _silu(x):
    return x / (np.float32(1) + np.float32(math.exp(-x)))


@njit(fastmath=FAST)
def _gated(matrix, x, room, out, thread, threads, tile):
    """out [P, I] = silu(x gate^T) * (x up^T); the matrix [2 I, H] is gate, then up."""
    (rows, size), inner = x.shape, out.shape[1]
    at, stride = ready(matrix[1], x, room)
    for block in share(inner // FOUR, thread, threads):
        first = block * FOUR
        if rows == 1:
            slim(matrix, first, at, size, tile.ctypes.data)
            slim(matrix, inner + first, at, size, tile[FOUR:].ctypes.data)
            for j in range(FOUR):
                out[0, first + j] = _silu(tile[j]) * tile[FOUR + j]
        else:
            for one in range(first, first + FOUR):
                for row in range(0, rows, FOUR):
                    wide(matrix, one, inner + one, at + stride * row, stride, size, tile.ctypes.data)
                    for j in range(FOUR):
                        out[row + j, one] = _silu(tile[j]) * tile[FOUR + j]


@njit(fastmath=FAST)
def _norms(x, weight, eps, out):
    for row in range(len(x)):
        norm(x[row], carray(pointer(weight), x.shape[1], np.float32), eps, out[row])


@njit(nogil=True, cache=True, fastmath=FAST)
@named_for(__name__, *sorted(_FOLDER.glob("*.py")), _FOLDER.parent / "sampling.py")
def step(
    eps,
    forms,
    layers,
    ends,
    cache,
    stored,
    rope,
    x,
    positions,
    logits,
    between,
    draws,
    found,
    counter,
    start,
    thread,
    threads,
):
    """The part of one thread in a step of all rows.

    Args:
        eps: of the norms.
        forms: bits of a weight in the layers' matrices: 32 (float32), 16 (bfloat16), 8 or 4; bytes of a scale there;
            and bits of a weight in the audio heads: 32 or 16.
        layers: int64 [L, 25], addresses of each layer's two norms, of q norm and k norm (0: none), all float32, then of
            weights and scales (0: none), and the features, of q, k, v, o, gate, up and down.
        ends: int64 [4], the address of the last norm, then as above of the audio heads.
        cache: int64 [2], addresses of keys and values; `stored` is their shape, (L, rows, G, C, D).
        rope: float32 [C, 2, D].
        x: float32 [P, H], the embeddings; used up.
        positions: int64 [B], where each row writes.
        logits: float32 [P, K V], a result.
        between: float32 [P, (Q + 2 G) D], [P, Q D] and [P, I], what the threads hand to each other.
        draws: as `draw` takes them.
        found: int64 [B, K] and float32 [B, K], results: ids, and NaN where logits were not finite.
        counter: int64 [1], how often a thread has met the others; `start` is what it was before the step.
    """
    (fresh, attended, inner), place, stop = between, counter.ctypes.data, start
    heads = fresh.reshape(len(x), fresh.shape[1] // stored[4], stored[4])
    tile, normed = np.empty(2 * FOUR, np.float32), np.empty_like(x)
    widest = max(x.shape[1], attended.shape[1], inner.shape[1])
    bits, scale_bytes, head_bits = forms
    room = np.empty(len(x) * widest // GROUP * FOLDED if bits == 4 else 0, np.float32)
    keys, values = carray(pointer(cache[0]), stored, np.float32), carray(pointer(cache[1]), stored, np.float32)
    for layer in range(len(layers)):
        at = layers[layer]
        _norms(x, at[0], eps, normed)
        _matrix((at[4:13].reshape(3, 3), bits, scale_bytes), normed, room, fresh, False, thread, threads, tile)
        stop += threads
        meet(place, stop)
        attention(eps, at[2:4], heads, keys[layer], values[layer], rope, positions, attended, thread, threads)
        stop += threads
        meet(place, stop)
        _matrix((at[13:16].reshape(1, 3), bits, scale_bytes), attended, room, x, True, thread, threads, tile)
        stop += threads
        meet(place, stop)
        _norms(x, at[1], eps, normed)
        _gated((at[16:22].reshape(2, 3), bits, scale_bytes), normed, room, inner, thread, threads, tile)
        stop += threads
        meet(place, stop)
        _matrix((at[22:25].reshape(1, 3), bits, scale_bytes), inner, room, x, True, thread, threads, tile)
        stop += threads
        meet(place, stop)
    _norms(x, ends[0], eps, normed)
    _matrix((ends[1:4].reshape(1, 3), head_bits, scale_bytes), normed, room, logits, False, thread, threads, tile)
    stop += threads
    meet(place, stop)
    draw(logits, draws, found, thread, threads)
    stop += threads
    meet(place, stop)
