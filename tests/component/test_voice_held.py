"""Tags that change the voice: such a take is spoken again, with the gentler placement, and the table says why."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import random_codes
from helpers_rendering import rendered
from helpers_v3 import make_v3_checkpoint

from higgs_runtime import RenderSettings, Sampling, TakeStore, Voice, load_model, parse_script
from higgs_runtime.takes import model_identity
from higgs_runtime.verification import Verdict

SHORT = Sampling(seed=5, max_frames=6)
SCRIPT = """[Anna] <|emotion:anger|>Go away now!
[Anna] The rain went on.
[Ben] <|emotion:fear|>Who is there?
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_v3_checkpoint(tmp_path_factory.mktemp("v3") / "higgs")


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def voices():
    return {name: Voice(random_codes(20, seed=n), "Words.") for n, name in enumerate(("Anna", "Ben"))}


class Compares:
    """In place of a verifier that compares voices: likeness by the line, as it is placed."""

    judge = "a judge"

    def __init__(self, likeness):
        self.likeness, self.heard = likeness, []

    def hear(self, line, codes):
        self.heard.append(line.text)
        return Verdict(True, 0.0, 0.0, self.likeness(line.text), codes.seconds, "heard", ())


def test_a_take_that_lost_its_voice_is_spoken_with_the_gentler_placement(model, voices):
    def likeness(text):
        return 0.6 if text.startswith("<|emotion:anger|>") else 0.8

    judge = Compares(likeness)
    found = rendered(parse_script(SCRIPT), voices, model, SHORT, RenderSettings(max_takes=3), verifier=judge)
    anna, rain, ben = found.lines
    assert anna.line.text == "Go <|emotion:anger|> away now!" and anna.tries == 2 and anna.passed
    assert anna.take.seed == 6 and (rain.tries, ben.tries) == (1, 1), "Ben has no plain line to be held against"
    assert "0.80" in found.table()


def test_one_that_stays_lost_says_so(model, voices):
    judge = Compares(lambda text: 0.55 if "anger" in text else 0.8)
    found = rendered(parse_script(SCRIPT), voices, model, SHORT, RenderSettings(max_takes=3), verifier=judge)
    [line] = found.failed
    assert line.tries == 3 and "tags change the voice (0.25 less" in line.verdict.reasons[0]
    assert [text[:2] for text in judge.heard if "anger" in text] == ["<|", "Go", "Go"]
    assert "Line 1 (Anna)" in found.summary()


@pytest.mark.parametrize("drop, tries", [(0.09, 1), (0.11, 3)])
def test_small_differences_are_none(model, voices, drop, tries):
    judge = Compares(lambda text: 0.8 - drop if "anger" in text else 0.8)
    found = rendered(parse_script(SCRIPT), voices, model, SHORT, RenderSettings(max_takes=3), verifier=judge)
    assert found.lines[0].tries == tries


def test_a_take_with_the_gentler_placement_is_found_again(model, voices, folder, tmp_path):
    script, store = parse_script(SCRIPT), TakeStore(tmp_path)
    keep = {"store": store, "identity": model_identity(folder, device="cpu", dtype=torch.float32)}
    judge = Compares(lambda text: 0.6 if text.startswith("<|emotion:anger|>") else 0.8)
    first = rendered(script, voices, model, SHORT, RenderSettings(max_takes=3), verifier=judge, **keep).lines[0]
    again = rendered(script, voices, model, SHORT, RenderSettings(max_takes=3), verifier=judge, **keep).lines[0]
    assert again.stored and again.key == first.key
    chosen = rendered(script, voices, model, SHORT, RenderSettings(choose={1: 2}), **keep).lines[0]
    assert chosen.stored and chosen.key == first.key
    store.lock_take(first.key)
    assert rendered(script, voices, model, SHORT, **keep).lines[0].key == first.key
