"""Encode Audio: a clip as codes."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import handles, messages
from .host.audio import clip_from_audio
from .host.progress import Progress
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
                    tooltip="One clip. For a voice: 5 to 15 seconds of one speaker, without music.",
                ),
            ],
            outputs=[sockets.Codes.Output(display_name="codes", tooltip="For Higgs Voice or Decode Codes.")],
        )

    @classmethod
    def execute(cls, codec, audio) -> io.NodeOutput:
        from ..higgs_runtime.voices import encode_reference, inspect_reference

        clip = clip_from_audio(audio)
        messages.show_warnings(inspect_reference(clip).warnings)
        progress = Progress(1)
        with handles.open_model(codec, lambda model: model.encode_bytes(max(1.0, clip.seconds))) as model:
            codes = encode_reference(clip, model, on_progress=progress.update)
        progress.finish()
        return io.NodeOutput(codes)
