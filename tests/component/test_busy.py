"""Beside other processes: as many threads as there are cores to be had, and fewer when they are kept waiting."""

from __future__ import annotations

import os
import time

import pytest
import torch
from test_fused import PLAIN, filled_cache, random_model, some_ids

from higgs_runtime import Codes, Prompt, Sampling, cores, load_codec
from higgs_runtime.codec import dac_layers
from higgs_runtime.cores import LATE, LONGEST, REST, TEAM_SIZE, WINDOW, TeamSize
from higgs_runtime.generation import prefill
from higgs_runtime.generation.cpu_kernel import fused_step, step as step_module
from higgs_runtime.hub.catalog import EMBEDDED

FEW = 64


class Clock:
    """Moves only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Watch:
    """A team's size under a clock, whose steps take what a test says."""

    def __init__(self, most: int):
        self.clock, self.most = Clock(), most
        self.team = TeamSize(self.clock)

    def step(self, took: float, ran: float) -> int:
        size = self.team.size(self.most)
        self.clock.now += took
        self.team.note(size, took, took * ran)
        return size


# ---- the size of a team --------------------------------------------------------------------------------------------


def test_a_team_that_is_hardly_run_is_halved_until_it_is():
    watch = Watch(8)
    assert [watch.step(2 * WINDOW, LATE / 2) for _ in range(5)] == [8, 4, 2, 1, 1]


def test_a_team_that_is_run_stays_whole():
    watch = Watch(8)
    assert {watch.step(0.002, 0.9) for _ in range(200)} == {8}
    assert {watch.step(2 * WINDOW, 0.5) for _ in range(20)} == {8}, "half a core each is as quick as one thread"


def test_one_short_step_that_was_late_is_no_reason():
    watch = Watch(2)
    assert {watch.step(0.002, 0.01 if turn == 5 else 0.9) for turn in range(100)} == {2}


def test_it_grows_again_by_trial_and_trials_cost_little():
    watch, late, steps = Watch(2), 1.3 * WINDOW, []
    while watch.clock.now < 100:  # always busy
        size = watch.step(late if watch.team.size(2) == 2 else 0.002, 0.04 if watch.team.size(2) == 2 else 0.6)
        steps.append(size)
    lost = late * steps.count(2)
    assert 1 < steps.count(2) and lost < 100 / REST * 1.1
    until = watch.clock.now + late * REST + 2 * WINDOW
    while watch.clock.now < until:  # quiet
        size = watch.step(0.002, 0.9)
    assert size == 2


def test_a_halved_team_does_not_stay_so_for_long():
    watch = Watch(2)
    watch.step(3600.0, 0.0)  # a computer that slept
    begun = watch.clock.now
    while watch.step(0.002, 0.9) == 1:
        pass
    assert watch.clock.now - begun < LONGEST + 2 * WINDOW


# ---- steps ---------------------------------------------------------------------------------------------------------


def logits_of(step, model, rows):
    ids = some_ids(model.config, rows)
    step.speak_as([Sampling(ras_window=0)] * rows)
    step.draw(ids, ids[:0].new_zeros((0, *ids.shape)), torch.rand(2, *ids.shape))
    return step.logits(rows).clone()


def test_steps_of_a_team_that_changes_are_the_same_to_the_last_bit():
    model = random_model(PLAIN)
    whole = step_module.FusedStep(model, filled_cache(model, 2), threads=3)
    changing = step_module.FusedStep(model, filled_cache(model, 2), threads=3, team_size=(team := TeamSize(Clock())))
    sizes = []
    team.size = lambda most: sizes.append(1 + len(sizes) * 2 % most) or sizes[-1]
    for _ in range(7):
        assert torch.equal(logits_of(changing, model, 2), logits_of(whole, model, 2))
    assert set(sizes) == {1, 2, 3}


def test_a_thread_that_has_to_wait_for_its_core_is_counted(monkeypatch):
    """The second of two comes late and does nothing meanwhile, as if others had its core."""
    model, real = random_model(PLAIN), step_module.kernels.step
    step = step_module.FusedStep(model, filled_cache(model, 2), threads=2, team_size=(team := TeamSize(Clock())))
    logits_of(step, model, 2)  # compiled
    taking_part = []

    def late(*args):
        taking_part.append(args[-1])
        if args[-2] == 1:
            time.sleep(2 * WINDOW)
        return real(*args)

    late.overloads = real.overloads
    monkeypatch.setattr(step_module.kernels, "step", late)
    for _ in range(3):
        logits_of(step, model, 2)
    assert sorted(taking_part) == [1, 1, 2, 2] and team.size(2) == 1


def test_waiting_for_the_compiler_is_not_waiting_for_a_core(monkeypatch):
    model, real, noted = random_model(PLAIN), step_module.kernels.step, []
    team = TeamSize(Clock())
    team.note = lambda *what: noted.append(what)
    step = step_module.FusedStep(model, filled_cache(model, 2), threads=2, team_size=team)
    logits_of(step, model, 2)

    def compiling(*args):
        compiling.overloads = (*compiling.overloads, args[-2])
        return real(*args)

    compiling.overloads = ()
    logits_of(step, model, 2)
    assert len(noted) == 1
    monkeypatch.setattr(step_module.kernels, "step", compiling)
    logits_of(step, model, 2)
    logits_of(step, model, 2)
    assert len(noted) == 2


def test_a_run_shares_the_team_size_of_the_process():
    model = random_model(PLAIN)
    assert fused_step(model, filled_cache(model, 1))._team_size is TEAM_SIZE


