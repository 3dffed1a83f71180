"""What the first seconds of a process are spent on: nothing is imported or computed that speaking does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers_codec import make_codec_checkpoint, sound_clip

from higgs_runtime import embedded_voices, kept, load_codec, speak
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.types import Sampling
from higgs_runtime.verification.silence_stop import silent_entries
from higgs_runtime.voices import judged_reference, reference_codes

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "transformers",
    "torch._dynamo",
    "torch._inductor",
    "sympy",
    "scipy.optimize",
    "scipy.signal",
    "librosa",
    "torchvision",
)
SPEAK = """
import sys
from higgs_runtime import cli
status = cli.main(["say", "The dog and the cat walk by the river.", "--voice", "rose", "-o", sys.argv[1]])
print(status or 0, *sorted({*sys.argv[2:]} & sys.modules.keys()))
"""
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def nano():
    return load_codec(EMBEDDED / "higgs-nano-codec")


@pytest.fixture
def keeping(monkeypatch, tmp_path):
    """A cache of this test's own."""
    monkeypatch.delenv(kept.SWITCH)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def encoded(monkeypatch):
    """The seconds of each clip that was encoded."""
    seconds, encode = [], HiggsCodec._encode_wave

    def counted(self, wave):
        seconds.append(len(wave) / self.sample_rate)
        return encode(self, wave)

    monkeypatch.setattr(HiggsCodec, "_encode_wave", counted)
    return seconds


@pytest.mark.slow
def test_speaking_with_a_built_in_voice_imports_nothing_heavy(tmp_path):
    """Also where the clip has to be encoded, as at the first start of all."""
    command = [sys.executable, "-c", SPEAK, str(tmp_path / "said.wav"), *HEAVY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert (tmp_path / "said.wav").stat().st_size > 50_000


def test_the_second_start_encodes_nothing_and_says_the_same(keeping, encoded):
    """One process here; what a start keeps on the disk is all that the second has of it."""
    pair = {"model": EMBEDDED / "higgs-nano", "codec": EMBEDDED / "higgs-nano-codec"}
    rose, short = embedded_voices()["rose"], Sampling(temperature=0, max_frames=20)
    words = rose.with_suffix(".txt").read_text()
    clips = []
    for _ in range(2):
        with pytest.warns(match="too long|cut off|Raise"):
            clips.append(speak("The dog and the cat walk.", rose, transcript=words, sampling=short, **pair))
        from higgs_runtime.speech import _stops

        _stops.clear()
        count = len(encoded)
    assert count == 8, "the clip and seven seconds of silence and hiss, once"
    assert torch.equal(clips[0].samples, clips[1].samples)


@pytest.mark.parametrize("name", sorted(embedded_voices()))
def test_kept_codes_are_those_of_the_clip(nano, keeping, encoded, recwarn, name):
    from higgs_runtime import AudioClip

    file = embedded_voices()[name]
    first, again = reference_codes(file, nano), reference_codes(file, nano)
    assert len(encoded) == 1
    fresh = judged_reference(AudioClip.load(file), nano)
    for codes in (first, again):
        assert torch.equal(codes.ids, fresh.ids)
        assert (codes.codec, codes.frame_rate, codes.codebook_size) == (nano.signature, 25.0, 1024)
    assert not [one for one in recwarn if "rose" in str(one.message)], "a kept clip has nothing to warn of"


def test_codes_of_anyone_else_are_not_kept(nano, keeping, encoded, tmp_path):
    """A person's recording leaves nothing behind."""
    sound_clip(4.0).save(tmp_path / "mine.wav")
    for _ in range(2):
        reference_codes(tmp_path / "mine.wav", nano)
    assert len(encoded) == 2 and not (tmp_path / "cache").exists()


def test_another_encoder_keeps_codes_of_its_own(keeping, encoded, tmp_path):
    """The codebooks, and so the identity, are the same; one weight of HuBERT is not."""
    codec = load_codec(make_codec_checkpoint(tmp_path / "codec"))
    before = silent_entries(codec), codec.weights_hash
    assert silent_entries(codec) == before[0] and len(encoded) == 7
    other = load_codec(tmp_path / "codec")
    assert other.weights_hash == before[1]
    other = load_codec(tmp_path / "codec")
    layer = other.module.semantic_model.encoder.layers[0].attention.k_proj
    layer.weight = torch.nn.Parameter(1.01 * layer.weight, requires_grad=False)
    assert other.identity == codec.identity and other.weights_hash != before[1]
    silent_entries(other)
    assert len(encoded) == 14
    half = load_codec(tmp_path / "codec", dtype=torch.bfloat16)
    assert half.weights_hash != before[1]
