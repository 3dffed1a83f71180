"""`dev.py test --changed`: which test files a change can touch."""

from __future__ import annotations

import subprocess

import dev_changed
import pytest
from dev_changed import ALWAYS, changed_files, touched_tests
from dev_sources import Repository

import dev

FILES = {
    "__init__.py": "from .nodes import one\n",
    "higgs_runtime/__init__.py": "if TYPE_CHECKING:\n    from .audio.mix import mix\n    from .text import cut\n",
    "higgs_runtime/audio/__init__.py": "",
    "higgs_runtime/audio/mix.py": "def mix():\n    from ..levels import level\n",
    "higgs_runtime/levels.py": "",
    "higgs_runtime/text.py": "",
    "nodes/one.py": "from ..higgs_runtime.text import cut\n",
    "tools/maker.py": "import json\n",
    "tests/conftest.py": "def pytest_configure():\n    import always\n\ndef heard():\n    import ears\n",
    "tools/always.py": "",
    "tools/ears.py": "",
    "tests/unit/test_heard.py": "def test_it(heard):\n    pass\n",
    "tests/helpers/helpers_made.py": "from maker import make\n",
    "tests/helpers/helpers_workflow.py": 'WORKFLOWS = ROOT / "workflows"\n',
    "tests/unit/test_mix.py": "from higgs_runtime import mix\n",
    "tests/unit/test_text.py": "import higgs_runtime.text\n",
    "tests/component/test_made.py": "from helpers_made import made\n",
    "tests/component/test_again.py": "from test_made import twice\n",
    "tests/component/test_process.py": 'PROGRAM = "from higgs_runtime import nothing, mix"\n',
    "tests/component/test_module.py": 'COMMAND = ["-m", "higgs_runtime.levels"]\n',
    "tests/system/test_graph.py": "from helpers_workflow import WORKFLOWS\n",
    "tests/system/test_docs.py": 'DOCS = ROOT / "guide.md"\n',
    "tests/unit/test_dev_rules.py": "",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("higgs_runtime/levels.py", "mix process module"),
        ("higgs_runtime/audio/mix.py", "mix process"),
        ("higgs_runtime/text.py", "text graph"),
        ("nodes/one.py", "graph"),
        ("tools/maker.py", "made again"),
        ("tests/helpers/helpers_made.py", "made again"),
        ("tests/component/test_made.py", "made again"),
        ("tests/unit/test_deleted.py", ""),
        ("tools/ears.py", "heard"),
        ("tools/always.py", "mix text made again process module graph docs heard"),
        ("workflows/api/clone.json", "graph"),
        ("guide.md", "docs"),
    ],
)
def test_a_change_touches_what_imports_or_names_it(changed, touched, root):
    found = touched_tests([changed], Repository(root))
    assert {path.rpartition("/test_")[2].removesuffix(".py") for path in found} == {"dev_rules", *touched.split()}


@pytest.mark.parametrize(
    "changed",
    [
        "pyproject.toml",
        "tests/conftest.py",
        "__init__.py",
        "higgs_runtime/gone.py",
        "unnamed.md",
        "higgs_runtime/nano/model.safetensors",
    ],
)
def test_files_that_any_test_may_read_touch_all(changed, root):
    assert touched_tests(["tools/maker.py", changed], Repository(root)) is None


def test_nothing_changed_touches_nothing(root):
    assert touched_tests([], Repository(root)) == []


@pytest.mark.slow
def test_the_whole_pack_is_behind_a_test_of_this_repository():
    """Not only in the sample: a file deep in the runtime is found behind tests that use it."""
    touched = touched_tests(["higgs_runtime/audio/loudness/limiter.py"], Repository())
    assert {ALWAYS, "tests/unit/test_limiter.py"} <= set(touched) and "tests/unit/test_chunking.py" not in touched


def test_changed_files_come_from_git(root):
    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=root, check=True, capture_output=True
        )

    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "first")
    git("checkout", "-b", "side")
    (root / "tools" / "maker.py").write_text("import os\n", encoding="utf-8")
    git("commit", "-am", "second")
    (root / "nodes" / "one.py").unlink()
    (root / "new file.md").write_text("", encoding="utf-8")
    assert changed_files("HEAD", root) == ["new file.md", "nodes/one.py"]
    assert changed_files("main", root) == ["new file.md", "nodes/one.py", "tools/maker.py"]
    with pytest.raises(dev_changed.NoRepository, match="nowhere"):
        changed_files("nowhere", root)


@pytest.mark.parametrize(
    ("found", "selected"),
    [(["tests/unit/test_mix.py"], ("tests/unit/test_mix.py",)), (None, dev.FAST_TIERS), ([], None)],
)
def test_the_command_runs_them(found, selected, monkeypatch):
    asked = []
    monkeypatch.setattr(dev_changed, "changed_files", lambda base: [base])
    monkeypatch.setattr(dev_changed, "touched_tests", lambda changed, repository: found)
    monkeypatch.setattr(dev, "pytest", lambda env, *arguments: asked.append(arguments) or dev.NOTHING_SELECTED)
    options = dev.parse(["test", "--changed", "main", "--", "-x"])
    assert options.changed == "main" and dev.parse(["test", "--changed"]).changed == "HEAD"
    status = dev.run_tests(options, {})
    assert [words[-len(selected) - 1 :] for words in asked] == [(*selected, "-x")] if selected else asked == []
    assert status == (dev.NOTHING_SELECTED if found is None else 0)
