"""Model folders in the Hugging Face layout: config.json and the tensors of its safetensors files.

Tensors are memory-mapped: opening a checkpoint reads its headers only, and a tensor that keeps its dtype on the CPU
is never copied. Formats: https://github.com/huggingface/safetensors and the index file that transformers writes
beside sharded checkpoints.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import CheckpointError
from .packing import E4M3, scales_of
from .safetensors_file import unreadable
from .tensors import SMALL, StoredTensors

if TYPE_CHECKING:
    from safetensors import safe_open

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILE = "tokenizer.json"
V3 = "higgs_multimodal_qwen3"
V3_CODEC = "tied.embedding.modality_embeddings.0.model."  # where a v3 checkpoint holds its codec
V3_FUSED = "tied.embedding.modality_embeddings.0.embedding.weight"  # embedding and head of v3's codebooks
PICKLE = "model.pth"  # of the original codec
NAMES_IN_ERROR = 8
PLAIN_NAME = re.compile(r"\w[^/\\:]*")  # of a file in a folder, and of nothing else
MAX_JSON_BYTES = 100_000_000  # tokenizers take 20 MB, indexes and configs less than one

ORIGINAL_CODEC = "original higgs codec"  # our name: its config.json has no model_type
CODEC_OF_V3 = "codec of higgs_multimodal_qwen3"  # ours as well: a file of its own without config
MODEL_TYPES = {
    "higgs_audio_v2": "a Higgs Audio v2 language model",
    "higgs_audio": "a Higgs Audio v2 language model in its original layout",
    V3: "a Higgs Audio v3 language model",
    "higgs_audio_v2_tokenizer": "a Higgs Audio v2 codec",
    ORIGINAL_CODEC: "a Higgs Audio v2 codec in its original layout",
    CODEC_OF_V3: "the codec of a Higgs Audio v3 model",
}


def read_config(folder: str | Path, name: str = CONFIG_FILE) -> dict:
    """Reads config.json, or another JSON file, of a model folder.

    Raises:
        CheckpointError: the folder or the file is missing, or it does not hold a JSON object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            "There is no such model folder.",
            expected="a folder with config.json and model.safetensors",
            got=f"{folder}" + (" (a file)" if folder.exists() else " (nothing there)"),
            remedy="Choose the folder that holds the model's files.",
        )
    return _read_json(folder / name)


def read_tokenizer(file: Path) -> bytes:
    """What stands in a tokenizer.json.

    Raises:
        CheckpointError: there is none.
    """
    if not file.is_file():
        raise CheckpointError(
            "The language model has no tokenizer.",
            expected=str(file),
            got="no such file",
            remedy="Download tokenizer.json of the same checkpoint into this folder.",
        )
    return file.read_bytes()


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


