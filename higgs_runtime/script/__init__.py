"""Scripts: plain text that says who speaks what, when, and over which sounds. The grammar: docs/script.md.

grammar: the forms of one line · types: what a script says · write: types to text · parse: text to types ·
cues: names of sounds to files · subtitles: SRT, VTT and ASS to a script and back · fitting: lines into their slots ·
report: a script in words · book: a book to a script, plain
text here, EPUB in epub and its documents in markup.
"""

from .book import BOOKS, Book, book_script, is_book, load_book, read_book
from .cues import resolve_cue
from .fitting import Fit, plan_fit
from .parse import parse_script
from .report import describe_script
from .subtitles import read_script, read_subtitles, subtitles_text, write_subtitles
from .types import Comment, Music, Script, ScriptWarning, Sound, Turn
from .words import CaptionLimits, captions_text, describe_captions, make_captions, too_fast

__all__ = [
    "BOOKS",
    "Book",
    "CaptionLimits",
    "Comment",
    "Fit",
    "Music",
    "Script",
    "ScriptWarning",
    "Sound",
    "Turn",
    "book_script",
    "captions_text",
    "describe_captions",
    "describe_script",
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
