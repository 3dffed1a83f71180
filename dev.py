#!/usr/bin/env python3
"""The developer's commands. Two of them matter: `python dev.py demo` and `python dev.py test`.

Standard library only, Linux, macOS and Windows. The first run makes `.venv` and unpacks ComfyUI into
`.comfyui/`; every later run finds them and starts at once. `COMFYUI_PATH` names a ComfyUI of your own instead.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):
    sys.exit("dev.py needs Python 3.10 or newer; this is %d.%d. Run it with a newer one." % sys.version_info[:2])

import argparse
import hashlib
import json
import math
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import wave
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

from dev_env import StepFailed, child_env, ensure_browser, ensure_env, ensure_old_env, run_step, say, venv_python  # noqa: E402
from dev_server import Server  # noqa: E402

DEMO = ROOT / ".demo"
WORKFLOW = ROOT / "workflows" / "api" / "clone_voice.json"
CHECKPOINTS = ("higgs-random-lm", "higgs-random-codec")
TOKENIZER = Path("comfy", "text_encoders", "llama_tokenizer", "tokenizer.json")  # Llama 3's, in every ComfyUI
SAMPLE_VOICE = ROOT.parent / "shared" / "voices" / "en_woman.wav"  # a spoken sentence, where there is one
DEMO_RENDER_S = 900
DEMO_SECONDS = "5"  # a random model may never end its speech by itself
DEMO_TEXT = "Seven small boats left the harbour before sunrise."
DEMO_TRANSCRIPT = "One, two, three, four, five, six."
AUDIO_SUFFIXES = {".flac", ".wav", ".mp3", ".opus", ".ogg"}
FAST_TESTS = "not slow and not comfyui and not gpu and not web"


# ---- demo -------------------------------------------------------------------------------------------------------


def demo(options: argparse.Namespace) -> int:
    """Render the cloning workflow in a real ComfyUI server and say where the sound is."""
    if bool(options.voice) != bool(options.transcript):
        raise StepFailed("A voice needs its words.", 'Give both: --voice clip.wav --transcript "what is said in it".')
    started = time.monotonic()
    tree = ensure_env()
    ensure_random_checkpoints(tree)
    voice, transcript = choose_voice(options)
    clip = put_voice(tree, voice)
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    inputs = demo_inputs(clip, transcript, options.text)
    settings = as_settings(workflow, inputs)
    DEMO.mkdir(exist_ok=True)
    with Server(tree, log=DEMO / "comfyui.log") as server:
        server.require_nodes({node["class_type"] for node in workflow.values()})
        since = time.time()
        render(tree, server, settings)
        seconds = time.time() - since
    files = fresh_audio(DEMO, since)
    if not files:
        raise StepFailed(f"The workflow ended without an audio file in {DEMO}.", f"Look at {DEMO / 'comfyui.log'}.")
    say(f"\nRendered in {seconds:.1f} s ({time.monotonic() - started:.1f} s in all):")
    for file in files:
        say(f"    {file}")
    say("What you hear is NOISE: the demo's model is a small random one in the released layout, it never learned to\n"
        "speak. Put a released checkpoint under models/higgs_audio for speech (see README.md).\n"
        "The same graph in the editor: python dev.py comfy")
    return 0


def choose_voice(options: argparse.Namespace) -> tuple[Path | None, str]:
    """The clip and what it says: the person's own, else the sample clip beside the project, else None for a hum."""
    if options.voice:
        return Path(options.voice).expanduser(), options.transcript
    words = SAMPLE_VOICE.with_suffix(".txt")
    if SAMPLE_VOICE.is_file() and words.is_file():
        return SAMPLE_VOICE, words.read_text(encoding="utf-8").strip()
    return None, DEMO_TRANSCRIPT


