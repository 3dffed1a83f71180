"""What the compiled step is made of: memory by its address, threads that wait for each other, tiles of products,
weighted sums and powers of two.

Everything here is an intrinsic: a Python function that writes LLVM code into the function that calls it.

Letters in shapes: I features in, T positions.
"""

from __future__ import annotations

import math
import sys

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# The order of a sum may change, which lets it be vectorized; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "arcp", "nsz"}
FOUR = 4  # rows of x in a wide tile, rows of weights in a slim one
WIDE = 4  # vectors of a wide sum of positions
LANES = 8  # numbers that a sum runs over side by side; I is a multiple of it
AHEAD = 8  # rows of weights that are fetched while others are multiplied: rows are too short for a processor to guess
LINE = 16  # numbers that are fetched at once
TAYLOR = [math.log(2) ** k / math.factorial(k) for k in range(8)]  # of 2^x; wrong by 5e-9 where |x| <= 1/2
SPINS = 2000  # looks at a counter before the core is offered to others
_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
_I64, _I32, _BYTE, _F32 = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.FloatType()
_TO_READ = 0, 3, 1  # llvm.prefetch: for reading, into the nearest cache, data
_VECTOR, _INTEGERS = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES)


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
            a = [_row(builder, first, apart, r) for r in range(rows)]
            b = [_row(builder, x, stride, c) for c in range(columns)]
            sums = _loop(builder, a, b, size)
            for n in range(0, len(sums), FOUR):
                some = sums[n : n + FOUR]
                value = _across(builder, (some * FOUR)[:FOUR])
                _store(builder, _pick(builder, value, value, range(len(some))), _on(builder, out, n))
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp, types.intp, types.intp), code

    return tile


def _loop(builder, a, b, size):
    """Sums of the products of each row in a with each in b, of LANES numbers each; weights to come are fetched."""
    ahead = builder.mul(size, _number(4 * AHEAD))
    before, body, after = builder.block, builder.append_basic_block("tile"), builder.append_basic_block("tile.end")
    builder.branch(body)
    builder.position_at_end(body)
    at = builder.phi(_I64)
    at.add_incoming(_number(0), before)
    sums = [builder.phi(_VECTOR) for _ in range(len(a) * len(b))]
    offset = builder.mul(at, _number(4))
    xs = [_load(builder, builder.add(row, offset)) for row in b]
    grown = []
    for r, row in enumerate(a):
        place = builder.add(row, offset)
        weight = _load(builder, place)
        _fetch(builder, builder.add(place, ahead))
        for c, one in enumerate(xs):
            grown.append(_add_product(builder, sums[r * len(b) + c], weight, one))
    for value, new in zip(sums, grown, strict=True):
        value.add_incoming(_all(0.0), before)
        value.add_incoming(new, body)
    following = builder.add(at, _number(LANES))
    at.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, size), body, after)
    builder.position_at_end(after)
    return grown


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
            to = [_row(builder, out, between, row) for row in range(rows)]
            places = [_on(builder, row, LANES * v) for row in to for v in range(vectors)]
            sums = [cgutils.alloca_once_value(builder, _load(builder, place)) for place in places]
            with cgutils.for_range(builder, count, intp=_I64) as loop:
                at = builder.add(values, builder.mul(stride, loop.index))
                found = [_load(builder, _on(builder, at, LANES * v)) for v in range(vectors)]
                for v in range(0, vectors, LINE // LANES):
                    _fetch(builder, _on(builder, builder.add(at, ahead), LANES * v))
                for row in range(rows):
                    place = builder.add(_row(builder, weights, apart, row), builder.mul(loop.index, _number(4)))
                    weight = _spread(builder, builder.load(builder.inttoptr(place, _F32.as_pointer())))
                    for total, value in zip(sums[row * vectors : (row + 1) * vectors], found, strict=True):
                        builder.store(_add_product(builder, builder.load(total), weight, value), total)
            for total, place in zip(sums, places, strict=True):
                _store(builder, builder.load(total), place)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), code

    return weighted


