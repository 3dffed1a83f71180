"""Higgs Nano's codec: the released architecture with smaller numbers, and the parts that only its training needs.

The semantic branch carries all the information: its convolutions see about 0.2 s around a frame, and its attention is
left at zero, so that a word gets the same codes in whatever sentence it stands. That is what lets a language model of
a few million parameters learn them. The acoustic encoder is there because the layout has it; its share in the joint
projection is zero.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from higgs_runtime.codec.dac_layers import Snake
from higgs_runtime.codec.higgs_config import HiggsCodecConfig
from higgs_runtime.codec.higgs_tokenizer import HiggsTokenizer
from higgs_runtime.codec.resample import sinc_resample
from higgs_runtime.codec.semantic import hubert_features

BOTTLENECK = 32  # numbers a frame, quantized by all codebooks
CONFIG = {
    "model_type": "higgs_audio_v2_tokenizer",
    "architectures": ["HiggsAudioV2TokenizerModel"],
    "sample_rate": 24_000,
    "semantic_sample_rate": 16_000,
    "target_bandwidths": [0.5, 1, 1.5, 2],
    "codebook_size": 1024,
    "codebook_dim": BOTTLENECK,
    "downsample_factor": 320,
    "kernel_size": 1,
    "unit_kernel_size": 3,
    "channel_ratios": [1],
    "strides": [1],
    "block_dilations": [1],
    "acoustic_model_config": {
        "model_type": "dac",
        "encoder_hidden_size": 1,
        "hidden_size": 96,
        "downsampling_ratios": [4, 4, 3, 4, 5],
        "decoder_hidden_size": 256,
        "upsampling_ratios": [5, 4, 3, 4, 4],
    },
    "semantic_model_config": {
        "model_type": "hubert",
        "hidden_size": 160,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 320,
        "conv_dim": [48, 96, 160],
        "conv_kernel": [10, 8, 8],
        "conv_stride": [5, 8, 8],
        "num_feat_extract_layers": 3,
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4,
        "mask_time_prob": 0.0,
        "mask_feature_prob": 0.0,
        "layerdrop": 0.0,
        "hidden_dropout": 0.0,
        "activation_dropout": 0.0,
        "attention_dropout": 0.0,
        "feat_proj_dropout": 0.0,
        "final_dropout": 0.0,
    },
}


def new_codec(seed: int = 0) -> tuple[HiggsTokenizer, HiggsCodecConfig]:
    """The networks with fresh weights, ready for training."""
    config = HiggsCodecConfig.from_dict(CONFIG)
    torch.manual_seed(seed)
    module = HiggsTokenizer(config)
    with torch.no_grad():
        for layer in module.semantic_model.modules():  # as transformers begins, with which the weights were made
            if isinstance(layer, torch.nn.Linear):
                layer.weight.normal_(std=0.02)
                layer.bias.zero_()
            elif isinstance(layer, torch.nn.Conv1d):
                torch.nn.init.kaiming_normal_(layer.weight)
        for part in (module.acoustic_encoder, module.acoustic_decoder, module.encoder_semantic):
            for name, tensor in part.named_parameters():
                _initialize(name, tensor)
        attention = module.semantic_model.encoder.layers[0].attention.out_proj
        attention.weight.zero_()
        attention.bias.zero_()
        attention.requires_grad_(False)
        module.fc.weight[:, : config.latent].zero_()
    return module, config


def _initialize(name: str, tensor: torch.Tensor) -> None:
    if name.endswith("alpha"):
        return
    if tensor.ndim == 1:
        tensor.zero_()
        return
    fan_in = 2 * tensor.shape[0] if ".conv_t" in name else tensor[0].numel()
    inner = "res_unit" in name and "conv2" in name
    tensor.normal_(std=(0.3 if inner else 0.7) / math.sqrt(fan_in))


def semantic_latents(module: HiggsTokenizer, config: HiggsCodecConfig, wave: torch.Tensor) -> torch.Tensor:
    """[B, T] at 24 kHz -> [B, F, W]: the part of the encoder that is trained."""
    heard = sinc_resample(wave, config.sample_rate, config.semantic_rate)
    features = hubert_features(module.semantic_model, heard, config.semantic_stride)
    return module.encoder_semantic(features.transpose(1, 2)).transpose(1, 2)


class _SnakeFunction(torch.autograd.Function):
    """x + sin²(αx)/α with a gradient in closed form: one sine backwards, nothing kept but the input."""

    @staticmethod
    def forward(context, x, alpha):
        context.save_for_backward(x, alpha)
        return torch.sin(x * alpha).square_().div_(alpha).add_(x)

    @staticmethod
    def backward(context, gradient):
        x, alpha = context.saved_tensors
        angle = x * (2 * alpha)
        to_alpha = gradient * (x * torch.sin(angle) - (1 - torch.cos(angle)) / (2 * alpha)) / alpha
        return gradient * (1 + torch.sin(angle)), to_alpha.sum((0, 2), keepdim=True)


def train_snakes(module: nn.Module) -> None:
    """Give every Snake of a module the faster gradient; the runtime's own forward works in place."""
    for part in module.modules():
        if isinstance(part, Snake):
            part.forward = lambda x, part=part: _SnakeFunction.apply(x, part.alpha)
