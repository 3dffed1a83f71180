"""What the pack's own model says begins and ends in silence: the decoder sees no zeros where frames end."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import Codes, Sampling, build_prompt, conversation, generate, load_codec, load_model
from higgs_runtime.codec.cpu_kernel import kernels
from higgs_runtime.hub.catalog import EMBEDDED


@pytest.fixture(scope="module")
def codec():
    return load_codec(EMBEDDED / "higgs-nano-codec")


@pytest.fixture(scope="module")
def take():
    model = load_model(EMBEDDED / "higgs-nano")
    [take] = generate(model, [build_prompt(conversation("Hello."), model.tokenizer)], Sampling())
    return take.codes


def rms(samples: torch.Tensor) -> float:
    return samples.square().mean().sqrt().item()


def test_the_first_and_the_last_frame_are_silent(codec, take):
    clean, plain = codec.decode(take).samples[0], codec.decode(take, edges=False).samples[0]
    assert clean.shape == plain.shape == (take.frames * 960,)
    assert plain[:2].abs().min() > 0.06 and plain[-1].abs() > 0.02, "what there was: a spike, and an edge"
    assert rms(clean[:960]) < 1e-4 and rms(clean[-960:]) < 1e-4
    inside = slice(codec._decode_context.left * 960, -codec._decode_context.right * 960)
    assert (clean - plain)[inside].numel() == 0 or (clean - plain)[inside].abs().max() < 1e-4
    assert (clean - plain)[2 * 960 : -2 * 960].abs().max() < 1e-2, "the speech itself is as it was"


@pytest.mark.parametrize("sizes", [[1] * 25, [3, 9, 13]], ids=str)
def test_streams_are_clean_at_both_ends_and_wait_no_longer(codec, take, sizes):
    chunks = [Codes(ids, 25.0, 1024, take.codec) for ids in take.ids[:, : sum(sizes)].split(sizes, dim=1)]
    decoder, plain, pieces = codec.decoder(), codec.decoder(edges=False), []
    for chunk in chunks:
        found, before = list(decoder.push(chunk)), list(plain.push(chunk))
        assert [one.length for one in found] == [one.length for one in before]
        pieces += found
    streamed = torch.cat([one.samples for one in (*pieces, *decoder.finish())], dim=1)
    whole = codec.decode(Codes(take.ids[:, : sum(sizes)], 25.0, 1024, take.codec)).samples
    assert streamed.shape == whole.shape and (streamed - whole).abs().max() < 1e-4


@pytest.mark.parametrize(
    "first, stop", [(0, 960), (960 * 10, 960 * 22), (5, 6), (960 * 19 + 7, 960 * 30), (0, 960 * 30)]
)
def test_samples_that_are_kept_are_those_of_the_whole(codec, first, stop):
    """Also at the ends, where zeros are beside the frames."""
    ids = torch.randint(0, 1024, (8, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, kept = codec._decode_ids(ids), codec._decode_kept(ids, first, stop, False)
    assert kept.shape == (1, stop - first) and (kept - whole[:, first:stop]).abs().max() < 1e-5


def test_context_is_dropped_before_the_layers_that_work_most(codec, monkeypatch):
    """Fifteen frames at each side are less than one where the rate is highest; by the module and by compiled loops."""
    ids = torch.randint(0, 1024, (8, 42), generator=torch.Generator().manual_seed(0))
    loud, rows = kernels.last_row_sums, []
    monkeypatch.setattr(kernels, "last_row_sums", lambda *given: (rows.append(len(given[-1])), loud(*given)))
    with torch.no_grad():
        codec._decode_kept(ids, 960 * 15, 960 * 27, False)
    assert 12 * 960 <= sum(rows) < 13 * 960, rows
    monkeypatch.setattr(codec, "_fast", None)
    seen, hooks = [], []
    for stage in codec.module.acoustic_decoder.stages:
        hooks.append(stage.register_forward_hook(lambda _stage, _in, out: seen.append(out.shape[-1])))
    with torch.no_grad():
        codec._decode_kept(ids, 960 * 15, 960 * 27, False)
    for hook in hooks:
        hook.remove()
    assert seen[0] > 12 and 12 * 960 <= seen[-1] < 13 * 960, seen
