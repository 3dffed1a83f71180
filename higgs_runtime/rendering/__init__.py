"""Scripts into speech. lines: what is spoken at once · ears: listening · render: takes of all lines."""

from .ears import Ears
from .lines import NARRATOR, Line
from .performance import Performance, SpokenLine
from .render import RenderSettings, render_script

__all__ = ["NARRATOR", "Ears", "Line", "Performance", "RenderSettings", "SpokenLine", "render_script"]
