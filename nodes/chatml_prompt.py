"""ChatML Prompt: what to say, in which voices, in which scene."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared.growing_inputs import growing, without_gaps

MAX_VOICES = 8
DEFAULT_SYSTEM = "Generate audio following instruction."


class HiggsChatMLPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsChatMLPrompt",
            display_name="Higgs ChatML Prompt",
            category=f"{sockets.CATEGORY}/prompt",
            search_aliases=["tts prompt", "speech prompt", "system prompt", "Higgs TTS 3", "voice clone"],
            description="The conversation that the model continues with speech. One voice: it speaks the text. "
            "Several: [SPEAKER0], [SPEAKER1] … in the text are voice_0, voice_1 ….",
            inputs=[
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    placeholder="[SPEAKER0] Hello. [SPEAKER1] Hi!",
                    tooltip="The text to speak. With several voices, [SPEAKERn] begins a turn of voice_n.",
                ),
                io.String.Input(
                    "system",
                    default=DEFAULT_SYSTEM,
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="The instruction to the model. The default is what it was trained with.",
                ),
                io.String.Input(
                    "scene",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    placeholder="Audio is recorded from a quiet room.",
                    tooltip="Where the scene is set, in words; may be empty.",
                ),
                *growing(MAX_VOICES, voice_input),
            ],
            outputs=[sockets.Prompt.Output(display_name="prompt", tooltip="For Higgs Generate.")],
        )

    @classmethod
    def execute(cls, text, system, scene, **voices) -> io.NodeOutput:
        from ..higgs_runtime import conversation

        return io.NodeOutput(conversation(text, without_gaps(voices, "voice_"), system=system, scene=scene))


def voice_input(n: int) -> io.Input:
    return sockets.Voice.Input(
        f"voice_{n}",
        optional=True,
        tooltip=f"Speaks [SPEAKER{n}], or everything if it is the only voice. From Higgs Voice.",
    )
