"""Sampling against transformers' warpers and a literal Python loop."""

from __future__ import annotations

import bisect
from itertools import accumulate

import pytest
import torch

from higgs_runtime import Sampling, SettingError
from higgs_runtime.generation.sampling import Settings, draw, probabilities, sample
from higgs_runtime.model.config import V2_SAMPLING

K, V, ENTRIES = 8, 1026, 1024
FILTERS = [
    (1.0, 0, 1.0),
    (0.3, 50, 0.95),
    (1.0, 50, 0.95),
    (0.7, 0, 0.9),
    (1.5, 5, 1.0),
    (2.0, 1, 0.5),
    (1.0, 0, 0.01),
    (0.05, 1025, 0.999),
    (1.0, 1026, 0.5),
    (1.0, 5000, 1.0),
]


def random_logits(seed, scale=4.0, rows=1):
    return torch.randn((rows, K, V), generator=torch.Generator().manual_seed(seed)) * scale


def uniform(seed, rows=1):
    return torch.rand((2, rows, K), generator=torch.Generator().manual_seed(seed))


def settings_of(*rows, history=0, ids=V):
    return Settings.of([row.filled_in(V2_SAMPLING) for row in rows], ids, history)


NO_HISTORY = torch.empty((0, 1, K), dtype=torch.long)


def warped(logits, temperature, top_k, top_p):
    """What transformers makes of logits [*, V]."""
    from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = TemperatureLogitsWarper(temperature)(None, logits)
    scores = TopKLogitsWarper(top_k)(None, scores) if top_k else scores
    return (TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores).softmax(-1)


@pytest.mark.parametrize("temperature, top_k, top_p", FILTERS)
def test_probabilities_are_those_of_the_warpers(temperature, top_k, top_p, record_property):
    deviation = 0.0
    for seed in range(20):
        logits = random_logits(seed)
        if seed % 4 == 3 and top_p == 1:
            logits = logits.bfloat16().float()  # ties; at the edge of top-p transformers cuts them as they are sorted
        ours = probabilities(logits, settings_of(Sampling(temperature=temperature, top_k=top_k, top_p=top_p)))
        deviation = max(deviation, (ours[0] - warped(logits[0], temperature, top_k, top_p)).abs().max().item())
    record_property("deviation", deviation)
    assert deviation < 1e-6


def test_rows_keep_their_own_settings():
    logits = random_logits(1, rows=len(FILTERS))
    ours = probabilities(logits, settings_of(*(Sampling(temperature=t, top_k=k, top_p=p) for t, k, p in FILTERS)))
    for row, one in enumerate(FILTERS):
        assert (ours[row] - warped(logits[row], *one)).abs().max() < 1e-6


def test_equally_likely_ids_stay_together():
    logits = torch.tensor([[[2.0, 1.0, 1.0, 1.0, 0.0]]])
    kept = probabilities(logits, settings_of(Sampling(temperature=1.0, top_k=0, top_p=0.6), ids=5)) > 0
    assert kept[0, 0].tolist() == [True, True, True, True, False]


def test_a_draw_is_where_the_number_falls():
    chances = random_logits(3).softmax(-1)
    for seed in range(50):
        numbers = uniform(seed)[0]
        ids = draw(chances, numbers)
        for k in range(K):
            reached = list(accumulate(chances[0, k].tolist()))
            found = bisect.bisect_right(reached, numbers[0, k].item() * reached[-1])
            assert abs(found - ids[0, k]) <= 1 and (
                found == ids[0, k] or abs(reached[min(found, ids[0, k])] - numbers[0, k].item()) < 1e-6
            )


@pytest.mark.parametrize("number", [0.0, 0.5, 1.0 - 2**-24, 1.0])
def test_the_ends_of_the_numbers_draw_ids_that_are_possible(number):
    chances = torch.tensor([[[0.0, 0.25, 0.0, 0.75, 0.0]]])
    assert draw(chances, torch.full((1, 1), number)).item() in (1, 3)


def test_a_broken_distribution_gives_an_id_all_the_same():
    assert draw(torch.full((1, 1, 5), torch.nan), torch.tensor([[0.5]])).item() == 4


def test_temperature_zero_is_the_most_likely_id():
    logits = random_logits(1)
    assert torch.equal(
        sample(logits, NO_HISTORY, settings_of(Sampling(temperature=0)), uniform(3), ENTRIES)[0], logits[0].argmax(-1)
    )


