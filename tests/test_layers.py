"""The shape of the code, read from its syntax trees: who may import whom, and how long a piece may be."""

from __future__ import annotations

import ast
import re
from functools import cache, partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "higgs_runtime"
BRIDGE = ("bridge.py", "residency.py")  # the files that know ComfyUI
NODES = ROOT / "nodes"

# The packages of the runtime: each may import those before it. A module that stands by itself is of the core.
ORDER = (
    "core", "text", "audio", "checkpoint", "codec", "model", "prompt", "generation", "hub", "voices", "script", "takes",
    "verification", "rendering", "speech", "cluster serve remote", "cli",
)
CORE = {"atomic_write", "types", "errors", "devices", "choices", "cores", "outputs", "settings", "suspended"}
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}
COMFYUI = {"comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution", "comfy_extras", "execution",
           "folder_paths", "nodes", "server"}
# What a part must not reach, not even through others.
FORBIDDEN = {"generation": {"codec", "audio", "script"}, "codec": {"model"}}
MAX_FILE, MAX_FUNCTION = 400, 60
LOOKED_AT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ExceptHandler,
             ast.If)


def sources(*folders: Path, suffix: str = ".py") -> list[Path]:
    """The repository's own files below the folders: nothing hidden, built or unpacked."""
    found = []
    for folder in folders:
        paths = own_files(suffix) if folder == ROOT else sorted(folder.rglob(f"*{suffix}"))
        found += [path for path in paths if "__pycache__" not in path.parts]
    return found


def own_files(suffix: str) -> list[Path]:
    skipped = {"build", "dist", "node_modules", "shared"}
    tops = [path for path in ROOT.iterdir() if path.name not in skipped and not path.name.endswith(".egg-info")]
    hidden = [ROOT / ".ci", ROOT / ".github", ROOT / ".gitignore", ROOT / ".pre-commit-config.yaml"]
    files = [path for path in tops if path.is_file() and not path.name.startswith(".")]
    for folder in [path for path in [*tops, *hidden] if path.is_dir() and (path in hidden or path.name[0] != ".")]:
        files += [path for path in folder.rglob("*") if path.is_file()]
    files += [path for path in hidden if path.is_file()]
    return sorted(path for path in set(files) if path.name.endswith(suffix))


def named(paths: list[Path]) -> dict:
    return {"argvalues": paths, "ids": [path.relative_to(ROOT).as_posix() for path in paths]}


@cache
def syntax(path: Path) -> list[ast.AST]:
    """Every node of a file's syntax tree that these tests look at."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return [node for node in ast.walk(tree) if isinstance(node, LOOKED_AT)]


@cache
def lines_for_types(path: Path) -> frozenset[int]:
    """Lines that only a type checker runs."""
    blocks = [node for node in syntax(path) if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
              and node.test.id == "TYPE_CHECKING"]
    return frozenset(line for block in blocks for line in range(block.lineno, block.body[-1].end_lineno + 1))


def imports(path: Path, types: bool = True) -> list[tuple[int, str, tuple[str, ...]]]:
    """Every import of a file, lazy ones included: (level of relativity, module, names)."""
    found = []
    for node in syntax(path):
        if not types and node.lineno in lines_for_types(path):
            continue
        if isinstance(node, ast.Import):
            found += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    return found


@cache
def modules() -> dict[str, Path]:
    """The runtime's modules and packages by their dotted names below it."""
    found = {}
    for path in sources(RUNTIME):
        name = path.relative_to(RUNTIME).with_suffix("").parts
        found[".".join(name[:-1] if name[-1] == "__init__" else name)] = path
    del found[""]
    return found


def package_of(module: str) -> str:
    """The package that a module is in, as ORDER calls it."""
    top = module.split(".")[0]
    return "core" if top in CORE else top


@cache
def used_by(module: str, types: bool = True) -> frozenset[str]:
    """The modules of the runtime that one of them imports, those in a function included.

    Args:
        types: also what is imported for a type checker only.
    """
    path, found = modules()[module], set()
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for level, base, names in imports(path, types):
        if not 0 < level <= len(package) + 1:
            continue
        base = ".".join([*package[: len(package) + 1 - level], *([base] if base else [])])
        for name in names:
            whole = f"{base}.{name}".lstrip(".")
            found.add(whole if whole in modules() else base)
    return frozenset(found - {module, ""})


@cache
def parts() -> dict[str, frozenset[str]]:
    """Each package of the runtime with the packages it imports."""
    graph: dict[str, set[str]] = {}
    for module in modules():
        used = {package_of(other) for other in used_by(module)}
        graph.setdefault(package_of(module), set()).update(used - {package_of(module)})
    return {name: frozenset(used) for name, used in graph.items()}


def reached(part: str, uses=None) -> set[str]:
    """Everything a part imports, directly or through others."""
    uses = uses or (lambda name: parts().get(name, ()))
    seen, waiting = set(), [part]
    while waiting:
        for used in uses(waiting.pop()):
            if used not in seen:
                seen.add(used)
                waiting.append(used)
    return seen


