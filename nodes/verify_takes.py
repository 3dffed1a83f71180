"""Listen and Verify: whether clips say what is written, in whose voice."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files, messages
from .host.audio import clip_from_audio, clips_from_audio
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema
from .loudness import numbered
from .shared import recognizer_inputs
from .shared.settings import setting_input


class HiggsVerifyTakes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsVerifyTakes",
            display_name="Listen and Verify (Higgs)",
            category=f"{sockets.CATEGORY}/script",
            advanced=("max_cer", "min_similarity", "max_silence_s"),
            search_aliases=["speech recognition", "Whisper", "word error rate", "ASR", "transcribe"],
            description="Hears the words of clips and holds them against a text: wrong words, a missing or repeated "
            "end, another voice, silence, a length that no reading has. Needs the extra 'asr'.",
            inputs=[
                io.Audio.Input("audio", tooltip="Speech without music. Of a batch, each clip is a line of the text."),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="What should be said; for a batch, a line of text for each clip.",
                ),
                recognizer_inputs.recognizer_input("the first one that knows the language", needed=True),
                io.String.Input(
                    "language", default="", tooltip="Of the text, as a code such as en, de or zh. Empty: it is heard."
                ),
                *recognizer_inputs.limit_inputs(),
                setting_input("max_silence_s", optional=True),
                io.Audio.Input(
                    "reference", optional=True, tooltip="A clip of the voice that should be heard (extra 'similarity')."
                ),
            ],
            outputs=[
                io.Boolean.Output(display_name="passed", tooltip="Whether all clips passed."),
                io.String.Output(
                    display_name="report",
                    tooltip="For each clip: whether it passed, word errors, voice, what is wrong.",
                ),
                io.String.Output(display_name="heard", tooltip="What was heard, a line for each clip."),
            ],
        )

    @classmethod
    def execute(cls, audio, text, recognizer, language, reference=None, **limits) -> io.NodeOutput:
        from ..higgs_runtime import load_recognizer, verify_take
        from ..higgs_runtime.verification import Limits, describe_verdict

        clips, code = clips_from_audio(audio), language.strip()
        lines = lines_for(text, len(clips))
        listener = recognizer_inputs.find_listener(recognizer, code)
        ears = listener.recognizer if listener else load_recognizer(folders=files.model_folders())
        known = None if reference is None else clip_from_audio(reference)
        progress, verdicts = Progress(len(clips)), []
        for clip, line in zip(clips, lines, strict=True):
            raise_if_cancelled()
            verdicts.append(
                verify_take(
                    clip, line, recognizer=ears, language=code or None, reference=known, limits=Limits(**limits)
                )
            )
            progress.update(len(verdicts))
        report = numbered([describe_verdict(verdict) for verdict in verdicts])
        messages.show_text(report)
        return io.NodeOutput(
            all(verdict.passed for verdict in verdicts),
            report,
            "\n".join(" ".join(verdict.heard.split()) for verdict in verdicts),
        )


def lines_for(text: str, clips: int) -> list[str]:
    """The text of each clip: all of it for one, else a line each.

    Raises:
        SettingError: there is not text, or there are not as many lines as clips.
    """
    from ..higgs_runtime import SettingError

    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if clips == 1 and lines:
        return [text]
    if len(lines) != clips:
        raise SettingError(
            "Text and clips do not fit each other.",
            got=str(len(lines)),
            expected=f"{clips} lines of text, one for each clip",
            remedy="Write what each clip should say into a line of its own.",
        )
    return lines
