"""Load Higgs LoRA: an adapter beside the weights of a language model."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from . import sockets
from .host import files, handles
from .host.schemas import node_schema
from .shared import checkpoints
from .shared.settings import setting_input


class HiggsLoadLoRA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsLoadLoRA",
            display_name="Load Higgs LoRA",
            category=f"{sockets.CATEGORY}/loaders",
            search_aliases=["lora", "adapter", "PEFT"],
            description="Adds a LoRA adapter (a folder in PEFT's format) to a language model. Several in a row add up. "
            "The model itself stays as it is, and is shared with nodes that use it without.",
            inputs=[
                sockets.Model.Input("model", tooltip="From Load Higgs Model, or from another Load Higgs LoRA."),
                io.Combo.Input(
                    "lora",
                    options=checkpoints.adapter_choices(),
                    tooltip="A folder with adapter_config.json and adapter_model.safetensors below models/higgs_audio; "
                    "press R after adding one.",
                ),
                setting_input("lora_strength"),
            ],
            outputs=[sockets.Model.Output(display_name="model", tooltip="For Higgs Generate.")],
        )

    @classmethod
    def validate_inputs(cls, lora) -> bool | str:
        return checkpoints.explain_adapter(lora)

    @classmethod
    def fingerprint_inputs(cls, lora, **_) -> str:
        return files.fingerprint(checkpoints.find_adapter(lora))

    @classmethod
    def execute(cls, model, lora, strength) -> io.NodeOutput:
        handles.check_here(model)
        path = checkpoints.find_adapter(lora)
        return io.NodeOutput(replace(model, adapters=(*model.adapters, (str(path), strength))))
