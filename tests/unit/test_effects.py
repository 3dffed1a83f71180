"""The voice chain: what each effect does, measured."""

from __future__ import annotations

import inspect
import math
import sys

import pytest
import torch
from helpers_audio import RATE, flat, sine, synthetic_speech
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, AudioError, MissingExtraError, SettingError
from higgs_runtime.audio.effects import (
    CHARACTERS,
    EQ_PRESETS,
    Band,
    character,
    compress,
    de_ess,
    equalize,
    gate,
    high_pass,
    low_pass,
    room,
    synthetic_room,
)

IMPULSE = AudioClip(torch.nn.functional.pad(torch.ones(1, 1), (0, 47_999)), 48_000)  # all frequencies, equally


def response(effect, hertz: float) -> float:
    """The gain of a linear effect at a frequency, in dB."""
    spectrum = torch.fft.rfft(effect(IMPULSE).samples[0].double())
    return 20 * math.log10(float(spectrum[round(hertz)].abs()))


def level(clip: AudioClip, start_s=0.0, end_s=1e9) -> float:
    """RMS of a part in dB."""
    part = clip.samples[:, round(start_s * clip.sample_rate) : min(clip.length, round(end_s * clip.sample_rate))]
    return 10 * math.log10(float(part.square().mean()))


# --- filters --------------------------------------------------------------------------------------------------------


def test_high_and_low_pass():
    for hertz in (80, 1000):
        assert response(lambda clip, f=hertz: high_pass(clip, f), hertz) == pytest.approx(-3, abs=0.1)
        assert response(lambda clip, f=hertz: high_pass(clip, f), hertz / 2) == pytest.approx(-24, abs=0.3)
        assert response(lambda clip, f=hertz: low_pass(clip, f), hertz * 2) == pytest.approx(-24, abs=0.4)
        assert response(lambda clip, f=hertz: high_pass(clip, f), hertz * 8) == pytest.approx(0, abs=0.01)
    assert high_pass(flat(0.5, 3 * RATE)).samples[0, -RATE:].abs().max() < 1e-4, "DC"


@pytest.mark.parametrize(
    "kind, inside, outside",
    [
        ("peak", [1000], [50, 15_000]),
        ("low_shelf", [20, 100], [15_000]),
        ("high_shelf", [10_000, 20_000], [50]),
    ],
)
@pytest.mark.parametrize("gain", [-12.0, 4.0])
def test_bands_boost_and_cut_as_set(kind, inside, outside, gain):
    def effect(clip):
        return equalize(clip, [Band(kind, 1000, gain)])

    assert [response(effect, hertz) for hertz in inside] == pytest.approx([gain] * len(inside), abs=0.2)
    assert [response(effect, hertz) for hertz in outside] == pytest.approx([0] * len(outside), abs=0.2)
    if kind != "peak":
        assert response(effect, 1000) == pytest.approx(gain / 2, abs=0.05)


def test_presets_describe_themselves():
    [mud] = EQ_PRESETS["less mud"]
    assert str(mud) == "-4 dB at 300 Hz"
    assert response(lambda clip: equalize(clip, [mud]), 300) == pytest.approx(-4, abs=0.05)
    assert [str(band) for band in (*EQ_PRESETS["warmth"], *EQ_PRESETS["air"])] == [
        "+3 dB below 200 Hz",
        "+3 dB above 10000 Hz",
    ]
    for bands in EQ_PRESETS.values():
        equalize(sine(500, 0.1, rate=8000), bands)


def test_nothing_to_do_gives_the_same_samples():
    clip = AudioClip(torch.rand(2, 5000) * 0.01, 24_000)
    assert equalize(clip, []) is clip and equalize(clip, [Band("peak", 20_000, 6)]) is clip
    assert room(clip, flat(1.0), wet=0.0) is clip
    assert torch.allclose(equalize(clip, [Band("peak", 1000, 0.0)]).samples, clip.samples, atol=1e-8)
    for effect in (compress, de_ess):
        assert torch.equal(effect(clip, 0.0).samples, clip.samples), "all is below the threshold"
    assert torch.equal(gate(clip, ratio=1).samples, clip.samples)


