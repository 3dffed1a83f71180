"""What it costs that the audio head of a 16-bit model multiplies in float32.

    python dev.py bench exact_logits [--size v2-width] [--device cpu] [--rounds 7]

One step of one stream with exact logits and without, in turn: the ratio of whole steps, of as many layers as the size
has. A released model has 7 (v2) to 9 times (v3) the layers of "v2-width", and one head all the same.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from _common import SIZES, in_turn, load_model, model_folder, ratios, spread, write, write_json

STEPS, CONTEXT = 8, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", choices=SIZES, default="v2-width")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with model_folder(args.size, "bfloat16") as folder:
        model = load_model(folder, device=args.device, dtype=torch.bfloat16)
    exact, coarse = measure(model, args.rounds)
    layers = model.config.num_layers
    ms = [1e3 * statistics.median(times) / STEPS for times in (exact, coarse)]
    write(f"step of {layers} layers: {ms[0]:.2f} ms exact, {ms[1]:.2f} ms in bfloat16")
    whole = 1 + (ms[0] - ms[1]) * layers / 28 / ms[1]
    write(f"times as long: {spread(ratios(exact, coarse))}; of 28 layers about {whole:.3f}")
    write_json(benchmark="exact_logits", **vars(args), layers=layers, exact_ms=ms[0], coarse_ms=ms[1])


@torch.no_grad()
def measure(model, rounds: int) -> list[list[float]]:
    """Seconds of STEPS steps, with exact logits and without, round by round."""
    cache, head = model.new_cache(CONTEXT + 1), model.audio_head.kept_in_float32()
    ids = torch.zeros((1, model.config.num_codebooks), dtype=torch.long, device=model.device)

    def steps(exact: bool) -> None:
        for _ in range(STEPS):
            cache.lengths[0] = CONTEXT
            logits = model.step(ids, cache.extend(0, 1), exact, head)
        float(logits.sum())  # waits for the device

    return in_turn(rounds, lambda _: steps(True), lambda _: steps(False))


if __name__ == "__main__":
    main()
