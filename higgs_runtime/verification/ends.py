"""How a take ends, by its levels: in the midst of a word, in noise, with a click."""

from __future__ import annotations

from ..audio.clip import AudioClip, to_mono
from ..audio.quality import HOPS_PER_S, levels, profile

ENDING_HOPS = 5  # 50 ms
AFTER_WORD_S = 0.25  # recognizers place ends of words so well
NOISE_S = 0.4  # the shortest noise that is told: what is shorter may be the rest of a word
NOISE_DB, ABOVE_FLOOR_DB = 22.0, 12.0  # it lies at most so far below the speech, and so far above the quiet moments
CLICK = 0.02  # of full scale: the smallest step to silence that is told
PAUSES_DB = 15.0  # between speech and quiet moments: without these nothing can be said of an end


def end_faults(clip: AudioClip, last_word_s: float | None, noise_expected: bool = False) -> list[str]:
    """One sentence on each thing that is wrong with the end of a take.

    Args:
        last_word_s: where the last word that was heard ends; None: none was heard.
        noise_expected: the text asks for a sound, as laughter, which may come last.
    """
    if clip.length < ENDING_HOPS * clip.sample_rate // HOPS_PER_S:
        return []
    samples, found = to_mono(clip).samples[0], profile(clip)
    level, said = levels(found.db), []
    if float(found.db[-ENDING_HOPS:].mean()) > float(level.threshold):
        return ["it ends in the midst of a sound"] if float(level.snr) > PAUSES_DB else []
    if last_word_s is not None and not noise_expected:
        tail = found.db[round((last_word_s + AFTER_WORD_S) * HOPS_PER_S) :]
        loud = tail[(tail > level.speech - NOISE_DB) & (tail > level.noise + ABOVE_FLOOR_DB)]
        if len(loud) >= NOISE_S * HOPS_PER_S:
            said.append(f"{len(loud) / HOPS_PER_S:.1f} s of noise follow the last word ({loud.mean():.0f} dBFS)")
    if float(samples[-1].abs()) > max(CLICK, float(samples.diff().abs()[:-1].max())):
        said.append("it ends with a click")
    return said
