"""Voice: who speaks."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema


class HiggsVoice(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsVoice",
            display_name="Higgs Voice",
            category=f"{sockets.CATEGORY}/prompt",
            search_aliases=["voice clone", "reference voice", "speaker"],
            essentials_category="Audio",
            description="A voice to speak with: a reference clip and its words, or a description, or both.",
            inputs=[
                io.String.Input(
                    "transcript",
                    default="",
                    multiline=True,
                    placeholder="What the clip says, word for word.",
                    tooltip="The words spoken in the reference clip, exactly. Needed with codes; only Higgs "
                    "Audio v3 does without.",
                ),
                io.String.Input(
                    "description",
                    default="",
                    multiline=True,
                    placeholder="Warm female voice, British accent, slow.",
                    tooltip="The voice in words. Alone it invents a voice; in a dialogue it joins the scene.",
                ),
                sockets.Codes.Input(
                    "codes",
                    optional=True,
                    tooltip="The reference clip, from Encode Audio. Without it, the description is used alone.",
                ),
            ],
            outputs=[sockets.Voice.Output(display_name="voice", tooltip="For Higgs ChatML Prompt.")],
        )

    @classmethod
    def execute(cls, transcript, description, codes=None) -> io.NodeOutput:
        from ..higgs_runtime import Voice

        return io.NodeOutput(Voice(codes, transcript, description))
