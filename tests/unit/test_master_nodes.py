"""The nodes that measure, level, draw and export: batches, files, what the workflow tells of itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

import av
import pytest
import soundfile
import torch
from helpers_audio import sine
from helpers_examples import cases_of
from helpers_workflow import ROOT, called, load_pack, node_classes, node_inputs, node_module, pack_module

TONES = torch.stack([sine(997, 2, level, 2, 48_000).samples for level in (-23, -33)])


def audio(waves=TONES, rate=48_000) -> dict:
    return {"waveform": waves, "sample_rate": rate}


def run(node_id: str, **inputs):
    """What a node gives, its other widgets as they are at first."""
    values = {name: options["default"] for name, (_, options) in node_inputs(node_id).items() if "default" in options}
    return called(node_id, **{**values, **inputs})


# --- what no node takes ---------------------------------------------------------------------------------------------

SOUND_NODES = {
    "HiggsMixAudio": ["track_0"],
    "HiggsJoinAudio": ["audio_0"],
    "HiggsDuckAudio": ["bed", "speech"],
    **{
        f"Higgs{name}": ["audio"]
        for name in ("VoiceChain", "TempoPitch", "Loudness", "NormalizeLoudness", "AudioPicture", "ExportAudio")
    },
}


NO_SOUND = [
    (torch.zeros(1, 1, 0), "0 samples"),
    (torch.full((1, 1, 9000), float("nan")), "finite|NaN"),
    (torch.full((1, 2, 9000), float("inf")), "finite|inf"),
    (torch.zeros(0, 1, 9), "batch"),
    (TONES[None], "batch"),
]


@pytest.mark.parametrize("node_id, bad", cases_of(SOUND_NODES, NO_SOUND, quick=4))
def test_invalid_sound_is_refused(folders, saver, runtime, node_id, bad):
    waves, words = bad
    with pytest.raises(runtime.AudioError, match=words):
        run(node_id, **{name: audio(waves) for name in SOUND_NODES[node_id]})


# --- loudness -------------------------------------------------------------------------------------------------------


def test_loudness_tells_of_every_clip(runtime):
    report, integrated, spread, peak = run("HiggsLoudness", audio=audio()).args
    assert integrated == pytest.approx([-23, -33], abs=0.1) and peak == pytest.approx([-23, -33], abs=0.2)
    assert spread == [0, 0] and "Clip 0. Loudness -23.0 LUFS" in report and "Clip 1. Loudness -33.0 LUFS" in report
    [line] = [line for line in report.splitlines() if line.startswith("EBU R 128") and line.endswith("passes")]
    assert run("HiggsLoudness", audio=audio(TONES[:1])).args[0].splitlines()[4] == line
    silent = run("HiggsLoudness", audio=audio(torch.zeros(1, 1, 48_000)))
    assert silent.args[1] == [-float("inf")] and "fails: loudness" in silent.args[0]


def test_normalizing_by_preset_and_by_figures(runtime):
    out, report = run("HiggsNormalizeLoudness", audio=audio(), preset="ebu r128").args
    figures = [runtime.measure_loudness(runtime.AudioClip(wave, 48_000)).integrated_lufs for wave in out["waveform"]]
    assert figures == pytest.approx([-23, -23], abs=0.1) and out["waveform"].shape == TONES.shape
    assert "Clip 1. Gain +10.0 dB, limiter at most 0.0 dB." in report
    out, report = run("HiggsNormalizeLoudness", audio=audio(TONES[:1]), preset="custom", target=-12.0, ceiling=-6).args
    report_loudness = pack_module("audio.loudness.targets").report_loudness
    assert report_loudness(runtime.AudioClip(out["waveform"][0], 48_000)).loudness.true_peak_dbtp <= -6
    assert report.startswith("Gain +11.0 dB") and "Streaming, -14 LUFS: fails: loudness -12.0 LUFS" in report
    with pytest.raises(runtime.AudioError, match="no measurable loudness"):
        run("HiggsNormalizeLoudness", audio=audio(torch.zeros(1, 1, 48_000)))


def test_help_pages_say_what_the_norms_are(runtime):
    measured, reached = (
        (ROOT / "web" / "docs" / f"Higgs{name}.md").read_text(encoding="utf-8")
        for name in ("Loudness", "NormalizeLoudness")
    )
    for key, norm in pack_module("choices").NORMS.items():
        low, high = norm.rms_db or norm.integrated_lufs
        assert f"| {key} | {'RMS ' if norm.rms_db else ''}{low:g} to {high:g} " in measured
        unit = "dB RMS" if norm.rms_db else "LUFS"
        assert f"| {key} | {norm.target:g} {unit} | {norm.ceiling_db:g} dBTP |" in reached


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path, monkeypatch):
    load_pack()
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    return tmp_path


@pytest.mark.parametrize("kind", ["waveform", "mel spectrogram", "loudness"])
def test_a_picture_for_each_clip(folders, kind):
    tones = torch.stack([sine(hertz, 2, level, rate=16_000).samples for hertz, level in ((300, -10), (3000, -30))])
    made = run("HiggsAudioPicture", audio=audio(tones, 16_000), kind=kind, width=200, height=104)
    assert made.args[0].shape == (2, 104, 200, 3) and not torch.equal(*made.args[0])
    assert len(made.ui.as_dict()["images"]) == 2


def test_the_mix_draws_its_timeline_when_asked(folders):
    made = run("HiggsMixAudio", track_0=audio(), track_3=audio(TONES[:1]), after_3=0, show_timeline=True)
    assert made.args[1].shape == (1, 512, 1024, 3) and len(made.ui["images"]) == 1
    plain = run("HiggsMixAudio", track_0=audio(), track_3=audio(TONES[:1]), after_3=0)
    assert torch.equal(made.args[0]["waveform"], plain.args[0]["waveform"])
    assert "show_timeline" in plain.args[1].message and "images" not in plain.ui


# --- export ---------------------------------------------------------------------------------------------------------

PROMPT = {
    "1": {"class_type": "HiggsLoadModel", "inputs": {"checkpoint": "auto"}},
    "2": {"class_type": "HiggsLoadAudio", "inputs": {"audio": "rose (from the pack)"}},
    "3": {"class_type": "HiggsEncodeAudio", "inputs": {"audio": ["2", 0]}},
    "4": {"class_type": "HiggsVoice", "inputs": {"codes": ["3", 0], "transcript": "Hello."}},
    "5": {"class_type": "HiggsLoadVoice", "inputs": {"voice": "keeper"}},
    "6": {"class_type": "HiggsGenerate", "inputs": {"model": ["1", 0], "voice": ["4", 0], "other": ["5", 0]}},
    "7": {"class_type": "HiggsLoadAudio", "inputs": {"audio": "bed (from the pack)"}},
    "8": {"class_type": "HiggsMixAudio", "inputs": {"track_0": ["6", 0], "track_1": ["7", 0]}},
    "9": {"class_type": "HiggsExportAudio", "inputs": {"audio": ["8", 0], "note": True}},
    "10": {"class_type": "HiggsLoadVoice", "inputs": {"voice": "elsewhere"}},
}


@pytest.fixture
def saver(folders, monkeypatch):
    """The class of Export Audio, as ComfyUI makes one for each run."""
    node = node_classes()["HiggsExportAudio"]
    assert {"prompt", "extra_pnginfo", "unique_id"} <= set(node.INPUT_TYPES()["hidden"])
    hidden = SimpleNamespace(prompt=PROMPT, extra_pnginfo={"workflow": {"nodes": ["ü"]}}, unique_id="9")
    monkeypatch.setattr(node, "hidden", hidden)
    return node


def entries(path) -> dict:
    with av.open(str(path)) as file:
        told = {**file.metadata, **file.streams.audio[0].metadata}
    return {name.lower(): value for name, value in told.items()}


def test_a_file_tells_where_it_comes_from(folders, saver, runtime):
    made = run("HiggsExportAudio", audio=audio(), tags="title: Sea\nartist: Rose", consent=" Rose R., 2026 ")
    assert made.ui.as_dict()["audio"] == [
        {"filename": f"Sea_00{number}.flac", "subfolder": "audio", "type": "output"} for number in (1, 2)
    ]
    told = entries(folders / "audio" / "Sea_001.flac")
    catalog = pack_module("hub.catalog")
    model = catalog.default_pair(catalog.find_checkpoints(catalog.model_roots([])))[0].title
    assert told["comment"] == (
        f"Synthetic speech. Model: {model}. Voices: rose (from the pack), keeper. Consent: Rose R., 2026."
    )
    assert json.loads(told["prompt"]) == PROMPT and json.loads(told["workflow"]) == {"nodes": ["ü"]}
    assert (told["title"], told["artist"]) == ("Sea", "Rose") and made.args[0].split() == [
        "audio/Sea_001.flac",
        "audio/Sea_002.flac",
    ]


def test_what_is_louder_than_the_format_holds_is_turned_down_as_a_whole(folders, saver):
    """As ComfyUI's own saver would cut it off: a model's speech may be, and the workflow ended for it."""
    loud = audio(2.0 * TONES[:1] / TONES[:1].abs().max())
    report = run("HiggsExportAudio", audio=loud, file_name="loud").args[0]
    assert "Turned down by 6.02 dB: louder than flac 16-bit can hold." in report
    assert soundfile.read(folders / "loud.flac")[0].max() == pytest.approx(1.0, abs=1e-3)
    run("HiggsExportAudio", audio=loud, file_name="loud", format="wav 32-bit float")
    assert soundfile.read(folders / "loud.wav")[0].max() == pytest.approx(2.0, abs=1e-3)


def test_the_output_folder_is_made_where_it_is_not_there_yet(folders, saver, monkeypatch, tmp_path):
    """As below a new --base-directory; ComfyUI's own savers make it too."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "new" / "output"))
    run("HiggsExportAudio", audio=audio(TONES[:1]), file_name="x")
    assert [one.name for one in (tmp_path / "new" / "output").rglob("*") if one.is_file()] != []


