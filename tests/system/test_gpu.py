"""What only a GPU can show. Skipped where there is none; docs/performance.md lists these as not run."""

from __future__ import annotations

import gc

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint, sound_clip
from helpers_forms import in_float8

from higgs_runtime import Message, Sampling, Session, build_prompt, generate, load_codec, load_model
from higgs_runtime.hub.cache import ModelCache, ModelKey
from higgs_runtime.model import quantization as quantized

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


@pytest.mark.parametrize("capture", [False, True])
def test_rows_side_by_side_are_those_alone_recorded_or_not(lm_folder, capture):
    model = load_model(lm_folder, device="cuda")
    chosen = [Sampling(temperature=0, max_frames=20 + 9 * n) for n in range(6)]
    takes = Session(model, batch=4, capture=capture).generate([prompt_for(model)] * 6, chosen)
    alone = [Session(model, capture=False).generate([prompt_for(model)], [one])[0] for one in chosen]
    assert all(torch.equal(a.rows, b.rows) for a, b in zip(takes, alone, strict=True))


def test_a_seed_means_the_same_as_on_the_cpu(lm_folder):
    """The random numbers are drawn on the CPU for every device."""
    chosen = Sampling(temperature=0.8, max_frames=30, seed=5)
    codes = [
        generate(model, [prompt_for(model)], chosen)[0].codes.ids
        for model in (load_model(lm_folder), load_model(lm_folder, device="cuda"))
    ]
    assert (codes[0] == codes[1]).float().mean() > 0.5, "a near tie may fall the other way, and the take goes its own"


@pytest.mark.parametrize("quantization", ["int8", "int4", "fp8"])
def test_quantized_weights_speak(lm_folder, quantization):
    model = load_model(lm_folder, device="cuda", dtype=torch.bfloat16, quantization=quantization)
    assert generate(model, [prompt_for(model)], Sampling(max_frames=20))[0].frames == 20


def test_8_bit_floats_are_multiplied_as_their_slow_twin_does():
    """On compute capability 8.9 and newer; on others torch has no such product, and they are widened."""
    has_it = torch.cuda.get_device_capability() >= (8, 9)
    assert quantized.multiplies_float8("cuda:0") == has_it
    if not has_it:
        pytest.skip("this GPU does not multiply 8-bit floats")
    for count, rows, features in ((1, 2560, 9728), (16, 4096, 2560), (700, 1024, 2560)):
        draw = torch.Generator().manual_seed(count)
        x = torch.randn(count, features, generator=draw).to("cuda", torch.bfloat16)
        weight, scale = quantized._pack_float8(torch.randn(rows, features, generator=draw).cuda())
        found, wanted = (one(x, weight, scale) for one in (quantized.float8_product, quantized.float8_product_widened))
        assert (found - wanted).float().square().mean().sqrt() < 0.01 * wanted.float().square().mean().sqrt()


def test_a_checkpoint_in_8_bit_floats_stays_so_and_speaks(lm_folder, tmp_path):
    folder, _ = in_float8(lm_folder, tmp_path / "float8", "{0}_scale:channel")
    kept = load_model(folder, device="cuda", dtype=torch.bfloat16)
    has_it = torch.cuda.get_device_capability() >= (8, 9)
    assert isinstance(kept.layers[0].attention.o, quantized.Float8Linear) == has_it
    exact = load_model(folder, device="cuda")
    assert not isinstance(exact.layers[0].attention.o, quantized.Float8Linear)
    prompt = prompt_for(exact)
    one, other = kept.logits(prompt).flatten().float(), exact.logits(prompt).flatten()
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99
    for capture in (False, True):
        take = Session(kept, capture=capture).generate([prompt], [Sampling(temperature=0, max_frames=20)])[0]
        assert take.frames == 20


def test_a_session_gives_its_memory_back(lm_folder):
    model = load_model(lm_folder, device="cuda")
    Session(model).generate([prompt_for(model)] * 3, Sampling(max_frames=10))  # what libraries keep for themselves
    before = torch.cuda.memory_allocated()
    session = Session(model)
    session.generate([prompt_for(model)] * 3, Sampling(max_frames=10))
    assert torch.cuda.memory_allocated() > before
    del session
    assert torch.cuda.memory_allocated() == before


def test_codec_is_that_of_the_cpu(tmp_path):
    folder = make_codec_checkpoint(tmp_path)
    on_cpu, on_gpu = load_codec(folder), load_codec(folder, device="cuda")
    clip = sound_clip(3.0)
    codes = on_cpu.encode(clip)
    wanted = on_cpu.decode(codes).samples
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # numbers as long as the CPU's
        assert (on_gpu.encode(clip).ids == codes.ids).float().mean() > 0.99
        assert (on_gpu.decode(codes).samples - wanted).abs().max() < 1e-3
    assert (on_gpu.decode(codes).samples - wanted).abs().max() < 0.02, "as torch multiplies by default: 10 bits"


def test_eviction_gives_the_memory_back(lm_folder):
    warm = load_model(lm_folder, device="cuda")
    generate(warm, [prompt_for(warm)], Sampling(max_frames=10))  # what libraries keep for themselves
    del warm
    gc.collect()
    cache, before = ModelCache(), torch.cuda.memory_allocated()
    key = ModelKey.of("lm", lm_folder, device="cuda", dtype=torch.float32)
    with cache.use(key, lambda: load_model(lm_folder, device="cuda")) as model:
        generate(model, [prompt_for(model)], Sampling(max_frames=10))
        assert torch.cuda.memory_allocated() > before
    del model
    cache.clear()
    gc.collect()
    assert torch.cuda.memory_allocated() == before
