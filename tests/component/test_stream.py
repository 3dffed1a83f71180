"""Sound while it is made: the pieces are those of the whole, early enough, and nobody has to read on."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint

from higgs_runtime import (
    AudioError,
    Sampling,
    Voice,
    build_prompt,
    conversation,
    generate,
    load_codec,
    load_model,
    speak,
    speak_stream,
    speech as pipeline,
)
from higgs_runtime.audio.clip import eased, within_full_scale
from higgs_runtime.generation.batch import DecodeBatch

LINE = Sampling(temperature=1.0, top_k=0, top_p=1.0, max_frames=90, seed=3)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "model": load_model(make_lm_checkpoint(folder / "lm", stream_end=0)),
        "codec": load_codec(make_codec_checkpoint(folder / "codec")),
    }


@pytest.fixture(scope="module")
def voice(pair):
    return Voice(random_codes(20, codec=pair["codec"].identity), "Words.")


@pytest.fixture(scope="module")
def whole(pair, voice):
    """The same line at once."""
    prompt = build_prompt(conversation("Hello there.", [voice]), pair["model"].tokenizer)
    return eased(pair["codec"].decode(generate(pair["model"], [prompt], LINE)[0].codes))


def test_all_pieces_in_a_row_are_the_whole(pair, voice, whole):
    pieces = list(speak_stream("Hello there.", voice, sampling=LINE, **pair))
    assert len(pieces) >= 4 and {piece.sample_rate for piece in pieces} == {24_000}
    joined = torch.cat([piece.samples for piece in pieces], dim=1)
    assert joined.shape == whole.samples.shape and (joined - whole.samples).abs().max() < 1e-5


def test_a_text_of_one_piece_has_the_same_ends_at_once(pair, voice, whole):
    clip = speak("Hello there.", voice, sampling=LINE, **pair)
    assert clip.samples[0, 0] == 0 == clip.samples[0, -1]
    assert (clip.samples - within_full_scale(whole).samples).abs().max() < 1e-5


def test_the_first_sound_comes_after_few_steps(pair, voice, monkeypatch):
    """Ramp-in, what the codec looks ahead, and a little sound: under a second of frames."""
    steps = []
    step = DecodeBatch.step
    monkeypatch.setattr(DecodeBatch, "step", lambda self: (steps.append(1), step(self)))
    clips = speak_stream("Hello there.", voice, sampling=LINE, **pair)
    assert steps == []
    first = next(clips)
    assert len(steps) <= 24 and 0.04 <= first.seconds <= 0.5
    clips.close()
    assert len(steps) <= 24


def test_models_are_released_when_the_reader_stops(tmp_path, monkeypatch):
    make_lm_checkpoint(tmp_path / "lm", stream_end=0)
    make_codec_checkpoint(tmp_path / "codec")
    clips = speak_stream("Hello.", sampling=LINE, model=tmp_path / "lm", codec=tmp_path / "codec", device="cpu")
    next(clips)

    def users():
        return [count for key, _, count in pipeline.shared_cache().stats().models if key.path.startswith(str(tmp_path))]

    assert users() == [1, 1]
    clips.close()
    assert users() == [0, 0]


def test_a_stopped_stream_ends_with_the_frames_so_far(pair, voice, whole):
    looks = iter(range(1000))
    pieces = list(speak_stream("Hello there.", voice, sampling=LINE, should_stop=lambda: next(looks) >= 40, **pair))
    joined = torch.cat([piece.samples for piece in pieces], dim=1)
    kept = joined.shape[1] - 11 * 960 - 120  # what follows is the end of a shorter take
    assert 0 < kept < whole.samples.shape[1] and (joined[:, :kept] - whole.samples[:, :kept]).abs().max() < 1e-5


@pytest.mark.parametrize("after", [0, 1, 5])
def test_stopped_before_the_first_sound_it_says_so(pair, voice, after):
    looks = iter(range(1000))
    with pytest.raises(AudioError, match="stopped before the first sound"):
        list(speak_stream("Hello there.", voice, sampling=LINE, should_stop=lambda: next(looks) >= after, **pair))
