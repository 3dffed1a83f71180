"""A reference ends in the quiet of its own recording: a model goes on as its reference ended."""

from __future__ import annotations

import torch

from ..audio.clip import AudioClip
from ..audio.quality import HOPS_PER_S, Levels, Profile, levels, profile

QUIET_END_S = (0.3, 0.5)
SHORTEST_TONE_S = 0.1  # of the recording's own quiet that can be repeated
CROSSFADE_S = 0.005
ENDING_HOPS = 5  # 50 ms


def ends_loud(clip: AudioClip) -> bool:
    """Whether the last twentieth of a second is as loud as speech."""
    found = profile(clip)
    return bool(found.db[-ENDING_HOPS:].mean() > levels(found.db).threshold)


def with_quiet_end(taken: AudioClip, recording: AudioClip, level: Levels) -> AudioClip:
    """A mono clip that ends in QUIET_END_S of quiet; of silence where the recording is never quiet.

    Args:
        recording: mono, from which the clip was taken; its quietest moment is what is added.
        level: of the recording.
    """
    (least, most), rate = QUIET_END_S, taken.sample_rate
    found = profile(taken)
    loud = (found.db > level.threshold).nonzero()[:, 0]
    spoken = (int(loud[-1]) + 1) * found.hop if len(loud) else 0  # samples up to the end of the speech
    samples = taken.samples[:, : spoken + round(most * rate)]
    quiet_s = max(0, samples.shape[1] - spoken) / rate
    if quiet_s >= least:
        return AudioClip(samples, rate)
    missing = round(((least + most) / 2 - quiet_s) * rate)
    tone = own_quiet(recording, level, missing)
    if tone is None:
        return AudioClip(torch.nn.functional.pad(samples, (0, missing)), rate)
    return AudioClip(crossfaded(samples, tone, round(CROSSFADE_S * rate)), rate)


def own_quiet(recording: AudioClip, level: Levels, length: int) -> torch.Tensor | None:
    """Samples [C, length] of the recording's own quiet: its quietest moment, there and back again as often as needed.

    Args:
        level: of the recording.

    Returns:
        None where it is never quiet.
    """
    tone = _quietest(recording, level)
    if tone is None:
        return None
    there_and_back = [tone.flip(-1), tone] * (length // (2 * tone.shape[1]) + 1)  # so that no sample jumps
    return torch.cat(there_and_back, dim=1)[:, :length]


def _quietest(recording: AudioClip, level: Levels) -> torch.Tensor | None:
    """The quietest stretch [C, T] without speech in it; a short one where there is no longer one."""
    found: Profile = profile(recording)
    for seconds in (QUIET_END_S[0], SHORTEST_TONE_S):
        hops = round(seconds * HOPS_PER_S)
        if len(found.db) < hops:
            continue
        loudest = found.db.unfold(0, hops, 1).amax(1)
        best = int(loudest.argmin())
        if loudest[best] <= level.threshold:
            return recording.samples[:, best * found.hop : (best + hops) * found.hop]
    return None


def crossfaded(before: torch.Tensor, after: torch.Tensor, length: int) -> torch.Tensor:
    """Samples [C, T] one after the other, of which so many overlap, or as many as there are."""
    length = min(length, before.shape[1], after.shape[1])
    rise, at = torch.linspace(0, 1, length), before.shape[1] - length
    return torch.cat((before[:, :at], before[:, at:] * (1 - rise) + after[:, :length] * rise, after[:, length:]), dim=1)
