"""How frames per second fall as a take grows, beside what attention itself costs; a picture and one JSON line.

python dev.py bench growth -- [--size small] [--frames 2000] [--device cuda] [--picture growth.png]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from _common import SIZES, load_model, model_folder, prompts, write, write_json

from higgs_runtime import Sampling, generate
from higgs_runtime.hub import model_bytes
from higgs_runtime.model.transformer import grouped_attention

AT = (100, 1000, 2000)  # frames
WINDOW = 40  # frames around


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--picture", default="")
    args = parser.parse_args()
    with model_folder(args.size) as folder:
        model = load_model(folder, device=args.device)
        [prompt] = prompts(model.tokenizer, ["What shall be said, in some words."])
        steps = [steps_of(model, prompt, args.frames) for _ in range(args.rounds)]
    middle = [statistics.median(times) for times in zip(*steps, strict=True)]
    points = [min(at, args.frames - WINDOW) for at in AT]
    found = {at: statistics.median(middle[at - WINDOW : at + WINDOW]) for at in points}
    alone = {at: attention_seconds(model, len(prompt) + at) for at in points}
    base = points[0]
    for at in points:
        write(
            f"at {at:>5} frames: {1 / found[at]:7.1f} frames/s, {1e3 * (found[at] - found[base]):6.2f} ms a frame "
            f"more than at {base}; attention itself: {1e3 * (alone[at] - alone[base]):6.2f} ms more"
        )
    write_json(benchmark="growth", **vars(args), seconds_a_frame=found, attention_seconds=alone)
    if args.picture:
        draw(middle, args)


def steps_of(model, prompt, frames: int) -> list[float]:
    """Seconds of each frame, as they come."""
    times, ends = [time.perf_counter()], []

    def on_frames(_index, new):
        times.append(time.perf_counter())
        ends.append(new.shape[1])

    generate(model, [prompt], Sampling(temperature=0.7, max_frames=frames), on_frames=on_frames)
    return [(b - a) / count for a, b, count in zip(times, times[1:], ends, strict=False) if count for _ in range(count)]


def attention_seconds(model, keys: int) -> float:
    """Seconds of torch's attention of one position in all layers over so many keys, by itself.

    As in a step, each layer has keys and values of its own, and the weights have gone through the processor's caches
    since they were last read.
    """
    config = model.config
    q = torch.randn(1, config.num_heads, 1, config.head_dim, device=model.device)
    caches = torch.randn(config.num_layers, 2, 1, config.num_kv_heads, keys, config.head_dim, device=model.device)
    weights, times = torch.randn(model_bytes(model) // 4, device=model.device), []
    for _ in range(50):
        weights.sum().item()
        started = time.perf_counter()
        for k, v in caches:
            found = grouped_attention(q, k, v)
        found[0, 0, 0, 0].item()  # on a GPU: until it is done
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def draw(seconds: list[float], args: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    smooth = [1 / statistics.median(seconds[max(0, n - WINDOW) : n + WINDOW]) for n in range(len(seconds))]
    figure, axes = pyplot.subplots(figsize=(7, 3.5))
    axes.plot(smooth)
    axes.set(
        xlabel="frames of the take",
        ylabel="frames per second",
        ylim=(0, None),
        title=f"One stream, {args.size}, {args.device}",
    )
    axes.axhline(25, linestyle=":", color="gray", label="real time")
    axes.legend()
    figure.tight_layout()
    figure.savefig(args.picture, dpi=120)


if __name__ == "__main__":
    main()
