"""The compiled step against its slow twin: the same numbers and ids, in any batch, by any number of threads."""

from __future__ import annotations

import copy
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers_session import lines, same, settings, some_model
from torch import nn

from higgs_runtime import Sampling, Session, SettingError, build_prompt, conversation, load_model
from higgs_runtime.generation import cpu_kernel as fused_module
from higgs_runtime.generation.cpu_kernel import fused_step, step as step_module
from higgs_runtime.generation.cpu_kernel.draws import draw as compiled_draw
from higgs_runtime.generation.sampling import Settings, sample
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.model.config import V2_SAMPLING, ModelConfig
from higgs_runtime.model.delay import V3_STOP
from higgs_runtime.model.transformer import HiggsModel

PLAIN = ModelConfig(
    vocab_size=32,
    hidden_size=48,
    intermediate_size=72,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    head_dim=16,
    norm_eps=1e-5,
    max_positions=512,
    num_codebooks=4,
    codebook_rows=66,
    audio_token_id=1,
    audio_delay_token_id=2,
    audio_bos_token_id=3,
    stream_bos_id=64,
    stream_eos_id=65,
)
SHAPES = {
    "v2": PLAIN,
    "v3": replace(PLAIN, audio_path=False, qk_norm=True, begin_is_token=True, stop=V3_STOP),
    "text-only layers": replace(PLAIN, text_only_layers=frozenset({1})),
    "every head its own": replace(PLAIN, num_kv_heads=6),
    "one codebook": replace(PLAIN, num_codebooks=1, codebook_rows=72, stream_bos_id=70, stream_eos_id=71),
}
ASKED = Sampling(ras_window=0).filled_in(V2_SAMPLING)  # as a session hands it on
FILLED = (0, 1, 7, 30, 12, 3, 21, 5, 9)  # positions that rows have read


def random_model(config: ModelConfig) -> HiggsModel:
    torch.manual_seed(0)
    model = HiggsModel(config).requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.normal_(1.0 if "norm" in name else 0.0, 0.1 if "norm" in name else weight.shape[-1] ** -0.5)
    return model


def filled_cache(model, rows):
    cache = model.new_cache(64, rows)
    generator = torch.Generator().manual_seed(1)
    for row in range(rows):
        cache.lengths[row] = FILLED[row]
        for store in (cache.keys, cache.values):
            store[:, row, :, : FILLED[row]] = torch.randn(store[:, row, :, : FILLED[row]].shape, generator=generator)
    return cache


def some_ids(config, rows):
    ids = torch.randint(config.codebook_rows, (rows, config.num_codebooks), generator=torch.Generator().manual_seed(2))
    ids[0] = config.stream_bos_id
    return ids


def fused_logits(model, cache, ids, threads=None):
    step = step_module.FusedStep(model, cache, threads)
    step.speak_as([ASKED] * len(ids))
    step.draw(ids, ids[:0].new_zeros((0, *ids.shape)), torch.rand(2, *ids.shape))
    return step.logits(len(ids)).clone()


def plain_logits(model, cache, ids):
    return model.step(ids, cache.next(torch.tensor(cache.lengths), max(cache.lengths) + 1))


# ---- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 4, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_and_cache_are_those_of_the_plain_step(shape, rows):
    model = random_model(SHAPES[shape])
    ours, theirs, ids = filled_cache(model, rows), filled_cache(model, rows), some_ids(model.config, rows)
    assert fused_step(model, ours) is not None
    wanted = plain_logits(model, theirs, ids)
    assert torch.allclose(fused_logits(model, ours, ids), wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0)
    for mine, other in ((ours.keys, theirs.keys), (ours.values, theirs.values)):
        assert torch.allclose(mine, other, atol=1e-5)


def test_it_rounds_no_worse_than_torch():
    config = replace(PLAIN, hidden_size=256, intermediate_size=704, num_layers=6)
    model = random_model(config)
    exact, ids = copy.deepcopy(model).double(), some_ids(config, 8)
    wide = filled_cache(model, 8)
    wide.keys, wide.values, wide.rope = wide.keys.double(), wide.values.double(), wide.rope.double()
    wanted = plain_logits(exact, wide, ids)
    ours, theirs = (run(model, filled_cache(model, 8), ids).double() for run in (fused_logits, plain_logits))
    assert (ours - wanted).norm() < 1.5 * (theirs - wanted).norm()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_is_bit_identical_in_any_batch_and_with_any_number_of_threads(threads):
    model = random_model(PLAIN)
    ids, together = some_ids(PLAIN, 9), fused_logits(model, filled_cache(model, 9), some_ids(PLAIN, 9), threads=1)
    for rows in (1, 2, 5, 9):
        assert torch.equal(fused_logits(model, filled_cache(model, rows), ids[:rows], threads), together[:rows])


