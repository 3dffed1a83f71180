"""What attention does with its scores: powers of two, and sums of the values that they weigh.

Letters in shapes: T positions.
"""

from __future__ import annotations

from numba import types
from numba.core import cgutils

from ...intrinsics import intrinsic
from .vectors import (
    I64,
    LANES,
    LINE,
    add_product,
    after,
    fetch,
    load,
    load_one,
    number,
    power_of_two,
    row_at,
    spread,
    store,
)

WIDE = 4  # vectors of a wide sum of positions


@intrinsic
def powers_of_two(typingctx, at, count, largest):
    """2^(x - largest) in place of `count` float32 x, a multiple of LANES, by their address; none is above `largest`."""

    def code(context, builder, signature, args):
        at, count, largest = args
        largest = spread(builder, largest)
        with cgutils.for_range(builder, builder.sdiv(count, number(LANES)), intp=I64) as loop:
            place = row_at(builder, at, 4 * LANES, loop.index)
            store(builder, power_of_two(builder, builder.fsub(load(builder, place), largest)), place)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.float32), code


def _weighted(rows: int, vectors: int):
    """The function that adds weighted positions to `rows` rows of `vectors` * LANES numbers.

    Positions are added in their order whatever the shape is.
    """

    @intrinsic
    def weighted(typingctx, values, stride, weights, apart, count, out, between, ahead):
        """out [rows, vectors * LANES] += weights [rows, T] values [T, vectors * LANES].

        Args:
            values, weights, out: addresses of float32.
            stride, apart, between: bytes from one row to the next: of the values, the weights and out.
            count: T.
            ahead: bytes from a value to the one that is fetched meanwhile.
        """

        def code(context, builder, signature, args):
            values, stride, weights, apart, count, out, between, ahead = args
            to = [row_at(builder, out, between, row) for row in range(rows)]
            places = [after(builder, row, LANES * v) for row in to for v in range(vectors)]
            sums = [cgutils.alloca_once_value(builder, load(builder, place)) for place in places]
            with cgutils.for_range(builder, count, intp=I64) as loop:
                at = row_at(builder, values, stride, loop.index)
                found = [load(builder, after(builder, at, LANES * v)) for v in range(vectors)]
                for v in range(0, vectors, LINE // (4 * LANES)):
                    fetch(builder, after(builder, builder.add(at, ahead), LANES * v))
                for row in range(rows):
                    place = row_at(builder, row_at(builder, weights, apart, row), 4, loop.index)
                    weight = spread(builder, load_one(builder, place))
                    for total, value in zip(sums[row * vectors : (row + 1) * vectors], found, strict=True):
                        builder.store(add_product(builder, builder.load(total), weight, value), total)
            for total, place in zip(sums, places, strict=True):
                store(builder, builder.load(total), place)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), code

    return weighted


add_two_wide = _weighted(2, WIDE)
add_one_wide = _weighted(1, WIDE)
add_one = _weighted(1, 1)
