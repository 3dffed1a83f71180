"""The repository's own rules, read from its syntax trees: who may import whom, and how long a piece may be.

`python dev.py lint` runs them after ruff. Each rule is one check that lists its offenders. Standard library only.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The packages of the runtime: each may import those before it. A module that stands by itself is of the core.
ORDER = (
    "core",
    "text",
    "audio",
    "checkpoint",
    "codec",
    "model",
    "prompt",
    "generation",
    "hub",
    "voices",
    "script",
    "takes",
    "verification",
    "rendering",
    "speech",
    "cluster serve remote",
    "cli",
)
CORE = {
    "atomic_write",
    "choices",
    "cores",
    "devices",
    "errors",
    "outputs",
    "settings",
    "suspended",
    "typed_modules",
    "types",
}
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}
COMFYUI = {
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "nodes",
    "server",
}
HOST = "nodes/host/"  # what knows ComfyUI
NODE_FOLDERS = ("host", "shared", "", "routes")  # each may import itself and those before it; "": the nodes themselves
# What a part must not reach, not even through others.
FORBIDDEN = {"generation": {"codec", "audio", "script"}, "codec": {"model"}}
DEVICE_FILES = {"devices.py", "choices.py"}
MAX_FILE, MAX_FUNCTION = 480, 75  # as the formatter lays code out, an argument a line
DEVICE_KINDS = re.compile(r"\bcuda\b|[\"']mps[\"']|[\"']xpu[\"']")
# Paths of one machine, and the hosts of package registries: whoever installs has their own.
MACHINE = re.compile(
    r"(?<![\w.$}/:-])/(?:work|root|home|Users|tmp|opt|mnt)/\w|[A-Z]:\\\\?Users\\"
    r"|\bpypi[.](?:org)|\bpythonhosted[.]|\bregistry[.](?:npmjs)"
)
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


# ---- the rules --------------------------------------------------------------------------------------------------


def places(repository: Repository) -> Offenders:
    there = {package_of(module): source.name for module, source in repository.modules.items()}
    for name in sorted(there.keys() - RANK.keys()):
        yield Offender(there[name], 1, f"the package {name} has no place in ORDER")
    for name in sorted(RANK.keys() - there.keys()):
        yield Offender("tools/dev_rules.py", 1, f"ORDER names {name}, which is not there")


def order(repository: Repository) -> Offenders:
    for module, source in repository.modules.items():
        for other, line in repository.used_by(module).items():
            here, there = package_of(module), package_of(other)
            if here != there and RANK.get(there, 0) >= RANK.get(here, len(ORDER)):
                yield Offender(source.name, line, f"{here} imports {other}, which does not stand before it")


def circles(repository: Repository) -> Offenders:
    """A package's `__init__`, which names what others use, stands above its modules."""

    def uses(name: str) -> dict[str, int]:
        return repository.used_by(name, types=False)

    for module, source in repository.modules.items():
        for other, line in uses(module).items():
            if module in reached(other, uses):
                yield Offender(source.name, line, f"{module} imports {other}, which leads back to it")


def strangers(repository: Repository) -> Offenders:
    for part, forbidden in FORBIDDEN.items():
        if not repository.packages.get(part):
            yield Offender("tools/dev_rules.py", 1, f"{part} of FORBIDDEN imports nothing: is it still called that?")
        for used, (path, line) in repository.packages.get(part, {}).items():
            met = ({used} | reached(used, lambda name: repository.packages.get(name, {}))) & forbidden
            if met:
                yield Offender(path, line, f"{part} reaches {', '.join(sorted(met))}")


def comfyui_in_runtime(repository: Repository) -> Offenders:
    for source in repository.below("higgs_runtime"):
        yield from source.absolute(COMFYUI)


def comfyui_in_nodes(repository: Repository) -> Offenders:
    for source in repository.below("nodes"):
        if not source.name.startswith(HOST):
            yield from source.absolute(COMFYUI - {"comfy_api", "nodes"})  # comfy_api, for the schema


def folders_of_nodes(repository: Repository) -> Offenders:
    for source in repository.below("nodes"):
        package = list(Path(source.name).parts[1:-1])
        rank = NODE_FOLDERS.index("".join(package))
        for level, base, names, line in source.imports:
            if not 0 < level <= len(package) + 1 or source.name == "nodes/__init__.py":
                continue
            target = [*package[: len(package) + 1 - level], *([base] if base else [])]
            for folder in {".".join([*target, name]).split(".")[0] for name in names}:
                if NODE_FOLDERS.index(folder if folder in NODE_FOLDERS else "") > rank:
                    yield Offender(source.name, line, f"imports {folder}, which does not stand before it")


def absolute_imports(repository: Repository) -> Offenders:
    top = [repository.sources["__init__.py"]] if "__init__.py" in repository.sources else []
    for source in [*repository.below("higgs_runtime"), *repository.below("nodes"), *top]:
        yield from source.absolute({"higgs_runtime", "nodes"})


def underscores(repository: Repository) -> Offenders:
    for source in repository.below("nodes"):
        for level, module, names, line in source.imports:
            if level == len(source.name.split("/")):  # beyond nodes/: of the runtime
                for name in [part for part in [*module.split("."), *names] if part.startswith("_")]:
                    yield Offender(source.name, line, f"uses {name}")


