"""Voices in a real ComfyUI: made of a recording, kept, found without a restart, spoken with, and played."""

from __future__ import annotations

import io

import pytest
import requests
import soundfile
from helpers_server import Refused

NAME = "Old keeper 老"
MAKE = {
    "audio": {
        "class_type": "HiggsLoadAudio",
        "inputs": {
            "audio": "rose (from the pack)",
            "start": 0.0,
            "duration": 0.0,
            "trim_silence": 0.0,
            "mono": True,
            "sample_rate": 0,
            "level": "off",
            "level_target": -20.0,
        },
    },
    "reference": {
        "class_type": "HiggsPrepareReference",
        "inputs": {"audio": ["audio", 0], "recognizer": "none", "language": "", "min_seconds": 3.0, "max_seconds": 5.0},
    },
    "codec": {"class_type": "HiggsLoadCodec", "inputs": {"checkpoint": "auto", "device": "auto", "dtype": "auto"}},
    "codes": {"class_type": "HiggsEncodeAudio", "inputs": {"codec": ["codec", 0], "audio": ["reference", 0]}},
    "voice": {
        "class_type": "HiggsVoice",
        "inputs": {"transcript": "Hello, and welcome.", "description": "Calm.", "codes": ["codes", 0]},
    },
    "both": {"class_type": "HiggsCombineVoices", "inputs": {"voice_0": ["voice", 0], "voice_1": ["voice", 0]}},
    "save": {
        "class_type": "HiggsSaveVoice",
        "inputs": {"voice": ["both", 0], "name": NAME, "note": "CC0", "overwrite": False, "audio": ["reference", 0]},
    },
}
ASK = {
    "load": {"class_type": "HiggsLoadVoice", "inputs": {"voice": NAME}},
    "prompt": {
        "class_type": "HiggsChatMLPrompt",
        "inputs": {"text": "Good morning.", "system": "Generate audio.", "scene": "", "voice_0": ["load", 0]},
    },
    "model": {
        "class_type": "HiggsLoadModel",
        "inputs": {"checkpoint": "auto", "device": "auto", "dtype": "auto", "quantization": "off"},
    },
    "codec": MAKE["codec"],
    "speak": {
        "class_type": "HiggsGenerate",
        "inputs": {
            "model": ["model", 0],
            "prompt": ["prompt", 0],
            "temperature": 0.3,
            "top_k": 50,
            "top_p": 0.95,
            "seed": 1,
            "max_seconds": 0.4,
            "ras_window": -1,
            "ras_max_repeats": 2,
        },
    },
    "decode": {"class_type": "HiggsDecodeCodes", "inputs": {"codec": ["codec", 0], "codes": ["speak", 0]}},
    "keep": {"class_type": "SaveAudio", "inputs": {"audio": ["decode", 0], "filename_prefix": "keeper"}},
    "show": {"class_type": "PreviewAny", "inputs": {"source": ["load", 1]}},
}


def choices(server) -> list[str]:
    return server.get("/object_info/HiggsLoadVoice")["HiggsLoadVoice"]["input"]["required"]["voice"][1]["options"]


def test_a_voice_is_kept_and_used(server, client):
    others = choices(server)  # that other tests keep in this server
    with pytest.raises(Refused):  # by ComfyUI where there are others, else by the node
        client.queue(ASK)
    run = client.run(MAKE)
    assert run.error is None, run.error
    assert set(choices(server)) - set(others) == {NAME}
    run = client.run(ASK)
    assert run.error is None, run.error
    assert run.outputs["keep"]["audio"]
    [about] = run.outputs["show"]["text"]
    assert about.count("Hello, and welcome.") == 2 and "note: CC0" in about
    heard = requests.get(f"{server.url}/higgs/voices/{NAME}", timeout=30)
    samples, rate = soundfile.read(io.BytesIO(heard.content))
    assert heard.headers["Content-Type"] == "audio/flac" and rate == 24_000 and 3 <= len(samples) / rate <= 5


@pytest.mark.parametrize("name", ["none", "..%2F..%2Fhiggs", "%2Fetc%2Fpasswd", "%00", "voices"])
def test_other_names_give_no_file(server, name):
    assert requests.get(f"{server.url}/higgs/voices/{name}", timeout=30).status_code == 404


def test_bad_names_are_refused_before_anything_runs(client):
    bad = {**MAKE, "save": {**MAKE["save"], "inputs": {**MAKE["save"]["inputs"], "name": "../../evil"}}}
    with pytest.raises(Refused, match="cannot be the name"):
        client.queue(bad)
