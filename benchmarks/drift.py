"""Whether a voice drifts away from its reference in the course of a long script, in both modes of rendering.

    python dev.py bench drift -- [--lines 100] [--voices rose alan] [--context-turns 4]

Higgs Nano speaks a script of so many lines in one voice. The first, the middle and the last lines (five each, joined:
one line is too short to tell a voice) are compared with the reference clip, and with the clip of the other voice that
is nearest to them (resemblyzer).
"""

from __future__ import annotations

import argparse
from itertools import islice

import torch
from _common import load_model, write, write_json

from higgs_runtime import (
    AudioClip,
    LocalSpeaker,
    RenderJob,
    RenderSettings,
    Sampling,
    embedded_voices,
    load_codec,
    parse_script,
    render,
)
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.rendering import cast_voices
from higgs_runtime.verification import speaker_similarity
from tools.nano.domain import sentences

JOINED = 5  # lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=100)
    parser.add_argument("--voices", nargs="+", default=["rose", "alan"], choices=sorted(embedded_voices()))
    parser.add_argument("--context-turns", type=int, default=4)
    args = parser.parse_args()
    model, codec = load_model(EMBEDDED / "higgs-nano"), load_codec(EMBEDDED / "higgs-nano-codec")
    places = {"first": 0, "middle": (args.lines - JOINED) // 2, "last": args.lines - JOINED}
    write(f"{'mode':12} {'voice':6} " + " ".join(f"{place:>14}" for place in places) + "   like its own clip / others")
    found = {}
    for mode in ("independent", "continuous"):
        for voice in args.voices:
            clips = spoken(model, codec, voice, mode, args.lines, args.context_turns)
            row = [compared(clips[start : start + JOINED], voice) for start in places.values()]
            found[f"{mode} {voice}"] = row
            write(f"{mode:12} {voice:6} " + " ".join(f"{own:8.2f}/{other:.2f} " for own, other in row))
    write_json(benchmark="drift", **vars(args), similarity=found)


def spoken(model, codec, voice: str, mode: str, lines: int, context_turns: int) -> list[AudioClip]:
    """Each line of the script, decoded."""
    texts = islice(sentences(seed=2_024), lines)
    script = parse_script("\n".join(f"[{voice.capitalize()}] {text}" for text in texts))
    cast = cast_voices(script, {}, codec=codec)
    settings = RenderSettings(mode=mode, context_turns=context_turns)
    job = RenderJob(script=script, voices=cast.voices, sampling=Sampling(max_frames=200), settings=settings)
    made = render(job, LocalSpeaker(model))
    return [codec.decode(one.take.codes) for one in made.lines if one.take.codes.frames]


def compared(clips: list[AudioClip], voice: str) -> tuple[float, float]:
    """Likeness to the voice's own clip, and to that of the nearest other voice."""
    joined = AudioClip(torch.cat([clip.samples for clip in clips], dim=1), clips[0].sample_rate)
    like = {name: speaker_similarity(joined, AudioClip.load(file)) for name, file in embedded_voices().items()}
    return round(like.pop(voice), 3), round(max(like.values()), 3)


if __name__ == "__main__":
    main()
