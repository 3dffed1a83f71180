"""Which model and voices a node's sound comes from, as far as the workflow tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def origin(prompt: Mapping[str, Any] | None, node_id: str) -> tuple[str, str]:
    """Names of the models and of the voices behind a node, comma between: what the loaders say, each once.

    Args:
        prompt: the workflow in API format.
        node_id: of the node whose inputs are followed.
    """
    models, voices = [], []
    for node in _behind(prompt or {}, str(node_id)):
        kind, inputs = node["class_type"], node["inputs"]
        if kind == "HiggsLoadModel":
            models.append(_title(inputs["checkpoint"]))
        elif kind == "HiggsRemoteModel":
            models.append(f"{inputs['server']} {inputs['model']}".strip())
        elif kind == "HiggsLoadVoice":
            voices.append(inputs["voice"])
        elif kind == "HiggsVoice":
            behind = _behind(prompt or {}, *_sources(node))
            voices.extend(one["inputs"]["audio"] for one in behind if one["class_type"].endswith("LoadAudio"))
    listed = (", ".join(dict.fromkeys(str(name) for name in names)) for names in (models, voices))
    models_behind, voices_behind = listed
    return models_behind, voices_behind


def _title(choice: Any) -> Any:
    """A checkpoint by name; what "auto" stands for here."""
    from .checkpoints import find_checkpoint

    return choice if isinstance(choice, list) else find_checkpoint("lm", choice).title


def _behind(prompt: Mapping[str, Any], *node_ids: str) -> Iterator[dict]:
    """The nodes of these ids, and all that they are made of."""
    waiting, seen = list(node_ids), set()
    while waiting:
        node_id = waiting.pop(0)
        if node_id in seen or node_id not in prompt:
            continue
        seen.add(node_id)
        yield prompt[node_id]
        waiting.extend(_sources(prompt[node_id]))


def _sources(node: Mapping[str, Any]) -> list[str]:
    return [str(value[0]) for value in node["inputs"].values() if isinstance(value, list) and len(value) == 2]
