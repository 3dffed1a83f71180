"""The repository's own rules (tools/dev_rules.py): each holds here, and each finds a small file that breaks it."""

from __future__ import annotations

import dev_rules
import pytest
from dev_rules import RANK, RULES
from dev_sources import CORE, Repository

BROAD = "try:\n    print()\nexcept {}:\n    {}\n"
LONG = "\n" * dev_rules.MAX_FILE + "# one too many\n"
FUNCTION = "def long():\n    '''Said\n    in two lines.'''\n" + "    print()\n" * dev_rules.MAX_FUNCTION
MANY = ", ".join(f"a{n}" for n in range(dev_rules.MAX_PARAMETERS))
# Rule, file, what stands in it, lines that break the rule.
BROKEN = [
    ("places", "higgs_runtime/cellar/__init__.py", "", [1]),
    ("order", "higgs_runtime/audio/high.py", "def late():\n    from ..generation import something\n", [2]),
    ("order", "higgs_runtime/remote/side.py", "from ..serve import beside\n", [1]),
    ("circles", "higgs_runtime/types.py", "from .errors import one\n", [1]),
    ("strangers", "higgs_runtime/prompt/through.py", "from ..audio import sound\n", None),
    ("comfyui_in_runtime", "higgs_runtime/text/known.py", "import json\nimport comfy.utils\n", [2]),
    ("comfyui_in_nodes", "nodes/one.py", "from comfy_api.latest import io\nimport folder_paths\n", [2]),
    ("folders_of_nodes", "nodes/shared/four.py", "from ..routes import sounds\n", [1]),
    ("folders_of_nodes", "nodes/host/four.py", "from . import files\nfrom .. import voice\n", [2]),
    ("absolute_imports", "nodes/two.py", "from higgs_runtime import mix\n", [1]),
    ("absolute_imports", "higgs_runtime/text/two.py", "import higgs_runtime\n", [1]),
    ("underscores", "nodes/three.py", "from ..higgs_runtime.text import _cut, cut\n", [1]),
    ("underscores", "nodes/deep/three.py", "from ...higgs_runtime._text import cut\nfrom .._own import cut\n", [1]),
    ("names_of_modules", "higgs_runtime/__init__.py", "if TYPE_CHECKING:\n    from .cli import text as text\n", [2]),
    ("names_of_classes", "nodes/voice_again.py", "class _Cut:\n    pass\n", [1]),
    ("lengths_of_files", "tests/test_long.py", LONG, [dev_rules.MAX_FILE + 1]),
    ("lengths_of_files", "web/long.js", LONG, [dev_rules.MAX_FILE + 1]),
    ("lengths_of_functions", "tools/long.py", FUNCTION, [1]),
    ("numbers_of_parameters", "tools/many.py", f"def many({MANY}, *, more=1):\n    pass\n", [1]),
    ("numbers_of_parameters", "dev.py", f"class One:\n    def many(self, {MANY}, **more):\n        pass\n", [2]),
    ("numbers_of_parameters", "nodes/one.py", f"def draw(cls, {MANY}, *more):\n    pass\n", [1]),
    ("numbers_of_parameters", "higgs_runtime/speech.py", "def speak(text):\n    pass\n", [1]),
    ("swallowed_errors", "tools/hush.py", BROAD.format("Exception as error", "raise ValueError"), [3]),
    ("swallowed_errors", "tools/hush.py", BROAD.format("(OSError, BaseException)", "pass"), [3]),
    ("swallowed_errors", "tools/hush.py", BROAD.format("", "pass"), [3]),
    ("kinds_of_devices", "higgs_runtime/text/fast.py", "KINDS = ('cpu',\n         'mps')\n", [2]),
    ("machines", "docs/install.md", "Go to\n" + "/".join(["", "home", "someone"]), [2]),
]
FINE = {
    "tools/raises.py": BROAD.format("Exception as error", "raise ValueError from error")
    + BROAD.format("Exception", "raise")
    + BROAD.format("OSError", "pass"),
    "tools/just.py": FUNCTION.removesuffix("    print()\n"),
    "tools/many.py": f"class One:\n    def many(self, {MANY}):\n        pass\n",
    "nodes/many.py": f"class One:\n    def execute(cls, {MANY}, more):\n        pass\n",
    f"{dev_rules.KERNEL}many.py": f"def many({MANY}, more):\n    pass\n",
    "tests/many.py": f"def many({MANY}, more):\n    pass\n",
    **{path: f"def {name}({MANY}, more):\n    pass\n" for path, name in dev_rules.MANY_PARAMETERS},
    "nodes/host/files.py": "import folder_paths\n",
    "nodes/routes/sounds.py": "from .. import voice\n",
    "nodes/voice.py": "from .host import files\n",
    "higgs_runtime/devices.py": "KIND = 'mps'\n",
    "higgs_runtime/text/typed.py": "if TYPE_CHECKING:\n    from .cut import Cut\n",
    "higgs_runtime/text/cut.py": "from .typed import cut\n\n\nclass Cut:\n    pass\n",
    "build/taken/hush.py": BROAD.format("", "pass"),
    ".hidden/hush.py": BROAD.format("", "pass"),
}


@pytest.fixture
def sample(tmp_path):
    """A repository that keeps every rule; a function that writes one more file and gives the repository."""

    def write(name: str, text: str) -> Repository:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Repository(tmp_path)

    for name in RANK.keys() - {"core"}:
        write(f"higgs_runtime/{name}/__init__.py", "from ..errors import one\n")
    write("higgs_runtime/generation/last.py", "from ..prompt import chat\n")
    for name in CORE:
        write(f"higgs_runtime/{name}.py", "")
    write("higgs_runtime/errors.py", "from .types import one\n")
    for name, text in FINE.items():
        write(name, text)
    return write


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_a_rule_holds(name, here):
    assert RULES[name].offenders(here) == [], RULES[name].remedy


@pytest.fixture(scope="module")
def here():
    return Repository()


def test_the_sample_keeps_every_rule(sample):
    assert [offender for rule in RULES.values() for offender in rule.offenders(sample("README.md", ""))] == []


@pytest.mark.parametrize(("name", "file", "text", "lines"), BROKEN, ids=[f"{one[0]}-{one[1]}" for one in BROKEN])
def test_a_rule_finds_what_breaks_it(name, file, text, lines, sample):
    found = RULES[name].offenders(sample(file, text))
    assert found, RULES[name].says
    if lines:
        assert [offender.line for offender in found if offender.path == file] == lines


def test_each_rule_is_broken_once():
    assert {one[0] for one in BROKEN} == RULES.keys()


def test_the_command_says_place_and_remedy(sample, monkeypatch, capsys):
    broken = sample("tools/hush.py", BROAD.format("", "pass"))
    monkeypatch.setattr(dev_rules, "Repository", lambda: broken)
    assert dev_rules.main() == 1
    said = capsys.readouterr().out
    assert "tools/hush.py:3: " in said and "What to do: " in said
