"""What a node's sound comes from, as far as the workflow tells: models, voices, who agreed, and whom to credit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..host import files

CHANGED = {"HiggsEditSpeech": "some of its words", "HiggsSpeakOn": "its end"}  # what a node makes of a recording
REMOTE_V3 = ("vLLM-Omni", "SGLang-Omni", "Boson AI")  # servers that speak with released Higgs models


class Origin(NamedTuple):
    """Each in words, comma between; what is not known is empty.

    Attributes:
        models, voices: by name.
        consent: the notes that are kept with voices of the library.
        credit: what the licences of the models ask for.
        within: that a recording was edited or continued on the way here.
    """

    models: str = ""
    voices: str = ""
    consent: str = ""
    credit: str = ""
    within: str = ""


def origin(prompt: Mapping[str, Any] | None, node_id: str) -> Origin:
    """What is behind a node: what the loaders say, each once.

    Args:
        prompt: the workflow in API format.
        node_id: of the node whose inputs are followed.
    """
    from ...higgs_runtime.hub.releases import CREDIT

    found: dict[str, list[Any]] = {name: [] for name in Origin._fields}
    for node in _behind(prompt or {}, str(node_id)):
        kind, inputs = node["class_type"], node["inputs"]
        if kind == "HiggsLoadModel":
            title, credit = _checkpoint(inputs["checkpoint"])
            found["models"].append(title)
            found["credit"].append(credit)
        elif kind == "HiggsRemoteModel":
            found["models"].append(f"{inputs['server']} {inputs['model']}".strip())
            found["credit"].append(CREDIT if inputs["server"] in REMOTE_V3 else "")
        elif kind == "HiggsLoadVoice":
            found["voices"].append(inputs["voice"])
            found["consent"].append(_note(inputs["voice"]))
        elif kind in CHANGED:
            found["within"].append(CHANGED[kind])
            found["consent"].append(_in_words(inputs.get("consent")))
        elif kind == "HiggsVoice":
            behind = _behind(prompt or {}, *_sources(node))
            found["voices"] += [one["inputs"]["audio"] for one in behind if one["class_type"].endswith("LoadAudio")]
    return Origin(**{name: ", ".join(dict.fromkeys(str(one) for one in some if one)) for name, some in found.items()})


def _checkpoint(choice: Any) -> tuple[Any, str]:
    """A checkpoint by name, and its credit; what "auto" stands for here."""
    from .checkpoints import find_checkpoint

    if isinstance(choice, list):  # it comes from another node
        return choice, ""
    there = find_checkpoint("lm", choice)
    return there.title, there.credit


def _in_words(value: Any) -> str:
    """A text of the graph on one line; empty where it comes from another node."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _note(name: Any) -> str:
    """What is kept with a voice of the library, on one line; empty where it cannot be read."""
    from ...higgs_runtime import VoiceError, find_voices, load_voice

    file = find_voices(files.model_folders()).get(name) if isinstance(name, str) else None
    if file is None:
        return ""
    try:
        return " ".join(load_voice(file)[1].note.split())
    except VoiceError:  # Load Higgs Voice says what is wrong with it
        return ""


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