def test_disabled_metadata_is_left_out(folders, saver, monkeypatch):
    from comfy.cli_args import args

    monkeypatch.setattr(args, "disable_metadata", True)
    run("HiggsExportAudio", audio=audio(TONES[:1]), file_name="x", note=False)
    assert {"comment", "prompt", "workflow"} & set(entries(folders / "x.flac")) == set()


def test_chapters_and_cover_go_into_an_audiobook(folders, saver):
    cover = torch.rand(2, 30, 40, 3)
    made = run(
        "HiggsExportAudio",
        audio=audio(TONES[:1]),
        format="m4b (AAC audiobook)",
        cover=cover,
        kbps=64,
        chapters="0:00 One\n0:01 Two",
        file_name="book/{date}",
        note=False,
    )
    with av.open(str(folders / made.args[0].splitlines()[0])) as file:
        assert [mark["metadata"]["title"] for mark in file.chapters()] == ["One", "Two"]
        assert file.streams.video[0].width == 40


@pytest.mark.parametrize(
    "inputs, words",
    [
        ({"file_name": "../x"}, "template"),
        ({"tags": "no colon"}, "Line 1 of the tags"),
        ({"kbps": 4}, "kbps"),
        ({"chapters": "9:00 late"}, "Line 1 of the chapters"),
    ],
)
def test_bad_inputs_write_nothing(folders, saver, runtime, inputs, words):
    with pytest.raises(runtime.HiggsError, match=words):
        run("HiggsExportAudio", **{"audio": audio(TONES[:1]), **inputs})
    assert not [path for path in folders.rglob("*") if path.is_file()]


