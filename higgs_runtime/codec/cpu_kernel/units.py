"""What the encoder and the decoder of DAC have in common on a CPU: pieces of the time axis, and the residual unit.

Letters in shapes: C channels, T samples of a layer, N tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from ...cores import torch_threads
from ..dac_layers import SNAKE_EPSILON, ResidualUnit, Snake
from . import kernels
from .circle import INPUTS, POINTS, TAPS, TILE, points_of_taps

PIECE = 65_536  # numbers of a layer that a piece has, about: what is made of them fits a core's cache
LIVE_COPIES = 3  # of a layer that live at once
LIVE_PIECES = 6  # numbers of a piece that live at once, as a multiple of it
ROWS = 1024  # of a piece at least: the weights are read once for each
REACH = TAPS // 2
PAIR_TILE = 3
MOST_WEIGHTS = 3_000_000  # of one tap
WIDEST = 512  # channels of a residual unit whose taps are kept as points, which take 25/7 of the memory


class TimeAxis:
    """Pieces of the time axis, by some threads; where they are cut does not follow how many."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int):
        self._pool, self._threads = pool, threads

    @classmethod
    @contextmanager
    def of(cls, threads: int) -> Iterator[TimeAxis]:
        """While the with-block runs, torch's operations are by the thread that calls them alone."""
        # what one thread makes in inference mode no other may fill
        with torch.inference_mode(False), torch.no_grad(), torch_threads(1), ThreadPoolExecutor(threads) as pool:
            yield cls(pool, threads)

    def each(self, rows: int, length: int, work: Callable[[int, int], object], step: int = 1) -> None:
        """work(start, stop) of all pieces of about `length` rows, a multiple of `step` but for the last one."""
        count = -(-rows // length)
        count += count % 2 if count > 1 else 0  # two threads have as much to do
        length = -(-rows // (count * step)) * step
        cuts = [(start, min(rows, start + length)) for start in range(0, rows, length)]
        if self._threads == 1 or len(cuts) == 1:
            for start, stop in cuts:
                work(start, stop)
            return
        for _ in self._pool.map(lambda cut: work(*cut), cuts):
            pass

    @staticmethod
    def bytes(threads: int) -> int:
        """About what the pieces take that so many threads have in hand, beside the layers' own activations."""
        return 4 * LIVE_PIECES * PIECE * threads


class Alpha:
    """α of a Snake, and 1/α as it computes it."""

    def __init__(self, snake: Snake):
        alpha = of(snake.alpha).flatten()
        self.pair = alpha.contiguous().numpy(), (alpha + SNAKE_EPSILON).reciprocal().numpy()


class TwoTaps:
    """A convolution of two taps, as products of matrices: x [T + 1, K] -> x[:-1] first + x[1:] second + bias, [T, M].

    Four products make three outputs in place of six: two of them are sum and difference around a circle of two, one
    more on each side puts right what came around it (see `circle`). Very wide ones are left as they are: their weights
    would take more memory than there is time to save.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor):
        self._bias, self._plain = bias.contiguous(), first.numel() > MOST_WEIGHTS
        together = (first, second) if self._plain else (first, second, (first + second) / 2, (first - second) / 2)
        self._weight = torch.stack(together).contiguous()

    @staticmethod
    def rows(rows: int) -> int:
        """Of x, for so many outputs; those behind the last that they depend on are zeros, or anything finite."""
        return -(-rows // PAIR_TILE) * PAIR_TILE + 1

    def __call__(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """x [`rows(T)`, at least K] -> out [T, M]. Of wider rows of x the first K numbers are taken."""
        rows, width = len(out), self._weight.shape[1]
        if self._plain:
            torch.addmm(self._bias, x[:rows, :width], self._weight[0], out=out)
            out.addmm_(x[1 : rows + 1, :width], self._weight[1])
            return
        points = torch.empty(4, len(x) // PAIR_TILE, width)
        kernels.pair_points_of(x.numpy(), points.numpy())
        kernels.pair_rows_of(torch.bmm(points, self._weight).numpy(), self._bias.numpy(), out.numpy())


class PreparedUnit:
    """[T, C] -> [T, C]: a residual unit.

    Raises:
        ValueError: of another shape than the codec's.
    """

    def __init__(self, unit: ResidualUnit):
        if unit.conv1.kernel_size != (TAPS,) or unit.conv1.padding != (REACH * unit.conv1.dilation[0],):
            raise ValueError("another residual unit")
        self._dilation = unit.conv1.dilation[0]
        self._weight, self._bias = points_of_taps(of(unit.conv1.weight)), of(unit.conv1.bias).numpy()
        self._before, self._between = Alpha(unit.snake1), Alpha(unit.snake2)
        self._mix, self._mix_bias = of(unit.conv2.weight)[:, :, 0].t().contiguous(), of(unit.conv2.bias)

    def __call__(self, x: torch.Tensor, found: torch.Tensor, pieces: TimeAxis) -> None:
        """Writes into `found` what x becomes."""
        (rows, channels), d = x.shape, self._dilation
        source = x.numpy()

        def piece(start: int, stop: int) -> None:
            blocks = -(-(stop - start) // (TILE * d))
            tiles = blocks * d
            active = torch.empty((TILE * blocks + INPUTS - TILE) * d, channels).numpy()
            kernels.snake_rows(source, start - REACH * d, *self._before.pair, active)
            points = torch.empty(POINTS, tiles, channels)
            kernels.points_of(active, d, points.numpy())
            made = torch.bmm(points, self._weight)
            between = torch.empty(TILE * tiles, channels)
            kernels.rows_of(made.numpy(), d, self._bias, *self._between.pair, between.numpy())
            torch.add(x[start:stop], self._mix_bias, out=found[start:stop])
            found[start:stop].addmm_(between[: stop - start], self._mix)

        pieces.each(rows, max(ROWS, PIECE // channels), piece, TILE * d)


def run_units(units: list[PreparedUnit], x: torch.Tensor, pieces: TimeAxis) -> torch.Tensor:
    """One after the other; x is written over."""
    spare = torch.empty_like(x)  # memory that is new is slow to write for the first time
    for unit in units:
        unit(x, spare, pieces)
        x, spare = spare, x
    return x


def of(weight: torch.Tensor | None) -> torch.Tensor:
    """A layer's numbers without its gradients."""
    assert weight is not None  # every layer of a codec has a bias
    return weight.detach()


def taps_below_each_other(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight [C', C, taps] -> [taps C, C']."""
    return of(weight).permute(2, 1, 0).flatten(0, 1).contiguous()
