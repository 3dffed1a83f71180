"""Load Higgs Codec: names a codec and how to load it."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared import checkpoints


class HiggsLoadCodec(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsLoadCodec",
            display_name="Load Higgs Codec",
            category=f"{sockets.CATEGORY}/loaders",
            advanced=("device", "dtype"),
            search_aliases=["audio tokenizer", "codec loader"],
            description="Chooses the codec (the Higgs audio tokenizer, or a DAC weights file) from "
            "models/higgs_audio. It turns audio into codes and codes into audio.",
            inputs=checkpoints.checkpoint_inputs(
                "codec",
                note="Leave both loaders on auto, or neither.",
                dtype_tooltip="Number format of the weights. auto: float32, as the codec was trained; it is small.",
            ),
            outputs=[sockets.Codec.Output(display_name="codec", tooltip="For Encode Audio and Decode Codes.")],
        )

    @classmethod
    def validate_inputs(cls, checkpoint) -> bool | str:
        return checkpoints.explain_choice("codec", checkpoint)

    @classmethod
    def fingerprint_inputs(cls, checkpoint, **_) -> str:
        return checkpoints.choice_fingerprint("codec", checkpoint)

    @classmethod
    def execute(cls, checkpoint, device, dtype) -> io.NodeOutput:
        return io.NodeOutput(checkpoints.choose_model("codec", checkpoint, device, dtype))