# ---- draws ---------------------------------------------------------------------------------------------------------


def drawn(logits, history, sampling, uniform, entries):
    """As `sample`, by the compiled function; also where logits were not finite."""
    rows, codebooks, ids = logits.shape
    columns = step_module.columns_of(sampling, ids)
    found = np.zeros((rows, codebooks), np.int64), np.zeros((rows, codebooks), np.float32)
    compiled_draw(logits.reshape(rows, -1).numpy(), (*columns, entries, history.numpy(), uniform.numpy()), found, 0, 1)
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


@pytest.mark.numeric
@pytest.mark.parametrize("scale", [0.5, 4.0, 30.0])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"top_k": 0, "top_p": 1.0},
        {"top_k": 5, "top_p": 1.0},
        {"top_k": 0, "top_p": 0.8},
        {"top_k": 1},
        {"temperature": 0.0},
        {"top_p": 0.0},
        {"top_k": 3, "ras_window": 7, "ras_max_repeats": 1},
        {"top_k": 2, "ras_window": 3, "ras_max_repeats": 2},
        {"top_k": 1000},
    ],
    ids=str,
)
def test_ids_are_those_of_the_plain_sampling(chosen, scale):
    generator = torch.Generator().manual_seed(3)
    asked = [Sampling(**{"temperature": 0.7, "ras_window": 0, **chosen}), Sampling(temperature=1.3, ras_window=2)]
    sampling = [one.filled_in(V2_SAMPLING) for one in asked]
    logits = torch.randn(2, 200, 66, generator=generator) * scale
    history = torch.randint(66, (7, 2, 200), generator=generator)
    history[:, 0, ::2] = logits[0, ::2].argmax(dim=-1)  # what a narrow choice repeats
    uniform = torch.rand(2, 2, 200, generator=generator)
    ids, broken = drawn(logits, history, sampling, uniform, 64)
    assert torch.equal(ids, sample(logits, history, Settings.of(sampling, 66, 7), uniform, 64))
    assert not broken.any() and len(ids.unique()) > 20


@pytest.mark.numeric
def test_equal_logits_at_an_edge_stay_together():
    logits = torch.zeros(1, 400, 16)
    logits[..., 3:8] = 2.0
    uniform = torch.rand(2, 1, 400)
    for chosen in ({"top_k": 2, "top_p": 1.0}, {"top_k": 0, "top_p": 0.01}):
        sampling = [Sampling(temperature=1.0, ras_window=0, **chosen)]
        assert drawn(logits, torch.zeros(0, 1, 400, dtype=torch.long), sampling, uniform, 16)[0].unique().tolist() == [
            3,
            4,
            5,
            6,
            7,
        ]


@pytest.mark.numeric
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_non_finite_logits_are_reported_and_still_give_ids(bad, temperature):
    logits = torch.randn(2, 3, 66)
    logits[1, 2, 5] = bad
    ids, broken = drawn(
        logits,
        torch.zeros(0, 2, 3, dtype=torch.long),
        [replace(ASKED, temperature=temperature)] * 2,
        torch.rand(2, 2, 3),
        64,
    )
    assert broken.isnan().tolist() == [[False] * 3, [False, False, True]]
    assert ((ids >= 0) & (ids < 66)).all()


@pytest.mark.numeric
def test_a_filtered_id_is_never_drawn():
    logits = torch.randn(1, 500, 66)
    for number in (0.0, 1e-7, 0.5, 1 - 2**-24, 1.0):
        ids, _ = drawn(
            logits,
            torch.zeros(0, 1, 500, dtype=torch.long),
            [replace(ASKED, top_k=4, top_p=1.0)],
            torch.full((2, 1, 500), number),
            64,
        )
        assert (logits.gather(-1, ids[..., None]) >= logits.topk(4).values[..., -1:]).all()


# ---- takes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return some_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("batch", [3, *(pytest.param(rows, marks=pytest.mark.numeric) for rows in (1, 8))])
def test_takes_are_those_of_the_plain_step(model, batch, monkeypatch):
    # A number can fall where the two round to different sides, in some 1 of 10,000 draws; of these seeds none does.
    used, chosen = [], settings(seed=8)
    assert fused_step(model, model.new_cache(8, 1)) is not None  # it looks at the compiled function once
    monkeypatch.setattr(step_module.kernels, "step", counted(step_module.kernels.step, used))
    found = Session(model, batch=batch).generate(lines(model), chosen)
    assert used, "the compiled step is what runs by default"
    used.clear()
    plain = Session(model, batch=batch, fused=False).generate(lines(model), chosen)
    assert not used and all(same(a, b) for a, b in zip(found, plain, strict=True))


