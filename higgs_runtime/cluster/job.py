"""A render for a cluster as JSON, with the voices in files beside it, for a process that shares no memory.

job.json                what is spoken, how, by whom and where
voice-0.safetensors     the voice of its first speaker (see `voices`), and so on
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..errors import ScriptError, one_sentence
from ..rendering import Listening, RenderJob, RenderSettings
from ..script import Script, Turn
from ..takes import open_takes
from ..types import Sampling
from ..verification import Limits
from ..voices.library import load_voice, save_voice
from .connect import ClusterSettings
from .speaker import ClusterSpeaker, store_of
from .worker import Engine

FILE = "job.json"


def write_job(place: Path, job: RenderJob, speaker: ClusterSpeaker) -> Path:
    """Writes the files into a folder, and returns the first of them. Of a script the turns count.

    Raises:
        OSError: the disk is full or not writable.
        VoiceError: a voice cannot be written.
    """
    for number, voice in enumerate(job.voices.values()):
        save_voice(_voice_file(place, number), voice)
    store = store_of(job)
    about = {
        "turns": [asdict(turn) for turn in job.script.turns],
        "speakers": list(job.voices),
        "sampling": asdict(job.sampling),
        "settings": asdict(job.settings),
        "where": store.where,
        "max_bytes": store.max_bytes,
        "engine": asdict(speaker.engine),
        "cluster": asdict(speaker.cluster),
    }
    file = place / FILE
    file.write_text(json.dumps(about), encoding="ascii")
    return file


def read_job(file: Path) -> tuple[RenderJob, ClusterSpeaker]:
    """The job, and who speaks it.

    Raises:
        ScriptError: this is no job.
        OSError: a file cannot be read.
        HiggsError: a voice or a setting in it cannot be used.
    """
    try:
        about = json.loads(file.read_text(encoding="ascii"))
        engine, settings = about["engine"], about["settings"]
        engine["adapters"] = tuple((folder, strength) for folder, strength in engine["adapters"])
        if (listening := engine["listening"]) is not None:
            limits = listening["limits"]
            engine["listening"] = Listening(**{**listening, "limits": limits and Limits(**limits)})
        settings["choose"] = {int(line): take for line, take in settings["choose"].items()}
        voices = {
            name: load_voice(_voice_file(file.parent, number))[0] for number, name in enumerate(about["speakers"])
        }
        job = RenderJob(
            script=Script([Turn(**turn) for turn in about["turns"]]),
            voices=voices,
            sampling=Sampling(**about["sampling"]),
            settings=RenderSettings(**settings),
            store=open_takes(about["where"], about["max_bytes"]),
        )
        return job, ClusterSpeaker(Engine(**engine), ClusterSettings(**about["cluster"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ScriptError(
            f"'{file}' is no job of a render.",
            expected="what Render Script hands to another process",
            got=one_sentence(repr(error)),
            remedy="Give a script, subtitles or a book.",
        ) from error


def remove_job(file: Path) -> None:
    """Its files, once it is read: a program that is killed leaves no voices behind."""
    for one in [file, *file.parent.glob("voice-*.safetensors")]:
        one.unlink()


def _voice_file(place: Path, number: int) -> Path:
    return place / f"voice-{number}.safetensors"
