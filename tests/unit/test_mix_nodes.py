"""The nodes that work on sound: batches, rates, channels, and graphs from before their later inputs."""

from __future__ import annotations

import json

import pytest
import torch
from helpers_audio import sine, synthetic_speech
from helpers_examples import cases_of
from helpers_workflow import ROOT, executed, node_classes, node_inputs, node_module, pack_module, widget_names

FIRST_WIDGETS = [
    "allow_clipping",
    "sample_rate",
    *(f"{name}_{number}" for number in range(8) for name in ("start", "gain", "pan", "fade_in", "fade_out")),
]


def audio(*waves: torch.Tensor, rate=16_000) -> dict:
    return {"waveform": torch.stack(waves), "sample_rate": rate}


def run(node_id: str, **inputs) -> dict:
    """What a node gives, its other widgets as they are at first."""
    values = {name: options["default"] for name, (_, options) in node_inputs(node_id).items() if "default" in options}
    out, *_ = executed(node_id, **{**values, **inputs})
    return out


NOISE = torch.rand(3, 2, 8000, generator=torch.Generator().manual_seed(0)) * 0.4 - 0.2


def test_graphs_from_before_the_later_inputs(runtime):
    assert widget_names("HiggsMixAudio")[: len(FIRST_WIDGETS)] == FIRST_WIDGETS, "saved graphs know them by place"
    values = {"start_0": 0.5, "gain_0": -3.0, "pan_0": 0.0, "fade_in_0": 0.1, "fade_out_0": 0.0}
    out, _ = node_classes()["HiggsMixAudio"].execute(False, 0, track_0=audio(NOISE[0]), **values).args
    track = runtime.Track(runtime.AudioClip(NOISE[0], 16_000), 0.5, -3.0, fade_in_s=0.1)
    assert torch.equal(out["waveform"][0], runtime.mix([track]).samples)
    assert torch.equal(out["waveform"], run("HiggsMixAudio", track_0=audio(NOISE[0]), **values)["waveform"])


def test_a_track_at_its_defaults_comes_through_unchanged():
    for node_id, name in (("HiggsMixAudio", "track_0"), ("HiggsJoinAudio", "audio_0"), ("HiggsTempoPitch", "audio")):
        out = run(node_id, **{name: audio(*NOISE)})
        assert torch.equal(out["waveform"], NOISE) and out["sample_rate"] == 16_000
    assert torch.equal(run("HiggsVoiceChain", audio=audio(*NOISE), high_pass=0.0)["waveform"], NOISE)


def test_later_settings_of_a_track(runtime):
    out = run(
        "HiggsMixAudio",
        track_1=audio(NOISE[0]),
        track_4=audio(NOISE[1]),
        after_4=1,
        start_4=-0.25,
        trim_start_4=0.25,
        fade_shape_1="s_curve",
        mute_1=True,
    )
    assert out["waveform"].shape == (1, 2, 8000)
    assert torch.equal(out["waveform"][0, :, 4000:], NOISE[1, :, 4000:]) and not out["waveform"][0, :, :4000].any()
    out = run("HiggsMixAudio", track_0=audio(NOISE[0]), track_1=audio(NOISE[1]), loop_1=-1.0, loop_0=0.75, solo_1=True)
    assert torch.equal(out["waveform"][0], NOISE[1].repeat(1, 2)[:, :12_000])
    assert run("HiggsMixAudio", track_0=audio(NOISE[0]), channels=6)["waveform"].shape == (1, 6, 8000)
    silence = torch.zeros(2, 3000)
    padded = torch.cat([silence, NOISE[0], silence], 1)
    assert 8000 <= run("HiggsMixAudio", track_0=audio(padded), trim_silence=40.0)["waveform"].shape[2] < 9500
    with pytest.raises(runtime.SettingError, match="Track 4 .* Expected 1, got 3"):
        run("HiggsMixAudio", track_1=audio(NOISE[0]), track_4=audio(NOISE[1]), after_4=3)


def test_starts_in_frames(runtime):
    for rate, frame, sample in ((25.0, 3.0, 1920), (29.97, 7.0, 3737), (24.0, 0.0, 0)):
        out = run("HiggsMixAudio", track_0=audio(NOISE[0]), start_0=frame, frame_rate=rate)["waveform"][0]
        assert torch.equal(out[:, sample:], NOISE[0]) and not out[:, :sample].any()
    out = run(
        "HiggsMixAudio", track_0=audio(NOISE[0]), track_1=audio(NOISE[1]), after_1=0, start_1=-5.0, frame_rate=50.0
    )
    assert out["waveform"].shape == (1, 2, 16_000 - 1600), "gaps count in frames too"


