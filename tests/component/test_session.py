"""Rows side by side: batches, admission, reuse, cancelling, memory. Everything against the same line alone and cold."""

from __future__ import annotations

import random

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_session import TEXTS, lines, prompt_of, same, settings, some_model, takes_alone

from higgs_runtime import (
    Prompt,
    PromptError,
    Sampling,
    Session,
    SettingError,
    generate,
    load_model,
    stream,
)
from higgs_runtime.generation import prefix_cache
from higgs_runtime.generation.batch import DecodeBatch


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return some_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def alone(model):
    return takes_alone(model)


# ---- batches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [3, 8, *(pytest.param(batch, marks=pytest.mark.slow) for batch in (1, 2, 4))])
def test_a_line_is_the_same_in_any_batch(model, alone, batch):
    order = list(range(len(TEXTS)))
    random.Random(batch).shuffle(order)
    prompts, chosen = lines(model), settings()
    takes = generate(model, [prompts[n] for n in order], [chosen[n] for n in order], batch=batch)
    assert all(same(take, alone[n]) for take, n in zip(takes, order, strict=True))
    assert len({take.finish_reason for take in takes}) == 2, "some shall end by themselves, others by length"


def test_greedy_and_drawn_rows_side_by_side(model):
    prompts = lines(model)[:3]
    chosen = [Sampling(temperature=heat, max_frames=frames) for heat, frames in ((0, 20), (1, 20), (0, 5))]
    takes = generate(model, prompts, chosen)
    for take, prompt, one in zip(takes, prompts, chosen, strict=True):
        assert same(take, generate(model, [prompt], one)[0])


def test_a_row_that_ends_goes_to_the_next_prompt(model, monkeypatch):
    """Never more rows than asked for, and no step with a free row while a prompt waits."""
    widths = []
    step = DecodeBatch.step
    monkeypatch.setattr(DecodeBatch, "step", lambda self: (widths.append(len(self._settings)), step(self)))
    prompts = lines(model) * 2
    chosen = [Sampling(temperature=0, max_frames=4 + n) for n in range(16)]
    takes = generate(model, prompts, chosen, batch=3)
    assert max(widths) == 3 and sum(widths) == sum(len(take.rows) - 1 for take in takes)
    assert widths.index(2) > 0.8 * len(widths), "the last rows are alone only at the end"


def test_every_prompt_needs_its_settings(model):
    with pytest.raises(SettingError, match="2, or one for all"):
        generate(model, lines(model)[:2], settings(3))


def test_a_wrong_prompt_is_refused_before_generation(model):
    good = lines(model)[0]
    bad = type(good)(good.token_ids, good.audio_rows[:-1])
    spoken = []
    with pytest.raises(PromptError, match="placeholders"):
        generate(model, [good, bad], Sampling(max_frames=5), on_frames=lambda *what: spoken.append(what))
    assert spoken == []


