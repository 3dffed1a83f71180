"""Load Voice: a voice of the library."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from . import sockets
from .host import files
from .host.schemas import node_schema


class HiggsLoadVoice(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..higgs_runtime import find_voices

        return node_schema(
            node_id="HiggsLoadVoice",
            display_name="Load Higgs Voice",
            category=f"{sockets.CATEGORY}/voice",
            search_aliases=["voice library", "saved voice", "speaker"],
            description="A voice from models/higgs_audio/voices, ready for the prompt, without encoding a clip again. "
            "It goes with the codec that it was made with.",
            inputs=[
                io.Combo.Input(
                    "voice",
                    options=list(find_voices(files.model_folders())),
                    tooltip="A voice that was kept by Save Higgs Voice, or a file put there; press R after adding one.",
                ),
            ],
            outputs=[
                sockets.Voice.Output(display_name="voice", tooltip="For Higgs ChatML Prompt."),
                io.String.Output(display_name="about", tooltip="Transcripts, description, note, source and codec."),
            ],
        )

    @classmethod
    def validate_inputs(cls, voice) -> bool | str:
        from ..higgs_runtime import VoiceError

        try:
            voice_file(voice)
        except VoiceError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, voice) -> str:
        return files.fingerprint(voice_file(voice))

    @classmethod
    def execute(cls, voice) -> io.NodeOutput:
        from ..higgs_runtime import load_voice
        from ..higgs_runtime.voices import describe_voice

        loaded, card = load_voice(voice_file(voice))
        return io.NodeOutput(loaded, describe_voice(loaded, card))


def voice_file(name: str) -> Path:
    """The file of a voice of the library.

    Raises:
        VoiceError: there is none of this name.
    """
    from ..higgs_runtime import VoiceError, find_voices

    found = find_voices(files.model_folders())
    if name not in found:
        raise VoiceError(
            f"There is no voice '{name}'.",
            expected=f"a file in {files.model_folders()[0]}/voices",
            got=", ".join(found) or "none",
            remedy="Save one with Save Higgs Voice, and press R.",
        )
    return found[name]


def preview(name: str) -> bytes:
    """The clip to listen to, a FLAC file; empty where the voice keeps none.

    Raises:
        VoiceError: there is no such voice, or its file is damaged.
    """
    from ..higgs_runtime import load_voice

    return load_voice(voice_file(name))[1].preview
