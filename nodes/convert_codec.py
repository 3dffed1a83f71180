"""Convert Higgs Codec: a codec written anew in half precision, in one file."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from . import sockets
from .convert_model import explain_name, new_folder, report
from .host import handles, messages
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema


class HiggsConvertCodec(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsConvertCodec",
            display_name="Convert Higgs Codec",
            category=f"{sockets.CATEGORY}/loaders",
            search_aliases=["convert codec", "half precision"],
            description="Writes a copy of a codec in half precision into models/higgs_audio: one safetensors file in "
            "place of model.pth, HuBERT or a whole v3. Codes keep their meaning.",
            is_output_node=True,
            inputs=[
                sockets.Codec.Input("codec", tooltip="From Load Higgs Codec: a Higgs codec in any layout, or v3's."),
                io.Combo.Input(
                    "dtype",
                    options=["float16", "bfloat16"],
                    default="float16",
                    tooltip="Number format of the weights, 2 bytes each; float16 keeps more digits. The codebooks stay "
                    "as they are. It is computed in what Load Higgs Codec says (auto: float32).",
                ),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the new folder: letters, digits, dots, dashes and underscores. Empty: the "
                    "name of the old one with the format behind it. Nothing is overwritten.",
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="Where the new folder is, and both sizes.")],
        )

    @classmethod
    def validate_inputs(cls, name) -> bool | str:
        return explain_name(name)

    @classmethod
    def execute(cls, codec, dtype, name) -> io.NodeOutput:
        from ..higgs_runtime.hub import convert_codec

        source = Path(codec.path)
        target = new_folder(name, source, dtype)
        raise_if_cancelled()
        messages.show_text(f"writing {target.name} …")
        progress = Progress(1)
        made = convert_codec(source, target, dtype=handles.DTYPES[dtype], on_progress=progress.update)
        return io.NodeOutput(report(source, made))
