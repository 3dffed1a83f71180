"""Which checkpoints there are, what each is, what it still lacks, and which ones are used by default.

The pack brings a tiny pair of its own, which stands behind all model folders. Reads no weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..checkpoint.contents import Contents
from ..checkpoint.files import (
    CODEC_OF_V3,
    CONFIG_FILE,
    INDEX_FILE,
    MAX_JSON_BYTES,
    ORIGINAL_CODEC,
    PICKLE,
    TOKENIZER_FILE,
    V3,
    WEIGHTS_FILE,
    model_type_of,
    shards_of,
)
from ..checkpoint.gguf_families import UnknownGgufError
from ..checkpoint.gguf_file import SUFFIX as GGUF
from ..checkpoint.gguf_source import GgufSource, gguf_in, is_gguf
from ..checkpoint.source import open_source
from ..errors import CheckpointError
from ..model.config import parse_additions
from ..text.vocabulary import extent_of
from .releases import CREDIT, V3_LICENCE

LM, CODEC = "lm", "codec"
KINDS = {
    "higgs_audio_v2": LM,
    "higgs_audio": LM,
    "higgs_audio_v2_tokenizer": CODEC,
    ORIGINAL_CODEC: CODEC,
    V3: LM,
    CODEC_OF_V3: CODEC,
}
WEIGHT_SUFFIXES = {".safetensors", ".pth", ".bin", ".pt"}
STAMPED = {".json", ".safetensors"}  # what a look into a folder depends on
DAC_SUFFIXES = {".pth"}  # weights of descript-audio-codec are one file
ADAPTER_FILE = "adapter_config.json"
VOICES, RECOGNIZERS = "voices", "recognizers"  # folders in a models folder that hold no checkpoints
MISSING_MARK, UNSUPPORTED_MARK = " (missing: ", " (not supported: "  # behind a name, in lists
MAX_DEPTH = 3  # models/higgs_audio/<owner>/<name>/<revision>
EMBEDDED = Path(__file__).parent.parent / "nano"  # the pack's own pair, with clips


@dataclass(frozen=True)
class Checkpoint:
    """A model folder, a GGUF file, or a codec in one file.

    Attributes:
        name: path below the model folder, with forward slashes.
        kind: "lm", "codec", or "" where no config.json tells.
        missing: names of the files that are needed and not there.
        model_type: of its config.json (see `model_type_of`); empty where there is none.
        display_name, vocabulary: as in ModelConfig.
        with_codec: whether a language model brings its codec, as v3 does where nobody left it out.
        unsupported: why it cannot be loaded whatever is added, as "quantized by AWQ"; empty for what can.
    """

    name: str
    path: Path
    kind: str
    missing: tuple[str, ...] = ()
    model_type: str = ""
    display_name: str = ""
    vocabulary: frozenset[str] | None = None
    with_codec: bool = False
    unsupported: str = ""

    @property
    def label(self) -> str:
        """The name, followed by what is missing, or by why it cannot be loaded."""
        if self.unsupported:
            return f"{self.name}{UNSUPPORTED_MARK}{self.unsupported})"
        return f"{self.name}{MISSING_MARK}{', '.join(self.missing)})" if self.missing else self.name

    @property
    def usable(self) -> bool:
        """Whether nothing is known that speaks against loading it."""
        return not self.missing and not self.unsupported

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.display_name or self.name

    @property
    def extent(self) -> str:
        """What it speaks, as " (353 words and the ten digits)"; empty for one that speaks any text."""
        return "" if self.vocabulary is None else f" ({extent_of(self.vocabulary)})"

    @property
    def licence(self) -> str:
        """What has to be said before it is used; empty for one whose licence is its own affair."""
        return V3_LICENCE if self.model_type in (V3, CODEC_OF_V3) else ""

    @property
    def credit(self) -> str:
        """What has to be said with what it speaks and somebody publishes; empty for the pack's own."""
        return CREDIT if KINDS.get(self.model_type) == LM and not self.embedded else ""

    def is_codec(self, kind: str | None = CODEC) -> bool:
        """Whether it holds a codec, if that is asked for: v3 may bring its own."""
        return kind == CODEC and (self.kind == CODEC or self.with_codec)

    @property
    def embedded(self) -> bool:
        """Whether the pack brought it."""
        return EMBEDDED.resolve() in self.path.resolve().parents


def without_mark(label: str) -> str:
    """The name in a label, also where it has become usable since."""
    return label.partition(MISSING_MARK)[0].partition(UNSUPPORTED_MARK)[0]


def model_roots(folders: Iterable[str | Path] | None = None) -> list[Path]:
    """Where checkpoints are looked for: in these folders, and last among what the pack brings.

    Args:
        folders: None: $HIGGS_MODELS, and models/higgs_audio here and in $COMFYUI_PATH.
    """
    if folders is None:
        usual = Path("models", "higgs_audio")
        own, comfyui = (os.environ.get(name) for name in ("HIGGS_MODELS", "COMFYUI_PATH"))
        folders = [*([own] if own else []), usual, *([Path(comfyui, usual)] if comfyui else [])]
    return [*map(Path, folders), EMBEDDED]


