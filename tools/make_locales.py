"""Write locales/<language>/ from tools/locales/<language>.json and the nodes' schemas: python -m tools.make_locales

The compact files say each string once: `#` in an input's key, name or tooltip is the number of a growing list
(`track_#` for track_0, track_1 …). English comes from the schemas; its file holds only the labels that differ from
an input's id. `nodeCategories` are the menu's words that ComfyUI does not translate itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMPACT, EXPANDED = ROOT / "tools" / "locales", ROOT / "locales"
LANGUAGES = ("en", "zh", "ja", "es", "de", "fr")
CATEGORIES = "nodeCategories"
Texts = dict[str, Any]  # nested as ComfyUI's nodeDefs.json: node -> display_name, description, inputs, outputs


# ---- English, as the schemas say it -----------------------------------------------------------------------------


def schema_texts(nodes: dict[str, Any]) -> Texts:
    """All strings of the nodes' schemas; a name is the display name, else the id, with spaces."""
    texts = {}
    for node_id, node in nodes.items():
        schema = node.GET_SCHEMA()
        texts[node_id] = {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {one.id: described(one) for one in schema.inputs},
            "outputs": {str(place): described(one) for place, one in enumerate(schema.outputs)},
        }
    return texts


def described(one: Any) -> dict[str, str]:
    return {"name": (one.display_name or one.id).replace("_", " "), "tooltip": one.tooltip}


# ---- from compact to expanded -----------------------------------------------------------------------------------


def expand(english: Texts, compact: Texts) -> Texts:
    """The compact file's texts for every node, input and output of the schemas that it knows, in their order."""
    return {
        node_id: {
            part: expanded_part(texts, compact[node_id].get(part, {}))
            if isinstance(texts, dict)
            else compact[node_id].get(part)
            for part, texts in parts.items()
        }
        for node_id, parts in english.items()
        if node_id in compact
    }


def expanded_part(english: Texts, compact: Texts) -> Texts:
    found = {}
    for key in english:
        number = number_of(key)
        if key in compact:
            found[key] = dict(compact[key])
        elif number is not None and general(key) in compact:
            found[key] = {kind: text.replace("#", number) for kind, text in compact[general(key)].items()}
    return found


def number_of(key: str) -> str | None:
    """Of an item of a growing list: track_3 -> 3."""
    match = re.search(r"_(\d+)$", key)
    return match and match[1]


def general(key: str) -> str:
    """track_3 -> track_#"""
    return re.sub(r"_\d+$", "_#", key)


def with_labels(english: Texts, compact: Texts) -> Texts:
    """English with the labels of its compact file in place of the schemas' names."""
    labels = expand(english, compact)
    return {
        node_id: {
            **parts,
            "inputs": {
                key: {**texts, **labels.get(node_id, {}).get("inputs", {}).get(key, {})}
                for key, texts in parts["inputs"].items()
            },
        }
        for node_id, parts in english.items()
    }


def names_only(texts: Texts) -> Texts:
    """What English needs: all else is in the schemas."""
    return {
        node_id: {
            part: {key: {"name": one["name"]} for key, one in parts[part].items()} for part in ("inputs", "outputs")
        }
        for node_id, parts in texts.items()
    }


def leaves(texts: Texts, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, text) of every text, in order."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif value is not None:
            yield (*path, key), value


# ---- what is wrong with a translation ---------------------------------------------------------------------------


def problems(english: Texts, compact: Texts) -> list[str]:
    """A line for each text that is missing, stale, untranslated, or lacks a number, unit or placeholder.

    Of a growing list only the first item that is wrong is named.
    """
    texts, said = dict(leaves(english)), dict(leaves(expand(english, compact)))
    found: dict[tuple[str, ...], str] = {}
    for path, text in texts.items():
        fault = "is missing" if not said.get(path) else fault_of(path, text, said[path])
        if fault:
            found.setdefault(tuple(map(general, path)), f"{'.'.join(path)} {fault}")
    return list(found.values()) + [f"{path} is stale: no schema has it" for path in stale(english, compact)]


def stale(english: Texts, compact: Texts) -> list[str]:
    """Paths of the compact file that name nothing in the schemas."""
    known = {path for path, _ in leaves(english)} | {tuple(map(general, path)) for path, _ in leaves(english)}
    return [".".join(path) for path, _ in leaves(compact) if path not in known and path[0] != CATEGORIES]


def fault_of(path: tuple[str, ...], english: str, said: str) -> str | None:
    if path[-1] in ("tooltip", "description") and said == english:
        return "is in English"
    numbers = set(re.findall(r"-?\d+(?:\.\d+)?", english)) - set(re.findall(r"-?\d+(?:\.\d+)?", said))
    if numbers:
        return f"lacks {', '.join(sorted(numbers))}: {said}"
    unit = re.search(r"\((.+)\)$", english) if path[-1] == "name" else None
    said_unit = re.search(r"[(（](.+)[)）]$", said)
    if unit and not said_unit:
        return f"lacks its unit ({unit[1]}): {said}"
    if unit and not re.fullmatch(r"[a-z]{5,}", unit[1]) and unit[1] != said_unit[1]:  # words are translated: frames
        return f"has another unit than ({unit[1]}): {said}"
    return None


# ---- files ------------------------------------------------------------------------------------------------------


def read(language: str) -> Texts:
    return json.loads((COMPACT / f"{language}.json").read_text(encoding="utf-8"))


def expanded_files(language: str, schemas: Texts) -> dict[Path, str]:
    """What belongs into locales/<language>/."""
    compact = read(language)
    nodes = names_only(with_labels(schemas, compact)) if language == "en" else expand(schemas, compact)
    files = {EXPANDED / language / "nodeDefs.json": as_json(nodes)}
    if CATEGORIES in compact:
        files[EXPANDED / language / "main.json"] = as_json({CATEGORIES: compact[CATEGORIES]})
    return files


def as_json(texts: Texts) -> str:
    return json.dumps(escaped(texts), ensure_ascii=False, indent=2) + "\n"


def escaped(texts: Any) -> Any:
    """Braces, bars and at signs stand for themselves; bare, they are the syntax of the frontend's vue-i18n."""
    if isinstance(texts, dict):
        return {key: escaped(value) for key, value in texts.items() if value is not None}
    return re.sub(r"[{}@|]", r"{'\g<0>'}", texts)


def main() -> int:
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from helpers_workflow import pack_nodes

    schemas = schema_texts(pack_nodes())
    english = with_labels(schemas, read("en"))
    wrong = [
        f"{language}: {one}" for language in LANGUAGES if language != "en" for one in problems(english, read(language))
    ]
    for language in LANGUAGES:
        for path, text in expanded_files(language, schemas).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    print("\n".join([*wrong, f"{len(LANGUAGES)} languages are in {EXPANDED.name}/; {len(wrong)} texts want mending."]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
