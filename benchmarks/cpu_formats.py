"""Number formats on a CPU at the released widths, four layers of them: the prompt alone, the steps alone, and both.

    python dev.py bench cpu_formats -- [--widths v2 v3] [--frames 60] [--rounds 5]

Ours in float32, bfloat16, int8 and int4 and transformers in float32 and bfloat16 speak the same weights, which are
bfloat16 in the file, in turn in one process. The prompt has 207 positions (v3: about as many), 150 of them a reference.
"steps" is what the later frames add to a take of one. v2 is driven by transformers' `generate`, v3 by its Qwen3Model
step by step with its own cache. Ratios are medians of those of each round; beside the time that passed stands what the
process was run for, which other processes disturb less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from _common import SIZES, load_model, make_language_model, prompts, reference_model, reference_rows, write, write_json
from helpers_v3 import Reference, make_v3_checkpoint
from helpers_vocabulary import llama_tokenizer
from safetensors.torch import load_file, save_file

from higgs_runtime import Sampling, generate
from higgs_runtime.generation.prefill import prefill

V3_WIDTH = {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 4,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
FORMATS = {
    "float32": (torch.float32, None),
    "bfloat16": (torch.bfloat16, None),
    "int8": (torch.bfloat16, "int8"),
    "int4": (torch.bfloat16, "int4"),
}
PARTS = ("prompt", "one frame", "whole")
AGAINST = ("ours float32", "transformers float32", "transformers bfloat16")


class Timed(NamedTuple):
    """Seconds that passed, and that the process was run for."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--widths", nargs="+", choices=CHECKPOINTS, default=["v2", "v3"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    found = {}
    for width in args.widths:
        with tempfile.TemporaryDirectory() as folder:
            subjects = CHECKPOINTS[width](Path(folder), args.frames)
            found[width] = measure(subjects, args.rounds)
        show(width, found[width], args.frames)
    write_json(benchmark="cpu_formats", threads=torch.get_num_threads(), **vars(args), found=found)


# ---- who speaks ----------------------------------------------------------------------------------------------------


def v2(folder: Path, frames: int) -> dict[str, dict[str, Callable[[int], object]]]:
    """Name → what is timed of it → how it is done once with a seed."""
    make_language_model(folder, llama_tokenizer(), dtype="bfloat16", stream_end=0, **SIZES["v2-width"])
    found, prompt = ours(folder, frames)
    for dtype in (torch.float32, torch.bfloat16):
        model = slim(reference_model(folder, dtype, "cpu"))
        found[f"transformers {name_of(dtype)}"] = {
            "prompt": lambda seed, model=model: reference_rows(model, prompt, 1, "cpu"),
            "one frame": lambda seed, model=model: reference_rows(model, prompt, 8 + 1, "cpu"),
            "whole": lambda seed, model=model: reference_rows(model, prompt, 8 + frames, "cpu"),
        }
    return found


def v3(folder: Path, frames: int) -> dict[str, dict[str, Callable[[int], object]]]:
    make_v3_checkpoint(folder, stream_end=0, whole_vocabulary=True, **V3_WIDTH)
    file = folder / "model.safetensors"
    save_file({name: one.bfloat16() for name, one in load_file(file).items()}, file, metadata={"format": "pt"})
    found, prompt = ours(folder, frames)
    for dtype in (torch.float32, torch.bfloat16):
        model = StepByStep(folder, dtype)
        found[f"transformers {name_of(dtype)}"] = {
            "prompt": lambda seed, model=model: model.speak(prompt, 1),
            "one frame": lambda seed, model=model: model.speak(prompt, 8 + 1),
            "whole": lambda seed, model=model: model.speak(prompt, 8 + frames),
        }
    return found


CHECKPOINTS = {"v2": v2, "v3": v3}


def ours(folder: Path, frames: int):
    """Ours in each format, and the prompt."""
    found, prompt = {}, None
    for name, (dtype, quantization) in FORMATS.items():
        model = load_model(folder, dtype=dtype, quantization=quantization)
        [prompt] = prompts(model.tokenizer, ["What shall be said, in some words."])
        slim(model)

        def speak(count: int, model=model, prompt=prompt):
            return lambda seed: generate(model, [prompt], Sampling(temperature=0.7, max_frames=count, seed=seed))

        def read(seed: int, model=model, prompt=prompt):
            prefill(model, prompt, model.new_cache(len(prompt)), 0, lambda: False)

        found[f"ours {name}"] = {"prompt": read, "one frame": speak(1), "whole": speak(frames)}
    return found, prompt


class StepByStep(Reference):
    """Qwen3Model with its own key/value cache, sampled at temperature 0.7 among 50."""

    def __init__(self, folder: Path, dtype: torch.dtype):
        super().__init__(folder)
        self.body.to(dtype)
        self.text, self.audio = self.text.to(dtype), self.audio.to(dtype)
        slim(self.body)

    @torch.no_grad()
    def speak(self, prompt, rows: int) -> list[torch.Tensor]:
        audio = prompt.token_ids < 0
        x = self.text[prompt.token_ids.clamp(min=0)]
        x[audio] = sum(self.audio[k][prompt.audio_rows[:, k]] for k in range(8))
        past, found = None, []
        for _ in range(rows):
            out = self.body(inputs_embeds=x[None], past_key_values=past, use_cache=True)
            past = out.past_key_values
            logits = torch.einsum("h,kvh->kv", out.last_hidden_state[0, -1], self.audio).float() / 0.7
            best = logits.topk(50)
            found.append(best.indices.gather(1, best.values.softmax(-1).multinomial(1))[:, 0])
            x = sum(self.audio[k][found[-1][k]] for k in range(8))[None]
        return found


def slim(model: torch.nn.Module) -> torch.nn.Module:
    """The words' embeddings, hundreds of thousands of rows of which a prompt reads few, take the room of one."""
    for weight in model.parameters():
        if len(weight) > 100_000:
            weight.data = weight.data[:1].clone().expand_as(weight)
    return model


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# ---- how long it takes ---------------------------------------------------------------------------------------------


@torch.no_grad()
def measure(subjects: dict, rounds: int) -> dict[str, dict[str, list[Timed]]]:
    found = {name: {part: [] for part in PARTS} for name in subjects}
    for turn in range(-1, rounds):
        for part in PARTS:
            for name, calls in subjects.items():
                with timed() as took:
                    calls[part](max(turn, 0))
                if turn >= 0:
                    found[name][part] += took
    for times in found.values():
        pairs = zip(times["whole"], times["one frame"], strict=True)
        times["steps"] = [Timed(a.wall - b.wall, a.cpu - b.cpu) for a, b in pairs]
    return found


@contextmanager
def timed() -> Iterator[list[Timed]]:
    took: list[Timed] = []
    wall, cpu = time.perf_counter(), time.process_time()
    yield took
    took.append(Timed(time.perf_counter() - wall, time.process_time() - cpu))


def show(width: str, found: dict[str, dict[str, list[Timed]]], frames: int) -> None:
    write(f"\n{width}, {frames} frames; times as fast as, by the time that passed (by that of the process)")
    write(f"{'':<24}{'':<8}{'s':>8}{'cpu s':>8}" + "".join(f"{name:>24}" for name in AGAINST))
    for name, times in found.items():
        for part in ("prompt", "steps", "whole"):
            wall, cpu = (statistics.median(getattr(one, kind) for one in times[part]) for kind in ("wall", "cpu"))
            row = f"{name:<24}{part:<8}{wall:>8.2f}{cpu:>8.2f}"
            for other in AGAINST:
                by = [ratio(found[other][part], times[part], kind) for kind in ("wall", "cpu")]
                row += f"{by[0]:>16.2f} ({by[1]:.2f})"
            write(row)


def ratio(theirs: list[Timed], ours: list[Timed], kind: str) -> float:
    return statistics.median(getattr(a, kind) / getattr(b, kind) for a, b in zip(theirs, ours, strict=True))


if __name__ == "__main__":
    main()
