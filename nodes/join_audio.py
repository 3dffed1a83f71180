"""Join Audio: clips one after another."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import sockets
from .host.progress import raise_if_cancelled
from .host.schemas import node_schema
from .shared.batches import each
from .shared.growing_inputs import growing, without_gaps

MAX_CLIPS = 16


class HiggsJoinAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsJoinAudio",
            display_name="Join Audio (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            search_aliases=["concatenate audio", "append audio", "crossfade"],
            description="Lays clips end to end with crossfades, so that nothing clicks. They are resampled to the "
            "highest rate; a mono clip goes to all channels of the others. A list at the only input is joined whole; "
            "with several inputs the first clips of all lists are joined, then the second ones, and so on.",
            is_input_list=True,
            inputs=[
                io.Float.Input(
                    "crossfade",
                    default=0.02,
                    min=0.0,
                    max=60.0,
                    step=0.01,
                    tooltip="Seconds in which a clip and the next overlap, with equal power; 0 lays them edge to edge.",
                ),
                io.Float.Input(
                    "gap",
                    default=0.0,
                    min=0.0,
                    max=3600.0,
                    step=0.1,
                    tooltip="Seconds of silence between the clips; then their ends fade instead of overlapping.",
                ),
                io.Float.Input(
                    "trim_silence",
                    default=0.0,
                    min=0.0,
                    max=120.0,
                    step=1.0,
                    tooltip="First cuts both ends of each clip that are quieter than its loudest moment by this many "
                    "dB; 0 leaves them. 40 dB suits speech.",
                ),
                *growing(
                    MAX_CLIPS, lambda n: io.Audio.Input(f"audio_{n}", optional=True, tooltip=f"Clip {n} of the row.")
                ),
            ],
            outputs=[io.Audio.Output(display_name="audio", is_output_list=True, tooltip="The clips as one.")],
        )

    @classmethod
    def execute(cls, **lists) -> io.NodeOutput:
        from ..higgs_runtime import SettingError

        settings = {name: lists.pop(name) for name in ("crossfade", "gap", "trim_silence")}
        connected = without_gaps(lists, "audio_")
        if not connected:
            raise SettingError(
                "There is nothing to join.",
                expected="at least one clip",
                got="none",
                remedy="Connect an audio output to audio_0.",
            )
        if len(connected) == 1:
            return io.NodeOutput([joined(connected[0], **{name: values[0] for name, values in settings.items()})])
        made = []
        for number in range(max(map(len, connected))):
            raise_if_cancelled()
            chosen = {name: item(values, number) for name, values in settings.items()}
            made.append(joined([item(audios, number) for audios in connected], **chosen))
        return io.NodeOutput(made)


def item(values: list, number: int) -> Any:
    """The value of a list for an item; the last one goes on, as everywhere in ComfyUI. None of an empty list."""
    return values[min(number, len(values) - 1)] if values else None


def joined(audios: list, crossfade: float, gap: float, trim_silence: float) -> dict | None:
    """AUDIOs as one, those that are None (as from a film without sound) left out; None where all of them are."""
    from ..higgs_runtime.audio.clip import trim_silence as cut_silence
    from ..higgs_runtime.audio.mix import join

    def in_a_row(**clips):
        whole = [cut_silence(clip, trim_silence) if trim_silence else clip for clip in clips.values()]
        return join(whole, crossfade, gap)

    sounds = {f"audio_{number}": audio for number, audio in enumerate(audios) if audio is not None}
    return each(in_a_row, **sounds) if sounds else None
