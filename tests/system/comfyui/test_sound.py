"""The nodes that work on sound, in a real ComfyUI."""

from __future__ import annotations

import av
import mutagen
import soundfile
from helpers_workflow import read_workflow

from higgs_runtime import AudioClip, measure_loudness
from higgs_runtime.hub.catalog import embedded_clips


def graph(**nodes: tuple[str, dict]) -> dict:
    """Two clips of the pack, a dialogue's voice and its bed; the nodes; the node `last` is saved."""
    settings = {
        "start": 0.0,
        "duration": 0.0,
        "trim_silence": 0.0,
        "mono": True,
        "sample_rate": 0,
        "level": "off",
        "level_target": -20.0,
    }
    for name in ("rose", "bed"):
        nodes[name] = ("HiggsLoadAudio", {"audio": f"{name} (from the pack)", **settings})
    nodes["save"] = ("SaveAudio", {"audio": ["last", 0], "filename_prefix": "sound"})
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


CHAIN = {
    "high_pass": 80.0,
    "gate": -50.0,
    "de_ess": -32.0,
    "compress": -20.0,
    "ratio": 3.0,
    "makeup": 2.0,
    "eq": "broadcast",
    "character": "off",
    "room": 0.1,
    "room_seconds": 0.3,
}
DUCKING = {"depth": 12.0, "attack": 0.15, "hold": 0.3, "release": 0.6, "look_ahead": 0.15, "threshold": 0.5}


def test_from_takes_to_a_mix(client, tmp_path):
    run = client.run(
        graph(
            voice=("HiggsVoiceChain", {"audio": ["rose", 0], **CHAIN}),
            slow=("HiggsTempoPitch", {"audio": ["voice", 0], "tempo": 0.8, "semitones": -2.0, "keep_formants": True}),
            twice=(
                "HiggsJoinAudio",
                {"crossfade": 0.02, "gap": 0.5, "trim_silence": 40.0, "audio_0": ["voice", 0], "audio_1": ["slow", 0]},
            ),
            ducked=("HiggsDuckAudio", {"bed": ["bed", 0], "speech": ["twice", 0], **DUCKING}),
            last=(
                "HiggsMixAudio",
                {
                    "allow_clipping": False,
                    "sample_rate": 0,
                    "track_0": ["twice", 0],
                    "start_0": 1.0,
                    "track_1": ["ducked", 0],
                    "loop_1": -1.0,
                    "fade_out_1": 1.0,
                    "duck_1": 12.0,
                },
            ),
        )
    )
    assert run.error is None, run.error
    samples, rate = soundfile.read(client.download(run.outputs["save"]["audio"][0], tmp_path), always_2d=True)
    spoken = AudioClip.load(embedded_clips()["rose"]).seconds
    assert rate == 24_000 and abs(len(samples) / rate - (1 + spoken * 2.25 + 0.5)) < 2.5


def test_from_a_mix_to_a_deliverable(client, tmp_path):
    run = client.run(
        graph(
            mix=(
                "HiggsMixAudio",
                {
                    "allow_clipping": False,
                    "sample_rate": 0,
                    "track_0": ["rose", 0],
                    "track_1": ["bed", 0],
                    "gain_1": -18.0,
                    "show_timeline": True,
                },
            ),
            last=(
                "HiggsNormalizeLoudness",
                {"audio": ["mix", 0], "preset": "podcast", "target": -16.0, "ceiling": -1.0},
            ),
            figures=("HiggsLoudness", {"audio": ["last", 0]}),
            picture=("HiggsAudioPicture", {"audio": ["last", 0], "kind": "loudness", "width": 512, "height": 256}),
            export=(
                "HiggsExportAudio",
                {
                    "audio": ["last", 0],
                    "file_name": "out/{title}_{n}",
                    "format": "m4b (AAC audiobook)",
                    "kbps": 0,
                    "tags": "title: Tower",
                    "chapters": "0:00 One\n0:01 Two",
                    "note": True,
                    "consent": "",
                    "cover": ["mix", 1],
                },
            ),
        )
    )
    assert run.error is None, run.error
    assert len(run.outputs["mix"]["images"]) == len(run.outputs["picture"]["images"]) == 1
    [told] = run.outputs["export"]["audio"]
    assert (told["subfolder"], told["filename"].partition("_")[0]) == ("out", "Tower")
    path = client.download(told, tmp_path)
    assert abs(measure_loudness(AudioClip.load(path)).integrated_lufs + 16) < 0.5
    with av.open(str(path)) as file:
        assert file.metadata["comment"] == "Synthetic speech." and len(file.chapters()) == 2
        assert file.streams.video[0].width == 1024
    assert not [name for name in mutagen.File(path).tags if "prompt" in name], "the server runs with --disable-metadata"


