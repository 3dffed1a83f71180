"""What the mixers of Mix Audio and Assemble draw: the shapes of clips, where lines lie, and how loud a mix is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

COLUMNS = 400  # of a clip's shape
LINE_COLUMNS, ALL_COLUMNS = 80, 40_000  # of a line's shape, and of those of all lines
METERED_S = 300.0  # a longer mix is not measured: it would take longer than mixing


def mix_view(tracks: Sequence[Any], numbers: Sequence[int], report: Any) -> dict[str, Any]:
    """For the node's message to the editor, as JSON takes it.

    Args:
        tracks: the Tracks of the mix; their clips as they are before trims and gain.
        numbers: of the node's inputs that they come from.
        report: the MixReport.
    """
    return {
        "clips": [
            {"track": number, "seconds": track.clip.seconds, **shape(track.clip)}
            for number, track in zip(numbers, tracks, strict=True)
        ],
        "loudness": loudness(report.clip),
        "scaled_db": round(report.scaled_db, 2),
    }


def lines_view(assembly: Any) -> dict[str, Any]:
    """For the lanes of Assemble, as JSON takes it: each line where it would be that nobody moved.

    Args:
        assembly: an Assembly whose lines can still be read.
    """
    from ...higgs_runtime.audio.clip import AudioClip
    from ...higgs_runtime.audio.mix import AudioFile

    lines, columns = [], max(8, min(LINE_COLUMNS, ALL_COLUMNS // len(assembly.spoken)))
    for one, time, track in zip(assembly.spoken, assembly.planned, assembly.tracks, strict=False):
        clip = AudioClip.load(track.clip.path) if isinstance(track.clip, AudioFile) else track.clip
        about = {"line": one.line.number + 1, "speaker": str(one.line.speaker), "text": one.line.written}
        times = {"start": round(time.start_s, 3), "seconds": round(clip.seconds, 3)}
        lines.append({**about, **times, **shape(clip, columns)})
    return {"lines": lines}


def shape(clip: Any, columns: int = COLUMNS) -> dict[str, list[int]]:
    """Lowest and highest sample of so many equal stretches (fewer in a shorter clip), in 1/127 of full scale."""
    import numpy as np

    samples, columns = clip.samples.detach().cpu(), min(columns, clip.length)
    starts = np.arange(columns) * clip.length // columns
    ends = {"low": (np.minimum, samples.amin(0)), "high": (np.maximum, samples.amax(0))}
    return {
        name: (best.reduceat(values.numpy(), starts).clip(-1, 1) * 127).round().astype(int).tolist()
        for name, (best, values) in ends.items()
    }


def loudness(clip: Any) -> dict[str, float | None] | None:
    """LUFS, LU and dBTP of the mix; None for each that is not defined, and for all where it cannot be measured."""
    from ...higgs_runtime import AudioError, measure_loudness

    if clip.seconds > METERED_S:
        return None
    try:
        measured = measure_loudness(clip)
    except AudioError:  # so many channels, or so low a rate
        return None
    figures = {"integrated": measured.integrated_lufs, "range": measured.range_lu, "true_peak": measured.true_peak_dbtp}
    return {name: round(value, 2) if math.isfinite(value) else None for name, value in figures.items()}
