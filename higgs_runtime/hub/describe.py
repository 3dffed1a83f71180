"""What a checkpoint costs and allows, told before it is chosen: layout, bytes, number formats, licence.

Reads headers, never weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..checkpoint.contents import Contents
from ..checkpoint.files import CODEC_OF_V3, ORIGINAL_CODEC, PICKLE, V3, pickled_tensors
from ..checkpoint.gguf_source import is_gguf
from ..checkpoint.source import open_source
from ..errors import CheckpointError
from ..model import converted_to
from .catalog import Checkpoint
from .loaded import Loading, once_loaded, size_text
from .releases import V2_TERMS, V3_TERMS

LAYOUTS = {
    "higgs_audio_v2": "v2, transformers-native",
    "higgs_audio": "v2, original layout",
    V3: "v3",
    "higgs_audio_v2_tokenizer": "codec, transformers-native",
    ORIGINAL_CODEC: "codec, original layout",
    CODEC_OF_V3: "codec of v3",
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
        loaded: what it takes once it is loaded, as "RAM 8.1 GB bfloat16"; empty where nobody asked, or it is not known.
        problem: what is wrong with its files; empty where nothing is seen. A file that is cut off is.
    """

    layout: str
    bytes: int
    dtype: str
    licence: str
    problem: str = ""
    loaded: str = ""

    @property
    def size(self) -> str:
        """As "11.6 GB" or "17 MB"."""
        return size_text(self.bytes)

    def __str__(self) -> str:
        loaded = f"→ {self.loaded}" if self.loaded else ""
        words = (self.layout, self.size, self.dtype, loaded, self.licence, self.problem)
        return " · ".join(word for word in words if word)


def describe_checkpoint(checkpoint: Checkpoint, how: Loading | None = None) -> Details:
    """What there is to know of a checkpoint that `find_checkpoints` found; never fails, says what is wrong.

    Args:
        how: it is going to be loaded; None: its size in memory is left out.
    """
    layout = LAYOUTS.get(checkpoint.model_type, _unnamed(checkpoint.path))
    try:
        size = sum(file.stat().st_size for file in _files(checkpoint.path))
    except OSError as error:  # deleted meanwhile
        return Details(layout, 0, "", "", f"cannot be read: {error}")
    v3 = checkpoint.model_type in (V3, CODEC_OF_V3)
    licence = V3_TERMS if v3 else V2_TERMS if checkpoint.model_type else ""
    licence = PACK_TERMS if checkpoint.embedded else licence
    if checkpoint.missing or not checkpoint.model_type and not is_gguf(checkpoint.path):
        return Details(layout, size, "", licence)
    try:
        held, packed = _contents(checkpoint)
    except CheckpointError as error:
        return Details(layout, size, "", licence, f"damaged: {error.what} {error.got}".strip())
    if held.packed_by:
        return Details(layout, size, "", licence, f"not supported: quantized by {held.packed_by}")
    if held.writer:
        layout += f", GGUF of {held.writer}"
    if checkpoint.model_type == V3:
        layout += " with its codec" if held.with_codec else " without codec"
    main = [name for name, stored in held.formats.most_common() if stored >= MINOR * held.formats.total()]
    formats = [packed, *(name for name in main if not name.endswith("int8"))] if packed else main
    loaded = once_loaded(checkpoint, how) if how else ""
    return Details(layout, size, " and ".join(formats), licence, loaded=loaded)


def _unnamed(path: Path) -> str:
    if is_gguf(path):
        return "GGUF"
    return "DAC" if path.is_file() else "unknown"


def _files(path: Path) -> Iterator[Path]:
    return (file for file in ([path] if path.is_file() else path.iterdir()) if file.is_file())


def _contents(checkpoint: Checkpoint) -> tuple[Contents, str | None]:
    """What is stored, and the quantization of a checkpoint that this pack converted."""
    if checkpoint.model_type == ORIGINAL_CODEC:
        stored: Counter[str] = Counter()
        for tensor in pickled_tensors(checkpoint.path / PICKLE).values():
            stored[str(tensor.dtype).removeprefix("torch.")] += tensor.nbytes
        return Contents(stored), None
    source = open_source(checkpoint.path)
    return source.contents(), converted_to(source.config)