def find_checkpoints(roots: Iterable[str | Path], kind: str | None = None) -> list[Checkpoint]:
    """All checkpoints below the roots, by name; of two with one name the first root's counts.

    Args:
        kind: "lm" or "codec" leaves out the other kind; folders of unknown kind stay in both lists.
    """
    found: dict[str, Checkpoint] = {}
    for root in map(Path, roots):
        if root.is_dir():
            for checkpoint in _walk(root, root, 0):
                found.setdefault(checkpoint.name, checkpoint)
    wanted = [item for item in found.values() if kind in (None, item.kind) or not item.kind or item.is_codec(kind)]
    return sorted(wanted, key=lambda item: item.name.lower())


def checkpoint_at(path: str | Path) -> Checkpoint | None:
    """The folder with a config.json, or the weights file, at a path; whether it is one of ours, loading tells."""
    path = Path(path).absolute()
    found = gguf_in(path) if path.is_dir() and not _has_weights(path) else [path] if is_gguf(path) else []
    if len(found) == 1:
        return _gguf(path.parent, found[0])
    if (path / CONFIG_FILE).is_file():
        return _inspect(path.parent, path) or Checkpoint(path.name, path, "")
    weights = path.suffix.lower() in WEIGHT_SUFFIXES and path.is_file()
    return Checkpoint(path.name, path, "") if weights else None


def default_pair(
    checkpoints: Iterable[Checkpoint], lm: Checkpoint | None = None, codec: Checkpoint | None = None
) -> tuple[Checkpoint, Checkpoint]:
    """The language model and the codec to use where nobody chooses.

    The first complete ones in the list that are not the pack's own; where either is missing, the pack's pair. The
    pack's codec goes with the pack's model and with no other.

    Args:
        lm, codec: what has been chosen already.

    Raises:
        CheckpointError: there is no such pair.
    """
    chosen, checkpoints = {LM: lm, CODEC: codec}, list(checkpoints)
    if lm and codec:
        return lm, codec
    for embedded in (False, True):
        there = find_checkpoints([EMBEDDED]) if embedded else [item for item in checkpoints if not item.embedded]
        pair = [_first(there, kind) if one is None else one for kind, one in chosen.items()]
        found = [item for item in pair if item is not None and item.embedded == embedded]
        if len(found) == len(pair):
            return found[0], found[1]
    beside = "".join(f" that goes with '{one.name}'" for one in chosen.values() if one)
    remedy = "Put the folders of both into a models folder (`higgs models` lists what each lacks), or name them."
    if lm or codec:
        other = "codec" if lm else "model"
        remedy = f"Name the {other} as well (on the command line: --{other}), or put its folder into a models folder."
    raise CheckpointError(
        "No language model and codec were found.",
        expected=f"a complete pair of language model and codec{beside}",
        got=", ".join(item.label for item in checkpoints) or "no model",
        remedy=remedy,
    )


def _first(checkpoints: Iterable[Checkpoint], kind: str) -> Checkpoint | None:
    known = [item for item in checkpoints if item.model_type and item.usable]
    own = (item for item in known if item.kind == kind)
    return next(own, None) or next((item for item in known if item.is_codec(kind)), None)


def find_adapters(roots: Iterable[str | Path]) -> dict[str, Path]:
    """LoRA adapters below the roots: name → folder; of two with one name the first root's counts."""
    found: dict[str, Path] = {}
    for root in map(Path, roots):
        for file in root.glob(f"**/{ADAPTER_FILE}") if root.is_dir() else ():
            name = file.parent.relative_to(root)
            if not any(part.startswith(".") for part in name.parts):
                found.setdefault(name.as_posix(), file.parent)
    return found


def embedded_clips() -> dict[str, Path]:
    """The clips that the pack brings: name -> audio file."""
    return {file.stem: file for file in sorted((EMBEDDED / "clips").glob("*.flac"))}


def embedded_books() -> dict[str, Path]:
    """The books that the pack brings: name with suffix -> file."""
    return {file.name: file for file in sorted((EMBEDDED / "books").glob("*.epub"))}


def embedded_voices() -> dict[str, Path]:
    """Those of the clips that are reference voices: beside each lies its transcript, a .txt file."""
    return {name: file for name, file in embedded_clips().items() if file.with_suffix(".txt").is_file()}


