"""Export Audio: finished files, with tags, chapters, cover, the workflow, and a note of where the speech comes from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from comfy_api.latest import io, ui

from . import sockets
from .host import files, messages
from .host.audio import clips_from_audio, spans_of
from .host.progress import raise_if_cancelled
from .host.schemas import node_schema
from .shared.origin import origin


class HiggsExportAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..higgs_runtime.choices import EXPORT_FORMATS

        return node_schema(
            node_id="HiggsExportAudio",
            display_name="Export Audio (Higgs)",
            category=f"{sockets.CATEGORY}/mastering",
            advanced=("kbps", "credit_file"),
            search_aliases=["save audio", "write audio", "mp3", "flac", "opus", "m4b", "wav", "podcast"],
            description="Writes finished files into ComfyUI's output folder, never over an existing one. The file says "
            "that its speech is synthetic (unless that is switched off) and holds the workflow, as ComfyUI's own "
            "savers do.",
            is_output_node=True,  # which also brings the hidden prompt and extra_pnginfo
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Audio.Input("audio", tooltip="Each clip becomes a file."),
                io.String.Input(
                    "file_name",
                    default="audio/{title}_{n:03}",
                    tooltip="Name below the output folder, without suffix. {n} counts up to the first free name "
                    "({n:03}: three digits); {title}, {artist} and all other tags, {date} and {time} stand for "
                    "themselves; a slash makes a folder.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(EXPORT_FORMATS),
                    default="flac 16-bit",
                    tooltip="flac keeps every sample in half the room of wav; m4b is for audiobooks.",
                ),
                io.Int.Input(
                    "kbps",
                    default=0,
                    min=0,
                    max=512,
                    step=8,
                    tooltip="Bit rate in kbit/s of mp3, opus and AAC, from 8 on; 0: 192, 96 and 128.",
                ),
                io.String.Input(
                    "tags",
                    default="",
                    multiline=True,
                    placeholder="title: The old bridge\nartist: …",
                    tooltip="A line for each: title, artist, album, date, genre, comment, … and after a colon the "
                    "value.",
                ),
                io.String.Input(
                    "chapters",
                    default="",
                    multiline=True,
                    placeholder="0:00 Start\n12:30 The storm",
                    tooltip="A line for each: when it begins (m:ss or h:mm:ss, with decimals) and its title.",
                ),
                *note_inputs(),
                io.Image.Input(
                    "cover", optional=True, tooltip="Picture of the file; is brought to 1400 pixels at most."
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="The files, and what is not as asked for.")],
        )

    @classmethod
    def execute(cls, audio, file_name, format, kbps, tags, chapters, note, consent, credit_file=False, cover=None):
        from ..higgs_runtime import export_audio
        from ..higgs_runtime.audio.files import About, Provenance, parse_chapters, parse_tags

        clips = clips_from_audio(audio)
        behind = origin(cls.hidden.prompt, cls.hidden.unique_id)
        within = spans_of(audio) or behind.within
        said = Provenance(behind.models, behind.voices, consent.strip() or behind.consent, behind.credit, within)
        told = said if note else None
        made, folder = [], files.output_folder()
        for clip in clips:
            raise_if_cancelled()
            about = About(
                tags=parse_tags(tags),
                chapters=parse_chapters(chapters, clip.seconds),
                cover=None if cover is None else cover[0],
                provenance=told,
                metadata=files.workflow_entries(cls.hidden),
            )
            fitting, notes = that_fits(clip, format)
            one = export_audio(fitting, folder, file_name, format, kbps=kbps or None, about=about)
            made.append(one._replace(notes=(*notes, *one.notes)))
            if credit_file and behind.credit:
                write_credit(one.path, behind.credit)
        report = "\n".join(str(line) for one in made for line in (one.path.relative_to(folder), *one.notes))
        messages.show_text(report)
        saved = [
            ui.SavedResult(one.path.name, one.path.parent.relative_to(folder).as_posix(), io.FolderType.output)
            for one in made
        ]
        return io.NodeOutput(report, ui=ui.SavedAudios(saved))


def note_inputs() -> list[io.Input]:
    """What the file says of where its speech comes from."""
    return [
        io.Boolean.Input(
            "note",
            default=True,
            tooltip='On: the comment of the file says "Synthetic speech", the model, the voices (as far as '
            "the workflow tells), your consent line, and the credit that the model's licence asks for.",
        ),
        io.String.Input(
            "consent",
            default="",
            tooltip="For the note: who agreed to the use of the voices, and where that is kept. Empty: what "
            "was noted with the voices of the library.",
        ),
        io.Boolean.Input(
            "credit_file",
            default=False,
            optional=True,
            tooltip="On: where a model's licence asks for a credit, a text file with it lies beside the sound. "
            "The note has it in any case.",
        ),
    ]


def write_credit(sound: Path, credit: str) -> None:
    """A text file with the credit beside a sound, of the same name."""
    from ..higgs_runtime.atomic_write import write_bytes

    write_bytes(sound.with_suffix(".txt"), f"{credit}\n".encode())


def that_fits(clip, format: str) -> tuple[Any, tuple[str, ...]]:
    """The clip, turned down as a whole where it is louder than the format can hold, and a note of that."""
    from ..higgs_runtime.audio.clip import level_peak

    peak = float(clip.samples.abs().max()) if clip.length else 0.0
    if peak <= 1 or "float" in format:
        return clip, ()
    return level_peak(clip, 0.0), (f"Turned down by {20 * math.log10(peak):.2f} dB: louder than {format} can hold.",)
