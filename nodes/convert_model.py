"""Convert Higgs Model: a checkpoint written anew in 8 or 4 bits."""

from __future__ import annotations

import re
from pathlib import Path

from comfy_api.latest import io

from . import sockets
from .host import files, handles, messages
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema


class HiggsConvertModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsConvertModel",
            display_name="Convert Higgs Model",
            category=f"{sockets.CATEGORY}/loaders",
            advanced=("dtype",),
            search_aliases=["quantize", "int8", "int4", "convert model"],
            description="Writes a copy of a language model in 8 or 4 bits into models/higgs_audio. The new folder is "
            "smaller on the disk, loads faster, and needs no original. A v3 checkpoint keeps its codec, in float16.",
            is_output_node=True,
            inputs=[
                sockets.Model.Input("model", tooltip="From Load Higgs Model, with quantization off."),
                io.Combo.Input(
                    "quantization",
                    options=["int8", "int4"],
                    default="int8",
                    tooltip="int8 takes half of bfloat16 and sounds much the same; int4 takes a quarter and loses "
                    "some quality. On a CPU both are faster, with any dtype but float16; on a GPU int4 is slower.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=["bfloat16", "float16", "float32"],
                    default="bfloat16",
                    tooltip="Number format of what is not quantized (embeddings, heads, norms). Load the new folder "
                    "with the same one.",
                ),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the new folder: letters, digits, dots, dashes and underscores. Empty: the "
                    "name of the old one with the quantization behind it. Nothing is overwritten.",
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="Where the new folder is, and both sizes.")],
        )

    @classmethod
    def validate_inputs(cls, name) -> bool | str:
        return explain_name(name)

    @classmethod
    def execute(cls, model, quantization, dtype, name) -> io.NodeOutput:
        from ..higgs_runtime import SettingError, convert_model

        handles.check_here(model)
        if model.adapters:
            raise SettingError(
                "A LoRA cannot be converted.",
                expected="a model from Load Higgs Model",
                got=f"one with {len(model.adapters)} LoRA",
                remedy="Connect the loader itself; adapters work on the converted model, too.",
            )
        source = Path(model.path)
        target = new_folder(name, source, quantization)
        raise_if_cancelled()
        messages.show_text(f"writing {target.name} …")
        progress = Progress(1)
        made = convert_model(source, target, quantization, dtype=handles.DTYPES[dtype], on_progress=progress.update)
        return io.NodeOutput(report(source, made))


def explain_name(name: str | None) -> bool | str:
    """True if a new folder can have this name (or none), else why not; for validate_inputs."""
    fits = re.fullmatch(r"[\w.-]*", name or "") and not (name or "").startswith(".")
    return True if fits else f"'{name}' is no name for a folder: use letters, digits, dots, dashes, underscores."


def new_folder(name: str, source: Path, ending: str) -> Path:
    """Where a converted checkpoint goes: in the first models folder, under a name of its own.

    Raises:
        SettingError: it can have no such name.
    """
    from ..higgs_runtime import SettingError

    if explain_name(name) is not True:
        raise SettingError(
            "The new folder cannot be called that.",
            expected="letters, digits, dots, dashes or underscores",
            got=f"'{name}'",
            remedy="Choose another name, or leave it empty.",
        )
    return Path(files.model_folders()[0], name or f"{source.stem if source.is_file() else source.name}-{ending}")


def report(source: Path, made: Path) -> str:
    """Both sizes; shown on the node as well."""
    from ..higgs_runtime.hub import checkpoint_at, describe_checkpoint

    found = [checkpoint_at(path) for path in (source, made)]
    before, after = (describe_checkpoint(one).size if one else "?" for one in found)
    text = f"{made.name}: {after} instead of {before}. Press R to see it in the loader."
    messages.show_text(text)
    return text
