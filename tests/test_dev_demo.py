"""What dev.py puts into a ComfyUI: voices, sample clips, checkpoints, and the workflows filled in."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import dev_demo
import dev_env
import helpers_workflow
import pytest

import dev

ROOT = Path(__file__).resolve().parent.parent


def test_own_voice_is_copied_and_a_missing_one_is_said(tmp_path):
    clip = tmp_path / "My Voice.WAV"
    clip.write_bytes(b"sound")
    asked = ["demo", "--transcript", "Its words.", "--voice"]
    assert dev_demo.put_voice(tmp_path, dev.parse([*asked, str(clip)])) == ("higgs_demo_own_voice.wav", "Its words.")
    assert (tmp_path / "input" / "higgs_demo_own_voice.wav").read_bytes() == b"sound"
    with pytest.raises(dev_env.StepFailed, match="no file"):
        dev_demo.put_voice(tmp_path, dev.parse([*asked, str(tmp_path / "none.wav")]))


@pytest.fixture
def no_sentences(monkeypatch, tmp_path):
    """A fresh clone has no spoken samples beside it."""
    monkeypatch.setattr(dev_demo, "SPOKEN", tmp_path / "nowhere")


def test_a_spoken_sample_comes_before_the_hum(tmp_path, monkeypatch):
    monkeypatch.setattr(dev_demo, "SPOKEN", tmp_path)
    (tmp_path / "en_man.wav").write_bytes(b"speech")
    (tmp_path / "en_man.txt").write_text("What he says.\n", encoding="utf-8")
    assert dev_demo.sample("en_man") == (b"speech", "What he says.")
    assert dev_demo.sample("en_woman")[1] == dev_demo.HUM_WORDS


@pytest.mark.parametrize("sound, peak, seconds", [(dev_demo.hum(120.0, 1.0), 0.6, 1), (dev_demo.bed(6.0), 0.375, 6)])
def test_synthetic_clips_are_audible_and_not_clipped(sound, peak, seconds):
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (24000, 1, seconds * 24000)
        samples = memoryview(file.readframes(seconds * 24000)).cast("h")
    assert peak / 3 < max(samples) / 32767 <= peak
    assert peak / 3 < -min(samples) / 32767 <= peak


@pytest.mark.usefixtures("no_sentences")
def test_samples_are_put_once_and_a_clip_of_the_persons_own_stays_without_words(tmp_path):
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "voice_a.wav").write_bytes(b"mine")
    said = dev_demo.HUM_WORDS
    for _ in range(2):
        assert dev_demo.put_samples(tmp_path) == {"reference.wav": said, "voice_b.wav": said, "bed.wav": ""}
    assert (tmp_path / "input" / "voice_a.wav").read_bytes() == b"mine"


def test_samples_are_the_clips_that_the_workflows_name():
    named = set()
    for file in (ROOT / "workflows" / "api").glob("*.json"):
        nodes = json.loads(file.read_text(encoding="utf-8")).values()
        named |= {node["inputs"]["audio"] for node in nodes if node["class_type"] == "HiggsLoadAudio"}
    assert named == {*dev_demo.SAMPLES, "bed.wav"}


@pytest.mark.parametrize("pair", [dev_demo.RANDOM, dev_demo.RELEASED])
def test_workflows_are_filled_in(tmp_path, pair):
    """By the editor's own reading of the written file."""
    words = {"reference.wav": "R.", "voice_a.wav": "A.", "voice_b.wav": "B."}
    dev_demo.write_graphs(tmp_path, pair, words)
    spoken = {}
    for source in (ROOT / "workflows").glob("*.json"):
        prompt = helpers_workflow.ui_to_api(json.loads((tmp_path / dev_demo.GRAPHS / source.name).read_text("utf-8")))
        for node in prompt.values():
            inputs = node["inputs"]
            if "checkpoint" in inputs:
                assert inputs["checkpoint"] == pair[node["class_type"] == "HiggsLoadCodec"]
            assert inputs.get("max_seconds", dev_demo.MAX_SECONDS[pair]) == dev_demo.MAX_SECONDS[pair]
            if node["class_type"] == "HiggsVoice":
                spoken.setdefault(source.stem, []).append(inputs["transcript"])
    assert spoken == {"clone_voice": ["R."], "two_voice_dialogue": ["A.", "B."]}


def test_a_workflow_that_the_person_saved_over_stays(tmp_path):
    dev_demo.write_graphs(tmp_path, dev_demo.RANDOM, {})
    mine, ours = (tmp_path / dev_demo.GRAPHS / f"{name}.json" for name in ("text_to_speech", "clone_voice"))
    mine.write_text(mine.read_text("utf-8").replace("The old lighthouse keeper", "My own hero"), "utf-8")
    dev_demo.write_graphs(tmp_path, dev_demo.RELEASED, {})
    assert "My own hero" in mine.read_text("utf-8") and dev_demo.RANDOM[0] in mine.read_text("utf-8")
    assert dev_demo.RELEASED[0] in ours.read_text("utf-8") and dev_demo.RANDOM[0] not in ours.read_text("utf-8")


def put_released(tree: Path, lm: list[str], lm_type: str = dev_demo.RELEASED_TYPES[0]) -> None:
    """Empty files in the released folders, the codec's complete."""
    files = [(lm, lm_type), (["model.safetensors"], dev_demo.RELEASED_TYPES[1])]
    for name, (there, kind) in zip(dev_demo.RELEASED, files, strict=True):
        folder = tree / dev_demo.MODELS / name
        folder.mkdir(parents=True)
        for file in there:
            (folder / file).write_text('{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}', "utf-8")
        (folder / "config.json").write_text(json.dumps({"model_type": kind}), "utf-8")


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize("lm, lm_type, pair", [
    (["tokenizer.json", "model.safetensors"], "higgs_audio_v2", dev_demo.RELEASED),
    (["tokenizer.json", INDEX, "1.safetensors", "2.safetensors"], "higgs_audio_v2", dev_demo.RELEASED),
    (["tokenizer.json", INDEX, "1.safetensors"], "higgs_audio_v2", dev_demo.RANDOM),
    (["model.safetensors"], "higgs_audio_v2", dev_demo.RANDOM),
    (["tokenizer.json", "model.safetensors"], "higgs_audio", dev_demo.RANDOM),  # the layout that is not read yet
    ([], "higgs_audio_v2", dev_demo.RANDOM),
])
@pytest.mark.usefixtures("no_sentences")
def test_a_complete_released_pair_comes_before_the_random_one(tmp_path, monkeypatch, lm, lm_type, pair):
    made = []
    monkeypatch.setattr(dev_demo, "ensure_random_checkpoints", made.append)
    put_released(tmp_path, lm, lm_type)
    assert dev_demo.furnish(tmp_path) == pair
    assert made == ([] if pair == dev_demo.RELEASED else [tmp_path])
    assert ("NOISE" in dev_demo.about_sound(pair)) == (pair == dev_demo.RANDOM)
    assert pair[0] in (tmp_path / dev_demo.GRAPHS / "clone_voice.json").read_text("utf-8")
