"""The loops of the decoder between its products of matrices, compiled by Numba.

Everything lies channels last, so that the innermost loop runs over channels: [rows, C]. Rows before the first and
behind the last sample are zeros, as a convolution's padding has them.

Letters in shapes: C channels, T samples, d dilation, N tiles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit

from ...kept import named_for

_here = named_for(__name__, Path(__file__))
EXACT = {"contract", "nsz"}  # the order of the reduction below is its accuracy
SUMS = {"reassoc", "contract", "nsz"}
ONE_OVER_PI = np.float32(0.3183098861837907)
# π in three parts, of which the first two have so few bits that products with whole numbers to 2^12 are exact.
PI_1, PI_2, PI_3 = np.float32(3.140625), np.float32(9.67502593994140625e-4), np.float32(1.509957990978376e-7)
# sin r = r + r³ (S3 + r² (S5 + …)) for |r| <= π/2, to 1e-8 (minimax).
S3, S5 = np.float32(-1.6666665458e-1), np.float32(8.3333067596e-3)
S7, S9 = np.float32(-1.9840283925e-4), np.float32(2.7261e-6)


@njit(fastmath=EXACT, inline="always")
def _snake(x, alpha, inverse):
    """x + sin²(αx)/α: the square has the period π, so that no quadrant need be told from another."""
    z = alpha * x
    turns = np.rint(z * ONE_OVER_PI)
    r = ((z - turns * PI_1) - turns * PI_2) - turns * PI_3
    q = r * r
    sine = r + r * q * (S3 + q * (S5 + q * (S7 + q * S9)))
    return x + sine * sine * inverse


@njit(fastmath=EXACT, nogil=True, cache=True)
@_here
def snake_rows(x, first, alpha, inverse, out):
    """out [n, C] = snake of x [T, C] from row `first` on; zeros where x has no row."""
    rows, channels = out.shape
    for row in range(rows):
        at = first + row
        if at < 0 or at >= x.shape[0]:
            for c in range(channels):
                out[row, c] = np.float32(0)
        else:
            for c in range(channels):
                out[row, c] = _snake(x[at, c], alpha[c], inverse[c])


@njit(fastmath=EXACT, nogil=True, cache=True)
@_here
def snake_pairs(x, alpha, inverse, out):
    """out [T + 1, 2 C]: in each row the snake of the row of x before it, and of its own."""
    rows, channels = x.shape
    for c in range(channels):
        out[0, c] = np.float32(0)
        out[rows, channels + c] = np.float32(0)
    for row in range(rows):
        for c in range(channels):
            value = _snake(x[row, c], alpha[c], inverse[c])
            out[row + 1, c] = value
            out[row, channels + c] = value


@njit(fastmath=EXACT, nogil=True, cache=True)
@_here
def points_of(x, dilation, out):
    """Seven rows that are `dilation` apart as seven points: x [(4 N/d + 3) d, C] -> out [7, N, C].

    Tile n = b d + f begins at row 4 d b + f. The matrix is `toom.INTO`.
    """
    tiles, channels = out.shape[1], out.shape[2]
    two, three, four, five = np.float32(2), np.float32(3), np.float32(4), np.float32(5)
    seven, eight, nine, ten, twelve = np.float32(7), np.float32(8), np.float32(9), np.float32(10), np.float32(12)
    for n in range(tiles):
        a = 4 * dilation * (n // dilation) + n % dilation
        for c in range(channels):
            x0, x1, x2, x3 = x[a, c], x[a + dilation, c], x[a + 2 * dilation, c], x[a + 3 * dilation, c]
            x4, x5, x6 = x[a + 4 * dilation, c], x[a + 5 * dilation, c], x[a + 6 * dilation, c]
            out[0, n, c] = four * x0 - eight * x1 - five * x2 + ten * x3 + x4 - two * x5
            out[1, n, c] = nine * x3 - four * (x1 - x2) - x4 - two * x5
            out[2, n, c] = twelve * x2 - four * x1 - seven * x3 - three * x4 + two * x5
            out[3, n, c] = two * (x1 + x5) - three * (x2 - x4) - four * x3
            out[4, n, c] = two * (x1 - x5) - five * (x2 - x4)
            out[5, n, c] = four * x1 - five * x3 + x5
            out[6, n, c] = eight * x2 - four * x1 + five * x3 - ten * x4 - x5 + two * x6


@njit(fastmath=EXACT, nogil=True, cache=True)
@_here
def rows_of(points, dilation, bias, alpha, inverse, out):
    """The snake of what seven points stand for: [7, N, C] -> out [4 N, C], by the matrix `toom.OUT_OF`."""
    tiles, channels = points.shape[1], points.shape[2]
    two, four, eight = np.float32(2), np.float32(4), np.float32(8)
    half, quarter, eighth = np.float32(0.5), np.float32(0.25), np.float32(0.125)
    for n in range(tiles):
        a = 4 * dilation * (n // dilation) + n % dilation
        for c in range(channels):
            m0, m1, m2, m3 = points[0, n, c], points[1, n, c], points[2, n, c], points[3, n, c]
            m4, m5, m6 = points[4, n, c], points[5, n, c], points[6, n, c]
            even, odd, wide, far = m1 + m2, m1 - m2, m3 + m4, m3 - m4
            y0 = m0 + even + wide + m5 + bias[c]
            y1 = odd + two * far + half * m5 + bias[c]
            y2 = even + four * wide + quarter * m5 + bias[c]
            y3 = odd + eight * far + eighth * m5 + m6 + bias[c]
            out[a, c] = _snake(y0, alpha[c], inverse[c])
            out[a + dilation, c] = _snake(y1, alpha[c], inverse[c])
            out[a + 2 * dilation, c] = _snake(y2, alpha[c], inverse[c])
            out[a + 3 * dilation, c] = _snake(y3, alpha[c], inverse[c])


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
