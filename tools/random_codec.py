"""Small random codec checkpoints in the native layout, made by transformers' own save_pretrained.

Random weights of the usual scale let every signal die away and leave the codebooks at zero. `make_codec_checkpoint`
scales the layers so that loudness survives, and spreads each codebook over what really arrives there: all codebooks
are used, and codes depend on the sound.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

RELEASED = {
    "target_bandwidths": [0.5, 1, 1.5, 2],
    "acoustic_model_config": {
        "model_type": "dac",
        "encoder_hidden_size": 64,
        "decoder_hidden_size": 1024,
        "hidden_size": 256,
        "downsampling_ratios": [8, 5, 4, 2, 3],
        "upsampling_ratios": [8, 5, 4, 2, 3],
    },
    "semantic_model_config": {"model_type": "hubert", "mask_time_prob": 0.0},
}
SMALL = {
    "target_bandwidths": [0.5, 1, 1.5, 2],
    "codebook_dim": 8,
    "acoustic_model_config": {
        **RELEASED["acoustic_model_config"],
        "encoder_hidden_size": 4,
        "decoder_hidden_size": 64,
        "hidden_size": 16,
    },
    "semantic_model_config": {
        "model_type": "hubert",
        "mask_time_prob": 0.0,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "conv_dim": [16] * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    },
}
RATE = 24_000


def make_codec_checkpoint(folder: Path | str, *, seed: int = 0, max_shard_size: str = "5GB", **config) -> Path:
    """Writes config.json and model.safetensors of a random Higgs tokenizer: 24 kHz, hop 960, 8 codebooks x 1024.

    Args:
        config: overrides of SMALL, whole top-level settings of HiggsAudioV2TokenizerConfig.
    """
    from transformers import HiggsAudioV2TokenizerConfig, HiggsAudioV2TokenizerModel

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        with torch.device("meta"):  # transformers' own initialization takes most of a minute at full size
            model = HiggsAudioV2TokenizerModel(HiggsAudioV2TokenizerConfig(**{**SMALL, **config})).eval()
        _initialize(model.to_empty(device="cpu"))
        _spread_codebooks(model, sound_like(2.0))
        _normalize_output(model)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return Path(folder)


def sound_like(seconds: float, rate: int = RATE, seed: int = 1) -> torch.Tensor:
    """A mono test signal [T]: gliding harmonics with syllable-like loudness, and noise. float32, peak 0.5."""
    generator = torch.Generator().manual_seed(seed)
    count = max(1, round(seconds * rate))
    time = torch.arange(count, dtype=torch.float64) / rate
    pitch = 140 + 40 * torch.sin(2 * math.pi * 0.7 * time) + 15 * torch.sin(2 * math.pi * 5.1 * time)
    phase = 2 * math.pi * torch.cumsum(pitch, 0) / rate
    voice = sum(torch.sin(k * phase) / k for k in range(1, 12))
    syllables = torch.sin(2 * math.pi * 1.7 * time).abs()
    noise = torch.randn(count, generator=generator, dtype=torch.float64) * (0.1 + 0.5 * (1 - syllables).square())
    wave = (voice * syllables + noise).float()
    return 0.5 * wave / wave.abs().max()


def _initialize(model) -> None:
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name.endswith("alpha"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("bias"):
            tensor.normal_(std=0.02)
        elif tensor.ndim == 1:
            tensor.fill_(1.0)
        else:
            transposed = ".conv_t" in name  # [in, out, 2 * stride]: two taps of each input channel meet in an output
            fan_in = 2 * tensor.shape[0] if transposed else tensor[0].numel()
            gain = 0.3 if "res_unit" in name and "conv2" in name else 0.7 if "acoustic" in name else 1.0
            tensor.normal_(std=gain / math.sqrt(fan_in))
    convolution = model.semantic_model.encoder.pos_conv_embed.conv.parametrizations.weight
    convolution.original0.copy_(convolution.original1.norm(dim=(0, 1), keepdim=True))


def _spread_codebooks(model, wave: torch.Tensor) -> None:
    heard = {}
    hook = model.fc.register_forward_hook(lambda module, inputs, output: heard.update(joined=output))
    model.encode(wave[None, None])
    hook.remove()
    residual = heard["joined"]
    for quantizer in model.quantizer.quantizers:
        torch.nn.init.orthogonal_(quantizer.project_in.weight)
        quantizer.project_out.weight.copy_(quantizer.project_in.weight.t())
        arriving = quantizer.project_in(residual).flatten(0, 1)
        spread = torch.randn_like(quantizer.codebook.embed)
        quantizer.codebook.embed.copy_(arriving.mean(0) + arriving.std(0) * spread)
        quantizer.codebook.embed_avg.copy_(quantizer.codebook.embed)
        chosen = quantizer.encode(residual.transpose(1, 2))
        residual = residual - quantizer.decode(chosen).transpose(1, 2)


def _normalize_output(model) -> None:
    ids = torch.randint(0, model.config.codebook_size, (1, model.config.num_quantizers, 10))
    model.acoustic_decoder.conv2.weight.div_(10 * model.decode(ids).audio_values.std())
