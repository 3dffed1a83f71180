"""Normalize Loudness: to what a platform asks for, with a limiter for the peaks."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import messages
from .host.schemas import node_schema
from .loudness import numbered
from .shared.batches import each

CUSTOM = "custom"


class HiggsNormalizeLoudness(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..higgs_runtime.choices import NORMS

        rows = "; ".join(f"{key}: {norm.title}" for key, norm in NORMS.items())
        return node_schema(
            node_id="HiggsNormalizeLoudness",
            display_name="Normalize Loudness (Higgs)",
            category=f"{sockets.CATEGORY}/mastering",
            search_aliases=["LUFS", "normalize", "ACX", "mastering", "loudness"],
            description="Brings clips to the loudness that a platform or broadcaster asks for; a true-peak limiter "
            "keeps the peaks below the ceiling.",
            inputs=[
                io.Audio.Input("audio", tooltip="Clips of any rate from 8000 Hz and 1 to 6 or 8 channels."),
                io.Combo.Input(
                    "preset",
                    options=[*NORMS, CUSTOM],
                    default="podcast",
                    tooltip=f"{rows}; custom: target and ceiling below.",
                ),
                io.Float.Input(
                    "target",
                    default=-16.0,
                    min=-70.0,
                    max=0.0,
                    step=0.5,
                    tooltip="Integrated loudness in LUFS; only for the preset custom.",
                ),
                io.Float.Input(
                    "ceiling",
                    default=-1.0,
                    min=-60.0,
                    max=0.0,
                    step=0.1,
                    tooltip="Highest true peak in dBTP; only for the preset custom.",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The clips, as long as they were."),
                io.String.Output(display_name="report", tooltip="Gain, limiting, the figures after it, the norms."),
            ],
        )

    @classmethod
    def execute(cls, audio, preset, target, ceiling) -> io.NodeOutput:
        from ..higgs_runtime import normalize_loudness
        from ..higgs_runtime.audio.loudness.targets import normalize_to, report_loudness

        reports = []

        def normalized(audio):
            done = normalize_loudness(audio, target, ceiling) if preset == CUSTOM else normalize_to(audio, preset)
            reports.append(
                f"Gain {done.gain_db:+.1f} dB, limiter at most {done.reduction_db:.1f} dB.\n"
                f"{report_loudness(done.clip)}"
            )
            return done.clip

        made = each(normalized, audio=audio)
        text = numbered(reports) if reports else "No sound."
        messages.show_text(text)
        return io.NodeOutput(made, text)
