"""Loudness: how loud clips are, and which norms they meet."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import messages
from .host.audio import clips_from_audio
from .host.progress import raise_if_cancelled
from .host.schemas import node_schema


class HiggsLoudness(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsLoudness",
            display_name="Loudness (Higgs)",
            category=f"{sockets.CATEGORY}/mastering",
            search_aliases=["LUFS", "EBU R128", "meter", "true peak"],
            description="Measures loudness (BS.1770, EBU R 128), range and true peak, and says which norms of "
            "platforms and broadcasters a clip meets, and what it lacks for the others.",
            is_output_node=True,
            inputs=[io.Audio.Input("audio", tooltip="Clips of 1 to 6 or 8 channels, at 8000 Hz or more.")],
            outputs=[
                io.String.Output(display_name="report", tooltip="The figures, and a line for each norm."),
                io.Float.Output(
                    display_name="integrated",
                    is_output_list=True,
                    tooltip="Loudness of each clip in LUFS; -inf for silence.",
                ),
                io.Float.Output(display_name="range", is_output_list=True, tooltip="Loudness range of each in LU."),
                io.Float.Output(
                    display_name="true_peak", is_output_list=True, tooltip="Highest true peak of each in dBTP."
                ),
            ],
        )

    @classmethod
    def execute(cls, audio) -> io.NodeOutput:
        from ..higgs_runtime.audio.loudness.targets import report_loudness

        reports = []
        for clip in clips_from_audio(audio):
            raise_if_cancelled()
            reports.append(report_loudness(clip))
        text = numbered(map(str, reports))
        messages.show_text(text)
        return io.NodeOutput(
            text, *(list(one) for one in zip(*(report.loudness[:3] for report in reports), strict=True))
        )


def numbered(texts) -> str:
    """One text for a batch: each with the number of its clip, if there are several."""
    texts = list(texts)
    return texts[0] if len(texts) == 1 else "\n\n".join(f"Clip {n}. {text}" for n, text in enumerate(texts))
