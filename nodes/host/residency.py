"""How models stand in ComfyUI's memory manager; for handles.py alone."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any, cast

import comfy.model_management as management
import comfy.model_patcher
import torch

from ...higgs_runtime.hub import ModelKey, model_bytes, shared_cache

if TYPE_CHECKING:
    from ...higgs_runtime import HiggsModel

CACHE_SHARE = 0.8  # of each device's memory
RAM_CLAIM = 10**24  # bytes: more than any node asks ComfyUI for, less than the 1e30 of its "unload all"


def model_cache():
    """The process's model cache, under ComfyUI's memory manager from the first use on."""
    cache = shared_cache()
    if cache.residency is None:
        cache.residency = ComfyResidency(cache)
        devices = (torch.device("cpu"), management.get_torch_device())
        totals = {str(one): management.get_total_memory(one) for one in devices}
        cache.budget_bytes = {one: int(CACHE_SHARE * cast("int", total)) for one, total in totals.items()}
    return cache


class ComfyResidency:
    """Registers each cached model with ComfyUI's memory manager, and drops it when ComfyUI wants the memory back."""

    def __init__(self, cache):
        self._cache = cache
        self._patchers: dict[ModelKey, _Patcher] = {}
        self._retired: list[_Patcher] = []

    def admit(self, key: ModelKey, model: Any, work_bytes: int) -> None:
        self._retired.clear()
        patcher = self._patchers.get(key)
        if patcher is None:
            patcher = self._patchers[key] = _Patcher(key, model, lambda: self._cache.evict(key))
        if patcher.stays_on_cpu and patcher in management.loaded_models():
            return
        try:
            management.load_models_gpu([patcher], memory_required=0 if patcher.stays_on_cpu else work_bytes)
        except BaseException:  # out of memory: nothing of the model may stay, here or there
            self._cache.evict(key)
            raise
        patcher.claim_everything()

    def notes(self, model: HiggsModel) -> tuple[str, ...]:
        """That layers of a model have no room on its device and are brought over whenever they run, if that is so."""
        count = next((one.streamed for one in self._patchers.values() if one.model.weights is model), 0)
        if not count:
            return ()
        return (
            f"{count} of {len(model.layers)} layers have no room on the GPU and are brought over from ordinary "
            "memory at each step, which is slower. In int8 or int4, or with a shorter max_seconds, more of them "
            "fit.",
        )

    def dropped(self, key: ModelKey) -> None:
        patcher = self._patchers.pop(key, None)
        if patcher is not None:
            patcher.let_go()
            # ComfyUI is perhaps unloading this very patcher: it must outlive that call. It holds no weights any more.
            self._retired.append(patcher)
        _return_freed_memory()


class HiggsAudioWeights(torch.nn.Module):
    """What ComfyUI takes for the model. The weights can leave it while ComfyUI still holds it."""

    def __init__(self, weights: torch.nn.Module, device: torch.device):
        super().__init__()
        self.weights = weights
        self.device = device


class _Patcher(comfy.model_patcher.ModelPatcher):
    """Stands for one cached model in ComfyUI's memory manager.

    ComfyUI unloads by moving weights to the CPU's memory; here they go back to the disk they are mapped from. A model
    that is meant for the CPU while ComfyUI uses a GPU is registered with the GPU, so that "unload models" reaches it:
    as one that lies there already and is larger than all that another node could want freed. Asked for a part, it
    keeps its weights, which take no room there. (Under --disable-smart-memory ComfyUI always takes the whole.)
    """

    def __init__(self, key: ModelKey, model: Any, drop):
        module = model if isinstance(model, torch.nn.Module) else model.module
        device = torch.device(key.device)
        self.stays_on_cpu = management.is_device_cpu(device)
        self._may_stream = key.kind == "lm"
        self._drop = drop
        self._placement = None
        registered = management.get_torch_device() if self.stays_on_cpu else device
        self._takes_room = registered == device
        # While it is registered it asks for nothing: ComfyUI 0.33 would push others' pinned memory out for it.
        self._total = model_bytes(model) if self._takes_room else 0
        super().__init__(HiggsAudioWeights(module, registered), registered, torch.device("cpu"), size=self._total)

    def claim_everything(self) -> None:
        """From here on ComfyUI holds it: one that takes no room there is larger than anything others want freed."""
        if not self._takes_room and self.model.weights is not None:
            self._total = RAM_CLAIM

    @property
    def streamed(self) -> int:
        return self._placement.streamed if self._placement is not None else 0

    def model_size(self) -> int:
        return self._total

    def loaded_size(self) -> int:
        if self.stays_on_cpu:
            return self._total
        return self._placement.resident_bytes if self._placement is not None else 0

    def partially_load(self, device_to, extra_memory=0, force_patch_weights=False) -> int:
        weights, before = self.model.weights, self.loaded_size()
        if self.stays_on_cpu or weights is None or (before and (self.streamed == 0 or extra_memory <= 0)):
            return 0
        from ...higgs_runtime.model import Placement

        room, former = before + extra_memory, self._placement
        everything = room >= self._total or not self._may_stream
        self._placement = Placement(weights, device_to, None if everything else room)
        if former is not None:
            former.remove()
        return self.loaded_size() - before

    def partially_unload(self, device_to, memory_to_free=0, force_patch_weights=False) -> int:
        return 0 if self._takes_room else memory_to_free  # all or nothing: at 0 ComfyUI goes on to detach

    def detach(self, unpatch_all=True):
        # ComfyUI also detaches what it is about to load again, and what was deleted: with unpatch_all=False.
        if unpatch_all and self.model.weights is not None:
            self._drop()
        return self.model

    def let_go(self) -> None:
        """Forgets the weights."""
        if self._placement is not None:
            self._placement.remove()
            self._placement = None
        self.model.weights = None
        self._total = 0


def _return_freed_memory() -> None:
    """Has glibc give freed pages back to the system; elsewhere the allocators do so by themselves."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