@pytest.mark.parametrize("codebooks", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_few_codebooks_and_one_frame(tmp_path, codebooks):
    small = load_model(make_lm_checkpoint(tmp_path, num_codebooks=codebooks, stream_end=0))
    clip = random_codes(4, num_codebooks=codebooks)
    prompts = [prompt_of(small, "Hello."), prompt_of(small, "Reference.", clip, "Hi.")]
    for frames in (1, 2, 9):
        takes = generate(small, prompts, Sampling(temperature=1, max_frames=frames))
        assert [take.codes.ids.shape for take in takes] == [(codebooks, frames)] * 2
        assert [take.finish_reason for take in takes] == ["length"] * 2
        assert all(
            same(take, generate(small, [prompt], Sampling(temperature=1, max_frames=frames))[0])
            for take, prompt in zip(takes, prompts, strict=True)
        )


# ---- what is read once ---------------------------------------------------------------------------------------------


def test_common_prefixes_are_prefilled_once(model):
    voice = [prompt_of(model, "Reference.", random_codes(40), text) for text in TEXTS]
    takes = generate(model, voice, Sampling(temperature=1, max_frames=12), batch=4)
    keys = [prefix_cache.position_keys(prompt, model.config) for prompt in voice]
    common = min(prefix_cache.common_start(keys[0], other) for other in keys[1:])
    assert common > 40 and takes[0].reused_positions == 0
    assert all(take.reused_positions >= common for take in takes[1:])
    for take, prompt in zip(takes, voice, strict=True):
        assert same(take, generate(model, [prompt], Sampling(temperature=1, max_frames=12))[0])


def test_a_row_that_ends_with_another_leaves_what_that_one_knows(model):
    """All rows are over at once, and the prompts that follow go on like those in the other order."""
    before = [prompt_of(model, "Reference.", random_codes(30, seed=n), "An end.") for n in range(2)]
    after = [prompt_of(model, "Reference.", random_codes(30, seed=n), "Another one.") for n in range(2)]
    takes = generate(model, before + after, Sampling(temperature=1, max_frames=4), batch=2)
    assert all(take.reused_positions > 30 for take in takes[2:])
    for take, prompt in zip(takes, before + after, strict=True):
        assert same(take, generate(model, [prompt], Sampling(temperature=1, max_frames=4))[0])


def test_another_take_reads_nothing_anew(model, alone):
    session, prompts, chosen = Session(model), lines(model), settings()
    first = session.generate(prompts, chosen)
    again = session.generate(prompts, chosen)
    assert all(same(a, b) and same(a, cold) for a, b, cold in zip(first, again, alone, strict=True))
    assert [take.reused_positions for take in again] == [len(prompt) for prompt in prompts]


def test_an_edited_line_is_read_from_the_edit_on(model):
    session = Session(model)
    before = prompt_of(model, "Reference.", random_codes(20), "The old end of it.")
    after = prompt_of(model, "Reference.", random_codes(20), "The old way of it.")
    session.generate([before], Sampling(temperature=1, max_frames=15))
    [take] = session.generate([after], Sampling(temperature=1, max_frames=15))
    assert 30 < take.reused_positions < len(after)
    assert same(take, generate(model, [after], Sampling(temperature=1, max_frames=15))[0])


def test_a_dialogue_goes_on_from_what_was_spoken(model):
    """The codes of the first line, put into the next prompt, were read while they were drawn."""
    session, chosen = Session(model), Sampling(temperature=1, max_frames=40, seed=3)
    [first] = session.generate([prompt_of(model, "Who are you?")], chosen)
    following = prompt_of(model, "Who are you?", first.codes, "And then?")
    [second] = session.generate([following], chosen)
    assert first.frames > 10 and second.reused_positions >= first.prompt_positions + first.frames
    assert same(second, generate(model, [following], chosen)[0])


def test_the_last_sampled_frame_does_not_count_as_prefilled(model):
    """A prompt that goes on with all rows of a take: the last one was drawn, and its keys and values are not there."""
    session, prompt, chosen = Session(model, batch=1), lines(model)[0], Sampling(temperature=1.0, max_frames=9, seed=3)
    rows = session.generate([prompt], chosen)[0].rows
    places = torch.full((len(rows),), model.config.audio_token_id)
    longer = Prompt(torch.cat((prompt.token_ids, places)), torch.cat((prompt.audio_rows, rows)))
    take = session.generate([longer], chosen)[0]
    assert take.reused_positions == len(longer) - 1 and same(take, generate(model, [longer], chosen)[0])


def test_a_longer_take_keeps_the_cached_prefix(model):
    """The cache grows; what it held goes with it."""
    session, prompt = Session(model), lines(model)[3]
    session.generate([prompt], Sampling(max_frames=5))
    [take] = session.generate([prompt, lines(model)[4]], Sampling(temperature=1, max_frames=60))[:1]
    assert take.reused_positions == len(prompt)
    assert same(take, generate(model, [prompt], Sampling(temperature=1, max_frames=60))[0])


def test_a_cache_in_half_precision(model):
    """Asked for, not by default; a line is the same in any batch there too."""
    session = Session(model, cache_dtype=torch.bfloat16)
    takes = session.generate(lines(model)[:2], Sampling(temperature=0, max_frames=8))
    assert session._prefixes.cache.keys.dtype == torch.bfloat16 and [take.frames for take in takes] == [8, 8]
    assert all(
        same(take, one)
        for take, one in zip(
            takes,
            [
                Session(model, cache_dtype=torch.bfloat16).generate([p], Sampling(temperature=0, max_frames=8))[0]
                for p in lines(model)[:2]
            ],
            strict=True,
        )
    )


# ---- a window that rolls -------------------------------------------------------------------------------------------


def scene(model, first, last):
    """Reference, then turns first..last with their clips, then a text to speak."""
    turns = [part for n in range(first, last) for part in (f"This is turn number {n}.", random_codes(30 + n, seed=n))]
    return prompt_of(model, "Reference.", random_codes(25, seed=99), *turns, "And the next one.")


def test_a_window_that_rolls_is_the_cold_one_where_a_position_knows_only_itself(tmp_path):
    """With one layer nothing of a dropped turn is left in what followed: codes, positions and rope agree."""
    one_layer = load_model(make_lm_checkpoint(tmp_path, num_hidden_layers=1, stream_end=0))
    session = Session(one_layer, rolling=True)
    for first in range(4):
        prompt = scene(one_layer, first, first + 4)
        [take] = session.generate([prompt], Sampling(temperature=1, max_frames=25, seed=first))
        assert same(take, generate(one_layer, [prompt], Sampling(temperature=1, max_frames=25, seed=first))[0])
        assert first == 0 or take.reused_positions > len(prompt) - 80, "only the newest turn is read"


def test_a_rolling_window_prefills_only_what_is_new(model):
    session = Session(model, rolling=True)
    session.generate([scene(model, 0, 4)], Sampling(max_frames=5))
    [take] = session.generate([scene(model, 2, 6)], Sampling(max_frames=5))
    cold = Session(model)
    cold.generate([scene(model, 0, 4)], Sampling(max_frames=5))
    [again] = cold.generate([scene(model, 2, 6)], Sampling(max_frames=5))
    assert again.reused_positions < 80 < take.reused_positions
    assert same(again, generate(model, [scene(model, 2, 6)], Sampling(max_frames=5))[0])


def test_two_gaps_are_closed(tmp_path):
    one_layer = load_model(make_lm_checkpoint(tmp_path, num_hidden_layers=1, stream_end=0))
    session, clips = Session(one_layer, rolling=True), [random_codes(40, seed=n) for n in range(5)]

    def prompt(*kept):
        return prompt_of(one_layer, *[part for n in kept for part in (f"Turn {n}.", clips[n])], "Now.")

    session.generate([prompt(0, 1, 2, 3, 4)], Sampling(max_frames=5))
    [take] = session.generate([prompt(0, 2, 4)], Sampling(temperature=1, max_frames=25))
    assert same(take, generate(one_layer, [prompt(0, 2, 4)], Sampling(temperature=1, max_frames=25))[0])
    assert take.reused_positions > 120


# ---- stopping ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 14, 30, 47])
def test_cancel_at_any_check_keeps_the_frames_so_far(model, alone, after):
    """In the prompts, in admission, between steps: what is spoken stays, and it is a beginning of the whole take."""
    looks = iter(range(10_000))
    takes = generate(model, lines(model), settings(), batch=2, should_stop=lambda: next(looks) >= after)
    assert takes[-1].finish_reason == "cancelled" and takes[-1].frames == 0
    for take, whole in zip(takes, alone, strict=True):
        assert torch.equal(take.rows, whole.rows[: len(take.rows)])
        assert torch.equal(take.codes.ids, whole.codes.ids[:, : take.frames])
        assert take.finish_reason == ("cancelled" if len(take.rows) < len(whole.rows) else whole.finish_reason)


def test_a_session_goes_on_after_a_cancel(model, alone):
    session, looks = Session(model), iter(range(100))
    session.generate(lines(model), settings(), should_stop=lambda: next(looks) >= 12)
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), settings()), alone, strict=True))


