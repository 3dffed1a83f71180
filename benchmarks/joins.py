"""Clicks at joins: the largest step from sample to sample where lines begin and end, beside the largest inside of them.

    python dev.py bench joins

What the workflows say, with Higgs Nano: scripts as their stems (each speaker alone, so that nothing covers a click),
other texts as whole clips between silence. "at borders" must not be larger than "inside".
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch
from _common import ROOT, write, write_json

from higgs_runtime import RenderJob, Sampling, load_codec, load_model, parse_script, render, speak
from higgs_runtime.hub.catalog import EMBEDDED, embedded_voices
from higgs_runtime.rendering import LocalSpeaker, assemble, cast_voices
from higgs_runtime.voices import load_source

NEAR = 2  # samples around a border


def main() -> None:
    model, codec = load_model(EMBEDDED / "higgs-nano"), load_codec(EMBEDDED / "higgs-nano-codec")
    found = {}
    write(f"{'workflow':<20}{'borders':>9}{'at borders':>12}{'inside':>10}")
    for file in sorted((ROOT / "workflows" / "api").glob("*.json")):
        nodes = json.loads(file.read_text(encoding="utf-8")).values()
        texts = {node["class_type"]: node["inputs"].get("text") for node in nodes}
        script, text = texts.get("HiggsScript"), texts.get("HiggsChatMLPrompt")
        if isinstance(script, str):
            sounds = list(stems(script, model, codec))
        elif isinstance(text, str) and "<|" not in text:
            clip = speak(text.replace("[SPEAKER0]", "").replace("[SPEAKER1]", ""), model=model, codec=codec)
            sounds = [(clip.samples, [0, clip.length])]
        else:
            write(f"{file.stem:<20} speaks nothing with Higgs Nano")
            continue
        at, inside = (max(values) for values in zip(*(steps(*one) for one in sounds), strict=True))
        borders = sum(len(places) for _, places in sounds)
        found[file.stem] = {"borders": borders, "at_borders": at, "inside": inside}
        write(f"{file.stem:<20}{borders:>9}{at:>12.4f}{inside:>10.4f}{'' if at <= inside else '  !'}")
    write_json(benchmark="joins", found=found)


def stems(text: str, model, codec) -> Iterator[tuple[torch.Tensor, list[int]]]:
    """(samples [C, T], where lines begin and end) of each speaker of a script."""
    script = parse_script(text)
    pack = [load_source(file, codec) for file in embedded_voices().values()]
    given = {number: pack[number % len(pack)] for number in range(8)}
    cast = cast_voices(script, {}, given, roots=[EMBEDDED], codec=codec)
    made = render(RenderJob(script=script, voices=cast.voices, sampling=Sampling()), LocalSpeaker(model, codec))
    laid = assemble(made, codec, [EMBEDDED / "clips"])
    for name in dict.fromkeys(laid.stems):
        if name in cast.voices:
            own = [track for track, stem in zip(laid.tracks, laid.stems, strict=True) if stem == name]
            sound = laid.stem(name)
            ends = [(track.start_s, track.start_s + track.clip.seconds) for track in own]
            yield sound.samples, [round(second * sound.sample_rate) for both in ends for second in both]


def steps(samples: torch.Tensor, borders: list[int]) -> tuple[float, float]:
    """The largest step near these places, and elsewhere; before the sound and behind it is silence."""
    step = torch.nn.functional.pad(samples, (1, 1)).diff().abs().amax(0)
    near = torch.zeros(len(step), dtype=torch.bool)
    for place in borders:
        near[max(0, place - NEAR) : place + NEAR + 1] = True
    return float(step[near].max()), float(step[~near].max())


if __name__ == "__main__":
    main()
