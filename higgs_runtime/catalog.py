"""Which checkpoints lie in the model folders, what each is, and what it still lacks. Reads no weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .checkpoint_files import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE
from .tokenizer import TOKENIZER_FILE

LM, CODEC = "lm", "codec"
KINDS = {
    "higgs_audio_v2": LM,
    "higgs_audio": LM,
    "higgs_audio_v2_tokenizer": CODEC,
}
WEIGHT_SUFFIXES = {".safetensors", ".pth", ".bin", ".pt"}
DAC_SUFFIXES = {".pth"}  # weights of descript-audio-codec are one file
MAX_DEPTH = 3  # models/higgs_audio/<owner>/<name>/<revision>


@dataclass(frozen=True)
class Checkpoint:
    """A model folder, or a codec in one file.

    Attributes:
        name: path below the model folder, with forward slashes.
        kind: "lm", "codec", or "" where no config.json tells.
        missing: names of the files that are needed and not there.
    """

    name: str
    path: Path
    kind: str
    missing: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, followed by what is missing."""
        return f"{self.name} (missing: {', '.join(self.missing)})" if self.missing else self.name


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
    wanted = [item for item in found.values() if kind is None or item.kind in (kind, "")]
    return sorted(wanted, key=lambda item: item.name.lower())


def _walk(root: Path, folder: Path, depth: int) -> Iterable[Checkpoint]:
    if depth:
        checkpoint = _inspect(root, folder)
        if checkpoint is not None:
            yield checkpoint
            return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and depth < MAX_DEPTH:
            yield from _walk(root, entry, depth + 1)
        elif entry.is_file() and entry.suffix.lower() in DAC_SUFFIXES:
            yield Checkpoint(entry.relative_to(root).as_posix(), entry, CODEC)


def _inspect(root: Path, folder: Path) -> Checkpoint | None:
    """The checkpoint that the folder is, or None if it is none of ours."""
    name = folder.relative_to(root).as_posix()
    files = {entry.name for entry in folder.iterdir() if entry.is_file()}
    if CONFIG_FILE not in files:
        looks_like_one = TOKENIZER_FILE in files or WEIGHTS_FILE in files or INDEX_FILE in files
        return Checkpoint(name, folder, "", (CONFIG_FILE,)) if looks_like_one else None
    model_type = _read(folder / CONFIG_FILE).get("model_type")
    kind = KINDS.get(model_type) if isinstance(model_type, str) else ""
    if kind is None:
        return None  # another project's model
    missing = _missing_weights(folder, files)
    if kind == LM and TOKENIZER_FILE not in files:
        missing.append(TOKENIZER_FILE)
    return Checkpoint(name, folder, kind, tuple(missing))


def _missing_weights(folder: Path, files: set[str]) -> list[str]:
    if WEIGHTS_FILE in files or (INDEX_FILE not in files and any(Path(f).suffix in WEIGHT_SUFFIXES for f in files)):
        return []
    if INDEX_FILE not in files:
        return [WEIGHTS_FILE]
    shards = _read(folder / INDEX_FILE).get("weight_map")
    return sorted(set(shards.values()) - files) if isinstance(shards, dict) else []


def _read(file: Path) -> dict:
    """The JSON object in a file; empty for a broken file, which stays in the list: loading it says what is wrong."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
