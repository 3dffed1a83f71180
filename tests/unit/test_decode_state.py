"""Delay pattern and the state machine, with hand-made ids."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime.generation.schedule import DecodeState, WrittenRows
from higgs_runtime.model.delay import NATIVE_STOP, ORIGINAL_STOP, V3_STOP, delayed_rows, undelay

BOS, EOS, SIZE = 100, 101, 100


def test_delayed_rows_by_hand():
    codes = torch.tensor([[1, 2], [3, 4], [5, 6]])
    assert delayed_rows(codes, BOS, EOS).tolist() == [
        [BOS, BOS, BOS],
        [1, BOS, BOS],
        [2, 3, BOS],
        [EOS, 4, 5],
        [EOS, EOS, 6],
        [EOS, EOS, EOS],
    ]


@pytest.mark.parametrize("num_codebooks", [1, 2, 8])
@pytest.mark.parametrize("frames", [0, 1, 3, 50])
def test_undelay_inverts(num_codebooks, frames):
    codes = torch.randint(0, SIZE, (num_codebooks, frames), generator=torch.Generator().manual_seed(frames))
    rows = delayed_rows(codes, BOS, EOS)
    assert len(rows) == frames + 2 + num_codebooks - 1
    assert torch.equal(undelay(rows[1 : 1 + frames + num_codebooks - 1]), codes)


class Row:
    """One row through the schedule and the take, `block` steps at a time."""

    def __init__(self, num_codebooks, max_frames=50, block=1, stop=NATIVE_STOP):
        self.state = DecodeState(1, num_codebooks, BOS, EOS, stop)
        self.take = WrittenRows(num_codebooks, BOS, EOS, SIZE, max_frames, stop)
        self.state.start(0)
        self.block = block

    def play(self, draws):
        """Feed rows as they are drawn after the stream-begin column; returns the frames."""
        taken, waiting = [], []
        for number, draw in enumerate(draws, 1):
            waiting.append(self.state.hold(torch.tensor([draw])))
            if len(waiting) == self.block or number == len(draws):
                rows, waiting = torch.cat(waiting), []
                taken.append(self.take.push(rows[: self.take.steps_left]))
            if not self.take.steps_left:
                break
        return torch.cat(taken, dim=1)


def test_ramp_in_opens_one_codebook_a_step():
    row = Row(3)
    row.play([[7, 7, 7]] * 3)
    assert row.take.rows.tolist() == [[BOS, BOS, BOS], [7, BOS, BOS], [7, 7, BOS], [7, 7, 7]]


@pytest.mark.parametrize("block", [1, 2, 3])
def test_natural_wind_down_loses_no_frame(block):
    """The model ends as it was trained: stream-end in codebook k, k steps after codebook 0."""
    codes = torch.tensor([[1, 2], [3, 4], [5, 6]])
    row = Row(3, block=block)
    frames = row.play(delayed_rows(codes, BOS, EOS).tolist()[1:])
    assert torch.equal(frames, codes) and row.take.reason == "stop" and row.take.count == 6


@pytest.mark.parametrize("block", [1, 2, 3])
def test_forced_wind_down(block):
    """After stream-end in codebook 0 the others keep drawing ids; each is closed one step later than the last."""
    row = Row(3, block=block)
    frames = row.play([[1, 9, 9], [2, 3, 9], [EOS, 4, 5], [8, 8, 6], [8, 8, 8], [8, 8, 8], [8, 8, 8]])
    assert row.take.rows[3:].tolist() == [[EOS, 4, 5], [EOS, 8, 6], [EOS, EOS, 8], [EOS, EOS, EOS]]
    assert frames.tolist() == [[1, 2], [3, 4], [5, 6]] and row.take.reason == "stop"


def test_stream_end_in_another_codebook_first_ends_there():
    row = Row(3)
    frames = row.play([[1, 9, 9], [2, 3, 9], [3, EOS, 5], [4, 8, 6]] + [[8, 8, 8]] * 4)
    assert row.take.reason == "stop" and row.state.end_step.item() == 3
    assert frames.tolist() == [[1], [3], [5]]  # frame 1 has stream-end in codebook 1


@pytest.mark.parametrize("block", [1, 2, 3])
def test_the_original_code_ends_the_codebooks_before_at_once(block):
    """The same frames from other rows; a second stream-end, in an earlier codebook, changes nothing."""
    row = Row(3, block=block, stop=ORIGINAL_STOP)
    frames = row.play([[1, 9, 9], [2, 3, 9], [3, EOS, 5], [4, 8, 6]] + [[EOS, 8, 8]] * 4)
    assert row.take.rows[3:].tolist() == [[EOS, EOS, 5], [EOS, EOS, 6]]
    assert frames.tolist() == [[1], [3], [5]] and row.take.reason == "stop"


@pytest.mark.parametrize("block", [1, 2, 3])
def test_the_original_code_leaves_the_last_codebook_free(block):
    row = Row(3, block=block, stop=ORIGINAL_STOP)
    frames = row.play([[1, 9, 9], [2, 3, 9], [EOS, 4, 5], [8, 8, 6], [8, 8, 8], [8, 8, 8], [8, 8, 8]])
    assert row.take.rows[3:].tolist() == [[EOS, 4, 5], [EOS, 8, 6], [EOS, EOS, 8]]
    assert frames.tolist() == [[1, 2], [3, 4], [5, 6]] and row.take.reason == "stop"


@pytest.mark.parametrize("block", [1, 2, 3, 8])
def test_v3_counts_down_from_codebook_0(block):
    """K - 2 rows after its stream-end, with nothing held; a stream-end elsewhere or in the ramp-in is none."""
    row = Row(4, block=block, stop=V3_STOP)
    frames = row.play(
        [
            [1, 9, 9, 9],
            [2, 1, 9, 9],
            [EOS, 2, 1, 9],
            [4, 3, 2, 1],
            [5, 4, 3, 2],
            [6, EOS, 4, 3],
            [EOS, 6, 5, 4],
            [8, 8, 6, 5],
            [8, 8, 8, 6],
        ]
        + [[8, 8, 8, 8]] * 3
    )
    end = SIZE - 1
    assert row.take.rows[7:].tolist() == [[EOS, 6, 5, 4], [8, 8, 6, 5], [8, 8, 8, 6]]
    assert frames.tolist() == [[1, 2, end, 4, 5, 6], [1, 2, 3, 4, end, 6], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]
    assert row.take.reason == "stop"


def test_stream_end_at_once_gives_no_frame():
    row = Row(3)
    frames = row.play([[EOS, 9, 9]] + [[8, 8, 8]] * 5)
    assert row.take.reason == "stop" and frames.shape == (3, 0)
    assert row.take.rows[1:].tolist() == [[EOS, BOS, BOS], [EOS, 8, BOS], [EOS, EOS, 8], [EOS, EOS, EOS]]


@pytest.mark.parametrize("block", [1, 4])
def test_all_codebooks_may_close_by_chance_before_the_schedule_does(block):
    row = Row(3, block=block)
    frames = row.play([[1, 9, 9], [2, 3, 9], [4, 4, 5], [EOS, EOS, EOS], [8, 8, 8], [8, 8, 8]])
    assert row.take.reason == "stop" and row.take.count == 5 and frames.tolist() == [[1], [3], [5]]


def test_one_codebook_has_no_delay():
    row = Row(1)
    assert row.play([[1], [2], [EOS], [5]]).tolist() == [[1, 2]] and row.take.count == 4


def test_a_stray_stream_begin_is_clipped():
    frames = Row(2).play([[1, 0], [BOS, 2], [3, 4], [5, 5]])
    assert frames.tolist() == [[1, SIZE - 1, 3], [2, 4, 5]]


@pytest.mark.parametrize("block", [1, 2, 5])
def test_the_longest_take_ends_with_its_last_frame(block):
    row = Row(3, max_frames=4, block=block)
    frames = row.play([[n, n, n] for n in range(20)])
    assert frames.shape == (3, 4) and row.take.count == 7 and row.take.reason == "length"


def test_rows_of_a_batch_stand_where_they_stand():
    """One row in its ramp-in, one that has ended: each follows its own schedule."""
    state = DecodeState(3, 3, BOS, EOS)
    for row in range(3):
        state.start(row)
    for draws in ([[1, 1, 1], [EOS, 1, 1]], [[2, 2, 2], [2, 2, 2]]):
        held = state.hold(torch.tensor(draws))
    assert held.tolist() == [[2, 2, BOS], [EOS, 2, BOS]]
    state.start(1)
    assert state.hold(torch.tensor([[3, 3, 3], [3, 3, 3]])).tolist() == [[3, 3, 3], [3, BOS, BOS]]
    assert state.step.flatten().tolist() == [4, 2, 1]
