"""Decode Codes: codes as audio."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import handles
from .host.audio import audio_from_clip
from .host.progress import Progress
from .host.schemas import node_schema
from .shared import live


class HiggsDecodeCodes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsDecodeCodes",
            display_name="Decode Codes (Higgs)",
            category=f"{sockets.CATEGORY}/codec",
            search_aliases=["decode audio", "codes to audio", "vocoder", "tokenizer decode"],
            description="Turns codes into audio, with the codec that made them or that the model was trained with.",
            inputs=[
                sockets.Codec.Input("codec", tooltip="From Load Higgs Codec."),
                sockets.Codes.Input("codes", tooltip="From Higgs Generate or Encode Audio."),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="Mono, at the codec's rate (24 kHz for Higgs).")],
        )

    @classmethod
    def execute(cls, codec, codes) -> io.NodeOutput:
        from ..higgs_runtime.speech import decode_pieces

        progress = Progress(codes.frames)
        with handles.open_model(codec, lambda model: model.decode_bytes(codes.seconds)) as model:
            clip = decode_pieces(model, codes, on_progress=progress.update)
        live.settle(codes, clip)
        progress.finish()
        return io.NodeOutput(audio_from_clip(clip))