@intrinsic
def powers_of_two(typingctx, at, count, largest):
    """2^(x - largest) in place of `count` float32 x, a multiple of LANES, by their address; none is above `largest`.

    What would be below 2^-126 becomes that; NaN stays NaN.
    """

    def code(context, builder, signature, args):
        at, count, largest = args
        largest = _spread(builder, largest)
        with cgutils.for_range(builder, builder.sdiv(count, _number(LANES)), intp=_I64) as loop:
            place = builder.add(at, builder.mul(loop.index, _number(4 * LANES)))
            x = builder.fsub(_load(builder, place), largest)
            x = builder.select(builder.fcmp_ordered("<", x, _all(-126.0)), _all(-126.0), x)
            nearest = _call(builder, "llvm.rint.v{0}f32", _VECTOR, x)
            rest = builder.fsub(x, nearest)
            power = _all(TAYLOR[-1])
            for factor in TAYLOR[-2::-1]:
                power = _add_product(builder, _all(factor), power, rest)
            # .sat: of NaN it makes some number, where a plain conversion would be undefined
            exponent = _call(builder, "llvm.fptosi.sat.v{0}i32.v{0}f32", _INTEGERS, nearest)
            bits = builder.shl(builder.add(exponent, _all(127, _INTEGERS)), _all(23, _INTEGERS))
            whole = builder.bitcast(bits, _VECTOR)
            _store(builder, builder.fmul(power, whole), place)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.float32), code


def _number(value: int):
    return ir.Constant(_I64, value)


def _all(value, kind=None):
    return ir.Constant(kind or _VECTOR, [value] * LANES)


def _row(builder, base, apart, row: int):
    """The address of a row; rows are `apart` bytes apart."""
    return builder.add(base, builder.mul(apart, _number(row)))


def _on(builder, base, numbers: int):
    """The address so many float32 further on."""
    return builder.add(base, _number(4 * numbers))


def _load(builder, place):
    value = builder.load(builder.inttoptr(place, _VECTOR.as_pointer()))
    value.align = 4
    return value


def _store(builder, value, place):
    builder.store(value, builder.inttoptr(place, value.type.as_pointer())).align = 4


def _spread(builder, value):
    """A vector of one number."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(_I32, 0))
    return _pick(builder, one, one, [0] * LANES)


def _fetch(builder, place):
    kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _I32, _I32, _I32])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE.as_pointer()], kind)
    flags = (ir.Constant(_I32, flag) for flag in _TO_READ)
    builder.call(prefetch, [builder.inttoptr(place, _BYTE.as_pointer()), *flags])


def _call(builder, name: str, result, value):
    """LLVM's own function of a vector; its name says how long that is."""
    kind = ir.FunctionType(result, [value.type])
    function = cgutils.get_or_insert_function(builder.module, kind, name.format(LANES))
    return builder.call(function, [value])


def _add_product(builder, total, a, b):
    """Contract: multiply and add become one operation where the processor has it."""
    return builder.fadd(total, builder.fmul(a, b, flags=("contract",)), flags=("contract",))


def _across(builder, vectors):
    """The sums of four vectors' numbers: neighbours are added until each vector is one number."""
    even, odd = (0, 2, 8, 10, 4, 6, 12, 14), (1, 3, 9, 11, 5, 7, 13, 15)  # as processors pair two vectors
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.fadd(_pick(builder, a, b, even), _pick(builder, a, b, odd)) for a, b in pairs]
    low, high = (_pick(builder, vectors[0], vectors[0], range(start, start + FOUR)) for start in (0, FOUR))
    return builder.fadd(low, high)


def _pick(builder, a, b, which):
    """A vector of numbers of two others."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(which)), list(which)))


two_by_four = _tile(2, FOUR)
four_by_one = _tile(FOUR, 1)
one_by_one = _tile(1, 1)
add_two_wide = _weighted(2, WIDE)
add_one_wide = _weighted(1, WIDE)
add_one = _weighted(1, 1)
