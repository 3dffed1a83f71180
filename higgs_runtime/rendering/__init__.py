"""Scripts into speech. casting: who speaks whom · lines: what is spoken at once · choice: which take ·
verifier: listens to takes · render: takes of all lines · room: the memory that needs · timing and assemble: takes on a
time line · deliver: that as files.
"""

from .assemble import Assembly, assemble, check_assembly
from .casting import Cast, cast_voices
from .choice import parse_choice
from .deliver import Delivered, check_output, deliver
from .lines import NARRATOR, Line
from .performance import Performance, SpokenLine
from .render import RenderSettings, render_script
from .room import rendering_bytes
from .verifier import Verifier

__all__ = [
    "NARRATOR",
    "Assembly",
    "Cast",
    "Delivered",
    "Line",
    "Performance",
    "RenderSettings",
    "SpokenLine",
    "Verifier",
    "assemble",
    "cast_voices",
    "check_assembly",
    "check_output",
    "deliver",
    "parse_choice",
    "render_script",
    "rendering_bytes",
]
