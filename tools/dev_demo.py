"""What `dev.py` puts into a ComfyUI so that the example workflows run there: checkpoints, clips, filled-in workflows.

Standard library only.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import shutil
import struct
import tempfile
import wave
from functools import cache
from pathlib import Path

from dev_env import ROOT, StepFailed, child_env, fingerprint, run_step, venv_python

MODELS = Path("models", "higgs_audio")  # these three are inside a ComfyUI tree
INPUT = Path("input")
GRAPHS = Path("user", "default", "workflows", "higgs-demo")  # what the Workflows sidebar lists
RANDOM = ("higgs-random-lm", "higgs-random-codec")
RELEASED = ("higgs-audio-v2-generation-3B-base", "higgs-audio-v2-tokenizer")
RELEASED_TYPES = ("higgs_audio_v2", "higgs_audio_v2_tokenizer")
TOKENIZER = Path("comfy", "text_encoders", "llama_tokenizer", "tokenizer.json")  # Llama 3's, in every ComfyUI
SPOKEN = ROOT.parent / "shared" / "voices"  # spoken sentences with their words, where there are any
VOICES = {"en_woman": 200.0, "en_man": 120.0}  # and the pitch in Hz of the hum where there are none
SAMPLES = {"reference.wav": "en_woman", "voice_a.wav": "en_woman", "voice_b.wav": "en_man"}  # named by the workflows
RATE = 24000
MAX_SECONDS = {RANDOM: 5.0, RELEASED: 20.0}  # a random model never ends its speech by itself
HUM_WORDS = "One, two, three, four, five, six."


def about_sound(pair: tuple[str, str]) -> str:
    if pair == RELEASED:
        return f"The model is {pair[0]}, found in {MODELS}."
    return (
        "What you hear is NOISE: the model is a small random one in the released layout, it never learned to speak.\n"
        f"For speech put the released pair into {MODELS} (see README.md)."
    )


def furnish(tree: Path) -> tuple[str, str]:
    """Give the tree all that the example workflows need to run; returns the pair of checkpoints to run them with."""
    released = all(is_complete(tree / MODELS / name, kind) for name, kind in zip(RELEASED, RELEASED_TYPES, strict=True))
    if not released:
        ensure_random_checkpoints(tree)
    pair = RELEASED if released else RANDOM
    write_graphs(tree, pair, put_samples(tree))
    return pair


def is_complete(folder: Path, model_type: str) -> bool:
    """Whether a folder holds a checkpoint of this type with all its files (as higgs_runtime/catalog.py has it)."""
    needed = {"config.json", "model.safetensors"} | ({"tokenizer.json"} if model_type == RELEASED_TYPES[0] else set())
    try:
        if not (folder / "model.safetensors").is_file():
            index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
            needed = needed - {"model.safetensors"} | set(index["weight_map"].values())
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    return found == model_type and all((folder / name).is_file() for name in needed)


def ensure_random_checkpoints(tree: Path) -> None:
    """Small random checkpoints among the tree's models, made anew when their tool changes."""
    tool = ROOT / "tools" / "make_random_checkpoint.py"
    models = tree / MODELS
    stamp = models / RANDOM[-1] / "made-by-dev"
    wanted = fingerprint(*(tool.with_name(name).read_text(encoding="utf-8") for name in (tool.name, "random_codec.py")))
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="higgs-demo-") as temp:
        command = [str(venv_python()), str(tool), "--out", temp, "--tokenizer", str(tree / TOKENIZER)]
        run_step(f"making small random checkpoints in {models}", command, "The lines above say why.", child_env(tree))
        (Path(temp) / RANDOM[-1] / stamp.name).write_text(wanted)
        for name in RANDOM:  # the stamped one last: a half-done move is done again
            shutil.rmtree(models / name, ignore_errors=True)
            shutil.move(str(Path(temp) / name), str(models / name))


def put_samples(tree: Path) -> dict[str, str]:
    """Put the clips that the workflows name into ComfyUI's input folder; returns the words of each voice.

    A file of the person's own stays, and its words are unknown: the workflow asks for them.
    """
    (tree / INPUT).mkdir(exist_ok=True)
    clips = {name: sample(voice) for name, voice in SAMPLES.items()} | {"bed.wav": (bed(), "")}
    for name, (sound, _) in clips.items():
        if not (tree / INPUT / name).exists():
            (tree / INPUT / name).write_bytes(sound)
    return {name: words for name, (sound, words) in clips.items() if (tree / INPUT / name).read_bytes() == sound}


