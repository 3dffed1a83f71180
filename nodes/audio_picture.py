"""Audio Picture: what a clip looks like, as an image and on the node."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from . import sockets
from .host.audio import clips_from_audio
from .host.progress import raise_if_cancelled
from .host.schemas import node_schema

KINDS = {"waveform": "waveform_picture", "mel spectrogram": "spectrogram_picture", "loudness": "loudness_picture"}


class HiggsAudioPicture(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def pixels(name: str, default: int, tooltip: str) -> io.Input:
            return io.Int.Input(name, default=default, min=64, max=8192, step=8, tooltip=tooltip)

        return node_schema(
            node_id="HiggsAudioPicture",
            display_name="Audio Picture (Higgs)",
            category=f"{sockets.CATEGORY}/mastering",
            search_aliases=["waveform", "spectrogram", "audio visualizer"],
            description="Draws a clip: its waveform, its mel spectrogram, or its loudness over time. Needs the extra "
            "'pictures'. The time line of a mix is an output of Mix Audio.",
            is_output_node=True,
            inputs=[
                io.Audio.Input("audio", tooltip="Clips of any length; each gives a picture."),
                io.Combo.Input(
                    "kind",
                    options=list(KINDS),
                    default="waveform",
                    tooltip="waveform: a row for each channel. mel spectrogram: 0 Hz to half the rate, the upper 80 "
                    "dB. loudness: of the 0.4 s and the 3 s before each moment, and of the whole, in LUFS.",
                ),
                pixels("width", 1024, "Width of the picture in pixels."),
                pixels("height", 512, "Height of the picture in pixels."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="A picture for each clip.")],
        )

    @classmethod
    def execute(cls, audio, kind, width, height) -> io.NodeOutput:
        from ..higgs_runtime.audio import plots

        pictures = []
        for clip in clips_from_audio(audio):
            raise_if_cancelled()
            pictures.append(getattr(plots, KINDS[kind])(clip, width, height))
        images = torch.stack(pictures)
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))
