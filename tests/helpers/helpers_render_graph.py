"""A graph in API format that renders a script, assembles it, and shows what came of it."""

from __future__ import annotations

LM, CODEC = "higgs-nano", "higgs-nano-codec"  # of the pack
TEXT = "[Rose] Good morning.\n[Ross] Hello, my friend.\n[sfx: bed.flac -20dB]\n[Rose] See you soon."


def render_graph(text=TEXT, model=LM, codec=CODEC, **settings) -> dict:
    render = {
        "script": ["script", 0],
        "model": ["model", 0],
        "codec": ["codec", 0],
        "mode": "independent",
        "context_turns": 4,
        "batch": 1,
        "takes": 1,
        "max_takes": 1,
        "choose": "",
        "language": "",
        "max_chars": 300,
        "read_scenes": True,
        "seed": 3,
        "max_seconds": 5.0,
        "temperature": 0.3,
        "top_k": 50,
        "top_p": 0.95,
        "ras_window": -1,
        "ras_max_repeats": 2,
        "recognizer": "none",
        **settings,
    }
    assemble = {"performance": ["render", 0], "codec": ["codec", 0], "subtitles": "srt", "stems": True}
    return {
        "script": {"class_type": "HiggsScript", "inputs": {"text": text}},
        "model": {
            "class_type": "HiggsLoadModel",
            "inputs": {"checkpoint": model, "device": "auto", "dtype": "auto", "quantization": "off"},
        },
        "codec": {"class_type": "HiggsLoadCodec", "inputs": {"checkpoint": codec, "device": "auto", "dtype": "auto"}},
        "render": {"class_type": "HiggsRenderScript", "inputs": render},
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["render", 1]}},
        "assemble": {"class_type": "HiggsAssemble", "inputs": assemble},
        "timeline": {"class_type": "PreviewAny", "inputs": {"source": ["assemble", 5]}},
        "save": {"class_type": "SaveAudio", "inputs": {"audio": ["assemble", 0], "filename_prefix": "scene"}},
        "stems": {"class_type": "SaveAudio", "inputs": {"audio": ["assemble", 1], "filename_prefix": ["assemble", 2]}},
    }
