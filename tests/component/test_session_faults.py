"""Rows side by side when memory is short, numbers are broken or a reader leaves: what is right stays right."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_session import lines, prompt_of, same, settings, some_model, takes_alone

from higgs_runtime import (
    MemoryShortError,
    NumericError,
    Sampling,
    Session,
    generate,
    load_model,
    stream,
)
from higgs_runtime.generation import session as session_module
from higgs_runtime.generation.batch import DecodeBatch
from higgs_runtime.model import memory as memory_module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return some_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def alone(model):
    return takes_alone(model)


# ---- memory --------------------------------------------------------------------------------------------------------


def test_fewer_rows_where_memory_is_short(model, alone, monkeypatch):
    each = memory_module.working_bytes(model.config, 8192, model.dtype)
    monkeypatch.setattr(memory_module, "free_bytes", lambda device: 2 * each)
    monkeypatch.setattr(session_module, "positions_of", lambda *_: 8192)
    session = Session(model)
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), settings()), alone, strict=True))
    assert session._prefixes.cache.batch == 2


def test_no_room_for_one_row_is_an_error_before_it_is_taken(model, monkeypatch):
    monkeypatch.setattr(memory_module, "free_bytes", lambda device: 1000)
    with pytest.raises(MemoryShortError, match="not enough memory for a take this long.*smaller maximum length"):
        generate(model, lines(model), Sampling(max_frames=100))


def test_allocation_that_fails_makes_do_with_fewer_rows(model, alone, monkeypatch):
    new_cache, asked = type(model).new_cache, []

    def limited(self, positions, batch, dtype):
        asked.append(batch)
        if batch > 3:
            raise torch.OutOfMemoryError("out of memory")
        return new_cache(self, positions, batch, dtype)

    monkeypatch.setattr(type(model), "new_cache", limited)
    assert all(same(a, b) for a, b in zip(generate(model, lines(model), settings()), alone, strict=True))
    assert asked == [8, 4, 2]


@pytest.fixture
def short(monkeypatch):
    """Have the memory run out inside of a layer, at certain calls with more than one position of a sequence."""

    def install(model, *calls):
        forward, seen = type(model.layers[1]).forward, []

        def limited(self, x, routing, place):
            if self is model.layers[1] and place.shape[1] > 1:
                seen.append(1)
                if len(seen) in calls:
                    raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(self, x, routing, place)

        monkeypatch.setattr(type(model.layers[1]), "forward", limited)
        return seen

    return install


def test_out_of_memory_in_admission_leaves_running_rows_alone(model, alone, short, monkeypatch):
    """The third prompt that is read while others speak finds no room in the middle of it: it waits for a free slot."""
    seen, widths, step = short(model, 3), [], DecodeBatch.step
    monkeypatch.setattr(DecodeBatch, "step", lambda self: (widths.append(len(self._settings)), step(self)))
    assert all(same(a, b) for a, b in zip(generate(model, lines(model), settings()), alone, strict=True))
    assert len(seen) == 9 and max(widths) == 2


def test_out_of_memory_with_an_empty_batch_is_an_error_that_keeps_the_takes(model, alone, short):
    short(model, 4)
    session = Session(model, batch=1)
    with pytest.raises(MemoryShortError, match="3 of them spoken") as caught:
        session.generate(lines(model), settings())
    assert sorted(caught.value.takes) == [0, 1, 2]
    assert all(same(take, alone[n]) for n, take in caught.value.takes.items())
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), settings()), alone, strict=True))


def test_a_stream_says_that_memory_is_short(model, short):
    short(model, 1)
    with pytest.raises(MemoryShortError, match="not enough memory to continue"):
        list(stream(model, lines(model)[0], settings()[0]))


def test_shrinking_memory_costs_only_the_cached_prefixes(model, alone, monkeypatch):
    """A session with room for two rows, then for one that is longer: the cache is another one, and empty."""
    each = memory_module.working_bytes(model.config, 1, model.dtype)
    room = [2.2 * 200 * each]
    monkeypatch.setattr(memory_module, "free_bytes", lambda device: int(room[0]))
    session, chosen = Session(model), [Sampling(temperature=1.0, max_frames=60, seed=n) for n in range(2)]
    session.generate(lines(model)[:2], chosen)
    room[0] = 1.3 * 300 * each
    longer = [Sampling(temperature=1.0, max_frames=150, seed=n) for n in range(2)]
    takes = session.generate(lines(model)[:2], longer)
    assert session._prefixes.cache.batch == 1 and [take.reused_positions for take in takes][0] == 0
    for take, prompt, one in zip(takes, lines(model), longer, strict=False):
        assert same(take, generate(model, [prompt], one)[0])


@pytest.mark.slow
def test_a_cache_is_not_made_anew_because_it_got_fewer_rows(model, monkeypatch):
    made = []
    new_cache = session_module.new_cache
    monkeypatch.setattr(
        session_module,
        "new_cache",
        lambda model, positions, batch, dtype: made.append(batch) or new_cache(model, positions, 2, dtype),
    )
    session = Session(model)
    for _ in range(3):
        session.generate(lines(model), settings())
    assert made == [8]


# ---- what must not reach the next call -----------------------------------------------------------------------------


def test_a_stream_that_was_left_is_ended_by_the_next_call(model, alone):
    session, chosen, calls = Session(model), settings(), []
    reading = session.stream(lines(model)[7], chosen[7])
    next(reading)
    takes = session.generate(lines(model)[:3], chosen[:3], on_frames=lambda index, frames: calls.append(index))
    assert all(same(a, b) for a, b in zip(takes, alone, strict=False)) and set(calls) == {0, 1, 2}
    assert list(reading) == []


def test_numbers_out_of_range_are_not_remembered(model, alone):
    session, weight = Session(model), model.layers[0].attention.qkv.weight
    kept = weight[0, 0].item()
    session.generate(lines(model)[:2], settings()[:2])
    weight.data[0, 0] = torch.nan
    try:
        with pytest.raises(NumericError, match=r"first in layers\.0\.attention\.qkv"):
            session.generate(lines(model)[2:4], settings()[2:4])
    finally:
        weight.data[0, 0] = kept
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), settings()), alone, strict=True))


def test_a_whole_number_as_temperature_does_not_round_the_next_one(model):
    prompts = lines(model)[:2]
    chosen = [Sampling(temperature=1, max_frames=12), Sampling(temperature=0.5, max_frames=12)]
    takes = generate(model, prompts, chosen, batch=1)
    assert all(
        same(take, generate(model, [prompt], one)[0]) for take, prompt, one in zip(takes, prompts, chosen, strict=True)
    )


def test_a_window_does_not_roll_over_another_voices_prefix(tmp_path):
    """Two scenes with different references and the same turns: nothing of one stands in the other."""
    one_layer = load_model(make_lm_checkpoint(tmp_path, num_hidden_layers=2, stream_end=0))
    turns = [part for n in range(3) for part in (f"Turn {n}.", random_codes(30, seed=n))]
    a, b = (random_codes(30, seed=seed) for seed in (50, 51))
    session = Session(one_layer, rolling=True, batch=2)
    session.generate(
        [prompt_of(one_layer, "Reference.", a, "First."), prompt_of(one_layer, "Reference.", b, *turns)],
        Sampling(max_frames=4),
    )
    mixed = prompt_of(one_layer, "Reference.", a, *turns, "Now.")
    [take] = session.generate([mixed], Sampling(temperature=1, max_frames=10))
    assert same(take, generate(one_layer, [mixed], Sampling(temperature=1, max_frames=10))[0])
