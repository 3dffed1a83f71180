"""Save Voice: a voice for the library."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files, messages
from .host.audio import clip_from_audio
from .host.schemas import node_schema


class HiggsSaveVoice(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsSaveVoice",
            display_name="Save Higgs Voice",
            category=f"{sockets.CATEGORY}/voice",
            search_aliases=["voice library", "store voice"],
            description="Keeps a voice as a small file in models/higgs_audio/voices, for Load Higgs Voice: its codes "
            "with their transcripts, its description, and your note.",
            is_output_node=True,
            inputs=[
                sockets.Voice.Input("voice", tooltip="From Higgs Voice or Combine Higgs Voices."),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="What the voice is called in Load Higgs Voice: 1 to 80 characters, in any language.",
                ),
                io.String.Input(
                    "note",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    placeholder="Who speaks, who agreed, under which licence.",
                    tooltip="Licence and consent, kept in the file. Use only voices whose owners agree.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="Off: a name that is taken by another voice is refused. On: the old voice is replaced.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="The reference clip: 30 seconds of it are kept to listen to in Load Higgs Voice.",
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="Where the file is.")],
        )

    @classmethod
    def validate_inputs(cls, name) -> bool | str:
        from ..higgs_runtime import VoiceError
        from ..higgs_runtime.voices import voice_path

        try:
            voice_path("", name or "linked")
        except VoiceError as error:
            return str(error)
        return True if name != "" else "Give the voice a name."

    @classmethod
    def execute(cls, voice, name, note, overwrite, audio=None) -> io.NodeOutput:
        from ..higgs_runtime import save_voice
        from ..higgs_runtime.voices import VoiceCard, voice_path

        card = VoiceCard(note) if audio is None else VoiceCard.of(clip_from_audio(audio), note)
        path = voice_path(files.model_folders()[0], name)
        save_voice(path, voice, card, overwrite=overwrite)
        report = f"{path.name}: {path.stat().st_size / 1e3:.0f} kB. Press R to see it in Load Higgs Voice."
        messages.show_text(report)
        return io.NodeOutput(report)
