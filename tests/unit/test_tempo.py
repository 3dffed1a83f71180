"""Tempo and pitch."""

from __future__ import annotations

import sys

import pytest
import torch
from helpers_audio import flat, sine

from higgs_runtime import AudioClip, AudioError, MissingExtraError, SettingError
from higgs_runtime.audio.clip import resample
from higgs_runtime.audio.stretch import change_pitch, change_tempo
from higgs_runtime.audio.vad import speech_spans
from higgs_runtime.hub.catalog import embedded_clips


def hertz(clip: AudioClip) -> float:
    """The strongest frequency."""
    spectrum = torch.fft.rfft(clip.samples[0] * torch.hann_window(clip.length)).abs()
    return float(spectrum.argmax()) * clip.sample_rate / clip.length


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_tempo_changes_the_length_and_not_the_pitch(factor):
    clip = sine(440, 2, -12, channels=2, rate=24_000)
    out = change_tempo(clip, factor)
    assert (out.channels, out.length, out.sample_rate) == (2, round(48_000 / factor), 24_000)
    assert hertz(out) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("semitones", [-12, -3, 5, 12])
def test_pitch_changes_and_not_the_length(semitones):
    clip = sine(440, 2, -12, rate=24_000)
    out = change_pitch(clip, semitones, keep_formants=False)
    assert out.length == clip.length and hertz(out) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.005)


def test_words_come_at_their_new_times():
    clip = AudioClip.load(embedded_clips()["rose"])
    before, after = speech_spans(clip), speech_spans(change_tempo(clip, 1.25))
    assert after[0][0] == pytest.approx(before[0][0] / 1.25, abs=0.1)
    assert after[-1][1] == pytest.approx(before[-1][1] / 1.25, abs=0.1)


def test_nothing_to_change_gives_the_clip_back():
    clip = flat(0.1)
    assert change_tempo(clip, 1.0) is clip and change_pitch(clip, 0) is clip


@pytest.mark.parametrize("length", [0, 1, 7, 500])
@pytest.mark.parametrize("channels", [1, 6])
def test_short_clips(length, channels):
    clip = AudioClip(torch.rand(channels, length) - 0.5, 16_000)
    assert change_tempo(clip, 2.0).samples.shape == (channels, max(1, round(length / 2)) if length else 0)
    assert change_pitch(clip, 3).samples.shape == clip.samples.shape


def test_bad_settings():
    for factor in (0.0, 0.2, 5, float("nan")):
        with pytest.raises(SettingError, match="factor.*0.25 to 4"):
            change_tempo(flat(0.1), factor)
    with pytest.raises(SettingError, match="semitones.*-24 to 24"):
        change_pitch(flat(0.1), 25)
    with pytest.raises(AudioError, match="8000 Hz or more"):
        change_tempo(resample(flat(0.1), 4000), 2.0)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(MissingExtraError, match="pip install pedalboard"):
        change_tempo(flat(0.1), 2.0)
