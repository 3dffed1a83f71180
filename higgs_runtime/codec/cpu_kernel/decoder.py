"""The acoustic decoder on a CPU in float32: products of matrices by torch, and compiled loops between them.

The mathematics is that of `dac_layers.AcousticDecoder`, its slow twin. What makes it quicker: rows of channels, so that
every convolution is a product of matrices; fewer products (`circle`, `TwoTaps`); the periodic
activation in one pass with what stands before or behind it; pieces of the time axis that stay in the cache, each by
one thread, so that the last bits do not follow the number of threads.

Letters in shapes: C channels, D latent width, F frames, T samples of a layer.
"""

from __future__ import annotations

import torch

from ..dac_layers import AcousticDecoder, DecoderBlock
from ..windows import kept_cuts
from . import kernels
from .circle import TAPS
from .units import (
    LIVE_COPIES,
    PIECE,
    REACH,
    ROWS,
    Alpha,
    PreparedUnit,
    TimeAxis,
    TwoTaps,
    of,
    run_units,
    taps_below_each_other,
)


class PreparedDecoder:
    """An AcousticDecoder whose weights were laid out for the CPU, as they were at that moment.

    Raises:
        ValueError: layers of other shapes than the codec's.
    """

    def __init__(self, decoder: AcousticDecoder):
        first, last = decoder.conv1, decoder.conv2
        if first.kernel_size != (TAPS,) or last.kernel_size != (TAPS,) or last.out_channels != 1:
            raise ValueError("other convolutions at the ends")
        self._first = taps_below_each_other(first.weight)
        self._first_bias = of(first.bias)
        self._blocks = [_PreparedUp(block) for block in decoder.block if isinstance(block, DecoderBlock)]
        self._snake = Alpha(decoder.snake1)
        self._last = taps_below_each_other(last.weight)[:, 0].contiguous().numpy()
        self._last_bias = float(of(last.bias)[0])
        self._stages = decoder.stages

    copies = LIVE_COPIES
    piece_bytes = staticmethod(TimeAxis.bytes)

    def __call__(self, latents: torch.Tensor, threads: int, kept: tuple[int, int] | None = None) -> torch.Tensor:
        """Latents [F, D] -> samples [F * hop], by so many threads; of these kept[0] … kept[1] - 1, if that is given."""
        *cuts, end = kept_cuts(self._stages, *kept) if kept else [slice(None)] * (len(self._stages) + 1)
        with TimeAxis.of(threads) as pieces:
            x = self._widened(latents[cuts[0]], pieces)
            for block, cut in zip(self._blocks, cuts[1:-1], strict=True):
                x = block(x[cut], pieces)
            return self._sound(x[cuts[-1]], pieces)[end]

    def _widened(self, latents: torch.Tensor, pieces: TimeAxis) -> torch.Tensor:
        frames, width = latents.shape
        padded = torch.zeros(frames + 2 * REACH, width)
        padded[REACH:-REACH] = latents
        taps = padded.as_strided((frames, TAPS * width), (width, 1))
        x = torch.empty(frames, self._first.shape[1])
        pieces.each(frames, ROWS, lambda a, b: torch.addmm(self._first_bias, taps[a:b], self._first, out=x[a:b]))
        return x

    def _sound(self, x: torch.Tensor, pieces: TimeAxis) -> torch.Tensor:
        rows, channels = x.shape
        found, source = torch.empty(rows), x.numpy()

        def piece(start: int, stop: int) -> None:
            active = torch.empty(stop - start + 2 * REACH, channels).numpy()
            kernels.snake_rows(source, start - REACH, *self._snake.pair, active)
            kernels.last_row_sums(active, self._last, self._last_bias, found[start:stop].numpy())

        pieces.each(rows, max(ROWS, PIECE // channels), piece)
        return found


class _PreparedUp:
    """[T, C] -> [T * stride, C/2]."""

    def __init__(self, block: DecoderBlock):
        layer = block.conv_t1
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])
        if layer.kernel_size[0] != 2 * self._stride:
            raise ValueError("another transposed convolution")
        self._snake = Alpha(block.snake1)
        weight = of(layer.weight).unflatten(-1, (2, self._stride))  # [C, C/2, 2, stride]
        now, before = (weight[:, :, n].transpose(1, 2).flatten(1) for n in (0, 1))  # [C, stride * C/2]
        self._taps = TwoTaps(before, now, of(layer.bias).repeat(self._stride))
        self._width = now.shape[1]
        self._units = [PreparedUnit(unit) for unit in (block.res_unit1, block.res_unit2, block.res_unit3)]

    def __call__(self, x: torch.Tensor, pieces: TimeAxis) -> torch.Tensor:
        rows, channels = x.shape
        made, source = torch.empty(rows + 1, self._width), x.numpy()

        def piece(start: int, stop: int) -> None:
            active = torch.empty(TwoTaps.rows(stop - start), channels)
            kernels.snake_rows(source, start - 1, *self._snake.pair, active.numpy())
            self._taps(active, made[start:stop])

        pieces.each(rows + 1, max(256, PIECE // channels), piece)
        x = made.view(-1, channels // 2)[self._padding : self._padding + rows * self._stride]
        return run_units(self._units, x, pieces)
