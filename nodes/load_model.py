"""Load Higgs Model: names a language model and how to load it."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared import checkpoints


class HiggsLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsLoadModel",
            display_name="Load Higgs Model",
            category=f"{sockets.CATEGORY}/loaders",
            advanced=("device", "dtype"),
            search_aliases=["tts model", "Higgs TTS 3", "Higgs Audio", "model loader"],
            essentials_category="Audio",
            description="Chooses a Higgs Audio language model from models/higgs_audio. It is loaded when it first "
            "speaks, shared by all nodes that use it, and unloaded by ComfyUI's memory manager.",
            inputs=[
                *checkpoints.checkpoint_inputs(
                    "lm",
                    note="A checkpoint with a vocabulary of its own, as that one, speaks only those words.",
                    dtype_tooltip="Number format of the weights. auto: bfloat16 on a GPU that has it, and on a CPU if "
                    "the checkpoint is stored so, as the released ones are; else float32. bfloat16 halves the memory "
                    "of float32.",
                ),
                io.Combo.Input(
                    "quantization",
                    options=["off", "int8", "int4", "fp8"],
                    default="off",
                    optional=True,
                    tooltip="Packs the matrices of the layers into 8 or 4 bits while they are loaded. int8 takes half "
                    "of bfloat16 and sounds much the same; int4 takes a quarter and loses some quality. On a CPU both "
                    "are faster, with any dtype but float16; on a GPU int4 is slower. fp8: 8-bit floats, half of "
                    "bfloat16, for GPUs that multiply them (compute capability 8.9 and newer). off: as the checkpoint "
                    "has them; 8-bit floats stay so on such a GPU, unless dtype is float32.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model", tooltip="For Higgs Generate.")],
        )

    @classmethod
    def validate_inputs(cls, checkpoint) -> bool | str:
        return checkpoints.explain_choice("lm", checkpoint)

    @classmethod
    def fingerprint_inputs(cls, checkpoint, **_) -> str:
        return checkpoints.choice_fingerprint("lm", checkpoint)

    @classmethod
    def execute(cls, checkpoint, device, dtype, quantization="off") -> io.NodeOutput:
        packed = None if quantization == "off" else quantization
        return io.NodeOutput(checkpoints.choose_model("lm", checkpoint, device, dtype, packed))
