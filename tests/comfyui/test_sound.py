"""The nodes that work on sound, in a real ComfyUI."""

from __future__ import annotations

import soundfile

from higgs_runtime import AudioClip
from higgs_runtime.catalog import embedded_clips


def graph(**nodes: tuple[str, dict]) -> dict:
    """Two clips of the pack, a dialogue's voice and its bed; the nodes; the node `last` is saved."""
    settings = {"start": 0.0, "duration": 0.0, "trim_silence": 0.0, "mono": True, "sample_rate": 0, "level": "off",
                "level_target": -20.0}
    for name in ("rose", "bed"):
        nodes[name] = ("HiggsLoadAudio", {"audio": f"{name} (from the pack)", **settings})
    nodes["save"] = ("SaveAudio", {"audio": ["last", 0], "filename_prefix": "sound"})
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


CHAIN = {"high_pass": 80.0, "gate": -50.0, "de_ess": -32.0, "compress": -20.0, "ratio": 3.0, "makeup": 2.0,
         "eq": "broadcast", "character": "off", "room": 0.1, "room_seconds": 0.3}
DUCKING = {"depth": 12.0, "attack": 0.15, "hold": 0.3, "release": 0.6, "look_ahead": 0.15, "threshold": 0.5}


def test_from_takes_to_a_mix(client, tmp_path):
    run = client.run(graph(
        voice=("HiggsVoiceChain", {"audio": ["rose", 0], **CHAIN}),
        slow=("HiggsTempoPitch", {"audio": ["voice", 0], "tempo": 0.8, "semitones": -2.0, "keep_formants": True}),
        twice=("HiggsJoinAudio", {"crossfade": 0.02, "gap": 0.5, "trim_silence": 40.0, "audio_0": ["voice", 0],
                                  "audio_1": ["slow", 0]}),
        ducked=("HiggsDuckAudio", {"bed": ["bed", 0], "speech": ["twice", 0], **DUCKING}),
        last=("HiggsMixAudio", {"allow_clipping": False, "sample_rate": 0, "track_0": ["twice", 0], "start_0": 1.0,
                                "track_1": ["ducked", 0], "loop_1": -1.0, "fade_out_1": 1.0, "duck_1": 12.0}),
    ))
    assert run.error is None, run.error
    samples, rate = soundfile.read(client.download(run.outputs["save"]["audio"][0], tmp_path), always_2d=True)
    spoken = AudioClip.load(embedded_clips()["rose"]).seconds
    assert rate == 24_000 and abs(len(samples) / rate - (1 + spoken * 2.25 + 0.5)) < 2.5


def test_errors_reach_the_person(client):
    short = graph(last=("HiggsJoinAudio", {"crossfade": 20.0, "gap": 0.0, "trim_silence": 0.0, "audio_0": ["rose", 0],
                                           "audio_1": ["bed", 0]}))
    assert "Clip 0 is too short for this crossfade" in client.run(short).error["exception_message"]
    alone = graph(last=("HiggsMixAudio", {"allow_clipping": False, "sample_rate": 0, "track_1": ["bed", 0],
                                          "after_1": 0}))
    assert "not connected" in client.run(alone).error["exception_message"]
