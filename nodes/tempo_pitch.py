"""Change Tempo and Pitch: each without the other."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared.batches import each


class HiggsTempoPitch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsTempoPitch",
            display_name="Change Tempo and Pitch (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            search_aliases=["time stretch", "speed", "pitch shift", "tempo"],
            description="Makes a clip faster or slower at the same pitch, and higher or lower at the same tempo (needs "
            "the extra 'sound').",
            inputs=[
                io.Audio.Input("audio", tooltip="Clips of 8000 Hz or more, any number of channels."),
                io.Float.Input(
                    "tempo",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.05,
                    tooltip="Times the speed: 2 is twice as fast and half as long, 1 leaves it.",
                ),
                io.Float.Input(
                    "semitones",
                    default=0.0,
                    min=-24.0,
                    max=24.0,
                    step=0.5,
                    tooltip="How much higher, in semitones; 12 is an octave, negative is lower, 0 leaves it.",
                ),
                io.Boolean.Input(
                    "keep_formants",
                    default=True,
                    tooltip="On: vowels keep their colour when the pitch changes, as if the same mouth spoke.",
                ),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The clips, their length divided by the tempo.")],
        )

    @classmethod
    def execute(cls, audio, tempo, semitones, keep_formants) -> io.NodeOutput:
        from ..higgs_runtime.audio.stretch import change_pitch, change_tempo

        return io.NodeOutput(
            each(lambda audio: change_pitch(change_tempo(audio, tempo), semitones, keep_formants), audio=audio)
        )
