"""Sampling against transformers' warpers and a literal Python loop."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import Sampling, SettingError
from higgs_runtime.sampling import probabilities, sample

K, V, ENTRIES = 8, 1026, 1024


def random_logits(seed, scale=4.0):
    return torch.randn((K, V), generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("temperature, top_k, top_p", [
    (1.0, 0, 1.0), (0.3, 50, 0.95), (1.0, 50, 0.95), (0.7, 0, 0.9), (1.5, 5, 1.0), (2.0, 1, 0.5), (1.0, 0, 0.01),
    (0.05, 1025, 0.999), (1.0, 1026, 0.5), (1.0, 5000, 1.0),
])
def test_probabilities_are_those_of_the_warpers(temperature, top_k, top_p, record_property):
    from transformers.generation.logits_process import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    deviation = 0.0
    for seed in range(20):
        scores = logits = random_logits(seed)
        if seed % 4 == 3:
            scores = logits = logits.bfloat16().float()  # ties
        scores = TemperatureLogitsWarper(temperature)(None, scores)
        scores = TopKLogitsWarper(top_k)(None, scores) if top_k else scores
        scores = TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores
        ours = probabilities(logits, Sampling(temperature, top_k, top_p))
        deviation = max(deviation, (ours - scores.softmax(-1)).abs().max().item())
    record_property("deviation", deviation)
    assert deviation < 1e-6


def test_temperature_zero_is_the_most_likely_id():
    logits = random_logits(1)
    ids = sample(logits, torch.empty((0, K), dtype=torch.long), Sampling(temperature=0), generator(3), ENTRIES)
    assert torch.equal(ids, logits.argmax(-1))


def test_temperature_zero_stays_with_a_repeated_id_for_every_seed():
    logits = random_logits(1)
    history = logits.argmax(-1).expand(7, K)
    ids = [sample(logits, history, Sampling(temperature=0), generator(seed), ENTRIES) for seed in range(5)]
    assert all(torch.equal(one, logits.argmax(-1)) for one in ids)


def test_a_zero_among_the_random_numbers_rules_no_id_out(monkeypatch):
    logits = torch.tensor([[0.0, 0.0, 9.0]])
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    ids = sample(logits, torch.empty((0, 1), dtype=torch.long), Sampling(temperature=0), generator(0), 3)
    assert ids.tolist() == [2]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_draws_follow_the_distribution():
    """A chi-square bound on 20,000 draws of a short distribution; uniform draws would exceed it by far."""
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, ras_window=0)
    source, counts = generator(0), torch.zeros(4)
    history = torch.empty((0, 1), dtype=torch.long)
    for _ in range(20_000):
        counts[sample(logits, history, sampling, source, 4)] += 1
    expected = torch.tensor([0.5, 0.3, 0.15, 0.05]) * 20_000
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # 0.1 % of a chi-square with 3 degrees of freedom


def literal_ras(first, second, history, window, max_repeats):
    """The rule, word by word, for one step."""
    out = []
    for k in range(len(first)):
        seen = 0
        for row in history[-window:]:
            if row[k] == first[k] and row[k] < ENTRIES:
                seen += 1
        out.append(second[k] if seen >= max_repeats else first[k])
    return out


@pytest.mark.parametrize("window, max_repeats", [(7, 2), (1, 1), (3, 3), (20, 4)])
def test_repetition_aware_sampling_is_the_literal_loop(window, max_repeats):
    """Over 100 steps of peaked logits, where repetitions abound; drawn again from raw logits."""
    plain = Sampling(temperature=0.4, top_k=3, top_p=0.9, ras_window=0)
    raw = Sampling(temperature=1.0, top_k=0, top_p=1.0, ras_window=0)
    ras = Sampling(temperature=0.4, top_k=3, top_p=0.9, ras_window=window, ras_max_repeats=max_repeats)
    base = random_logits(9, scale=3.0)
    base[:, ENTRIES] += 6  # stream ids repeat too and must not count
    history, replaced = [], 0
    for step in range(100):
        logits = base + 0.5 * random_logits(step, scale=1.0)
        rows = torch.tensor(history or [[0] * K])[len(history) == 0:].view(-1, K)
        ids = sample(logits, rows, ras, generator(step), ENTRIES).tolist()
        first = sample(logits, rows, plain, generator(step), ENTRIES).tolist()
        # The second draw uses the second half of the same noise.
        noise = -torch.rand((2, K, V), generator=generator(step)).clamp(min=1e-8).log()
        second = (probabilities(logits, raw) / noise[1]).argmax(-1).tolist()
        expected = literal_ras(first, second, history, window, max_repeats)
        replaced += expected != first
        assert ids == expected
        history.append(ids)
    assert replaced > 10


def test_each_codebook_draws_independently():
    """Changing one codebook's logits leaves the others' ids alone."""
    sampling, empty = Sampling(temperature=1.0), torch.empty((0, K), dtype=torch.long)
    logits = random_logits(2)
    before = sample(logits, empty, sampling, generator(5), ENTRIES)
    logits[3] = -logits[3]
    after = sample(logits, empty, sampling, generator(5), ENTRIES)
    assert torch.equal(before[[0, 1, 2, 4, 5, 6, 7]], after[[0, 1, 2, 4, 5, 6, 7]])


@pytest.mark.parametrize("field, value", [
    ("temperature", -0.1), ("temperature", float("nan")), ("temperature", float("inf")), ("top_k", -1), ("top_p", 1.1),
    ("top_p", -0.1), ("seed", -1), ("seed", 2**64), ("ras_window", -1), ("ras_max_repeats", 0), ("max_frames", 0),
])
def test_settings_out_of_range(field, value):
    with pytest.raises(SettingError, match=field):
        Sampling(**{field: value})
