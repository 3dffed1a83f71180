"""Speak On: a recording goes on with new text, in its voice and its room."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .edit_speech import codes_or_reason, further_inputs, recording_inputs
from .host import messages
from .host.audio import audio_from_clip
from .host.schemas import node_schema
from .shared.recorded_speech import recording_of, speaking
from .shared.settings import setting_input


class HiggsSpeakOn(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsSpeakOn",
            display_name="Speak On (Higgs)",
            category=f"{sockets.CATEGORY}/edit",
            advanced=("temperature", "candidates", "language", "max_seconds"),
            search_aliases=["continue speech", "extend audio", "voice continuation", "outpaint speech"],
            description="Continues a recording with new text of any length: in its voice, in its room, after a pause "
            "of its own. The recording itself stays as it was.",
            inputs=[
                *recording_inputs(),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="What follows. A long text is spoken in pieces, cut at sentence ends.",
                ),
                setting_input("pause_s"),
                *further_inputs(candidates=2),
                setting_input(
                    "max_seconds",
                    optional=True,
                    tooltip="Stops a piece after this many seconds of audio, even in the middle of a word.",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The recording and what follows, at its own rate."),
                sockets.Codes.Output(display_name="codes", tooltip="The same as codes, where codes came in."),
                io.Audio.Output(display_name="continuation", tooltip="What follows alone, its pause included."),
                io.String.Output(display_name="transcript", tooltip="The last words of the recording, given or heard."),
                io.String.Output(
                    display_name="report",
                    tooltip="Until when the recording is untouched, where the new speech begins, what is heard of it.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model, codec, transcript, text, pause, audio=None, codes=None, consent="", max_seconds=30.0, **settings
    ) -> io.NodeOutput:
        from ..higgs_runtime.editing import speak_on
        from ..higgs_runtime.editing.speak_on import AT_ONCE

        source = recording_of(audio, codes)
        with speaking(model, codec, settings, max_seconds, AT_ONCE) as how:
            made = speak_on(source, transcript, text, how, pause_s=None if pause < 0 else pause)
        report = str(made)
        messages.show_text(report)
        return io.NodeOutput(
            audio_from_clip(made.clip, made.within),
            codes_or_reason(made.codes),
            audio_from_clip(made.continuation),
            made.transcript,
            report,
        )
