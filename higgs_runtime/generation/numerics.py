"""Where numbers went out of range, found by running a sequence once more with an eye on every part."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import NumericError
from ..model import HiggsModel
from ..types import Prompt


def out_of_range(model: HiggsModel, prompt: Prompt, rows: Tensor) -> NumericError:
    """The error to raise when the logits after a prompt and some delayed rows [R, K] were not finite."""
    part = first_broken_part(model, prompt, rows)
    return NumericError(
        "The language model computed numbers out of range.",
        expected="finite logits",
        got=f"NaN or infinity in {model.dtype} within {len(rows)} steps, "
        + (f"first in {part}" if part else "not seen a second time"),
        remedy="Load it in bfloat16 or float32; if that does not help, the weights are damaged: download them again.",
    )


@torch.no_grad()
def first_broken_part(model: HiggsModel, prompt: Prompt, rows: Tensor) -> str:
    """Name of the first module whose result is not finite when the sequence is read; empty if all are."""
    found: list[str] = []

    def watch(name: str):
        def look(_module, _inputs, output):
            if not found and isinstance(output, Tensor) and not bool(output.isfinite().all()):
                found.append(name)

        return look

    ids = torch.cat((prompt.token_ids, torch.full((len(rows),), model.config.audio_token_id)))
    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in model.named_modules()
        if name and not isinstance(module, torch.nn.ModuleList)
    ]
    try:
        model.logits(Prompt(ids, torch.cat((prompt.audio_rows, rows))))
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
