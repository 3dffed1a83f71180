"""The simulation of renders on many devices (benchmarks/_farm.py): sums that are known beforehand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
pytest.importorskip("simpy")

from _farm import WIND_DOWN, Farm, Machine, fitted  # noqa: E402

LINES = [(40 + 7 * (n % 9), 50 + 10 * (n % 7)) for n in range(300)]
STEPS = sum(frames + WIND_DOWN for _, frames in LINES)


def machine(store_s=0.0, life_s=None, part_s=0.0):
    return Machine(lambda rows: 0.01, 0.1, part_s, store_s, 5.0, life_s)


def test_one_row_takes_the_sum_of_all():
    made = Farm(machine(store_s=0.02), LINES, workers=1, batch=1).run()
    assert made.seconds == pytest.approx(5 + STEPS * 0.01 + len(LINES) * 0.12)
    assert made.frames == sum(frames for _, frames in LINES) and made.empty == 0 and made.lost_workers == 0


def test_rows_and_workers_share_the_work_and_never_beat_it():
    alone = Farm(machine(), LINES, workers=1, batch=8).run()
    four = Farm(machine(), LINES, workers=4, batch=8).run()
    reading = len(LINES) * 0.1
    assert STEPS * 0.01 / 8 + reading <= alone.seconds - 5 < (STEPS * 0.01 / 8 + reading) * 1.3
    assert (alone.seconds - 5) / 4 < four.seconds - 5 < (alone.seconds - 5) / 2
    assert four.empty > alone.empty > 0, "the last lines of a part leave rows empty"


def test_each_part_costs_its_own():
    farm = Farm(machine(part_s=2.0), LINES, workers=1, batch=8)
    fetch, parts = farm.parts.fetch, []
    farm.parts.fetch = lambda workers: parts.append(fetch(workers)) or parts[-1]
    dearer = farm.run().seconds - Farm(machine(), LINES, workers=1, batch=8).run().seconds
    assert len(parts) > 3 and parts[-1] is None and dearer == pytest.approx(2.0 * (len(parts) - 1))


def test_one_store_serves_one_take_at_a_time():
    made = Farm(machine(store_s=1.0), LINES, workers=50, batch=8).run()
    assert made.seconds >= len(LINES) * 1.0 and made.store_wait_s > len(LINES)


def test_a_failing_device_loses_only_its_own_lines():
    made = Farm(machine(life_s=60.0), LINES, workers=4, batch=4).run()
    assert made.lost_workers > 0 and made.lost_frames > 0
    assert made.frames == sum(frames for _, frames in LINES), "each line once"
    assert made.seconds > Farm(machine(), LINES, workers=4, batch=4).run().seconds


def test_workers_may_come_late():
    late = Farm(machine(), LINES, workers=2, batch=8, starts=[0.0, 10_000.0])
    assert late.run().seconds == pytest.approx(10_000.0), "it comes to nothing left"


def test_steps_between_those_that_were_measured():
    step = fitted({"1": 1.0, "4": 4.0, "8": 6.0})
    assert [step(rows) for rows in (1, 2, 4, 6, 8, 20)] == pytest.approx([1.0, 2.0, 4.0, 5.0, 6.0, 6.0])
