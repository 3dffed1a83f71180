"""What a checkpoint costs and allows, told before it is chosen: layout, bytes, number formats, licence.

Reads headers, never weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..checkpoint.files import ORIGINAL_CODEC, PICKLE, V3, V3_CODEC, pickled_tensors, read_config, weight_files
from ..checkpoint.safetensors_file import NAMES, read_header
from ..errors import CheckpointError
from ..model import converted_to
from .catalog import Checkpoint
from .releases import V2_TERMS, V3_TERMS

LAYOUTS = {
    "higgs_audio_v2": "v2, transformers-native",
    "higgs_audio": "v2, original layout",
    V3: "v3",
    "higgs_audio_v2_tokenizer": "codec, transformers-native",
    ORIGINAL_CODEC: "codec, original layout",
}
PACK_TERMS = "Apache-2.0, of the pack"
MINOR = 0.02  # of the bytes: what is stored in no more is not worth a word


@dataclass(frozen=True)
class Details:
    """A checkpoint in a few words.

    Attributes:
        layout: "v2, original layout", …; "unknown" without a config.json.
        bytes: of its files.
        dtype: how the weights are stored, as "int8 and bfloat16"; empty where that is not known.
        licence: of the release that has this layout; empty where none is known.
        problem: what is wrong with its files; empty where nothing is seen. A file that is cut off is.
    """

    layout: str
    bytes: int
    dtype: str
    licence: str
    problem: str = ""

    @property
    def size(self) -> str:
        """As "11.6 GB" or "17 MB"."""
        return f"{self.bytes / 1e9:.1f} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:.1f} MB"

    def __str__(self) -> str:
        return " · ".join(word for word in (self.layout, self.size, self.dtype, self.licence, self.problem) if word)


def describe_checkpoint(checkpoint: Checkpoint) -> Details:
    """What there is to know of a checkpoint that `find_checkpoints` found; never fails, says what is wrong."""
    layout = LAYOUTS.get(checkpoint.model_type, "DAC" if checkpoint.path.is_file() else "unknown")
    try:
        size = sum(file.stat().st_size for file in _files(checkpoint.path))
    except OSError as error:  # deleted meanwhile
        return Details(layout, 0, "", "", f"cannot be read: {error}")
    licence = V3_TERMS if checkpoint.model_type == V3 else V2_TERMS if checkpoint.model_type else ""
    licence = PACK_TERMS if checkpoint.embedded else licence
    if checkpoint.missing or not checkpoint.model_type:
        return Details(layout, size, "", licence)
    try:
        stored, with_codec = _stored(checkpoint.path, checkpoint.model_type)
        packed = converted_to(read_config(checkpoint.path))
    except CheckpointError as error:
        return Details(layout, size, "", licence, f"damaged: {error.what} {error.got}".strip())
    if checkpoint.model_type == V3:
        layout += " with its codec" if with_codec else " without codec"
    formats = _main(stored) if not packed else [packed, *(name for name in _main(stored) if not name.endswith("int8"))]
    return Details(layout, size, " and ".join(formats), licence)


def _files(path: Path) -> Iterator[Path]:
    return (file for file in ([path] if path.is_file() else path.iterdir()) if file.is_file())


def _stored(folder: Path, model_type: str) -> tuple[Counter, bool]:
    """Bytes by number format, and whether there is a codec beside the language model."""
    if model_type == ORIGINAL_CODEC:
        tensors = pickled_tensors(folder / PICKLE).values()
        return sum((Counter({_short(tensor.dtype): tensor.nbytes}) for tensor in tensors), Counter()), False
    stored: Counter = Counter()
    with_codec = False
    for file in weight_files(folder):
        for name, tensor in read_header(file).items():
            with_codec = with_codec or name.startswith(V3_CODEC)
            stored[_short(NAMES.get(tensor.dtype, tensor.dtype))] += tensor.stop - tensor.start
    return stored, with_codec


def _short(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _main(stored: Counter) -> list[str]:
    return [name for name, size in stored.most_common() if size >= MINOR * stored.total()]
