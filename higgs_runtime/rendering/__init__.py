"""Scripts into speech. lines: what is spoken at once · ears: listening · render: takes of all lines · timing and
assemble: takes on a time line.
"""

from .assemble import Assembly, assemble
from .ears import Ears
from .lines import NARRATOR, Line
from .performance import Performance, SpokenLine
from .render import RenderSettings, render_script

__all__ = ["NARRATOR", "Assembly", "Ears", "Line", "Performance", "RenderSettings", "SpokenLine", "assemble",
           "render_script"]
