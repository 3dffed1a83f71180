"""Load Subtitles: a script from SRT, WebVTT, ASS or SSA."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files
from .host.schemas import node_schema
from .script import output_of, script_outputs


class HiggsLoadSubtitles(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsLoadSubtitles",
            display_name="Load Subtitles",
            category=f"{sockets.CATEGORY}/script",
            search_aliases=["SRT", "VTT", "ASS", "captions", "dubbing"],
            description="Loads subtitles from ComfyUI's input folder as a script: each is a turn with its place "
            "in time.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=files.input_choices(".srt", ".vtt", ".ass", ".ssa"),
                    tooltip="SRT, WebVTT, ASS or SSA in UTF-8. Upload it with the button, or put it into ComfyUI's "
                    "input folder and press R.",
                ),
                io.Boolean.Input(
                    "descriptions",
                    default=False,
                    optional=True,
                    tooltip="On: descriptions for the deaf, as [door creaks] or (SIGHS), stay in the text. Off: they "
                    "are left out and listed in the report.",
                ),
            ],
            outputs=script_outputs(),
        )

    @classmethod
    def fingerprint_inputs(cls, file, **_) -> str:
        return files.fingerprint(files.input_path(file))

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return files.explain_input(file)

    @classmethod
    def execute(cls, file, descriptions=False) -> io.NodeOutput:
        from ..higgs_runtime import read_subtitles

        return output_of(read_subtitles(files.input_path(file), descriptions=descriptions))