def write_graphs(tree: Path, pair: tuple[str, str], words: dict[str, str]) -> None:
    """The example workflows, filled in, for the Workflows sidebar; one that the person saved over stays."""
    (tree / GRAPHS).mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "workflows").glob("*.json"):
        target = tree / GRAPHS / source.name
        if target.is_file():
            before = json.loads(target.read_text(encoding="utf-8"))
            if before.get("extra", {}).pop("higgs_demo", "") != fingerprint(before):
                continue
        graph = filled_in(json.loads(source.read_text(encoding="utf-8")), pair, words)
        graph["extra"]["higgs_demo"] = fingerprint(graph)
        part = target.with_suffix(".part")
        part.write_text(json.dumps(graph, ensure_ascii=False), encoding="utf-8")
        part.replace(target)


def filled_in(graph: dict, pair: tuple[str, str], words: dict[str, str]) -> dict:
    """A workflow (UI format) with these checkpoints, the length that suits them, and the words of its clips."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    sources = {link[0]: nodes[link[1]] for link in graph["links"]}

    def clip_of(node: dict) -> str:
        while node["type"] != "HiggsLoadAudio":
            node = next(sources[slot["link"]] for slot in node["inputs"] if slot["name"] in ("codes", "audio"))
        return node["widgets_values"][0]

    for node in graph["nodes"]:
        values = node.get("widgets_values")
        if node["type"] in ("HiggsLoadModel", "HiggsLoadCodec"):
            values[0] = pair[node["type"] == "HiggsLoadCodec"]
        elif node["type"] == "HiggsVoice":
            values[0] = words.get(clip_of(node), "")
        elif node["type"] == "HiggsGenerate":
            values[2] = MAX_SECONDS[pair]  # after the seed and its control
    return graph


def put_voice(tree: Path, options: argparse.Namespace) -> tuple[str, str]:
    """Put the demo's reference clip into ComfyUI's input folder; returns its name there and its words."""
    (tree / INPUT).mkdir(exist_ok=True)
    if not options.voice:
        sound, words = sample("en_woman")
        (tree / INPUT / "higgs_demo_voice.wav").write_bytes(sound)
        return "higgs_demo_voice.wav", words
    source = Path(options.voice).expanduser()
    if not source.is_file():
        raise StepFailed(f"There is no file '{source}'.", "Give the path of an audio file after --voice.")
    name = f"higgs_demo_own_voice{source.suffix.lower()}"
    shutil.copyfile(source, tree / INPUT / name)
    return name, options.transcript


def sample(voice: str) -> tuple[bytes, str]:
    """A sample voice and its words: the spoken sentence beside the project, or a hum that stands for one."""
    clip = SPOKEN / f"{voice}.wav"
    if clip.is_file():
        return clip.read_bytes(), clip.with_suffix(".txt").read_text(encoding="utf-8").strip()
    return hum(VOICES[voice]), HUM_WORDS


@cache
def hum(pitch: float, seconds: float = 3.0) -> bytes:
    """A voice-like hum: a gliding tone with harmonics shaped by two formants, two syllables a second."""
    weights = [(k, sum(math.exp(-(((pitch * k - f) / 200) ** 2)) for f in (600, 1200)) + 0.1) for k in range(1, 16)]
    peak = sum(weight for _, weight in weights)
    samples, phase = [], 0.0
    for n in range(int(seconds * RATE)):
        phase += math.tau * (pitch + 15 * math.sin(math.tau * 0.7 * n / RATE)) / RATE
        syllable = math.sin(math.tau * n / RATE) ** 2
        samples.append(0.6 * syllable / peak * sum(weight * math.sin(k * phase) for k, weight in weights))
    return as_wav(samples)


def bed(seconds: float = 12.0) -> bytes:
    """A soft chord that swells slowly."""
    chord = [math.tau * frequency / RATE for frequency in (110.0, 165.0, 220.0)]
    return as_wav([0.05 * (1.5 - math.cos(math.tau * n / RATE / 6)) * sum(math.sin(step * n) for step in chord)
                   for n in range(int(seconds * RATE))])


def as_wav(samples: list[float]) -> bytes:
    """A mono WAV file; full scale is ±1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(RATE)
        sink.writeframes(struct.pack(f"<{len(samples)}h", *(round(32767 * sample) for sample in samples)))
    return file.getvalue()