# --- dynamics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [2, 4])
def test_compressor_ratio_and_threshold(ratio):
    for dbfs in (-30, -10, -2):
        out = compress(sine(500, 1, dbfs), -20, ratio, attack_ms=0.1, release_ms=1000)
        expected = dbfs if dbfs < -20 else -20 + (dbfs + 20) / ratio
        assert level(out, 0.5) + 3.01 == pytest.approx(expected, abs=0.5)
    assert level(compress(sine(500, 1, -30), makeup_db=6)) + 3.01 == pytest.approx(-24, abs=0.05)


def test_compressor_times():
    clip = AudioClip(torch.cat([sine(1000, 1, dbfs).samples for dbfs in (-40, 0, -40)], 1), 48_000)
    out = compress(clip, -20, 10, attack_ms=100, release_ms=200)
    assert level(out, 1.0, 1.005) > level(out, 1.3, 1.5) + 3, "the attack lets the start through"
    assert level(out, 2.02, 2.1) < level(out, 2.8, 3.0) - 1, "the release takes its time"


def test_channels_are_compressed_alike():
    left, right = sine(500, 1, -6).samples, sine(700, 1, -26).samples
    out = compress(AudioClip(torch.cat([left, right]), 48_000), -20, 4, attack_ms=0.1, release_ms=1000)
    gains = [
        level(AudioClip(out.samples[[n]], 48_000), 0.5) - level(AudioClip(one, 48_000), 0.5)
        for n, one in enumerate((left, right))
    ]
    assert gains[0] < -8 and gains[1] == pytest.approx(gains[0], abs=0.3)


def test_gate_turns_down_the_noise_between_words():
    hiss = torch.randn(1, 16_000 * 4, generator=torch.Generator().manual_seed(0)) * 1e-3
    clip = AudioClip(synthetic_speech(4, [(1, 2)]).samples + hiss, 16_000)
    out = gate(clip, -40, ratio=4)
    assert level(clip, 3, 4) - level(out, 3, 4) > 20
    assert level(out, 1.1, 1.9) == pytest.approx(level(clip, 1.1, 1.9), abs=0.3)


def test_de_esser_takes_the_hiss_and_leaves_the_rest():
    vowel, hiss = sine(300, 1, -12), sine(9000, 1, -12)
    both = AudioClip(vowel.samples + hiss.samples, 48_000)
    out = AudioClip(de_ess(both, -32, ratio=4).samples - vowel.samples, 48_000)
    assert level(out, 0.2, 0.9) + 3.01 == pytest.approx(-32 + 20 / 4, abs=2.0)
    assert torch.allclose(de_ess(vowel, -32).samples, vowel.samples, atol=1e-4)


# --- rooms and characters -----------------------------------------------------------------------------------------


def test_room_is_the_convolution_and_keeps_its_tail():
    clip = AudioClip(torch.rand(2, 400) - 0.5, RATE)
    echo = AudioClip(torch.tensor([[0.0, 0.0, 0.5]]), RATE)  # half as loud, two samples late: scaled to unit energy
    out = room(clip, echo, wet=0.5).samples
    assert out.shape == (2, 402)
    padded = torch.nn.functional.pad
    assert torch.allclose(out, (padded(clip.samples, (0, 2)) + padded(clip.samples, (2, 0))) / 2, atol=1e-6)
    assert torch.allclose(room(clip, AudioClip(echo.samples * 9, RATE), 0.5).samples, out, atol=1e-6)


def test_synthetic_room_falls_by_60_db():
    for seconds in (0.3, 1.5):
        echo = synthetic_room(seconds, 24_000)
        assert echo.channels == 2 and echo.length == round(seconds * 24_000)
        fall = level(echo, 0, seconds * 0.1) - level(echo, seconds * 0.8, seconds * 0.9)
        assert fall == pytest.approx(48, abs=6), "0.8 of the time, in dB"
        assert torch.equal(echo.samples, synthetic_room(seconds, 24_000).samples)
    speech = synthetic_speech(2, [(0, 2)])
    wet = room(speech, synthetic_room(0.5), 1.0)
    assert wet.channels == 2 and level(wet, 0, 2) == pytest.approx(level(speech), abs=6)


def test_rooms_that_do_not_fit():
    stereo, six = flat(0.1, channels=2), flat(0.1, channels=6)
    with pytest.raises(AudioError, match="1 or 6 channels"):
        room(six, stereo)
    with pytest.raises(AudioError, match="no sound in the impulse"):
        room(six, flat(0.0))
    with pytest.raises(SettingError, match="wet"):
        room(six, flat(0.1), 1.5)
    with pytest.raises(SettingError, match="seconds"):
        synthetic_room(100)


