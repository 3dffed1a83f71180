"""Render Script: every line of a script into takes, kept on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from comfy_api.latest import io

from . import sockets
from .generate import sampling_inputs
from .host import files, handles, messages
from .host.progress import go_on_anyway, raise_if_cancelled
from .host.schemas import node_schema
from .remote_model import remote_of
from .shared import recognizer_inputs, speakers
from .shared.growing_inputs import growing
from .shared.line_states import LineStates
from .shared.live_decoding import heard_lines
from .shared.settings import setting_input

MAX_VOICES = 8
STOP, HAND_ON = "stop", "hand on what is spoken"
GB = 10**9
SLOT_SETTINGS = ("takes_per_slot", "slowest", "fastest")
ADVANCED = (
    *("context_turns", "batch", "max_takes", "max_chars", "read_scenes"),
    *("top_k", "top_p", "ras_window", "ras_max_repeats"),
    *("store", "store_gb", "when_cancelled"),
    *("compare_voices", "max_wer", "max_cer", "min_similarity"),
    *("prepare", "spell_numbers", "end_silence", "cluster", "marks"),
    *SLOT_SETTINGS,
)
_partial = 0  # results so far that a cancel cut short: the next run must not take one of them for the whole


class HiggsRenderScript(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsRenderScript",
            display_name="Render Script",
            category=f"{sockets.CATEGORY}/script",
            advanced=ADVANCED,
            search_aliases=["audiobook", "podcast", "dialogue", "multi speaker", "tts batch", "long text"],
            essentials_category="Audio",
            description="Speaks all lines of a script side by side, listens to them, and speaks again what is not "
            "right. Takes are kept on the disk: another run, also after a crash, speaks only what is new.",
            hidden=[io.Hidden.extra_pnginfo],
            inputs=[
                sockets.Script.Input("script", tooltip="From Script or Load Subtitles."),
                sockets.Model.Input("model", tooltip="From Load Higgs Model or Higgs Remote Model."),
                sockets.Codec.Input(
                    "codec",
                    tooltip="From Load Higgs Codec. Decodes takes for who listens, and makes "
                    "voices of the pack's clips.",
                ),
                *render_inputs(),
                *sampling_inputs(),
                *growing(MAX_VOICES, voice_inputs),
                *store_inputs(),
                recognizer_inputs.recognizer_input("the first one there is that knows the language, else nobody"),
                io.Boolean.Input(
                    "compare_voices",
                    default=False,
                    optional=True,
                    tooltip="Who listens compares the voice with its reference (extra 'similarity').",
                ),
                *recognizer_inputs.limit_inputs(),
                *preparation_inputs(),
                io.Boolean.Input(
                    "live",
                    default=True,
                    optional=True,
                    tooltip="Hear the lines while they are spoken, in the player below: the first take of each, in the "
                    "script's order.",
                ),
                setting_input("silence_s", optional=True),
                cluster_input(),
                setting_input("marks", optional=True),
                *slot_inputs(),
                sockets.Cast.Input(
                    "cast",
                    optional=True,
                    tooltip="Voices of all speakers at once, from References from Film; those above count before them.",
                ),
            ],
            outputs=[
                sockets.Performance.Output(display_name="performance", tooltip="The takes to use, for Assemble."),
                io.String.Output(
                    display_name="report",
                    tooltip="What was spoken and what was there, who speaks whom, and a row for each line: seconds, "
                    "seed, takes, word errors, voice, what was heard. Then one for each slot: take, residual, what was "
                    "done.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        """Changes with what a run looks at beside its inputs: the library, locked takes, a result cut short."""
        from ..higgs_runtime import TakeStore, find_voices
        from ..higgs_runtime.takes import default_takes_folder

        voices = [files.fingerprint(file) for file in find_voices(files.model_folders()).values()]
        return repr((_partial, TakeStore(default_takes_folder()).locks_changed(), voices))

    @classmethod
    def validate_inputs(cls, cluster=None) -> bool | str:
        from ..higgs_runtime import SettingError
        from ..higgs_runtime.remote.allowed import check_cluster

        try:
            check_cluster((cluster or "").strip())  # None: it comes from another node
        except SettingError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, script, model, codec, seed, max_seconds, when_cancelled=STOP, **values) -> io.NodeOutput:
        from ..higgs_runtime import RenderJob, Sampling, render
        from ..higgs_runtime.rendering import cast_voices, describe_fits, planned_fits

        settings, store = settings_of(values), store_of(values)
        listener = recognizer_inputs.find_listener(
            values.get("recognizer", recognizer_inputs.AUTO), settings.language or ""
        )
        with handles.open_model(codec) as tokenizer:
            named, unnamed = voices_of(values)
            found = values.get("cast") or {}
            cast = cast_voices(script, {**found, **named}, unnamed, roots=files.model_folders(), codec=tokenizer)
            sampled = {
                name: values[name] for name in ("temperature", "top_k", "top_p", "ras_window", "ras_max_repeats")
            }
            sampling = Sampling(seed=seed, max_frames=math.ceil(max_seconds * tokenizer.frame_rate), **sampled)
            job = RenderJob(script=script, voices=cast.voices, sampling=sampling, settings=settings, store=store)
            with (
                speaker_of(model, codec, tokenizer, job, listener, values) as (speaker, lm),
                heard_lines(tokenizer if values.get("live", True) else None, lm, cls.hidden) as hear,
            ):
                states = LineStates(str(script), hear)
                made = render(job, speaker, states)
        states.finish(made)
        if not made.complete or states.should_stop():  # of takes to choose from some may be missing
            cut_short(made, store is not None, when_cancelled)
        fits = describe_fits(planned_fits(made))
        parts = [made.summary(), "\n".join([str(cast), *cast.warnings]), made.table(), fits]
        messages.show_text("\n\n".join(filter(None, [made.summary(), fits])))
        report = "\n\n".join(filter(None, parts))
        return io.NodeOutput(made, report)


@contextmanager
def speaker_of(model, codec, tokenizer, job, listener, values: dict) -> Iterator[tuple]:
    """Who speaks the job, and the language model where it is in this ComfyUI, as long as the with-block runs.

    Args:
        model, codec: the handles; `tokenizer`: the codec itself.
    """
    from ..higgs_runtime.rendering import Verifier

    compare, limits, cluster = values.get("compare_voices", False), limits_of(values), values.get("cluster", "").strip()
    if cluster:
        listening = speakers.listening_of(listener, compare, limits)
        yield speakers.speaker_on_cluster(cluster, model, codec, listening), None
        return
    verifier = None
    if listener is not None:
        verifier = Verifier(
            tokenizer,
            listener.recognizer,
            listener.name,
            job.voices,
            language=job.settings.language,
            compare_voices=compare,
            limits=limits,
        )
    if model.kind == handles.REMOTE:
        from ..higgs_runtime.remote.speaker import RemoteSpeaker

        yield RemoteSpeaker(remote_of(model), tokenizer, verifier), None
        return
    with speakers.speaker_here(model, tokenizer, job, verifier) as here:
        yield here


def render_inputs() -> list[io.Input]:
    """How lines are spoken; the names are those of `RenderSettings`."""
    return [
        io.Combo.Input(
            "mode",
            options=["independent", "continuous"],
            default="independent",
            tooltip="independent: each line knows its voice only; fast, and none drifts. continuous: it also hears "
            "the turns before it in its scene, as in a conversation; scenes are spoken side by side.",
        ),
        *map(setting_input, ("context_turns", "batch", "takes", "max_takes")),
        io.String.Input(
            "choose",
            default="",
            placeholder="3: 2, 7: 1",
            tooltip="Takes that you want, as line: take with numbers of the report; 3: 2 is the second take of line 3. "
            "Such a line has no other.",
        ),
        io.String.Input("language", default="", tooltip="Of the script, as a code such as en, de or zh. Empty: any."),
        setting_input("max_chars"),
        io.Boolean.Input(
            "read_scenes",
            default=True,
            tooltip="The model reads scene headers. Off: they only part the script, as for chapters.",
        ),
    ]


def voice_inputs(n: int) -> list[io.Input]:
    return [
        sockets.Voice.Input(
            f"voice_{n}",
            optional=True,
            tooltip=f"Speaks what name_{n} says in the script. From Higgs Voice or Load Higgs Voice.",
        ),
        io.String.Input(
            f"name_{n}",
            default="",
            optional=True,
            placeholder=f"SPEAKER{n}, or the next without a voice",
            tooltip=f"Speaker of the script that has voice_{n}; Narrator for turns without one. Empty: SPEAKER{n}, or "
            "the next speaker for whom neither a name, the library nor the pack has a voice.",
        ),
    ]


def store_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "store",
            default=True,
            optional=True,
            tooltip="Takes are kept on the disk, in $HIGGS_TAKES or this user's cache, and not spoken again.",
        ),
        io.Float.Input(
            "store_gb",
            default=2.0,
            min=0.0,
            max=10_000.0,
            step=0.5,
            optional=True,
            tooltip="What all takes may occupy, in GB; those used longest ago go first, locked ones stay.",
        ),
        io.Combo.Input(
            "when_cancelled",
            options=[STOP, HAND_ON],
            default=STOP,
            optional=True,
            tooltip="stop: the workflow ends; what is spoken is in the store. hand on …: it goes on with the lines "
            "that are spoken.",
        ),
    ]


def preparation_inputs() -> list[io.Input]:
    return [setting_input(name, optional=True) for name in ("prepare", "spell_numbers")]


def slot_inputs() -> list[io.Input]:
    """How lines that have a length get it."""
    return [setting_input(name, optional=True) for name in SLOT_SETTINGS]


def cluster_input() -> io.Input:
    return io.String.Input(
        "cluster",
        default="",
        optional=True,
        placeholder="this computer",
        tooltip="Lines are spoken by the machines of a Ray cluster (extra 'ray'): auto, the one that this computer is "
        "part of; host:port of its head, which has to be in HIGGS_CLUSTER_ADDRESSES where ComfyUI is started; local, "
        "all GPUs of this computer. Models lie under one path on all. Empty: by this ComfyUI.",
    )


def cut_short(made, stored: bool, when_cancelled: str) -> None:
    """Says where a cancelled render is; then ends the prompt, or lets it go on with that."""
    global _partial
    _partial += 1
    done = sum(spoken.take is not None for spoken in made.lines)
    kept = "are kept in the store: queue again to go on" if stored else "are lost, for store is off"
    if when_cancelled == STOP:
        messages.show_text(f"Cancelled. {done} of {len(made.lines)} lines are spoken and {kept}.")
        raise_if_cancelled()
    go_on_anyway()


def settings_of(values: dict):
    """The RenderSettings of the node's inputs."""
    from ..higgs_runtime import RenderSettings
    from ..higgs_runtime.rendering import parse_choice

    same = {name: values[name] for name in ("mode", "context_turns", "batch", "takes", "max_chars", "read_scenes")}
    return RenderSettings(
        **same,
        max_takes=max(values["takes"], values["max_takes"]),
        language=values["language"].strip() or None,
        choose=parse_choice(values["choose"]),
        prepare=values.get("prepare", True),
        spell_numbers=values.get("spell_numbers", False),
        marks=values.get("marks", False),
        silence_s=values.get("end_silence", 3.0) or None,
        **{name: values[name] for name in SLOT_SETTINGS if name in values},
    )


def voices_of(values: dict) -> tuple[dict, dict]:
    """The voices with a name, by it, and those without, by number.

    Raises:
        SettingError: two have one name.
    """
    from ..higgs_runtime import SettingError

    named, unnamed = {}, {}
    for number in range(MAX_VOICES):
        voice, name = values.get(f"voice_{number}"), values.get(f"name_{number}", "").strip()
        if voice is None:
            continue
        if name in named:
            raise SettingError(
                "Two voices have one name.",
                expected="each speaker once",
                got=f"'{name}' twice",
                remedy=f"Change name_{number}, or combine both with Combine Higgs Voices.",
            )
        if name:
            named[name] = voice
        else:
            unnamed[number] = voice
    return named, unnamed


def store_of(values: dict):
    from ..higgs_runtime import TakeStore
    from ..higgs_runtime.takes import default_takes_folder

    if not values.get("store", True):
        return None
    return TakeStore(default_takes_folder(), int(values.get("store_gb", 2.0) * GB))


def limits_of(values: dict):
    from ..higgs_runtime.verification import Limits

    return Limits(**{name: values[name] for name in ("max_wer", "max_cer", "min_similarity") if name in values})