def demo_inputs(clip: str, transcript: str, text: str) -> dict[tuple[str, str], str]:
    """What the demo sets in the workflow, by node class and input."""
    model, codec = CHECKPOINTS
    return {
        ("HiggsLoadModel", "checkpoint"): model,
        ("HiggsLoadCodec", "checkpoint"): codec,
        ("HiggsLoadAudio", "audio"): clip,
        ("HiggsVoice", "transcript"): transcript,
        ("HiggsChatMLPrompt", "text"): text,
        ("HiggsGenerate", "max_seconds"): DEMO_SECONDS,
    }


def as_settings(workflow: dict, inputs: dict[tuple[str, str], str]) -> list[str]:
    """Turn (node class, input) → value into the `id.input=value` of `higgs render`, for every node of the class."""
    settings = []
    for (kind, name), value in inputs.items():
        ids = [key for key, node in workflow.items() if node["class_type"] == kind and name in node["inputs"]]
        if not ids:
            raise StepFailed(f"The workflow has no node {kind} with an input '{name}'.",
                             "The workflow and dev.py's demo_inputs have to agree.")
        settings += [f"{key}.{name}={value}" for key in ids]
    return settings


def ensure_random_checkpoints(tree: Path) -> None:
    """Small random checkpoints among the tree's models, made anew when their tool changes."""
    tool = ROOT / "tools" / "make_random_checkpoint.py"
    models = tree / "models" / "higgs_audio"
    stamp = models / CHECKPOINTS[-1] / "made-by-dev"
    wanted = hashlib.sha256(tool.read_bytes() + (tool.parent / "random_codec.py").read_bytes()).hexdigest()[:16]
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="higgs-demo-") as temp:
        command = [str(venv_python()), str(tool), "--out", temp, "--tokenizer", str(tree / TOKENIZER)]
        run_step(f"making small random checkpoints in {models}", command, "The lines above say why.", child_env(tree))
        (Path(temp) / CHECKPOINTS[-1] / stamp.name).write_text(wanted)
        for name in CHECKPOINTS:  # the stamped one last: a half-done move is done again
            shutil.rmtree(models / name, ignore_errors=True)
            shutil.move(str(Path(temp) / name), str(models / name))


def put_voice(tree: Path, source: Path | None) -> str:
    """Put the reference clip into ComfyUI's input folder and return its name there."""
    folder = tree / "input"
    folder.mkdir(exist_ok=True)
    if source is None:
        write_hum(folder / "higgs_demo_hum.wav")
        return "higgs_demo_hum.wav"
    if not source.is_file():
        raise StepFailed(f"There is no file '{source}'.", "Give the path of an audio file after --voice.")
    name = f"higgs_demo_voice{source.suffix.lower()}"
    shutil.copyfile(source, folder / name)
    return name


