"""Workflow files without a browser: the nodes' schemas from the ComfyUI tree, and UI format turned into API format."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
PACK = "higgs_pack_under_test"
WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
CANVAS_ONLY = {"MarkdownNote", "Note", "Reroute"}


def comfyui_tree() -> Path:
    """The ComfyUI to test with; skips the test where there is none."""
    tree = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".comfyui" / "ComfyUI").resolve()
    if not (tree / "main.py").is_file():
        pytest.skip(f"needs a ComfyUI tree, none at {tree} (`python dev.py test` gets it; COMFYUI_PATH names yours)")
    return tree


@lru_cache
def load_pack():
    """Imports the pack the way ComfyUI does, inside this process, with the tree's modules and the CPU only.

    Its steps are the plain ones: under each name of a pack the compiled step is compiled once more, for half a minute.
    """
    sys.path.insert(0, str(comfyui_tree()))
    import utils.extra_config  # noqa: F401  # as ComfyUI's main: its nodes.py puts a folder with another `utils` first
    from comfy.cli_args import args

    args.cpu = True
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = sys.modules[PACK] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[f"{PACK}.higgs_runtime.generation.cpu_kernel.step"] = None
    return module


def pack_module(name: str = ""):
    """A module of the runtime as the pack has it; "": the runtime itself."""
    load_pack()
    return importlib.import_module(f"{PACK}.higgs_runtime.{name}".rstrip("."))


def node_module(name: str):
    """A module of nodes/ as the pack has it."""
    load_pack()
    return importlib.import_module(f"{PACK}.nodes.{name}")


@lru_cache
def pack_nodes() -> dict[str, type]:
    """The pack's nodes, by id."""
    extension = asyncio.run(load_pack().comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


@lru_cache
def node_classes() -> dict[str, type]:
    """The pack's nodes and the core nodes that the workflows use, by id."""
    pack = pack_nodes()  # first: it makes the tree importable
    from comfy_extras import nodes_audio, nodes_preview_any

    return {**core_nodes(nodes_audio), **core_nodes(nodes_preview_any), **pack}


def core_nodes(module) -> dict[str, type]:
    """Core's nodes of a file, by id; in ComfyUI 0.33 some are of the V3 schema."""
    if hasattr(module, "NODE_CLASS_MAPPINGS"):
        return module.NODE_CLASS_MAPPINGS
    extension = asyncio.run(module.comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


def called(node_id: str, **inputs):
    """A node's NodeOutput for one item, as ComfyUI calls it: nodes that ask for lists get lists."""
    node = node_classes()[node_id]
    return node.execute(**{name: [value] for name, value in inputs.items()} if node.INPUT_IS_LIST else inputs)


def executed(node_id: str, **inputs) -> tuple:
    """What a node gives for one item; of the lists that it gives the only item."""
    given = zip(called(node_id, **inputs).args, node_classes()[node_id].OUTPUT_IS_LIST, strict=True)
    return tuple(one[0] if is_list else one for one, is_list in given)


def node_inputs(node_id: str) -> dict[str, tuple]:
    """name -> (type, options) in the order of the editor: required first, then optional."""
    types = node_classes()[node_id].INPUT_TYPES()
    return {**types.get("required", {}), **types.get("optional", {})}


def widget_names(node_id: str) -> list[str]:
    """What stands behind each entry of a node's widgets_values; extra widgets of scripts come after these."""
    names = []
    for name, spec in node_inputs(node_id).items():
        kind, options = spec[0], spec[1] if len(spec) > 1 else {}
        if (isinstance(kind, list) or kind in WIDGET_TYPES) and not options.get("forceInput"):
            names.append(name)
            if options.get("control_after_generate"):
                names.append(f"{name}:control_after_generate")
    return names


def ui_to_api(workflow: dict) -> dict:
    """The API format of a workflow in UI format (what the editor would queue)."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in sorted(workflow["nodes"], key=lambda node: node["id"]):
        if node["type"] in CANVAS_ONLY or node["mode"] in (2, 4):
            continue
        names = widget_names(node["type"])
        inputs = {name: value for name, value in zip(names, node["widgets_values"], strict=False) if ":" not in name}
        inputs |= {slot["name"]: sources[slot["link"]] for slot in node["inputs"] if slot["link"] is not None}
        title = node.get("title") or node_title(node["type"])
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return prompt


def node_title(node_id: str) -> str:
    node = node_classes()[node_id]
    schema = node.GET_SCHEMA() if hasattr(node, "GET_SCHEMA") else None
    return (schema.display_name if schema else None) or node_id


def read_workflow(name: str, api: bool = False) -> dict:
    path = (WORKFLOWS / "api" if api else WORKFLOWS) / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))
