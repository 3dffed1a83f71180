"""What the compiled step is made of: memory by its address, threads that wait for each other, and a tile of products.

Everything here is an intrinsic: a Python function that writes LLVM code into the function that calls it.

Letters in shapes: I features in.
"""

from __future__ import annotations

import sys

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# The order of a sum may change, which lets it be vectorized; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "arcp", "nsz"}
LANES = 8  # numbers that a sum runs over side by side; I is a multiple of it
AHEAD = 8  # rows of weights that are fetched while others are multiplied: rows are too short for a processor to guess
SPINS = 2000  # looks at a counter before the core is offered to others
_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
_I64, _I32, _BYTE, _F32 = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.FloatType()
_TO_READ = 0, 3, 1  # llvm.prefetch: for reading, into the nearest cache, data
_VECTOR = ir.VectorType(_F32, LANES)


@intrinsic
def pointer(typingctx, address):
    """An address as `numba.carray` takes it."""

    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), code


@intrinsic
def _arrive(typingctx, counter):
    """Add 1 to a counter that all threads see, given by its address."""

    def code(context, builder, signature, args):
        place = builder.inttoptr(args[0], _I64.as_pointer())
        builder.atomic_rmw("add", place, ir.Constant(_I64, 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(types.intp), code


@intrinsic
def _arrived(typingctx, counter):
    """Such a counter now."""

    def code(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(types.intp), code


@intrinsic
def _offer_core(typingctx):
    def code(context, builder, signature, args):
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), _YIELD), [])
        return context.get_dummy_value()

    return types.void(), code


@njit
def meet(counter, target):
    """Wait until a counter (its address) has reached its target: each thread of a team adds 1 as it comes."""
    _arrive(counter)
    spins = 0
    while _arrived(counter) < target:
        spins += 1
        if spins > SPINS:
            _offer_core()


@njit
def share(count, thread, threads):
    """The numbers below `count` that one thread of a team takes."""
    return range(count * thread // threads, count * (thread + 1) // threads)


def _tile(rows: int, columns: int):
    """The function that multiplies `rows` rows of weights with `columns` rows of x.

    Every product is summed up in the same order whatever the shape of the tile is, so that numbers do not depend on it.
    """

    @intrinsic
    def tile(typingctx, weights, apart, x, stride, size, out):
        """Products of rows of I numbers, as out [rows, columns].

        Args:
            weights, x, out: addresses of float32.
            apart, stride: bytes from one row of the weights, and of x, to the next.
            size: I.
        """

        def code(context, builder, signature, args):
            first, apart, x, stride, size, out = args
            a = [builder.add(first, builder.mul(apart, ir.Constant(_I64, r))) for r in range(rows)]
            b = [builder.add(x, builder.mul(stride, ir.Constant(_I64, c))) for c in range(columns)]
            sums = _loop(builder, a, b, size)
            for n, value in enumerate(sums):
                place = builder.add(out, ir.Constant(_I64, 4 * n))
                builder.store(_across(builder, value), builder.inttoptr(place, _F32.as_pointer()))
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp, types.intp, types.intp), code

    return tile


def _loop(builder, a, b, size):
    """Sums of the products of each row in a with each in b, of LANES numbers each; weights to come are fetched."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _I32, _I32, _I32])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE.as_pointer()], kind)
    ahead = builder.mul(size, ir.Constant(_I64, 4 * AHEAD))
    before, body, after = builder.block, builder.append_basic_block("tile"), builder.append_basic_block("tile.end")
    builder.branch(body)
    builder.position_at_end(body)
    at = builder.phi(_I64)
    at.add_incoming(ir.Constant(_I64, 0), before)
    sums = [builder.phi(_VECTOR) for _ in range(len(a) * len(b))]
    offset = builder.mul(at, ir.Constant(_I64, 4))

    def load(row):
        value = builder.load(builder.inttoptr(builder.add(row, offset), _VECTOR.as_pointer()))
        value.align = 4
        return value

    def fetch(row):
        place = builder.inttoptr(builder.add(builder.add(row, offset), ahead), _BYTE.as_pointer())
        builder.call(prefetch, [place, *(ir.Constant(_I32, flag) for flag in _TO_READ)])

    xs = [load(row) for row in b]
    grown = []
    for r, row in enumerate(a):
        weight = load(row)
        fetch(row)
        for c, one in enumerate(xs):
            # contract: multiply and add become one operation where the processor has it
            product = builder.fmul(weight, one, flags=("contract",))
            grown.append(builder.fadd(sums[r * len(b) + c], product, flags=("contract",)))
    for value, new in zip(sums, grown, strict=True):
        value.add_incoming(ir.Constant(_VECTOR, [0.0] * LANES), before)
        value.add_incoming(new, body)
    following = builder.add(at, ir.Constant(_I64, LANES))
    at.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, size), body, after)
    builder.position_at_end(after)
    return grown


def _across(builder, value):
    """The sum of a vector's numbers: halves upon each other until one is left."""
    width = LANES
    while width > 1:
        width //= 2
        halves = [builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined),
                                         ir.Constant(ir.VectorType(_I32, width), list(range(start, start + width))))
                  for start in (0, width)]
        value = builder.fadd(*halves)
    return builder.extract_element(value, ir.Constant(_I32, 0))


FOUR = 4  # rows of x in a wide tile, rows of weights in a slim one
two_by_four = _tile(2, FOUR)
four_by_one = _tile(FOUR, 1)
