"""Edit Speech: a recording says other words; what is not changed stays as it was recorded."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import messages
from .host.audio import audio_from_clip
from .host.schemas import node_schema
from .shared import recognizer_inputs
from .shared.recorded_speech import recording_of, speaking
from .shared.settings import setting_input

TRANSCRIPT_EVENT = "higgs.transcript"  # for web/edit_speech.js: what was heard
MAX_SECONDS = 30.0  # of a new phrase with the rest of its sentence


class HiggsEditSpeech(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsEditSpeech",
            display_name="Edit Speech (Higgs)",
            category=f"{sockets.CATEGORY}/edit",
            advanced=("temperature", "candidates", "language"),
            search_aliases=[
                "change words",
                "overdub",
                "replace word",
                "speech editing",
                "inpaint speech",
                "fix a word",
            ],
            description="Change the words of a recording by changing its text: only what is new is spoken, in the "
            "recording's own voice; everything else stays as it was recorded, sample by sample. Run it once without a "
            "transcript to have it heard.",
            inputs=[
                *recording_inputs(),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="What the recording shall say: the transcript with words changed, added or left out. "
                    "Empty with an empty transcript: the recording is only heard.",
                ),
                *further_inputs(),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The recording with its new words, at its own rate."),
                sockets.Codes.Output(display_name="codes", tooltip="The same as codes, where codes came in."),
                io.Audio.Output(display_name="original", tooltip="The recording as it was: the way back."),
                io.String.Output(display_name="transcript", tooltip="What the recording says, given or heard."),
                io.String.Output(
                    display_name="report",
                    tooltip="A line for each edit: its span with the margin, how smooth the joins are, what is heard.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, codec, transcript, text, audio=None, codes=None, consent="", **settings) -> io.NodeOutput:
        from ..higgs_runtime.editing import EditedSpeech, Recording, edit_speech, heard_text

        source = recording_of(audio, codes)
        with speaking(model, codec, settings, MAX_SECONDS) as how:
            recording = Recording.of(source, how.codec)
            only_heard = not transcript.strip() and not text.strip()
            if not transcript.strip():
                transcript = heard_text(recording.clip, how)
                messages.send_event(TRANSCRIPT_EVENT, text=transcript)
            if only_heard:
                made = EditedSpeech(recording.clip, recording.codes, transcript)
            else:
                made = edit_speech(source, transcript, text, how)
        report = str(made)
        messages.show_text(report)
        return io.NodeOutput(
            audio_from_clip(made.clip, made.within),
            codes_or_reason(made.codes),
            audio_from_clip(recording.clip),
            transcript,
            report,
        )


def codes_or_reason(codes):
    """Codes for the output; what is connected to it says why there are none."""
    return (
        messages.left_out("There were no codes at the input: encode the audio to get some.") if codes is None else codes
    )


def recording_inputs() -> list[io.Input]:
    return [
        sockets.Model.Input("model", tooltip="From Load Higgs Model."),
        sockets.Codec.Input("codec", tooltip="From Load Higgs Codec, of the same release."),
        io.String.Input(
            "transcript",
            default="",
            multiline=True,
            dynamic_prompts=False,
            tooltip="What the recording says. Empty: what the recognizer hears; read it before you trust it.",
        ),
    ]


def further_inputs(candidates: int | None = None) -> list[io.Input]:
    """Who listens, how the model speaks, and what may be left out.

    Args:
        candidates: the default; None: that of the runtime.
    """
    return [
        recognizer_inputs.recognizer_input("the first that knows the language; short English recordings do without"),
        io.String.Input(
            "language", default="", tooltip="Of the recording, as a code such as en, de or zh. Empty: it is heard."
        ),
        setting_input("seed", control_after_generate=True),
        setting_input("temperature"),
        setting_input("candidates", **({} if candidates is None else {"default": candidates})),
        io.Audio.Input("audio", optional=True, tooltip="The recording: one speaker, any length. Or connect codes."),
        sockets.Codes.Input("codes", optional=True, tooltip="The recording as codes, in place of audio."),
        sockets.Voice.Input("voice", optional=True, tooltip="Speaks in place of the recording's own voice."),
        io.String.Input(
            "consent",
            default="",
            optional=True,
            tooltip="Who agreed that this recording is changed, and where that is kept; Export Audio writes it into "
            "the file.",
        ),
    ]
