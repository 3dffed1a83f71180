"""All that the pack knows about ComfyUI: its files, audio, devices, memory manager, progress, cancel and texts."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import comfy.model_management as management
import comfy.utils
import folder_paths
import torch
from comfy.cli_args import args
from comfy_execution.graph_utils import ExecutionBlocker
from comfy_execution.utils import get_executing_context

from ..higgs_runtime.errors import AudioError, SettingError
from ..higgs_runtime.hub.cache import ModelKey, file_stats, model_bytes, shared_cache  # noqa: F401 (nodes use it)
from ..higgs_runtime.hub.catalog import embedded_clips
from . import warned
from .as_html import as_html
from .residency import ComfyResidency

FROM_PACK = " (from the pack)"  # after the name of a clip
MODEL_FOLDER = "higgs_audio"
CACHE_SHARE = 0.8  # of each device's memory
PROGRESS_INTERVAL_S = 0.05

folder_paths.add_model_folder_path(MODEL_FOLDER, os.path.join(folder_paths.models_dir, MODEL_FOLDER))


# --- files ----------------------------------------------------------------------------------------------------------


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


def input_path(name: str) -> Path:
    """The file that a choice means: an annotated name ("clip.wav [output]") of ComfyUI, or a clip of the pack.

    Raises:
        AudioError: there is no such file.
    """
    clip = pack_clip(name)
    path = clip or Path(os.path.abspath(folder_paths.get_annotated_filepath(name)))
    folders = folder_paths.get_input_directory(), folder_paths.get_output_directory(), folder_paths.get_temp_directory()
    inside = clip or any(Path(os.path.abspath(folder)) in path.parents for folder in folders)
    if not name or not inside or not path.is_file():
        raise AudioError(
            f"There is no file '{name}'.", expected=f"a file in {folder_paths.get_input_directory()}",
            got="none" if inside else "a path outside", remedy="Upload the file, or choose another one.",
        )
    return path


def pack_clip(name: str) -> Path | None:
    """The clip of the pack that a choice names, if it names one."""
    return embedded_clips().get(name.removesuffix(FROM_PACK)) if name.endswith(FROM_PACK) else None


def output_folder() -> Path:
    """Where ComfyUI's savers write."""
    return Path(folder_paths.get_output_directory())


def left_out(why: str) -> ExecutionBlocker:
    """For an output that is not made: what is connected to it ends with this message."""
    return ExecutionBlocker(why)


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

    Args:
        hidden: a node's hidden inputs.
    """
    if args.disable_metadata:
        return {}
    entries = {"prompt": hidden.prompt} if hidden.prompt is not None else {}
    return {name: json.dumps(value) for name, value in {**entries, **(hidden.extra_pnginfo or {})}.items()}


def shown_folder(kind: str) -> Path | None:
    """The folder that the editor calls "input", "output" or "temp"; None for another name."""
    folder = folder_paths.get_directory_by_type(kind)
    return Path(folder) if folder else None


def http_routes():
    """aiohttp's table of ComfyUI's routes; None where the nodes are alone, without a server."""
    if "server" not in sys.modules:
        return None
    from server import PromptServer

    return PromptServer.instance.routes


def explain_input(name: str) -> bool | str:
    """True if the input file is there, else why not; for validate_inputs."""
    try:
        input_path(name)
    except AudioError as error:
        return str(error)
    return True


def fingerprint(path: Path) -> str:
    """Changes when a file, or a file in the folder, is replaced."""
    return hashlib.sha256(repr(file_stats(path)).encode()).hexdigest()


# --- audio ----------------------------------------------------------------------------------------------------------


def clip_from_audio(audio: dict[str, Any]):
    """ComfyUI's AUDIO (waveform [B, C, T]) as one AudioClip.

    Raises:
        AudioError: a batch of several clips, no samples, or samples that are not finite.
    """
    from ..higgs_runtime import AudioClip

    waveform, rate = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise AudioError(
            "This input takes one clip.", expected="a waveform [1, channels, samples]",
            got=f"shape {list(waveform.shape)}", remedy="Send the clips of a batch through one by one.",
        )
    if waveform.shape[-1] == 0:
        raise AudioError(
            "The clip is empty.", expected="at least one sample", got="0 samples",
            remedy="Check the node before: the file may be empty, or all of it was trimmed away.",
        )
    return AudioClip(waveform[0].detach().to("cpu", torch.float32).contiguous(), rate)


def audio_from_clip(clip) -> dict[str, Any]:
    """An AudioClip as ComfyUI's AUDIO."""
    return {"waveform": clip.samples.detach().cpu().unsqueeze(0), "sample_rate": clip.sample_rate}


