"""One line, spoken so that it takes so many seconds."""

from __future__ import annotations

from typing import NamedTuple

from ..audio.clip import AudioClip
from ..codec import Codec
from ..errors import AudioError
from ..script import Script, Turn
from ..types import Sampling, Voice
from .assemble import assemble, check_assembly
from .events import Events
from .fits import FitRow
from .job import RenderJob, RenderSettings
from .lines import NARRATOR
from .performance import Performance
from .render import Speaker, render


class FittedLine(NamedTuple):
    """A line that has a length.

    Attributes:
        clip: at the codec's rate, without silence at its ends.
        row: what was done, and what is left.
        performance: its takes.
    """

    clip: AudioClip
    row: FitRow
    performance: Performance


def fit_line(
    text: str,
    seconds: float,
    voice: Voice,
    speaker: Speaker,
    codec: Codec,
    *,
    sampling: Sampling | None = None,
    settings: RenderSettings | None = None,
    events: Events | None = None,
) -> FittedLine:
    """Speak a text in so many seconds: the take whose length is nearest, and tempo for the rest.

    Args:
        seconds: that it is to take, 0.1 to 600.
        speaker: who speaks, as for `render`; the codec is that of its model.
        settings: with the number of takes to choose from, and the limits of the tempo.

    Raises:
        ScriptError: no words, or seconds out of their range.
        AudioError: there is no sound, because it was stopped before.
        MissingExtraError: pedalboard (extra `sound`) is not installed.
        HiggsError: as `render`.
    """
    script = Script([Turn("", text, fit_s=seconds)])
    check_assembly(script)
    job = RenderJob(
        script=script,
        voices={NARRATOR: voice},
        sampling=sampling or Sampling(),
        settings=settings or RenderSettings(),
    )
    made = render(job, speaker, events)
    if not made.complete:
        raise AudioError("The line was not spoken.", expected="a take", got="none", remedy="Let it come to its end.")
    assembly = assemble(made, codec)
    return FittedLine(assembly.mix().clip, assembly.fits[0], made)
