"""Duck Audio: a bed that goes down while somebody speaks."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared.batches import each
from .shared.ducking import ducking, ducking_inputs


class HiggsDuckAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsDuckAudio",
            display_name="Duck Audio (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            advanced=("attack", "hold", "release", "look_ahead", "threshold"),
            search_aliases=["sidechain", "duck music", "background music"],
            description="Lowers a bed while someone speaks in another clip. A speech detector decides, not the "
            "level (needs the extra 'asr').",
            inputs=[
                io.Audio.Input("bed", tooltip="What is lowered: music or atmosphere."),
                io.Audio.Input("speech", tooltip="The clip whose speech lowers the bed; both begin together."),
                io.Float.Input(
                    "depth",
                    default=12.0,
                    min=0.0,
                    max=80.0,
                    step=0.5,
                    tooltip="How far the bed is lowered, in dB.",
                ),
                *ducking_inputs(),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The bed alone, ducked; as long as it was.")],
        )

    @classmethod
    def execute(cls, bed, speech, depth, **values) -> io.NodeOutput:
        from ..higgs_runtime.audio.mix import duck

        how = ducking(depth, values)

        def ducked(bed, speech=None):
            return bed if speech is None else duck(bed, speech, how)

        return io.NodeOutput(each(ducked, bed=bed, speech=speech))