# --- devices and dtypes ---------------------------------------------------------------------------------------------

DEVICES = ["auto", "gpu", "cpu"]
REMOTE = "remote"  # kind of a model on a server, see remote_model.py
DTYPES = {"auto": None, "bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class ModelHandle:
    """What travels through a HIGGS_MODEL or HIGGS_CODEC socket: what to load and how, no weights."""

    kind: str
    path: str
    device: str = "auto"
    dtype: str = "auto"
    quantization: str | None = None
    adapters: tuple[tuple[str, float], ...] = ()  # folder and strength of each LoRA, in order


def pick_device(choice: str) -> torch.device:
    """The device that a choice means on this computer.

    Raises:
        SettingError: "gpu" where ComfyUI has none.
    """
    main = management.get_torch_device()
    if choice == "cpu":
        return torch.device("cpu")
    if choice == "gpu" and management.is_device_cpu(main):
        raise SettingError(
            "There is no GPU to run on.", expected="a GPU that ComfyUI uses", got="a ComfyUI that runs on the CPU",
            remedy="Set device to 'auto', or start ComfyUI without --cpu.",
        )
    return main


def pick_dtype(choice: str, kind: str, device: torch.device) -> torch.dtype:
    """The dtype that a choice means: "auto" is float32 on a CPU and for codecs, half precision for models on a GPU."""
    if DTYPES[choice] is not None:
        return DTYPES[choice]
    if kind == "codec" or management.is_device_cpu(device):
        return torch.float32
    if management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float16 if management.should_use_fp16(device) else torch.float32


# --- memory ---------------------------------------------------------------------------------------------------------


def check_here(handle: ModelHandle) -> None:
    """Raises:
        SettingError: the model is on a server.
    """
    if handle.kind == REMOTE:
        raise SettingError(
            "This node needs a model on this computer.", expected="a model from Load Higgs Model",
            got="Higgs Remote Model", remedy="Only Higgs Generate speaks with a remote model.",
        )


@contextmanager
def open_model(handle: ModelHandle, work_bytes: Callable[[Any], int] | None = None) -> Iterator[Any]:
    """Lends the model of a handle, loaded once and known to ComfyUI's memory manager. Cancel acts before, after, and
    between two tensors of a language model.

    Args:
        work_bytes: of the model, about what this use of it takes beside the weights; ComfyUI makes room for it.

    Raises:
        CheckpointError: the files are gone, broken, or of another kind.
        SettingError: device or dtype are not to be had here, or the model is on a server.
        MemoryShortError: there is no room to load it.
    """
    check_here(handle)
    device = pick_device(handle.device)
    dtype = pick_dtype(handle.dtype, handle.kind, device)
    key = ModelKey.of(handle.kind, handle.path, device=device, dtype=dtype, quantization=handle.quantization)
    raise_if_cancelled()
    with _cache().use(key, lambda: _load(handle, dtype), work_bytes) as model:
        raise_if_cancelled()
        yield model


@contextmanager
def open_speaker(handle: ModelHandle, work_bytes: Callable[[Any], int]) -> Iterator[Any]:
    """As `open_model`, for a language model with the adapters of its handle."""
    from ..higgs_runtime import adapted, load_adapter

    with open_model(handle, work_bytes) as model:
        adapters = [(load_adapter(path), strength) for path, strength in handle.adapters]
        with adapted(model, adapters):
            yield model


def identity_of(handle: ModelHandle):
    """The ModelIdentity of a language model as it is loaded here. Reads every byte the first time."""
    from ..higgs_runtime.takes import model_identity

    check_here(handle)
    device = pick_device(handle.device)
    return model_identity(handle.path, device=device, dtype=pick_dtype(handle.dtype, handle.kind, device),
                          quantization=handle.quantization, adapters=handle.adapters)


def offload_notes(model: Any) -> tuple[str, ...]:
    """What a person should know of where the layers of a language model in use lie; nothing where all of them fit."""
    return _cache().residency.notes(model)


def _load(handle: ModelHandle, dtype: torch.dtype) -> Any:
    """Loads into ordinary memory; ComfyUI's manager decides what goes to a GPU, after making room there."""
    from ..higgs_runtime import load_codec, load_model

    if handle.kind == "codec":
        return load_codec(handle.path, device="cpu", dtype=dtype)
    return load_model(handle.path, device="cpu", dtype=dtype, quantization=handle.quantization,
                      on_progress=lambda *_: raise_if_cancelled())


def _cache():
    cache = shared_cache()
    if cache.residency is None:
        cache.residency = ComfyResidency(cache)
        devices = (torch.device("cpu"), management.get_torch_device())
        cache.budget_bytes = {str(one): int(CACHE_SHARE * management.get_total_memory(one)) for one in devices}
    return cache


# --- progress and cancel --------------------------------------------------------------------------------------------


class Progress:
    """ComfyUI's progress bar, told at most every 50 ms. Raises ComfyUI's interrupt when the person cancels."""

    def __init__(self, total: int):
        self._total = max(1, total)
        self._bar = comfy.utils.ProgressBar(self._total)
        self._told_at = 0.0

    def update(self, value: int, total: int | None = None) -> None:
        self._total = total or self._total
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_INTERVAL_S or value >= self._total:
            self._told_at = now
            self._bar.update_absolute(value, self._total)

    def finish(self) -> None:
        self._bar.update_absolute(self._total, self._total)


Cancelled = management.InterruptProcessingException


def cancelled() -> bool:
    """Whether the person has asked to stop."""
    return management.processing_interrupted()


def raise_if_cancelled() -> None:
    """Ends the prompt as ComfyUI's own nodes do, if the person has asked to stop."""
    management.throw_exception_if_processing_interrupted()


def go_on_anyway() -> None:
    """The person has asked to stop, and what there is until then goes to the nodes that follow."""
    management.interrupt_current_processing(False)


# --- words to the person ----------------------------------------------------------------------------------------------


def running_node() -> tuple[str, str]:
    """Ids of the prompt and of the node that run now; empty where none does."""
    context = get_executing_context()
    return (context.prompt_id, context.node_id) if context is not None else ("", "")


def tell(event: str, data: dict[str, Any]) -> None:
    """Sends news to the page that queued the prompt which runs now."""
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    instance = getattr(server, "instance", None)
    if getattr(instance, "client_id", None) is not None:
        instance.send_sync(event, data, instance.client_id)


_showing: set[str] = set()  # ids of nodes that show a text


def show_text(text: str, level: int | None = logging.INFO) -> None:
    """Shows a plain text on the node that runs now, and logs it; an empty one takes back what the node showed before.

    Args:
        level: of the log; None: only shows, as what changes every second.
    """
    if text and level is not None:
        logging.log(level, "Higgs Audio: %s", text)
    context = get_executing_context()
    if context is None or not (text or context.node_id in _showing):
        return
    from server import PromptServer

    # the editor does not look at an empty one
    PromptServer.instance.send_progress_text(as_html(text) or " ", context.node_id)
    (_showing.add if text else _showing.discard)(context.node_id)


def send_event(name: str, **data: Any) -> None:
    """A message of the node that runs now to the page that queued it."""
    prompt_id, node = running_node()
    if node:
        tell(name, {"node": node, "prompt_id": prompt_id, **data})


def show_warnings(warnings: Iterable[str]) -> None:
    """Shows warnings on the node that runs now, and logs them; none take back those of before."""
    text = "\n".join(warnings)
    warned.remember(*running_node(), text)
    show_text(text, logging.WARNING)
