"""Arithmetic on channels as LLVM code, for one channel or a vector of them, and the snake in it.

Numba's own loops over channels are vectors too, but not those that read and write dozens of rows at once.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba.core import cgutils, types

from ...intrinsics import intrinsic

LANES = 16  # channels of a vector
F32, I64 = ir.FloatType(), ir.IntType(64)
FLAGS = ("contract", "nsz")
ONE_OVER_PI = 0.3183098861837907
# π in three parts, of which the first two have so few bits that products with whole numbers to 2^12 are exact.
PI = 3.140625, 9.67502593994140625e-4, 1.509957990978376e-7
# sin r = r + r³ (S3 + r² (S5 + …)) for |r| <= π/2, to 1e-8 (minimax).
SINE = -1.6666665458e-1, 8.3333067596e-3, -1.9840283925e-4, 2.7261e-6


class Channels:
    """Arithmetic in LLVM code on float32: one number, or LANES of them."""

    def __init__(self, builder, lanes: int):
        self._builder, self._kind = builder, ir.VectorType(F32, lanes) if lanes > 1 else F32
        self._lanes = lanes

    def load(self, place, row, apart):
        address = self._builder.add(place, self._builder.mul(ir.Constant(I64, row), apart))
        value = self._builder.load(self._builder.inttoptr(address, self._kind.as_pointer()))
        value.align = 4
        return value

    def store(self, value, place, row, apart) -> None:
        address = self._builder.add(place, self._builder.mul(ir.Constant(I64, row), apart))
        self._builder.store(value, self._builder.inttoptr(address, self._kind.as_pointer())).align = 4

    def constant(self, value: float):
        return ir.Constant(self._kind, [value] * self._lanes if self._lanes > 1 else value)

    def add(self, a, b):
        return self._builder.fadd(a, b, flags=FLAGS)

    def sub(self, a, b):
        return self._builder.fsub(a, b, flags=FLAGS)

    def mul(self, a, b):
        return self._builder.fmul(a, self.constant(b) if isinstance(b, float) else b, flags=FLAGS)

    def negative(self, a):
        return self._builder.fneg(a)

    def turned(self, z, angle: float):
        """A complex number times exp(i angle)."""
        (re, im), c, s = z, math.cos(angle), math.sin(angle)
        return self.sub(self.mul(re, c), self.mul(im, s)), self.add(self.mul(im, c), self.mul(re, s))

    def both(self, a, b):
        """a + b and a - b of complex numbers."""
        return tuple(map(self.add, a, b)), tuple(map(self.sub, a, b))

    def snake(self, x, alpha, inverse):
        """x + sin²(αx)/α: the square has the period π, so that no quadrant need be told from another."""
        z = self.mul(x, alpha)
        kind, name = ir.FunctionType(self._kind, [self._kind]), f"v{self._lanes}f32" if self._lanes > 1 else "f32"
        nearest = cgutils.get_or_insert_function(self._builder.module, kind, f"llvm.rint.{name}")
        turns = self._builder.call(nearest, [self.mul(z, ONE_OVER_PI)])
        for part in PI:
            z = self.sub(z, self.mul(turns, part))
        square, series = self.mul(z, z), self.constant(SINE[-1])
        for factor in SINE[-2::-1]:
            series = self.add(self.mul(square, series), self.constant(factor))
        sine = self.add(z, self.mul(self.mul(z, square), series))
        return self.add(x, self.mul(self.mul(sine, sine), inverse))


def of_four(lanes: int, code):
    """A function of four addresses and distances in bytes, each an integer, for compiled loops.

    Args:
        code: (Channels, the four) -> None, writes it.
    """

    @intrinsic
    def function(context, a, b, c, d):
        return _written(lanes, code, 4)

    return function


def of_seven(lanes: int, code):
    """The same of seven."""

    @intrinsic
    def function(context, a, b, c, d, e, f, g):
        return _written(lanes, code, 7)

    return function


def _written(lanes: int, code, count: int):
    def write(context, builder, signature, args):
        code(Channels(builder, lanes), *args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * count), write


def _snake(v: Channels, x, alpha, inverse, out) -> None:
    none = ir.Constant(I64, 0)
    v.store(v.snake(*(v.load(place, 0, none) for place in (x, alpha, inverse))), out, 0, none)


snake_lanes, snake_one = of_four(LANES, _snake), of_four(1, _snake)
