"""Scripts into speech. render: the way in, whoever speaks · job: what it is given · events: what it tells, json_events:
to another process · local: a model in this process · line_by_line: takes of all lines · casting: who speaks whom ·
lines: what is spoken at once · choice: which take a person wants · slots: which take is as long as its line may be ·
verifier: listens to takes · room: the memory that needs · timing and assemble: takes on a time line · fits: how they
got into their slots · one_line: a line of so many seconds · respeak: a recording in another voice ·
deliver: that as files.
"""

from .assemble import Assembly, assemble, check_assembly
from .casting import Cast, cast_voices
from .choice import parse_choice
from .deliver import Delivered, check_output, deliver
from .events import Events, Silent, State
from .fits import FitRow, describe_fits, planned_fits
from .job import RenderJob, RenderSettings
from .lines import NARRATOR, Line
from .local import LocalSpeaker
from .one_line import FittedLine, fit_line
from .performance import Performance, SpokenLine
from .render import Speaker, render
from .respeak import Respoken, respoken, script_of_recording
from .room import rendering_bytes
from .verifier import Listening, Verifier

__all__ = [
    "Assembly",
    "Cast",
    "Delivered",
    "Events",
    "FitRow",
    "FittedLine",
    "Line",
    "Listening",
    "LocalSpeaker",
    "NARRATOR",
    "Performance",
    "RenderJob",
    "RenderSettings",
    "Respoken",
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
    "describe_fits",
    "fit_line",
    "parse_choice",
    "planned_fits",
    "render",
    "rendering_bytes",
    "respoken",
    "script_of_recording",
]
