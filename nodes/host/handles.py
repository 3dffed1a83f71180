"""What travels through the sockets for models, and how it becomes a model in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management as management
import torch

from ...higgs_runtime.errors import SettingError
from ...higgs_runtime.hub import ModelKey
from .progress import raise_if_cancelled
from .residency import ComfyResidency, model_cache

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
            "There is no GPU to run on.",
            expected="a GPU that ComfyUI uses",
            got="a ComfyUI that runs on the CPU",
            remedy="Set device to 'auto', or start ComfyUI without --cpu.",
        )
    return main


def pick_dtype(handle: ModelHandle, device: torch.device) -> torch.dtype:
    """The dtype that a handle means on a device: "auto" is float32 for codecs, half precision for language models on a
    GPU, and on a CPU bfloat16 for those that are stored so, else float32."""
    from ...higgs_runtime.model.loading import auto_dtype

    if (chosen := DTYPES[handle.dtype]) is not None:
        return chosen
    if handle.kind == "codec":
        return torch.float32
    if management.is_device_cpu(device):
        return auto_dtype(handle.path, "cpu")
    if management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float16 if management.should_use_fp16(device) else torch.float32


def pick_quantization(handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> str | None:
    """The quantization that a handle means on a device: "off" keeps what the checkpoint has, where that can be.

    Raises:
        SettingError: the device has no such numbers.
    """
    from ...higgs_runtime.checkpoint.source import open_source
    from ...higgs_runtime.model.loading import auto_quantization
    from ...higgs_runtime.model.quantization import check_stored, multiplies_float8

    check_stored(handle.quantization, str(device))
    if handle.quantization is not None or handle.kind != "lm" or not multiplies_float8(str(device)):
        return handle.quantization
    return auto_quantization(open_source(handle.path), device, dtype)


def check_here(handle: ModelHandle) -> None:
    """Raises:
    SettingError: the model is on a server.
    """
    if handle.kind == REMOTE:
        raise SettingError(
            "This node needs a model on this computer.",
            expected="a model from Load Higgs Model",
            got="Higgs Remote Model",
            remedy="Only Higgs Generate and Render Script speak with a remote model.",
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
    dtype = pick_dtype(handle, device)
    handle = replace(handle, quantization=pick_quantization(handle, device, dtype))
    key = ModelKey.of(handle.kind, handle.path, device=device, dtype=dtype, quantization=handle.quantization)
    raise_if_cancelled()
    with model_cache().use(key, lambda: _load(handle, device, dtype), work_bytes) as model:
        raise_if_cancelled()
        yield model


@contextmanager
def open_speaker(handle: ModelHandle, work_bytes: Callable[[Any], int]) -> Iterator[Any]:
    """As `open_model`, for a language model with the adapters of its handle."""
    from ...higgs_runtime import adapted, load_adapter

    with open_model(handle, work_bytes) as model:
        adapters = [(load_adapter(path), strength) for path, strength in handle.adapters]
        with adapted(model, adapters):
            yield model


def identity_of(handle: ModelHandle):
    """The ModelIdentity of a language model as it is loaded here. Reads every byte the first time."""
    from ...higgs_runtime.takes import model_identity

    check_here(handle)
    device = pick_device(handle.device)
    return model_identity(
        handle.path,
        device=device,
        dtype=pick_dtype(handle, device),
        quantization=handle.quantization,
        adapters=handle.adapters,
    )


def offload_notes(model: Any) -> tuple[str, ...]:
    """What a person should know of where the layers of a language model in use lie; nothing where all of them fit."""
    residency = model_cache().residency
    return residency.notes(model) if isinstance(residency, ComfyResidency) else ()


def _load(handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> Any:
    """Loads into ordinary memory; ComfyUI's manager decides what goes to a GPU, after making room there."""
    from ...higgs_runtime import load_codec, load_model

    if handle.kind == "codec":
        return load_codec(handle.path, device="cpu", dtype=dtype)
    return load_model(
        handle.path,
        device="cpu",
        dtype=dtype,
        quantization=handle.quantization,
        on_progress=lambda *_: raise_if_cancelled(),
        packed=not management.is_device_cpu(device),
    )