def test_the_origin_of_odd_workflows(runtime):
    load_pack()
    node_classes()
    origin = node_module("shared.origin").origin
    assert origin(None, "1") == ("", "", "", "", "") == origin({}, "1")
    loop = {"1": {"class_type": "A", "inputs": {"x": ["2", 0]}}, "2": {"class_type": "B", "inputs": {"x": ["1", 0]}}}
    assert origin(loop, "1") == ("", "", "", "", "")


def graph_of(checkpoint: str, voice: str = "") -> dict:
    """Export Audio (1) behind a model and a voice of the library."""
    nodes = {
        "1": {"class_type": "HiggsExportAudio", "inputs": {"audio": ["2", 0]}},
        "2": {"class_type": "HiggsGenerate", "inputs": {"model": ["3", 0], "prompt": ["4", 0]}},
        "3": {"class_type": "HiggsLoadModel", "inputs": {"checkpoint": checkpoint}},
    }
    return nodes | ({"4": {"class_type": "HiggsLoadVoice", "inputs": {"voice": voice}}} if voice else {})


@pytest.mark.parametrize("kind, credit", [("higgs_multimodal_qwen3", True), ("higgs_audio_v2", True), ("", False)])
def test_the_credit_and_the_consent_that_the_graph_knows_of(
    folders, saver, runtime, monkeypatch, tmp_path, kind, credit
):
    """A licence asks for it with what is published; the pack's own model asks for nothing."""
    models, library = tmp_path / "models", pack_module("voices")
    monkeypatch.setattr(node_module("host.files"), "model_folders", lambda: [models])
    voice = runtime.Voice(description="Calm.")
    library.save_voice(library.voice_path(models, "anna"), voice, library.VoiceCard("Anna agreed,\n3 May."))
    if kind:
        (models / "mine").mkdir()
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (models / "mine" / name).write_text(f'{{"model_type": "{kind}"}}')
    monkeypatch.setattr(saver.hidden, "prompt", graph_of("mine" if kind else "higgs-nano", "anna"))
    monkeypatch.setattr(saver.hidden, "unique_id", "1")
    run("HiggsExportAudio", audio=audio(TONES[:1]), file_name="x", credit_file=True)
    comment = entries(folders / "x.flac")["comment"]
    assert ("Credit: Made with Boson AI's Higgs Audio." in comment) == credit
    assert "Consent: Anna agreed, 3 May." in comment
    beside = folders / "x.txt"
    assert beside.is_file() == credit and (not credit or "Higgs Audio" in beside.read_text())
