"""Random codecs for the tests: the Higgs tokenizer (tools/random_codec.py), DAC, and transformers' view of them."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from random_codec import RATE, RELEASED, SMALL, make_codec_checkpoint, sound_like

from higgs_runtime import AudioClip

DAC_RATES = {16_000: [2, 4, 5, 8], 24_000: [2, 4, 5, 8], 44_100: [2, 4, 8, 8]}  # strides of the released models


def make_dac_weights(file: Path | str, sample_rate: int, *, seed: int = 0) -> Path:
    """Writes a small random DAC model as the package's weights file."""
    from dac.model.dac import DAC

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = DAC(
            encoder_dim=4,
            encoder_rates=DAC_RATES[sample_rate],
            latent_dim=16,
            decoder_dim=64,
            decoder_rates=DAC_RATES[sample_rate][::-1],
            n_codebooks=4,
            codebook_size=64,
            sample_rate=sample_rate,
        )
        for layer in model.eval().modules():
            if isinstance(layer, torch.nn.ConvTranspose1d):
                layer.weight_g.fill_(0.7 * math.sqrt(layer.out_channels * layer.stride[0] / layer.in_channels))
            elif isinstance(layer, torch.nn.Conv1d):
                layer.weight_g.fill_(0.7 if layer.kernel_size[0] > 1 else 0.3)
        ids = torch.randint(0, 64, (1, 4, 20))
        sound = torch.atanh(model.decode(model.quantizer.from_codes(ids)[0]).clamp(-0.999, 0.999))
        model.decoder.model[-2].weight_g.div_(10 * sound.std())
    model.save(file, package=False)
    return Path(file)


def sound_clip(seconds: float, rate: int = RATE) -> AudioClip:
    """`sound_like` as a clip."""
    return AudioClip(sound_like(seconds, rate)[None], rate)


def reference_codes(model, wave: torch.Tensor) -> torch.Tensor:
    """Ids [K, F] by transformers for a mono waveform [T]."""
    with torch.no_grad():
        return model.encode(wave[None, None]).audio_codes[0]


def reference_wave(model, ids: torch.Tensor) -> torch.Tensor:
    """Samples [1, T] by transformers for ids [K, F]."""
    with torch.no_grad():
        return model.decode(ids[None]).audio_values[0]


__all__ = ["RATE", "RELEASED", "SMALL", "make_codec_checkpoint", "sound_like"]
