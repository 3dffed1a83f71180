"""Re-speak: what is said in one recording, spoken again in another voice."""

from __future__ import annotations

import math

from comfy_api.latest import io

from . import sockets
from .generate import sampling_inputs
from .host import files, handles, messages
from .host.audio import audio_from_clip, clip_from_audio
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema
from .render_script import MAX_VOICES, SLOT_SETTINGS, slot_inputs, speaker_of, store_inputs, store_of, voices_of
from .shared import recognizer_inputs
from .shared.growing_inputs import growing
from .shared.line_states import LineStates
from .shared.settings import setting_input

ADVANCED = (
    *SLOT_SETTINGS,
    *("top_k", "top_p", "ras_window", "ras_max_repeats", "max_takes", "batch"),
    *("store", "store_gb", "compare_voices"),
)
PERFORMED = "The words are performed anew; the sound of the recording is not converted."


class HiggsRespeak(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsRespeak",
            display_name="Re-speak",
            category=f"{sockets.CATEGORY}/script",
            advanced=ADVANCED,
            search_aliases=["voice changer", "revoice", "redub", "speech to speech", "voice conversion"],
            description="Says again, in another voice, what is said in a recording: its words at its times, as loud "
            "and soft as there. They are performed anew: the sound is not converted, and its tune is not kept.",
            inputs=[
                io.Audio.Input("audio", tooltip="Speech of one or several people, one after the other."),
                sockets.Model.Input("model", tooltip="From Load Higgs Model or Higgs Remote Model."),
                sockets.Codec.Input("codec", tooltip="From Load Higgs Codec, the one that the model was trained with."),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="What is said, as plain text, or as a script with speakers ([Anna] …), whose turns are "
                    "kept. Empty: what is heard.",
                ),
                io.String.Input(
                    "language", default="", tooltip="Of the speech, as a code such as en, de or zh. Empty: it is heard."
                ),
                recognizer_inputs.recognizer_input("the first one that knows the language", needed=True),
                *sampling_inputs(),
                *growing(MAX_VOICES, voice_inputs),
                *slot_inputs(),
                setting_input("follow_db", optional=True),
                setting_input("max_takes", optional=True),
                setting_input("batch", optional=True),
                *store_inputs()[:2],
                io.Boolean.Input(
                    "compare_voices",
                    default=False,
                    optional=True,
                    tooltip="Compares the voice of each take with its reference (extra 'similarity').",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The new performance, as long as the recording."),
                sockets.Performance.Output(
                    display_name="performance", tooltip="For Assemble: stems, subtitles, words with their times."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What was heard, and a row for each phrase: its slot, the take, what was done.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        """Changes with what a run looks at beside its inputs: the library, locked takes."""
        from .render_script import HiggsRenderScript

        return HiggsRenderScript.fingerprint_inputs()

    @classmethod
    def execute(cls, audio, model, codec, text, language, recognizer, seed, max_seconds, **values) -> io.NodeOutput:
        from ..higgs_runtime import RenderJob, RenderSettings, Sampling, render
        from ..higgs_runtime.rendering import (
            cast_voices,
            check_assembly,
            describe_fits,
            respoken,
            script_of_recording,
        )
        from ..higgs_runtime.settings import default_of

        clip, code, store = clip_from_audio(audio), language.strip(), store_of(values)
        listener = listener_of(recognizer, code)
        progress = Progress(1)

        def told(_stage: str, done: float, total: float) -> None:
            raise_if_cancelled()
            progress.update(int(done * 100), max(1, int(total * 100)))

        script = script_of_recording(clip, listener.recognizer, text=text, language=code or None, on_stage=told)
        check_assembly(script)
        settings = RenderSettings(
            language=code or None,
            silence_s=default_of("silence_s"),
            **{name: values[name] for name in (*SLOT_SETTINGS, "max_takes", "batch") if name in values},
        )
        named, unnamed = voices_of(values)
        sampled = {name: values[name] for name in ("temperature", "top_k", "top_p", "ras_window", "ras_max_repeats")}
        with files.scratch_folder() as scratch, handles.open_model(codec) as tokenizer:
            cast = cast_voices(script, named, unnamed, roots=files.model_folders(), codec=tokenizer)
            sampling = Sampling(seed=seed, max_frames=math.ceil(max_seconds * tokenizer.frame_rate), **sampled)
            job = RenderJob(script=script, voices=cast.voices, sampling=sampling, settings=settings, store=store)
            with speaker_of(model, codec, tokenizer, job, listener, values) as (speaker, _):
                states = LineStates(str(script))
                made = render(job, speaker, states)
            states.finish(made)
            raise_if_cancelled()

            def assembled(done: int, total: int) -> None:
                raise_if_cancelled()
                progress.update(done, total)

            follow_db = values.get("follow_db", default_of("follow_db"))
            found = respoken(clip, made, tokenizer, follow_db=follow_db, spool=scratch, on_progress=assembled)
            mixed = found.assembly.mix()
        progress.finish()
        fits = describe_fits(found.assembly.fits)
        messages.show_warnings([*cast.warnings, *found.assembly.warnings])
        messages.show_text(f"{PERFORMED}\n\n{fits}")
        report = "\n\n".join([PERFORMED, str(script).rstrip(), fits, made.summary(), str(cast), made.table()])
        return io.NodeOutput(audio_from_clip(mixed.clip), found.performance, report)


def voice_inputs(n: int) -> list[io.Input]:
    return [
        sockets.Voice.Input(f"voice_{n}", optional=True, tooltip="Who says it. From Higgs Voice or Load Higgs Voice."),
        io.String.Input(
            f"name_{n}",
            default="",
            optional=True,
            placeholder="who is heard, or the next speaker",
            tooltip=f"Speaker of the text that has voice_{n}. Empty: the next one without a voice; without speakers in "
            "the text there is one.",
        ),
    ]


def listener_of(choice: str, language: str):
    """The recognizer of a choice; there has to be one.

    Raises:
        CheckpointError, MissingExtraError, SettingError: it cannot be loaded, or there is none.
    """
    from ..higgs_runtime import load_recognizer

    found = recognizer_inputs.find_listener(choice, language)
    if found is None:
        return recognizer_inputs.Listener("", load_recognizer(folders=files.model_folders()))
    return found
