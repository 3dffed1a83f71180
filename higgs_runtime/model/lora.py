"""Low-rank adapters (LoRA, Hu et al. 2021) in PEFT's format, beside the matrices of the layers: W x + s · B A x.

Nothing is merged: the weights stay as they are, quantized or mapped from a file, and what an adapter takes is gone
when it is taken off.

Letters in shapes: I features in, O features out, r rank.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint.files import CheckpointTensors, read_config
from ..errors import CheckpointError
from .linear import Linear, PackedLinear
from .loading import LAYOUTS
from .transformer import HiggsModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
KEY = re.compile(
    r"^(?:base_model\.model\.)?(.+?)\.lora_([AB])(?:\.[^.]+)?\.weight$"
)  # PEFT's own state has the name too
UNSUPPORTED = (  # what of PEFT (0.21.2) computes or changes more than W x + s · B A x
    *("use_dora", "bias", "modules_to_save", "lora_bias", "trainable_token_indices", "layer_replication"),
    *("alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config"),
    "target_parameters",
)
# Ways to begin that take what A and B begin with out of W: such an adapter goes with the changed W alone.
CHANGES_WEIGHTS = ("pissa", "olora", "corda", "loftq", "lora_ga")
MOST_NAMED = 4  # matrices in a message
NOTHING = (None, False, "none", "", [], {})  # what a config says for each where there is none


@dataclass(frozen=True, eq=False)
class Adapter:
    """One adapter as its files hold it.

    Attributes:
        matrices: name in the checkpoint's layout → (A [r, I], B [O, r], scale).
    """

    name: str
    matrices: Mapping[str, tuple[Tensor, Tensor, float]]


def load_adapter(folder: str | Path) -> Adapter:
    """Read a PEFT folder: adapter_config.json and adapter_model.safetensors.

    Raises:
        CheckpointError: files are missing or broken, or it is no plain LoRA.
    """
    folder = Path(folder)
    config = read_config(folder, CONFIG)
    other = [f"{name} {config[name]!r}" for name in UNSUPPORTED if config.get(name) not in NOTHING]
    if config.get("peft_type") != "LORA" or other:
        raise CheckpointError(
            f"'{folder.name}' is not a plain LoRA adapter.",
            expected="peft_type LORA, and nothing beside it",
            got=", ".join([f"peft_type {config.get('peft_type')}", *other]),
            remedy="Merge it with PEFT, or train a plain LoRA.",
        )
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(CHANGES_WEIGHTS):
        raise CheckpointError(
            f"'{folder.name}' goes with weights that were changed before it was trained.",
            expected="an adapter of the model as it was released",
            got=f"init_lora_weights {begun!r}",
            remedy="Save it with PEFT's save_pretrained(path_initial_model_for_weight_conversion=…), or merge it.",
        )
    tensors, found = CheckpointTensors(folder, [folder / WEIGHTS]), {}
    for key in tensors:
        match = KEY.match(key)
        if match is None or tensors[key].ndim != 2:
            raise CheckpointError(
                f"'{folder.name}' holds something other than LoRA matrices.",
                expected="….lora_A.weight or B",
                got=key,
                remedy="Use an adapter of linear layers alone.",
            )
        found.setdefault(match[1], {})[match[2]] = tensors[key]
    try:
        matrices = {name: (pair["A"], pair["B"], _scale(config, name, len(pair["A"]))) for name, pair in found.items()}
    except KeyError as error:
        raise CheckpointError(
            f"'{folder.name}' is not complete.",
            got=f"no {error}",
            remedy="Download it again.",
            expected="an A and a B for each matrix, and lora_alpha",
        ) from error
    except (TypeError, ValueError, AttributeError, ZeroDivisionError, re.error) as error:
        raise CheckpointError(
            f"'{folder.name}' cannot be used.",
            got=str(error),
            remedy="Download it again.",
            expected="numbers in its config, and matrices of at least one row",
        ) from error
    return Adapter(folder.name, matrices)


def _scale(config: Mapping[str, Any], name: str, rank: int) -> float:
    """alpha / r, or alpha / √r, with what the config says of single matrices (r itself is that of the tensors)."""
    alpha = next(
        (
            value
            for pattern, value in (config.get("alpha_pattern") or {}).items()
            if re.match(rf"(.*\.)?({pattern})$", name)  # as PEFT's get_pattern_key
        ),
        config["lora_alpha"],
    )
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


@contextmanager
def adapted(model: HiggsModel, adapters: Sequence[tuple[Adapter, float]]) -> Iterator[None]:
    """The model with adapters, each with a strength (0 none, 1 as it was trained), as long as the with-block runs.

    Raises:
        CheckpointError: an adapter is of another model.
    """
    added: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for adapter, strength in adapters:
        for name, pair in _placed(model, adapter, strength):
            added.setdefault(name, []).append(pair)
    before: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for name, pairs in added.items():
            parent, _, leaf = name.rpartition(".")
            owner = model.get_submodule(parent)
            before.append((owner, leaf, getattr(owner, leaf)))
            down, up = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs], dim=1)
            setattr(owner, leaf, Adapted(before[-1][2], down.to(model.device), up.to(model.device)))
        yield
    finally:
        for owner, leaf, module in before:
            setattr(owner, leaf, module)


class Adapted(nn.Module):
    """A matrix and what is added to it: inner(x) + up (down x), down [r, I], up [O, r]."""

    down: Tensor
    up: Tensor

    def __init__(self, inner: nn.Module, down: Tensor, up: Tensor):
        super().__init__()
        self.inner = inner
        self.register_buffer("down", down)
        self.register_buffer("up", up)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + (x @ self.down.t()) @ self.up.t()


def _placed(model: HiggsModel, adapter: Adapter, strength: float) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """(module, (down [r, I], up [O, r])) of each matrix; of one that is part of a packed matrix, up has its rows."""
    rename = _renaming(adapter)
    parts, dtype = _parts(model), model.compute_dtype
    unknown = [name for name in adapter.matrices if rename(f"{name}.weight").removesuffix(".weight") not in parts]
    unknown = [name for name in unknown if not re.search(r"(?:^|\.)layers\.\d+\.", name)]  # layers: another model's
    if unknown:
        raise CheckpointError(
            f"The adapter '{adapter.name}' changes more than the matrices of the layers.",
            expected="attention and MLP matrices of the layers alone",
            got=", ".join(unknown[:MOST_NAMED]) + (" …" if len(unknown) > MOST_NAMED else ""),
            remedy="Leave these out of target_modules when it is trained, or merge it with PEFT.",
        )
    for name, (down, up, scale) in adapter.matrices.items():
        module, first, rows, features = parts.get(rename(f"{name}.weight").removesuffix(".weight"), (None, 0, 0, 0))
        if module is None or down.shape[1] != features or up.shape[0] != rows or up.shape[1] != down.shape[0]:
            raise CheckpointError(
                f"The adapter '{adapter.name}' is of another model.",
                expected=f"a matrix [{rows}, {features}] for it" if module else "matrices of the layers of this model",
                got=f"{name} [{up.shape[0]}, {down.shape[1]}]",
                remedy="Use an adapter that was trained on this model.",
            )
        whole = up.new_zeros(_out_features(model.get_submodule(module)), up.shape[1], dtype=dtype)
        whole[first : first + rows] = up.to(dtype) * (scale * strength)
        yield module, (down.to(dtype), whole)


def _renaming(adapter: Adapter) -> Callable[[str], str]:
    """From the names of the layout that the adapter was trained in to those of the model."""
    # The port of v3 to transformers has the names of v2's native layout.
    prefixes = {"higgs_audio_v2": "model.layers.", "higgs_audio": "layers.", "higgs_multimodal_qwen3": "body.layers."}
    for layout, prefix in prefixes.items():
        if all(name.startswith(prefix) for name in adapter.matrices):
            return LAYOUTS[layout].rename
    return lambda name: name


def _parts(model: HiggsModel) -> dict[str, tuple[str, int, int, int]]:
    """Matrix → (module that holds it, its first row there, its rows, features in), also of a quantized model."""
    with torch.device("meta"):
        plain = HiggsModel(model.config)
    found = {}
    for name, module in plain.layers.named_modules(prefix="layers"):
        if isinstance(module, PackedLinear):
            beside, first = name.rpartition(".")[0], 0
            for part, rows in module.parts.items():
                found[f"{beside}.{part}"] = (name, first, rows, module.in_features)
                first += rows
        elif isinstance(module, nn.Linear):
            found[name] = (name, 0, module.out_features, module.in_features)
    return found


def _out_features(module: nn.Module) -> int:
    while isinstance(module, Adapted):
        module = module.inner
    if isinstance(module, Linear):
        return module.out_features
    assert isinstance(module.weight, Tensor)  # packed
    return len(module.weight)
