"""Drawing the next ids inside the compiled step: what `sampling.sample` does, without a tensor operation.

Letters in shapes: B rows, P rows with those that fill up the last four, K codebooks, V ids, W rows of history.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..sampling import BELOW_ONE
from .team import share
from .vectors import FAST


@njit(fastmath=FAST)
def draw(logits, draws, found, thread, threads):
    """The part of one thread: ids int64 [B, K], and float32 [B, K] that is NaN where a logit was not finite.

    Args:
        logits: float32 [P, K V].
        draws: values of `Sampling` for each row [B] (temperature, top_p: float32; top_k, ras_window, ras_max_repeats:
            int64; temperature 0 takes the most likely id, top_k V keeps all); the number of entries, ids from where on
            do not count as repetitions; history int64 [W, B, K]; uniform float32 [2, B, K], for the first draw and for
            drawing again.
        found: where both results go.
    """
    ids, broken = found
    codebooks = ids.shape[1]
    size = logits.shape[1] // codebooks
    scratch = np.empty((2, size), np.float32)
    for unit in share(len(ids) * codebooks, thread, threads):
        row, codebook = unit // codebooks, unit % codebooks
        own = logits[row, codebook * size : (codebook + 1) * size]
        whole = np.float32(0)
        for one in own:
            whole += one
        broken[row, codebook] = whole - whole  # NaN of NaN and of infinity
        ids[row, codebook] = _one(own, scratch, draws, row, codebook)


@njit(fastmath=FAST)
def _one(logits, scratch, draws, row, codebook):
    temperature, top_p, top_k, window, max_repeats, entries, history, uniform = draws
    scaled, best = scratch
    if temperature[row] == 0:
        return np.argmax(logits)
    for i in range(len(logits)):
        scaled[i] = logits[i] / temperature[row]
    found = _pick(scaled, _least(scaled, top_k[row], top_p[row], best), uniform[0, row, codebook])
    repeats = 0
    for back in range(1, window[row] + 1):
        repeats += history[len(history) - back, row, codebook] == found
    if found < entries and window[row] > 0 and repeats >= max_repeats[row]:
        found = _pick(logits, np.float32(-np.inf), uniform[1, row, codebook])
    return found


@njit(fastmath=FAST)
def _least(logits, top_k, top_p, best):
    """The least of the logits [V] that stay; best has room for V."""
    if top_k >= len(logits) and top_p >= 1:
        return np.float32(-np.inf)
    count = 0
    for one in logits:  # into those found so far, in falling order: Numba's own sort takes 14 s to compile
        if count < top_k or best[count - 1] < one:
            count = min(count + 1, top_k)
            at = count - 1
            while at > 0 and best[at - 1] < one:
                best[at] = best[at - 1]
                at -= 1
            best[at] = one
    if top_p >= 1:
        return best[count - 1]
    whole = 0.0
    for one in best[:count]:
        whole += math.exp(one - best[0])
    before, kept = 0.0, 0
    while kept < count and before < top_p * whole:  # what the more likely ones reach together
        before += math.exp(best[kept] - best[0])
        kept += 1
    return best[max(kept, 1) - 1]


@njit(fastmath=FAST)
def _pick(logits, least, uniform):
    """The id in whose part of the distribution of those that stay a number from 0 to 1 falls."""
    largest, last, whole = logits.max(), len(logits) - 1, 0.0
    for one in logits:
        if one >= least:
            whole += math.exp(one - largest)
    wanted, reached = min(uniform, np.float32(BELOW_ONE)) * whole, 0.0
    for i in range(len(logits)):
        if logits[i] >= least:
            reached += math.exp(logits[i] - largest)
            if reached > wanted:
                return i
            last = i
    return last
