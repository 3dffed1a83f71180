"""The files of a checkout, and which of them imports which: what dev_rules and dev_changed read.

Standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = {
    "atomic_write",
    "choices",
    "cores",
    "devices",
    "errors",
    "intrinsics",
    "kept",
    "lazy_names",
    "outputs",
    "settings",
    "suspended",
    "typed_modules",
    "types",
}
NOT_OURS = {"build", "dist", "shared"}  # at the top
MADE = {"node_modules", "__pycache__"}  # anywhere
HIDDEN_BUT_OURS = {".ci", ".github", ".gitignore", ".pre-commit-config.yaml"}
BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
LOOKED_AT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.If)


@dataclass(frozen=True, order=True)
class Offender:
    """A place that breaks a rule: a path below the root, a line (from 1), and what is wrong there."""

    path: str
    line: int
    what: str


Offenders = Iterator[Offender]
# (level of relativity, module, names, line)
Import = tuple[int, str, tuple[str, ...], int]


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement and `except` of a tree, and nothing below a statement that is not one: what takes the time."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for body in BODIES:
            waiting += getattr(node, body, ())


class Source:
    """One Python file, parsed once."""

    def __init__(self, root: Path, path: Path):
        self.path, self.name = path, path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the syntax tree that the rules look at; none where the file is no Python, as ruff says."""
        try:
            tree = ast.parse(self.text, self.name)
        except SyntaxError:
            return []
        return [node for node in statements(tree) if isinstance(node, LOOKED_AT)]

    @cached_property
    def lines_for_types(self) -> set[int]:
        """Lines that only a type checker runs."""
        blocks = [
            node
            for node in self.nodes
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        ]
        return {line for block in blocks for line in range(block.lineno, (block.body[-1].end_lineno or 0) + 1)}

    @cached_property
    def imports(self) -> list[Import]:
        """Every import of the file, lazy ones included."""
        found: list[Import] = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(0, alias.name, (), node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found.append((node.level, node.module or "", tuple(alias.name for alias in node.names), node.lineno))
        return found

    def absolute(self, forbidden: set[str]) -> Offenders:
        """Absolute imports of modules of these names."""
        for level, module, _, line in self.imports:
            if level == 0 and module.split(".")[0] in forbidden:
                yield Offender(self.name, line, f"imports {module}")


class Repository:
    """The files of a checkout: nothing hidden, built or unpacked."""

    def __init__(self, root: Path = ROOT):
        self.root = root

    @cached_property
    def files(self) -> list[Path]:
        found = []
        for top in self.root.iterdir():
            unwanted = top.name in NOT_OURS | MADE or top.name.endswith(".egg-info")
            if unwanted or (top.name.startswith(".") and top.name not in HIDDEN_BUT_OURS):
                continue
            paths = [top] if top.is_file() else top.rglob("*")
            found += [path for path in paths if path.is_file() and not MADE & set(path.parts[len(top.parts) :])]
        return sorted(found)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The Python files by their paths below the root."""
        found = [Source(self.root, path) for path in self.files if path.suffix == ".py"]
        return {source.name: source for source in found}

    def below(self, folder: str) -> list[Source]:
        return [source for name, source in self.sources.items() if name.startswith(f"{folder}/")]

    @cached_property
    def modules(self) -> dict[str, Source]:
        """The runtime's modules and packages by their dotted names below it."""
        found = {}
        for source in self.below("higgs_runtime"):
            parts = Path(source.name).with_suffix("").parts[1:]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = source
        found.pop("", None)
        return found

    @cache  # noqa: B019 - a repository lives as long as the check
    def used_by(self, module: str, types: bool = True) -> dict[str, int]:
        """The modules of the runtime that one of them imports, those in a function included, with the line.

        Args:
            types: also what is imported for a type checker only.
        """
        source, found = self.modules[module], {}
        package = module.split(".") if source.path.name == "__init__.py" else module.split(".")[:-1]
        for level, base, names, line in source.imports:
            if not 0 < level <= len(package) + 1 or (not types and line in source.lines_for_types):
                continue
            base = ".".join([*package[: len(package) + 1 - level], *([base] if base else [])])
            for name in names:
                whole = f"{base}.{name}".lstrip(".")
                found.setdefault(whole if whole in self.modules else base, line)
        return {name: line for name, line in found.items() if name not in (module, "")}

    @cached_property
    def packages(self) -> dict[str, dict[str, tuple[str, int]]]:
        """Each package of the runtime with the packages it imports, and where it does so first."""
        graph: dict[str, dict[str, tuple[str, int]]] = {}
        for module, source in self.modules.items():
            used = graph.setdefault(package_of(module), {})
            for other, line in self.used_by(module).items():
                if package_of(other) != package_of(module):
                    used.setdefault(package_of(other), (source.name, line))
        return graph


def package_of(module: str) -> str:
    """The package that a module is in, as ORDER calls it."""
    top = module.split(".")[0]
    return "core" if top in CORE else top


def reached(start: str, uses: Callable[[str], dict]) -> set[str]:
    """Everything that is imported from here, directly or through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for used in uses(waiting.pop()):
            if used not in seen:
                seen.add(used)
                waiting.append(used)
    return seen
