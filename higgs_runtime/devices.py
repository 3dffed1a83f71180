"""What differs between kinds of devices; no other module names one, but `choices` lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import torch
from torch import Tensor, nn

from .errors import SettingError

PREFILL_CHUNK = 1024  # positions read between two looks at should_stop, at most
PREFILL_CHUNK_ON_CPU = 128  # at least; more while they take no longer than this many products (0.2 s on two cores)
PRODUCTS_ON_CPU = 8e9
BFLOAT16_PRODUCTS = "avx512_bf16", "amx_bf16"  # what processors call them
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
    """bfloat16 on a GPU (on "mps" from macOS 14 on, which has it), else float32; see `auto_dtype` of a checkpoint.

    Raises:
        SettingError: this computer, or this torch, lacks the device.
    """
    kind = torch.device(device).type
    if not _is_there(kind):
        raise SettingError(
            "torch has no such device here.",
            expected=f"'{pick_device()}'",
            got=f"'{device}'",
            remedy="Leave the device out, or install a torch for it.",
        )
    if kind == "cpu" or (kind == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0)):
        return torch.float32
    return torch.bfloat16


def _is_there(kind: str) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_available()
    is_available = getattr(getattr(torch, kind, None), "is_available", None)
    return kind == "cpu" or is_available is None or is_available()


def prefill_chunk(device: torch.device, products: int, rounded: bool = False) -> int:
    """Positions of a prompt that are read in one call.

    Args:
        products: that a position costs.
        rounded: they are products of bfloat16 numbers, which take half as long or less.
    """
    if device.type != "cpu":
        return PREFILL_CHUNK
    some = max(PREFILL_CHUNK_ON_CPU, int(PRODUCTS_ON_CPU / products))
    return min(PREFILL_CHUNK, 2 * some if rounded and has_bfloat16_products() else some)


@cache
def has_bfloat16_products() -> bool:
    """Whether the processor has instructions for sums of bfloat16 products, of which torch makes use."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch has it since 2.10
    return torch.backends.mkldnn.is_available() and any(capabilities.get(name) for name in BFLOAT16_PRODUCTS)


def poll_steps(device: torch.device) -> int:
    """Steps between two looks at what was drawn."""
    return POLL_STEPS.get(device.type, POLL_STEPS_ELSEWHERE)


def free_bytes(device: torch.device | str) -> int | None:
    """Bytes that can still be allocated on a device; None where the system does not tell."""
    device = torch.device(device)
    if device.type in ("cuda", "xpu"):
        module = getattr(torch, device.type)
        if not hasattr(module, "mem_get_info"):
            return None
        idle = module.memory_reserved(device) - module.memory_allocated(device)  # torch's own, free to use again
        return module.mem_get_info(device)[0] + idle
    if device.type not in ("cpu", "mps"):
        return None
    try:
        import psutil  # ComfyUI brings it
    except ImportError:
        return None
    return psutil.virtual_memory().available


def memory_name(device: torch.device | str) -> str:
    """Whose memory a device has: "VRAM" of its own, or the computer's "RAM"."""
    return "VRAM" if torch.device(device).type in ("cuda", "xpu") else "RAM"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no room: of an accelerator, or of torch's allocator for the CPU."""
    said = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or isinstance(error, RuntimeError) and any(one in str(error) for one in said)


def can_capture(device: torch.device) -> bool:
    """Whether the device can record calls and play them again as one."""
    return device.type == "cuda"


def runs_beside(device: torch.device) -> bool:
    """Whether the device works off what it was given while this process goes on, and says when it has."""
    return device.type == "cuda"


def host_buffer(device: torch.device, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Zeros in the host's memory, from where and to where a device that `runs_beside` copies without being waited for:
    `copy_` with non_blocking."""
    return torch.zeros(shape, dtype=dtype, pin_memory=runs_beside(device))


def waiter(device: torch.device) -> Callable[[], None]:
    """What waits until the device has done what it was given until now, by this thread's stream."""
    if not runs_beside(device):
        return lambda: None  # a copy to the host has waited already
    event = torch.cuda.Event(blocking=True)  # leaves the core to others: a codec, the server
    event.record(torch.cuda.current_stream(device))
    return event.synchronize


def places_of(module: nn.Module) -> tuple:
    """Where the weights of a module lie, and in which form: what a recording, or a copy of them, hangs on."""
    tensors = (*module.parameters(), *module.buffers())
    return tuple((one.data_ptr(), one.device, one.dtype, one.shape) for one in tensors)


class SideStream:
    """A stream of its own for short work that someone waits for, while the device is busy with other work.

    Where `after` says so it waits for what was begun on the thread's own stream, such as weights that are brought over;
    else not, since steps of a model may stand there.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._stream = _stream(device, -1) if runs_beside(device) else None

    @contextmanager
    def __call__(self, after: bool) -> Iterator[None]:
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self._device):
            if after:
                self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                yield


@cache
def _stream(device: torch.device, priority: int) -> torch.cuda.Stream:
    """One for all who ask: libraries keep some memory for each stream that they were called on."""
    return torch.cuda.Stream(device, priority=priority)


_RECORDING = Lock()  # a recording begins with a wait for the device, which another thread's recording would not survive


class Recorder:
    """Makes calls that a device plays again as a whole (CUDA graphs), for devices that `can_capture`."""

    def __init__(self, device: torch.device):
        self._device, self._pool = device, None

    def record(self, call: Callable[[], None], restore: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """What plays a call again, after some calls to warm up; it must not outlive the tensors that the call saw.

        Args:
            restore: puts back what a call changes; run after each that warms up.
        """
        with _RECORDING, torch.cuda.device(self._device):
            stream = _stream(self._device, 0)
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    call()
                    restore()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # other threads may use the device meanwhile: a codec that decodes beside the model
            with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                call()
            self._pool = self._pool or graph.pool()
        return graph.replay
