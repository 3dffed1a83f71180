"""The loops between the products of matrices, compiled by Numba.

Everything lies channels last, so that the innermost loop runs over channels: [rows, C]. Rows before the first and
behind the last sample are zeros, as a convolution's padding has them.

Letters in shapes: C channels, T samples, d dilation, N tiles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit

from ...kept import named_for
from .circle import TILE, into_lanes, into_one, out_of_lanes, out_of_one
from .lanes import LANES, snake_lanes, snake_one

_here = named_for(__name__, *(Path(__file__).with_name(f"{name}.py") for name in ("kernels", "circle", "lanes")))
EXACT = {"contract", "nsz"}  # the order of the reduction below is its accuracy
SUMS = {"reassoc", "contract", "nsz"}


@njit(nogil=True, cache=True)
@_here
def snake_rows(x, first, alpha, inverse, out):
    """out [n, C] = snake of x [T, C] from row `first` on; zeros where x has no row."""
    rows, channels = out.shape
    whole, at_alpha, at_inverse = channels - channels % LANES, alpha.ctypes.data, inverse.ctypes.data
    for row in range(rows):
        at = first + row
        if at < 0 or at >= x.shape[0]:
            for c in range(channels):
                out[row, c] = np.float32(0)
        else:
            place, made = x.ctypes.data + at * x.strides[0], out.ctypes.data + row * out.strides[0]
            for c in range(0, whole, LANES):
                snake_lanes(place + 4 * c, at_alpha + 4 * c, at_inverse + 4 * c, made + 4 * c)
            for c in range(whole, channels):
                snake_one(place + 4 * c, at_alpha + 4 * c, at_inverse + 4 * c, made + 4 * c)


@njit(fastmath=EXACT, nogil=True, cache=True)
@_here
def pair_points_of(x, out):
    """Tiles of four rows, of which the next begins with the last, as four points: x [3 N + 1, C or more] ->
    out [4, N, C]: 0, infinity, 1, -1; see `units.TwoTaps`."""
    tiles, channels = out.shape[1], out.shape[2]
    for n in range(tiles):
        for c in range(channels):
            x0, x1, x2, x3 = x[3 * n, c], x[3 * n + 1, c], x[3 * n + 2, c], x[3 * n + 3, c]
            out[0, n, c] = x0 - x2
            out[1, n, c] = x3 - x1
            out[2, n, c] = x1 + x2
            out[3, n, c] = x2 - x1


@njit(fastmath=EXACT, nogil=True, cache=True)
@_here
def pair_rows_of(points, bias, out):
    """What four points stand for: [4, N, C] -> out [3 N or one or two less, C]."""
    rows, channels = out.shape
    for n in range(points.shape[1]):
        first = 3 * n
        if first + 2 < rows:
            for c in range(channels):
                whole, half = points[2, n, c] + bias[c], points[3, n, c]
                out[first, c] = whole + half + points[0, n, c]
                out[first + 1, c] = whole - half
                out[first + 2, c] = whole + half + points[1, n, c]
        else:
            for c in range(channels):
                out[first, c] = points[2, n, c] + bias[c] + points[3, n, c] + points[0, n, c]
            if first + 1 < rows:
                for c in range(channels):
                    out[first + 1, c] = points[2, n, c] + bias[c] - points[3, n, c]


@njit(nogil=True, cache=True)
@_here
def points_of(x, dilation, out):
    """Tiles of rows that are `dilation` apart as points: x [(12 N/d + 6) d, C] -> out [25, N, C].

    Tile n = b d + f begins at row 12 d b + f.
    """
    tiles, channels = out.shape[1], out.shape[2]
    whole, apart, made_apart = channels - channels % LANES, dilation * x.strides[0], out.strides[0]
    for n in range(tiles):
        place = x.ctypes.data + (TILE * dilation * (n // dilation) + n % dilation) * x.strides[0]
        made = out.ctypes.data + n * out.strides[1]
        for c in range(0, whole, LANES):
            into_lanes(place + 4 * c, apart, made + 4 * c, made_apart)
        for c in range(whole, channels):
            into_one(place + 4 * c, apart, made + 4 * c, made_apart)


@njit(nogil=True, cache=True)
@_here
def rows_of(points, dilation, bias, alpha, inverse, out):
    """The snake of what points stand for: [25, N, C] -> out [12 N, C]."""
    tiles, channels = points.shape[1], points.shape[2]
    whole, apart, made_apart = channels - channels % LANES, points.strides[0], dilation * out.strides[0]
    at_bias, at_alpha, at_inverse = bias.ctypes.data, alpha.ctypes.data, inverse.ctypes.data
    for n in range(tiles):
        place = points.ctypes.data + n * points.strides[1]
        made = out.ctypes.data + (TILE * dilation * (n // dilation) + n % dilation) * out.strides[0]
        for c in range(0, whole, LANES):
            b = 4 * c
            out_of_lanes(place + b, apart, at_bias + b, at_alpha + b, at_inverse + b, made + b, made_apart)
        for c in range(whole, channels):
            b = 4 * c
            out_of_one(place + b, apart, at_bias + b, at_alpha + b, at_inverse + b, made + b, made_apart)


@njit(fastmath=SUMS, nogil=True, cache=True)
@_here
def last_row_sums(x, weight, bias, out):
    """A convolution to one channel: x [n + taps - 1, C], weight [taps C] -> out [n]."""
    flat, channels = x.reshape(-1), x.shape[1]
    for row in range(len(out)):
        total, at = np.float32(0), row * channels
        for one in range(len(weight)):
            total += flat[at + one] * weight[one]
        out[row] = total + bias
