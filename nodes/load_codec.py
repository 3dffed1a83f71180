"""Load Higgs Codec: names a codec and how to load it."""

from __future__ import annotations

from comfy_api.latest import io

from . import bridge, sockets


class HiggsLoadCodec(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HiggsLoadCodec",
            display_name="Load Higgs Codec",
            category=f"{sockets.CATEGORY}/loaders",
            description="Chooses the codec (the Higgs audio tokenizer, or a DAC weights file) from "
            "models/higgs_audio. It turns audio into codes and codes into audio.",
            inputs=checkpoint_inputs(
                "codec",
                dtype_tooltip="Number format of the weights. auto: float32, as the codec was trained; it is small.",
            ),
            outputs=[sockets.Codec.Output(display_name="codec", tooltip="For Encode Audio and Decode Codes.")],
        )

    @classmethod
    def validate_inputs(cls, checkpoint) -> bool | str:
        return bridge.explain_choice("codec", checkpoint)

    @classmethod
    def fingerprint_inputs(cls, checkpoint, **_) -> str:
        return bridge.checkpoint_fingerprint("codec", checkpoint)

    @classmethod
    def execute(cls, checkpoint, device, dtype) -> io.NodeOutput:
        return io.NodeOutput(bridge.choose_model("codec", checkpoint, device, dtype))


def checkpoint_inputs(kind: str, dtype_tooltip: str) -> list[io.Input]:
    """What to load and how: the inputs that both loaders share."""
    return [
        io.Combo.Input(
            "checkpoint", options=bridge.checkpoint_choices(kind),
            tooltip=f"A {bridge.KIND_NAMES[kind]} in models/{bridge.MODEL_FOLDER} or in a folder of "
            "extra_model_paths.yaml. A folder that lacks files says which; press R after adding files.",
        ),
        io.Combo.Input(
            "device", options=bridge.DEVICES, default="auto",
            tooltip="Where it runs. auto: the device ComfyUI uses. gpu: fails if there is none. cpu: leaves the GPU to "
            "other nodes.",
        ),
        io.Combo.Input("dtype", options=list(bridge.DTYPES), default="auto", tooltip=dtype_tooltip),
    ]
