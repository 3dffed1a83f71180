"""Mix Audio: clips laid over each other on a time line."""

from __future__ import annotations

import math
from typing import Any

from comfy_api.latest import io, ui

from . import sockets
from .host import messages
from .host.schemas import node_schema
from .shared.batches import each
from .shared.ducking import ducking, ducking_inputs
from .shared.growing_inputs import growing
from .shared.mix_view import mix_view

MAX_TRACKS = 8
FADES = ["linear", "equal_power", "s_curve"]


class HiggsMixAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsMixAudio",
            display_name="Mix Audio (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            advanced=("allow_clipping", "sample_rate"),
            shown_again=True,
            search_aliases=["mixer", "multitrack", "timeline", "overlay audio"],
            description="Lays clips over each other: start, gain, pan, fades, loops and ducking for each. All are "
            "resampled to the highest rate; the mix is turned down as a whole if it would clip (unless allowed).",
            inputs=[
                io.Boolean.Input(
                    "allow_clipping",
                    default=False,
                    tooltip="Off: a mix beyond full scale is turned down as a whole. On: what exceeds it is cut off.",
                ),
                io.Int.Input(
                    "sample_rate",
                    default=0,
                    min=0,
                    max=384_000,
                    step=50,
                    tooltip="Rate of the mix in Hz; 0: the highest of the tracks.",
                ),
                *growing(MAX_TRACKS, track_inputs),
                *shared_inputs(),
                *growing(MAX_TRACKS, later_inputs),
                io.Boolean.Input(
                    "show_timeline",
                    optional=True,
                    default=False,
                    tooltip="Draws the tracks as they lie in the mix, on the node and for the output timeline. Needs "
                    "the extra 'pictures'.",
                ),
                io.Float.Input(
                    "frame_rate",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.001,
                    tooltip="0: starts count in seconds. Else they count in frames, so many a second: 25 for codes of "
                    "Higgs, 24 or 30 for a film.",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The mix: mono if nothing is panned or stereo."),
                io.Image.Output(
                    display_name="timeline",
                    tooltip="A picture of the tracks (of the first mix of a batch), with show_timeline.",
                ),
            ],
        )

    @classmethod
    def execute(cls, allow_clipping, sample_rate, **values) -> io.NodeOutput:
        from ..higgs_runtime import SettingError
        from ..higgs_runtime.audio.mix import mix_with_report
        from ..higgs_runtime.audio.plots import timeline_picture

        connected = [number for number in range(MAX_TRACKS) if f"track_{number}" in values]
        numbers = [number for number in connected if values[f"track_{number}"] is not None]
        if connected and not numbers:  # as from films without sound
            return io.NodeOutput(None, messages.left_out("There is no sound in the tracks of Mix Audio."))
        if not numbers:
            raise SettingError(
                "There is nothing to mix.",
                expected="at least one track",
                got="none",
                remedy="Connect an audio output to track_0.",
            )
        first = []  # the tracks of the first mix, and its report

        def mixed(**clips):
            tracks = [track(clips[f"track_{number}"], values, number, numbers) for number in numbers]
            report = mix_with_report(
                tracks, sample_rate or None, channels=values.get("channels") or None, allow_clipping=allow_clipping
            )
            if not first:
                first.append((tracks, report))
            return report.clip

        audio = each(mixed, **{f"track_{number}": values[f"track_{number}"] for number in numbers})
        [(tracks, report)] = first
        shown = {"higgs_mix": [mix_view(tracks, numbers, report)]}
        if not values.get("show_timeline"):
            return io.NodeOutput(audio, messages.left_out("Switch show_timeline on in Mix Audio."), ui=shown)
        picture = timeline_picture(tracks, [f"track {number}" for number in numbers])[None]
        return io.NodeOutput(audio, picture, ui={**ui.PreviewImage(picture, cls=cls).as_dict(), **shown})


def track_inputs(n: int) -> list[io.Input]:
    """The inputs of one track; the settings are optional, so that graphs from scripts may leave them out."""
    return [
        io.Audio.Input(f"track_{n}", optional=True, tooltip=f"Clip of track {n}."),
        io.Float.Input(
            f"start_{n}",
            optional=True,
            default=0.0,
            min=-86_400.0,
            max=86_400.0,
            step=0.01,
            tooltip=f"When track {n} begins, in seconds (in frames with frame_rate); negative only after another "
            "track.",
        ),
        io.Float.Input(
            f"gain_{n}",
            optional=True,
            default=0.0,
            min=-60.0,
            max=24.0,
            step=0.5,
            tooltip=f"Volume of track {n} in dB; 0 leaves it, -6 halves it.",
        ),
        io.Float.Input(
            f"pan_{n}",
            optional=True,
            default=0.0,
            min=-1.0,
            max=1.0,
            step=0.05,
            tooltip=f"Place of track {n}: -1 left, 0 middle, 1 right.",
        ),
        io.Float.Input(
            f"fade_in_{n}",
            optional=True,
            default=0.0,
            min=0.0,
            max=600.0,
            step=0.01,
            tooltip=f"Seconds in which track {n} comes up.",
        ),
        io.Float.Input(
            f"fade_out_{n}",
            optional=True,
            default=0.0,
            min=0.0,
            max=600.0,
            step=0.01,
            tooltip=f"Seconds in which track {n} fades at its end.",
        ),
    ]