def test_every_part_of_the_runtime_has_its_place():
    assert {"model", "generation.session"} <= set(modules())
    assert set(parts()) == set(RANK), "a new package needs its place in ORDER, a module by itself one in CORE"


def test_imports_point_to_packages_before():
    wrong = [(module, other) for module in modules() for other in used_by(module)
             if package_of(other) != package_of(module) and RANK[package_of(other)] >= RANK[package_of(module)]]
    assert wrong == []


def test_no_import_circles():
    """A package's `__init__`, which names what others use, stands above its modules."""
    assert [module for module in modules() if module in reached(module, partial(used_by, types=False))] == []


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_that_must_not_meet(part):
    assert parts()[part], f"{part} imports nothing: is it still called that?"
    assert reached(part) & FORBIDDEN[part] == set()


@pytest.mark.parametrize("path", **named(sources(RUNTIME)))
def test_runtime_does_not_know_comfyui(path):
    tops = {module.split(".")[0] for level, module, _ in imports(path) if level == 0}
    assert tops & COMFYUI == set()


@pytest.mark.parametrize("path", **named([*sources(RUNTIME, NODES), ROOT / "__init__.py"]))
def test_the_pack_imports_itself_relatively(path):
    """ComfyUI loads the pack under a name made of its path; an absolute import would find another copy."""
    tops = {module.split(".")[0] for level, module, _ in imports(path) if level == 0}
    assert tops & {"higgs_runtime", "nodes"} == set()


@pytest.mark.parametrize("path", **named(sources(NODES)))
def test_nodes_use_no_name_with_an_underscore(path):
    for level, module, names in imports(path):
        if level == len(path.relative_to(NODES).parts) + 1:
            assert not any(part.startswith("_") for part in [*module.split("."), *names])


@pytest.mark.parametrize("path", **named([path for path in sources(NODES) if path.name not in BRIDGE]))
def test_only_the_bridge_knows_comfyui(path):
    tops = {module.split(".")[0] for level, module, _ in imports(path) if level == 0}
    assert tops & (COMFYUI - {"comfy_api"}) == set(), "only comfy_api, for the schema"


def test_no_public_name_is_that_of_a_module():
    """Importing the module would bind it to the package, over the public name."""
    import higgs_runtime

    assert set(higgs_runtime.__all__) & {module.split(".")[0] for module in modules()} == set()


def test_no_class_name_twice():
    """A reader who looks for a name finds one thing; an underscore in front makes no other name of it."""
    found = {}
    for path in sources(RUNTIME, NODES):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                place = f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
                found.setdefault(node.name.lstrip("_"), []).append(place)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


@pytest.mark.parametrize("path", **named(sources(ROOT)))
def test_files_and_functions_are_short(path):
    length = len(path.read_text(encoding="utf-8").splitlines())
    assert length <= MAX_FILE
    long = {}
    for node in syntax(path):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str)
            lines = node.end_lineno - node.lineno + 1
            lines -= first.end_lineno - first.lineno + 1 if documented else 0
            if lines > MAX_FUNCTION:
                long[node.name] = lines
    assert long == {}


@pytest.mark.parametrize("path", **named(sources(ROOT / "web", suffix=".js")))
def test_scripts_are_short(path):
    length = len(path.read_text(encoding="utf-8").splitlines())
    assert length <= MAX_FILE


@pytest.mark.parametrize("path", **named(sources(ROOT)))
def test_no_failure_is_swallowed(path):
    """A broad `except` has to end in a `raise`: the same error, or one of ours with the cause attached."""
    broad = []
    for node in syntax(path):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            caught = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
            last = node.body[-1]
            reraised = isinstance(last, ast.Raise) and (last.exc is None or last.cause is not None)
            if (node.type is None or caught & {"Exception", "BaseException"}) and not reraised:
                broad.append(node.lineno)
    assert broad == []


@pytest.mark.parametrize("path", **named([path for path in sources(RUNTIME, NODES)
                                          if path.name not in ("devices.py", "choices.py")]))
def test_one_module_knows_kinds_of_devices(path):
    assert not re.search(r"\bcuda\b|[\"']mps[\"']|[\"']xpu[\"']", path.read_text(encoding="utf-8"))


# Paths of one machine, and the hosts of package registries: whoever installs has their own.
MACHINE = re.compile(
    r"(?<![\w.$}/:-])/(?:work|root|home|Users|tmp|opt|mnt)/\w|[A-Z]:\\\\?Users\\"
    r"|\bpypi[.](?:org)|\bpythonhosted[.]|\bregistry[.](?:npmjs)"
)


def test_nothing_names_a_machine():
    named_here = {}
    for path in sources(ROOT, suffix=""):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and sounds
        hits = sorted(set(MACHINE.findall(text)))
        if hits:
            named_here[path.relative_to(ROOT).as_posix()] = hits
    assert named_here == {}
    assert MACHINE.search("see " + "/".join(["", "home", "someone"]))
