"""An assistant's turn that begins with given frames: the model goes on as if it had spoken them."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_v3 import make_v3_checkpoint

from higgs_runtime import Message, Sampling, Session, build_prompt, conversation, load_model

TEXT = "Good morning, and a good day."
GREEDY = Sampling(temperature=0.0, max_frames=30)
FORMS = ["native", "original", "v3"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    native = make_lm_checkpoint(folder / "native")
    return {"native": load_model(native), "v3": load_model(make_v3_checkpoint(folder / "v3"))}


def prompts_of(models, form, codes=None):
    model = models["v3" if form == "v3" else "native"]
    messages = conversation(TEXT)
    if codes is not None:
        messages.append(Message("assistant", [codes], goes_on=True))
    return model, build_prompt(messages, model.tokenizer, layout=form)


def first(codes, frames):
    from dataclasses import replace

    return replace(codes, ids=codes.ids[:, :frames])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [1, 3, 7, 8, 15])
@pytest.mark.parametrize("fused", [True, False])
def test_a_take_that_is_begun_goes_on_as_it_did(models, form, frames, fused):
    model, prompt = prompts_of(models, form)
    whole = Session(model, fused=fused).generate([prompt], GREEDY)[0]
    assert whole.frames == GREEDY.max_frames
    _, begun = prompts_of(models, form, first(whole.codes, frames))
    rest = Session(model, fused=fused, batch=1).generate(
        [begun], Sampling(temperature=0.0, max_frames=GREEDY.max_frames - frames)
    )[0]
    assert torch.equal(rest.codes.ids, whole.codes.ids[:, frames:])
    assert rest.finish_reason == "length"
