"""Where somebody speaks, and how far and when a bed goes down under it."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from helpers_audio import RATE, flat, music, sine, synthetic_speech

from higgs_runtime import AudioClip, MissingExtraError, SettingError, Track, mix
from higgs_runtime.audio import vad as speech_activity
from higgs_runtime.audio.clip import resample
from higgs_runtime.audio.mix import Ducking, duck
from higgs_runtime.audio.mix.gains import DuckCurve
from higgs_runtime.audio.vad import speech_spans
from higgs_runtime.hub.catalog import embedded_clips

VOICES = Path(__file__).resolve().parents[3] / "shared" / "voices"  # of one workplace; elsewhere the pack's own clips
SPANS = [(1.0, 3.0), (5.0, 8.0)]


def decibels(curve: DuckCurve, seconds: float, rate=RATE) -> torch.Tensor:
    gains = curve.block(0, round(seconds * rate), rate)
    return torch.zeros(round(seconds * rate)) if gains is None else 20 * torch.log10(gains)


def music_and_noise() -> dict[str, AudioClip]:
    hiss = torch.randn(1, 160_000, generator=torch.Generator().manual_seed(0)) * 0.1
    hum = hiss.cumsum(1) - hiss.cumsum(1).mean()
    return {
        "music": music(10),
        "bed": AudioClip.load(embedded_clips()["bed"]),
        "tone": sine(440, 10, -6, rate=16_000),
        "hiss": AudioClip(hiss, 16_000),
        "hum": AudioClip(hum / hum.abs().max() * 0.5, 16_000),
    }


# --- hearing speech -------------------------------------------------------------------------------------------------


def test_synthetic_speech_is_detected_where_it_is():
    found = speech_spans(synthetic_speech(10, SPANS))
    assert len(found) == 2
    for (start, end), (heard, until) in zip(SPANS, found, strict=True):
        assert heard == pytest.approx(start, abs=0.1) and until == pytest.approx(end, abs=0.1)


@pytest.mark.parametrize("name", ["rose", "ross", "alan", "bear", *sorted(path.name for path in VOICES.glob("*.wav"))])
def test_real_speech_is_detected(name):
    clip = AudioClip.load(VOICES / name if name.endswith(".wav") else embedded_clips()[name])
    assert sum(end - start for start, end in speech_spans(clip)) > 0.7 * clip.seconds


@pytest.mark.parametrize(
    "name", ["music", "hiss", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bed", "tone", "hum"))]
)
def test_music_and_steady_noise_are_no_speech(name):
    assert speech_spans(music_and_noise()[name]) == []


def test_speech_in_windows_is_detected_as_in_one_piece(monkeypatch):
    clip = synthetic_speech(20, [(1, 3), (4.5, 9.5), (12, 13)])
    whole = speech_spans(clip)
    monkeypatch.setattr(speech_activity, "_WINDOW", 16_000 * 5)
    parts = speech_spans(clip)
    assert len(parts) == len(whole) == 3
    for one, other in zip(whole, parts, strict=True):
        assert other == pytest.approx(one, abs=0.1)


def test_clips_without_speech():
    for clip in (flat(0.0, 0), flat(0.0, 9), flat(0.5)):
        assert speech_spans(clip) == []
    with pytest.raises(SettingError, match="threshold.*0.05 to 0.95"):
        speech_spans(flat(0.1), 1.0)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper.vad", None)
    with pytest.raises(MissingExtraError, match="pip install faster-whisper"):
        speech_spans(flat(0.1))
    bed, told = Track(flat(0.1), duck=Ducking()), [(0.0, 0.5)]
    assert mix([bed, Track(flat(0.0), speech=told)]).samples[0, 2000] < 0.1, "told where, it needs no detector"


# --- the curve ------------------------------------------------------------------------------------------------------


def test_depth_and_times():
    curve = DuckCurve(Ducking(depth_db=18, attack_s=0.2, hold_s=0.5, release_s=1.0, look_ahead_s=0.3), [(2.0, 4.0)])
    level = decibels(curve, 8)
    places = {0: 0, 1.7: 0, 1.8: -9, 1.9: -18, 4.4: -18, 4.5: -18, 5.0: -9, 5.5: 0, 7: 0}
    for seconds, expected in places.items():
        assert float(level[round(seconds * RATE)]) == pytest.approx(expected, abs=0.05), seconds


def test_short_pauses_do_not_bring_the_bed_back():
    ducking = Ducking(hold_s=0.3, look_ahead_s=0.1, attack_s=0.1, release_s=0.1)
    level = decibels(DuckCurve(ducking, [(1, 2), (2.35, 3), (3.6, 4)]), 5)
    assert level[round(1.1 * RATE) : round(3.3 * RATE)].max() == pytest.approx(-12)
    assert level[round(3.44 * RATE)] > -3, "this one is longer"


def test_a_fall_that_is_cut_short_and_speech_that_overlaps():
    ducking = Ducking(depth_db=10, attack_s=1.0, hold_s=0.0, release_s=1.0, look_ahead_s=0.0)
    level = decibels(DuckCurve(ducking, [(1.0, 1.5)]), 4)
    assert level.min() == pytest.approx(-5, abs=0.01) and level[RATE * 2] == pytest.approx(0, abs=0.01)
    assert level.diff().abs().max() < 10 / RATE * 1.01, "no step"
    again = decibels(DuckCurve(ducking, [(1.2, 1.5), (1.0, 1.4), (1.0, 1.0)]), 4)
    assert torch.equal(level, again)


def test_bad_settings():
    for name, value in (
        ("depth_db", -1),
        ("depth_db", 81),
        ("attack_s", 0),
        ("release_s", math.nan),
        ("hold_s", -1),
        ("look_ahead_s", 11),
        ("threshold", 0),
    ):
        with pytest.raises(SettingError, match=name):
            Ducking(**{name: value})
    with pytest.raises(SettingError, match="stretch of speech"):
        Track(flat(0.1), speech=[(2.0, 1.0)])


# --- in a mix -------------------------------------------------------------------------------------------------------


def test_a_bed_under_synthetic_speech():
    """What the mix holds beside the speech is the bed: its level, and the times at which it is half down."""
    speech, bed = synthetic_speech(12, SPANS), sine(3000, 12, -20, rate=16_000)
    ducking = Ducking(depth_db=15, attack_s=0.2, hold_s=0.4, release_s=0.8, look_ahead_s=0.2)
    rest = mix([Track(bed, duck=ducking), Track(speech)]).samples - speech.samples
    assert torch.allclose(rest, duck(bed, speech, ducking).samples, atol=1e-6)
    level = 10 * torch.log10(rest[0].square().unfold(0, 160, 160).mean(1)) + 23.01
    assert level[:70].abs().max() < 0.1
    for start, end in SPANS:
        assert (level[int(start * 100) + 10 : int(end * 100)] + 15).abs().max() < 0.1
        half = (level < -7.5).nonzero()[:, 0] / 100
        half = half[(half > start - 0.9) & (half < end + 1.1)]
        assert half[0] == pytest.approx(start - 0.1, abs=0.1), "half of the attack, which begins look_ahead before"
        assert half[-1] == pytest.approx(end + 0.8, abs=0.1), "hold, and half of the release"


def test_only_audible_speech_lowers_the_bed():
    speech, bed = synthetic_speech(4, [(1, 3)]), sine(3000, 4, -20, rate=16_000)

    def level(*others, **settings) -> float:
        silent = [Track(one.clip, gain_db=-120, **settings) for one in others]
        return float(mix([Track(bed, duck=Ducking()), *silent]).samples[0, 28_000:40_000].abs().max())

    assert level(Track(speech)) == pytest.approx(0.1 * 10 ** (-12 / 20), rel=0.01), "its own level does not matter"
    assert level(Track(speech), mute=True) == pytest.approx(0.1, rel=0.01)
    assert level(Track(speech), speech=()) == pytest.approx(0.1, rel=0.01)
    assert level(Track(speech), duck=Ducking()) == pytest.approx(0.1, rel=0.01), "beds do not lower each other"
    for clip in music_and_noise().values():
        assert level(Track(resample(clip, 16_000))) == pytest.approx(0.1, rel=0.01)


def test_given_speech_spans_follow_trim_place_and_loop():
    bed = flat(0.5, 5 * RATE)
    ducking = Ducking(attack_s=0.001, hold_s=0, release_s=0.001, look_ahead_s=0)
    voice = Track(flat(0.0, 2 * RATE), 0.5, trim_start_s=1.0, loop_s=3.0, speech=[(0.5, 1.25)])
    down = mix([Track(bed, duck=ducking), voice]).samples[0] < 0.25
    edges = down.int().diff().nonzero()[:, 0] / RATE
    assert edges.tolist() == pytest.approx([0.5, 0.75, 1.5, 1.75, 2.5, 2.75], abs=0.002)


def test_duck_keeps_the_beds_kind():
    bed = AudioClip(torch.rand(6, 5000) - 0.5, 44_100)
    assert torch.equal(duck(bed, flat(0.0)).samples, bed.samples)
    out = duck(bed, synthetic_speech(4, [(0, 4)]))
    assert (out.samples.shape, out.sample_rate) == ((6, 5000), 44_100) and out.samples.abs().max() < 0.5