def test_the_note_names_model_and_voice(client, tmp_path):
    prompt = read_workflow("clone_voice", api=True)
    [saver] = [node for node in prompt.values() if node["class_type"] == "HiggsExportAudio"]
    saver["inputs"] |= {
        "file_name": "{artist}",
        "kbps": 0,
        "format": "wav 32-bit float",
        "tags": "artist: Us",
        "chapters": "",
        "note": True,
        "consent": "Ours.",
    }
    run = client.run(prompt)
    assert run.error is None, run.error
    [file] = [one for shown in run.outputs.values() for one in shown.get("audio", [])]
    with av.open(str(client.download(file, tmp_path))) as opened:
        comment = opened.metadata["comment"]
    assert comment.startswith("Synthetic speech. Model: ") and " Consent: Ours." in comment
    assert comment.endswith(" Credit: Made with Boson AI's Higgs Audio.")
    assert "Voices: rose (from the pack)." in comment, comment


def test_the_mastering_workflow_delivers(client, tmp_path):
    """A bed that goes down under the words, at the loudness it names, in a file with all that was asked for."""
    prompt = read_workflow("master_a_mix", api=True)
    run = client.run(prompt)
    assert run.error is None, run.error
    [told] = [one for shown in run.outputs.values() for one in shown.get("audio", [])]
    path = client.download(told, tmp_path)
    clip = AudioClip.load(path)
    assert path.name == "Evening_001.mp3" and clip.channels == 2 and 14 < clip.seconds < 20
    assert abs(measure_loudness(clip).integrated_lufs + 16) < 0.5
    with av.open(str(path)) as file:
        assert file.metadata["comment"].startswith("Synthetic speech.") and len(file.chapters()) == 2
        assert file.streams.video[0].width == 1024
    assert "Podcast, -16 LUFS: passes" in str(run.outputs), "the report is shown"


def test_what_is_not_made_is_told(client):
    run = client.run(
        graph(
            last=("HiggsMixAudio", {"allow_clipping": False, "sample_rate": 0, "track_0": ["rose", 0]}),
            export=(
                "HiggsExportAudio",
                {
                    "audio": ["last", 0],
                    "file_name": "x",
                    "format": "mp3",
                    "kbps": 0,
                    "tags": "",
                    "chapters": "",
                    "note": True,
                    "consent": "",
                    "cover": ["last", 1],
                },
            ),
        )
    )
    assert "show_timeline" in run.error["exception_message"]


def test_errors_reach_the_person(client):
    short = graph(
        last=(
            "HiggsJoinAudio",
            {"crossfade": 20.0, "gap": 0.0, "trim_silence": 0.0, "audio_0": ["rose", 0], "audio_1": ["bed", 0]},
        )
    )
    assert "Clip 0 is too short for this crossfade" in client.run(short).error["exception_message"]
    alone = graph(
        last=("HiggsMixAudio", {"allow_clipping": False, "sample_rate": 0, "track_1": ["bed", 0], "after_1": 0})
    )
    assert "not connected" in client.run(alone).error["exception_message"]
