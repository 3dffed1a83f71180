"""Edit Speech and Speak On as they are heard: recordings of the pack, Higgs Nano, and a recognizer."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import AudioClip, embedded_voices, load_codec, load_model, load_recognizer
from higgs_runtime.editing import Speaking, edit_speech, speak_on
from higgs_runtime.hub.catalog import EMBEDDED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def how():
    model, codec = load_model(EMBEDDED / "higgs-nano"), load_codec(EMBEDDED / "higgs-nano-codec")
    return Speaking(model=model, codec=codec, recognizer=load_recognizer(), language="en")


def recording(name: str) -> tuple[AudioClip, str]:
    file = embedded_voices()[name]
    return AudioClip.load(file), file.with_suffix(".txt").read_text(encoding="utf-8").strip()


def test_the_new_sentence_is_heard_and_the_rest_is_the_recording(how, ears):
    clip, said = recording("alan")
    new = said.replace("train", "bus")
    made = edit_speech(clip, said, new, how)
    [span] = made.spans
    start, stop = round(span.was_start_s * clip.sample_rate), round(span.was_end_s * clip.sample_rate)
    assert torch.equal(made.clip.samples[:, :start], clip.samples[:, :start])
    assert torch.equal(made.clip.samples[:, made.clip.length - (clip.length - stop) :], clip.samples[:, stop:])
    assert ears.share_heard(new, made.clip) == 1.0 and span.end_s - span.start_s < 1.5


def test_a_recording_goes_on_in_words_that_are_heard(how, ears):
    clip, said = recording("ross")
    made = speak_on(clip, said, "The weather is good today.", how)
    assert torch.equal(
        made.clip.samples[:, : round(made.kept_s * 24_000)], clip.samples[:, : round(made.kept_s * 24_000)]
    )
    assert ears.share_heard(f"{said} The weather is good today.", made.clip) > 0.8
