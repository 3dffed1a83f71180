"""The repository's own rules, read from its syntax trees: who may import whom, and how long a piece may be.

`python dev.py lint` runs them after ruff. Each rule is one check that lists its offenders. Standard library only.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev_sources import Offender, Offenders, Repository, package_of, reached

# The packages of the runtime: each may import those before it. A module that stands by itself is of the core: `CORE`.
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
    "monologue",
    "rendering",
    "dubbing",
    "speech",
    "editing",
    "cluster serve remote",
    "cli",
)
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
MAX_PARAMETERS = 8
# ComfyUI hands a node's inputs to these, by their names.
CALLED_BY_COMFYUI = {"execute", "validate_inputs", "fingerprint_inputs", "check_lazy_status"}
KERNEL = "higgs_runtime/generation/cpu_kernel/"  # compiled functions take each number and address by itself
MANY_PARAMETERS = {  # what has more than MAX_PARAMETERS all the same, with the reason
    ("higgs_runtime/speech.py", "speak"): "the one line that most programs write: each choice under its own name",
    ("higgs_runtime/generation/session.py", "__init__"): "each fast way has a switch of its own",
}
DEVICE_KINDS = re.compile(r"\bcuda\b|[\"']mps[\"']|[\"']xpu[\"']")
# Paths of one machine, and the hosts of package registries: whoever installs has their own.
MACHINE = re.compile(
    r"(?<![\w.$}/:-])/(?:work|root|home|Users|tmp|opt|mnt)/\w|[A-Z]:\\\\?Users\\"
    r"|\bpypi[.](?:org)|\bpythonhosted[.]|\bregistry[.](?:npmjs)"
)


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


def numbers_of_parameters(repository: Repository) -> Offenders:
    """Not counted: what a method is called on, and what a dataclass is made from."""
    allowed = set(MANY_PARAMETERS)
    for source in repository.sources.values():
        if not source.name.startswith(("higgs_runtime/", "nodes/", "tools/")) and source.name != "dev.py":
            continue
        for node in source.nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                count = parameters(node)
                known = (source.name, node.name)
                if count <= MAX_PARAMETERS or handed_inputs(source.name, node.name):
                    continue
                allowed.discard(known)
                if known not in MANY_PARAMETERS:
                    yield Offender(source.name, node.lineno, f"{node.name} has {count} parameters")
    for path, name in sorted(allowed):
        yield Offender(path, 1, f"no {name} of MANY_PARAMETERS has more than {MAX_PARAMETERS}: take it out there")


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller sees."""
    taken = function.args
    names = [one.arg for one in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg) if one]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def handed_inputs(path: str, function: str) -> bool:
    """Whether somebody else says how many parameters it has."""
    return path.startswith(KERNEL) or (path.startswith("nodes/") and function in CALLED_BY_COMFYUI)


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
            "Add it to ORDER in tools/dev_rules.py; a module that stands by itself goes into CORE of dev_sources.py.",
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
        Rule(
            f"Functions have at most {MAX_PARAMETERS} parameters.",
            "Group what belongs together in a frozen, keyword-only dataclass.",
            numbers_of_parameters,
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
