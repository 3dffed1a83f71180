"""HuBERT's convolutions on a CPU in float32, piece by piece; `hubert.FeatureExtractor` is their slow twin.

The first one's norm needs mean and variance over all time: they follow from those of the samples that it reads, so that
no layer is ever there as a whole.

Letters in shapes: C channels, T samples, F frames, k taps.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ..hubert import FeatureExtractor, FeatureLayer
from .units import TimeAxis, TwoTaps, of

FRAMES = 64  # of a piece
WINDOW_FRAMES = 500  # between two steps


class PreparedFront:
    """A FeatureExtractor whose weights were laid out for the CPU, as they were at that moment.

    Raises:
        ValueError: layers of other shapes than the codec's.
    """

    def __init__(self, front: FeatureExtractor):
        first, *others = (layer for layer in front.conv_layers if isinstance(layer, FeatureLayer))
        if not isinstance(first.layer_norm, nn.GroupNorm) or first.activation is not functional.gelu or not others:
            raise ValueError("another first layer")
        self._taps, self._stride, self._norm = (
            of(first.conv.weight)[:, 0].t().double(),
            first.conv.stride[0],
            first.layer_norm,
        )
        self._layers = [_PreparedLayer(layer) for layer in others]
        self._window = _Window()

    def frames(self, samples: int) -> int:
        """F, of so many samples."""
        rows = (samples - len(self._taps)) // self._stride + 1
        for layer in self._layers:
            rows = (rows - layer.taps) // 2 + 1
        return rows

    def steps(self, samples: int) -> list[tuple[nn.Module, int]]:
        """The module that is called for each window of so many samples, and how often it is."""
        return [(self._window, math.ceil(self.frames(samples) / WINDOW_FRAMES))]

    def __call__(self, wave: torch.Tensor, threads: int) -> torch.Tensor:
        """Samples [T] at HuBERT's rate -> features [F, C], by so many threads."""
        with TimeAxis.of(threads) as pieces:
            patches = wave.clone().unfold(0, len(self._taps), self._stride)  # [T', k]
            weight, shift = self._with_norm(patches)
            frames = self.frames(len(wave))
            found = torch.empty(frames, self._layers[-1].width)

            def piece(start: int, stop: int) -> None:
                self._run(patches, weight, shift, start, found[start:stop])

            for start in range(0, frames, WINDOW_FRAMES):
                self._window(pieces, start, min(frames, start + WINDOW_FRAMES), piece)
        return found

    def _with_norm(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [k, C] and bias [C] of the first convolution and of the norm behind it, for these samples."""
        exact = patches.double()
        mean = exact.mean(0)
        exact = exact - mean
        covariance = exact.t() @ exact / len(exact)
        variance = (self._taps * (covariance @ self._taps)).sum(0)
        scale = of(self._norm.weight).double() / (variance + self._norm.eps).sqrt()
        return (self._taps * scale).float(), (of(self._norm.bias).double() - mean @ self._taps * scale).float()

    def _run(
        self, patches: torch.Tensor, weight: torch.Tensor, shift: torch.Tensor, start: int, out: torch.Tensor
    ) -> None:
        """The frames from `start` on into `out` [F, C]."""
        spans = [(start, start + len(out))]
        for layer in reversed(self._layers):
            first, stop = spans[-1]
            spans.append((2 * first, 2 * (stop - 1) + layer.taps))
        spans.reverse()
        (first, stop), layers = spans[0], self._layers
        x = torch.zeros(max(stop - first, layers[0].rows(spans[1])), weight.shape[1])
        _active(torch.addmm(shift, patches[first:stop], weight, out=x[: stop - first]))
        for n, layer in enumerate(layers):
            count = spans[n + 1][1] - spans[n + 1][0]
            made = out
            if n + 1 < len(layers):
                made = torch.zeros(max(count, layers[n + 1].rows(spans[n + 2])), layer.width)
            layer(x, made[:count])
            _active(made[:count])
            x = made


class _Window(nn.Module):
    """A module, so that its calls are counted; it has no weights."""

    def forward(self, pieces: TimeAxis, start: int, stop: int, piece: Callable[[int, int], None]) -> None:
        pieces.each(stop - start, FRAMES, lambda a, b: piece(start + a, start + b))


class _PreparedLayer:
    """[T, C] -> [T / 2, C'] by two or three taps, without the activation."""

    def __init__(self, layer: FeatureLayer):
        conv = layer.conv
        self.taps, self.width = conv.kernel_size[0], conv.out_channels
        if layer.layer_norm is not None or layer.activation is not functional.gelu:
            raise ValueError("another layer")
        if conv.stride != (2,) or self.taps not in (2, 3):
            raise ValueError("another convolution")
        taps = of(conv.weight).permute(2, 1, 0)  # [k, C, C']
        bias = torch.zeros(self.width) if conv.bias is None else of(conv.bias)
        self._pair = TwoTaps(taps[0], taps[2], bias) if self.taps == 3 else None
        self._own, self._bias = (taps[1] if self._pair else taps.flatten(0, 1)).contiguous(), bias.contiguous()

    def rows(self, span: tuple[int, int]) -> int:
        """That its input has to have; those behind the last that counts are zeros."""
        count = span[1] - span[0]
        return 2 * (TwoTaps.rows(count) if self._pair else count)

    def __call__(self, x: torch.Tensor, out: torch.Tensor) -> None:
        pairs = x[: len(x) // 2 * 2].view(-1, 2 * x.shape[1])
        if self._pair is None:
            torch.addmm(self._bias, pairs[: len(out)], self._own, out=out)
            return
        self._pair(pairs, out)
        out.addmm_(pairs[: len(out), x.shape[1] :], self._own)


def _active(x: torch.Tensor) -> None:
    torch._C._nn.gelu_(x)  # pyright: ignore[reportAttributeAccessIssue]