def test_a_session_goes_on_after_an_error_in_a_hook(model, alone):
    session = Session(model)

    def broken(index, frames):
        if index == 1 and frames.shape[1]:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        session.generate(lines(model), settings(), on_frames=broken)
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), settings()), alone, strict=True))


def test_a_stream_gives_the_same_frames_and_may_be_left(model, alone):
    prompt, chosen = lines(model)[7], settings()[7]
    chunks = [codes.ids for codes in stream(model, prompt, chosen)]
    assert len(chunks) > 3 and torch.equal(torch.cat(chunks, dim=1), alone[7].codes.ids)
    session = Session(model)
    reading = session.stream(prompt, chosen)
    first = next(reading)
    reading.close()
    assert torch.equal(first.ids, alone[7].codes.ids[:, : first.frames])
    assert same(session.generate([prompt], chosen)[0], alone[7])


def test_an_unread_stream_computes_nothing(model, monkeypatch):
    steps = []
    monkeypatch.setattr(DecodeBatch, "step", lambda self: steps.append(1))
    stream(model, lines(model)[0], settings()[0])
    assert steps == []


# ---- takes one by one -----------------------------------------------------------------------------------------------


def test_takes_arrive_as_they_end_and_unwanted_prompts_are_skipped(tmp_path):
    model = some_model(tmp_path)
    alone, asked = takes_alone(model), []

    def wanted(index):
        asked.append(index)
        return index not in (1, 6)

    found = list(Session(model, batch=3).takes(lines(model), settings(), wanted=wanted))
    assert sorted(index for index, _ in found) == [0, 2, 3, 4, 5, 7]
    assert all(same(take, alone[index]) for index, take in found)
    assert asked == sorted(asked), "each is asked for when its turn comes"
    early = [index for index, _ in found].index(0)
    assert early < len(found) - 1, "the shortest one does not wait for the others"


