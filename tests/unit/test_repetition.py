"""The guard against takes that repeat themselves: loops are ended in time, and what people say is not."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime.generation.repetition import LONGEST, LONGEST_HELD, RepetitionGuard


def codes(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 1024, (8, frames), generator=torch.Generator().manual_seed(seed))


def ended_after(ids: torch.Tensor, at_once: int = 7) -> int | None:
    """How many frames the guard lets pass, given so many at a time; None: all."""
    guard, seen = RepetitionGuard(), 0
    for piece in ids.split(at_once, dim=1):
        seen += piece.shape[1]
        if guard.repeats(piece):
            return seen
    return None


@pytest.mark.parametrize("period", [2, 3, 7, 13, 24, 25])
@pytest.mark.parametrize("fine_too", [True, False])
def test_a_loop_is_ended(period, fine_too):
    ids = torch.cat([codes(40), codes(period, seed=1).repeat(1, 600 // period)], dim=1)
    if not fine_too:  # a sampled take differs where it is hardest to hear
        ids[4:] = codes(ids.shape[1], seed=2)[4:]
    found = ended_after(ids)
    assert found is not None and 40 + LONGEST < found <= 40 + period + LONGEST + 7


@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_it_does_not_matter_how_frames_come(at_once):
    ids = torch.cat([codes(10), codes(5, seed=1).repeat(1, 200)], dim=1)
    assert (ended_after(ids, at_once) is None) == (ended_after(ids, 1) is None)


def test_pauses_pass_and_a_take_that_stays_on_one_frame_does_not():
    frame = codes(1, seed=3)
    pause = torch.cat([codes(30), frame.expand(-1, LONGEST_HELD - 1), codes(30, seed=4)], dim=1)
    assert ended_after(pause) is None
    assert ended_after(torch.cat([pause, frame.expand(-1, 2 * LONGEST_HELD)], dim=1)) is not None


def test_a_word_said_six_times_passes():
    """Higgs Nano says "yes yes yes yes yes yes" in the same 14 frames each time."""
    assert ended_after(torch.cat([codes(10), codes(14, seed=1).repeat(1, 6), codes(20, seed=2)], dim=1)) is None


@pytest.mark.parametrize("codebook", [0, 3])
def test_what_differs_in_a_coarse_codebook_is_no_loop(codebook):
    ids = codes(5, seed=1).repeat(1, 100)
    ids[codebook] = codes(500, seed=2)[codebook]
    assert ended_after(ids) is None
