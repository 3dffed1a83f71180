"""The semantic branch of the encoder: HuBERT features averaged over its layers, then a small convolutional encoder.

Letters in shapes: B batch, W width of HuBERT, T samples, F frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from ..errors import CheckpointError
from .hubert import Front, Hubert, HubertSizes

HUBERT_PADDING = 160  # samples of silence on each side of the waveform before HuBERT


class SemanticUnit(nn.Module):
    """[B, W, F] -> [B, W, F], residual."""

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__()
        self.conv1 = nn.Conv1d(
            width, width, kernel, dilation=dilation, padding=(kernel - 1) // 2 * dilation, bias=False
        )
        self.conv2 = nn.Conv1d(width, width, kernel_size=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(functional.elu(self.conv1(functional.elu(x))))


class SemanticBlock(nn.Module):
    """[B, W, F] -> [B, W', F/stride]."""

    def __init__(self, width: int, out_width: int, stride: int, unit_kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.res_units = nn.ModuleList(SemanticUnit(width, unit_kernel, dilation) for dilation in dilations)
        kernel = 3 if stride == 1 else 2 * stride
        self.conv = nn.Conv1d(width, out_width, kernel, stride=stride, padding=(kernel - 1) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for unit in self.res_units:
            x = unit(x)
        return self.conv(x)


class SemanticEncoder(nn.Module):
    """HuBERT features [B, W, F] -> [B, W', F/strides].

    Args:
        width: W.
        kernel: of the first convolution.
        out_widths, strides: one entry a block.
        unit_kernel, dilations: of the residual units, one unit a dilation in each block.
    """

    def __init__(
        self,
        width: int,
        *,
        kernel: int,
        out_widths: tuple[int, ...],
        strides: tuple[int, ...],
        unit_kernel: int,
        dilations: tuple[int, ...],
    ):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)
        blocks = []
        for out_width, stride in zip(out_widths, strides, strict=True):
            blocks.append(SemanticBlock(width, out_width, stride, unit_kernel, dilations))
            width = out_width
        self.conv_blocks = nn.ModuleList(blocks)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = self.conv(features)
        for block in self.conv_blocks:
            x = block(x)
        return x


def build_hubert(config: Mapping, attention: str = "sdpa") -> Hubert:
    """HuBERT with the weights left to be assigned; call it under torch.device("meta").

    Args:
        config: semantic_model_config of the checkpoint.
        attention: "sdpa", or its slow twin "eager".

    Raises:
        CheckpointError: the config does not describe a HuBERT that can be built.
    """
    try:
        return Hubert(HubertSizes.of(config), attention)
    except (TypeError, ValueError, AttributeError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(
            "The codec's semantic_model_config is not usable.",
            expected="the settings of a HuBERT model",
            got=f"{type(error).__name__}: {error}",
            remedy="Download the codec's config.json again.",
        ) from error


def hubert_features(hubert: Hubert, wave: torch.Tensor, keep_every: int, front: Front | None = None) -> torch.Tensor:
    """Mean of all hidden states (embeddings and every layer), each keep_every-th frame.

    Args:
        wave: [B, T] at HuBERT's rate, at least `shortest_wave(hubert)` samples.
        front: what stands for HuBERT's convolutions, if not they themselves.

    Returns:
        [B, F, W].
    """
    padded = functional.pad(wave, (HUBERT_PADDING, HUBERT_PADDING))
    kept = [states[:, :: max(1, keep_every)] for states in hubert(padded, front)]
    return torch.stack(kept, dim=1).mean(dim=1)


def shortest_wave(hubert: Hubert) -> int:
    """Samples at HuBERT's rate that its convolutions need for one frame, beside the padding."""
    samples = 1
    for kernel, stride in reversed(list(zip(hubert.sizes.conv_kernel, hubert.sizes.conv_stride, strict=True))):
        samples = (samples - 1) * stride + kernel
    return max(1, samples - 2 * HUBERT_PADDING)