def write_hum(path: Path, seconds: float = 3.0, rate: int = 24000) -> None:
    """A voice-like hum: a gliding 120 Hz tone with harmonics shaped by two formants, in six syllables."""
    weights = [(k, sum(math.exp(-(((120 * k - f) / 200) ** 2)) for f in (600, 1200)) + 0.1) for k in range(1, 16)]
    peak = sum(weight for _, weight in weights)
    samples, phase = [], 0.0
    for n in range(int(seconds * rate)):
        at = n / rate
        phase += 2 * math.pi * (120 + 15 * math.sin(2 * math.pi * 0.7 * at)) / rate
        syllable = math.sin(math.pi * 2 * at) ** 2
        samples.append(int(20000 * syllable / peak * sum(w * math.sin(k * phase) for k, w in weights)))
    with wave.open(str(path), "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(rate)
        sink.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def render(tree: Path, server: Server, settings: list[str]) -> None:
    """Post the workflow through the `higgs` command, and fetch its files into `.demo/`."""
    command = [str(venv_python()), "-m", "higgs_runtime.cli", "render", str(WORKFLOW)]
    command += ["--server", server.url, "-o", str(DEMO)]
    for setting in settings:
        command += ["--set", setting]
    say(f"[dev] rendering {WORKFLOW.name} …")
    try:
        done = subprocess.run(command, cwd=ROOT, env=child_env(tree), timeout=DEMO_RENDER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"The render took more than {DEMO_RENDER_S} s.\n{server.last_words()}",
                         "Close other programs, or look at the server's log above.") from error
    if done.returncode:
        server.fail_if_dead()
        raise StepFailed(f"The render failed ({done.returncode}).\n{server.last_words()}",
                         "The lines above come from the server and say which node failed.")


def fresh_audio(folder: Path, since: float) -> list[Path]:
    """Audio files of the folder written after a moment (seconds of the wall clock; a second of grace)."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    return sorted(file for file in files if file.stat().st_mtime >= since - 1)


# ---- the other commands -----------------------------------------------------------------------------------------


def test(options: argparse.Namespace) -> int:
    tree = ensure_env()
    command = [str(venv_python()), "-m", "pytest", "-q"]
    if options.fast:
        command += ["-m", FAST_TESTS, "-n", "2"]  # these share nothing; the server's tests would share the server
    else:
        ensure_old_env()
        ensure_browser()
    return subprocess.run([*command, *options.rest], cwd=ROOT, env=child_env(tree), check=False).returncode


def comfy(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    tree = ensure_env()
    if not options.own_models:
        ensure_random_checkpoints(tree)
    with Server(tree, port=options.port) as server:
        if server.port != options.port:
            say(f"[dev] port {options.port} is taken; using {server.port}")
        say(f"[dev] the editor is at {server.url} (Ctrl-C ends the server)")
        if not options.no_browser:
            webbrowser.open(server.url)
        return server.child.wait()


def lint(options: argparse.Namespace) -> int:
    tree = ensure_env()
    command = [str(venv_python()), "-m", "ruff", "check", *(options.rest or ["."])]
    return subprocess.run(command, cwd=ROOT, env=child_env(tree), check=False).returncode


def bench(options: argparse.Namespace) -> int:
    """Run one benchmark, or list them."""
    names = sorted(file.stem for file in (ROOT / "benchmarks").glob("*.py") if not file.stem.startswith("_"))
    if options.name is None:
        say("Benchmarks: " + (", ".join(names) or "none yet"))
        return 0
    if options.name not in names:
        raise StepFailed(f"There is no benchmark '{options.name}'.", f"There are: {', '.join(names) or 'none yet'}.")
    script = ROOT / "benchmarks" / f"{options.name}.py"
    tree = ensure_env()
    return subprocess.run([str(venv_python()), str(script), *options.rest], cwd=ROOT, env=child_env(tree),
                          check=False).returncode


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; what follows `--` goes on to pytest, ruff or the benchmark as `rest`."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("demo", help="render the cloning workflow in a real ComfyUI server")
    add.add_argument("--voice", metavar="CLIP", help="your own reference clip (default: a sample)")
    add.add_argument("--transcript", metavar="WORDS", help="what is said in it")
    add.add_argument("--text", default=DEMO_TEXT, help="what to speak")
    add.set_defaults(run=demo)
    add = commands.add_parser("test", help="run the tests (pytest's own options after --)")
    add.add_argument("--fast", action="store_true", help="leave out what is slow or needs a server, browser or GPU")
    add.set_defaults(run=test)
    add = commands.add_parser("comfy", help="serve ComfyUI with the pack and open the editor")
    add.add_argument("--port", type=int, default=8188)
    add.add_argument("--no-browser", action="store_true")
    add.add_argument("--own-models", action="store_true", help="do not add the small random checkpoints")
    add.set_defaults(run=comfy)
    commands.add_parser("lint", help="ruff check (its own options after --)").set_defaults(run=lint)
    add = commands.add_parser("bench", help="run a benchmark; without a name, list them")
    add.add_argument("name", nargs="?")
    add.set_defaults(run=bench)
    options = parser.parse_args(arguments[:cut])
    options.rest = arguments[cut + 1 :]
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server we started is stopped too
    try:
        return options.run(options)
    except StepFailed as failure:
        say(f"\n[dev] {failure.what.rstrip()}\n[dev] What to do: {failure.remedy}")
        return 1
    except KeyboardInterrupt:
        say("\n[dev] stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
