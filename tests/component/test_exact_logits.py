"""The audio head multiplies in float32: the logits of a model in 16 bits are large, and 16 bits round large numbers."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint

from higgs_runtime import Sampling, build_prompt, conversation, load_model
from higgs_runtime.generation.session import Session
from higgs_runtime.model import HiggsModel
from higgs_runtime.model.linear import _sums_in_float32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), initializer_range=0.2)


def loud(folder, dtype: torch.dtype) -> HiggsModel:
    """A model whose logits are as large as those of the released v3: 43 to 119."""
    model = load_model(folder, dtype=dtype)
    with torch.no_grad():
        model.audio_head.weight.mul_(32)
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_16_bit_weights_are_not_rounded_to_16_bits(folder, dtype):
    model = loud(folder, dtype)
    hidden = torch.randn(3, 2, model.config.hidden_size, generator=torch.Generator().manual_seed(1)).to(dtype)
    wanted = (hidden.double() @ model.audio_head.weight.double().T).unflatten(-1, (8, -1))
    assert wanted.abs().max() > 64
    with torch.no_grad():
        exact, coarse = model.head(hidden), model.head(hidden, exact=False)
        plain = torch.nn.functional.linear(hidden, model.audio_head.weight).float().unflatten(-1, (8, -1))
        kept = model.head(hidden, in_float32=model.audio_head.kept_in_float32())
    for one in (exact, kept):
        assert one.dtype == torch.float32 and one.shape == wanted.shape
        assert (one - wanted).abs().max() < 1e-3
    assert torch.equal(coarse, plain) and (coarse - wanted).abs().max() > (0.1 if dtype == torch.bfloat16 else 0.02)


def test_both_paths_are_one_where_weights_are_float32(folder):
    model = loud(folder, torch.float32)
    hidden = torch.randn(3, model.config.hidden_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.head(hidden), model.head(hidden, exact=False))


def test_a_session_draws_from_exact_logits_unless_told_otherwise(folder):
    """The draws hold each codebook's id against those of the logits that the hidden states really have."""
    model = loud(folder, torch.bfloat16)
    prompt, steps = build_prompt(conversation("Hello."), model.tokenizer), []

    def head(hidden, exact=True, in_float32=None):
        steps.append((hidden.clone(), exact))
        return HiggsModel.head(model, hidden, exact, in_float32)

    model.head = head
    sampling = Sampling(temperature=0, max_frames=12)
    [take] = Session(model).generate([prompt], sampling)
    wanted = [(hidden.double() @ model.audio_head.weight.double().T).unflatten(-1, (8, -1)) for hidden, _ in steps]
    drawn = [logits.argmax(-1)[0, 0] for logits in wanted]  # of codebook 0, which no delay holds
    rows = min(len(drawn), len(take.rows) - 1)
    assert take.rows[1 : rows + 1, 0].tolist() == [int(one) for one in drawn[:rows]] and all(one for _, one in steps)
    steps.clear()
    Session(model, exact_logits=False).generate([prompt], sampling)
    assert steps and not any(exact for _, exact in steps)


def test_short_memory_does_not_settle_how_logits_are_made(monkeypatch):
    """What a device can do is looked at once: a full one gives no answer, and the next line asks again."""

    def full(*_given, **_how):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    _sums_in_float32.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "mm", full)
        with pytest.raises(RuntimeError, match="out of memory"):
            _sums_in_float32("meta", torch.bfloat16)
    try:
        assert not _sums_in_float32("meta", torch.bfloat16), "where there are no values to look at"
        assert _sums_in_float32.cache_info().misses == 2
    finally:
        _sums_in_float32.cache_clear()
