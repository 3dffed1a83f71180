"""Generation as its callers see it: hooks, limits, seeds, cancelling, and the cache behind it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from helpers_checkpoint import ROOT, make_lm_checkpoint, random_codes

from higgs_runtime import (
    Message,
    NumericError,
    PromptError,
    Sampling,
    Session,
    SettingError,
    build_prompt,
    devices,
    generate,
    load_model,
)
from higgs_runtime.devices import prefill_chunk
from higgs_runtime.generation.prefill import prefill
from higgs_runtime.model.transformer import HiggsModel, Routing


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=0))


def prompt_for(model, text, frames=10):
    messages = [Message("system", "Speak."), Message("user", "Reference."), Message("assistant", random_codes(frames))]
    return build_prompt([*messages, Message("user", text)], model.tokenizer)


SAMPLING = Sampling(temperature=1.0, top_k=0, top_p=1.0, max_frames=20, seed=7)


def test_same_seed_same_codes_and_another_seed_others(model):
    prompt = prompt_for(model, "Hello.")
    first, again = (generate(model, [prompt], SAMPLING)[0].codes.ids for _ in range(2))
    other = generate(model, [prompt], Sampling(temperature=1.0, top_k=0, top_p=1.0, max_frames=20, seed=8))[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other.codes.ids)


def test_a_line_is_the_same_alone_and_in_a_batch(model):
    prompts = [prompt_for(model, text, frames) for text, frames in (("One.", 3), ("Two two.", 30), ("Three", 9))]
    together = generate(model, prompts, SAMPLING)
    backwards = generate(model, prompts[::-1], SAMPLING)[::-1]
    for prompt, a, b in zip(prompts, together, backwards, strict=True):
        alone = generate(model, [prompt], SAMPLING)[0]
        assert torch.equal(a.codes.ids, alone.codes.ids) and torch.equal(b.codes.ids, alone.codes.ids)


def test_the_global_generator_is_left_alone(model):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    generate(model, [prompt_for(model, "Hello.")], SAMPLING)
    assert torch.equal(torch.get_rng_state(), before)


def test_frames_of_the_hook_join_to_the_codes(model):
    prompts = [prompt_for(model, "One."), prompt_for(model, "Two.")]
    calls = []
    results = generate(model, prompts, SAMPLING, on_frames=lambda index, frames: calls.append((index, frames)))
    for index, result in enumerate(results):
        joined = torch.cat([frames for i, frames in calls if i == index], dim=1)
        assert torch.equal(joined, result.codes.ids)


def test_length_limit(model):
    result = generate(model, [prompt_for(model, "Hello.")], SAMPLING)[0]
    assert (result.finish_reason, result.frames, len(result.rows)) == ("length", 20, 28)
    assert result.codes.seconds == 20 / 25 and result.seconds > 0
    assert result.prompt_positions == len(prompt_for(model, "Hello."))


@pytest.mark.parametrize("after", [0, 1, 3, 9, 15])
def test_cancel_keeps_the_frames_so_far(model, after):
    """`after` looks at should_stop pass, the first of them before the prompt is read."""
    prompts = [prompt_for(model, "Hello."), prompt_for(model, "Never reached.")]
    looks = iter(range(1000))
    first, second = generate(model, prompts, SAMPLING, should_stop=lambda: next(looks) >= after, batch=1)
    whole = generate(model, prompts[:1], SAMPLING)[0]
    steps = after  # the first look lets the prompt be read, the stream-begin column needs none
    assert (first.finish_reason, second.finish_reason) == ("cancelled", "cancelled")
    assert torch.equal(first.rows, whole.rows[:steps])
    assert torch.equal(first.codes.ids, whole.codes.ids[:, : max(steps - 8, 0)])
    assert second.frames == 0 and len(second.rows) == 0


def test_a_line_that_should_end_ends_and_the_others_go_on(model):
    """The second of three lines, asked with all its frames so far; its row goes to the third."""
    prompts = [prompt_for(model, text) for text in ("One.", "Two.", "Three.")]
    whole, seen = generate(model, prompts, SAMPLING, batch=2), {0: 0, 1: 0, 2: 0}

    def should_end(index, frames):
        seen[index] += frames.shape[1]
        return index == 1 and seen[1] >= 5

    takes = generate(model, prompts, SAMPLING, batch=2, should_end=should_end)
    assert torch.equal(takes[0].rows, whole[0].rows) and torch.equal(takes[2].rows, whole[2].rows)
    assert takes[1].finish_reason == "length" and 5 <= takes[1].frames < 20
    assert torch.equal(takes[1].codes.ids, whole[1].codes.ids[:, : takes[1].frames]) and takes[1].frames == seen[1]


def test_a_line_can_end_before_its_first_frame(model):
    (take,) = generate(model, [prompt_for(model, "Hello.")], SAMPLING, should_end=lambda _index, _frames: True)
    assert (take.frames, take.finish_reason) == (0, "length")


def test_a_session_goes_on_behind_a_line_that_should_end(model):
    session, prompt = Session(model), prompt_for(model, "Hello.")
    session.generate([prompt], SAMPLING, should_end=lambda _index, frames: frames.shape[1] > 0)
    (take,) = session.generate([prompt], SAMPLING)
    assert torch.equal(take.rows, generate(model, [prompt], SAMPLING)[0].rows) and take.reused_positions > 0


def test_an_error_in_a_hook_reaches_the_caller(model):
    def broken(index, frames):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        generate(model, [prompt_for(model, "Hello.")], SAMPLING, on_frames=broken)


def test_too_long_for_the_model(model):
    with pytest.raises(PromptError, match="8192"):
        generate(model, [prompt_for(model, "Hello.")], Sampling(max_frames=9000))
    with pytest.raises(PromptError, match="shorter reference"):
        generate(model, [prompt_for(model, "Hello.", frames=9000)], Sampling(max_frames=10))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_out_of_range_are_an_error_not_noise(tmp_path, value):
    broken = load_model(make_lm_checkpoint(tmp_path, num_hidden_layers=1), dtype=torch.bfloat16)
    broken.audio_head.weight.data[5] = value
    with pytest.raises(NumericError, match="bfloat16 within .* first in audio_head"):
        generate(broken, [prompt_for(broken, "Hello.")], SAMPLING)


def test_no_prompts(model):
    assert generate(model, [], SAMPLING) == []


def test_reading_in_chunks_equals_reading_at_once(model):
    """With a cache full of NaN: a position that was not written would show."""
    prompt = prompt_for(model, "A somewhat longer text, so that there is something to cut.", frames=50)
    whole = model.logits(prompt)[-1]
    for chunk in (1, 7, 64, 10_000):
        cache = model.new_cache(len(prompt) + 5)
        cache.keys.fill_(torch.nan)
        cache.values.fill_(torch.nan)
        with torch.no_grad():
            hidden = prefill(model, prompt, cache, 0, lambda: False, chunk)
            assert (model.head(hidden) - whole).abs().max() < 1e-4
        assert cache.lengths == [len(prompt)]


def test_a_full_cache_says_so(model):
    cache = model.new_cache(4)
    with pytest.raises(SettingError, match="at most 4"):
        prefill(model, prompt_for(model, "Hello."), cache, 0, lambda: False)


def test_no_position_runs_through_both_paths(model: HiggsModel):
    """Counts the positions that each FFN sees: text and audio add up to the prompt."""
    seen = {"text": 0, "audio": 0}
    layer = model.layers[0]
    hooks = [
        getattr(layer, name).ffn.register_forward_hook(
            lambda module, inputs, output, name=name: seen.__setitem__(name, seen[name] + inputs[0].numel() // 64)
        )
        for name in seen
    ]
    prompt = prompt_for(model, "Hello there.")
    model.logits(prompt)
    assert seen == {"text": len(prompt) - len(prompt.audio_rows), "audio": len(prompt.audio_rows)}
    seen.update(text=0, audio=0)
    result = generate(model, [prompt], SAMPLING)[0]
    for hook in hooks:
        hook.remove()
    assert seen["text"] == len(prompt) - len(prompt.audio_rows)
    assert seen["audio"] == len(prompt.audio_rows) + len(result.rows) - 1


def test_prompts_that_do_not_fit(model):
    from higgs_runtime import Prompt

    good = prompt_for(model, "Hello.")
    for prompt, says in (
        (Prompt(good.token_ids, good.audio_rows[:-1]), "placeholders"),
        (Prompt(good.token_ids, good.audio_rows[:, :4]), "placeholders"),
        (Prompt(torch.tensor([200_000]), good.audio_rows[:0]), "does not have"),
        (Prompt(good.token_ids, good.audio_rows + 2), "does not have"),
        (Prompt(good.token_ids[:0], good.audio_rows[:0]), "empty"),
    ):
        with pytest.raises(PromptError, match=says):
            model.logits(prompt)


def test_batch_rows_do_not_see_each_other(model):
    """The step takes [B, K]: two rows give what each gives alone."""
    rows = torch.stack([random_codes(6, seed=n).ids.T for n in range(2)])  # [2, 6, K]
    with torch.no_grad():
        together, alone = model.new_cache(8, batch=2), [model.new_cache(8) for _ in range(2)]
        for step in range(6):
            both = model.step(rows[:, step], together.next(torch.tensor([step, step]), step + 1))
            together.add(0), together.add(1)
            for n in range(2):
                one = model.step(rows[n : n + 1, step], alone[n].extend(0, 1))[0]
                alone[n].add(0)
                assert (one - both[n]).abs().max() < 1e-4


def test_mixed_batch_is_routed_row_by_row(model):
    x = torch.randn((2, 5, 64), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, False, True, True, False], [False] * 5])
    with torch.no_grad():
        both = model(x, Routing.from_mask(mask))
        for n in range(2):
            assert (model(x[n : n + 1], Routing.from_mask(mask[n : n + 1]))[0] - both[n]).abs().max() < 1e-4


def test_a_prompt_is_read_in_parts_that_take_no_longer_for_a_larger_model(monkeypatch):
    """Cancel is asked for between two of them. 23.6 million products: hidden 512, 8 layers; 2.8 billion: v2."""
    cpu = torch.device("cpu")
    assert prefill_chunk(cpu, 1000) == 1024 and prefill_chunk(cpu, 23_600_000) == 338
    monkeypatch.setattr(devices, "has_bfloat16_products", lambda: True)
    assert prefill_chunk(cpu, 2_800_000_000, rounded=True) == 256 and prefill_chunk(cpu, 1000, rounded=True) == 1024
    monkeypatch.setattr(devices, "has_bfloat16_products", lambda: False)
    assert prefill_chunk(cpu, 2_800_000_000, rounded=True) == 128
    assert prefill_chunk(cpu, 2_800_000_000) == 128 and prefill_chunk(torch.device("cuda"), 2_800_000_000) == 1024


def test_products_of_a_position_are_the_weights_that_it_meets(tmp_path):
    model = load_model(make_lm_checkpoint(tmp_path))
    met = [
        weight.numel()
        for name, weight in model.named_parameters()
        if name.startswith("layers.") and ".audio." not in name and weight.ndim == 2
    ]
    assert model.config.products == sum(met)


def files_entered(call) -> set[str]:
    """The files of the runtime, as the repository names them, of which functions run during a call."""
    found, ours = set(), ROOT / "higgs_runtime"

    def look(frame, event, _argument):
        if event == "call":
            found.add(frame.f_code.co_filename)

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {Path(file).relative_to(ROOT).as_posix() for file in found if ours in Path(file).parents}


def test_the_page_on_architecture_names_the_files_of_a_prompts_path(model):
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("## The path of a prompt")[1].split("\n\n")[2]
    path = re.findall(r"^\| \d+ \| `(.+?)`", table, re.M)[1:]  # the first one lays the prompt out
    compiled, plain = map(int, re.search(r"enters (\d+) files.*?enters (\d+)\.", page, re.S).groups())
    prompt, fused = prompt_for(model, "Hello."), "higgs_runtime/generation/cpu_kernel/step.py"
    generate(model, [prompt], SAMPLING)  # so that what is imported, or compiled, at first use is there
    entered = files_entered(lambda: generate(model, [prompt], SAMPLING))
    slow = files_entered(lambda: Session(model, fused=False).generate([prompt], SAMPLING))
    assert len(path) == 9 and set(path) <= entered and set(path[1:]) <= slow and (fused in entered) > (fused in slow)
    assert (len(entered), len(slow)) == (compiled, plain), "docs/architecture.md tells other numbers"
    beside = {f"higgs_runtime/generation/{name}.py" for name in ("repetition", "request", "cuda_graphs", "ring")}
    generation = {file for file in slow if Path(file).parent.name == "generation"}
    assert generation == (set(path) | beside) - {path[0], "higgs_runtime/model/transformer.py"}
