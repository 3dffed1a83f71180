"""What only a GPU can show. Skipped where there is none; the README lists these as not run."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_codec import RATE, make_codec_checkpoint, sound_like

from higgs_runtime import (
    AudioClip,
    Message,
    ModelCache,
    ModelKey,
    Sampling,
    build_prompt,
    generate,
    load_codec,
    load_model,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=0)


def prompt_for(model):
    messages = [Message("system", "Speak."), Message("user", "Reference."), Message("assistant", random_codes(40))]
    return build_prompt([*messages, Message("user", "Hello there.")], model.tokenizer)


def test_logits_and_greedy_codes_are_those_of_the_cpu(lm_folder):
    ours, on_gpu = load_model(lm_folder), load_model(lm_folder, device="cuda")
    prompt = prompt_for(ours)
    assert (ours.logits(prompt) - on_gpu.logits(prompt).cpu()).abs().max() < 1e-3
    greedy = Sampling(temperature=0, max_frames=100)
    assert torch.equal(generate(ours, [prompt], greedy)[0].rows, generate(on_gpu, [prompt], greedy)[0].rows)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_speaks_and_repeats_itself(lm_folder, dtype):
    model = load_model(lm_folder, device="cuda", dtype=dtype)
    runs = [generate(model, [prompt_for(model)], Sampling(temperature=0.7, max_frames=50))[0] for _ in range(2)]
    assert runs[0].frames == 50 and torch.equal(runs[0].rows, runs[1].rows)


def test_codec_is_that_of_the_cpu(tmp_path):
    folder = make_codec_checkpoint(tmp_path)
    on_cpu, on_gpu = load_codec(folder), load_codec(folder, device="cuda")
    clip = AudioClip(sound_like(3.0)[None], RATE)
    codes = on_cpu.encode(clip)
    assert (on_gpu.encode(clip).ids == codes.ids).float().mean() > 0.99
    assert (on_gpu.decode(codes).samples - on_cpu.decode(codes).samples).abs().max() < 1e-3


def test_eviction_gives_the_memory_back(lm_folder):
    cache, before = ModelCache(), torch.cuda.memory_allocated()
    key = ModelKey.of("lm", lm_folder, device="cuda", dtype=torch.float32)
    with cache.use(key, lambda: load_model(lm_folder, device="cuda")) as model:
        generate(model, [prompt_for(model)], Sampling(max_frames=10))
        assert torch.cuda.memory_allocated() > before
    del model
    cache.clear()
    assert torch.cuda.memory_allocated() == before
