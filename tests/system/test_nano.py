"""The embedded checkpoint: it fits where a released one fits, and it says in the right voice what is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from higgs_runtime import AudioClip, Sampling, Voice, build_prompt, generate, load_codec, load_model, mix
from higgs_runtime.audio.mix import Track
from higgs_runtime.hub.catalog import EMBEDDED, embedded_clips, embedded_voices
from higgs_runtime.prompt.builder import conversation

ROOT = Path(__file__).resolve().parents[2]
VOICES = ("alan", "bear", "rose", "ross")
LINES = 3  # of each voice, from the held-out tenth, which training never saw


@pytest.fixture(scope="module")
def model():
    return load_model(EMBEDDED / "higgs-nano")


@pytest.fixture(scope="module")
def codec():
    return load_codec(EMBEDDED / "higgs-nano-codec")


@pytest.fixture(scope="module")
def voices(codec):
    """Each reference clip as a voice, encoded from its sound."""
    return {
        name: Voice(
            codes=codec.encode(AudioClip.load(file)),
            transcript=file.with_suffix(".txt").read_text(encoding="utf-8").strip(),
        )
        for name, file in embedded_voices().items()
    }


@pytest.fixture(scope="module")
def speaker_of():
    """Whose reference clip sounds nearest."""
    from tools.nano.judge import Voices

    encoder = Voices()

    def embed(clip: AudioClip) -> np.ndarray:
        return encoder.embed(clip.samples[0].numpy(), clip.sample_rate)

    known = {name: embed(AudioClip.load(file)) for name, file in embedded_voices().items()}
    return lambda clip: max(known, key=lambda name: float(known[name] @ embed(clip)))


@pytest.fixture(scope="module")
def say(model, codec):
    def say(text: str, *chosen: Voice, seed: int = 1, temperature: float = 0.3):
        prompt = build_prompt(conversation(text, chosen), model.tokenizer)
        take = generate(model, [prompt], Sampling(temperature=temperature, seed=seed, max_frames=900))[0]
        return take, codec.decode(take.codes)

    return say


# ---- what it is ----------------------------------------------------------------------------------------------------


def test_it_is_small_and_has_a_card():
    files = [file for file in EMBEDDED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 30e6
    card = (EMBEDDED / "README.md").read_text(encoding="utf-8")
    assert "demonstration" in card and "WER" in card and "flite" in card and "@" not in card


def test_it_has_the_released_numbers(model, codec):
    config = model.config
    assert (config.num_codebooks, config.codebook_size, config.codebook_rows) == (8, 1024, 1026)
    assert (codec.sample_rate, codec.frame_rate, codec.num_codebooks, codec.codebook_size) == (24_000, 25.0, 8, 1024)
    assert config.codec_identity == codec.identity and codec.named_codes_only and config.display_name == "Higgs Nano"
    assert 250 <= len(config.vocabulary) <= 410


def test_it_is_float16_on_disk():
    from safetensors import safe_open

    for folder in ("higgs-nano", "higgs-nano-codec"):
        with safe_open(EMBEDDED / folder / "model.safetensors", "pt") as file:
            assert {str(file.get_slice(key).get_dtype()) for key in file.keys()} <= {"F16", "I64", "BOOL"}  # noqa: SIM118


def test_its_clips_are_voices_and_a_bed():
    assert tuple(embedded_voices()) == VOICES and set(embedded_clips()) - set(VOICES) == {"bed"}
    for file in embedded_clips().values():
        clip = AudioClip.load(file)
        assert clip.sample_rate == 24_000 and 3 <= clip.samples.shape[1] / 24_000 <= 15


# ---- transformers reads it too -------------------------------------------------------------------------------------


def test_transformers_computes_the_same_logits(model, voices):
    from transformers import HiggsAudioV2ForConditionalGeneration

    theirs = HiggsAudioV2ForConditionalGeneration.from_pretrained(EMBEDDED / "higgs-nano", dtype=torch.float32).eval()
    prompt = build_prompt(conversation("The dog has seven friends.", [voices["ross"]]), model.tokenizer)
    rows = prompt.audio_rows[None]
    with torch.no_grad():
        there = {"audio_input_ids": rows, "audio_input_ids_mask": torch.ones(rows.shape[:2], dtype=torch.bool)}
        expected = theirs(input_ids=prompt.token_ids[None], **there).logits[0]
    expected = expected.view(len(prompt.token_ids), 8, 1026)
    assert (model.logits(prompt) - expected).abs().max() < 1e-3


def test_transformers_reads_its_tokenizer(model):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(EMBEDDED / "higgs-nano")
    text = "[SPEAKER0] Hello, it’s 7 o'clock!"
    assert theirs(text, add_special_tokens=False)["input_ids"] == model.tokenizer.encode(text)


@pytest.mark.slow
def test_transformers_encodes_and_decodes_alike(codec):
    from transformers import HiggsAudioV2TokenizerModel

    theirs = HiggsAudioV2TokenizerModel.from_pretrained(EMBEDDED / "higgs-nano-codec", dtype=torch.float32).eval()
    clip = AudioClip.load(embedded_voices()["alan"])
    with torch.no_grad():
        codes = theirs.encode(clip.samples[None]).audio_codes
        wave = theirs.decode(codes).audio_values
    ours = codec.encode(clip)
    assert torch.equal(ours.ids, codes[0])
    assert (codec.decode(ours, edges=False).samples - wave[0]).abs().max() < 1e-4


# ---- what it says --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", VOICES)
def test_codec_keeps_the_words(codec, ears, name):
    file = embedded_voices()[name]
    written = file.with_suffix(".txt").read_text(encoding="utf-8")
    assert ears.share_heard(written, codec.decode(codec.encode(AudioClip.load(file)))) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", VOICES)
def test_it_speaks_the_text_and_stops(say, voices, ears, name):
    """A single word may be misheard; the figures of the card are over 200 lines."""
    from tools.nano.corpus import held_out_sentences

    texts = held_out_sentences(LINES * len(VOICES))[VOICES.index(name) :: len(VOICES)]
    takes = [say(text, voices[name]) for text in texts]
    assert all(take.finish_reason == "stop" for take, _ in takes)
    shares = [ears.share_heard(text, clip) for text, (_, clip) in zip(texts, takes, strict=True)]
    assert sum(shares) / LINES >= 0.7, [ears.hear(clip) for _, clip in takes]


@pytest.mark.slow
def test_the_voice_is_that_of_the_reference(say, voices, speaker_of):
    for name, voice in voices.items():
        assert speaker_of(say("My name is Emma, and the weather is beautiful today.", voice)[1]) == name


@pytest.mark.slow
def test_without_a_reference_it_chooses_a_voice_and_keeps_the_words(say, ears):
    take, clip = say("Good morning, everyone. Welcome to the hotel.")
    assert take.finish_reason == "stop"
    assert ears.share_heard("Good morning, everyone. Welcome to the hotel.", clip) >= 0.7


@pytest.mark.slow
def test_two_speakers_are_distinguishable(say, voices, ears, speaker_of):
    text = "[SPEAKER0] Where is the old bridge?\n[SPEAKER1] Turn left at the station, then walk straight."
    take, clip = say(text, voices["rose"], voices["ross"])
    assert take.finish_reason == "stop" and ears.share_heard(text, clip) >= 0.7, ears.hear(clip)
    samples = clip.samples.shape[1]
    assert speaker_of(AudioClip(clip.samples[:, : samples * 2 // 5], 24_000)) == "rose"
    assert speaker_of(AudioClip(clip.samples[:, samples // 2 :], 24_000)) == "ross"


def test_figures_are_read_as_their_words(say, voices):
    texts = "I have seven books.", "I have 7 books."
    written, figures = (say(text, voices["bear"], temperature=0.0)[0] for text in texts)
    assert torch.equal(written.codes.ids, figures.codes.ids)


@pytest.mark.slow
def test_words_that_it_does_not_know_are_named_and_passed_over(model, say, voices, ears):
    prompt = build_prompt(conversation("The zebra is here.", [voices["ross"]]), model.tokenizer)
    [warning] = prompt.warnings
    assert "Higgs Nano does not know: zebra" in warning
    take, _ = say("The zebra is here.", voices["ross"])
    assert take.finish_reason == "stop" and take.frames < 100


@pytest.mark.slow
def test_an_unknown_speaker_gets_one_of_its_voices(codec, say, ears):
    """Noise and hum are no voice that it knows; it still says the words and stops."""
    wave = 0.1 * torch.sin(2 * np.pi * 150 * torch.arange(72_000) / 24_000) + 0.01 * torch.randn(72_000)
    stranger = Voice(codes=codec.encode(AudioClip(wave[None], 24_000)), transcript="Words that nobody said.")
    take, _ = say("I am very happy today.", stranger)
    assert take.finish_reason == "stop"


@pytest.mark.slow
def test_words_are_understood_through_the_mix(say, voices, ears):
    _, clip = say("Please listen to the new song.", voices["ross"])
    mixed = mix([Track(clip, start_s=0.5), Track(AudioClip.load(embedded_clips()["bed"]), gain_db=-18.0)])
    assert ears.share_heard("Please listen to the new song.", mixed) >= 0.7


# ---- as people first meet it ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_higgs_say_speaks_without_a_model(tmp_path, ears):
    """In a folder with nothing in it, as after an installation."""
    env = {key: value for key, value in os.environ.items() if key not in ("HIGGS_MODELS", "COMFYUI_PATH")}
    env["PYTHONPATH"] = str(ROOT)
    say = ["say", "Hello, my name is Anna.", "--voice", "rose", "-o", "a.flac"]
    command = [sys.executable, "-m", "higgs_runtime.cli", *say]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Speaking with Higgs Nano, a tiny demonstration model" in done.stderr
    assert ears.share_heard("Hello, my name is Anna.", AudioClip.load(tmp_path / "a.flac")) >= 0.6
