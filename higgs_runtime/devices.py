"""What differs between kinds of devices; no other module names one."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from .errors import SettingError

KINDS = ("cpu", "cuda", "mps", "xpu")  # ROCm calls itself cuda
PREFILL_CHUNK = {"cpu": 128}  # positions read between two looks at should_stop
PREFILL_CHUNK_ELSEWHERE = 1024
POLL_STEPS = {"cpu": 4}  # steps between two looks at what was drawn; elsewhere each look waits for the device
POLL_STEPS_ELSEWHERE = 8
WARM_UPS = 2  # calls before a recording, so that libraries have set themselves up


def pick_device() -> str:
    """The accelerator that torch has on this computer ("cuda", also for ROCm, "xpu" or "mps"), else "cpu"."""
    accelerator = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    if accelerator is not None and torch.accelerator.is_available():
        return accelerator.type
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 on a GPU (on "mps" from macOS 14 on, which has it), else float32.

    Raises:
        SettingError: this computer, or this torch, lacks the device.
    """
    kind = torch.device(device).type
    if not _is_there(kind):
        raise SettingError("There is no such device for torch here.", expected=f"'{pick_device()}'", got=f"'{device}'",
                           remedy="Leave the device out, or install a torch for it.")
    if kind == "cpu" or (kind == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0)):
        return torch.float32
    return torch.bfloat16


def _is_there(kind: str) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_available()
    module = getattr(torch, kind, None)
    return kind == "cpu" or not hasattr(module, "is_available") or module.is_available()


def prefill_chunk(device: torch.device) -> int:
    """Positions of a prompt that are read in one call."""
    return PREFILL_CHUNK.get(device.type, PREFILL_CHUNK_ELSEWHERE)


def poll_steps(device: torch.device) -> int:
    """Steps between two looks at what was drawn."""
    return POLL_STEPS.get(device.type, POLL_STEPS_ELSEWHERE)


def free_bytes(device: torch.device | str) -> int | None:
    """Bytes that can still be allocated on a device; None where the system does not tell."""
    device = torch.device(device)
    if device.type in ("cuda", "xpu") and _is_there(device.type):
        module = getattr(torch, device.type)
        idle = module.memory_reserved(device) - module.memory_allocated(device)  # torch's own, free to use again
        return module.mem_get_info(device)[0] + idle
    if device.type not in ("cpu", "mps"):
        return None
    try:
        import psutil
    except ImportError:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return psutil.virtual_memory().available


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no room: of an accelerator, or of torch's allocator for the CPU."""
    of_torch = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    return isinstance(error, (MemoryError, of_torch)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def can_capture(device: torch.device) -> bool:
    """Whether the device can record a step and play it again as one."""
    return device.type == "cuda"


def record(call: Callable[[], None]) -> Callable[[], None]:
    """What plays a call again as a whole (a CUDA graph), after some calls to warm up.

    It works on the tensors that the call saw, and must not outlive them. For devices that `can_capture`.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
