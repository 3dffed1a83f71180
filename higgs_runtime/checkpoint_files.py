"""Model folders in the Hugging Face layout: config.json, safetensors files, strict assignment to a module.

Tensors are memory-mapped: opening a checkpoint reads its headers only, and a tensor that keeps its dtype on the CPU
is never copied. Formats: https://github.com/huggingface/safetensors and the index file that transformers writes
beside sharded checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn

from .errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
NAMES_IN_ERROR = 8

MODEL_TYPES = {
    "higgs_audio_v2": "a Higgs Audio v2 language model",
    "higgs_audio": "a Higgs Audio v2 language model in its original layout",
    "higgs_audio_v2_tokenizer": "a Higgs Audio v2 codec",
}


def read_config(folder: str | Path) -> dict:
    """Reads config.json of a model folder.

    Raises:
        CheckpointError: the folder or the file is missing, or it does not hold a JSON object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            "There is no such model folder.", expected="a folder with config.json and model.safetensors",
            got=f"{folder}" + (" (a file)" if folder.exists() else " (nothing there)"),
            remedy="Choose the folder that holds the model's files.",
        )
    return _read_json(folder / CONFIG_FILE)


def check_model_type(config: Mapping, expected: str | Iterable[str], folder: str | Path) -> None:
    """Refuses a folder that holds another kind of model than the one asked for.

    Raises:
        CheckpointError: model_type of the config is not among the expected ones.
    """
    expected = [expected] if isinstance(expected, str) else list(expected)
    found = config.get("model_type")
    if found in expected:
        return
    known = MODEL_TYPES.get(found) if isinstance(found, str) else None
    got = f"model_type '{found}'" if found else "no model_type"
    wanted = " or ".join(f"'{name}'" for name in expected)
    raise CheckpointError(
        f"'{folder}' holds another kind of model.",
        expected=f"model_type {wanted} in config.json ({MODEL_TYPES.get(expected[0], 'another model')})",
        got=f"{got} ({known})" if known else got,
        remedy="Choose another folder: the language model and the codec are two downloads.",
    )


class CheckpointTensors(Mapping[str, torch.Tensor]):
    """The tensors of one or several safetensors files by name; each is a memory-mapped view until it is used.

    Attributes:
        source: the folder or file, for messages.
    """

    def __init__(self, source: Path, files: Iterable[Path]):
        self.source = source
        self._owner: dict[str, object] = {}
        for file in files:
            opened = _open_safetensors(file)
            self._owner.update(dict.fromkeys(opened.keys(), opened))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._owner[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner)

    def __len__(self) -> int:
        return len(self._owner)

    def __contains__(self, name: object) -> bool:
        return name in self._owner


def checkpoint_tensors(folder: str | Path) -> CheckpointTensors:
    """Opens the weights of a model folder: model.safetensors, or the shards that its index names.

    Raises:
        CheckpointError: no weights, a shard is missing, or a file is truncated or not safetensors.
    """
    folder = Path(folder)
    tensors = CheckpointTensors(folder, _weight_files(folder))
    index = folder / INDEX_FILE
    if index.is_file() and not (folder / WEIGHTS_FILE).is_file():
        lost = [name for name in _read_json(index)["weight_map"] if name not in tensors]
        if lost:
            raise CheckpointError(
                f"The shards in '{folder}' do not hold what {INDEX_FILE} promises.",
                expected=f"all tensors of the index, also {_some(lost)}", got="shards without them",
                remedy="Download the folder again, all files of the same revision.",
            )
    return tensors


def assign_strict(
    module: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    keep: Iterable[str] = (),
    ignore: Iterable[str] = (),
    rename: Callable[[str], str] | None = None,
    what: str = "checkpoint",
) -> None:
    """Puts every tensor in its place in a module (built on the meta device), one at a time, all or an error.

    A tensor is converted only where device or dtype differ; otherwise the memory-mapped one itself is assigned.

    Args:
        module: its parameters and persistent buffers are replaced; parameters no longer require gradients.
        tensors: by the names of the checkpoint.
        dtype: of floating-point tensors in the module; None keeps what the file holds.
        keep: shell-style patterns of module names that keep what the file holds, whatever dtype says.
        ignore: shell-style patterns of checkpoint names that may be there and are not used ("decoder_semantic.*").
        rename: checkpoint name -> module name.
        what: noun for messages ("Higgs codec in /models/x").

    Raises:
        CheckpointError: unknown, missing or wrongly shaped tensors, named (the first 8 and a count); nothing is
            assigned then.
    """
    rename = rename or (lambda name: name)
    keep, ignore = tuple(keep), tuple(ignore)
    source = {rename(name): name for name in tensors if not any(fnmatchcase(name, pattern) for pattern in ignore)}
    slots = {name: _parts(module, name, slot) for name, slot in module.state_dict(keep_vars=True).items()}
    wanted = {name: shape for parts in slots.values() for name, shape in parts.items()}
    _check_names(source, wanted, what)
    _check_shapes(source, wanted, tensors, what)
    owners = dict(module.named_modules())
    for name, parts in slots.items():
        kept = any(fnmatchcase(name, pattern) for pattern in keep)
        found = [tensors[source[part]] for part in parts]
        _assign(owners, name, _joined(found, device, None if kept else dtype))


