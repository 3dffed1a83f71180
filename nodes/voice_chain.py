"""Voice Chain: what a voice goes through before it is mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import sockets
from .host.schemas import node_schema
from .shared.batches import each

if TYPE_CHECKING:
    from ..higgs_runtime import AudioClip

OFF = "off"


class HiggsVoiceChain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsVoiceChain",
            display_name="Voice Chain (Higgs)",
            category=f"{sockets.CATEGORY}/audio",
            advanced=("ratio", "makeup", "room_seconds"),
            search_aliases=["equalizer", "compressor", "de-esser", "effects", "EQ"],
            description="High-pass, gate, de-esser, compressor, equalizer, character and room, in this order; each is "
            "off until it is set. Gate, de-esser and compressor need the extra 'sound'.",
            inputs=[io.Audio.Input("audio", tooltip="Clips of any rate and number of channels."), *settings()],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The clips; longer by the room's tail.")],
        )

    @classmethod
    def execute(cls, audio, impulse=None, **settings) -> io.NodeOutput:
        chain = VoiceChain(**settings)

        def processed(audio, impulse=None):
            return chain.processed(audio, impulse)

        return io.NodeOutput(each(processed, audio=audio, impulse=impulse))


@dataclass(frozen=True, kw_only=True)
class VoiceChain:
    """The settings of the node, under the names of its inputs."""

    high_pass: float
    gate: float
    de_ess: float
    compress: float
    ratio: float
    makeup: float
    eq: str
    character: str
    room: float
    room_seconds: float

    def processed(self, clip: AudioClip, impulse: AudioClip | None) -> AudioClip:
        """The clip after all that is on."""
        from ..higgs_runtime.audio import effects
        from ..higgs_runtime.audio.clip import to_mono

        if self.high_pass:
            clip = effects.high_pass(clip, self.high_pass)
        if self.gate:
            clip = effects.gate(clip, self.gate)
        if self.de_ess:
            clip = effects.de_ess(clip, self.de_ess)
        if self.compress:
            clip = effects.compress(clip, self.compress, self.ratio, makeup_db=self.makeup)
        if self.eq != OFF:
            clip = effects.equalize(clip, effects.EQ_PRESETS[self.eq])
        if self.character != OFF:
            clip = effects.character(clip, self.character)
        if self.room:
            echo = impulse or effects.synthetic_room(self.room_seconds, clip.sample_rate, min(clip.channels, 2))
            fits = echo.channels in (1, clip.channels) or clip.channels == 1
            clip = effects.room(clip, echo if fits else to_mono(echo), self.room)
        return clip


def settings() -> list[io.Input]:
    from ..higgs_runtime.audio.effects import CHARACTERS, EQ_PRESETS

    def threshold(name: str, tooltip: str) -> io.Input:
        return io.Float.Input(name, default=0.0, min=-100.0, max=0.0, step=0.5, tooltip=tooltip)

    presets = "; ".join(f"{name}: {', '.join(map(str, bands))}" for name, bands in EQ_PRESETS.items())
    devices = "; ".join(f"{name}: {one.low_hz:g} to {one.high_hz:g} Hz" for name, one in CHARACTERS.items())
    return [
        io.Float.Input(
            "high_pass",
            default=80.0,
            min=0.0,
            max=2000.0,
            step=5.0,
            tooltip="Takes away what lies below this frequency in Hz: rumble and pops. 0: off.",
        ),
        threshold(
            "gate",
            "Turns down what is quieter than this many dBFS, 4 dB for each: noise between words. "
            "-50 suits clean speech; 0: off.",
        ),
        threshold(
            "de_ess",
            "Compresses s and sh, the part above 6000 Hz, beyond this many dBFS. -32 suits speech; "
            "0: off. Needs a rate of 16000 Hz or more.",
        ),
        threshold("compress", "Evens out what is louder than this many dBFS. -20 suits speech; 0: off."),
        io.Float.Input(
            "ratio",
            default=3.0,
            min=1.0,
            max=100.0,
            step=0.5,
            tooltip="Of the compressor: this many dB above its threshold become 1 dB.",
        ),
        io.Float.Input(
            "makeup", default=0.0, min=-24.0, max=24.0, step=0.5, tooltip="Gain after the compressor, in dB."
        ),
        io.Combo.Input("eq", options=[OFF, *EQ_PRESETS], default=OFF, tooltip=f"Equalizer. {presets}."),
        io.Combo.Input(
            "character",
            options=[OFF, *CHARACTERS],
            default=OFF,
            tooltip=f"The device that the voice comes through. {devices}.",
        ),
        io.Float.Input(
            "room",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="Share of the room in the sound, 0 (off) to 1. 0.1 to 0.3 suits speech.",
        ),
        io.Float.Input(
            "room_seconds",
            default=0.6,
            min=0.05,
            max=10.0,
            step=0.05,
            tooltip="Seconds in which the synthetic room falls by 60 dB: 0.3 a living room, 2 a church.",
        ),
        io.Audio.Input(
            "impulse", optional=True, tooltip="What a clap in a real room sounds like, in place of the synthetic one."
        ),
    ]
