"""Prepare Text: what the model will read, and which rules changed what."""

from __future__ import annotations

from comfy_api.latest import io

from ..higgs_runtime.choices import PromptFormat
from . import sockets
from .host import messages
from .host.schemas import node_schema
from .shared.settings import setting_input

LAYOUTS = {"Higgs Audio v2": PromptFormat.NATIVE, "Higgs Audio v3": PromptFormat.V3}


class HiggsPrepareText(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsPrepareText",
            display_name="Prepare Text",
            category=f"{sockets.CATEGORY}/script",
            advanced=("spell_numbers", "max_chars", "marks"),
            search_aliases=["text normalization", "numbers to words", "chunk text"],
            description="Shows a text as the model will read it: full-width punctuation, parentheses, degrees, sound "
            "words as [laugh], spaces. Render Script does the same with each turn; here you see it, rule by rule.",
            inputs=[
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    placeholder="[laugh] It is 20 °C today.",
                    tooltip="Any text, in any language.",
                ),
                io.Combo.Input(
                    "model",
                    options=list(LAYOUTS),
                    default="Higgs Audio v2",
                    tooltip="Which generation will read it. Higgs Nano is a v2. v3 reads punctuation as it stands.",
                ),
                io.String.Input(
                    "language",
                    default="",
                    tooltip="Of the text, as a code such as en, de or zh. Empty: found by its letters, then by langid "
                    "(extra 'text').",
                ),
                io.Boolean.Input(
                    "spell_numbers",
                    default=False,
                    tooltip="Write figures that stand alone in words (extra 'text'). Off: the model reads them.",
                ),
                setting_input(
                    "max_chars",
                    step=10,
                    tooltip="Longest piece in characters that the report cuts the text into, as Render Script does.",
                ),
                setting_input("marks", optional=True),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="What the model reads. For ChatML Prompt."),
                io.String.Output(display_name="report", tooltip="Language, what each rule changed, and the pieces."),
                io.String.Output(
                    display_name="pieces",
                    is_output_list=True,
                    tooltip="A list: the text in pieces of at most max_chars. ChatML Prompt and Generate speak one "
                    "after another, and Join Audio makes one clip of them.",
                ),
            ],
        )

    @classmethod
    def execute(cls, text, model, language, spell_numbers, max_chars, marks=False) -> io.NodeOutput:
        from ..higgs_runtime import prepare_text

        prepared = prepare_text(
            text, LAYOUTS[model], language.strip() or None, spell_numbers=spell_numbers, marks=marks, detect=True
        )
        report = prepared.report(max_chars)
        messages.show_text(report)
        return io.NodeOutput(prepared.text, report, prepared.chunks(max_chars))
