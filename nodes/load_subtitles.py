"""Load Subtitles: a script from SRT, WebVTT, ASS or SSA."""

from __future__ import annotations

from comfy_api.latest import io

from ..higgs_runtime.choices import FRAME_RATES
from . import sockets
from .host import files
from .host.schemas import node_schema
from .script import output_of, script_outputs
from .shared.settings import setting_input

UNKNOWN = "as they are"
RATES = {
    "from_fps": "Frames a second of the copy of the film that the subtitles were made for. With it, times such as "
    "00:01:02:12 (or ;12, drop-frame) count frames.",
    "to_fps": "Frames a second of your film: as 25 for subtitles of a copy with 23.976.",
}


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
                setting_input("subtitle_offset", optional=True),
                *(
                    io.Combo.Input(name, options=[UNKNOWN, *FRAME_RATES], default=UNKNOWN, optional=True, tooltip=tip)
                    for name, tip in RATES.items()
                ),
                io.Boolean.Input(
                    "dashes",
                    default=False,
                    optional=True,
                    tooltip="On: in a subtitle of two people without names, the line behind each dash is a turn of its "
                    "own, for References from Film. Off: the subtitle is one turn.",
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
    def execute(
        cls, file, descriptions=False, offset=0.0, from_fps=UNKNOWN, to_fps=UNKNOWN, dashes=False
    ) -> io.NodeOutput:
        from ..higgs_runtime import read_subtitles
        from ..higgs_runtime.script import Retiming

        rates = (None if rate == UNKNOWN else rate for rate in (from_fps, to_fps))
        timing = Retiming(offset, *rates)
        return output_of(
            read_subtitles(files.input_path(file), descriptions=descriptions, dashes=dashes, timing=timing)
        )