def _walk(root: Path, folder: Path, depth: int) -> Iterable[Checkpoint]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # one folder that may not be read must not hide the others
        return
    if depth:
        checkpoint = _inspect(root, folder)
        if checkpoint is not None:
            yield checkpoint
            entries = [entry for entry in entries if is_gguf(entry)]
    for entry in entries:
        if entry.name.startswith(".") or (depth == 0 and entry.name in (VOICES, RECOGNIZERS)):
            continue
        if entry.is_dir() and depth < MAX_DEPTH:
            yield from _walk(root, entry, depth + 1)
        elif is_gguf(entry):
            yield _gguf(root, entry)
        elif entry.is_file() and entry.suffix.lower() in DAC_SUFFIXES:
            yield Checkpoint(entry.relative_to(root).as_posix(), entry, CODEC)


def _gguf(root: Path, file: Path) -> Checkpoint:
    """What a GGUF file is; one that cannot be read stays in the list: loading it says why."""
    name = file.relative_to(root).as_posix()
    try:
        source = GgufSource(file)
        held = source.contents()
    except UnknownGgufError:
        return Checkpoint(name, file, "", unsupported="a GGUF of another kind")
    except (CheckpointError, OSError):
        return Checkpoint(name, file, "")
    model_type = source.config.get("model_type")
    if not isinstance(model_type, str) or model_type not in KINDS:
        return Checkpoint(name, file, "")
    kind, missing = KINDS[model_type], tuple(source.missing())
    with_codec = kind == LM and held.with_codec
    return Checkpoint(name, file, kind, missing, model_type, with_codec=with_codec, **_names(source.config))


def _inspect(root: Path, folder: Path) -> Checkpoint | None:
    """The checkpoint that the folder is, or None if it is none of ours."""
    name = folder.relative_to(root).as_posix()
    files = {entry.name for entry in folder.iterdir() if entry.is_file()}
    of_a_file = is_gguf(folder.with_name(f"{folder.name}{GGUF}"))  # it holds a tokenizer, where the file has none
    if not _has_weights(folder) and (of_a_file or any(map(is_gguf, folder.iterdir()))):
        return None  # the files are the models
    if CONFIG_FILE not in files:
        looks_like_one = TOKENIZER_FILE in files or WEIGHTS_FILE in files or INDEX_FILE in files
        return Checkpoint(name, folder, "", (CONFIG_FILE,)) if looks_like_one else None
    config = _read(folder / CONFIG_FILE)
    model_type = model_type_of(config)
    kind = KINDS.get(model_type) if isinstance(model_type, str) else ""
    if kind is None:
        return None  # another project's model
    missing = _missing_weights(folder, files, PICKLE if model_type == ORIGINAL_CODEC else WEIGHTS_FILE)
    if kind == LM and TOKENIZER_FILE not in files:
        missing.append(TOKENIZER_FILE)
    known_type = model_type if kind and isinstance(model_type, str) else ""
    held = _contents(folder, tuple(missing)) if kind == LM else None
    return Checkpoint(
        name,
        folder,
        kind,
        tuple(missing),
        known_type,
        with_codec=model_type == V3 and (held is None or held.with_codec),
        unsupported=f"quantized by {held.packed_by}" if held and held.packed_by else "",
        **_names(config),
    )


def _contents(folder: Path, missing: tuple[str, ...]) -> Contents | None:
    """What a folder's headers say; None where they cannot be read: loading says why."""
    stats = [(entry.name, entry.stat()) for entry in sorted(folder.iterdir()) if entry.suffix in STAMPED]
    return None if missing else _looked_into(folder, tuple((name, one.st_size, one.st_mtime_ns) for name, one in stats))


@lru_cache(256)
def _looked_into(path: Path, stamp: tuple) -> Contents | None:
    """
    Args:
        stamp: changes when the files do.
    """
    try:
        return open_source(path).contents()
    except CheckpointError:
        return None


def _has_weights(folder: Path) -> bool:
    """Whether weights lie in it as in the Hugging Face layout."""
    return any((folder / name).is_file() for name in (WEIGHTS_FILE, INDEX_FILE))


def _names(config: dict) -> dict:
    """display_name and vocabulary; none for a broken config.json, which stays in the list: loading it says why."""
    try:
        found = parse_additions(config)
    except CheckpointError:
        return {}
    return {key: found[key] for key in ("display_name", "vocabulary") if key in found}


def _missing_weights(folder: Path, files: set[str], wanted: str) -> list[str]:
    if WEIGHTS_FILE in files or (INDEX_FILE not in files and any(Path(f).suffix in WEIGHT_SUFFIXES for f in files)):
        return []
    if INDEX_FILE not in files:
        return [wanted]
    shards = shards_of(_read(folder / INDEX_FILE))
    return sorted(set(shards or ()) - files)  # of what is no index loading says so


def _read(file: Path) -> dict:
    """The JSON object in a file; empty for a broken file, which stays in the list: loading it says what is wrong."""
    try:
        value = json.loads(file.read_text(encoding="utf-8")) if file.stat().st_size <= MAX_JSON_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
