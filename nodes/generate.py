"""Generate: the model speaks."""

from __future__ import annotations

import math
from contextlib import ExitStack

from comfy_api.latest import io

from ..higgs_runtime.hub import model_bytes
from . import remote_model, sockets
from .host import handles, messages
from .host.progress import Progress, cancelled, raise_if_cancelled
from .host.schemas import node_schema
from .shared.live_decoding import Rest, heard
from .shared.settings import setting_input


class HiggsGenerate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsGenerate",
            display_name="Higgs Generate",
            category=sockets.CATEGORY,
            advanced=("top_k", "top_p", "ras_window", "ras_max_repeats", "end_silence", "in_pieces"),
            search_aliases=["tts", "text to speech", "speech", "voice clone", "Higgs TTS 3", "Higgs Audio v3", "speak"],
            essentials_category="Audio",
            description="Speaks the prompt, and can be heard while it speaks. The same prompt, settings and seed give "
            "the same codes.",
            hidden=[io.Hidden.extra_pnginfo],
            inputs=[
                sockets.Model.Input("model", tooltip="From Load Higgs Model, or Higgs Remote Model."),
                sockets.Prompt.Input("prompt", tooltip="From Higgs ChatML Prompt."),
                *sampling_inputs(),
                sockets.Codec.Input(
                    "codec",
                    optional=True,
                    tooltip="From Load Higgs Codec, to hear it while it speaks, and to know silence. The codes are the "
                    "same without, but for a take that falls silent.",
                ),
                io.Boolean.Input(
                    "live",
                    default=True,
                    optional=True,
                    tooltip="Hear it while it speaks, in the player below. Needs the codec; off, nothing is decoded.",
                ),
                setting_input("silence_s", optional=True),
                io.Boolean.Input(
                    "in_pieces",
                    default=True,
                    optional=True,
                    tooltip="A text that is too long for max_seconds is spoken whole, in pieces of at most so long, "
                    "cut at sentence ends and in one voice. Off: max_seconds cuts it off.",
                ),
            ],
            outputs=[
                sockets.Codes.Output(display_name="codes", tooltip="The speech as codes, for Decode Codes."),
                io.String.Output(
                    display_name="report",
                    tooltip="Frames, seconds, speed, prompt length, memory, why it ended, layers that did not fit on "
                    "the GPU, and warnings.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, prompt, seed, max_seconds, codec=None, live=True, end_silence=0.0, **more):
        from ..higgs_runtime import Sampling, Session, build_prompt
        from ..higgs_runtime.model import working_bytes
        from ..higgs_runtime.monologue import monologue_of
        from ..higgs_runtime.speech import silence_stop

        cut, sampling = more.pop("in_pieces", True), more
        if model.kind == handles.REMOTE:
            settings = Sampling(seed=seed, max_frames=math.ceil(max_seconds * remote_model.FRAME_RATE), **sampling)
            return elsewhere(model, prompt, settings, cut)

        def pieces(lm):
            return monologue_of(prompt, lm.config, math.ceil(max_seconds * lm.config.frame_rate), cut=cut)

        def cache_bytes(lm):
            takes = 1 + pieces(lm).voices_to_find
            positions = len(build_prompt(prompt, lm.tokenizer)) + takes * max_seconds * lm.config.frame_rate
            return working_bytes(lm.config, positions, lm.compute_dtype)

        with ExitStack() as opened:
            decoder = None
            if codec is not None and (live or end_silence):
                decoder = opened.enter_context(handles.open_model(codec, lambda one: one.decode_bytes(max_seconds)))
            stop = silence_stop(decoder, end_silence) if decoder is not None and end_silence else None
            lm = opened.enter_context(handles.open_speaker(model, cache_bytes))
            memory = model_bytes(lm), cache_bytes(lm)
            settings = Sampling(seed=seed, max_frames=math.ceil(max_seconds * lm.config.frame_rate), **sampling)
            monologue = pieces(lm)
            progress = Progress(settings.max_frames * len(monologue.texts))
            sound, hear = opened.enter_context(
                heard(decoder if live else None, lm, max_seconds, cls.hidden, len(monologue.texts))
            )
            notes = speak_all(Session(lm), monologue, settings, stop, progress, hear)
            raise_if_cancelled()
            spoken = monologue.joined()
            if sound is not None:
                sound.codes = spoken.codes
        raise_if_cancelled()
        progress.finish()
        return io.NodeOutput(spoken.codes, report(spoken, notes, *memory, len(monologue.texts)))


def speak_all(session, monologue, settings, stop, progress, hear) -> tuple[str, ...]:
    """Speaks the pieces one after the other, until the person cancels; what there is to note on them."""
    from ..higgs_runtime.speech import next_prompts, speak_next

    notes, done = [], 0

    def on_frames(_index, frames):
        nonlocal done
        done += frames.shape[1]
        progress.update(done)
        hear(frames)

    while monologue.left and not cancelled():
        done = settings.max_frames * len(monologue.takes)
        if monologue.takes:
            hear(Rest(monologue.gap_s or 0.0))
        prompts, news = next_prompts(session.model, monologue, settings, 1)
        if news or not monologue.takes:
            notes += news if monologue.takes else [*news, *handles.offload_notes(session.model)]
            messages.show_warnings(notes)
        speak_next(session, monologue, prompts, settings, stop, on_frames=on_frames, should_stop=cancelled)
    if len(monologue.texts) > 1:
        notes += monologue.cut_off("Raise max_seconds, or try another seed.")
        messages.show_warnings(notes)
    return tuple(notes)


def elsewhere(model, prompt, settings, cut: bool) -> io.NodeOutput:
    """As `execute`, with a model on a server."""
    from ..higgs_runtime.monologue import monologue_of

    monologue = monologue_of(prompt, None, settings.max_frames, cut=cut, voiced=bool(model.voice))
    progress = Progress(settings.max_frames * len(monologue.texts))
    said = remote_model.speak(
        model, monologue, settings, lambda seconds: progress.update(round(seconds * remote_model.FRAME_RATE))
    )
    progress.finish()
    return io.NodeOutput(monologue.joined().codes, said)


def sampling_inputs() -> list[io.Input]:
    """How the next ids are chosen; the names are those of `Sampling`."""
    names = ("max_seconds", "temperature", "top_k", "top_p", "ras_window", "ras_max_repeats")
    return [setting_input("seed", control_after_generate=True), *map(setting_input, names)]


def in_words(used) -> str:
    """The settings that a take was sampled with, those that were left to the model filled in."""
    window = f"{used.ras_window}, at most {used.ras_max_repeats} repeats" if used.ras_window else "off"
    return (
        f"temperature {used.temperature:g}, top_k {used.top_k}, top_p {used.top_p:g}, seed {used.seed}, "
        f"ras_window {window}"
    )


def report(spoken, notes, weights_bytes: int, work_bytes: int, pieces: int = 1) -> str:
    """One paragraph on a generation, for a person, with what else there is to note.

    Args:
        work_bytes: set aside for a take of the full length, beside the weights.
        pieces: that it was spoken in.
    """
    audio_s = spoken.codes.seconds
    speed = f"real-time factor {spoken.seconds / audio_s:.2f}" if audio_s else "no audio"
    reasons = {"stop": "stop (the model ended the speech)", "repeating": "repeating (it was ended)"}
    lines = [
        f"{spoken.frames} frames, {audio_s:.2f} s of audio",
        f"{spoken.seconds:.2f} s to generate, {speed} (below 1 is faster than real time)",
        f"prompt: {spoken.prompt_positions} tokens",
        f"memory: {weights_bytes / 1e6:,.0f} MB of weights, and {work_bytes / 1e6:,.0f} MB for max_seconds",
        f"finish reason: {reasons.get(spoken.finish_reason, spoken.finish_reason)}",
        f"sampling: {in_words(spoken.sampling)}",
    ]
    if pieces > 1:
        lines.insert(1, f"spoken in {pieces} pieces, each of at most max_seconds")
    elif spoken.finish_reason == "length":
        lines.append("Note: cut off at max_seconds. Raise max_seconds to hear the rest.")
    elif spoken.finish_reason == "repeating":
        lines.append("Note: the model said the same again and again. Try another seed.")
    lines += [f"Note: {note}" for note in notes]
    return "\n".join(lines)