# ---- prompts and sound ---------------------------------------------------------------------------------------------


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def nano():
    codec = load_codec(EMBEDDED / "higgs-nano-codec")
    ids = torch.randint(codec.codebook_size, (codec.num_codebooks, 80), generator=torch.Generator().manual_seed(0))
    return codec, Codes(ids, codec.frame_rate, codec.codebook_size, codec.signature)


def test_a_small_codec_decodes_by_one_thread_while_others_need_the_cores(four_threads, monkeypatch, nano):
    codec, codes = nano
    team, seen, real = TeamSize(clock := Clock()), [], codec._latents
    note, team.note = team.note, lambda *_: None  # the machine of the test may be busy
    monkeypatch.setattr(cores, "TEAM_SIZE", team)
    monkeypatch.setattr(codec, "_latents", lambda ids: seen.append(torch.get_num_threads()) or real(ids))
    whole = codec.decode(codes).samples
    note(4, 2 * WINDOW, 0.0)
    clock.now += 1.5 * LONGEST  # the team was tried in full meanwhile, perhaps
    # on some processors the last bits of torch's convolutions follow the number of threads
    torch.testing.assert_close(codec.decode(codes).samples, whole, rtol=0, atol=1e-5)
    clock.now += LONGEST
    codec.decode(codes)
    assert seen == [4] * (len(seen) // 3) + [1] * (len(seen) // 3) + [4] * (len(seen) // 3)
    assert torch.get_num_threads() == 4
    note(4, 2 * WINDOW, 0.0)
    monkeypatch.setattr(codec, "_is_small", False)
    seen.clear()
    codec.decode(codes)
    assert set(seen) == {4}


def test_a_small_model_reads_by_one_thread_while_others_need_the_cores(four_threads, monkeypatch):
    model, seen = random_model(PLAIN), []
    monkeypatch.setattr(cores, "TEAM_SIZE", team := TeamSize(Clock()))
    note, team.note = team.note, lambda *_: None
    model.norm.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    prompt = Prompt(torch.full((5,), 7), torch.zeros((0, model.config.num_codebooks), dtype=torch.long))

    def last_state():
        with torch.no_grad():
            return prefill.prefill(model, prompt, model.new_cache(8), 0, lambda: False)

    whole = last_state()
    note(4, 2 * WINDOW, 0.0)
    assert torch.equal(last_state(), whole)
    monkeypatch.setattr(prefill, "SMALL", 0)
    last_state()
    assert seen == [4, 1, 4] and torch.get_num_threads() == 4


def test_the_sound_is_that_of_torchs_convolutions(monkeypatch, nano):
    codec, codes = nano
    ours = codec.decode(codes).samples
    for convolution in (dac_layers.Pointwise, dac_layers.Upsampling):
        monkeypatch.delattr(convolution, "forward")
    torch.testing.assert_close(ours, codec.decode(codes).samples, rtol=0, atol=1e-5)


def test_pointwise_in_a_batch():
    convolution = dac_layers.Pointwise(6, 4, kernel_size=1)
    x = torch.randn(3, 6, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(convolution(x), torch.nn.Conv1d.forward(convolution, x))


def test_short_operations_that_were_kept_waiting_are_counted(four_threads, monkeypatch):
    monkeypatch.setattr(cores, "TEAM_SIZE", team := TeamSize(Clock()))
    with cores.threads_for(short=True):
        time.sleep(2 * WINDOW)  # as if others had the cores
    assert not team.undisturbed() and team.size(4) == 2


def test_threads_come_back_after_an_error(four_threads):
    with pytest.raises(KeyError), cores.torch_threads(1):
        raise KeyError
    assert torch.get_num_threads() == 4


# ---- cores ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A container's groups: what it says of its time, from the outermost to that of the process."""
    monkeypatch.setattr(cores, "GROUPS", tmp_path)
    monkeypatch.setattr(cores, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(FEW)), raising=False)
    (tmp_path / "pod" / "app").mkdir(parents=True)

    def say(own="1:cpu:/elsewhere\n0::/pod/app\n", **limits):
        (tmp_path / "own").write_text(own)
        for name, text in limits.items():
            (tmp_path / name.replace("_", "/") / "cpu.max").write_text(text)
        return cores.available()

    return say


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({}, FEW),
        ({"pod_app": "max 100000\n"}, FEW),
        ({"pod_app": "200000 100000\n"}, 2),
        ({"pod_app": "150000 100000\n"}, 2),
        ({"pod_app": "20000 100000\n"}, 1),
        ({"pod_app": "max 100000\n", "pod": "300000 100000\n"}, 3),
        ({"pod_app": "400000 100000\n", "pod": "300000 100000\n"}, 3),
        ({"pod_app": "no numbers\n"}, FEW),
    ],
)
def test_a_containers_share_is_the_limit(groups, limits, wanted):
    assert groups(**limits) == wanted


def test_other_systems_have_no_groups(groups, tmp_path):
    assert groups(own="1:cpu:/\n") == FEW
    (tmp_path / "own").unlink()
    assert cores.available() == FEW


def test_a_team_is_no_larger_than_the_cores_of_the_process(groups, monkeypatch):
    model = random_model(PLAIN)
    monkeypatch.setattr(torch, "get_num_threads", lambda: FEW + 1)
    assert step_module.FusedStep(model, filled_cache(model, 1)).threads == FEW
    groups(pod="300000 100000")
    assert step_module.FusedStep(model, filled_cache(model, 1)).threads == 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert step_module.FusedStep(model, filled_cache(model, 1)).threads == 2