def _parts(module: nn.Module, name: str, slot: torch.Tensor) -> dict[str, torch.Size]:
    """Name and shape of the tensors that a parameter is made of: itself, or those of a matrix that packs several.

    A module that packs says so in `parts` (name -> rows); they are looked for beside it.
    """
    owner_name, _, leaf = name.rpartition(".")
    packed = getattr(module.get_submodule(owner_name), "parts", None)
    if packed is None:
        return {name: slot.shape}
    beside = owner_name.rpartition(".")[0]
    return {f"{beside}.{part}.{leaf}": torch.Size((rows, *slot.shape[1:])) for part, rows in packed.items()}


def _assign(owners: Mapping[str, nn.Module], name: str, tensor: torch.Tensor) -> None:
    owner_name, _, leaf = name.rpartition(".")
    owner = owners[owner_name]
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[leaf] = tensor


def _joined(tensors: list[torch.Tensor], device: torch.device | str, dtype: torch.dtype | None) -> torch.Tensor:
    """One tensor as it is if it fits, else in its new place; several below each other, copied once."""
    dtype = dtype if tensors[0].is_floating_point() and dtype else tensors[0].dtype
    if len(tensors) == 1:
        return tensors[0].to(device=device, dtype=dtype)
    rows = [len(tensor) for tensor in tensors]
    joined = torch.empty((sum(rows), *tensors[0].shape[1:]), device=device, dtype=dtype)
    for place, tensor in zip(joined.split(rows), tensors, strict=True):
        place.copy_(tensor)
    return joined


def _check_names(source: Mapping[str, str], slots: Mapping[str, torch.Size], what: str) -> None:
    unknown = [original for name, original in source.items() if name not in slots]
    missing = [name for name in slots if name not in source]
    if not unknown and not missing:
        return
    got = []
    if missing:
        got.append(f"{len(missing)} missing ({_some(missing)})")
    if unknown:
        got.append(f"{len(unknown)} unknown ({_some(unknown)})")
    raise CheckpointError(
        f"The tensors of the {what} do not fit its config.", expected=f"exactly {len(slots)} tensors",
        got=" and ".join(got), remedy="Download the folder again: config and weights must be of the same release.",
    )


def _check_shapes(
    source: Mapping[str, str], slots: Mapping[str, torch.Size], tensors: Mapping[str, torch.Tensor], what: str
) -> None:
    wrong = []
    for name, shape in slots.items():
        found = tensors[source[name]].shape
        if found != shape:
            wrong.append((f"{name} {list(shape)}", f"{list(found)}"))
    if wrong:
        raise CheckpointError(
            f"{len(wrong)} tensors of the {what} have another shape than its config says.",
            expected=_some([expected for expected, _ in wrong]), got=_some([found for _, found in wrong]),
            remedy="Download the folder again: config and weights must be of the same release.",
        )


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if not (folder / INDEX_FILE).is_file():
        suffixes = {".pth", ".bin", ".pt", ".safetensors"}
        others = sorted(file.name for file in folder.glob("*") if file.suffix in suffixes)
        raise CheckpointError(
            f"'{folder}' has no weights in the transformers-native layout.",
            expected=f"{WEIGHTS_FILE} or {INDEX_FILE} with its shards",
            got=", ".join(others) if others else "no weight file",
            remedy="Download the complete folder in the layout that transformers loads.",
        )
    index = _read_json(folder / INDEX_FILE)
    if not isinstance(index.get("weight_map"), dict):
        raise CheckpointError(
            f"'{folder / INDEX_FILE}' is not an index.", expected="a 'weight_map'", got="none",
            remedy="Download the file again.",
        )
    shards = sorted(set(index["weight_map"].values()))
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"'{folder}' lacks shards of the model.", expected=f"{len(shards)} files", got=f"no {_some(missing)}",
            remedy="Download the missing files.",
        )
    return [folder / shard for shard in shards]


def _open_safetensors(file: Path):
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(file), framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"'{file}' cannot be read as safetensors.", expected="a complete safetensors file",
            got=f"{file.stat().st_size} bytes ({error})",
            remedy="The download was probably cut short: download the file again.",
        ) from error


def _read_json(file: Path) -> dict:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"The model folder '{file.parent}' has no {file.name}.", expected=f"{file.name} beside the weights",
            got="none", remedy="Download the complete folder, not only the weights.",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"'{file}' cannot be read.", expected="a JSON file", got=str(error), remedy="Download the file again.",
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"'{file}' is not a config.", expected="a JSON object", got=type(value).__name__,
            remedy="Download the file again.",
        )
    return value


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_IN_ERROR])
    return shown if len(names) <= NAMES_IN_ERROR else f"{shown}, and {len(names) - NAMES_IN_ERROR} more"
