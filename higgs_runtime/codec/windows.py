"""Decoding and encoding in windows: convolutions see a bounded stretch, so a window with enough context around it
gives the same result as the whole.

Letters in shapes: K codebooks, F frames, C channels, T samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

LIVE_COPIES = 6  # of the widest activation; 5 to 6 were counted in the released and in small codecs


@dataclass(frozen=True)
class Context:
    """Frames to the left and to the right of a frame that its result depends on."""

    left: int
    right: int


def decoder_context(decoder: nn.Module, hop: int) -> Context:
    """Frames that the hop samples of one frame depend on, from the decoder's convolutions.

    Args:
        decoder: its convolutions must be registered in the order in which they run.
        hop: samples per frame.
    """
    low, high = _needed_inputs(decoder, 0, hop - 1)
    return Context(left=max(0, -low), right=max(0, high))


def run_kept(stages: Sequence[nn.Module], x: torch.Tensor, first: int, stop: int) -> torch.Tensor:
    """The outputs first..stop - 1 of a chain of convolutions, up to rounding: before each stage goes what they do not
    depend on.

    Args:
        stages: run one after the other; convolutions of each in the order in which they run.
        x: [B, C, T].
    """
    *cuts, end = kept_cuts(stages, first, stop)
    for stage, cut in zip(stages, cuts, strict=True):
        x = stage(x[..., cut])
    return x[..., end]


def kept_cuts(stages: Sequence[nn.Module], first: int, stop: int) -> list[slice]:
    """What to keep before each stage, and of the last one's outputs, for the outputs first..stop - 1 of them all.

    Context that is many inputs long is short where the rate is high, and there is most of the work.
    """
    needed = [(first, stop - 1)]
    for stage in reversed(stages):
        needed.append(_needed_inputs(stage, *needed[-1]))
    cuts, start = [], 0  # position of what is first of what is there
    for stage, (low, high) in zip(stages, reversed(needed[1:]), strict=True):
        drop = max(0, low - start)
        cuts.append(slice(drop, high + 1 - start))
        start = (start + drop) * _up(stage)
    return [*cuts, slice(first - start, stop - start)]


def _up(stage: nn.Module) -> int:
    """Outputs for each input."""
    return math.prod(layer.stride[0] for layer in _convolutions(stage) if isinstance(layer, nn.ConvTranspose1d))


def encoder_context(encoder: nn.Module, hop: int) -> Context:
    """Frames' worth of samples around a frame's own hop samples that the frame depends on."""
    low, high = _needed_inputs(encoder, 0, 0)
    return Context(left=max(0, -(low // hop)), right=max(0, -((hop - 1 - high) // hop)))


def activation_bytes(network: nn.Module, rate: float, seconds: float, copies: int = LIVE_COPIES) -> int:
    """About what a chain of convolutions computes at once: so many copies of its widest activation, in float32.

    Args:
        network: its convolutions must be registered in the order in which they run.
        rate: steps per second of what goes in.
    """
    widest = 0.0
    for layer in _convolutions(network):
        rate = rate * layer.stride[0] if isinstance(layer, nn.ConvTranspose1d) else rate / layer.stride[0]
        widest = max(widest, layer.out_channels * rate)
    return math.ceil(copies * 4 * widest * seconds)


class DecodeWindows:
    """Decodes codes that are given piece by piece. A frame is emitted once its right context is there, the rest at
    the end.

    Args:
        decode: ids [K, F] -> samples [C, about F * hop], by the layers that `context` was computed from; with
            (first, stop, whether the stream ends) too: only these samples.
        window: frames that are emitted at most at a time.
        edges: copies of the first and of the last frame stand before and behind while decoding. Without them the
            layers see zeros there, which no training made them expect: a click, or up to 0.3 s of noise.
    """

    def __init__(
        self,
        decode: Callable[..., torch.Tensor],
        *,
        hop: int,
        context: Context,
        window: int,
        edges: bool = False,
    ):
        self._decode, self._hop, self._context, self._window, self._edges = decode, hop, context, window, edges
        self._pending: torch.Tensor | None = None
        self._start = self._done = 0  # frame at _pending[:, 0]; frames emitted

    def push(self, ids: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Takes the next frames [K, any number]; yields frames emitted so far, and samples [C, T] that follow the
        ones before."""
        if not ids.shape[1]:
            return
        if self._pending is not None:
            ids = torch.cat([self._pending, ids], dim=1)
        elif self._edges:
            ids = torch.cat([ids[:, :1].expand(-1, self._context.left), ids], dim=1)
            self._start = -self._context.left
        self._pending = ids
        while (ready := self._start + self._pending.shape[1] - self._context.right) > self._done:
            yield self._emit(min(ready, self._done + self._window), last=False)

    def finish(self) -> Iterator[tuple[int, torch.Tensor]]:
        """What has been held back, as `push` yields it."""
        total = 0 if self._pending is None else self._start + self._pending.shape[1]
        if self._pending is not None and self._edges:
            self._pending = torch.cat([self._pending, self._pending[:, -1:].expand(-1, self._context.right)], dim=1)
        while self._done < total:
            end = min(total, self._done + self._window)
            yield self._emit(end, last=end == total)

    def whole(self, ids: torch.Tensor) -> Generator[tuple[int, torch.Tensor], None, None]:
        """All that `push` and `finish` yield of frames that are all there is."""
        yield from self.push(ids)
        yield from self.finish()

    def _emit(self, end: int, last: bool) -> tuple[int, torch.Tensor]:
        assert self._pending is not None  # only frames that were pushed are emitted
        ids = self._pending[:, : end + self._context.right - self._start]
        first = (self._done - self._start) * self._hop
        stop = (end - self._start) * self._hop
        if self._edges:
            samples = self._decode(ids, (first, stop, last))
        else:
            samples = self._decode(ids)[:, first : None if last else stop]  # the last frame may be short of the hop
        samples = samples.clone()  # without the context
        self._done = end
        drop = 0 if last else max(self._start, end - self._context.left) - self._start
        self._pending, self._start = self._pending[:, drop:], self._start + drop
        return end, samples


