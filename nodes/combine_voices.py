"""Combine Voices: several references for one voice."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared.growing_inputs import growing, without_gaps

MAX_VOICES = 8


class HiggsCombineVoices(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsCombineVoices",
            display_name="Combine Higgs Voices",
            category=f"{sockets.CATEGORY}/voice",
            search_aliases=["voices", "multi speaker", "dialogue voices"],
            description="One voice from several references of the same speaker: the model hears them all. Every "
            "second of reference makes the prompt 25 frames longer.",
            inputs=growing(MAX_VOICES, voice_input),
            outputs=[sockets.Voice.Output(display_name="voice", tooltip="For Higgs ChatML Prompt, Save Higgs Voice.")],
        )

    @classmethod
    def execute(cls, **voices) -> io.NodeOutput:
        from ..higgs_runtime.types import combine_voices

        return io.NodeOutput(combine_voices(without_gaps(voices, "voice_")))


def voice_input(n: int) -> io.Input:
    return sockets.Voice.Input(
        f"voice_{n}", optional=True, tooltip=f"Reference {n} of the speaker. From Higgs Voice or Load Higgs Voice."
    )
