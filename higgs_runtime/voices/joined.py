"""A reference of several pieces of one speaker, as the lines of an actor in a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..audio.clip import AudioClip, eased, resample
from ..audio.quality import levels, profile
from ..errors import AudioError
from .quiet_end import with_quiet_end
from .reference import PreparedReference, levelled, notes_on_sound, report_of


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a recording.

    Attributes:
        clip: mono: what is said, cut at words.
        around: mono: the same with what lies around it, from whose quiet moments the noise is known.
        text: the words of the clip.
    """

    clip: AudioClip
    around: AudioClip
    text: str


def joined_reference(pieces: Sequence[Piece]) -> PreparedReference:
    """Pieces one after another as one reference: each at the level of a prepared one, and followed by 0.3 to 0.5 s of
    its own quiet.

    The report is of all that lies around the pieces; its noise and warnings are those of the loudest background.

    Raises:
        AudioError: no pieces, or one that is silent.
    """
    if not pieces:
        raise AudioError("There is nothing to join.", expected="a piece or more", got="none", remedy="Give some.")
    rate = max(piece.clip.sample_rate for piece in pieces)
    parts, reports = [], []
    for piece in pieces:
        level = levels(profile(piece.around).db)
        report = report_of(piece.around, profile(piece.around), piece.around, 0.0, "")
        reports.append(report)
        quiet = with_quiet_end(eased(piece.clip), piece.around, level)
        parts.append(resample(levelled(quiet, report.gain_db), rate).samples)
    joined = AudioClip(torch.cat(parts, dim=1), rate)
    worst = min(range(len(pieces)), key=lambda n: reports[n].snr_db)
    notes = notes_on_sound(reports[worst], pieces[worst].around, 0.0)
    report = replace(reports[worst], source_seconds=joined.seconds, end_s=joined.seconds, warnings=tuple(notes))
    return PreparedReference(joined, " ".join(piece.text.strip() for piece in pieces if piece.text.strip()), report)
