"""Captions: words with their times as subtitles, one caption, one word, or words that light up."""

from __future__ import annotations

from comfy_api.latest import io

from ..higgs_runtime.choices import CAPTION_FORMATS, CAPTION_STYLES
from ..higgs_runtime.settings import CAPTION_LIMITS
from . import sockets
from .host import messages
from .host.schemas import node_schema
from .shared.settings import setting_input


class HiggsCaptions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsCaptions",
            display_name="Captions (Higgs)",
            category=f"{sockets.CATEGORY}/script",
            advanced=("max_chars", "max_lines", "max_seconds", "chars_per_second"),
            search_aliases=["subtitles", "SRT", "VTT", "ASS", "karaoke", "word by word"],
            description="Makes captions of words with times: lines that are easily read, one word after the other, or "
            "lines whose words light up as they are said. Needs the extra 'subtitles'.",
            inputs=[
                sockets.Words.Input("words", tooltip="From Word Times, or from Assemble with word_times."),
                io.Combo.Input(
                    "format",
                    options=list(CAPTION_FORMATS),
                    default="srt",
                    tooltip="srt is read everywhere, vtt in browsers, ass has karaoke, json has all words and times.",
                ),
                io.Combo.Input(
                    "style",
                    options=list(CAPTION_STYLES),
                    default="captions",
                    tooltip="captions: one or two lines at a time. words: one word at a time. karaoke: captions whose "
                    "words light up (vtt and ass).",
                ),
                *map(setting_input, CAPTION_LIMITS),
            ],
            outputs=[
                io.String.Output(display_name="captions", tooltip="The text of a subtitle file."),
                io.String.Output(display_name="report", tooltip="How many there are, and which are read too fast."),
            ],
        )

    @classmethod
    def execute(cls, words, format, style, max_chars, max_lines, max_seconds, chars_per_second) -> io.NodeOutput:
        from ..higgs_runtime.script import CaptionLimits, captions_text, describe_captions

        limits = CaptionLimits(max_chars, max_lines, max_seconds, chars_per_second)
        text, report = captions_text(words, format, style, limits), describe_captions(words, limits)
        messages.show_text(report)
        return io.NodeOutput(text, report)