def shared_inputs() -> list[io.Input]:
    """What came later and holds for all tracks. Later inputs stand last: saved graphs know widgets by their place."""
    return [
        io.Boolean.Input(
            "more_settings",
            optional=True,
            default=False,
            tooltip="Shows the settings below: order, trimming, loops, mute, solo, ducking. What is set acts anyway.",
        ),
        io.Int.Input(
            "channels",
            optional=True,
            default=0,
            min=0,
            max=64,
            tooltip="Channels of the mix; 0: stereo as soon as a track is stereo or panned, else mono. Tracks with as "
            "many channels go channel to channel.",
        ),
        io.Float.Input(
            "trim_silence",
            optional=True,
            default=0.0,
            min=0.0,
            max=120.0,
            step=1.0,
            tooltip="Cuts both ends of every track that are quieter than its loudest moment by this many dB; 0 leaves "
            "them. 40 dB suits speech.",
        ),
        *ducking_inputs("duck_", optional=True),
    ]


def later_inputs(n: int) -> list[io.Input]:
    """What came later for each track."""
    return [
        io.Int.Input(
            f"after_{n}",
            optional=True,
            default=-1,
            min=-1,
            max=MAX_TRACKS - 1,
            tooltip=f"Number of the track after whose end the start of track {n} counts (negative overlaps); -1: from "
            "the start of the mix.",
        ),
        io.Float.Input(
            f"trim_start_{n}",
            optional=True,
            default=0.0,
            min=0.0,
            max=86_400.0,
            step=0.01,
            tooltip=f"Seconds of track {n} to leave out at its beginning.",
        ),
        io.Float.Input(
            f"trim_end_{n}",
            optional=True,
            default=0.0,
            min=0.0,
            max=86_400.0,
            step=0.01,
            tooltip=f"Seconds of track {n} to leave out at its end.",
        ),
        io.Combo.Input(
            f"fade_shape_{n}",
            optional=True,
            options=FADES,
            default=FADES[0],
            tooltip=f"How track {n} fades. equal_power suits crossfades of different sounds, s_curve of the same.",
        ),
        io.Float.Input(
            f"loop_{n}",
            optional=True,
            default=0.0,
            min=-1.0,
            max=86_400.0,
            step=0.01,
            tooltip=f"Repeats track {n}, or cuts it, to this many seconds; 0 plays it once, -1 repeats it to the end "
            "of the mix.",
        ),
        io.Boolean.Input(
            f"mute_{n}", optional=True, default=False, tooltip=f"Track {n} is not heard, and keeps its place."
        ),
        io.Boolean.Input(
            f"solo_{n}", optional=True, default=False, tooltip=f"Only track {n} is heard, and others with solo."
        ),
        io.Float.Input(
            f"duck_{n}",
            optional=True,
            default=0.0,
            min=0.0,
            max=80.0,
            step=0.5,
            tooltip=f"How far track {n} goes down, in dB, while another speaks; 0: not. Needs the extra 'asr'.",
        ),
    ]


def track(clip, values: dict, n: int, numbers: list[int]):
    """The Track of number n from the node's inputs; `numbers` are those of all connected tracks, in order."""
    from ..higgs_runtime import SettingError, Track
    from ..higgs_runtime.audio.clip import trim_silence as cut_silence

    def setting(name: str, default: Any = 0.0) -> Any:
        return values.get(f"{name}_{n}", default)

    after, loop, depth = setting("after", -1), setting("loop"), setting("duck")
    if after != -1 and after not in numbers:
        raise SettingError(
            f"Track {n} comes after a track that is not connected.",
            expected=" or ".join(f"{one}" for one in numbers if one != n) or "-1",
            got=str(after),
            remedy=f"Set after_{n} to one of these, or to -1.",
        )
    if values.get("trim_silence"):
        clip = cut_silence(clip, values["trim_silence"])
    return Track(
        clip,
        start_s=setting("start") / (values.get("frame_rate") or 1),
        gain_db=setting("gain"),
        pan=setting("pan"),
        fade_in_s=setting("fade_in"),
        fade_out_s=setting("fade_out"),
        fade_shape=setting("fade_shape", FADES[0]),
        trim_start_s=setting("trim_start"),
        trim_end_s=setting("trim_end"),
        loop_s=math.inf if loop < 0 else loop or None,
        after=None if after == -1 else numbers.index(after),
        mute=setting("mute", False),
        solo=setting("solo", False),
        duck=ducking(depth, values, "duck_") if depth else None,
    )