def test_temperature_zero_stays_with_a_repeated_id():
    logits = random_logits(1, rows=2)
    history = logits.argmax(-1).expand(7, 2, K)
    rows = settings_of(Sampling(temperature=0), Sampling(temperature=0.01, ras_window=7), history=7)
    ids = sample(logits, history, rows, uniform(5, rows=2), ENTRIES)
    assert torch.equal(ids[0], logits[0].argmax(-1)) and not torch.equal(ids[1], logits[1].argmax(-1))


def test_draws_follow_the_distribution():
    """A chi-square bound on 20,000 draws of a short distribution; uniform draws would exceed it by far."""
    logits = torch.log(torch.tensor([[[0.5, 0.3, 0.15, 0.05]]]))
    rows = 20_000
    settings = settings_of(*[Sampling(temperature=1.0, top_k=0, top_p=1.0, ras_window=0)] * rows, ids=4)
    numbers = torch.rand((2, rows, 1), generator=torch.Generator().manual_seed(0))
    ids = sample(logits.expand(rows, 1, 4), NO_HISTORY[..., :1].expand(0, rows, 1), settings, numbers, 4)
    counts = ids.flatten().bincount(minlength=4)
    expected = torch.tensor([0.5, 0.3, 0.15, 0.05]) * rows
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
    """Over 100 steps of peaked logits, where repetitions abound; drawn again from raw logits. The row beside it has a
    longer window, so the history is longer than this row looks back."""
    plain = settings_of(Sampling(temperature=0.4, top_k=3, top_p=0.9, ras_window=0))
    raw = settings_of(Sampling(temperature=1.0, top_k=0, top_p=1.0, ras_window=0))
    ras = settings_of(
        Sampling(temperature=0.4, top_k=3, top_p=0.9, ras_window=window, ras_max_repeats=max_repeats),
        Sampling(temperature=0.4, top_k=3, top_p=0.9, ras_window=25, ras_max_repeats=9),
        history=25,
    )
    base = random_logits(9, scale=3.0)
    base[..., ENTRIES] += 6  # stream ids repeat too and must not count
    history, replaced = torch.full((25, 2, K), ENTRIES + 1), 0
    for step in range(100):
        logits, numbers = base + 0.5 * random_logits(step, scale=1.0), uniform(step)
        both = sample(logits.expand(2, K, V), history, ras, numbers.expand(2, 2, K), ENTRIES)
        first = sample(logits, NO_HISTORY, plain, numbers, ENTRIES)[0].tolist()
        second = draw(probabilities(logits, raw), numbers[1])[0].tolist()
        expected = literal_ras(first, second, history[:, 0].tolist(), window, max_repeats)
        replaced += expected != first
        assert both[0].tolist() == expected
        history = torch.cat((history[1:], both[None]))
    assert replaced > 10


def test_each_codebook_draws_independently():
    """Changing one codebook's logits leaves the others' ids alone."""
    settings, logits = settings_of(Sampling(temperature=1.0)), random_logits(2)
    before = sample(logits, NO_HISTORY, settings, uniform(5), ENTRIES)[0]
    logits[0, 3] = -logits[0, 3]
    after = sample(logits, NO_HISTORY, settings, uniform(5), ENTRIES)[0]
    assert torch.equal(before[[0, 1, 2, 4, 5, 6, 7]], after[[0, 1, 2, 4, 5, 6, 7]])


def test_settings_change_in_place_where_the_same_is_computed():
    one, two = (settings_of(Sampling(temperature=t, top_p=p)) for t, p in ((0.3, 0.95), (0.9, 0.5)))
    place = one.temperature.data_ptr()
    assert one.form == two.form
    one.become(two)
    assert one.temperature.data_ptr() == place and one.temperature.item() == pytest.approx(0.9)
    other = Sampling(temperature=0.3, top_k=7)  # as many candidates are sorted as the widest row has
    assert one.form != settings_of(other).form
    assert one.form != settings_of(Sampling(temperature=0)).form


@pytest.mark.parametrize(
    "field, value",
    [
        ("temperature", -1.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -2),
        ("top_p", 1.1),
        ("top_p", -1.1),
        ("seed", -1),
        ("seed", 2**64),
        ("ras_window", -2),
        ("ras_max_repeats", 0),
        ("max_frames", 0),
    ],
)
def test_settings_out_of_range(field, value):
    with pytest.raises(SettingError, match=field):
        Sampling(**{field: value})
