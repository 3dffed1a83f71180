"""Encode Audio: a clip as codes."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import handles, messages
from .host.audio import clips_from_audio
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema


class HiggsEncodeAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsEncodeAudio",
            display_name="Encode Audio (Higgs)",
            category=f"{sockets.CATEGORY}/codec",
            search_aliases=["encode audio", "audio to codes", "audio tokenizer"],
            description="Turns a clip into codes: the Higgs codec makes 25 frames of 8 ids a second. Any rate and "
            "channel count will do.",
            inputs=[
                sockets.Codec.Input("codec", tooltip="From Load Higgs Codec."),
                io.Audio.Input(
                    "audio",
                    tooltip="A clip, or a batch of them. For a voice: 5 to 15 seconds of one speaker, without music.",
                ),
            ],
            outputs=[
                sockets.Codes.Output(
                    display_name="codes",
                    is_output_list=True,
                    tooltip="For Higgs Voice or Decode Codes; of a batch a list, an item for each clip.",
                )
            ],
        )

    @classmethod
    def execute(cls, codec, audio) -> io.NodeOutput:
        from ..higgs_runtime.voices import encode_reference, inspect_reference

        clips, made = clips_from_audio(audio), []
        messages.show_warnings(numbered_lines([inspect_reference(clip).warnings for clip in clips]))
        longest = max(1.0, *(clip.seconds for clip in clips))
        with handles.open_model(codec, lambda model: model.encode_bytes(longest)) as model:
            for clip in clips:
                raise_if_cancelled()
                progress = Progress(1)
                made.append(encode_reference(clip, model, on_progress=progress.update))
                progress.finish()
        return io.NodeOutput(made)


def numbered_lines(of_clips) -> list[str]:
    """The lines of all clips, with the number of the clip if there are several."""
    if len(of_clips) == 1:
        return list(of_clips[0])
    return [f"Clip {number}. {line}" for number, lines in enumerate(of_clips) for line in lines]
