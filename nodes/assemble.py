"""Assemble: spoken lines, sounds and music on one time line."""

from __future__ import annotations

import json

from comfy_api.latest import io

from . import sockets
from .host import files, handles, messages
from .host.audio import audio_from_clip
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema
from .shared.mix_view import lines_view

OFF = "off"
KINDS = ["srt", "vtt", "ass"]


class HiggsAssemble(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsAssemble",
            display_name="Assemble",
            category=f"{sockets.CATEGORY}/script",
            shown_again=True,
            search_aliases=["assemble takes", "audiobook", "timeline", "dialogue mix", "dubbing"],
            description="Lays the lines of a performance on a time line, with the gaps of a reader, pauses, overlaps, "
            "slots of subtitles, sounds and music, and gives the mix and all that belongs to it.",
            inputs=[
                sockets.Performance.Input("performance", tooltip="From Render Script."),
                sockets.Codec.Input("codec", tooltip="From Load Higgs Codec, the one that the model was trained with."),
                io.Combo.Input(
                    "subtitles",
                    options=[*KINDS, OFF],
                    default="srt",
                    tooltip="Format of the output subtitles (extra 'subtitles').",
                ),
                io.Boolean.Input(
                    "stems",
                    default=False,
                    tooltip="Also each speaker, the sounds and the music alone, as long as the mix.",
                ),
                io.Boolean.Input(
                    "word_times",
                    default=False,
                    optional=True,
                    tooltip="Also when each word is said, for Captions (extra 'align' for English; elsewhere what the "
                    "recognizer of Render Script heard).",
                ),
                io.String.Input(
                    "moved",
                    default="",
                    optional=True,
                    dynamic_prompts=False,
                    tooltip="Lines that were moved or trimmed on the node, as JSON; its lanes write it.",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The mix; turned down as a whole if it would clip."),
                io.Audio.Output(
                    display_name="stems",
                    is_output_list=True,
                    tooltip="A list, with stems: each speaker, sounds, music. They add up to the mix.",
                ),
                io.String.Output(
                    display_name="stem_names", is_output_list=True, tooltip="Name of each stem, for a file name."
                ),
                io.String.Output(display_name="subtitles", tooltip="Every line with its real times, as text."),
                io.String.Output(
                    display_name="chapters", tooltip="A line for each scene, for Export Audio; empty without scenes."
                ),
                io.String.Output(display_name="timeline", tooltip="Lines, sounds, music and chapters as JSON."),
                sockets.Words.Output(display_name="words", tooltip="Every word with its times, with word_times."),
            ],
        )

    @classmethod
    def execute(cls, performance, codec, subtitles, stems, word_times=False, moved="") -> io.NodeOutput:
        from ..higgs_runtime.rendering import assemble, read_moves

        moves, progress, total = read_moves(moved), Progress(1), len(performance.lines)

        def told(done, _lines):
            raise_if_cancelled()
            progress.update(done, total)

        with files.scratch_folder() as scratch, handles.open_model(codec) as tokenizer:
            folders = files.sound_folders()
            made = assemble(performance, tokenizer, folders, moves=moves, spool=scratch, on_progress=told)
            shown = lines_view(made)
            mixed = made.mix()
            names = list(dict.fromkeys(made.stems)) if stems else []
            alone = [audio_from_clip(made.stem(name)) for name in names]
            words = messages.left_out("Switch word_times on in Assemble.")
            if word_times:
                words = messages.unless_missing(lambda: made.words(on_progress=told))
        progress.finish()
        notes = [*made.warnings, *([f"Turned down by {-mixed.scaled_db:.1f} dB."] if mixed.scaled_db else [])]
        messages.show_warnings(notes)
        without = messages.left_out("Switch stems on in Assemble.")
        return io.NodeOutput(
            audio_from_clip(mixed.clip),
            alone or without,
            [str(name) for name in names] or without,
            subtitles_of(made, subtitles),
            made.chapters_text(),
            json.dumps({**made.timeline(), "warnings": notes}, indent=1, ensure_ascii=False),
            words,
            ui={"higgs_lines": [shown]},
        )


def subtitles_of(made, kind: str):
    """The subtitles as text; where they cannot be had, what is connected to them says why."""
    from ..higgs_runtime.script import subtitles_text

    if kind == OFF:
        return messages.left_out("Choose a format for the subtitles in Assemble.")
    return messages.unless_missing(lambda: subtitles_text(made.subtitles(), kind))  # the sound does not need them
