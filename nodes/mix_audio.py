"""Mix Audio: clips laid over each other on a time line."""

from __future__ import annotations

from comfy_api.latest import io

from . import bridge, sockets
from .growing import growing

MAX_TRACKS = 8


class HiggsMixAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HiggsMixAudio",
            display_name="Mix Audio (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            description="Lays clips over each other: start, gain, pan and fades for each. All are resampled to the "
            "highest rate; the mix is turned down as a whole if it would clip, unless clipping is allowed.",
            inputs=[
                io.Boolean.Input(
                    "allow_clipping", default=False,
                    tooltip="Off: a mix beyond full scale is turned down as a whole. On: what exceeds it is cut off.",
                ),
                io.Int.Input(
                    "sample_rate", default=0, min=0, max=384_000, step=50,
                    tooltip="Rate of the mix in Hz; 0: the highest of the tracks.",
                ),
                *growing(MAX_TRACKS, track_inputs),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The mix: mono if nothing is panned or stereo.")],
        )

    @classmethod
    def execute(cls, allow_clipping, sample_rate, **values) -> io.NodeOutput:
        from ..higgs_runtime import SettingError, mix

        tracks = [track(values, number) for number in range(MAX_TRACKS) if values.get(f"track_{number}") is not None]
        if not tracks:
            raise SettingError("There is nothing to mix.", expected="at least one track", got="none",
                               remedy="Connect an audio output to track_0.")
        return io.NodeOutput(bridge.audio_from_clip(mix(tracks, sample_rate or None, allow_clipping=allow_clipping)))


def track_inputs(n: int) -> list[io.Input]:
    """The inputs of one track; the settings are optional, so that graphs from scripts may leave them out."""
    return [
        io.Audio.Input(f"track_{n}", optional=True, tooltip=f"Clip of track {n}."),
        io.Float.Input(
            f"start_{n}", optional=True, default=0.0, min=0.0, max=86_400.0, step=0.1,
            tooltip=f"When track {n} begins, in seconds.",
        ),
        io.Float.Input(
            f"gain_{n}", optional=True, default=0.0, min=-60.0, max=24.0, step=0.5,
            tooltip=f"Volume of track {n} in dB; 0 leaves it, -6 halves it.",
        ),
        io.Float.Input(
            f"pan_{n}", optional=True, default=0.0, min=-1.0, max=1.0, step=0.05,
            tooltip=f"Place of track {n}: -1 left, 0 middle, 1 right.",
        ),
        io.Float.Input(
            f"fade_in_{n}", optional=True, default=0.0, min=0.0, max=600.0, step=0.1,
            tooltip=f"Seconds in which track {n} comes up.",
        ),
        io.Float.Input(
            f"fade_out_{n}", optional=True, default=0.0, min=0.0, max=600.0, step=0.1,
            tooltip=f"Seconds in which track {n} fades at its end.",
        ),
    ]


def track(values: dict, n: int):
    """The Track of number n from the node's inputs."""
    from ..higgs_runtime import Track

    return Track(
        bridge.clip_from_audio(values[f"track_{n}"]), start_s=values.get(f"start_{n}", 0.0),
        gain_db=values.get(f"gain_{n}", 0.0), pan=values.get(f"pan_{n}", 0.0),
        fade_in_s=values.get(f"fade_in_{n}", 0.0), fade_out_s=values.get(f"fade_out_{n}", 0.0),
    )