class CheckpointTensors(StoredTensors):
    """The tensors of one or several safetensors files by name; each is a memory-mapped view until it is used.

    8-bit floats count as packed: their scales are no tensors of their own.

    Attributes:
        source: the folder or file, for messages.
        formats: name -> number format as the file calls it, of all that is in the files.
    """

    def __init__(self, source: Path, files: Iterable[Path]):
        self.source = source
        self._owner: dict[str, safe_open] = {}
        self._file: dict[str, Path] = {}
        self.formats: dict[str, str] = {}
        for file in files:
            opened = _open_safetensors(file)
            self._owner.update(dict.fromkeys(opened.keys(), opened))
            self._file.update(dict.fromkeys(opened.keys(), file))
            self.formats.update({name: opened.get_slice(name).get_dtype() for name in opened.keys()})
        self._scale_of, beside = scales_of(self.formats)
        self._names = [name for name in self._owner if name not in beside]

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor = self._owner[name].get_tensor(name)
        return self._widened(name, tensor, 0) if name in self._scale_of else tensor

    def shape(self, name: str) -> torch.Size:
        return torch.Size(self._owner[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        return torch.float32 if name in self._scale_of else self[name].dtype

    def is_packed(self, name: str) -> bool:
        return name in self._scale_of

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Some rows, in a mapping of their own that ends with them: what is copied from it does not stay in memory."""
        if self.shape(name).numel() <= SMALL:
            return self[name][start:stop]
        rows = _open_safetensors(self._file[name]).get_slice(name)[start:stop]
        return self._widened(name, rows, start) if name in self._scale_of else rows

    def scales(self, name: str) -> torch.Tensor | None:
        return self._by_row(name) if self.formats[name] == E4M3 else None

    def _widened(self, name: str, rows: torch.Tensor, start: int) -> torch.Tensor:
        """Rows of 8-bit floats from one on, as the numbers that they mean."""
        scales = self._by_row(name)[start : start + len(rows)] if rows.ndim else self._by_row(name)[0]
        return rows.float().mul_(scales.view(*scales.shape, *(1,) * (rows.ndim - 1)))

    def _by_row(self, name: str) -> torch.Tensor:
        """Of 8-bit floats what each row is times, float32 [O]."""
        length, scale_name = (self.shape(name) or (1,))[0], self._scale_of[name]
        if not scale_name:
            return torch.ones(length)
        scale = self._owner[scale_name].get_tensor(scale_name).float()
        if scale.numel() == 1:
            return scale.reshape(1).expand(length)
        if scale.shape[:1] == (length,) and scale.numel() == length:
            return scale.reshape(length)
        raise CheckpointError(
            f"The 8-bit floats of '{name}' in '{self.source}' have scales of another kind.",
            expected=f"one scale, or one for each of its {length} rows",
            got=f"'{scale_name}' {list(scale.shape)}",
            remedy="Use a copy whose scales are by tensor or by channel, or one in bfloat16.",
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._owner


def checkpoint_tensors(folder: str | Path) -> CheckpointTensors:
    """Opens the weights of a model folder: model.safetensors, or the shards that its index names.

    Raises:
        CheckpointError: no weights, a shard is missing, or a file is truncated or not safetensors.
    """
    folder = Path(folder)
    tensors = CheckpointTensors(folder, weight_files(folder))
    index = folder / INDEX_FILE
    if index.is_file() and not (folder / WEIGHTS_FILE).is_file():
        lost = [name for name in _read_json(index)["weight_map"] if name not in tensors]
        if lost:
            raise CheckpointError(
                f"The shards in '{folder}' do not hold what {INDEX_FILE} promises.",
                expected=f"all tensors of the index, also {some_of(lost)}",
                got="shards without them",
                remedy="Download the folder again, all files of the same revision.",
            )
    return tensors


def pickled_tensors(file: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that torch.save wrote, mapped into memory. What is no tensor is never loaded.

    Raises:
        CheckpointError: the file is missing or broken, or holds more than tensors.
    """
    found = read_pickle(file)
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise CheckpointError(
            f"'{file}' does not hold a model.",
            expected="named tensors",
            got=type(found).__name__,
            remedy="Download the file again.",
        )
    return found


def read_pickle(file: str | Path) -> object:
    """What torch.save wrote into a file, tensors mapped into memory: plain data and tensors, nothing that runs.

    Raises:
        CheckpointError: the file is missing or broken, holds anything else, or unpacks to more than it is.
    """
    file = Path(file)
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > file.stat().st_size:
                raise ValueError("it unpacks to more than it is")
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"The model folder '{file.parent}' has no {file.name}.",
            expected=f"{file.name} beside config.json",
            got="none",
            remedy="Download the complete folder.",
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"'{file}' cannot be read as tensors.",
            expected="a complete file with tensors and nothing else",
            got=str(error).split("\n", 1)[0],
            remedy="The download was probably cut short: download the file again.",
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of a model folder: model.safetensors, or the shards that its index names.

    Raises:
        CheckpointError: there are none, or a shard is missing.
    """
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
    shards = shards_of(_read_json(folder / INDEX_FILE))
    if shards is None:
        raise CheckpointError(
            f"'{folder / INDEX_FILE}' is not an index.",
            expected="a 'weight_map' with names of files in this folder",
            got="none",
            remedy="Download the file again.",
        )
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"'{folder}' lacks shards of the model.",
            expected=f"{len(shards)} files",
            got=f"no {some_of(missing)}",
            remedy="Download the missing files.",
        )
    return [folder / shard for shard in shards]


def shards_of(index: Mapping) -> list[str] | None:
    """The files that an index names; None where it is no index, or names what does not lie beside it."""
    names = index.get("weight_map")
    if not isinstance(names, dict):
        return None
    beside = [name for name in names.values() if isinstance(name, str) and PLAIN_NAME.fullmatch(name)]
    return sorted(set(beside)) if len(beside) == len(names) else None


def _open_safetensors(file: Path) -> safe_open:
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise CheckpointError(
            f"The model folder '{file.parent}' has no {file.name}.",
            expected=f"{file.name} there",
            got="none",
            remedy="Download the complete folder.",
        )
    try:
        return safe_open(str(file), framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise unreadable(file, error) from error


def _read_json(file: Path) -> dict:
    try:
        if (size := file.stat().st_size) > MAX_JSON_BYTES:
            raise ValueError(f"{size} bytes, more than any such file has")
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"The model folder '{file.parent}' has no {file.name}.",
            expected=f"{file.name} beside the weights",
            got="none",
            remedy="Download the complete folder, not only the weights.",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"'{file}' cannot be read.",
            expected="a JSON file",
            got=str(error),
            remedy="Download the file again.",
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"'{file}' is not a config.",
            expected="a JSON object",
            got=type(value).__name__,
            remedy="Download the file again.",
        )
    return value


def some_of(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_IN_ERROR])
    return shown if len(names) <= NAMES_IN_ERROR else f"{shown}, and {len(names) - NAMES_IN_ERROR} more"
