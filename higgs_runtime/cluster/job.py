"""A render and its news as JSON, with the voices in files beside it, for a process that shares no memory.

job.json                what is spoken, how, by whom and where
voice-0.safetensors     the voice of its first speaker (see `voices`), and so on
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import errors
from ..errors import HiggsError, MissingExtraError
from ..rendering import RenderSettings, SpokenLine
from ..rendering.lines import Line
from ..script import Script, Turn
from ..types import Sampling, Voice
from ..verification import Limits, Verdict
from ..voices.library import load_voice, save_voice
from .render import ClusterSettings
from .worker import Engine, Listening

FILE = "job.json"


@dataclass(frozen=True, eq=False)
class Job:
    """What `render_on_cluster` is given. `where`, `max_bytes`: of the take store. Of a script the turns count."""

    script: Script
    voices: Mapping[str, Voice]
    engine: Engine
    sampling: Sampling
    settings: RenderSettings
    cluster: ClusterSettings
    where: str
    max_bytes: int | None


def write_job(place: Path, job: Job) -> None:
    """Raises:
    OSError: the disk is full or not writable.
    VoiceError: a voice cannot be written.
    """
    for number, voice in enumerate(job.voices.values()):
        save_voice(_voice_file(place, number), voice)
    plain = {name: asdict(getattr(job, name)) for name in ("engine", "sampling", "settings", "cluster")}
    about = {
        **plain,
        "turns": [asdict(turn) for turn in job.script.turns],
        "speakers": list(job.voices),
        "where": job.where,
        "max_bytes": job.max_bytes,
    }
    (place / FILE).write_text(json.dumps(about), encoding="ascii")


def read_job(place: Path) -> Job:
    about = json.loads((place / FILE).read_text(encoding="ascii"))
    engine, settings = about["engine"], about["settings"]
    engine["adapters"] = tuple((folder, strength) for folder, strength in engine["adapters"])
    if (listening := engine["listening"]) is not None:
        limits = listening["limits"]
        engine["listening"] = Listening(**{**listening, "limits": limits and Limits(**limits)})
    settings["choose"] = {int(line): take for line, take in settings["choose"].items()}
    voices = {name: load_voice(_voice_file(place, number))[0] for number, name in enumerate(about["speakers"])}
    return Job(
        Script([Turn(**turn) for turn in about["turns"]]),
        voices,
        Engine(**engine),
        Sampling(**about["sampling"]),
        RenderSettings(**settings),
        ClusterSettings(**about["cluster"]),
        about["where"],
        about["max_bytes"],
    )


def remove_job(place: Path) -> None:
    """Its files, once it is read: a program that is killed leaves no voices behind."""
    for file in [place / FILE, *place.glob("voice-*")]:
        file.unlink()


def _voice_file(place: Path, number: int) -> Path:
    return place / f"voice-{number}.safetensors"


def line_told(line: Line) -> dict:
    return asdict(line)


def line_of(told: dict) -> Line:
    return Line(**{**told, "sampling": Sampling(**told["sampling"]), "warnings": tuple(told["warnings"])})


def spoken_told(spoken: SpokenLine) -> dict:
    """All but the line and the take: these are known by number and key."""
    return {
        "number": spoken.line.number,
        "key": spoken.key,
        "tries": spoken.tries,
        "stored": spoken.stored,
        "verdict": None if spoken.verdict is None else asdict(spoken.verdict),
    }


def verdict_of(told: dict | None) -> Verdict | None:
    return None if told is None else Verdict(**{**told, "reasons": tuple(told["reasons"])})


def error_told(error: HiggsError) -> dict:
    if isinstance(error, MissingExtraError):
        return {"kind": "MissingExtraError", "made_of": error.__reduce__()[1]}
    return {
        "kind": type(error).__name__,
        "made_of": [error.what],
        "expected": error.expected,
        "got": error.got,
        "remedy": error.remedy,
    }


def error_of(told: dict) -> HiggsError:
    """The error with the same words, of the same kind if it is one of errors.py."""
    kind = getattr(errors, told.pop("kind"), HiggsError)
    return kind(*told.pop("made_of"), **told)
