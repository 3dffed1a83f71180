"""The step is compiled beside the first prompts: these are read meanwhile, the first step waits, cancel does not."""

from __future__ import annotations

import threading
import time

import pytest
from helpers_session import lines, same, settings, some_model

from higgs_runtime import Session
from higgs_runtime.generation import cpu_kernel, run as run_module
from higgs_runtime.generation.cpu_kernel import step as step_module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return some_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def compiler(monkeypatch):
    """A new computer, whose compiler is done when this event is set."""
    done, real = threading.Event(), cpu_kernel._compiled

    def slow():
        assert done.wait(60)
        return real()

    monkeypatch.setattr(cpu_kernel, "_compiled", slow)
    cpu_kernel._preparing.cache_clear()
    yield done
    done.set()
    cpu_kernel._preparing.cache_clear()


@pytest.mark.timeout(120)
def test_prompts_are_read_meanwhile_and_a_seed_says_the_same(model, compiler, monkeypatch):
    read, real = [], run_module.prefill

    def prefill(*args, **how):
        assert not compiler.is_set(), "nobody waited before the prompt was read"
        read.append(real(*args, **how))
        if len(read) == 3:
            threading.Timer(0.3, compiler.set).start()

    monkeypatch.setattr(run_module, "prefill", prefill)
    first = Session(model, batch=3).generate(lines(model)[:3], settings(3))
    assert len(read) == 3 and compiler.is_set()
    monkeypatch.undo()
    later = Session(model, batch=3).generate(lines(model)[:3], settings(3))
    assert all(same(a, b) for a, b in zip(first, later, strict=True)), "no step was a plain one"


@pytest.mark.timeout(60)
def test_cancel_acts_while_it_is_compiled(model, compiler):
    asked = []

    def should_stop():
        asked.append(time.monotonic())
        return len(asked) > 5

    started = time.monotonic()
    [take] = Session(model).generate(lines(model)[:1], settings(1), should_stop=should_stop)
    assert take.finish_reason == "cancelled" and take.frames == 0
    assert not compiler.is_set() and time.monotonic() - started < 30


def test_nothing_is_compiled_for_a_plain_session(model, compiler):
    takes = Session(model, fused=False).generate(lines(model)[:1], settings(1))
    assert takes[0].frames and not compiler.is_set()
    assert cpu_kernel._preparing.cache_info().currsize == 0


def test_what_is_compiled_beforehand_is_what_any_model_uses(model):
    cpu_kernel.prepare()
    Session(model, batch=2).generate(lines(model)[:2], settings(2))
    assert len(step_module.kernels.step.overloads) == 1
