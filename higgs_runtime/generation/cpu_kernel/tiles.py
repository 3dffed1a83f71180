"""Products of matrices and rows in tiles: a few rows of weights by a few rows of x.

Weights are float32 or bfloat16, or in 8 or 4 bits as `model/quantization.py` packs them; they are widened to float32
in registers. Every product is summed up in the same order whatever the shape of its tile is, so that a row's numbers do
not depend on its company, and those of bfloat16 weights are those of the same weights in float32.

Letters in shapes: I features in, O features out, P rows of x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from ...intrinsics import intrinsic
from .vectors import (
    FAST,
    I8,
    I16,
    I64,
    INTEGERS,
    LANES,
    LINE,
    VECTOR,
    across,
    add_product,
    after,
    every,
    fetch,
    load,
    load_scale,
    number,
    pick,
    row_at,
    spread,
    store,
)

FOUR = 4  # rows of x in a wide tile, rows of weights in a slim one
GROUP = 8 * LANES  # weights of a row that share a scale, in 4 bits; I is a multiple of it in all but float32
FOLDED = GROUP + LANES  # numbers of x for a group of weights in 4 bits
AHEAD = 8  # rows of weights that are fetched while others are multiplied: rows are too short for a processor to guess


class _Form(NamedTuple):
    """How weights are stored, and multiplied some at a time.

    Args:
        weights: of a row at a time, for which `bytes` of it and `numbers` of x are read.
        read: of the builder and an address, what `vector` takes.
        vector: of the builder, that, and n: the weights that the n-th vector of x is multiplied with.
        scales: none, one for a row or one for a group.
    """

    weights: int
    bytes: int
    numbers: int
    read: Callable
    vector: Callable
    scales: str = ""


def _bfloat16(builder, place, n: int):
    """The upper halves of float32."""
    halves = load(builder, after(builder, place, LANES * n, 2), ir.VectorType(I16, LANES))
    return builder.bitcast(builder.shl(builder.zext(halves, INTEGERS), every(16, INTEGERS)), VECTOR)


def _int8(builder, place, n: int):
    integers = load(builder, after(builder, place, LANES * n, 1), ir.VectorType(I8, LANES))
    return builder.sitofp(builder.sext(integers, INTEGERS), VECTOR)


def _int4(builder, eights, n: int):
    """The n-th of the eight weights in each integer, 16^n times too large but for the last, which `fold` knows."""
    if n == LANES - 1:
        return builder.sitofp(builder.lshr(eights, every(4 * n, INTEGERS)), VECTOR)
    return builder.sitofp(builder.and_(eights, every(15 << 4 * n, INTEGERS)), VECTOR)


_FORMS = {
    32: _Form(LANES, 4 * LANES, LANES, lambda builder, place: place, lambda builder, place, n: load(builder, place)),
    16: _Form(LINE // 2, LINE, LINE // 2, lambda builder, place: place, _bfloat16),
    8: _Form(GROUP, GROUP, GROUP, lambda builder, place: place, _int8, "row"),
    4: _Form(GROUP, GROUP // 2, FOLDED, lambda builder, place: load(builder, place, INTEGERS), _int4, "group"),
}


class _Scales(NamedTuple):
    """Those of some rows of weights: where each row's begin, and the bytes of one."""

    places: list
    bytes: ir.Value

    def of(self, builder, row: int, index=None):
        """A vector of one of them: of the row, or of a group of it."""
        place = self.places[row]
        place = place if index is None else row_at(builder, place, self.bytes, index)
        return spread(builder, load_scale(builder, place, self.bytes))


def _tile(bits: int, rows: int, columns: int):
    """The function that multiplies `rows` rows of weights of so many bits with `columns` rows of x."""
    form = _FORMS[bits]

    @intrinsic
    def tile(typingctx, weights, apart, scales, between, scale_bytes, x, stride, size, out):
        """Products of rows of I numbers, as out [rows, columns].

        Args:
            weights, scales, x, out: addresses.
            apart, between, stride: bytes from one row of the weights, of the scales, and of x, to the next.
            scale_bytes: of a scale: 4 (float32) or 2 (bfloat16).
            size: I.
        """

        def code(context, builder, signature, args):
            weights, apart, scales, between, scale_bytes, x, stride, size, out = args
            a = [row_at(builder, weights, apart, r) for r in range(rows)]
            scales = _Scales([row_at(builder, scales, between, r) for r in range(rows)], scale_bytes)
            sums = _sums(form, builder, a, scales, [row_at(builder, x, stride, c) for c in range(columns)], size)
            for n in range(0, len(sums), FOUR):
                some = sums[n : n + FOUR]
                together = across(builder, (some * FOUR)[:FOUR])
                store(builder, pick(builder, together, together, range(len(some))), after(builder, out, n))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 9), code

    return tile


