#!/usr/bin/env bash
# PEFT 0.21.2 saves a LoRA that was begun with the fast PiSSA ("pissa_niter_16"), and loads it as another one, silently.
#
# PiSSA takes what the adapter begins with out of the model's weights. save_pretrained writes the adapter alone, and
# from_pretrained repeats the beginning on the released weights, which the fast way does by a random projection: another one
# each time. Seen: what comes back is off by more than all that training changed, differs from load to load, and nothing warns;
# "pissa" (the full decomposition) and "gaussian" come back to the last digits. Saved with
# path_initial_model_for_weight_conversion (and the beginning kept), it is a plain LoRA. For a loader: an adapter whose
# init_lora_weights begins with "pissa", "olora", "corda", "loftq" or "lora_ga" is not one for the model as released, and
# W + s·BA of its two matrices is wrong without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q peft==0.21.2 torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn


class Net(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.q_proj = nn.Linear(64, 64, bias=False)
        self.q_proj.weight.data = weight.clone()

    def forward(self, x):
        return self.q_proj(x)


torch.manual_seed(0)
x, weight = torch.randn(8, 64), torch.randn(64, 64) / 8
odd = []
for begun in ("gaussian", "pissa", "pissa_niter_16"):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        settings = LoraConfig(r=8, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=begun)
        model = get_peft_model(Net(weight), settings)
        for name, parameter in model.named_parameters():
            if "lora_" in name:  # as training does
                parameter.data += 0.02 * torch.randn_like(parameter)
        trained = model(x).detach()
        folder = tempfile.mkdtemp()
        model.save_pretrained(folder)
        back = [PeftModel.from_pretrained(Net(weight), folder)(x).detach() for _ in range(2)]
    changed = float((trained - x @ weight.T).abs().max())
    off = [float((one - trained).abs().max()) for one in back]
    print(f"{begun}: training changed {changed:.3f}, loaded twice it is off by {off[0]:.4f} and {off[1]:.4f}; warnings: {len(said)}")
    odd.append(max(off) > changed and not said)
sys.exit(odd != [False, False, True])
PYTHON
