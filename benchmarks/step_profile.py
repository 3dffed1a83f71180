"""Where the time of one step of one stream goes: reading weights, attention, everything else.

    python dev.py bench step_profile -- --sizes tiny small v2-width [--context 300] [--rounds 5]

Each part is run alone, as the step runs it, in turn with the whole step: a profiler adds so much to every small
operation that it would hide the answer. "the rest" is what the parts leave, also divided by its number of tensor
operations; beside it stands what the smallest operation (adding 1 to a row of the hidden size) costs on this machine.
"compiled" is the step as one function (`higgs_runtime/generation/cpu_kernel`), the drawing of the next ids included.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from _common import SIZES, in_turn, load_model, model_folder, write, write_json
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from higgs_runtime import Sampling
from higgs_runtime.generation.cpu_kernel import fused_step
from higgs_runtime.model import HiggsModel, KVCache
from higgs_runtime.model.linear import Linear
from higgs_runtime.model.transformer import grouped_attention

STEPS = 20  # of each part in a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny", "small"])
    parser.add_argument("--context", type=int, default=300, help="positions that are in the cache")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    write(
        f"{'size':<10}{'step ms':>9}{'weights':>9}{'attention':>11}{'the rest':>10}{'operations':>12}"
        f"{'us each':>9}{'us smallest':>13}{'compiled ms':>13}"
    )
    found = {}
    for size in args.sizes:
        with model_folder(size) as folder:
            row = found[size] = measure(load_model(folder), args.context, args.rounds)
        write(
            f"{size:<10}{row['step']:>9.2f}{row['weights']:>9.2f}{row['attention']:>11.2f}{row['rest']:>10.2f}"
            f"{row['operations']:>12}{1e3 * row['rest'] / row['operations']:>9.1f}{1e3 * row['smallest']:>13.1f}"
            f"{row['compiled']:>13.2f}"
        )
    write_json(benchmark="step_profile", **vars(args), found=found)


@torch.no_grad()
def measure(model: HiggsModel, context: int, rounds: int) -> dict[str, float]:
    """Milliseconds of a step and of its parts (medians), and its operations without those of the parts."""
    config, cache = model.config, model.new_cache(context + 1)
    cache.lengths[0] = context
    ids = torch.zeros((1, config.num_codebooks), dtype=torch.long)
    matrices = [(part, torch.zeros(1, part.in_features)) for part in on_the_path(model)]
    queries = torch.zeros(1, config.num_heads, 1, config.head_dim)
    row, hidden = slice(0, 1), torch.zeros(1, config.hidden_size)

    def step():
        model.step(ids, cache.extend(0, 1))

    def weights():
        for part, x in matrices:
            part(x)

    def attention():
        for layer in range(config.num_layers):
            grouped_attention(queries, cache.keys[layer, row], cache.values[layer, row])

    def smallest():
        hidden.add_(1)

    compiled = compiled_step(model, cache, ids)
    parts = {"step": step, "compiled": compiled, "weights": weights, "attention": attention, "smallest": smallest}
    seconds = in_turn(rounds, *(lambda _, part=part: [part() for _ in range(STEPS)] for part in parts.values()))
    found = {name: 1e3 * statistics.median(each) / STEPS for name, each in zip(parts, seconds, strict=True)}
    found["rest"] = found["step"] - found["weights"] - found["attention"]
    found["operations"] = count(step) - count(weights) - count(attention)
    return found


def compiled_step(model: HiggsModel, cache: KVCache, ids: Tensor):
    """The same step in one piece, with what follows it."""
    fused = fused_step(model, cache)
    fused.speak_as([Sampling(temperature=0.7, ras_window=7)])
    history, uniform = ids.new_full((7, *ids.shape), model.config.stream_eos_id), torch.rand(2, *ids.shape)
    return lambda: fused.draw(ids, history, uniform)


def on_the_path(model: HiggsModel) -> list[Linear]:
    """The matrices that an audio frame goes through, in order."""
    layers = [part for name, part in model.layers.named_modules() if isinstance(part, Linear) and ".text." not in name]
    return [*layers, model.audio_head]


def count(call) -> int:
    """Tensor operations of a call, views included."""
    with _Counter() as counter:
        call()
    return counter.operations


class _Counter(TorchDispatchMode):
    operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        return func(*args, **(kwargs or {}))


if __name__ == "__main__":
    main()
