"""The Higgs tokenizer in its released size (200 M parameters) against transformers, random weights."""

from __future__ import annotations

import pytest
import torch
from helpers_codec import RATE, RELEASED, make_codec_checkpoint, reference_codes, reference_wave, sound_like

from higgs_runtime.audio.clip import AudioClip
from higgs_runtime.codec import load_codec

pytestmark = pytest.mark.slow
LONGEST_SECONDS = 60  # nearly all of this file's time: about 6 TFLOP, twice encoded and decoded


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    from transformers import HiggsAudioV2TokenizerModel

    folder = make_codec_checkpoint(tmp_path_factory.mktemp("released") / "codec", codebook_dim=64, **RELEASED)
    yield load_codec(folder), HiggsAudioV2TokenizerModel.from_pretrained(folder).eval()
    (folder / "model.safetensors").unlink()  # 0.8 GB


def test_size_is_the_released_one(pair):
    codec, _ = pair
    assert (codec.sample_rate, codec.frame_rate, codec.num_codebooks, codec.codebook_size) == (24_000, 25.0, 8, 1024)
    assert 150e6 < sum(parameter.numel() for parameter in codec.module.parameters()) < 250e6


@pytest.mark.parametrize("samples", [119, 960, 961, LONGEST_SECONDS * RATE])
def test_parity(pair, samples, record_property):
    codec, reference = pair
    wave = sound_like(samples / RATE)
    codes = codec.encode(AudioClip(wave[None], RATE))
    assert torch.equal(codes.ids, reference_codes(reference, wave))
    deviation = (codec.decode(codes, edges=False).samples - reference_wave(reference, codes.ids)).abs().max().item()
    record_property("wave_deviation", deviation)
    assert deviation <= 1e-5


def test_one_sample(pair):
    codec, reference = pair
    wave = sound_like(1 / RATE)
    padded = torch.nn.functional.pad(wave, (0, 118))  # the reference itself needs 119 samples
    assert torch.equal(codec.encode(AudioClip(wave[None], RATE)).ids, reference_codes(reference, padded))