def counted(call, calls):
    def wrapper(*args):
        calls.append(1)
        return call(*args)

    wrapper.overloads = call.overloads
    return wrapper


def test_nano_says_the_same_with_both():
    nano = load_model(EMBEDDED / "higgs-nano")
    prompts = [build_prompt(conversation(text), nano.tokenizer) for text in ("The old bridge.", "A quiet night.")]
    chosen = [Sampling(seed=5, max_frames=60), Sampling(seed=6, max_frames=60, temperature=1.0)]
    both = [Session(nano, fused=fused).generate(prompts, chosen) for fused in (True, False)]
    assert all(same(a, b) for a, b in zip(*both, strict=True))


def test_weights_may_move_between_two_runs(model):
    """As when a model is unloaded and loaded again: addresses are looked up anew."""
    own = copy.deepcopy(model)
    own.tokenizer = model.tokenizer
    session, prompt, chosen = Session(own), lines(model)[0], settings()[0]
    first = session.generate([prompt], chosen)[0]
    for weight in own.parameters():
        old, weight.data = weight.data, weight.data.clone()
        old.fill_(float("nan"))
    assert same(session.generate([prompt], chosen)[0], first)


# ---- what it does not serve ----------------------------------------------------------------------------------------


def test_unsupported_models_take_the_plain_step(monkeypatch):
    model = random_model(PLAIN)
    assert fused_step(model, model.new_cache(8, dtype=torch.bfloat16)) is None
    half = copy.deepcopy(model).half()
    assert fused_step(half, half.new_cache(8)) is None and fused_step(half, model.new_cache(8)) is None
    uneven = copy.deepcopy(model).bfloat16()  # 48 features
    assert fused_step(uneven, uneven.new_cache(8)) is None
    for change in ({"attention_bias": True}, {"ffn_bias": True}, {"intermediate_size": 76}, {"codebook_rows": 67}):
        other = random_model(replace(PLAIN, **change))
        assert fused_step(other, other.new_cache(8)) is None, change
    watched = copy.deepcopy(model)
    watched.layers[1].register_forward_hook(lambda *_: None)
    assert fused_step(watched, watched.new_cache(8)) is None
    changed = copy.deepcopy(model)
    changed.layers[0].attention.o = nn.Linear(96, 48, bias=False)
    assert fused_step(changed, changed.new_cache(8)) is None


def test_without_numba_it_warns_once_and_speaks(model, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "higgs_runtime.generation.cpu_kernel.step", None)
    monkeypatch.delattr(fused_module, "step", raising=False)
    fused_module._preparing.cache_clear()
    try:
        takes = [Session(model).generate(lines(model)[:1], settings()[:1])[0] for _ in range(2)]
    finally:
        fused_module._preparing.cache_clear()
    assert same(*takes) and sum("slower" in record.message for record in caplog.records) == 1


# ---- faults --------------------------------------------------------------------------------------------------------


def test_a_full_row_is_refused_before_anything_is_written():
    model = random_model(PLAIN)
    cache = filled_cache(model, 2)
    cache.lengths[1] = cache.capacity
    with pytest.raises(SettingError, match="full"):
        fused_logits(model, cache, some_ids(PLAIN, 2))


@pytest.mark.timeout(60)
def test_an_error_in_one_thread_leaves_no_other_waiting(monkeypatch):
    """The first thread never comes, as after Ctrl-C at a bad moment; the others end, and the next step is right."""
    model = random_model(PLAIN)
    cache, ids, real = filled_cache(model, 2), some_ids(PLAIN, 2), step_module.kernels.step
    step = step_module.FusedStep(model, cache, threads=2)
    step.speak_as([ASKED] * 2)
    wanted = plain_logits(model, filled_cache(model, 2), ids)

    def interrupted(*args):
        if args[-2] == 0:
            time.sleep(0.05)
            raise KeyboardInterrupt
        return real(*args)

    interrupted.overloads = real.overloads
    history, uniform = ids.new_zeros((0, *ids.shape)), torch.rand(2, *ids.shape)
    with monkeypatch.context() as patch:
        patch.setattr(step_module.kernels, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            step.draw(ids, history, uniform)
    step.draw(ids, history, uniform)
    assert torch.allclose(step.logits(2), wanted, atol=1e-4)


def test_threads_go_with_the_run(model):
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    others = set(threading.enumerate())  # of a run that another test left open

    def started() -> list[str]:
        return [one.name for one in threading.enumerate() if one not in others and one.name.startswith("higgs-step")]

    try:
        session = Session(model)  # stays
        session.generate(lines(model)[:1], settings()[:1])
    finally:
        torch.set_num_threads(torch_threads)
    deadline = time.monotonic() + 5
    while started() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not started()
