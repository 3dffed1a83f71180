"""Generate with a text that is longer than one take: spoken whole, in pieces, in one voice; what is heard, told and
cancelled. With the pack's own checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers_remote import Stub
from helpers_workflow import ROOT, node_classes, node_inputs, node_module, pack_module

NANO = ROOT / "higgs_runtime" / "nano"
TEXT = (
    "Good morning, my friend. The story is ready. Where is the old bridge? The window is open. Please wait for the "
    "train. We have a small boat. The child is at home. I can hear the music."
)
SETTINGS = {
    "seed": 3,
    "max_seconds": 8.0,
    "temperature": 0.3,
    "top_k": 50,
    "top_p": 0.95,
    "ras_window": -1,
    "ras_max_repeats": 2,
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def live(tmp_path, monkeypatch):
    node_classes()
    import folder_paths

    module = node_module("shared.live")
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    yield module
    module._sounds.clear()


@pytest.fixture(scope="module")
def models():
    """Handles of Higgs Nano and its codec."""
    node_classes()
    handles = node_module("host.handles")
    yield (
        handles.ModelHandle("lm", str(NANO / "higgs-nano")),
        handles.ModelHandle("codec", str(NANO / "higgs-nano-codec")),
    )
    node_module("host.residency").model_cache().clear()


@pytest.fixture
def rose(runtime):
    file = runtime.embedded_voices()["rose"]
    codec = runtime.load_codec(NANO / "higgs-nano-codec")
    words = file.with_suffix(".txt").read_text(encoding="utf-8")
    return runtime.Voice(codec.encode(runtime.AudioClip.load(file)), words)


def generate(runtime, model, text=TEXT, voices=(), **inputs):
    from comfy_execution.utils import CurrentNodeContext

    with CurrentNodeContext(prompt_id="p", node_id="7"):
        messages = runtime.conversation(text, list(voices))
        return node_classes()["HiggsGenerate"].execute(model, messages, **{**SETTINGS, **inputs}).args


def decoded(codec, codes) -> torch.Tensor:
    return node_classes()["HiggsDecodeCodes"].execute(codec, codes).args[0]["waveform"][0]


def test_graphs_that_were_saved_have_it_on_and_short_texts_stay_as_they_are(runtime, models):
    kind, options = node_inputs("HiggsGenerate")["in_pieces"][:2]
    assert (kind, options["default"]) == ("BOOLEAN", True) and list(node_inputs("HiggsGenerate"))[-1] == "in_pieces"
    text = "Good morning, my friend. The story is ready."
    made = [generate(runtime, models[0], text, **more) for more in ({}, {"in_pieces": True}, {"in_pieces": False})]
    model = runtime.load_model(models[0].path)
    sampling = runtime.Sampling(**{k: v for k, v in SETTINGS.items() if k != "max_seconds"}, max_frames=200)
    [alone] = runtime.generate(model, [runtime.build_prompt(runtime.conversation(text), model.tokenizer)], sampling)
    for codes, report in made:
        assert torch.equal(codes.ids, alone.codes.ids) and codes.rests == () and "pieces" not in report


def test_a_long_text_is_spoken_whole_as_by_speak_and_heard_so_live(live, runtime, models, rose):
    model, codec = models
    codes, report = generate(runtime, model, voices=[rose], codec=codec)
    assert codes.seconds > 8.0 and "spoken in 3 pieces" in report and "finish reason: stop" in report
    sound = live.find("p", "7")
    heard = torch.from_numpy(np.frombuffer(sound.read(0, 10**9), "<f4").copy())
    clip = decoded(codec, codes)
    assert heard.shape == clip[0].shape and (heard - clip[0]).abs().max() < 1e-3
    assert sound.exact and sound.about()["most_s"] == 24.0
    spoken = pack_module("speech").speak(
        TEXT,
        rose,
        model=runtime.load_model(model.path),
        codec=runtime.load_codec(codec.path),
        sampling=runtime.Sampling(temperature=0.3, seed=3, max_frames=200),
        silence_s=None,
    )
    if spoken.length == clip.shape[1]:  # it cuts at other places where a model speaks short lines best
        assert (spoken.samples - clip).abs().max() < 1e-3


@pytest.mark.slow
def test_all_of_it_is_heard_in_one_voice(runtime, models, ears):
    resemblyzer = pytest.importorskip("resemblyzer")
    model, codec = models
    codes, _ = generate(runtime, model, seed=0)
    clip = runtime.AudioClip(decoded(codec, codes), 24_000)
    assert ears.share_heard(TEXT, clip) > 0.6, ears.hear(clip)
    ends = [0, *(end * 960 for end, _ in codes.rests), clip.length]
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    parts = [clip.samples[0, a:b].numpy() for a, b in zip(ends, ends[1:], strict=False)]
    made = [encoder.embed_utterance(resemblyzer.preprocess_wav(part, 24_000)) for part in parts]
    assert len(made) > 1 and min(float(made[0] @ other) for other in made[1:]) > 0.8


def test_off_it_is_cut_off_and_said(runtime, models):
    codes, report = generate(runtime, models[0], in_pieces=False)
    assert codes.frames == 200 and codes.rests == () and "cut off at max_seconds" in report


def test_which_piece_was_cut_off_is_said(runtime, models):
    text = "The window is open and the story is ready and the child is at home and the boat is small. " * 2
    codes, report = generate(runtime, models[0], text, max_seconds=1.0)
    assert "Piece 1 of" in report and "was cut off after 1 s" in report and "finish reason: length" in report
    assert codes.seconds > 1.0


def test_the_bar_goes_on_over_the_pieces_and_cancel_ends_them(runtime, models, monkeypatch):
    module, seen, totals = node_module("generate"), [0], []

    class Bar:
        def __init__(self, total):
            totals.append(total)

        def update(self, value):
            seen.append(value)

        def finish(self):
            seen.append(totals[-1])

    class Interrupted(Exception):
        pass

    def interrupt():
        raise Interrupted

    monkeypatch.setattr(module, "Progress", Bar)
    generate(runtime, models[0])
    assert totals == [600] and seen == sorted(seen) and 400 < seen[-2] <= seen[-1] == 600
    monkeypatch.setattr(module, "cancelled", lambda: seen[-1] > 205)
    monkeypatch.setattr(module, "raise_if_cancelled", interrupt)
    seen[:] = [0]
    with pytest.raises(Interrupted):
        generate(runtime, models[0])
    assert 205 < seen[-1] < 220, "within the second piece"


def test_a_server_is_asked_for_piece_after_piece(runtime, models):
    """Who gives no voice hears one: the first piece goes along with the others."""
    codec = runtime.load_codec(models[1].path)
    node, asked = node_classes()["HiggsRemoteModel"], {"model": "", "voice": "", "key_variable": ""}
    with Stub("SGLang-Omni") as stub:
        stub.sound *= 4
        [handle] = node.execute(server="SGLang-Omni", url=stub.url, codec=models[1], **asked).args
        codes, report = generate(runtime, handle)
        [named] = node.execute(server="SGLang-Omni", url=stub.url, codec=models[1], **asked | {"voice": "jake"}).args
        generate(runtime, named)
        sound = torch.frombuffer(bytearray(stub.sound), dtype=torch.int16)[None].float() / 32767
    once = codec.encode(runtime.AudioClip(sound, 24_000))
    assert once.seconds > 1 and torch.equal(codes.ids, once.ids.repeat(1, 2)) and codes.rests == ((once.frames, 0.45),)
    first, second, *others = stub.bodies
    assert " ".join((first["input"], second["input"])) == TEXT and "spoken in 2 pieces" in report
    assert "references" not in first and second["references"][0]["text"] == first["input"]
    assert [body["input"] for body in others] == [first["input"], second["input"]]
    assert all(body["voice"] == "jake" and "references" not in body for body in others)
