"""Load Audio: an audio file, cut and levelled for use as a reference."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files
from .host.audio import audio_from_clip
from .host.schemas import node_schema

LEVELS = ["off", "peak", "loudness"]


class HiggsLoadAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsLoadAudio",
            display_name="Load Audio (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            advanced=("mono", "sample_rate", "level_target"),
            search_aliases=["open audio", "import audio", "trim audio", "reference audio"],
            description="Loads an audio file, or the sound of a video, from ComfyUI's input folder. Cuts, trims, "
            "resamples and levels it, in this order.",
            inputs=[
                io.Combo.Input(
                    "audio",
                    options=files.input_audio_choices(),
                    upload=io.UploadType.audio,
                    tooltip="The file. Upload one with the button below; the pack brings some clips to try.",
                ),
                io.Float.Input(
                    "start",
                    default=0.0,
                    min=0.0,
                    max=86_400.0,
                    step=0.01,
                    tooltip="Seconds to skip at the beginning.",
                ),
                io.Float.Input(
                    "duration",
                    default=0.0,
                    min=0.0,
                    max=86_400.0,
                    step=0.01,
                    tooltip="Seconds to keep; 0 keeps all. 5 to 15 seconds suit a reference voice.",
                ),
                io.Float.Input(
                    "trim_silence",
                    default=0.0,
                    min=0.0,
                    max=120.0,
                    step=1.0,
                    tooltip="Cuts both ends that are quieter than the loudest moment by this many dB; 0 leaves them."
                    " 40 dB suits speech.",
                ),
                io.Boolean.Input(
                    "mono",
                    default=True,
                    tooltip="Mixes all channels into one. The codec does so anyway.",
                ),
                io.Int.Input(
                    "sample_rate",
                    default=0,
                    min=0,
                    max=384_000,
                    step=50,
                    tooltip="Resamples to this rate in Hz; 0 keeps the file's. The codec resamples by itself.",
                ),
                io.Combo.Input(
                    "level",
                    options=LEVELS,
                    default="off",
                    tooltip="Brings the clip to an even level. peak: its highest sample. loudness: what it sounds "
                    "like (ITU-R BS.1770).",
                ),
                io.Float.Input(
                    "level_target",
                    default=-20.0,
                    min=-70.0,
                    max=0.0,
                    step=0.5,
                    tooltip="The level to reach: dBFS for peak (-1 is usual), LUFS for loudness (-20 suits speech).",
                ),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The clip.")],
        )

    @classmethod
    def fingerprint_inputs(cls, audio, **_) -> str:
        return files.fingerprint(files.input_path(audio))

    @classmethod
    def validate_inputs(cls, audio) -> bool | str:
        return files.explain_input(audio)

    @classmethod
    def execute(cls, audio, start, duration, trim_silence, mono, sample_rate, level, level_target) -> io.NodeOutput:
        from ..higgs_runtime import AudioClip
        from ..higgs_runtime.audio.clip import level_peak, resample, to_mono, trim_silence as cut_silence
        from ..higgs_runtime.audio.loudness.measure import level_loudness

        clip = AudioClip.load(files.input_path(audio), start_s=start, duration_s=duration or None)
        if trim_silence:
            clip = cut_silence(clip, trim_silence)
        if mono:
            clip = to_mono(clip)
        if sample_rate:
            clip = resample(clip, sample_rate)
        if level == "peak":
            clip = level_peak(clip, level_target)
        elif level == "loudness":
            clip = level_loudness(clip, level_target)
        return io.NodeOutput(audio_from_clip(clip))
