"""The same random checkpoint in the forms that other tools write: the transformers port of v3, 8-bit floats."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

V3_CODEC = "tied.embedding.modality_embeddings.0.model."
# Names of a v3 checkpoint -> those of its port to transformers, as its `_HIGGS_KEY_MAPPING` has them.
PORT = (
    ("tied.embedding.text_embedding.", "model.embed_tokens."),
    ("tied.embedding.modality_embeddings.0.embedding.", "audio_embedding."),
    ("body.", "model."),
)


def copied(source: Path, target: Path, tensors: dict[str, torch.Tensor], shards: int = 1) -> Path:
    """The folder with other weights, in one file or several."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.suffix == ".json" and not file.name.endswith(".index.json"):
            shutil.copyfile(file, target / file.name)
    tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    if shards == 1:
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
        return target
    weight_map = {name: f"model-{index % shards}.safetensors" for index, name in enumerate(sorted(tensors))}
    for file in set(weight_map.values()):
        part = {name: tensor for name, tensor in tensors.items() if weight_map[name] == file}
        save_file(part, target / file, metadata={"format": "pt"})
    (target / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return target


def as_port(source: Path, target: Path, *, shards: int = 1, with_head: bool = False) -> Path:
    """A v3 checkpoint as the model class of the transformers port saves it: without codec and text head."""
    found = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if name.startswith(V3_CODEC) or name.startswith("tied.head."):
            continue
        old, new = next((pair for pair in PORT if name.startswith(pair[0])))
        found[new + name.removeprefix(old)] = tensor
    if with_head:
        found["audio_head.weight"] = found["audio_embedding.weight"]
    return copied(source, target, found, shards)


def in_float8(
    source: Path, target: Path, scales: str = "", *, chosen: Callable[[str], bool] = lambda name: "_proj." in name
) -> tuple[Path, dict[str, torch.Tensor]]:
    """A checkpoint with some matrices as E4M3.

    Args:
        scales: "" none, else the name of the scale with {0} for the weight's and {1} for its owner's, and behind a
            colon "tensor", "channel" or "flat channel".

    Returns:
        The folder, and all weights as they are meant.
    """
    pattern, _, kind = scales.partition(":")
    found, meant = {}, {}
    for name, weight in load_file(source / "model.safetensors").items():
        if not chosen(name):
            found[name] = meant[name] = weight
            continue
        rows = (len(weight), *(1,) * (weight.ndim - 1))
        scale = {
            "": torch.ones(()),
            "tensor": weight.abs().max() / 448,
            "channel": weight.abs().reshape(len(weight), -1).amax(1).view(rows) / 448,
            "flat channel": weight.abs().reshape(len(weight), -1).amax(1) / 448,
        }[kind].float()
        spread = scale.view(rows) if scale.ndim else scale  # of zero dimensions by tensor
        found[name] = (weight / spread).to(torch.float8_e4m3fn)
        meant[name] = found[name].float() * spread
        if pattern:
            found[pattern.format(name, name.rpartition(".")[0])] = scale
            found[name.rpartition(".")[0] + ".input_scale"] = torch.tensor(0.5)
    return copied(source, target, found), meant
