"""The Higgs tokenizer as Boson AI first released it: the config.json of its own code, and model.pth.

The networks are those of the native layout, under other names and with the acoustic weights in two parts (weight
norm); what they compute differs in one place, the padding of the acoustic branch. HuBERT is part of model.pth, or lies
beside it in a folder of its own. Sizes that the config leaves to the code are read from the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from ..checkpoint.files import CONFIG_FILE, PICKLE, checkpoint_tensors, pickled_tensors, read_config
from ..errors import CheckpointError
from .higgs_config import HiggsCodecConfig

HUBERT_FOLDER = "hubert_base"  # in the codec's folder, or beside it
HUBERT_HOP = 320
EDGE_PADDING = 160  # samples for each HuBERT frame in a frame of codes
UNIT = ("snake1", "conv1", "snake2", "conv2")
FIXED = {"vq_scale": 1, "downsample_mode": "step_down", "semantic_mode": "classic", "merge_mode": "concat"}


def read_original(folder: Path, config: Mapping) -> tuple[HiggsCodecConfig, dict[str, torch.Tensor]]:
    """The sizes, and the tensors under their native names.

    Raises:
        CheckpointError: files are missing or broken, or of a codec that was never released.
    """
    _check(config)
    found = _folded({native_name(name): tensor for name, tensor in pickled_tensors(folder / PICKLE).items()})
    beside = [place for place in (folder / HUBERT_FOLDER, folder.parent / HUBERT_FOLDER) if place.is_dir()]
    semantic = read_config(beside[0]) if beside and (beside[0] / CONFIG_FILE).is_file() else {}
    if not any(name.startswith("semantic_model.") for name in found):
        found.update({f"semantic_model.{name}": tensor for name, tensor in _hubert(folder, beside).items()})
    try:
        settings = _settings(config, semantic, found)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"'{folder}' does not hold a Higgs codec.",
            expected="the settings and tensors of Boson AI's first release",
            got=f"without {error}",
            remedy="Download the folder again: config and weights must be of the same release.",
        ) from error
    sizes = HiggsCodecConfig.from_dict(settings)
    return replace(sizes, num_codebooks=config["n_q"], edge_padding=EDGE_PADDING * sizes.semantic_stride), found


def native_name(name: str) -> str:
    """What the native layout calls a tensor."""
    for prefix, native, first_unit, ends in (
        ("encoder.block.", "acoustic_encoder", 0, {"3": "snake1", "4": "conv1"}),
        ("decoder_2.model.", "acoustic_decoder", 2, {"0": "snake1", "1": "conv_t1"}),
    ):
        if name.startswith(prefix):
            return f"{native}.{_acoustic(name.removeprefix(prefix), first_unit, ends)}"
    for pattern, replacement in (
        (r"^quantizer\.vq\.layers\.", "quantizer.quantizers."),
        (r"\._codebook\.", ".codebook."),
        (r"^fc_prior\.", "fc."),
        (r"^fc_post1\.", "fc1."),
        (r"^fc_post2\.", "fc2."),
        (r"^((?:en|de)coder_semantic\..*?conv\d?)\.conv\.", r"\1."),
    ):
        name = re.sub(pattern, replacement, name)
    return name


def _acoustic(name: str, first_unit: int, ends: Mapping[str, str]) -> str:
    """Of a layer in a sequence of sequences: what the native layout calls it in its encoder or decoder."""
    level, *rest = name.split(".")
    if rest[0] != "block":
        return ".".join([{"alpha": "snake1"}.get(rest[0], "conv1" if level == "0" else "conv2"), *rest])
    block, place, rest = int(level) - 1, rest[1], rest[2:]
    if rest[0] != "block":
        return ".".join([f"block.{block}", ends[place], *rest])
    unit, layer = int(place) - first_unit + 1, UNIT[int(rest[1])]
    return ".".join([f"block.{block}.res_unit{unit}", layer, *rest[2:]])


def _folded(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weight-norm pairs of the acoustic branch as one: v scaled to the length g, for each of its first dimension."""
    found = dict(tensors)
    for name in tensors:
        if name.startswith("acoustic_") and name.endswith(".weight_g"):
            stem = name.removesuffix("_g")
            direction = found.pop(f"{stem}_v")
            found[stem] = direction * (found.pop(name) / direction.norm(dim=(1, 2), keepdim=True))
    return found


def _settings(config: Mapping, semantic: Mapping, tensors: Mapping[str, torch.Tensor]) -> dict:
    ratios, width = list(config["ratios"]), len(tensors["encoder_semantic.conv.weight"])
    return {
        "sample_rate": config["sample_rate"],
        "semantic_sample_rate": config.get("semantic_sample_rate") or 16_000,
        "downsample_factor": HUBERT_HOP,
        "codebook_size": config["bins"],
        "codebook_dim": config["codebook_dim"],
        "acoustic_model_config": {
            "downsampling_ratios": ratios,
            "upsampling_ratios": ratios,
            "hidden_size": config["D"],
            "encoder_hidden_size": len(tensors["acoustic_encoder.conv1.weight"]),
            "decoder_hidden_size": len(tensors["acoustic_decoder.conv1.weight"]),
        },
        "semantic_model_config": {"hidden_size": width, **semantic},
    }


def _check(config: Mapping) -> None:
    other = [f"{name} {config[name]!r}" for name, value in FIXED.items() if config.get(name, value) != value]
    other += [
        f"{name} {config.get(name)!r}"
        for name in ("bins", "codebook_dim", "n_q")
        if not isinstance(config.get(name), int)
    ]
    if other:
        raise CheckpointError(
            "The settings of this codec are not those of a released Higgs codec.",
            expected="the settings of the released one",
            got=", ".join(other),
            remedy="Use a released Higgs codec.",
        )


def _hubert(folder: Path, places: list[Path]) -> Mapping[str, torch.Tensor]:
    for place in places:
        pickles = sorted(place.glob("*.bin"))
        tensors = pickled_tensors(pickles[0]) if pickles else checkpoint_tensors(place)
        return {name.removeprefix("hubert."): tensors[name] for name in tensors}
    raise CheckpointError(
        f"'{folder}' lacks the codec's semantic branch (HuBERT).",
        expected=f"it in {PICKLE}, or a folder '{HUBERT_FOLDER}' here or beside",
        got="neither",
        remedy=f"Download bosonai/hubert_base into a folder '{HUBERT_FOLDER}' beside the codec's, or take the codec in "
        "the transformers-native layout.",
    )