# ---- lines that arrive -----------------------------------------------------------------------------------------------


def arriving(prompts, chosen, gaps):
    """Lines, each after so many answers "none yet"."""
    for prompt, one, gap in zip(prompts, chosen, gaps, strict=True):
        yield from [None] * gap
        yield prompt, one


def served(session, arrivals, *, until_asked=200, **hooks):
    """number → (chunks of ids, Generation) of all lines, with pauses in which nobody speaks."""
    chunks, takes, offset = {}, {}, 0
    for _ in range(until_asked):
        numbers = {-1}
        for number, codes, take in session.serve(arrivals, positions=400, window=7, **hooks):
            numbers.add(number)
            chunks.setdefault(offset + number, []).append(codes.ids)
            if take is not None:
                assert offset + number not in takes
                takes[offset + number] = take
        offset += max(numbers) + 1
    return {number: (torch.cat(chunks[number], dim=1), take) for number, take in takes.items()}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_a_line_that_arrives_late_is_the_same_in_any_batch(model, alone, seed):
    """Early or late, alone or between others, in a session that serves on and on."""
    luck = random.Random(seed)
    order = luck.sample(range(len(TEXTS)), len(TEXTS))
    gaps = [luck.choice((0, 0, 1, 3, 30)) for _ in order]
    prompts, chosen = lines(model), settings()
    found = served(Session(model, batch=3), arriving([prompts[n] for n in order], [chosen[n] for n in order], gaps))
    assert sorted(found) == list(range(len(TEXTS)))
    for number, n in enumerate(order):
        ids, take = found[number]
        assert same(take, alone[n]) and torch.equal(ids, alone[n].codes.ids)


def test_a_line_that_is_cancelled_changes_no_other(model, alone):
    """It ends with the frames it has, its row goes to the next, and it is a beginning of the whole take."""
    heard = {2: 0, 5: 0}

    def gone(number, frames):
        if number in heard:
            heard[number] += frames.shape[1]
            return heard[number] >= 3
        return False

    chosen = [Sampling(temperature=1.0, max_frames=30, seed=n) for n in range(8)]
    alone = [generate(model, [prompt], one)[0] for prompt, one in zip(lines(model), chosen, strict=True)]
    found = served(Session(model, batch=3), arriving(lines(model), chosen, [0] * 8), should_end=gone)
    for n, whole in enumerate(alone):
        ids, take = found[n]
        if n in heard and whole.frames > 8:
            assert 3 <= take.frames <= 8 and torch.equal(take.codes.ids, whole.codes.ids[:, : take.frames])
        else:
            assert same(take, whole)


def test_rows_are_never_idle_while_lines_are_there(model, monkeypatch):
    widths = []
    step = DecodeBatch.step
    monkeypatch.setattr(DecodeBatch, "step", lambda self: (widths.append(len(self._settings)), step(self)))
    chosen = [Sampling(temperature=0, max_frames=4 + n) for n in range(8)]
    found = served(Session(model, batch=3), arriving(lines(model), chosen, [0] * 8), until_asked=1)
    assert len(found) == 8 and max(widths) == 3 and widths == sorted(widths, reverse=True)


def test_an_empty_request_ends_at_once_and_the_cache_stays(model):
    session = Session(model, batch=2)
    assert list(session.serve(iter([None]), positions=400, window=7)) == []
    cache = session._prefixes.cache
    served(session, arriving(lines(model)[:2], settings(2), [0, 40]))
    assert session._prefixes.cache is cache and (cache.capacity, cache.batch) == (400, 2)


@pytest.mark.parametrize("positions, window, words", [(20, 7, "positions"), (400, 3, "ras_window")])
def test_a_line_that_has_no_room_is_refused(model, positions, window, words):
    session = Session(model)
    with pytest.raises(SettingError, match=words):
        list(session.serve(iter([(lines(model)[0], settings()[0])]), positions=positions, window=window))
    assert session.generate(lines(model)[:1], Sampling(max_frames=5))[0].frames == 5
