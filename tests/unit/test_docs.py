"""The pages say what is true: extras, links, words, lengths."""

from __future__ import annotations

import re

import pytest
from dev_env import ROOT
from dev_rules import ORDER, RANK
from dev_sources import CORE, Repository

from higgs_runtime.errors import EXTRAS

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings it there
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    """Requirements without their versions."""
    return {re.split("[=<>~!;]", line)[0].strip().lower() for line in requirements}


def installed_by(commands) -> set[str]:
    """The packages of `pip install` commands."""
    words = [word for command in commands for word in command.split()[2:]]
    return names([word for word in words if not word.startswith("-")])


def test_readme_errors_and_project_offer_the_same_extras():
    declared = {name: names(packages) for name, packages in PROJECT["optional-dependencies"].items() if name != "test"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`: (.+?) \|", readme, re.M))
    assert set(rows) == set(EXTRAS) == set(declared)
    for name, commands in EXTRAS.items():
        whole = not any("--no-deps" in command for command in commands)
        assert installed_by(commands) == declared[name] if whole else installed_by(commands) >= declared[name], name
        assert name == "dac" or [f"`{one}`" in rows[name] for one in commands] == [True], name
        assert all(command in readme for command in commands)


def test_every_extra_is_asked_for_and_no_other():
    """By the code that needs it; what texts say of extras and of their packages is true."""
    files = [path for top in ("higgs_runtime", "nodes") for path in (ROOT / top).rglob("*.py")]
    code = [path.read_text(encoding="utf-8") for path in files]
    asked = {name for text in code for name in re.findall(r'MissingExtraError\([^)]*?, "(\w+)"', text)}
    said = {name for text in code for name in re.findall(r"(?:\bextra [`']|\(extra )(\w+)[`')]", text)}
    assert asked | said == set(EXTRAS)
    kinds = ("*.md", "docs/*.md", "web/docs/*.md", "workflows/*.json")
    texts = {path.name: path.read_text(encoding="utf-8") for kind in kinds for path in ROOT.glob(kind)}
    packages = installed_by(command for commands in EXTRAS.values() for command in commands)
    for page, text in texts.items():
        for command in re.findall(r"pip install (?!\.|-r )[^`\"\n(]+", text):
            assert installed_by([command]) <= packages, (page, command)
        for name, command in re.findall(r"extra `(\w+)` \(`(pip install [^`]+)`\)", text):
            assert (command,) == EXTRAS[name], page
        assert set(re.findall(r"\bextra `(\w+)`", text)) <= set(EXTRAS), page


def test_the_readme_is_short_and_names_every_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 200
    assert "python dev.py demo" in readme[: readme.index("## Install")] and "python dev.py test" in readme
    assert [path.name for path in ROOT.glob("docs/*.md") if f"(docs/{path.name})" not in readme] == []


def test_the_glossary_has_each_word_once_and_pages_use_no_private_ones():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [term.strip() for cells in re.findall(r"^\| (.+?) \|", glossary, re.M) for term in cells.split(",")]
    fields = {
        "batch",
        "request",
        "slot",
        "prefix cache",
        "prefill",
        "decode step",
        "KV cache",
        "sampler",
        "CUDA graph",
        "worker pool",
        "verifier",
        "word error rate (WER)",
        "voice activity",
        "loudness target",
        "reference",
        "time line",
        "clip",
        "codes",
        "delayed rows",
        "voice",
        "turn",
        "take",
        "cue",
        "slot of a subtitle",
    }
    named = [term for term in terms if term not in ("term", "---")]
    assert fields <= set(named) and len(named) == len(set(named))
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]:
        text = page.read_text(encoding="utf-8")
        private = re.findall(r"\b(?:whoever|any company|in company|what is louder|crew|the ears)\b", text)
        assert private == [], page.name


@pytest.mark.parametrize(
    "page",
    [path.relative_to(ROOT).as_posix() for pattern in ("*.md", "docs/*.md") for path in sorted(ROOT.glob(pattern))],
)
def test_links_of_a_page_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    missing = [link for link in links if not ((ROOT / page).parent / link.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.slow
def test_the_page_on_architecture_has_the_packages_in_their_order():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("| package |")[1].split("\n\n")[0].splitlines()[2:]
    order = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table]
    assert set(order[0]) == CORE
    assert order[1:] == [names.split() for names in ORDER[1:]]
    picture = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    heights = {name: int(y) for y, name in re.findall(r'<text class="name" x="\d+" y="(\d+)">(\w+)<', picture)}
    assert set(heights) - {"nodes"} == set(RANK)
    for part, used in Repository().packages.items():
        assert all(heights[one] > heights[part] for one in used), f"{part} is drawn beside or below what it uses"
