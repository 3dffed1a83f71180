"""ComfyUI's folders, and the files that choices of nodes mean."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import folder_paths
from comfy.cli_args import args

from ...higgs_runtime.errors import AudioError
from ...higgs_runtime.hub import embedded_books, embedded_clips, file_stats

FROM_PACK = " (from the pack)"  # after the name of a clip
MODEL_FOLDER = "higgs_audio"

folder_paths.add_model_folder_path(MODEL_FOLDER, os.path.join(folder_paths.models_dir, MODEL_FOLDER))


def model_folders() -> list[str]:
    """Where ComfyUI looks for Higgs checkpoints."""
    return folder_paths.get_folder_paths(MODEL_FOLDER)


def input_audio_choices() -> list[str]:
    """Audio and video files in ComfyUI's input folder, and the clips that the pack brings."""
    names = os.listdir(folder_paths.get_input_directory())
    files = sorted(folder_paths.filter_files_content_types(names, ["audio", "video"]))
    return [*files, *(name + FROM_PACK for name in embedded_clips())]


def input_choices(*suffixes: str) -> list[str]:
    """Files in ComfyUI's input folder with these suffixes."""
    return sorted(name for name in os.listdir(folder_paths.get_input_directory()) if name.lower().endswith(suffixes))


def book_choices(*suffixes: str) -> list[str]:
    """Files in ComfyUI's input folder with these suffixes, and the books that the pack brings."""
    return [*input_choices(*suffixes), *(name + FROM_PACK for name in embedded_books())]


def input_path(name: str) -> Path:
    """The file that a choice means: an annotated name ("clip.wav [output]") of ComfyUI, or a clip or book of the pack.

    Raises:
        AudioError: there is no such file.
    """
    path = pack_clip(name) or _pack_book(name) or _annotated_path(name)
    if not name or path is None or not path.is_file():
        raise AudioError(
            f"There is no file '{name}'.",
            expected=f"a file in {folder_paths.get_input_directory()}",
            got="none" if path else "a path outside",
            remedy="Upload the file, or choose another one.",
        )
    return path


def _annotated_path(name: str) -> Path | None:
    """What an annotated name means; None where that is outside of ComfyUI's folders.

    Newer versions of ComfyUI refuse such a path themselves, by a ValueError; there a link that leads out is one too.
    """
    try:
        path = Path(os.path.abspath(folder_paths.get_annotated_filepath(name)))
    except ValueError:
        return None
    folders = folder_paths.get_input_directory(), folder_paths.get_output_directory(), folder_paths.get_temp_directory()
    return path if any(Path(os.path.abspath(folder)) in path.parents for folder in folders) else None


def explain_input(name: str) -> bool | str:
    """True if the input file is there, else why not; for validate_inputs."""
    try:
        input_path(name)
    except AudioError as error:
        return str(error)
    return True


def pack_clip(name: str) -> Path | None:
    """The clip of the pack that a choice names, if it names one."""
    return embedded_clips().get(name.removesuffix(FROM_PACK)) if name.endswith(FROM_PACK) else None


def _pack_book(name: str) -> Path | None:
    """The book of the pack that a choice names, if it names one."""
    return embedded_books().get(name.removesuffix(FROM_PACK)) if name.endswith(FROM_PACK) else None


def fingerprint(path: Path) -> str:
    """Changes when a file, or a file in the folder, is replaced."""
    return hashlib.sha256(repr(file_stats(path)).encode()).hexdigest()


def output_folder() -> Path:
    """Where ComfyUI's savers write; made where it is not there yet, as they do it below a new base folder."""
    folder = Path(folder_paths.get_output_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown_folder(kind: str) -> Path | None:
    """The folder that the editor calls "input", "output" or "temp"; None for another name."""
    folder = folder_paths.get_directory_by_type(kind)
    return Path(folder) if folder else None


def temp_folder() -> Path:
    """Where ComfyUI keeps what lasts until it starts again."""
    return Path(folder_paths.get_temp_directory())


def sound_folders() -> list[Path]:
    """Where sounds and music of scripts are looked for: ComfyUI's input folder, and the pack's clips."""
    return [Path(folder_paths.get_input_directory()), next(iter(embedded_clips().values())).parent]


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder for large files, as long as the with-block runs."""
    place = folder_paths.get_temp_directory()
    os.makedirs(place, exist_ok=True)
    with TemporaryDirectory(prefix="higgs-", dir=place) as folder:
        yield folder


def workflow_entries(hidden: Any) -> dict[str, str]:
    """What ComfyUI's own savers embed: the prompt and the editor's workflow as JSON; nothing under --disable-metadata.

    ComfyUI notes in the prompt what `fingerprint_inputs` gave (execution.py, `IsChangedCache`). That is left out: it
    may be NaN, which no JSON holds, and who queues the prompt again would get the old files without a look at them.

    Args:
        hidden: a node's hidden inputs.
    """
    if args.disable_metadata:
        return {}
    entries = {}
    if hidden.prompt is not None:
        entries["prompt"] = {
            number: {name: value for name, value in node.items() if name != "is_changed"}
            for number, node in hidden.prompt.items()
        }
    return {name: json.dumps(value) for name, value in {**entries, **(hidden.extra_pnginfo or {})}.items()}