def names_of_modules(repository: Repository) -> Offenders:
    """Importing such a module would bind it to the package, over the public name."""
    top = repository.sources.get("higgs_runtime/__init__.py")
    modules = {module.split(".")[0] for module in repository.modules}
    for _, _, names, line in top.imports if top else []:
        if line in top.lines_for_types:
            for name in sorted(modules & set(names)):
                yield Offender(top.name, line, f"{name} is also a module")


def names_of_classes(repository: Repository) -> Offenders:
    """An underscore in front makes no other name of it."""
    seen: dict[str, str] = {}
    for source in [*repository.below("higgs_runtime"), *repository.below("nodes")]:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                first = seen.setdefault(node.name.lstrip("_"), f"{source.name}:{node.lineno}")
                if first != f"{source.name}:{node.lineno}":
                    yield Offender(source.name, node.lineno, f"{node.name} is also at {first}")


def lengths_of_files(repository: Repository) -> Offenders:
    web = repository.root / "web"
    scripts = [path for path in repository.files if path.suffix == ".js" and path.is_relative_to(web)]
    for path in [*(source.path for source in repository.sources.values()), *scripts]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE:
            yield Offender(path.relative_to(repository.root).as_posix(), MAX_FILE + 1, f"has {lines} lines")


def lengths_of_functions(repository: Repository) -> Offenders:
    """Without docstrings."""
    for source in repository.sources.values():
        for node in source.nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                documented = isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str)
                lines = node.end_lineno - node.lineno + 1
                lines -= first.end_lineno - first.lineno + 1 if documented else 0
                if lines > MAX_FUNCTION:
                    yield Offender(source.name, node.lineno, f"{node.name} has {lines} lines")


def swallowed_errors(repository: Repository) -> Offenders:
    for source in repository.sources.values():
        for node in source.nodes:
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                caught = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
                last = node.body[-1]
                reraised = isinstance(last, ast.Raise) and (last.exc is None or last.cause is not None)
                if (node.type is None or caught & {"Exception", "BaseException"}) and not reraised:
                    yield Offender(source.name, node.lineno, "a broad except that does not raise at its end")


def kinds_of_devices(repository: Repository) -> Offenders:
    for source in [*repository.below("higgs_runtime"), *repository.below("nodes")]:
        if source.path.name not in DEVICE_FILES:
            yield from matches(source.name, source.text, DEVICE_KINDS)


def machines(repository: Repository) -> Offenders:
    for path in repository.files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and sounds
        yield from matches(path.relative_to(repository.root).as_posix(), text, MACHINE)


def matches(name: str, text: str, pattern: re.Pattern) -> Offenders:
    for match in pattern.finditer(text):
        yield Offender(name, text.count("\n", 0, match.start()) + 1, f"names {match.group()}")


@dataclass(frozen=True)
class Rule:
    says: str
    remedy: str
    check: Callable[[Repository], Offenders]

    def offenders(self, repository: Repository) -> list[Offender]:
        return sorted(self.check(repository))


RULES = {
    rule.check.__name__: rule
    for rule in (
        Rule(
            "Each package of the runtime has its place.",
            "Add it to ORDER in tools/dev_rules.py; a module that stands by itself goes into CORE.",
            places,
        ),
        Rule("Imports point to packages before.", "Move the code down, or hand the thing in from above.", order),
        Rule("No import circles.", "Move what both need into a module of its own.", circles),
        Rule("Some parts never meet.", "See FORBIDDEN in tools/dev_rules.py; hand the thing in from above.", strangers),
        Rule(
            "The runtime does not know ComfyUI.",
            "Ask ComfyUI in nodes/host/, and hand the answer in.",
            comfyui_in_runtime,
        ),
        Rule(
            "Of the nodes only nodes/host/ knows ComfyUI.",
            "Put a function there; a node imports only comfy_api, for its schema.",
            comfyui_in_nodes,
        ),
        Rule(
            "The folders of nodes/ stand in an order.",
            "See NODE_FOLDERS in tools/dev_rules.py; move the code down.",
            folders_of_nodes,
        ),
        Rule(
            "The pack imports itself relatively: ComfyUI loads it under another name.",
            "Write from .module import name.",
            absolute_imports,
        ),
        Rule("Nodes use no private name of the runtime.", "Give it a public name in the runtime.", underscores),
        Rule("No public name is that of a module.", "Rename one of the two.", names_of_modules),
        Rule(
            "No class name stands twice: a reader who looks for it finds one thing.",
            "Rename the less public one.",
            names_of_classes,
        ),
        Rule(f"Files have at most {MAX_FILE} lines.", "Split the file by subject.", lengths_of_files),
        Rule(
            f"Functions have at most {MAX_FUNCTION} lines, docstrings aside.",
            "Split the function by step.",
            lengths_of_functions,
        ),
        Rule("No failure is swallowed.", "Name the errors, or end with raise or raise … from error.", swallowed_errors),
        Rule("One module knows kinds of devices.", "Ask devices.py of the runtime.", kinds_of_devices),
        Rule("Nothing names a machine.", "Take the path or the host from a setting.", machines),
    )
}


def main() -> int:
    """Say every offender with its rule's remedy; 1 if there are any."""
    repository, status = Repository(), 0
    for rule in RULES.values():
        offenders = rule.offenders(repository)
        for offender in offenders:
            print(f"{offender.path}:{offender.line}: {offender.what}")
        if offenders:
            status = 1
            print(f"    {rule.says} What to do: {rule.remedy}")
    print(f"{len(RULES)} rules of the repository" + (" hold." if not status else "."))
    return status


if __name__ == "__main__":
    sys.exit(main())
