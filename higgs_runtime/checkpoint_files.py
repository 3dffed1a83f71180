"""Model folders in the Hugging Face layout: config.json, safetensors files, strict assignment to a module.

Tensors are memory-mapped: opening a checkpoint reads its headers only, and a tensor that keeps its dtype on the CPU
is never copied. Formats: https://github.com/huggingface/safetensors and the index file that transformers writes
beside sharded checkpoints.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn

from .errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
V3 = "higgs_multimodal_qwen3"
V3_CODEC = "tied.embedding.modality_embeddings.0.model."  # where a v3 checkpoint holds its codec
PICKLE = "model.pth"  # of the original codec
NAMES_IN_ERROR = 8

ORIGINAL_CODEC = "original higgs codec"  # our name: its config.json has no model_type
MODEL_TYPES = {
    "higgs_audio_v2": "a Higgs Audio v2 language model",
    "higgs_audio": "a Higgs Audio v2 language model in its original layout",
    V3: "a Higgs Audio v3 language model",
    "higgs_audio_v2_tokenizer": "a Higgs Audio v2 codec",
    ORIGINAL_CODEC: "a Higgs Audio v2 codec in its original layout",
}


def read_config(folder: str | Path, name: str = CONFIG_FILE) -> dict:
    """Reads config.json, or another JSON file, of a model folder.

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
    return _read_json(folder / name)


def model_type_of(config: Mapping) -> object:
    """What a config.json is of."""
    if "model_type" not in config and {"semantic_techer", "ratios", "bins"} <= set(config):
        return ORIGINAL_CODEC
    return config.get("model_type")


def check_model_type(config: Mapping, expected: str | Iterable[str], folder: str | Path) -> None:
    """Refuses a folder that holds another kind of model than the one asked for.

    Raises:
        CheckpointError: model_type of the config is not among the expected ones.
    """
    expected = [expected] if isinstance(expected, str) else list(expected)
    found = model_type_of(config)
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
        self._file: dict[str, Path] = {}
        for file in files:
            opened = _open_safetensors(file)
            self._owner.update(dict.fromkeys(opened.keys(), opened))
            self._file.update(dict.fromkeys(opened.keys(), file))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._owner[name].get_tensor(name)

    def once(self, name: str) -> torch.Tensor:
        """A tensor in a mapping of its own, which ends with it: what is copied from it does not stay in memory."""
        return _open_safetensors(self._file[name]).get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner)

    def __len__(self) -> int:
        return len(self._owner)

    def __contains__(self, name: object) -> bool:
        return name in self._owner


class JoinedRows(Mapping[str, torch.Tensor]):
    """Tensors of which some are made of others, one below the other.

    Args:
        joined: name → its parts, where a checkpoint has these and not itself. One part alone also keeps its own name.
    """

    def __init__(self, tensors: CheckpointTensors, joined: Mapping[str, tuple[str, ...]]):
        self._tensors = tensors
        self._joined = {name: parts for name, parts in joined.items()
                        if name not in tensors and all(part in tensors for part in parts)}
        gone = {part for parts in self._joined.values() if len(parts) > 1 for part in parts}
        self._names = [*(name for name in tensors if name not in gone), *self._joined]

    def __getitem__(self, name: str) -> torch.Tensor:
        parts = self._joined.get(name, (name,))
        return self._tensors[parts[0]] if len(parts) == 1 else torch.cat([self._tensors[part] for part in parts])

    def once(self, name: str) -> torch.Tensor:
        parts = self._joined.get(name, (name,))
        return self._tensors.once(parts[0]) if len(parts) == 1 else self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


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


def pickled_tensors(file: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that torch.save wrote, mapped into memory. What is no tensor is never loaded.

    Raises:
        CheckpointError: the file is missing or broken, or holds more than tensors.
    """
    file = Path(file)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"The model folder '{file.parent}' has no {file.name}.", expected=f"{file.name} beside config.json",
            got="none", remedy="Download the complete folder.",
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"'{file}' cannot be read as tensors.", expected="a complete file with tensors and nothing else",
            got=str(error).split("\n", 1)[0], remedy="The download was probably cut short: download the file again.",
        ) from error
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise CheckpointError(f"'{file}' does not hold a model.", expected="named tensors", got=type(found).__name__,
                              remedy="Download the file again.")
    return found


def assign_strict(
    module: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    keep: Iterable[str] = (),
    ignore: Iterable[str] = (),
    rename: Callable[[str], str] | None = None,
    convert: Callable[[str, nn.Module], nn.Module] | None = None,
    what: str = "checkpoint",
) -> None:
    """Puts every tensor in its place in a module (built on the meta device), one at a time, all or an error.

    A tensor is converted only where device or dtype differ; otherwise the memory-mapped one itself is assigned.
    Matrices that the module packs are copied below each other.

    Args:
        module: its parameters and persistent buffers are replaced; parameters no longer require gradients.
        tensors: by the names of the checkpoint.
        dtype: of floating-point tensors in the module; None keeps what the file holds.
        keep: shell-style patterns of module names that keep what the file holds, whatever dtype says.
        ignore: shell-style patterns of checkpoint names that may be there and are not used ("decoder_semantic.*").
        rename: checkpoint name -> module name.
        convert: (name, submodule with its weights) -> what takes its place, perhaps itself; called for each submodule
            as soon as it is complete, so that no more than one is there in both forms.
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
    by_owner: dict[str, list[str]] = {}
    for name in slots:
        by_owner.setdefault(name.rpartition(".")[0], []).append(name)
    for owner_name, names in by_owner.items():
        owner = module.get_submodule(owner_name)
        for name in names:
            kept = any(fnmatchcase(name, pattern) for pattern in keep)
            sources = [source[part] for part in slots[name]]
            _assign(owner, name, _joined(tensors, sources, device, None if kept else dtype))
        if convert is not None and owner_name:
            parent, _, leaf = owner_name.rpartition(".")
            setattr(module.get_submodule(parent), leaf, convert(owner_name, owner))


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


def _assign(owner: nn.Module, name: str, tensor: torch.Tensor) -> None:
    leaf = name.rpartition(".")[2]
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[leaf] = tensor


def _joined(
    tensors: Mapping[str, torch.Tensor], names: list[str], device: torch.device | str, dtype: torch.dtype | None
) -> torch.Tensor:
    """One tensor as it is if it fits, else a copy in its new form; several below each other."""
    found = [tensors[name] for name in names]
    dtype = dtype if found[0].is_floating_point() and dtype else found[0].dtype
    if len(found) == 1 and found[0].dtype == dtype and found[0].device == torch.device(device):
        return found[0]
    rows = [len(tensor) for tensor in found] if len(found) > 1 else []
    joined = torch.empty((sum(rows), *found[0].shape[1:]) if rows else found[0].shape, device=device, dtype=dtype)
    del found
    once = getattr(tensors, "once", tensors.__getitem__)
    for place, name in zip(joined.split(rows) if rows else [joined], names, strict=True):
        place.copy_(once(name))
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

    if not file.is_file():
        raise CheckpointError(f"The model folder '{file.parent}' has no {file.name}.", expected=f"{file.name} there",
                              got="none", remedy="Download the complete folder.")
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
