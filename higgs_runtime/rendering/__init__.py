"""Scripts into speech. render: the way in, whoever speaks · job: what it is given · events: what it tells, json_events:
to another process · local: a model in this process · line_by_line: takes of all lines · casting: who speaks whom ·
lines: what is spoken at once · choice: which take · verifier: listens to takes · room: the memory that needs · timing
and assemble: takes on a time line, moves: those that a person has moved there · deliver: that as files.
"""

from .assemble import Assembly, assemble, check_assembly
from .casting import Cast, cast_voices
from .choice import parse_choice
from .deliver import Delivered, check_output, deliver
from .events import Events, Silent, State
from .job import RenderJob, RenderSettings
from .lines import NARRATOR, Line
from .local import LocalSpeaker
from .moves import Move, read_moves, write_moves
from .performance import Performance, SpokenLine
from .render import Speaker, render
from .room import rendering_bytes
from .verifier import Listening, Verifier

__all__ = [
    "Assembly",
    "Cast",
    "Delivered",
    "Events",
    "Line",
    "Listening",
    "LocalSpeaker",
    "Move",
    "NARRATOR",
    "Performance",
    "RenderJob",
    "RenderSettings",
    "Silent",
    "Speaker",
    "SpokenLine",
    "State",
    "Verifier",
    "assemble",
    "cast_voices",
    "check_assembly",
    "check_output",
    "deliver",
    "parse_choice",
    "read_moves",
    "render",
    "rendering_bytes",
    "write_moves",
]
