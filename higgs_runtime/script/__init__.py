"""Scripts: plain text that says who speaks what, when, and over which sounds. The grammar: docs/script.md.

grammar: the forms of one line · types: what a script says · write: types to text · parse: text to types ·
cues: names of sounds to files · subtitles: SRT, VTT and ASS to a script and back · fitting: lines into their slots.
"""

from .parse import parse_script
from .types import Comment, Music, Script, ScriptWarning, Sound, Turn

__all__ = ["Comment", "Music", "Script", "ScriptWarning", "Sound", "Turn", "parse_script"]
