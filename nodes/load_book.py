"""Load Book: a script from EPUB, HTML, Markdown or plain text, chapter by chapter."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files
from .host.schemas import node_schema
from .script import output_of, script_outputs


class HiggsLoadBook(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..higgs_runtime.script.book import BOOKS

        return node_schema(
            node_id="HiggsLoadBook",
            display_name="Load Book",
            category=f"{sockets.CATEGORY}/script",
            search_aliases=["EPUB", "ebook", "novel", "audiobook", "Markdown", "chapters"],
            description="Loads a book from ComfyUI's input folder as a script that the narrator reads; its chapters "
            "are scenes. Notes, page numbers and lists of contents are left out.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=files.book_choices(*BOOKS),
                    tooltip="EPUB without DRM, HTML, or Markdown and plain text in UTF-8. Upload one with the button; "
                    "the pack brings one to try.",
                ),
                io.Int.Input(
                    "first_chapter",
                    default=1,
                    min=1,
                    max=100_000,
                    tooltip="The chapter to begin with, from 1. What stands before the first heading belongs to it.",
                ),
                io.Int.Input(
                    "chapters", default=0, min=0, max=100_000, tooltip="How many chapters; 0: all that follow."
                ),
                io.Boolean.Input(
                    "images",
                    default=False,
                    optional=True,
                    tooltip="On: the descriptions that an EPUB or a page has of its pictures are read too.",
                ),
            ],
            outputs=[
                *script_outputs(),
                io.String.Output(display_name="tags", tooltip="Title, author and date, for the tags of Export Audio."),
                io.String.Output(display_name="language", tooltip="As the book says, such as en; for Render Script."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, file, **_) -> str:
        return files.fingerprint(files.input_path(file))

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return files.explain_input(file)

    @classmethod
    def execute(cls, file, first_chapter, chapters, images=False) -> io.NodeOutput:
        from ..higgs_runtime.script import load_book

        book = load_book(files.input_path(file), images=images)
        chosen = book.part(first_chapter, chapters)
        script, report, texts, speakers = output_of(chosen.script).args
        tags = "\n".join(f"{name}: {value}" for name, value in book.tags.items())
        language = book.language.replace("_", "-").partition("-")[0].lower()
        return io.NodeOutput(script, f"{book.describe()}\n\n{report}", texts, speakers, tags, language)
