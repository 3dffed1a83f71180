"""Join Audio: clips one after another."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
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
            "highest rate; a mono clip goes to all channels of the others.",
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
            outputs=[io.Audio.Output(display_name="audio", tooltip="The clips as one.")],
        )

    @classmethod
    def execute(cls, crossfade, gap, trim_silence, **audios) -> io.NodeOutput:
        from ..higgs_runtime import SettingError
        from ..higgs_runtime.audio.clip import trim_silence as cut_silence
        from ..higgs_runtime.audio.mix import join

        connected = without_gaps(audios, "audio_")
        if not connected:
            raise SettingError(
                "There is nothing to join.",
                expected="at least one clip",
                got="none",
                remedy="Connect an audio output to audio_0.",
            )

        def joined(**clips):
            whole = clips.values()
            whole = [cut_silence(clip, trim_silence) for clip in whole] if trim_silence else list(whole)
            return join(whole, crossfade, gap)

        return io.NodeOutput(each(joined, **{f"audio_{n}": audio for n, audio in enumerate(connected)}))
