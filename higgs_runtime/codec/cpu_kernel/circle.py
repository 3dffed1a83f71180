"""A convolution of seven taps with 25 products for 12 outputs in place of 84.

Sixteen inputs on a circle: their discrete Fourier transform times that of the taps is their cyclic convolution, which
is the wanted one for ten outputs (overlap and save). For one more on each side one product puts right what came around
the circle from the other end. A complex product is three real ones (Gauss). As evaluation and interpolation of
polynomials (Toom 1963, Cook 1966, Winograd 1980) the points are 0, infinity and the sixteenth roots of one; of all
points these round the least, so that the error stays that of the plain sum.

A tile is 18 inputs that are `dilation` apart, and 12 outputs. Its points, in this order: 0, infinity, the real roots 1
and -1, and for each root w^q of COMPLEX, w = exp(2πi/16), three: of the transform's value a + bi the numbers a + b, a
and b. Of two conjugate roots one is enough.

The transforms are written as LLVM code, for one channel or for a vector of them.
"""

from __future__ import annotations

import cmath
import math

import torch
from llvmlite import ir

from .lanes import I64, LANES, Channels, of_four, of_seven

TAPS, TILE, INPUTS = 7, 12, 18
ROOTS = 16
COMPLEX = (1, 5, 9, 13, 2, 10, 4)
POINTS = 4 + 3 * len(COMPLEX)


def points_of_taps(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight [C', C, 7] -> [25 points, C, C']."""
    taps = weight.double().permute(2, 1, 0)  # [7, C, C']
    found = [taps[0], taps[TAPS - 1], taps.sum(0) / ROOTS, (taps[::2].sum(0) - taps[1::2].sum(0)) / ROOTS]
    for q in COMPLEX:
        turned = [cmath.exp(2j * math.pi * q * n / ROOTS) * 2 / ROOTS for n in range(TAPS)]
        a, b = (
            torch.einsum("k,kio->io", taps.new_tensor(part), taps)
            for part in ([w.real for w in turned], [w.imag for w in turned])
        )
        found += [a, b - a, a + b]
    return torch.stack([point.float() for point in found])


def _transform(v: Channels, d: list) -> list:
    """The points of a tile's inputs."""
    e = [d[16], *d[1:16]]
    found = [v.sub(d[0], d[16]), v.sub(d[17], d[1])]
    s, t = ([op(e[n], e[n + 8]) for n in range(8)] for op in (v.add, v.sub))
    s4, t4 = ([op(s[n], s[n + 4]) for n in range(4)] for op in (v.add, v.sub))
    even, odd = v.add(s4[0], s4[2]), v.add(s4[1], s4[3])
    found += [v.add(even, odd), v.sub(even, odd)]
    z = [
        v.turned((t[n], v.negative(t[n + 4])), -2 * math.pi * n / ROOTS) if n else (t[0], v.negative(t[4]))
        for n in range(4)
    ]
    (a, b), (c, (re, im)) = v.both(z[0], z[2]), v.both(z[1], z[3])
    x1, x9 = v.both(a, c)
    x5, x13 = v.both(b, (im, v.negative(re)))
    turned = v.turned((t4[1], v.negative(t4[3])), -2 * math.pi / 8)
    x2, x10 = v.both((t4[0], v.negative(t4[2])), turned)
    x4 = v.sub(s4[0], s4[2]), v.sub(s4[3], s4[1])
    for re, im in (x1, x5, x9, x13, x2, x10, x4):
        found += [v.add(re, im), re, im]
    return found


def _back(v: Channels, m: list, bias) -> list:
    """A tile's outputs of its points' products."""
    z = {}
    for n, q in enumerate(COMPLEX):
        one, two, three = m[4 + 3 * n : 7 + 3 * n]
        z[q] = v.sub(one, three), v.add(one, two)
    (a, b), (c, (re, im)) = v.both(z[1], z[9]), v.both(z[5], z[13])
    v0, v2 = v.both(a, c)
    v1, v3 = v.both(b, (v.negative(im), re))
    turned = [v0, *(v.turned(value, 2 * math.pi * n / ROOTS) for n, value in enumerate((v1, v2, v3), 1))]
    odd = [re for re, _ in turned] + [v.negative(im) for _, im in turned]  # of outputs n and, negated, n + 8
    u0, u1 = v.both(z[2], z[10])
    u1 = v.turned(u1, 2 * math.pi / 8)
    half = [u0[0], u1[0], v.negative(u0[1]), v.negative(u1[1])]  # of outputs n and, negated, n + 4
    real = v.add(m[2], bias)
    sums, differences = v.add(real, m[3]), v.sub(real, m[3])
    re, im = z[4]
    whole = [v.add(sums, re), v.sub(differences, im), v.sub(sums, re), v.add(differences, im)]
    even = [v.add(whole[n], half[n]) for n in range(4)] + [v.sub(whole[n], half[n]) for n in range(4)]
    found = [v.add(even[n], odd[n]) for n in range(8)] + [v.sub(even[n], odd[n]) for n in range(4)]
    found[0], found[-1] = v.add(found[0], m[0]), v.add(found[-1], m[1])
    return found


def _into(v: Channels, x, apart, out, out_apart) -> None:
    for n, value in enumerate(_transform(v, [v.load(x, row, apart) for row in range(INPUTS)])):
        v.store(value, out, n, out_apart)


def _out_of(v: Channels, points, apart, bias, alpha, inverse, out, out_apart) -> None:
    none = ir.Constant(I64, 0)
    bias, alpha, inverse = (v.load(place, 0, none) for place in (bias, alpha, inverse))
    for n, value in enumerate(_back(v, [v.load(points, row, apart) for row in range(POINTS)], bias)):
        v.store(v.snake(value, alpha, inverse), out, n, out_apart)


into_lanes, into_one = of_four(LANES, _into), of_four(1, _into)
out_of_lanes, out_of_one = of_seven(LANES, _out_of), of_seven(1, _out_of)
