"""A Higgs Audio v3 in a GGUF file: config and tokenizer, in the file or beside it, and tensors by the released names.

Where it holds no config, one is made of the tensors' shapes: what these do not say is the same in all of v3.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .contents import Contents
from .files import (
    CODEC_OF_V3,
    CONFIG_FILE,
    TOKENIZER_FILE,
    V3,
    V3_CODEC,
    V3_FUSED,
    model_type_of,
    read_config,
    read_tokenizer,
)
from .gguf_families import COMPANION, HEADS, TIED, Family, family_of
from .gguf_file import SUFFIX, GgufFile, GgufTensors
from .gguf_tokenizer import holds_tokenizer, tokenizer_of
from .tensors import Renamed, StoredTensors, Together, Turned

RELEASE_FOLDER = "higgs-audio-v3-tts-4b"  # as many call the folder of the release
CODEBOOK_ROWS = 1026  # of each head of v3
ROPE_THETA, NORM_EPS, POSITIONS = 1_000_000.0, 1e-6, 32_768  # of the released config.json
EMBEDDED = "audiocpp.embedded_files."  # lists: names, then offsets into data, or in older files contents
MISSING_COMPANION = f"its companion {SUFFIX} with codebooks and codec"


class GgufSource:
    """One file, or the two of a pair.

    Attributes:
        path: of the file; of a pair the backbone's.
        family: who writes such files.

    Raises:
        CheckpointError: the file is broken, or of none that is known.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = _header(path)
        self.family = family_of(self._file)
        self._other = _companion_of(path) if self.family.companion else None
        self._tokenizer_beside = _beside(path, TOKENIZER_FILE)
        self._config_beside = next((file for file in _all_beside(path, CONFIG_FILE) if _is_v3(file)), None)
        self.config = self._config()

    def missing(self) -> list[str]:
        """What it needs and is nowhere."""
        missing = [MISSING_COMPANION] if self.family.companion and self._other is None else []
        if self.family is not COMPANION and not self._holds_tokenizer() and self._tokenizer_beside is None:
            missing.append(TOKENIZER_FILE)
        return missing

    def files(self) -> list[Path]:
        """All that decides how the model speaks.

        Raises:
            CheckpointError: one is missing.
        """
        found = [self.path]
        if self.family.companion:
            found.append(self._companion().path)
        if not self._holds_tokenizer() and self.family is not COMPANION:
            self.tokenizer()
            found += [file for file in (self._tokenizer_beside,) if file]
        return found + [file for file in (self._config_beside,) if file and self._own_config() is None]

    def tokenizer(self) -> bytes:
        """What stands in tokenizer.json.

        Raises:
            CheckpointError: it is nowhere.
        """
        own = self._own_tokenizer()
        if own is not None:
            return own
        if self._tokenizer_beside is not None:
            return read_tokenizer(self._tokenizer_beside)
        raise CheckpointError(
            f"'{self.path}' holds no tokenizer.",
            expected=f"{TOKENIZER_FILE} in {' or '.join(map(str, _places(self.path)))}",
            got="none",
            remedy=f"Download {TOKENIZER_FILE} (11 MB) of bosonai/higgs-tts-3-4b, or of where this file is from, into "
            "one of these folders.",
        )

    def tensors(self) -> StoredTensors:
        """Under the names of the released checkpoint.

        Raises:
            CheckpointError: the other file of a pair is missing, or one is of no use.
            MissingExtraError: they are quantized, and the package `gguf` is not installed.
        """
        pairs = [(self._file, self.family)]
        if self.family.companion:
            pairs.append((self._companion(), COMPANION))
        parts = [_released(file, family) for file, family in pairs]
        return Together(parts) if len(parts) > 1 else parts[0]

    def contents(self) -> Contents:
        """What is stored, of headers alone.

        Raises:
            CheckpointError: names do not fit tensors.
        """
        names, formats = set(self.family.names(self._file)), Counter()
        for file in (self._file, self._other):
            for entry in file.tensors.values() if file else ():
                formats[entry.format] += entry.stop - entry.start
        if self._other:
            names |= set(COMPANION.names(self._other))
        return Contents(formats, any(name.startswith(V3_CODEC) for name in names), writer=self.family.title)

    def _companion(self) -> GgufFile:
        if self._other is not None:
            return self._other
        raise CheckpointError(
            f"'{self.path.name}' is the text part of a Higgs model alone.",
            expected=f"{MISSING_COMPANION} beside it, in {self.path.parent}",
            got="none there",
            remedy="Download both files of the pair into one folder.",
        )

    def _own_tokenizer(self) -> bytes | None:
        if self.family.tokenizer and (text := self._file.text(self.family.tokenizer)) is not None:
            return text.encode()
        found = _embedded(self._file, TOKENIZER_FILE)
        return tokenizer_of(self._file) if found is None else found

    def _holds_tokenizer(self) -> bool:
        """Whether `_own_tokenizer` finds one, without making it."""
        if self.family.tokenizer and self.family.tokenizer in self._file.keys:
            return True
        return _embedded(self._file, TOKENIZER_FILE) is not None or holds_tokenizer(self._file)

    def _own_config(self) -> bytes | None:
        if self.family.config and (text := self._file.text(self.family.config)) is not None:
            return text.encode()
        return _embedded(self._file, CONFIG_FILE)

    def _config(self) -> dict[str, Any]:
        if self.family is COMPANION:
            return {"model_type": CODEC_OF_V3}
        own = self._own_config()
        if own is not None:
            return _parsed(own, self.path)
        if self._config_beside is not None:
            return read_config(self._config_beside.parent)
        return self._made_config()

    def _made_config(self) -> dict[str, Any]:
        """A config.json as the release has it, from the shapes of the tensors."""
        shapes = {name: self._file.tensors[own].shape for name, own in self.family.names(self._file).items()}
        if self._other is not None:
            shapes |= {name: self._other.tensors[own].shape for name, own in COMPANION.names(self._other).items()}
        layers = [int(found[1]) for name in shapes if (found := re.match(r"body\.layers\.(\d{1,6})\.", name))]
        first = "body.layers.0."
        try:
            vocabulary, hidden = shapes[f"{TIED}text_embedding.weight"]
            fused = shapes[V3_FUSED][0] if V3_FUSED in shapes else CODEBOOK_ROWS
            head = shapes[f"{first}self_attn.q_norm.weight"][0]
            queries, keys = (shapes[f"{first}self_attn.{one}_proj.weight"][0] for one in "qk")
            wide = shapes[f"{first}mlp.gate_proj.weight"][0]
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"'{self.path}' is not a whole Higgs Audio v3.",
                expected="the matrices of its layers, embeddings and codebooks",
                got=f"no usable {error}",
                remedy="Download the file again, or a complete one.",
            ) from error

        def number(key: str, other: str, released: float) -> float:
            found = self._file.number(f"qwen3.{key}") or self._file.number(f"higgs.text.{other}") or released
            return found if isinstance(found, int) else float(f"{found:.6g}")  # 1e-06 is none of float32's numbers

        return {
            "model_type": V3,
            "text_config": {
                "model_type": "qwen3",
                "vocab_size": vocabulary,
                "hidden_size": hidden,
                "intermediate_size": wide,
                "num_hidden_layers": max(layers) + 1,
                "num_attention_heads": queries // head,
                "num_key_value_heads": keys // head,
                "head_dim": head,
                "rms_norm_eps": number("attention.layer_norm_rms_epsilon", "rms_norm_eps", NORM_EPS),
                "max_position_embeddings": number("context_length", "max_pos", POSITIONS),
                "rope_theta": number("rope.freq_base", "rope_theta", ROPE_THETA),
            },
            "audio_encoder_config": {
                "encoder_type": "discrete",
                "num_codebooks": max(1, fused // CODEBOOK_ROWS),
                "vocab_size": CODEBOOK_ROWS,
                "out_dim": hidden,
                "tie_word_embeddings": V3_FUSED in shapes or not any(name.startswith(HEADS) for name in shapes),
                "use_delay_pattern": True,
            },
        }


def _released(file: GgufFile, family: Family) -> StoredTensors:
    """The tensors of a file under the names and in the shapes of the released checkpoint."""
    names = family.names(file)
    tensors = Renamed(GgufTensors(file, family.shapes(file)), names)
    turned = family.turned_outputs(file, names)
    return Turned(tensors, turned) if turned else tensors


def is_gguf(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX and path.is_file()


def gguf_parts(path: Path) -> list[Path]:
    """A GGUF file and those that it speaks from as well; itself alone where it is of no use as it is."""
    try:
        return GgufSource(path).files()
    except (CheckpointError, OSError):
        return [path]


def gguf_in(folder: Path) -> list[Path]:
    """The GGUF files of a folder that are models of their own, and not the other part of a pair."""
    found = sorted(file for file in folder.iterdir() if is_gguf(file))
    return found if len(found) < 2 else [file for file in found if not _is_companion(file)]


def _header(path: Path) -> GgufFile:
    stat = path.stat()
    return _read_header(path, (stat.st_size, stat.st_mtime_ns))


@lru_cache(64)
def _read_header(path: Path, stamp: tuple[int, int]) -> GgufFile:
    """
    Args:
        stamp: changes when the file does.
    """
    return GgufFile(path)


def _is_companion(path: Path) -> bool:
    try:
        return COMPANION.fits(_header(path))
    except (CheckpointError, OSError):
        return False


def _companion_of(path: Path) -> GgufFile | None:
    others = sorted(file for file in path.parent.iterdir() if file != path and is_gguf(file))
    return next((_header(file) for file in others if _is_companion(file)), None)


def _places(path: Path) -> list[Path]:
    """Where files that belong to a GGUF are looked for: beside it, in a folder of its name, in the release's."""
    folder = path.absolute().parent
    return [folder, folder / path.stem, folder / RELEASE_FOLDER, folder.parent / RELEASE_FOLDER]


def _all_beside(path: Path, name: str) -> list[Path]:
    return [place / name for place in _places(path) if (place / name).is_file()]


def _beside(path: Path, name: str) -> Path | None:
    return next(iter(_all_beside(path, name)), None)


def _is_v3(config: Path) -> bool:
    """A folder may hold another model's config."""
    try:
        return model_type_of(read_config(config.parent)) == V3
    except CheckpointError:
        return False


def _embedded(file: GgufFile, name: str) -> bytes | None:
    """A file that audio.cpp's converter put into the GGUF: only asked for by name, never written anywhere."""
    names = file.texts(f"{EMBEDDED}names")
    if not names or name not in names:
        return None
    index, offsets = names.index(name), file.numbers(f"{EMBEDDED}offsets")
    if offsets is not None:
        ends = offsets[index : index + 2]
        return file.content(f"{EMBEDDED}data", *ends) if len(ends) == 2 else None
    contents = file.texts(f"{EMBEDDED}contents") or []
    return contents[index].encode() if index < len(contents) else None


def _parsed(content: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        value = error
    if isinstance(value, dict):
        return value
    raise CheckpointError(
        f"The config in '{path}' cannot be read.",
        expected="a JSON object",
        got=str(value)[:80],
        remedy="Download the file again.",
    )
