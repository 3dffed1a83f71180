"""Delay pattern and the state machine, with hand-made ids."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime.decode_state import DecodeState
from higgs_runtime.delay import delayed_rows, undelay

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


def play(state, draws):
    """Feed drawn rows; collect what take_frames gives after each step."""
    taken = []
    for draw in draws:
        state.push(state.hold(torch.tensor(draw)))
        taken.append(state.take_frames())
        if state.finished:
            break
    return torch.cat(taken, dim=1)


def test_ramp_in_opens_one_codebook_a_step():
    state = DecodeState(3, BOS, EOS, SIZE)
    play(state, [[7, 7, 7]] * 4)
    assert torch.stack(state.rows).tolist() == [[BOS, BOS, BOS], [7, BOS, BOS], [7, 7, BOS], [7, 7, 7]]


def test_natural_wind_down_loses_no_frame():
    """The model ends as it was trained: stream-end in codebook k, k steps after codebook 0."""
    codes = torch.tensor([[1, 2], [3, 4], [5, 6]])
    state = DecodeState(3, BOS, EOS, SIZE)
    frames = play(state, delayed_rows(codes, BOS, EOS).tolist())
    assert torch.equal(frames, codes) and state.finished and state.step == 6


def test_forced_wind_down():
    """After stream-end in codebook 0 the others keep drawing ids; each is closed one step later than the last."""
    state = DecodeState(3, BOS, EOS, SIZE)
    frames = play(state, [[9, 9, 9], [1, 9, 9], [2, 3, 9], [EOS, 4, 5], [8, 8, 6], [8, 8, 8], [8, 8, 8], [8, 8, 8]])
    rows = torch.stack(state.rows).tolist()
    assert rows[3:] == [[EOS, 4, 5], [EOS, 8, 6], [EOS, EOS, 8], [EOS, EOS, EOS]]
    assert frames.tolist() == [[1, 2], [3, 4], [5, 6]] and state.finished


def test_stream_end_in_another_codebook_first_ends_there():
    state = DecodeState(3, BOS, EOS, SIZE)
    draws = [[9, 9, 9], [1, 9, 9], [2, 3, 9], [3, EOS, 5], [4, 8, 6]] + [[8, 8, 8]] * 4
    frames = play(state, draws)
    assert state.finished and state.end_step == 3
    assert frames.tolist() == [[1], [3], [5]]  # frame 1 has stream-end in codebook 1


def test_stream_end_at_once_gives_no_frame():
    state = DecodeState(3, BOS, EOS, SIZE)
    frames = play(state, [[9, 9, 9], [EOS, 9, 9]] + [[8, 8, 8]] * 5)
    assert state.finished and frames.shape == (3, 0)
    assert torch.stack(state.rows).tolist()[1:] == [
        [EOS, BOS, BOS], [EOS, 8, BOS], [EOS, EOS, 8], [EOS, EOS, EOS],
    ]


def test_one_codebook_has_no_delay():
    state = DecodeState(1, BOS, EOS, SIZE)
    frames = play(state, [[9], [1], [2], [EOS], [5]])
    assert frames.tolist() == [[1, 2]] and state.step == 4


def test_a_stray_stream_begin_is_clipped():
    state = DecodeState(2, BOS, EOS, SIZE)
    frames = play(state, [[0, 0], [1, 0], [BOS, 2], [3, 4], [5, 5]])
    assert frames.tolist() == [[1, SIZE - 1, 3], [2, 4, 5]]
