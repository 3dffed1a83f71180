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
import json
import os
import re
import signal
import subprocess
import time
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import dev_changed  # noqa: E402
import dev_rules  # noqa: E402
from dev_env import (  # noqa: E402
    NEWEST_FRONTEND,
    PACK_NAME,
    StepFailed,
    child_env,
    describe_comfyui,
    ensure_browser,
    ensure_env,
    ensure_flite,
    ensure_frontend,
    ensure_more_envs,
    say,
    use_own_comfyui,
    venv_python,
    write_locks,
)
from dev_locks import versions_row  # noqa: E402
from dev_server import Server  # noqa: E402

DEMO = ROOT / ".demo"
WORKFLOW = ROOT / "workflows" / "api" / "clone_voice.json"
DEMO_RENDER_S = 3600  # a released model on a CPU takes its time
AUDIO_SUFFIXES = {".flac", ".wav", ".mp3", ".opus", ".ogg"}
NUMERIC_RUN = "not slow and not comfyui and not gpu and not web"
FAST_TESTS = f"{NUMERIC_RUN} and not numeric"
FAST_TIERS = ("tests/unit", "tests/component")
SIDE_BY_SIDE = ("-n", "2")
NUMERIC_TESTS = [
    f"tests/{name}.py"
    for name in (
        "component/test_quantized",
        "component/test_fused",
        "unit/test_fused_attention",
        "component/test_fused_quantized",
        "component/test_fused_threads",
        "conformance/test_model_parity",
        "unit/test_sampling",
        "conformance/test_codec",
    )
]
NUMERIC_COMMAND = ["-m", "pytest", "-q", "-m", NUMERIC_RUN, *NUMERIC_TESTS]
# What a processor can do is what torch and Numba are told.
OTHER_PROCESSORS = {
    "no vectors": {"ATEN_CPU_CAPABILITY": "default", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "AVX-512": {"ATEN_CPU_CAPABILITY": "avx512"},
    "one core": {"HIGGS_TEST_CORES": "1"},
}
NOTHING_SELECTED = 5  # pytest's status where all tests of the files are left out
# What a file's tests share is made once, and those of a server stay with one server; in the order of tests/conftest.py.
BY_FILE = ("--dist", "loadscope", "--no-loadscope-reorder")


# ---- demo -------------------------------------------------------------------------------------------------------


def demo(options: argparse.Namespace) -> int:
    """Render the cloning workflow in a real ComfyUI server; say where the sound is, who spoke and what is heard."""
    settings = demo_settings(options)
    started = time.monotonic()
    use_own_comfyui()
    tree = ensure_env()
    say(f"[dev] {describe_comfyui(tree)}")
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    DEMO.mkdir(exist_ok=True)
    log = DEMO / "comfyui.log"
    with Server(tree, log=log) as server:
        server.require_nodes({node["class_type"] for node in workflow.values()})
        since = time.time()
        render(tree, server, settings)
        seconds = time.time() - since
    files = fresh_audio(DEMO, since)
    if not files:
        raise StepFailed(f"The workflow ended without an audio file in {DEMO}.", f"Look at {log}.")
    say(f"\nRendered in {seconds:.1f} s ({time.monotonic() - started:.1f} s in all):")
    written = options.text or next(node["inputs"]["text"] for node in workflow.values() if "text" in node["inputs"])
    for file in files:
        say(f"    {file}\n    written: {written}")
        say(f"    heard:   {heard_in(tree, file)}")
    say(about_model(log.read_text(encoding="utf-8", errors="replace")))
    say("The example workflows in the editor: python dev.py comfy")
    return 0


def demo_settings(options: argparse.Namespace) -> list[str]:
    """What the demo changes in the workflow, as `higgs render --set` takes it."""
    if bool(options.voice) != bool(options.transcript):
        raise StepFailed("A voice needs its words.", 'Give both: --voice clip.wav --transcript "what is said in it".')
    settings = [f"Higgs ChatML Prompt.text={options.text}"] if options.text else []
    if options.voice:
        clip = Path(options.voice).expanduser().resolve()
        if not clip.is_file():
            raise StepFailed(f"There is no file '{clip}'.", "Give the path of an audio file after --voice.")
        settings += [f"Load Audio (Higgs).audio=@{clip}", f"Higgs Voice.transcript={options.transcript}"]
    return settings


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
        raise StepFailed(
            f"The render took more than {DEMO_RENDER_S} s.\n{server.last_words()}",
            "Close other programs, or look at the server's log above.",
        ) from error
    if done.returncode:
        server.fail_if_dead()
        raise StepFailed(
            f"The render failed ({done.returncode}).\n{server.last_words()}",
            "The lines above come from the server and say which node failed.",
        )


def fresh_audio(folder: Path, since: float) -> list[Path]:
    """Audio files of the folder written after a moment (seconds of the wall clock; a second of grace)."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    return sorted(file for file in files if file.stat().st_mtime >= since - 1)


def heard_in(tree: Path, file: Path) -> str:
    """What a speech recognizer hears in an audio file."""
    command = [str(venv_python()), "-m", "tools.listen", str(file)]
    done = subprocess.run(command, cwd=ROOT, env=child_env(tree), capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise StepFailed(f"The recognizer cannot listen to {file}.\n{done.stderr}", "The lines above say why.")
    return done.stdout.strip() or "(nothing)"


def about_model(log: str) -> str:
    """What spoke and what it did not know, as the server's log tells."""
    names = re.findall(r"Higgs Audio: auto: ([^;\n]+)", log) or ["a model that the log does not name"]
    lines = [f"Spoken with {' and '.join(name.strip() for name in names)}."]
    lines += [line.strip() for line in re.findall(r"Higgs Audio: (.+ does not know: .+)", log)]
    if "Higgs Nano" in lines[0]:
        lines.append(
            "Higgs Nano is a tiny demonstration that comes with the pack: some words, four voices.\n"
            "For real speech put the released pair into models/higgs_audio of this ComfyUI (see README.md)."
        )
    return "\n".join(lines)


# ---- the other commands -----------------------------------------------------------------------------------------


def test(options: argparse.Namespace) -> int:
    """Run what is asked for, see `run_tests`; with the newest packages say which these were, if all passed."""
    env = child_env(ensure_env(options.newest))
    status = run_tests(options, {**env, "HIGGS_TEST_ENV": "newest"} if options.newest else env)
    if options.newest and not status and not options.rest:
        say(f"Passed; a row for the table in CONTRIBUTING.md:\n{versions_row(venv_python())}")
    return status


def run_tests(options: argparse.Namespace, env: dict[str, str]) -> int:
    """Without a selection all tests, two files at a time, and the numeric ones as on other processors too."""
    fast = ["-m", FAST_TESTS, *SIDE_BY_SIDE, *BY_FILE]
    if options.changed:
        files = tests_of_changes(options.changed)
        if files is not None:
            status = pytest(env, *fast, *files, *options.rest) if files else 0
            return 0 if status == NOTHING_SELECTED else status
    if options.fast or options.changed:
        chosen = any(word.startswith("tests") for word in options.rest)
        return pytest(env, *fast, *(() if chosen else FAST_TIERS), *options.rest)
    ensure_more_envs()
    ensure_browser()
    if os.environ.get("CI"):
        ensure_flite()
    if NEWEST_FRONTEND in env.get("HIGGS_FRONTENDS", NEWEST_FRONTEND):
        ensure_frontend()
    if options.rest:
        return pytest(env, *options.rest)
    return pytest(env, *SIDE_BY_SIDE, *BY_FILE) | on_other_processors(env)


def tests_of_changes(base: str) -> list[str] | None:
    """The test files that the changes since a commit can touch; None for all that are fast."""
    try:
        changed = dev_changed.changed_files(base)
    except dev_changed.NoRepository as error:
        raise StepFailed(
            f"Git does not say what changed since {base}: {error}",
            "Give a commit or branch of this repository after --changed, or run test --fast.",
        ) from error
    files = dev_changed.touched_tests(changed, dev_rules.Repository())
    if files is None:
        say(f"[dev] {len(changed)} changed files, some of which any test may read: all fast tests")
    else:
        say(f"[dev] {len(changed)} changed files can touch {len(files)} files of tests")
    return files


def on_other_processors(env: dict[str, str]) -> int:
    """The numeric tests with the instructions that other processors have, two kinds at a time, and with one core."""
    say("[dev] numeric tests as on other processors: " + "; ".join(OTHER_PROCESSORS))

    def run(name: str) -> int:
        """Its exit status; what it printed is shown whole if it failed, else the last line."""
        child = {**env, "OMP_NUM_THREADS": "1", **OTHER_PROCESSORS[name]}
        done = subprocess.run(
            [str(venv_python()), *NUMERIC_COMMAND],
            cwd=ROOT,
            env=child,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        printed = done.stdout.rstrip()
        say(f"[dev] {name}: {printed if done.returncode else printed.rpartition(chr(10))[2]}")
        return done.returncode

    with ThreadPoolExecutor(int(SIDE_BY_SIDE[1])) as pool:
        return int(any(list(pool.map(run, OTHER_PROCESSORS))))


def pytest(env: dict[str, str], *arguments: str) -> int:
    """Its exit status. Two processes with two threads each would wait for each other, so they get one each; one that
    dies ends the run, which names the test it died in.

    Compiled tests are kept, whatever the environment says: compiling takes a tenth of the fast run's time.
    """
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if SIDE_BY_SIDE[0] in arguments:
        env["OMP_NUM_THREADS"] = "1"
        arguments += ("--max-worker-restart", "0")
    return subprocess.run(
        [str(venv_python()), "-m", "pytest", "-q", *arguments], cwd=ROOT, env=env, check=False
    ).returncode


def comfy(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    use_own_comfyui()
    tree = ensure_env()
    say(f"[dev] {describe_comfyui(tree)}")
    with Server(tree, port=options.port) as server:
        if server.port != options.port:
            say(f"[dev] port {options.port} is taken; using {server.port}")
        say(
            f"\n[dev] The editor is at {server.url} (Ctrl-C ends the server). There: Templates at the left\n"
            f"      (they open by themselves at the first start) > Extensions > {PACK_NAME} > clone_voice, then Run."
        )
        if not options.no_browser:
            webbrowser.open(server.url)
        return server.child.wait()


def lint(options: argparse.Namespace) -> int:
    """Ruff's check and format, the types (pyright), and the repository's own rules (tools/dev_rules.py)."""
    env = {**child_env(ensure_env()), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # it asks nobody for a newer one of itself
    paths, failed = options.rest or ["."], 0
    for command in (["ruff", "check", *paths], ["ruff", "format", "--check", "--quiet", *paths], ["pyright"]):
        run = subprocess.run([str(venv_python()), "-m", *command], cwd=ROOT, env=env, check=False)
        failed |= run.returncode
    return failed | dev_rules.main()


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
    return subprocess.run(
        [str(venv_python()), str(script), *options.rest], cwd=ROOT, env=child_env(tree), check=False
    ).returncode


def train_nano(options: argparse.Namespace) -> int:
    """Train the embedded checkpoint from nothing, or go on where the last run stopped."""
    tree = ensure_env()
    ensure_flite()
    command = [str(venv_python()), "-m", "tools.nano.train", *options.rest]
    return subprocess.run(command, cwd=ROOT, env=child_env(tree), check=False).returncode


def lock(options: argparse.Namespace) -> int:
    """Write the exact versions of the environment anew, for every Python and machine; run the tests with them then."""
    for file in write_locks():
        say(f"    {file.relative_to(ROOT)}")
    return 0


def locales(options: argparse.Namespace) -> int:
    """Write `locales/` anew from `tools/locales/` and the nodes' schemas."""
    tree = ensure_env()
    command = [str(venv_python()), "-m", "tools.make_locales"]
    return subprocess.run(command, cwd=ROOT, env=child_env(tree), check=False).returncode


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; what follows `--` goes on to pytest, ruff or the benchmark as `rest`."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("demo", help="render the cloning workflow in a real ComfyUI server")
    add.add_argument("--voice", metavar="CLIP", help="your own reference clip (default: rose, a voice of the pack)")
    add.add_argument("--transcript", metavar="WORDS", help="what is said in it")
    add.add_argument("--text", help="what to speak (default: what the workflow says)")
    add.set_defaults(run=demo)
    add = commands.add_parser("test", help="run the tests (pytest's own options after --)")
    which = add.add_mutually_exclusive_group()
    which.add_argument("--fast", action="store_true", help="the quick ones of tests/unit and tests/component")
    which.add_argument(
        "--changed",
        nargs="?",
        const="HEAD",
        metavar="COMMIT",
        help="the quick ones that the changes since a commit or branch can touch (default: HEAD)",
    )
    add.add_argument("--newest", action="store_true", help="with today's newest packages in place of the locked ones")
    add.set_defaults(run=test)
    add = commands.add_parser("comfy", help="serve ComfyUI with the pack and open the editor")
    add.add_argument("--port", type=int, default=8188)
    add.add_argument("--no-browser", action="store_true")
    add.set_defaults(run=comfy)
    add = commands.add_parser("lint", help="ruff check and format (paths after --), types, the repository's own rules")
    add.set_defaults(run=lint)
    add = commands.add_parser("bench", help="run a benchmark; without a name, list them")
    add.add_argument("name", nargs="?")
    add.set_defaults(run=bench)
    add = commands.add_parser("train-nano", help="train Higgs Nano (hours; its own options after --)")
    add.set_defaults(run=train_nano)
    commands.add_parser("lock", help="write the environment's exact versions anew").set_defaults(run=lock)
    commands.add_parser("locales", help="write the translations for ComfyUI anew").set_defaults(run=locales)
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
