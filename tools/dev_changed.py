"""Which test files a change can touch: those that import what changed, directly or through others, or name it.

`python dev.py test --changed` asks. Standard library only.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dev_sources import ROOT, Repository, Source, reached

ON_THE_PATH = ("tools", "tests/helpers", "tests/unit", "tests/component", "tests/conformance")  # as in pyproject.toml
# Files that load the pack as ComfyUI does, so all of its nodes.
LOADERS = {"tests/helpers/helpers_workflow.py", "tests/helpers/helpers_server.py"}
ALWAYS = "tests/unit/test_dev_rules.py"  # reads every file
NAMED = {".md", ".js", ".css", ".json", ".txt", ".srt", ".svg"}  # tests read these by their names
OUR_MODULE = re.compile(r"\b(?:higgs_runtime|nodes|tools|benchmarks)(?:\.\w+)+|\bhelpers_\w+")
OUR_IMPORT = re.compile(r"\bfrom (higgs_runtime[\w.]*) import ([\w, ]+)")


class NoRepository(Exception):
    """Git does not say what changed; the message is its own."""


def changed_files(base: str, root: Path = ROOT) -> list[str]:
    """Paths that differ from where this branch left `base` (a commit; HEAD for what is not committed), new ones too."""
    fork = git(root, "merge-base", base, "HEAD").strip()
    listed = git(root, "diff", "--name-only", "--no-renames", "-z", fork)
    listed += git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted({path for path in listed.split("\0") if path})


def git(root: Path, *words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=True).stdout
    except FileNotFoundError as error:
        raise NoRepository("There is no command git.") from error
    except subprocess.CalledProcessError as error:
        raise NoRepository(error.stderr.strip()) from error


def touched_tests(changed: list[str], repository: Repository) -> list[str] | None:
    """Test files that these changes can touch; None if that cannot be told, so that all should run."""
    graph = Graph(repository)
    tests = {name: graph.behind(name) for name in repository.sources if re.search(r"^tests/.*/test_\w+\.py$", name)}
    touched = {ALWAYS} if changed else set()
    for path in changed:
        if path in tests:
            found = {path}
        elif re.search(r"^tests/.*/test_\w+\.py$", path):
            continue  # it is deleted
        elif path in repository.sources and Path(path).name != "conftest.py" and path != "__init__.py":
            found = set()
        elif Path(path).suffix in NAMED:
            named = graph.naming(path)
            found = {test for test, behind in tests.items() if named & {test, *behind}}
            if not found:
                return None
        else:
            return None
        touched |= found | {test for test, behind in tests.items() if path in behind}
    return sorted(touched)


class Graph:
    """Who imports whom, over all Python files of the repository."""

    def __init__(self, repository: Repository):
        self._sources = repository.sources
        self._modules: dict[str, str] = {}
        for name in self._sources:
            dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self._modules["" if dotted == "__init__" else dotted] = name
            folder, _, file = name.rpartition("/")
            if folder in ON_THE_PATH:
                self._modules[file.removesuffix(".py")] = name
        self._uses = {name: set(self._used_by(source)) for name, source in self._sources.items()}

    def behind(self, name: str) -> set[str]:
        """Every file that this one imports, directly or through others."""
        return reached(name, self._uses.__getitem__)

    def naming(self, path: str) -> set[str]:
        """Files that name this one, or in quotes a folder that it is in."""
        folders = set(path.split("/")[:-1]) - {"tests", "tools", "higgs_runtime"}
        words = [Path(path).name, *(f'"{folder}"' for folder in folders)]
        return {name for name, source in self._sources.items() if any(word in source.text for word in words)}

    def _used_by(self, source: Source) -> Iterator[str]:
        folder = source.name.split("/")[:-1]
        for level, module, names, line in source.imports:
            if line not in source.lines_for_types:
                above = folder[: len(folder) + 1 - level] if level else []
                yield from self._imported(".".join([*above, *([module] if module else [])]), names)
        if source.name.startswith("tests/"):
            for end in range(1, len(folder) + 1):
                yield from self._fixtures_of("/".join([*folder[:end], "conftest.py"]), source)
            # Programs that run in other processes stand in texts.
            for module in OUR_MODULE.findall(source.text):
                yield from self._imported(module, ())
            for module, names in OUR_IMPORT.findall(source.text):
                yield from self._imported(module, tuple(re.findall(r"\w+", names)))
        if source.name in LOADERS:
            yield from (name for name in self._sources if name.startswith("nodes/") or name == "__init__.py")

    def _fixtures_of(self, name: str, source: Source) -> Iterator[str]:
        """What a conftest imports for this file: for all, or in a fixture that the file names."""
        conftest = self._sources.get(name)
        if conftest is None or conftest is source:
            return
        functions = [node for node in conftest.nodes if isinstance(node, ast.FunctionDef)]
        for _, module, names, line in conftest.imports:
            around = [node.name for node in functions if node.lineno <= line <= (node.end_lineno or 0)]
            if not around or around[0].startswith("pytest_") or re.search(rf"\b{around[0]}\b", source.text):
                yield from self._imported(module, names)

    def _imported(self, module: str, names: tuple[str, ...]) -> Iterator[str]:
        """The files of a module, of the packages around it and of those names that are modules or come from one."""
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            yield from self._file(".".join(parts[:end]))
        later = self._later(module)
        for name in names or later:
            yield from self._file(f"{module}.{name}".lstrip("."))
            if name in later:
                yield from self._imported(later[name], ())

    def _file(self, module: str) -> Iterator[str]:
        if module in self._modules:
            yield self._modules[module]

    def _later(self, module: str) -> dict[str, str]:
        """Names that a package imports when they are first used, as it says for type checkers -> their modules."""
        source = self._sources.get(self._modules.get(module, ""))
        if source is None or source.path.name != "__init__.py":
            return {}
        return {
            name: f"{module}.{home}"
            for level, home, names, line in source.imports
            if level == 1 and line in source.lines_for_types
            for name in names
        }
