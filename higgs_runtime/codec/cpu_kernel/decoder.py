"""The acoustic decoder on a CPU in float32: products of matrices by torch, and compiled loops between them.

The mathematics is that of `dac_layers.AcousticDecoder`, its slow twin. What makes it quicker: rows of channels, so that
every convolution is a product of matrices; half of the products of the residual units (`toom`); the periodic
activation in one pass with what stands before or behind it; pieces of the time axis that stay in the cache, each by
one thread, so that the last bits do not follow the number of threads.

Letters in shapes: C channels, D latent width, F frames, T samples of a layer, N tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from ...cores import torch_threads
from ...kept import compiled_before
from ..dac_layers import SNAKE_EPSILON, AcousticDecoder, DecoderBlock, ResidualUnit, Snake
from . import kernels
from .toom import TAPS, TILE, points_of_taps

PIECE = 65_536  # numbers of a layer that a piece has, about: what is made of them fits a core's cache
LIVE_PIECES = 6  # numbers of a piece that live at once, as a multiple of it
ROWS = 1024  # of a piece at least: the weights are read once for each
REACH = TAPS // 2


class PreparedDecoder:
    """An AcousticDecoder whose weights were laid out for the CPU, as they were at that moment.

    Raises:
        ValueError: layers of other shapes than the codec's.
    """

    def __init__(self, decoder: AcousticDecoder):
        first, last = decoder.conv1, decoder.conv2
        if first.kernel_size != (TAPS,) or last.kernel_size != (TAPS,) or last.out_channels != 1:
            raise ValueError("other convolutions at the ends")
        self._first = _taps_below_each_other(first.weight)
        self._first_bias = _of(first.bias)
        self._blocks = [_PreparedBlock(block) for block in decoder.block if isinstance(block, DecoderBlock)]
        self._snake = _Alpha(decoder.snake1)
        self._last = _taps_below_each_other(last.weight)[:, 0].contiguous().numpy()
        self._last_bias = float(_of(last.bias)[0])

    @staticmethod
    def piece_bytes(threads: int) -> int:
        """About what the pieces take that so many threads have in hand, beside the layers' own activations."""
        return 4 * LIVE_PIECES * PIECE * threads

    def __call__(self, latents: torch.Tensor, threads: int) -> torch.Tensor:
        """Latents [F, D] -> samples [F * hop], by so many threads."""
        with torch.inference_mode(False), torch.no_grad():  # what one thread makes in that mode no other may fill
            return self._decoded(latents, threads)

    def _decoded(self, latents: torch.Tensor, threads: int) -> torch.Tensor:
        frames, width = latents.shape
        padded = torch.zeros(frames + 2 * REACH, width)
        padded[REACH:-REACH] = latents
        taps = padded.as_strided((frames, TAPS * width), (width, 1))
        with torch_threads(1), ThreadPoolExecutor(threads) as pool:
            pieces = _TimeAxis(pool, threads)
            x = torch.empty(frames, self._first.shape[1])
            pieces.each(frames, ROWS, lambda a, b: torch.addmm(self._first_bias, taps[a:b], self._first, out=x[a:b]))
            for block in self._blocks:
                x = block(x, pieces)
            return self._sound(x, pieces)

    def _sound(self, x: torch.Tensor, pieces: _TimeAxis) -> torch.Tensor:
        rows, channels = x.shape
        found, source = torch.empty(rows), x.numpy()

        def piece(start: int, stop: int) -> None:
            active = torch.empty(stop - start + 2 * REACH, channels).numpy()
            kernels.snake_rows(source, start - REACH, *self._snake.pair, active)
            kernels.last_row_sums(active, self._last, self._last_bias, found[start:stop].numpy())

        pieces.each(rows, max(ROWS, PIECE // channels), piece)
        return found


class _TimeAxis:
    """Pieces of the time axis, by some threads; where they are cut does not follow how many."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int):
        self._pool, self._threads = pool, threads

    def each(self, rows: int, length: int, work: Callable[[int, int], object]) -> None:
        """work(start, stop) of all pieces of `length` rows, and the rest."""
        cuts = [(start, min(rows, start + length)) for start in range(0, rows, length)]
        if self._threads == 1 or len(cuts) == 1:
            for start, stop in cuts:
                work(start, stop)
            return
        for _ in self._pool.map(lambda cut: work(*cut), cuts):
            pass


class _Alpha:
    """α of a Snake, and 1/α as it computes it."""

    def __init__(self, snake: Snake):
        alpha = _of(snake.alpha).flatten()
        self.pair = alpha.contiguous().numpy(), (alpha + SNAKE_EPSILON).reciprocal().numpy()


class _PreparedBlock:
    """[T, C] -> [T * stride, C/2]."""

    def __init__(self, block: DecoderBlock):
        layer = block.conv_t1
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])
        if layer.kernel_size[0] != 2 * self._stride:
            raise ValueError("another transposed convolution")
        self._snake = _Alpha(block.snake1)
        weight = _of(layer.weight).unflatten(-1, (2, self._stride))  # [C, C/2, 2, stride]
        now, before = (weight[:, :, n].transpose(1, 2).flatten(1) for n in (0, 1))
        self._weight = torch.cat([before, now]).contiguous()  # [2 C, stride * C/2]
        self._bias = _of(layer.bias).repeat(self._stride)
        self._units = [_PreparedUnit(unit) for unit in (block.res_unit1, block.res_unit2, block.res_unit3)]

    def __call__(self, x: torch.Tensor, pieces: _TimeAxis) -> torch.Tensor:
        rows, channels = x.shape
        pairs = torch.empty(rows + 1, 2 * channels)
        kernels.snake_pairs(x.numpy(), *self._snake.pair, pairs.numpy())
        made = torch.empty(rows + 1, self._weight.shape[1])
        length = max(256, PIECE // channels)
        pieces.each(rows + 1, length, lambda a, b: torch.addmm(self._bias, pairs[a:b], self._weight, out=made[a:b]))
        x = made.view(-1, channels // 2)[self._padding : self._padding + rows * self._stride]
        spare = torch.empty_like(x)  # memory that is new is slow to write for the first time
        for unit in self._units:
            unit(x, spare, pieces)
            x, spare = spare, x
        return x


class _PreparedUnit:
    """[T, C] -> [T, C]: a residual unit."""

    def __init__(self, unit: ResidualUnit):
        if unit.conv1.kernel_size != (TAPS,) or unit.conv1.padding != (REACH * unit.conv1.dilation[0],):
            raise ValueError("another residual unit")
        self._dilation = unit.conv1.dilation[0]
        self._early, self._late = points_of_taps(_of(unit.conv1.weight))  # [7, C, C]
        self._late = self._late[:-1]  # the eighth tap is none, and with it the point at infinity
        self._bias = _of(unit.conv1.bias).numpy()
        self._before, self._between = _Alpha(unit.snake1), _Alpha(unit.snake2)
        self._mix, self._mix_bias = _of(unit.conv2.weight)[:, :, 0].t().contiguous(), _of(unit.conv2.bias)

    def __call__(self, x: torch.Tensor, found: torch.Tensor, pieces: _TimeAxis) -> None:
        """Writes into `found` what x becomes."""
        (rows, channels), d = x.shape, self._dilation
        source = x.numpy()

        def piece(start: int, stop: int) -> None:
            blocks = -(-(stop - start) // (TILE * d))
            tiles = blocks * d
            active = torch.empty((TILE * (blocks + 1) + TILE - 1) * d, channels).numpy()
            kernels.snake_rows(source, start - REACH * d, *self._before.pair, active)
            points = torch.empty(len(self._early), tiles + d, channels)
            kernels.points_of(active, d, points.numpy())
            made = torch.bmm(points[:, :tiles], self._early)
            made[:-1].baddbmm_(points[:-1, d:], self._late)
            between = torch.empty(TILE * tiles, channels)
            kernels.rows_of(made.numpy(), d, self._bias, *self._between.pair, between.numpy())
            torch.add(x[start:stop], self._mix_bias, out=found[start:stop])
            found[start:stop].addmm_(between[: stop - start], self._mix)

        step = TILE * d
        length = max(ROWS, PIECE // channels)
        pieces.each(rows, -(-length // step) * step, piece)


def _of(weight: torch.Tensor | None) -> torch.Tensor:
    """A layer's numbers without its gradients."""
    assert weight is not None  # every layer of a decoder has a bias
    return weight.detach()


def _taps_below_each_other(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight [C', C, taps] -> [taps C, C']."""
    return _of(weight).permute(2, 1, 0).flatten(0, 1).contiguous()


def is_kept() -> bool:
    """Whether the loops were compiled before, here."""
    return compiled_before(kernels.rows_of)


def prepared(decoder: nn.Module) -> PreparedDecoder | None:
    """The decoder laid out, or None where it is not of the kind that this knows."""
    if not isinstance(decoder, AcousticDecoder):
        return None
    try:
        return PreparedDecoder(decoder)
    except ValueError:
        return None
