"""An assistant's turn that begins with given frames: the model goes on as if it had spoken them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_recorder import OperationsRecorder
from helpers_v3 import make_v3_checkpoint

from higgs_runtime import Message, PromptError, Sampling, Session, build_prompt, conversation, load_model
from higgs_runtime.model.delay import begun_rows, delayed_rows

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


@pytest.mark.parametrize("form", FORMS)
def test_turns_that_are_begun_and_others_share_a_batch(models, form):
    model, prompt = prompts_of(models, form)
    _, begun = prompts_of(models, form, random_codes(6, seed=4))
    how = [Sampling(temperature=0.8, seed=seed, max_frames=12) for seed in range(4)]
    alone = [Session(model, batch=1).generate([one], how[n])[0] for n, one in enumerate([begun, prompt, begun, prompt])]
    both = Session(model, batch=2).generate([begun, prompt, begun, prompt], how)
    for one, other in zip(alone, both, strict=True):
        assert torch.equal(one.codes.ids, other.codes.ids) and one.finish_reason == other.finish_reason


def test_rows_of_a_begun_turn_are_those_of_the_whole_clip():
    codes = random_codes(11, seed=1).ids
    written, settled = begun_rows(codes, 1024)
    whole = delayed_rows(codes, 1024, -1)
    assert torch.equal(torch.cat((written, settled)), whole[: 11 + 8])
    assert (written >= 0).all() and (settled[:, 0] == -1).all() and (settled[-1, :-1] == -1).all()


@pytest.mark.parametrize(
    "begun", [torch.full((8, 2), 1024), torch.full((8, 2), -1), torch.zeros(7, 2), torch.zeros(8, 0), torch.zeros(8)]
)
def test_frames_that_the_model_does_not_have_are_refused_before_a_device_reads_them(models, begun):
    model, prompt = prompts_of(models, "v3", random_codes(2))
    with pytest.raises(PromptError, match="begins with"):
        Session(model).generate([replace(prompt, begun=begun.long())], GREEDY)


@pytest.mark.parametrize("form", FORMS)
def test_only_the_assistants_last_turn_can_go_on(models, form):
    codes = random_codes(4)
    model, _ = prompts_of(models, form)
    turn = Message("assistant", [codes], goes_on=True)
    for messages in (
        [*conversation(TEXT), turn, Message("user", [TEXT])],
        [*conversation(TEXT)[:-1], Message("user", [TEXT], goes_on=True)],
        [*conversation(TEXT), replace(turn, reference=True)],
    ):
        with pytest.raises(PromptError, match="goes on"):
            build_prompt(messages, model.tokenizer, layout=form)


@pytest.fixture
def recorders(monkeypatch):
    """Recorders of the sessions to come, in order."""
    made = []

    def recorder(device):
        made.append(OperationsRecorder())
        return made[-1]

    monkeypatch.setattr("higgs_runtime.generation.cuda_graphs.Recorder", recorder)
    return made


@pytest.mark.parametrize("form", ["native", "v3"])
@pytest.mark.parametrize("capture", [False, True])
def test_turns_that_are_begun_take_rows_while_steps_are_in_flight(models, recorders, form, capture):
    """The first of them comes when others speak, whose steps were recorded without a look at what is settled; takes
    end at steps of their own, so that rows change places, and recordings serve the second round as well."""
    model, plain = prompts_of(models, form)
    begun = {n: prompts_of(models, form, random_codes(n, seed=n))[1] for n in (1, 5, 9)}
    order = [plain, plain, plain, begun[5], begun[1], begun[9], plain, begun[5]]
    how = [
        Sampling(temperature=0.9, ras_window=7, seed=n, max_frames=most)
        for n, most in enumerate((9, 30, 5, 12, 17, 3, 8, 20))
    ]
    alone = [Session(model, batch=1, fused=False).generate([one], how[n])[0] for n, one in enumerate(order)]
    session = Session(model, batch=3, poll=3, ahead=True, capture=capture, fused=False)
    for _ in range(2):
        takes = session.generate(order, how)
        for one, other in zip(takes, alone, strict=True):
            assert torch.equal(one.rows, other.rows) and torch.equal(one.codes.ids, other.codes.ids)
            assert one.finish_reason == other.finish_reason
    assert len(recorders) == capture
