"""Live sound: what is kept of it, how much, and that listening changes nothing about the take."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from helpers_workflow import ROOT, node_classes, node_inputs, node_module, pack_module

RATE = 24_000
NANO = ROOT / "higgs_runtime" / "nano"
SETTINGS = {
    "seed": 3,
    "max_seconds": 4.0,
    "temperature": 0.3,
    "top_k": 50,
    "top_p": 0.95,
    "ras_window": -1,
    "ras_max_repeats": 2,
}


@pytest.fixture
def live(tmp_path, monkeypatch):
    """The module, with a temp folder of its own and nothing kept."""
    node_classes()
    import folder_paths

    module = node_module("shared.live")
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    yield module
    module._sounds.clear()


@pytest.fixture
def models():
    """Handles of Higgs Nano and its codec."""
    node_classes()
    handles = node_module("host.handles")
    yield (
        handles.ModelHandle("lm", str(NANO / "higgs-nano")),
        handles.ModelHandle("codec", str(NANO / "higgs-nano-codec")),
    )
    node_module("host.residency").model_cache().clear()


def running(node: str = "7", prompt: str = "p"):
    from comfy_execution.utils import CurrentNodeContext

    return CurrentNodeContext(prompt_id=prompt, node_id=node)


def speak(runtime, model, text="Good morning, everyone.", **inputs):
    with running():
        return node_classes()["HiggsGenerate"].execute(model, runtime.conversation(text), **{**SETTINGS, **inputs})


def samples_of(sound) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(sound.read(0, 10**9), "<f4").copy())[None]


def files(tmp_path) -> list[Path]:
    return list((tmp_path / "higgs_live").iterdir())


# --- a take that is heard -------------------------------------------------------------------------------------------


def test_codes_are_the_same_and_the_sound_is_that_of_decode_codes(live, runtime, models, monkeypatch):
    model, codec = models
    pieces = []
    push = live.LiveSound.push
    monkeypatch.setattr(live.LiveSound, "push", lambda sound, clip: (pieces.append(clip), push(sound, clip)))
    unheard = speak(runtime, model).args[0]
    off = speak(runtime, model, codec=codec, live=False).args[0]
    assert pieces == [] and live.find("p", "7") is None
    codes = speak(runtime, model, codec=codec).args[0]
    assert torch.equal(codes.ids, unheard.ids) and torch.equal(codes.ids, off.ids)
    sound, [clip] = live.find("p", "7"), [live.find("p", "7").about()]
    assert (clip["state"], clip["samples"], clip["exact"]) == ("done", codes.frames * 960, False)
    assert clip["rendered_s"] == pytest.approx(codes.seconds) and 0 < clip["elapsed_s"] < 60 and clip["most_s"] == 4.0
    heard = samples_of(sound)
    assert len(pieces) >= 2 and torch.equal(heard, torch.cat([piece.samples for piece in pieces], dim=1))
    audio = node_classes()["HiggsDecodeCodes"].execute(codec, codes).args[0]["waveform"][0]
    assert heard.shape == audio.shape and (heard - audio).abs().max() < 1e-5 and heard.std() > 1e-3
    assert sound.exact and torch.equal(samples_of(sound), audio)


class SilentFrom:
    """In place of SilenceStop: everything from this frame on was silence."""

    def __init__(self, frame: int):
        self.frame = frame

    def anew(self):
        heard = iter(range(1, 10_000))
        return lambda _index, _frame: next(heard) >= self.frame


def test_a_take_that_falls_silent_is_ended_where_the_codec_knows_silence(live, runtime, models, monkeypatch):
    model, codec = models
    whole = speak(runtime, model, codec=codec).args[0]
    asked = []
    monkeypatch.setattr(
        pack_module("speech"), "silence_stop", lambda _, seconds: (asked.append(seconds), SilentFrom(9))[1]
    )
    for played in (True, False):
        codes, report = speak(runtime, model, codec=codec, live=played, end_silence=2.0).args
        assert torch.equal(codes.ids, whole.ids[:, :9]) and "finish reason: stop" in report
    assert asked == [2.0, 2.0]
    assert torch.equal(speak(runtime, model, end_silence=2.0).args[0].ids, whole.ids), "nobody knows silence"
    assert torch.equal(speak(runtime, model, codec=codec, end_silence=0.0).args[0].ids, whole.ids)


def test_another_takes_audio_replaces_nothing(live, runtime, models):
    model, codec = models
    speak(runtime, model, codec=codec, max_seconds=1.0)
    other = speak(runtime, model, max_seconds=1.0, text="Where is the old bridge?").args[0]
    node_classes()["HiggsDecodeCodes"].execute(codec, other)
    assert not live.find("p", "7").exact


@pytest.mark.slow
def test_a_codec_that_breaks_ends_the_sound_and_not_the_take(live, runtime, models, monkeypatch):
    model, codec = models
    unheard = speak(runtime, model).args[0]
    decode, calls = runtime.Codec._decode_window, []

    def breaks(self, ids, *kept):
        calls.append(ids)
        if len(calls) > 1:
            raise RuntimeError("CUDA out of memory")
        return decode(self, ids, *kept)

    monkeypatch.setattr(runtime.Codec, "_decode_window", breaks)
    assert torch.equal(speak(runtime, model, codec=codec).args[0].ids, unheard.ids)
    about = live.find("p", "7").about()
    assert about["state"] == "failed" and "out of memory" in about["why"] and about["samples"] > 0


def test_the_codec_of_another_model_is_refused_at_once(live, runtime, models, tmp_path):
    from helpers_codec import make_codec_checkpoint

    make_codec_checkpoint(tmp_path / "codec")
    other = type(models[1])("codec", str(tmp_path / "codec"))
    with pytest.raises(runtime.CheckpointError, match="another one than the model was trained with"):
        speak(runtime, models[0], codec=other)
    assert live.find("p", "7") is None


def test_a_node_that_fails_or_is_cancelled_ends_its_sound(live):
    from comfy.model_management import InterruptProcessingException as Cancelled

    for error, state in ((ValueError("No."), "failed"), (Cancelled(), "cancelled")):
        with pytest.raises(type(error)), running(), live.channel(RATE):
            raise error
        assert (live.find("p", "7").state, live.find("p", "7").why) == (state, str(error))


def test_items_of_a_list_have_sounds_of_their_own(live):
    from comfy_execution.utils import CurrentNodeContext

    for prompt, count in (("old", 2), ("new", 3)):
        for index in range(count):
            with CurrentNodeContext(prompt, "7", index), live.channel(RATE, workflow="w") as sound:
                assert (sound.about()["node"], sound.about()["item"]) == ("7", index)
    assert [sound.key for sound in live.sounds_of("w")] == [("new", "7", index) for index in range(3)]
    assert live.find("old", "7", 1) is not None and live.find("old", "7", 2) is None


@pytest.mark.slow
def test_a_script_is_played_in_order_whatever_the_order_of_rendering(live, runtime, models, tmp_path, monkeypatch):
    model, codec = models
    decoding = node_module("shared.live_decoding")
    monkeypatch.setattr(node_module("host.messages"), "show_text", lambda text: None)
    inputs = {
        name: options["default"]
        for name, (_, options) in node_inputs("HiggsRenderScript").items()
        if "default" in options
    }
    script = runtime.parse_script("[Rose] Good morning, everyone. The story is ready.\n[Ross] Hello.\n[Rose] Welcome.")
    with running():
        inputs |= {"recognizer": "none", "store": False, "max_seconds": 3.0, "takes": 2, "max_takes": 2}
        made, _ = node_classes()["HiggsRenderScript"].execute(script=script, model=model, codec=codec, **inputs).args
    first = {line.line.number: line.take.codes for line in made.lines}
    sound, pause = live.find("p", "7"), torch.zeros(1, int(RATE * decoding.PAUSE_S))
    with node_module("host.handles").open_model(codec) as decoder:
        pieces = [piece for number in range(3) for piece in (decoder.decode(first[number]).samples, pause)]
    assert len({piece.shape[1] for piece in pieces[::2]}) > 1  # they end at other times than they begin
    heard = samples_of(sound)
    assert heard.shape == (1, sum(piece.shape[1] for piece in pieces)) and sound.state == "done"
    assert (heard - torch.cat(pieces, dim=1)).abs().max() < 1e-5


# --- what is kept ---------------------------------------------------------------------------------------------------


def tone(runtime, seconds: float = 1.0):
    return runtime.AudioClip(torch.rand(1, int(RATE * seconds)) - 0.5, RATE)


def test_without_listeners_no_memory_is_taken(live, runtime):
    clip = tone(runtime)
    with running(), live.channel(RATE) as sound:
        for _ in range(5):
            sound.push(clip)
        before = psutil.Process().memory_info().rss
        for _ in range(600):
            sound.push(clip)
        assert psutil.Process().memory_info().rss - before < 8e6 < sound.samples * live.SAMPLE_BYTES
    assert sound.samples == 605 * RATE and len(sound.read(500 * RATE, 2**20)) == 2**20


def test_the_oldest_sounds_go_first_and_those_in_the_making_stay(live, runtime, tmp_path, monkeypatch):
    clip = tone(runtime)
    monkeypatch.setattr(live, "KEPT_BYTES", int(2.5 * RATE * live.SAMPLE_BYTES))
    with running("made"), live.channel(RATE) as first:
        first.push(clip)
        for node in "abc":
            with running(node), live.channel(RATE) as sound:
                sound.push(clip)
    assert [live.find("p", node) is not None for node in ("made", "a", "b", "c")] == [True, False, False, True]
    assert len(files(tmp_path)) == 2
    monkeypatch.setattr(live, "KEPT_SOUNDS", 1)
    with running("d"), live.channel(RATE):
        pass
    assert [key[1] for key in live._sounds] == ["d"] and files(tmp_path) == []


def test_a_sound_longer_than_all_that_is_kept_ends_and_its_render_goes_on(live, runtime, monkeypatch):
    monkeypatch.setattr(live, "KEPT_BYTES", int(1.5 * RATE * live.SAMPLE_BYTES))
    with running(), live.channel(RATE) as sound:
        for _ in range(3):
            sound.push(tone(runtime))
    assert (sound.state, sound.samples) == ("failed", RATE) and "longer than" in sound.why


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full disk")
def test_a_full_disk_ends_the_sound_and_its_render_goes_on(live, runtime):
    with running(), live.channel(RATE) as sound:
        sound._path = Path("/dev/full")
        sound.push(tone(runtime))
        sound.push(tone(runtime))
    assert (sound.state, sound.samples) == ("failed", 0) and "No space left" in sound.why


def test_a_node_that_runs_again_begins_anew(live, runtime, tmp_path):
    for seconds in (1.0, 0.5):
        with running(), live.channel(RATE, workflow="w") as sound:
            sound.push(tone(runtime, seconds))
    assert live.sounds_of("w") == [sound] and sound.samples == RATE // 2 and len(files(tmp_path)) == 1
    assert live.sounds_of("") == live.sounds_of("other") == [] and live.find("p", "../7") is None


@pytest.mark.parametrize("channels, rate", [(2, RATE), (1, 16_000)])
def test_unplayable_codes_are_refused(live, runtime, channels, rate):
    with running(), live.channel(RATE) as sound, pytest.raises(runtime.AudioError, match="mono at 24000 Hz"):
        sound.push(runtime.AudioClip(torch.zeros(channels, 100), rate))
