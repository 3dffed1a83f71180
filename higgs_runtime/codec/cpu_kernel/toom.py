"""A convolution of seven taps with half of its products, after Toom (1963) and Cook (1966); Winograd (1980).

Four outputs of four taps are, as polynomials, a product of degree 6: seven points stand for it in place of sixteen
products. Seven taps are two such groups, and the second one reads the points of the next tile, so that 14 products
make 4 outputs in place of 28. The points 0, 1, -1, 2, -2, 1/2 and infinity keep rounding at about four times that of
the plain sum.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

TILE, TAPS = 4, 7
POINTS = (0, 1, -1, 2, -2, Fraction(1, 2))  # and infinity
INTO = np.array(
    [
        [4, -8, -5, 10, 1, -2, 0],
        [0, -4, 4, 9, -1, -2, 0],
        [0, -4, 12, -7, -3, 2, 0],
        [0, 2, -3, -4, 3, 2, 0],
        [0, 2, -5, 0, 5, -2, 0],
        [0, 4, 0, -5, 0, 1, 0],
        [0, -4, 8, 5, -10, -1, 2],
    ]
)
SCALES = (4, 6, 18, 72, 120, Fraction(45, 32), 2)  # what the rows of INTO are too large by
OUT_OF = np.array([[p**power for p in POINTS] + [int(power == TILE - 1)] for power in range(TILE)])
FOR_TAPS = np.array(
    [[Fraction(p**power) / scale for power in range(TILE)] for p, scale in zip(POINTS, SCALES[:-1], strict=True)]
    + [[Fraction(0)] * (TILE - 1) + [1 / Fraction(SCALES[-1])]]
)


def points_of_taps(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight [C', C, 7] -> [2, 7 points, C, C']: of its first four taps, and of the others."""
    padded = torch.nn.functional.pad(weight.double(), (0, 2 * TILE - TAPS)).unflatten(-1, (2, TILE))
    matrix = torch.from_numpy(FOR_TAPS.astype(float))
    return torch.einsum("pk,oigk->gpio", matrix, padded).float().contiguous()
