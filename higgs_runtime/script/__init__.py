"""Scripts: plain text that says who speaks what, when, and over which sounds. The grammar: docs/script.md.

grammar: the forms of one line · types: what a script says · write: types to text · parse: text to types ·
cues: names of sounds to files · subtitles: SRT, VTT and ASS to a script and back · fitting: lines into their slots ·
retiming: other frame rates · report: a script in words · book: a book to a script, plain text here, EPUB in epub
and its documents in markup.
"""

from .book import BOOKS, Book, book_script, is_book, load_book, read_book
from .cues import resolve_cue
from .fitting import Fit, TempoLimits, plan_fit
from .parse import parse_script
from .report import describe_script
from .retiming import Retiming
from .subtitles import check_no_timing, read_script, read_subtitles, subtitles_text, write_subtitles
from .types import Comment, Music, Script, ScriptWarning, Sound, Turn
from .words import (
    CaptionLimits,
    captions_text,
    describe_captions,
    in_sentences,
    joined,
    make_captions,
    too_fast,
)

__all__ = [
    "BOOKS",
    "Book",
    "CaptionLimits",
    "Comment",
    "Fit",
    "Music",
    "Retiming",
    "Script",
    "ScriptWarning",
    "Sound",
    "TempoLimits",
    "Turn",
    "book_script",
    "captions_text",
    "check_no_timing",
    "describe_captions",
    "describe_script",
    "in_sentences",
    "joined",
    "is_book",
    "load_book",
    "make_captions",
    "parse_script",
    "plan_fit",
    "read_book",
    "read_script",
    "read_subtitles",
    "resolve_cue",
    "subtitles_text",
    "too_fast",
    "write_subtitles",
]
