"""What PEFT makes of adapters on transformers' model: run by tests in the environment that has PEFT.

    python peft_reference.py TASKS.pt ANSWERS.pt

For each task it makes an adapter with random matrices, saves it, and answers with the logits of the model with it.
"""

from __future__ import annotations

import sys

import torch


def answer(task: dict) -> torch.Tensor:
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.tuners.lora import LoraLayer
    from transformers import HiggsAudioV2ForConditionalGeneration

    model = HiggsAudioV2ForConditionalGeneration.from_pretrained(task["model"]).eval()
    for number, (name, settings) in enumerate(task["make"].items()):
        fresh = HiggsAudioV2ForConditionalGeneration.from_pretrained(task["model"])
        torch.manual_seed(number)
        made = get_peft_model(fresh, LoraConfig(**settings))
        for key, weight in made.named_parameters():
            if "lora_" in key:
                weight.data.normal_(std=0.3)
        made.save_pretrained(f"{task['folder']}/{name}")
    names = list(task["use"])
    for name in names:
        if isinstance(model, PeftModel):
            model.load_adapter(f"{task['folder']}/{name}", name)
        else:
            model = PeftModel.from_pretrained(model, f"{task['folder']}/{name}", adapter_name=name)
    model.base_model.set_adapter(names)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            for name in set(names) & set(module.scaling):
                module.scaling[name] *= task["use"][name]
    with torch.no_grad():
        return model(**task["inputs"]).logits[0].float()


if __name__ == "__main__":
    asked, answered = sys.argv[1:]
    torch.save({name: answer(task) for name, task in torch.load(asked, weights_only=True).items()}, answered)
