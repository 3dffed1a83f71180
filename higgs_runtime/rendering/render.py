"""A script becomes takes: whoever speaks it, this is the way in."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from ..errors import ScriptError
from ..text.vocabulary import has_words
from .events import Events, Silent
from .job import RenderJob
from .lines import check_cast
from .performance import Performance


class Speaker(Protocol):
    """Speaks scripts: with a model in this process (`LocalSpeaker`), on a server (`remote.RemoteSpeaker`), or on the
    machines of a cluster (`cluster.ClusterSpeaker`)."""

    def perform(self, job: RenderJob, events: Events) -> Performance: ...


def render(job: RenderJob, speaker: Speaker, events: Events | None = None) -> Performance:
    """Speak a script.

    Raises:
        ScriptError: a speaker has no voice, or no turn has words.
        PromptError: a line cannot be spoken; it names the line. Nothing is spoken then, in independent mode.
        SettingError: what the job asks for, this speaker cannot do; a take is chosen of a line that there is not.
        HiggsError: of the speaker, see there; what was spoken until then is in the store.
    """
    check_cast(job.script, job.voices)
    if not any(has_words(turn.text) for turn in job.script.turns):
        raise ScriptError(
            "The script has nothing to speak.",
            expected="a letter or a digit in some turn",
            got="marks alone",
            remedy="Write what is to be spoken.",
        )
    return replace(speaker.perform(job, events or Silent()), tempo=job.settings.tempo)
