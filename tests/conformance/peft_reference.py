"""What PEFT makes of adapters on transformers' model: run by tests in the environment that has PEFT.

    python peft_reference.py TASKS.pt ANSWERS.pt

For each task it makes an adapter with random matrices, saves it, and answers with the logits of the model with it.
"""

from __future__ import annotations

import sys

import torch


class Port(torch.nn.Module):
    """The modules of v3's port to transformers, under its names; called with embeddings."""

    def __init__(self, folder: str):
        import json
        from pathlib import Path

        from safetensors.torch import load_file
        from transformers import Qwen3Config, Qwen3Model

        super().__init__()
        settings = json.loads(Path(folder, "config.json").read_text())["text_config"]
        known = {name: value for name, value in settings.items() if value is not None and name != "model_type"}
        rope = {"rope_type": "default", "rope_theta": 1_000_000.0}
        self.config = Qwen3Config(**known, rope_parameters=rope)
        self.model = Qwen3Model(self.config)
        tensors = load_file(Path(folder, "model.safetensors"))
        body = {name.removeprefix("model."): one for name, one in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(body)
        self.audio_embedding = torch.nn.Embedding.from_pretrained(tensors["audio_embedding.weight"])
        self.audio_head = torch.nn.Linear(*self.audio_embedding.weight.shape[::-1], bias=False)
        self.audio_head.weight = self.audio_embedding.weight

    def forward(self, token_ids, **_):
        logits = self.audio_head(self.model(input_ids=token_ids).last_hidden_state)
        return type("Output", (), {"logits": logits})


def fresh_model(folder: str) -> torch.nn.Module:
    import json
    from pathlib import Path

    if "text_config" in json.loads(Path(folder, "config.json").read_text()):
        return Port(folder).eval()
    from transformers import HiggsAudioV2ForConditionalGeneration

    return HiggsAudioV2ForConditionalGeneration.from_pretrained(folder).eval()


def answer(task: dict) -> torch.Tensor:
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.tuners.lora import LoraLayer

    model = fresh_model(task["model"])
    for number, (name, settings) in enumerate(task["make"].items()):
        fresh = fresh_model(task["model"])
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