def test_ducking_nodes_agree():
    speech, bed = synthetic_speech(4, [(1, 3)]).samples, sine(3000, 4, -20, rate=16_000).samples
    ducked = run("HiggsDuckAudio", bed=audio(bed), speech=audio(speech), depth=18.0)["waveform"][0]
    assert ducked[0, 28_000:40_000].abs().max() == pytest.approx(0.1 * 10 ** (-18 / 20), rel=0.01)
    mixed = run("HiggsMixAudio", track_0=audio(speech), track_1=audio(bed), duck_1=18.0)["waveform"][0]
    assert torch.allclose(mixed - speech, ducked, atol=1e-6)


def test_batches_go_through_clip_by_clip(runtime):
    out = run("HiggsMixAudio", track_0=audio(*NOISE), track_1=audio(NOISE[0, :1]))["waveform"]
    for number in range(3):
        clips = [runtime.AudioClip(one, 16_000) for one in (NOISE[number], NOISE[0, :1])]
        assert torch.equal(out[number], runtime.mix([runtime.Track(clip) for clip in clips]).samples)
    for node_id, inputs in (("HiggsVoiceChain", {"room": 0.2, "eq": "air"}), ("HiggsTempoPitch", {"tempo": 2.0})):
        many = run(node_id, audio=audio(*NOISE), **inputs)["waveform"]
        assert torch.equal(many[1], run(node_id, audio=audio(NOISE[1]), **inputs)["waveform"][0])
    assert run("HiggsJoinAudio", audio_0=audio(*NOISE), audio_1=audio(*NOISE))["waveform"].shape == (3, 2, 15_680)


def test_lists_are_joined_whole_at_the_only_input_and_else_item_by_item():
    """As ComfyUI calls a node that asks for lists; what is shorter goes on with its last item."""
    node, one, two = node_classes()["HiggsJoinAudio"], audio(NOISE[0]), audio(NOISE[1, :, :100])
    settings = {"crossfade": [0.0], "gap": [0.0], "trim_silence": [0.0]}

    def lengths(**inputs):
        [made] = node.execute(**settings | inputs).args
        return [None if clip is None else clip["waveform"].shape[-1] for clip in made]

    assert lengths(audio_0=[one, two, one, None]) == [16_100]
    assert lengths(audio_0=[one, two, None], audio_1=[two]) == [8100, 200, 100]
    assert lengths(audio_0=[one, two], audio_1=[two], gap=[0.0, 1.0]) == [8100, 16_200]
    assert lengths(audio_0=[None, None]) == [None] == lengths(audio_0=[])
    [made] = node.execute(**settings, audio_0=[one, two]).args
    assert torch.equal(made[0]["waveform"][0], torch.cat([NOISE[0], NOISE[1, :, :100]], -1))


INPUTS = {
    "HiggsMixAudio": ["track_0"],
    "HiggsJoinAudio": ["audio_0", "audio_1"],
    "HiggsDuckAudio": ["bed", "speech"],
    "HiggsVoiceChain": ["audio"],
    "HiggsTempoPitch": ["audio"],
    "HiggsNormalizeLoudness": ["audio"],
}