@pytest.mark.parametrize("name", CHARACTERS)
def test_characters_pass_their_band(name):
    device = CHARACTERS[name]
    middle = level(character(sine(1500, 0.5, -20), name), 0.1)
    for hertz in (device.low_hz / 3, device.high_hz * 2.5):
        assert level(character(sine(hertz, 0.5, -20), name), 0.1) < middle - 30
    out = character(AudioClip(synthetic_speech(1, [(0, 1)]).samples.repeat(2, 1), 16_000), name)
    assert (out.channels, out.length, out.sample_rate) == (2, 16_000, 16_000)


def test_drive_distorts_and_a_telephone_line_is_quantized():
    def overtones(name, dbfs):
        spectrum = torch.fft.rfft(character(sine(1000, 1, dbfs, rate=16_000), name).samples[0, :16_000]).abs()
        return float(spectrum[3000] / spectrum[1000])

    assert overtones("loudspeaker", -6) > 0.05 > overtones("loudspeaker", -60)
    clip = sine(1013, 1, -6, rate=16_000)
    rest = character(clip, "telephone").samples[:, 4000:12_000]
    spectrum = torch.fft.rfft(rest[0] * torch.hann_window(8000)).abs()
    spectrum[480:520] = 0
    noise = 10 * math.log10(float(spectrum.square().sum() * 2 / 8000**2 / 0.375)) - level(clip)
    assert -45 < noise < -33, "8-bit mu-law has about 38 dB"


# --- bad and odd input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda c: high_pass(c, 3800), "hertz.*10 to 3600"),
        (lambda c: low_pass(c, 5), "hertz"),
        (lambda c: compress(c, 1), "threshold_db"),
        (lambda c: compress(c, ratio=0.5), "ratio"),
        (lambda c: compress(c, makeup_db=25), "makeup_db"),
        (lambda c: gate(c, attack_ms=0), "attack_ms"),
        (lambda c: gate(c, release_ms=math.nan), "release_ms"),
        (lambda c: de_ess(c), "hertz.*10 to 3600"),
        (lambda c: Band("notch", 100, 3), "peak, low_shelf"),
        (lambda c: Band("peak", 1, 3), "hertz"),
        (lambda c: Band("peak", 100, 30), "gain_db"),
        (lambda c: Band("peak", 100, 3, 0), "'q'"),
        (lambda c: character(c, "gramophone"), "telephone or radio"),
    ],
)
def test_bad_settings(call, words):
    with pytest.raises(SettingError, match=words):
        call(flat(0.1))


def test_rates_that_are_too_low():
    for call in (lambda clip: character(clip, "radio"), high_pass):
        with pytest.raises((AudioError, SettingError), match="rate is too low"):
            call(AudioClip(torch.rand(1, 50), 20))


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    for effect in (gate, compress):
        with pytest.raises(MissingExtraError, match="pip install pedalboard"):
            effect(flat(0.1))


EFFECTS = [
    high_pass,
    lambda clip: low_pass(clip, 3000),
    lambda clip: equalize(clip, EQ_PRESETS["broadcast"]),
    gate,
    compress,
    lambda clip: de_ess(clip, hertz=3000),
    lambda clip: room(clip, synthetic_room(0.05, channels=1)),
    *(lambda clip, name=name: character(clip, name) for name in CHARACTERS),
]


@settings(max_examples=examples(40), deadline=None)
@given(
    st.integers(0, len(EFFECTS) - 1),
    st.integers(1, 8),
    st.sampled_from([0, 1, 2, 7, 100, 1000]),
    st.sampled_from([8000, 11_025, 48_000]),
    st.sampled_from([0.0, 1e-20, 0.3, 1e3]),
    st.sampled_from([0.0, 0.5]),
)
def test_any_clip_stays_finite_and_of_its_kind(effect, channels, length, rate, scale, offset):
    noise = torch.rand(channels, length, generator=torch.Generator().manual_seed(0)) - 0.5
    clip = AudioClip(noise * scale + offset, rate)
    before = clip.samples.clone()
    out = EFFECTS[effect](clip)
    assert (out.channels, out.sample_rate) == (channels, rate) and out.length >= length
    assert out.length == length or "room" in inspect.getsource(EFFECTS[effect])
    assert torch.equal(clip.samples, before), "the clip itself is left alone"