def _sums(form: _Form, builder, a, scales: _Scales, b, size) -> list:
    """Vectors whose sums are the products of each row in a with each in b; weights to come are fetched."""
    totals = [cgutils.alloca_once_value(builder, every(0.0)) for _ in range(len(a) * len(b))]
    count = builder.sdiv(size, number(form.weights))
    with cgutils.for_range(builder, count, intp=I64) as loop:
        read = []
        for row in a:
            place = row_at(builder, row, form.bytes, loop.index)
            fetch(builder, row_at(builder, place, form.bytes * AHEAD, count))
            read.append(form.read(builder, place))
        xs = [row_at(builder, row, 4 * form.numbers, loop.index) for row in b]
        if form.scales == "group":
            grown = [load(builder, after(builder, x, GROUP)) for _ in a for x in xs]
        else:
            grown = [builder.load(total) for total in totals]
        for n in range(form.weights // LANES):
            vectors = [load(builder, after(builder, x, LANES * n)) for x in xs]
            for r, one in enumerate(read):
                weight = form.vector(builder, one, n)
                for c, x in enumerate(vectors):
                    place = r * len(b) + c
                    grown[place] = add_product(builder, grown[place], weight, x)
        for n, (total, value) in enumerate(zip(totals, grown, strict=True)):
            if form.scales == "group":
                scale = scales.of(builder, n // len(b), loop.index)
                value = add_product(builder, builder.load(total), scale, value)
            builder.store(value, total)
    sums = [builder.load(total) for total in totals]
    if form.scales == "row":
        sums = [builder.fmul(value, scales.of(builder, n // len(b))) for n, value in enumerate(sums)]
    return sums


four_by_one, two_by_four, one_by_one = _tile(32, FOUR, 1), _tile(32, 2, FOUR), _tile(32, 1, 1)
_four_by_one_bfloat16, _two_by_four_bfloat16 = _tile(16, FOUR, 1), _tile(16, 2, FOUR)
_four_by_one_int8, _two_by_four_int8 = _tile(8, FOUR, 1), _tile(8, 2, FOUR)
_four_by_one_int4, _two_by_four_int4 = _tile(4, FOUR, 1), _tile(4, 2, FOUR)


@njit(fastmath=FAST)
def places(matrix, feature, size):
    """Where a feature's weights begin, bytes from a row to the next, and the same of the scales.

    Args:
        matrix: int64 [parts, 3] of what lies below each other or apart: addresses of weights [O, I] and their scales,
            and O; then the bits of a weight, and the bytes of a scale.
        feature: counted through the parts.
    """
    parts, bits, scale_bytes = matrix
    part = 0
    while feature >= parts[part, 2]:
        feature -= parts[part, 2]
        part += 1
    row, scaled = size * bits // 8, scale_bytes * (size // GROUP) if bits == 4 else scale_bytes
    return parts[part, 0] + row * feature, row, parts[part, 1] + scaled * feature, scaled


@njit(fastmath=FAST)
def slim(matrix, feature, x, size, out):
    """Four features, from `feature` on, of one row; they are of one part.

    Args:
        matrix: as `places` takes it.
        x: address of the row, as `ready` gives it.
        size: I.
        out: address of four numbers.
    """
    at, row, scale, scaled = places(matrix, feature, size)
    bits, scale_bytes = matrix[1], matrix[2]
    if bits == 16:
        _four_by_one_bfloat16(at, row, 0, 0, 0, x, 0, size, out)
    elif bits == 8:
        _four_by_one_int8(at, row, scale, scaled, scale_bytes, x, 0, size, out)
    elif bits == 4:
        _four_by_one_int4(at, row, scale, scaled, scale_bytes, x, 0, size, out)
    else:
        four_by_one(at, row, 0, 0, 0, x, 0, size, out)


@njit(fastmath=FAST)
def wide(matrix, feature, other, x, stride, size, out):
    """Two features, `feature` and `other`, of four rows of x that are `stride` bytes apart: out [2, 4]."""
    at, _, scale, _ = places(matrix, feature, size)
    apart, _, between, _ = places(matrix, other, size)
    apart, between, bits, scale_bytes = apart - at, between - scale, matrix[1], matrix[2]
    if bits == 16:
        _two_by_four_bfloat16(at, apart, 0, 0, 0, x, stride, size, out)
    elif bits == 8:
        _two_by_four_int8(at, apart, scale, between, scale_bytes, x, stride, size, out)
    elif bits == 4:
        _two_by_four_int4(at, apart, scale, between, scale_bytes, x, stride, size, out)
    else:
        two_by_four(at, apart, 0, 0, 0, x, stride, size, out)


@njit(fastmath=FAST)
def ready(bits, x, room):
    """The address of x [P, I] as tiles of weights of so many bits take it, and bytes from a row to the next.

    Args:
        room: float32 [at least P I 72 / 64], for weights of 4 bits.
    """
    if bits != 4:
        return x.ctypes.data, 4 * x.shape[1]
    groups = x.shape[1] // GROUP
    folded = room[: len(x) * groups * FOLDED].reshape(len(x), groups, FOLDED)
    for row in range(len(x)):
        for group in range(groups):
            _fold(x[row, group * GROUP : (group + 1) * GROUP], folded[row, group])
    return room.ctypes.data, 4 * groups * FOLDED


@njit(fastmath=FAST)
def _fold(x, out):
    """64 numbers as 4-bit weights meet them, eight to an integer; then what the weights' zero, 8, takes off."""
    for lane in range(LANES):
        whole = np.float32(0)
        for n in range(LANES):
            value = x[LANES * lane + n]
            whole += value
            out[LANES * n + lane] = value if n == LANES - 1 else value / np.float32(1 << 4 * n)
        out[GROUP + lane] = np.float32(-8) * whole