@pytest.mark.parametrize("node_id, layout", cases_of(INPUTS, [(8000, 6), (44_100, 1), (96_000, 2)], quick=4))
def test_any_rate_and_channel_count(node_id, layout):
    rate, channels = layout
    waves = torch.rand(2, channels, rate // 2, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.1
    settings = {
        "HiggsMixAudio": {"channels": channels},
        "HiggsVoiceChain": {"compress": -20.0, "eq": "warmth"},
        "HiggsTempoPitch": {"tempo": 1.25, "semitones": 1.0},
    }.get(node_id, {})
    out = run(node_id, **{name: audio(*waves, rate=rate) for name in INPUTS[node_id]}, **settings)
    assert out["waveform"].shape[:2] == (2, channels) and out["sample_rate"] == rate
    assert bool(out["waveform"].isfinite().all()) and not torch.equal(out["waveform"][0], out["waveform"][1])


def test_batches_that_do_not_fit(runtime):
    with pytest.raises(runtime.AudioError, match="1 or 3 clips in track_1, got 2"):
        run("HiggsMixAudio", track_0=audio(*NOISE), track_1=audio(*NOISE[:2]))
    batches = node_module("shared.batches")
    clips = [runtime.AudioClip(NOISE[0], 16_000), runtime.AudioClip(NOISE[1, :, :10], 16_000)]
    with pytest.raises(runtime.AudioError, match="Clip 1 .*8000 samples at 16000 Hz.*10 samples at 16000 Hz"):
        batches.audio_from_clips(clips)
    with pytest.raises(runtime.AudioError, match="at 16000 Hz, got .* at 8000 Hz"):
        batches.audio_from_clips([clips[0], runtime.AudioClip(NOISE[1], 8000)])


def test_every_part_of_the_voice_chain_acts(runtime):
    speech = synthetic_speech(1, [(0, 1)]).samples
    plain = run("HiggsVoiceChain", audio=audio(speech))["waveform"]
    for setting in (
        {"gate": -10.0},
        {"de_ess": -80.0},
        {"compress": -30.0},
        {"eq": "presence"},
        {"room": 0.3},
        {"character": "radio"},
        {"high_pass": 500.0},
        {"room": 0.3, "impulse": audio(NOISE[0])},
    ):
        out = run("HiggsVoiceChain", audio=audio(speech), **setting)["waveform"]
        assert out[..., :16_000].shape[-1] == 16_000 and not torch.equal(out[0, :1, :16_000], plain[0]), setting
    louder = run("HiggsVoiceChain", audio=audio(speech), compress=-1.0, makeup=6.0)["waveform"]
    assert torch.allclose(louder, plain * 10 ** (6 / 20), atol=1e-4)
    stereo = run("HiggsVoiceChain", audio=audio(speech.repeat(6, 1)), room=0.3, impulse=audio(NOISE[0]))["waveform"]
    assert stereo.shape[1] == 6, "a stereo impulse is mixed down for it"


def shown(**inputs) -> dict:
    """What Mix Audio tells the editor, through JSON as the browser reads it."""
    made = node_classes()["HiggsMixAudio"].execute(False, 0, **inputs)
    [view] = made.ui["higgs_mix"]
    return json.loads(json.dumps(view, allow_nan=False))


def test_what_the_mixer_view_draws():
    tone, late = sine(997, 2, -20, 2, 48_000).samples, torch.cat([torch.zeros(1, 24_000), torch.ones(1, 24_000)], 1)
    view = shown(track_0=audio(tone, rate=48_000), track_5=audio(late, late / 2, rate=24_000), gain_5=-60.0)
    first, second = view["clips"]
    assert (first["track"], first["seconds"], second["track"], second["seconds"]) == (0, 2.0, 5, 2.0)
    assert len(first["low"]) == len(first["high"]) == 400 and {*first["high"]} == {13} and {*first["low"]} == {-13}
    assert second["high"] == [0] * 200 + [127] * 200, "the first of a batch, its gain not applied"
    assert view["loudness"]["integrated"] == pytest.approx(-20, abs=0.2) and view["loudness"]["range"] == 0
    assert view["loudness"]["true_peak"] == pytest.approx(-20, abs=0.2) and view["scaled_db"] == 0
    loud = shown(track_0=audio(late, rate=24_000), gain_0=6.0)
    assert loud["scaled_db"] == pytest.approx(-6.1, abs=0.01)


def test_the_mixer_view_of_odd_mixes():
    assert shown(track_0=audio(torch.zeros(1, 3)))["clips"][0]["high"] == [0, 0, 0]
    assert shown(track_0=audio(torch.zeros(1, 90)))["loudness"] == {"integrated": None, "range": 0, "true_peak": None}
    assert shown(track_0=audio(NOISE[0], rate=4000))["loudness"] is None, "BS.1770 begins at 8000 Hz"
    assert shown(track_0=audio(torch.zeros(7, 9)), channels=7)["loudness"] is None
    assert shown(track_0=audio(torch.zeros(1, 16_000)), loop_0=301.0)["loudness"] is None, "too long"
    assert shown(track_0=audio(torch.zeros(1, 60)), trim_start_0=0.001)["clips"][0]["seconds"] == 60 / 16_000


def test_nothing_connected(runtime):
    for node_id in ("HiggsMixAudio", "HiggsJoinAudio"):
        with pytest.raises(runtime.SettingError, match="nothing to"):
            run(node_id)
    with pytest.raises(runtime.SettingError, match="gap"):
        run("HiggsJoinAudio", audio_1=audio(NOISE[0]))


def test_help_page_says_what_the_presets_do(runtime):
    text = (ROOT / "web" / "docs" / "HiggsVoiceChain.md").read_text(encoding="utf-8")
    for name, bands in pack_module("audio.effects").EQ_PRESETS.items():
        assert f"| {name} | {', '.join(str(band) for band in bands)} |" in text
    for name, device in pack_module("audio.effects").CHARACTERS.items():
        assert f"| {name} | {device.low_hz:g} to {device.high_hz:g} Hz" in text