def encode_windows(
    wave: torch.Tensor,
    encode: Callable[[torch.Tensor], torch.Tensor],
    *,
    hop: int,
    context: Context,
    window: int,
) -> torch.Tensor:
    """Encodes a long waveform piece by piece along its last axis.

    Args:
        wave: [..., T].
        encode: waveform [..., T] -> [..., F], by the layers that `context` was computed from.
        window: frames per piece, context not counted.

    Returns:
        [..., F], equal to encode(wave) up to rounding.
    """
    samples = wave.shape[-1]
    if samples <= (window + context.left + context.right) * hop:
        return encode(wave)
    pieces, done = [], 0
    while True:
        start = max(0, done - context.left)
        stop = (done + window + context.right) * hop
        frames = encode(wave[..., start * hop : stop])
        if stop >= samples:
            return torch.cat([*pieces, frames[..., done - start :]], dim=-1)
        pieces.append(frames[..., done - start : done - start + window])
        done += window


def _needed_inputs(network: nn.Module, low: int, high: int) -> tuple[int, int]:
    """Inputs that the outputs low..high of a chain of convolutions depend on."""
    for layer in reversed(_convolutions(network)):
        assert not isinstance(layer.padding, str)  # the layers of codecs are padded by numbers
        stride, padding, reach = layer.stride[0], layer.padding[0], layer.dilation[0] * (layer.kernel_size[0] - 1)
        if isinstance(layer, nn.ConvTranspose1d):
            low, high = -((reach - low - padding) // stride), (high + padding) // stride
        else:
            low, high = low * stride - padding, high * stride - padding + reach
    return low, high


def _convolutions(network: nn.Module) -> list[nn.Conv1d | nn.ConvTranspose1d]:
    return [layer for layer in network.modules() if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d))]
