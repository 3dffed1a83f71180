"""Where a line begins and ends: clicks and single windows are no sound, ends are at zero, gaps are as planned."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import AudioClip
from higgs_runtime.audio.clip import eased, trim_silence
from higgs_runtime.audio.mix import join
from higgs_runtime.audio.seams import Seams

RATE = 24_000


def tone(seconds: float, level: float = 0.3, rate: int = RATE) -> torch.Tensor:
    return level * torch.sin(torch.arange(round(seconds * rate)) * (440 * 2 * torch.pi / rate))[None]


def quiet(seconds: float, rate: int = RATE) -> torch.Tensor:
    noise = torch.randn(1, round(seconds * rate), generator=torch.Generator().manual_seed(0))
    return noise * 1e-4


def clip(*parts: torch.Tensor, rate: int = RATE) -> AudioClip:
    return AudioClip(torch.cat(parts, 1), rate)


def spiked(seconds: float, at: int, level: float = 0.08, width: int = 2) -> torch.Tensor:
    """Silence with a spike as the codec's edges make it: two samples at -22 dBFS."""
    made = quiet(seconds)
    made[0, at : at + width] = level
    return made


def gaps(samples: torch.Tensor, rate: int = RATE) -> list[float]:
    """Seconds of the stretches inside a clip that nobody hears: below -60 dBFS for 20 ms and more."""
    loud = (samples.abs().amax(0) > 1e-3).nonzero()[:, 0]
    steps = loud[1:] - loud[:-1]
    return [int(step) / rate for step in steps if step > 0.02 * rate]


@pytest.mark.parametrize("rate", [8000, 22_050, 24_000, 44_100, 48_000])
def test_silence_goes_and_ten_milliseconds_stay(rate):
    made = trim_silence(clip(quiet(0.3, rate), tone(0.5, rate=rate), quiet(0.4, rate), rate=rate))
    assert abs(made.seconds - 0.52) < 0.011
    assert float(made.samples[0, 0]) == 0 == float(made.samples[0, -1])


@pytest.mark.parametrize("at", [0, 1, 239, 240, 500, 1600])
@pytest.mark.parametrize("level, width", [(0.08, 2), (0.9, 1), (0.3, 240)])
def test_a_spike_is_no_sound(at, level, width):
    made = trim_silence(clip(spiked(0.07 + 0.03, at, level, width), tone(0.5), spiked(0.3, 7000 - at, level, width)))
    assert abs(made.seconds - 0.52) < 0.021


def test_a_short_consonant_stays():
    """A burst of 40 ms behind a closure of 60 ms, as in "cat"."""
    burst = torch.randn(1, round(0.04 * RATE), generator=torch.Generator().manual_seed(1)) * 0.05
    made = trim_silence(clip(quiet(0.3), tone(0.3), quiet(0.06), burst, quiet(0.3)))
    assert abs(made.seconds - (0.3 + 0.06 + 0.04 + 0.02)) < 0.011


def test_where_there_are_only_clicks_they_are_the_sound():
    made = trim_silence(clip(torch.zeros(1, 2400), tone(0.01), torch.zeros(1, 2400)))
    assert 0.01 < made.seconds < 0.05


def test_sound_up_to_the_edges_loses_nothing():
    made = trim_silence(clip(tone(0.5)))
    assert made.length == RATE // 2 and torch.equal(made.samples[:, 120:-120], tone(0.5)[:, 120:-120])


@pytest.mark.parametrize("length", [1, 2, 3, 100, 239, 240, 241, 1000])
def test_clips_of_a_few_samples(length):
    made = eased(AudioClip(torch.ones(2, length), RATE))
    assert made.length == length and float(made.samples[0, 0]) == 0
    assert trim_silence(AudioClip(torch.ones(1, length), RATE)).length <= length


@pytest.mark.parametrize("crossfade", [0.0, 0.02])
def test_join_keeps_planned_gaps_and_clicks_nowhere(crossfade):
    """As Join Audio does with trim_silence: spikes and silence at the edges of the clips do not count."""
    lines = [clip(spiked(0.1, 3), tone(0.4), spiked(0.2, 4790)) for _ in range(3)]
    made = join([trim_silence(line) for line in lines], crossfade, 0.5)
    assert len(gaps(made.samples)) == 2 and all(abs(gap - 0.52) < 0.012 for gap in gaps(made.samples))
    assert (made.samples[0, 1:] - made.samples[0, :-1]).abs().max() < 0.05, "no step: the tone's own is 0.035"


@pytest.mark.parametrize("gap_s", [0.05, 0.5])
def test_join_of_bare_clips_with_a_gap_steps_nowhere(gap_s):
    ones = AudioClip(torch.full((1, 4800), 0.5), RATE)
    made = join([ones, ones], 0.0, gap_s).samples[0]
    assert (made[1:] - made[:-1]).abs().max() < 0.01


@pytest.mark.parametrize("size", [100, 240, 960, 7777, 100_000])
def test_lines_in_a_row_however_they_come(size):
    """The sound is the same in pieces of any size: each line from zero to zero, the silence between as planned."""
    lines = [torch.cat((spiked(0.1, 5), tone(0.4, 0.2 + 0.1 * n), spiked(0.3, 100)), 1) for n in range(3)]
    seams, found = Seams(RATE), []
    for n, line in enumerate(lines):
        for part in line.split(size, 1):
            found.append(seams.push(AudioClip(part, RATE)))
        found.append(seams.end_line(0.45 if n < 2 else None))
    made = torch.cat([one.samples for one in found if one is not None], 1)
    at = torch.cat((torch.zeros(1), made[0, 12_000:], torch.zeros(1)))
    assert float(made[0, 0]) == 0 == float(made[0, -1])
    between = gaps(made[:, 3000 : -RATE // 4])
    assert len(between) == 2 and all(abs(gap - 0.47) < 0.012 for gap in between)
    assert (at[1:] - at[:-1]).abs().max() < 0.09
    whole = Seams(RATE)
    again = [
        one
        for n, line in enumerate(lines)
        for one in (whole.push(AudioClip(line, RATE)), whole.end_line(0.45 if n < 2 else None))
    ]
    assert torch.equal(made, torch.cat([one.samples for one in again if one is not None], 1))


def test_a_line_without_sound_takes_no_place():
    seams = Seams(RATE)
    first = [seams.push(clip(tone(0.3))), seams.end_line(0.45)]
    assert seams.push(clip(quiet(0.5))) is None and seams.end_line(0.45) is None
    last = [seams.push(clip(tone(0.3))), seams.end_line(None)]
    made = torch.cat([one.samples for one in first + last if one is not None], 1)
    assert len(gaps(made)) == 1 and abs(gaps(made)[0] - 0.47) < 0.02
