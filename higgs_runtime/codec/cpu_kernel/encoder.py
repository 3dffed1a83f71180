"""The acoustic encoder on a CPU in float32, by the means of `decoder`; `dac_layers.AcousticEncoder` is its slow twin.

Letters in shapes: C channels, D latent width, F frames, T samples of a layer.
"""

from __future__ import annotations

import torch
from torch import nn

from ..dac_layers import AcousticEncoder, EncoderBlock
from . import kernels
from .circle import TAPS
from .units import (
    LIVE_COPIES,
    PIECE,
    REACH,
    WIDEST,
    Alpha,
    PreparedUnit,
    TimeAxis,
    TwoTaps,
    of,
    run_units,
    taps_below_each_other,
)


class PreparedEncoder:
    """An AcousticEncoder whose weights were laid out for the CPU, as they were at that moment. The widest blocks, which
    are a tenth of the work for most of the weights, are left to the module.

    Attributes:
        steps: the modules that run one after the other.

    Raises:
        ValueError: layers of other shapes than the codec's.
    """

    def __init__(self, encoder: AcousticEncoder):
        if encoder.conv1.kernel_size != (TAPS,):
            raise ValueError("another first convolution")
        self._first, self._first_bias = taps_below_each_other(encoder.conv1.weight), of(encoder.conv1.bias)
        blocks = [block for block in encoder.block if isinstance(block, EncoderBlock)]
        narrow = sum(block.conv1.in_channels <= WIDEST for block in blocks)
        self._blocks = [_PreparedDown(block) for block in blocks[:narrow]]
        self._rest = blocks[narrow:]
        self._end = nn.Sequential(encoder.snake1, encoder.conv2)
        self.steps: list[nn.Module] = [*self._blocks, *self._rest]

    copies = LIVE_COPIES
    piece_bytes = staticmethod(TimeAxis.bytes)

    def __call__(self, wave: torch.Tensor, threads: int) -> torch.Tensor:
        """Samples [T] -> latents [D, F], by so many threads."""
        with TimeAxis.of(threads) as pieces:
            padded = torch.nn.functional.pad(wave, (REACH, REACH)).unfold(0, TAPS, 1)
            x = torch.empty(len(wave), self._first.shape[1])
            length = PIECE // x.shape[1]
            pieces.each(
                len(x), length, lambda a, b: torch.addmm(self._first_bias, padded[a:b], self._first, out=x[a:b])
            )
            for block in self._blocks:
                x = block(x, pieces)
            x = x.t().contiguous()[None]
        for block in self._rest:
            x = block(x)
        return self._end(x)[0]


class _PreparedDown(nn.Module):
    """[T, C] -> [T / stride, 2 C]. A module, so that its calls are counted (`steps`); it has no weights of its own."""

    def __init__(self, block: EncoderBlock):
        super().__init__()
        layer = block.conv1
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])
        if layer.kernel_size[0] != 2 * self._stride:
            raise ValueError("another strided convolution")
        self._snake = Alpha(block.snake1)
        first, second = (half.permute(2, 1, 0).flatten(0, 1) for half in of(layer.weight).split(self._stride, -1))
        self._taps, self._width = TwoTaps(first, second, of(layer.bias)), first.shape[1]  # [stride * C, 2 C] each
        self._units = [PreparedUnit(unit) for unit in (block.res_unit1, block.res_unit2, block.res_unit3)]

    def forward(self, x: torch.Tensor, pieces: TimeAxis) -> torch.Tensor:
        x = run_units(self._units, x, pieces)
        (rows, channels), stride = x.shape, self._stride
        made, source = torch.empty((rows + 2 * self._padding) // stride - 1, self._width), x.numpy()

        def piece(start: int, stop: int) -> None:
            active = torch.empty(TwoTaps.rows(stop - start) * stride, channels)
            kernels.snake_rows(source, start * stride - self._padding, *self._snake.pair, active.numpy())
            self._taps(active.view(-1, stride * channels), made[start:stop])

        pieces.each(len(made), max(256, PIECE // self._width), piece)
        return made
