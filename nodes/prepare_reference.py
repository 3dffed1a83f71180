"""Prepare Reference: the best seconds of a recording, and what is said in them."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files, messages
from .host.audio import audio_from_clip, clips_from_audio
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema
from .loudness import numbered
from .shared import recognizer_inputs

AUTO, NONE = "auto", "none"


class HiggsPrepareReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..higgs_runtime.verification import find_recognizers

        return node_schema(
            node_id="HiggsPrepareReference",
            display_name="Prepare Reference (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            advanced=("min_seconds", "max_seconds"),
            search_aliases=["reference audio", "clean voice", "denoise", "trim silence", "voice clone"],
            description="Finds the clearest seconds of a recording of one speaker, cuts them between words, brings "
            "them to an even level, writes down what is said, and reports noise and clipping.",
            inputs=[
                io.Audio.Input(
                    "audio", tooltip="A recording of one speaker; may be hours long. Of a batch, each clip is one."
                ),
                io.Combo.Input(
                    "recognizer",
                    options=[AUTO, NONE, *find_recognizers(files.model_folders())],
                    default=AUTO,
                    tooltip="Hears the words and their times (extra 'asr'). auto: the first one that there is. none: "
                    "cuts at pauses, and you type the transcript.",
                ),
                io.String.Input(
                    "language",
                    default="",
                    tooltip="Of the recording, as a code such as en, de or zh. Empty: the recognizer finds out.",
                ),
                io.Float.Input(
                    "min_seconds",
                    default=3.0,
                    min=0.5,
                    max=40.0,
                    step=0.5,
                    tooltip="Shortest result in seconds; shorter only where the recording has no more.",
                ),
                io.Float.Input(
                    "max_seconds",
                    default=15.0,
                    min=1.0,
                    max=60.0,
                    step=0.5,
                    tooltip="Longest result in seconds, at least one and a half times the shortest.",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", is_output_list=True, tooltip="The clip, mono. For Encode Audio."),
                io.String.Output(
                    display_name="transcript", is_output_list=True, tooltip="What is said in it. For Higgs Voice."
                ),
                io.String.Output(
                    display_name="report",
                    is_output_list=True,
                    tooltip="What was taken, levels, noise, clipping, warnings.",
                ),
            ],
        )

    @classmethod
    def execute(cls, audio, recognizer, language, min_seconds, max_seconds) -> io.NodeOutput:
        from ..higgs_runtime import prepare_reference
        from ..higgs_runtime.verification import find_recognizers

        if recognizer == AUTO:
            recognizer = next(iter(find_recognizers(files.model_folders())), NONE)
        ears = None if recognizer == NONE else recognizer_inputs.load_named(recognizer)
        made = []
        for clip in clips_from_audio(audio):
            raise_if_cancelled()
            progress = Progress(1)
            made.append(
                prepare_reference(
                    clip,
                    recognizer=ears,
                    language=language.strip() or None,
                    min_s=min_seconds,
                    max_s=max_seconds,
                    on_progress=progress.update,
                )
            )
            progress.finish()
        reports = [str(one.report) for one in made]
        messages.show_text(numbered(reports))
        return io.NodeOutput([audio_from_clip(one.clip) for one in made], [one.transcript for one in made], reports)
