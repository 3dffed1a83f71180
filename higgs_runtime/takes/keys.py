"""What determines the codes of a line, as one key that is the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch

from ..atomic_write import write_bytes
from ..checkpoint.files import check_model_type
from ..checkpoint.source import open_source
from ..errors import CheckpointError, SettingError
from ..kept import cache_folder
from ..model.loading import LAYOUTS, auto_quantization
from ..model.lora import CONFIG, WEIGHTS
from ..model.quantization import multiplies_float8
from ..model.transformer import compute_dtype
from ..types import Prompt, ReleasedSampling, Sampling

ENGINE = 1  # one more whenever the same prompt, settings and weights come to give other codes, or files another form
READ_BYTES = 1 << 22
WORTH_KEEPING = 1 << 26  # bytes of a file whose hash is kept on the disk: below, it is quickly made again


@dataclass(frozen=True)
class ModelIdentity:
    """A language model as it speaks, whatever folder and machine it is on.

    Attributes:
        weights: SHA-256 of the checkpoint's config, tokenizer and weights.
        device: kind of device, by torch's name: kinds round differently.
        dtype, cache_dtype: of the weights, and of keys and values.
        quantization: None, "int8", "int4" or "fp8"; "fp8 widened" where the device does not multiply 8-bit floats.
        adapters: (SHA-256, strength) of each, in order.
        released: how it samples where nothing else is asked for.
    """

    weights: str
    device: str
    dtype: str
    cache_dtype: str
    quantization: str | None
    adapters: tuple[tuple[str, float], ...]
    released: ReleasedSampling


def model_identity(
    path: str | Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    quantization: str | None = None,
    adapters: Sequence[tuple[str | Path, float]] = (),
    cache_dtype: torch.dtype | None = None,
) -> ModelIdentity:
    """The identity of a checkpoint folder, loaded so. Reads every byte the first time; then only sizes and times.

    Args:
        device, dtype, quantization: as in `load_model`.
        adapters: (folder, strength) of each, as `adapted` gets them.
        cache_dtype: as in `Session`.

    Raises:
        CheckpointError: files are missing or of another kind.
    """
    path = Path(path)
    source = open_source(path)
    raw = source.config
    check_model_type(raw, LAYOUTS, path)
    weights = _content(source.files())
    quantization = quantization or auto_quantization(source, device, dtype)
    if quantization == "fp8" and not multiplies_float8(str(device)):
        quantization = "fp8 widened"
    return ModelIdentity(
        weights=weights,
        device=torch.device(device).type,
        dtype=_name(dtype),
        cache_dtype=_name(cache_dtype or compute_dtype(dtype, device)),
        quantization=quantization,
        adapters=tuple((_content([Path(one) / CONFIG, Path(one) / WEIGHTS]), float(by)) for one, by in adapters),
        released=LAYOUTS[raw["model_type"]].parse(raw).released,
    )


def line_key(
    prompt: Prompt,
    sampling: Sampling,
    model: ModelIdentity,
    codec_identity: str | None = None,
    ending: str = "",
) -> str:
    """64 hexadecimal digits for a line, whatever the seed: SHA-256 of prompt, settings and model.

    Args:
        ending: what may end the line beside the model and its longest, as `SilenceStop.key`.

    The prompt's ids and rows hold text, voices, scene and context. A session that is `rolling` knows more than they
    say: takes from it have no key.

    Raises:
        SettingError: a setting is no plain number, text or None.
    """
    used = sampling.filled_in(model.released)
    settings = {name: _plain(name, value) for name, value in asdict(used).items() if name != "seed"}
    if ending:
        settings["ending"] = ending
    if model.dtype != "float32":
        settings["logits"] = "float32"  # takes from before have coarser ones
    if model.device == "cpu" and (model.quantization or model.dtype == "bfloat16"):
        settings["prompts"] = "bfloat16"  # as processors that can multiply these; takes from before have finer ones
    identity = asdict(model)
    identity["ras_window"] = identity.pop("released")["ras_window"]  # as keys had it before there was more
    ids, rows = (one.detach().to("cpu", torch.int64).contiguous() for one in (prompt.token_ids, prompt.audio_rows))
    head = {
        "engine": ENGINE,
        "sampling": settings,
        "model": identity,
        "codec": codec_identity or "",
        "shapes": [list(ids.shape), list(rows.shape)],
    }
    given = [] if prompt.begun is None else [prompt.begun.detach().to("cpu", torch.int64).contiguous()]
    if given:  # the rows above end before the last of its frames is whole
        head["begun"] = list(given[0].shape)
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for tensor in (ids, rows, *given):
        digest.update(tensor.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def take_key(
    prompt: Prompt,
    sampling: Sampling,
    model: ModelIdentity,
    codec_identity: str | None = None,
    ending: str = "",
) -> str:
    """The key of a take: its `line_key`, a dash and the seed. Equal keys, equal codes.

    As far as the engine's promise goes: same kind of device, and rounding of its kernels that does not turn a draw.
    """
    return key_of_take(line_key(prompt, sampling, model, codec_identity, ending), sampling.seed)


def key_of_take(line: str, seed: int) -> str:
    """The key of a line's take."""
    return f"{line}-{seed}"


def _plain(name: str, value):
    """1 and 1.0 are one setting."""
    if isinstance(value, (int, float)):
        return float(value)
    if value is None or isinstance(value, str):
        return value
    raise SettingError(
        f"The setting '{name}' cannot be part of a key.",
        expected="a number, a text or None",
        got=type(value).__name__,
        remedy=f"Leave {name} out.",
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _content(files: list[Path]) -> str:
    """SHA-256 over the hashes of some files, in their order; several are read at a time."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return hashlib.sha256("".join(pool.map(_file_hash, files)).encode()).hexdigest()


def _file_hash(file: Path) -> str:
    try:
        stat = file.stat()
    except OSError as error:
        raise CheckpointError(
            f"The model folder '{file.parent}' has no {file.name}.",
            expected=f"{file.name} there",
            got=str(error),
            remedy="Download the complete folder.",
        ) from error
    return _hash_of(str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=1024)
def _hash_of(file: str, size: int, *times: int) -> str:
    """SHA-256 of a file; that of a large one is kept on the disk, for as long as size and times stay."""
    kept = None
    if size >= WORTH_KEEPING:
        state = hashlib.sha256(json.dumps([file, size, *times]).encode()).hexdigest()
        with suppress(SettingError):
            kept = cache_folder() / "hashes" / state
    if kept is not None:
        with suppress(OSError, ValueError):
            known = kept.read_text(encoding="ascii")
            if len(known) == 64:
                return known
    digest, buffer = hashlib.sha256(), memoryview(bytearray(READ_BYTES))
    with open(file, "rb", buffering=0) as opened:
        while count := opened.readinto(buffer):
            digest.update(buffer[:count])
    if kept is not None:
        with suppress(OSError):  # it only costs time again
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(kept, digest.hexdigest().encode("ascii"))
    return digest.hexdigest()
