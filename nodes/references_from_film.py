"""References from Film: the voices of a film's actors, for its subtitles."""

from __future__ import annotations

from dataclasses import asdict

from comfy_api.latest import io

from . import sockets
from .host import files, handles, messages
from .host.audio import LazyAudio, audio_from_clip, clip_from_audio
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema
from .shared import recognizer_inputs

CONNECTED = "the sound at audio"
TABLE_EVENT = "higgs.cues"  # of the page, for web/references_from_film.js
MOST_ROWS = 5000  # that the page is told


class HiggsReferencesFromFilm(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsReferencesFromFilm",
            display_name="References from Film (Higgs)",
            category=f"{sockets.CATEGORY}/script",
            advanced=("min_seconds", "max_seconds", "count", "film_language"),
            search_aliases=["dubbing", "film", "movie", "speaker diarization", "voices from video", "lip sync"],
            description="Finds the voice of each speaker of subtitles in the sound of their film, so that every line "
            "is dubbed in its own actor's voice. Who speaks is told by names, or by the voices themselves (extra "
            "'similarity'), and can be corrected in the table.",
            inputs=[*film_inputs(), *reference_inputs()],
            outputs=film_outputs(),
        )

    @classmethod
    def fingerprint_inputs(cls, film, **_) -> str:
        return "" if film == CONNECTED else files.fingerprint(files.input_path(film))

    @classmethod
    def validate_inputs(cls, film) -> bool | str:
        return True if film == CONNECTED else files.explain_input(film)

    @classmethod
    def execute(cls, script, codec, film, each, recognizer, film_language, speakers, **values) -> io.NodeOutput:
        from ..higgs_runtime.dubbing import FilmSound, ReferenceSettings, film_references

        sound = FilmSound.of(_source(film, values.get("audio")))
        language = film_language.strip()
        listener = recognizer_inputs.find_listener(recognizer, language)
        settings = ReferenceSettings(
            each=each,
            language=language or None,
            count=values.get("count", 0),
            min_s=values["min_seconds"],
            max_s=values["max_seconds"],
        )
        progress = Progress(1)

        def told(done: int, total: int) -> None:
            raise_if_cancelled()
            progress.update(done, total)

        with handles.open_model(codec, lambda model: model.encode_bytes(settings.max_s)) as tokenizer:
            found = film_references(
                sound,
                script,
                tokenizer,
                original=values.get("original"),
                recognizer=listener.recognizer if listener else None,
                settings=settings,
                corrections=speakers,
                on_progress=told,
            )
        progress.finish()
        messages.send_event(TABLE_EVENT, rows=[asdict(row) for row in found.rows[:MOST_ROWS]])
        messages.show_text(found.report())
        return io.NodeOutput(
            found.script,
            found.voices,
            LazyAudio(sound.whole),
            list(found.voices.values()),
            list(found.voices),
            [audio_from_clip(found.clips[name].clip) for name in found.voices],
            found.table(),
            found.report(),
        )


def _source(film: str, audio):
    """What the choice means: a file, or the clip that is connected."""
    from ..higgs_runtime import AudioError

    if film != CONNECTED:
        return files.input_path(film)
    if audio is None:
        raise AudioError(
            "There is no film.",
            expected="a file chosen at film, or a clip at audio",
            got="neither",
            remedy="Choose the video, or connect its sound.",
        )
    return clip_from_audio(audio)


def film_inputs() -> list[io.Input]:
    """What is dubbed."""
    return [
        sockets.Script.Input("script", tooltip="What is to be spoken, from Load Subtitles."),
        sockets.Codec.Input("codec", tooltip="From Load Higgs Codec: makes voices of the references."),
        io.Combo.Input(
            "film",
            options=[CONNECTED, *files.input_audio_choices()],
            default=CONNECTED,
            tooltip="A video or its sound in ComfyUI's input folder; only the parts that are needed are read, "
            "and a sound track that begins later keeps its place. Or the sound at the input audio.",
        ),
        io.Combo.Input(
            "each",
            options=["speaker", "cue"],
            default="speaker",
            tooltip="speaker: one voice each, of its clearest lines. cue: a line of 1 s and more has a "
            "reference of its own, with its feeling; shorter ones borrow from their speaker.",
        ),
    ]


def reference_inputs() -> list[io.Input]:
    """How references are made, and whose they are."""
    return [
        recognizer_inputs.recognizer_input(
            "the first one that knows the language. Without one, English is aligned with the subtitles "
            "(extra 'align'), other languages are cut where it is quiet"
        ),
        io.String.Input(
            "film_language",
            default="",
            tooltip="Of the film, as a code such as en, de or zh. Empty: the recognizer finds out.",
        ),
        io.Float.Input(
            "min_seconds",
            default=5.0,
            min=1.0,
            max=60.0,
            step=0.5,
            tooltip="Shortest reference of a speaker in seconds; shorter only where the film has no more.",
        ),
        io.Float.Input(
            "max_seconds",
            default=15.0,
            min=2.0,
            max=60.0,
            step=0.5,
            tooltip="Longest reference of a speaker in seconds; 5 to 15 suit a voice.",
        ),
        io.Int.Input(
            "count",
            default=0,
            min=0,
            max=100,
            tooltip="How many speakers there are among the cues without a name; 0: as many as are heard.",
        ),
        io.String.Input(
            "speakers",
            default="",
            multiline=True,
            dynamic_prompts=False,
            placeholder="3: Anna\n5-7: Ben\nVoice A = Clara",
            tooltip="What you correct of the table: lines as 3: Anna, 5-7: Ben or Voice A = Clara. The table "
            "below writes them for you.",
        ),
        io.Audio.Input("audio", optional=True, tooltip="The sound of the film, from its very beginning."),
        sockets.Script.Input(
            "original",
            optional=True,
            tooltip="Subtitles in the film's own language, where the script is a translation: references have "
            "their words.",
        ),
    ]


def film_outputs() -> list[io.Output]:
    return [
        sockets.Script.Output(display_name="script", tooltip="The same, with the speakers of the table."),
        sockets.Cast.Output(display_name="cast", tooltip="The voices of all speakers, for Render Script."),
        io.Audio.Output(
            display_name="film",
            tooltip="The whole sound of the film from its beginning, to keep it low under the dub.",
        ),
        sockets.Voice.Output(
            display_name="voices", is_output_list=True, tooltip="A list: each voice, as for Save Higgs Voice."
        ),
        io.String.Output(display_name="names", is_output_list=True, tooltip="A list: whose voice each is."),
        io.Audio.Output(
            display_name="clips", is_output_list=True, tooltip="A list: the reference of each voice, to hear."
        ),
        io.String.Output(display_name="table", tooltip="A line for each cue: speaker, time, how it is known."),
        io.String.Output(display_name="report", tooltip="The references, and what is doubtful."),
    ]
