"""Vectors of float32 in LLVM code, as intrinsics write it.

Addresses are integers; numbers, unless something else is said, float32.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba.core import cgutils

# The order of a sum may change, which lets it be vectorized; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "arcp", "nsz"}
LANES = 8  # numbers of a vector
LINE = 64  # bytes that are fetched at once
I64, I32, I16, I8, F32 = ir.IntType(64), ir.IntType(32), ir.IntType(16), ir.IntType(8), ir.FloatType()
VECTOR, INTEGERS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)
_TO_READ = 0, 3, 1  # llvm.prefetch: for reading, into the nearest cache, data


def number(value: int):
    return ir.Constant(I64, value)


def every(value, kind=VECTOR):
    """A vector of one constant."""
    return ir.Constant(kind, [value] * LANES)


def spread(builder, value):
    """A vector of one number."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.Constant(I32, 0))
    return pick(builder, one, one, [0] * LANES)


def row_at(builder, base, apart, row):
    """The address of a row, of rows that are `apart` bytes apart; either may be an int that is known by now."""
    apart, row = (number(value) if isinstance(value, int) else value for value in (apart, row))
    return builder.add(base, builder.mul(apart, row))


def after(builder, base, count: int, size: int = 4):
    """The address `count` numbers further on, of `size` bytes each."""
    return builder.add(base, number(size * count))


def load(builder, place, kind=VECTOR):
    value = builder.load(builder.inttoptr(place, kind.as_pointer()))
    value.align = 1 if kind is not VECTOR else 4
    return value


def load_one(builder, place):
    return builder.load(builder.inttoptr(place, F32.as_pointer()))


def load_scale(builder, place, size):
    """A float32 of 4 bytes, or a bfloat16, its upper half, of 2: without a branch, and nothing beyond it is read."""

    def half(at):
        return builder.zext(builder.load(builder.inttoptr(at, I16.as_pointer())), I32)

    upper = builder.shl(half(builder.sub(builder.add(place, size), number(2))), ir.Constant(I32, 16))
    whole = builder.icmp_signed("==", size, number(4))
    lower = builder.select(whole, half(place), ir.Constant(I32, 0))
    return builder.bitcast(builder.or_(upper, lower), F32)


def store(builder, value, place):
    builder.store(value, builder.inttoptr(place, value.type.as_pointer())).align = 4


def fetch(builder, place):
    """Ask for memory that is read later."""
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [I8.as_pointer()], kind)
    builder.call(prefetch, [builder.inttoptr(place, I8.as_pointer()), *(ir.Constant(I32, flag) for flag in _TO_READ)])


def add_product(builder, total, a, b):
    """Contract: multiply and add become one operation where the processor has it."""
    return builder.fadd(total, builder.fmul(a, b, flags=("contract",)), flags=("contract",))


def pick(builder, a, b, which):
    """A vector of numbers of two others."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(which)), list(which)))


def across(builder, vectors):
    """The sums of four vectors' numbers: neighbours are added until each vector is one number."""
    even, odd = (0, 2, 8, 10, 4, 6, 12, 14), (1, 3, 9, 11, 5, 7, 13, 15)  # as processors pair two vectors
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.fadd(pick(builder, a, b, even), pick(builder, a, b, odd)) for a, b in pairs]
    low, high = (pick(builder, vectors[0], vectors[0], range(start, start + 4)) for start in (0, 4))
    return builder.fadd(low, high)


def power_of_two(builder, x):
    """2^x of a vector without numbers above 0; what would be below 2^-126 becomes that, NaN stays NaN."""
    x = builder.select(builder.fcmp_ordered("<", x, every(-126.0)), every(-126.0), x)
    nearest = _call(builder, "llvm.rint.v{0}f32", VECTOR, x)
    rest = builder.fsub(x, nearest)
    power = every(_TAYLOR[-1])
    for factor in _TAYLOR[-2::-1]:
        power = add_product(builder, every(factor), power, rest)
    # .sat: of NaN it makes some number, where a plain conversion would be undefined
    exponent = _call(builder, "llvm.fptosi.sat.v{0}i32.v{0}f32", INTEGERS, nearest)
    bits = builder.shl(builder.add(exponent, every(127, INTEGERS)), every(23, INTEGERS))
    return builder.fmul(power, builder.bitcast(bits, VECTOR))


_TAYLOR = [math.log(2) ** k / math.factorial(k) for k in range(8)]  # of 2^x; wrong by 5e-9 where |x| <= 1/2


def _call(builder, name: str, result, value):
    """LLVM's own function of a vector; its name says how long that is."""
    kind = ir.FunctionType(result, [value.type])
    function = cgutils.get_or_insert_function(builder.module, kind, name.format(LANES))
    return builder.call(function, [value])
