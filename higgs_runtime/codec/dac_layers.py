"""The convolutional encoder and decoder of DAC as the Higgs tokenizer uses them.

Architecture: Kumar et al. 2023, "High-Fidelity Audio Compression with Improved RVQGAN" (arXiv:2306.06546), without
the closing tanh and with an output padding that makes the decoder emit exactly hop samples a frame. Attribute names
follow the native checkpoint's tensor names; convolutions are registered in the order in which they run
(windows.py relies on it).

Letters in shapes: B batch, C channels, T samples, F frames, D latent width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..cores import torch_threads

SNAKE_EPSILON = 1e-9
DILATIONS = (1, 3, 9)
SHORT = 100_000_000  # products in a transposed convolution that two threads take no less time for


class Snake(nn.Module):
    """Periodic activation x + sin²(αx)/α with one α a channel (Ziyin et al. 2020, arXiv:2006.08195)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wave = (self.alpha * x).sin_().square_()
        return wave.mul_((self.alpha + SNAKE_EPSILON).reciprocal()).add_(x)


class Pointwise(nn.Conv1d):
    """A convolution by one tap; on a CPU as a product of matrices.

    Torch's convolution is up to three times slower there with two threads, and its last bits follow their number.
    """

    bias: torch.Tensor  # it is never built without

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        found = [torch.addmm(self.bias[:, None], self.weight[:, :, 0], one) for one in x]
        return found[0][None] if len(found) == 1 else torch.stack(found)


class Upsampling(nn.ConvTranspose1d):
    """A transposed convolution, whose last bits follow the number of threads: one of them where that is as quick."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch_threads(1 if self.weight.numel() * x.shape[-1] < SHORT else torch.get_num_threads()):
            return super().forward(x)


class ResidualUnit(nn.Module):
    """[B, C, T] -> [B, C, T]: a dilated and a pointwise convolution around which the input is added."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.snake1 = Snake(channels)
        self.conv1 = nn.Conv1d(channels, channels, kernel_size=7, dilation=dilation, padding=3 * dilation)
        self.snake2 = Snake(channels)
        self.conv2 = Pointwise(channels, channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.snake2(self.conv1(self.snake1(x)))).add_(x)


class EncoderBlock(nn.Module):
    """[B, C, T] -> [B, 2C, T/stride]."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.res_unit1, self.res_unit2, self.res_unit3 = (ResidualUnit(channels, dilation) for dilation in DILATIONS)
        self.snake1 = Snake(channels)
        self.conv1 = nn.Conv1d(channels, 2 * channels, kernel_size=2 * stride, stride=stride, padding=(stride + 1) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.res_unit3(self.res_unit2(self.res_unit1(x)))
        return self.conv1(self.snake1(x))


class DecoderBlock(nn.Module):
    """[B, C, T] -> [B, C/2, T*stride]."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        half = channels // 2
        self.snake1 = Snake(channels)
        self.conv_t1 = Upsampling(
            channels,
            half,
            kernel_size=2 * stride,
            stride=stride,
            padding=(stride + 1) // 2,
            output_padding=stride % 2,
        )
        self.res_unit1, self.res_unit2, self.res_unit3 = (ResidualUnit(half, dilation) for dilation in DILATIONS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_t1(self.snake1(x))
        return self.res_unit3(self.res_unit2(self.res_unit1(x)))


class AcousticEncoder(nn.Module):
    """Waveform [B, 1, T] -> latents [B, D, F]."""

    def __init__(self, width: int, ratios: Sequence[int], latent: int):
        super().__init__()
        self.conv1 = nn.Conv1d(1, width, kernel_size=7, padding=3)
        self.block = nn.ModuleList(EncoderBlock(width << level, stride) for level, stride in enumerate(ratios))
        widest = width << len(ratios)
        self.snake1 = Snake(widest)
        self.conv2 = nn.Conv1d(widest, latent, kernel_size=3, padding=1)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        x = self.conv1(wave)
        for block in self.block:
            x = block(x)
        return self.conv2(self.snake1(x))


class AcousticDecoder(nn.Module):
    """Latents [B, D, F] -> waveform [B, 1, F*hop]."""

    def __init__(self, latent: int, width: int, ratios: Sequence[int]):
        super().__init__()
        self.conv1 = nn.Conv1d(latent, width, kernel_size=7, padding=3)
        self.block = nn.ModuleList(DecoderBlock(width >> level, stride) for level, stride in enumerate(ratios))
        narrowest = width >> len(ratios)
        self.snake1 = Snake(narrowest)
        self.conv2 = nn.Conv1d(narrowest, 1, kernel_size=7, padding=3)

    @property
    def stages(self) -> list[nn.Module]:
        """What runs one after the other."""
        return [self.conv1, *self.block, nn.Sequential(self.snake1, self.conv2)]

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = latents
        for stage in self.stages:
            x = stage(x)
        return x
