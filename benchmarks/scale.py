"""A render on 1 to 1,000 GPUs, simulated (docs/scale.md): how long, how much stands idle, what breaks first.

    python dev.py bench scale                    simulate with what was measured (scale_measured.json)
    python dev.py bench scale -- --measure       measure lines, steps and the store here, and write that file
    python dev.py bench scale -- --check         real renders by 1, 2 and 4 processes beside their simulation

Speeds of GPUs are computed: bytes that a step reads over --share of a published bandwidth. No GPU was measured.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import torch
from _common import ROOT, in_turn, random_codes, write, write_json
from _farm import WIND_DOWN, Farm, Machine, fitted

NANO = ROOT / "higgs_runtime" / "nano" / "higgs-nano"
DATA = Path(__file__).with_name("scale_measured.json")
FRAME_RATE = 25.0
ROWS = (1, 2, 4, 8)
# Published memory bandwidth, bytes/s, and dense bf16 FLOP/s (NVIDIA's data sheets: L4, L40S, A100 80GB SXM, H100 SXM).
GPUS = {"L4": (0.30e12, 121e12), "L40S": (0.864e12, 362e12), "A100": (2.04e12, 312e12), "H100": (3.35e12, 989e12)}
# v2 in bfloat16: what an audio step reads of the weights (attention and audio FFN of 28 layers, audio heads; the text
# FFN and the text embedding are not read), a position's keys and values, and parameters a prompt position meets.
STEP_BYTES, POSITION_BYTES, PARAMETERS = 5.69e9, 28 * 2 * 8 * 128 * 2, 2.85e9
PROMPT, NEW = 260, 45  # positions: of a whole prompt with a 6 s reference, and of those what a line reads anew
COMPUTE_SHARE = 0.4  # of the FLOP/s, while it reads prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lines", type=int, default=48, help="of the script that is really rendered")
    parser.add_argument("--gpu", choices=GPUS, default="H100")
    parser.add_argument("--share", type=float, default=0.5, help="of the bandwidth that a step reaches")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--book", type=float, default=10.0, help="hours of a script")
    parser.add_argument("--life", type=float, default=50_000.0, help="hours until a GPU fails, on average")
    parser.add_argument("--price", type=float, default=2.5, help="of a GPU's hour, in dollars: an assumption")
    parser.add_argument("--hours", type=float, default=10_000)
    args = parser.parse_args()
    if args.measure:
        DATA.write_text(json.dumps(measure()) + "\n", encoding="utf-8")
    measured = json.loads(DATA.read_text(encoding="utf-8"))
    if args.check:
        check(args, measured)
    else:
        simulate(args, measured)


# ---- simulated --------------------------------------------------------------------------------------------------


def gpu_machine(gpu: str, share: float, measured: dict, frames: float, life_s: float | None = None) -> Machine:
    """A GPU with v2 in bfloat16. Each row's keys and values are read in each step: prompt and half of its take. What
    the processor does for a line takes as long as here."""
    bandwidth, flops = GPUS[gpu]
    row = (PROMPT + frames / 2) * POSITION_BYTES

    def step_s(rows: int) -> float:
        return (STEP_BYTES + rows * row) / (share * bandwidth)

    position_s = 2 * PARAMETERS / (COMPUTE_SHARE * flops)
    return Machine(
        step_s, NEW * position_s + measured["host_s"], (PROMPT - NEW) * position_s, measured["store_s"], 90.0, life_s
    )


def simulate(args, measured: dict) -> None:
    """One book on crews of several sizes; then 10,000 hours of books on fleets of such crews.

    Each script has a store of its own, so crews do not disturb each other.
    """
    known = measured["lines"]
    mean = statistics.mean(frames for _, frames in known)
    count = round(args.book * 3600 * FRAME_RATE / mean)
    lines = [known[n % len(known)] for n in range(count)]
    machine = gpu_machine(args.gpu, args.share, measured, mean, args.life * 3600)
    full = args.batch / machine.step_s(args.batch) * mean / (mean + WIND_DOWN) / FRAME_RATE  # s of audio a second
    write(
        f"{args.gpu} at {args.share:g} of its bandwidth, {args.batch} rows: {full:.0f} s of audio a second at most; "
        f"a book: {args.book:g} h, {count} lines of {mean / FRAME_RATE:.1f} s"
    )
    crews, table = {}, [("GPUs a book", "book in", "of full speed", "rows empty", "store busy", "spoken in vain")]
    for size in (1, 8, 64, 1000):
        made = Farm(machine, lines, workers=size, batch=args.batch).run()
        rate = made.frames / FRAME_RATE / (made.seconds - machine.start_s)
        crews[size] = {
            "seconds": made.seconds,
            "rate": rate,
            "share": rate / full / size,
            "empty": made.empty,
            "store_busy": count * measured["store_s"] / made.seconds,
            "vain": made.lost_frames / made.frames,
        }
        one = crews[size]
        table.append(
            (
                str(size),
                f"{made.seconds / 60:.1f} min",
                f"{one['share']:.0%}",
                f"{made.empty:.0%}",
                f"{one['store_busy']:.0%}",
                f"{one['vain']:.2%}",
            )
        )
    show(table)
    books = math.ceil(args.hours / args.book)
    fleets, table = [], [("GPUs", "GPUs a book", f"{args.hours:,.0f} h in", "GPU-hours", "an hour costs", "takes/s")]
    for gpus, size in ((1, 1), (8, 1), (8, 8), (64, 1), (64, 8), (1000, 1), (1000, 8)):
        hours = math.ceil(books / (gpus // size)) * crews[size]["seconds"] / 3600  # each book loads the model anew
        one = {
            "gpus": gpus,
            "crew": size,
            "hours": hours,
            "gpu_hours": hours * gpus,
            "cost_an_hour": hours * gpus / args.hours * args.price,
            "takes_a_second": books * count / hours / 3600,
        }
        fleets.append(one)
        table.append(
            (
                str(gpus),
                str(size),
                f"{hours:,.2f} h",
                f"{hours * gpus:,.0f}",
                f"${one['cost_an_hour']:.3f}",
                f"{one['takes_a_second']:,.0f}",
            )
        )
    show(table)
    write(f"one store for all serves {1 / measured['store_s']:.0f} takes/s, one after the other")
    write_json(benchmark="scale", **vars(args), full_rate=full, book_lines=count, crews=crews, fleets=fleets)


def show(table: list[tuple[str, ...]]) -> None:
    for row in table:
        write("  ".join(cell.rjust(14) for cell in row))


def job_of(script, **how):
    """A render of it, eight lines side by side. `how`: a store, and the longest that a line may be."""
    from higgs_runtime import RenderJob, RenderSettings, Sampling

    sampling = Sampling(seed=1, **{name: how.pop(name) for name in ("max_frames",) if name in how})
    return RenderJob(script=script, voices=voices(), sampling=sampling, settings=RenderSettings(batch=8), **how)


# ---- measured here ----------------------------------------------------------------------------------------------


def measure() -> dict:
    from higgs_runtime import LocalSpeaker, load_model, render

    model = load_model(NANO)
    found = render(job_of(script_of(240)), LocalSpeaker(model))
    lines = [(len(one.line.text), one.take.codes.frames) for one in found.lines]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        [one] = pool.map(speeds, [0])
    return {
        "model": "higgs-nano",
        "threads": torch.get_num_threads(),
        "lines": lines,
        "store_s": one["store_s"],
        "host_s": one["line_s"] - one["read_s"],
    }


def script_of(lines: int, *, uneven: bool = False):
    """Lines of one to three of Nano's sentences; uneven: each ends after 16 to 79 frames, so that a check is short."""
    import sys

    sys.path.insert(0, str(ROOT / "tools"))
    from nano.domain import sentences

    from higgs_runtime import Script, Turn

    texts = list(islice(sentences(3), 3 * lines))
    sizes = [1 + n % 3 for n in range(lines)]  # sentences of a line
    starts = [sum(sizes[:n]) for n in range(lines)]
    return Script(
        [
            Turn(
                "",
                " ".join(texts[start : start + size]),
                line=n + 1,
                settings={"max_frames": 16 + 29 * n % 64} if uneven else {},
            )
            for n, (start, size) in enumerate(zip(starts, sizes, strict=True))
        ]
    )


def voices() -> dict:
    from higgs_runtime import AudioClip, Voice, embedded_voices, load_codec

    clip = embedded_voices()["rose"]
    codec = load_codec(NANO.with_name("higgs-nano-codec"))
    said = Path(clip).with_suffix(".txt").read_text(encoding="utf-8").strip()
    return {"Narrator": Voice(codec.encode(AudioClip.load(clip)), said)}


def store_seconds(takes: int = 200) -> float:
    """Of storing a take of 4 s on this disk, synced."""
    from higgs_runtime import TakeStore
    from higgs_runtime.takes import Take

    with tempfile.TemporaryDirectory() as folder:
        store, times = TakeStore(folder), []
        for n in range(takes):
            take = Take(random_codes(100, seed=n), "stop", n, 1.0, {})
            times.append(seconds_of(store.put, f"{n:064x}-0", take))
    return statistics.median(times)


def speeds(_: int) -> dict:
    """Of one process among others: seconds of a step by rows, of its first use, and of all that is no step: of a line,
    of a part, and of a take in the store."""
    from higgs_runtime import Sampling, Session, build_prompt, conversation, load_model

    torch.set_num_threads(1)
    model = load_model(NANO)
    texts = [turn.text for turn in script_of(12).turns]
    alone = [build_prompt(conversation(texts[0]), model.tokenizer)]
    first, again = (seconds_of(Session(model).generate, alone, Sampling(max_frames=1)) for _ in range(2))
    voice = voices()["Narrator"]  # from here on Numba is there, for librosa
    prompts = [build_prompt(conversation(text, [voice]), model.tokenizer) for text in texts]
    session, steps = Session(model, batch=max(ROWS)), {}
    session.generate(prompts[:8], Sampling(max_frames=4))  # reads what all share
    for rows in ROWS:
        seconds = []
        for turn in range(3):
            some = prompts[turn : turn + rows]
            took = []
            for frames in (4, 64):  # what both need beside their steps drops out
                started = time.perf_counter()
                made = session.generate(some, Sampling(seed=turn, max_frames=frames))
                took.append((time.perf_counter() - started, max(one.frames for one in made)))
            if took[1][1] > took[0][1]:
                seconds.append((took[1][0] - took[0][0]) / (took[1][1] - took[0][1]))
        steps[rows] = statistics.median(seconds)
    store_s = store_seconds()
    return {
        "step_s": steps,
        "first_s": first - again,
        "store_s": store_s,
        "read_s": read_seconds(model, prompts),
        **beside_steps(model, steps, store_s),
    }


@torch.no_grad()
def read_seconds(model, prompts) -> float:
    """Of a line's own positions, which follow what all prompts begin with; a part of line_s."""
    from higgs_runtime.generation.prefill import prefill
    from higgs_runtime.generation.prefix_cache import common_start, position_keys

    keys = [position_keys(prompt, model.config) for prompt in prompts]
    start, cache = min(common_start(keys[0], other) for other in keys[1:]), model.new_cache(max(map(len, prompts)))
    took = []
    for prompt in prompts:
        cache.lengths[0] = start
        took.append(seconds_of(prefill, model, prompt, cache, 0, lambda: False))
    return statistics.median(took)


def beside_steps(model, step_s: dict[int, float], store_s: float) -> dict:
    """Seconds of a line and of a part without steps and store: two renders of takes of one frame, a part each."""
    from higgs_runtime import LocalSpeaker, TakeStore, render
    from higgs_runtime.takes import model_identity

    identity = model_identity(NANO, device="cpu", dtype=torch.float32)
    few, many = 8, 40
    scripts = {count: script_of(count) for count in (few, many)}

    def spoken(count: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            job = job_of(scripts[count], max_frames=1, store=TakeStore(folder))
            render(job, LocalSpeaker(model, identity=identity))

    took = in_turn(3, lambda _: spoken(few), lambda _: spoken(many))
    known = store_s + (1 + WIND_DOWN) * step_s[8] / 8
    few_s, many_s = (statistics.median(each) - count * known for each, count in zip(took, (few, many), strict=True))
    line_s = max(0.0, (many_s - few_s) / (many - few))
    return {"line_s": line_s, "part_s": max(0.0, few_s - few * line_s)}


def seconds_of(call, *args, **named) -> float:
    started = time.perf_counter()
    call(*args, **named)
    return time.perf_counter() - started


# ---- predicted and measured -------------------------------------------------------------------------------------


def check(args, measured: dict) -> None:
    """The simulation gets the lengths that the takes of the real render have."""
    rounds = []
    for workers in (1, 2, 4):
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            each = pool.map(speeds, range(workers), chunksize=1)
        mean = {name: statistics.mean(one[name] for one in each) for name in ("line_s", "part_s", "store_s", "first_s")}
        machine = Machine(
            fitted({rows: statistics.mean(one["step_s"][rows] for one in each) for rows in ROWS}),
            mean["line_s"],
            mean["part_s"],
            mean["store_s"],
            0.0,
        )
        seconds, lines, starts, driver_s = real_render(workers, args.lines)
        starts = [start + mean["first_s"] for start in starts]
        expected = Farm(machine, lines, workers=workers, batch=8, starts=starts).run().seconds
        rounds.append(
            {
                "workers": workers,
                "measured_s": seconds,
                "predicted_s": expected,
                "driver_s": driver_s,
                "step_s": machine.step_s(8),
                **mean,
            }
        )
        write(
            f"{workers} processes: measured {seconds:6.1f} s, predicted {expected:6.1f} s "
            f"({expected / seconds - 1:+.0%}); step of 8 rows {1e3 * machine.step_s(8):.1f} ms, the first "
            f"{mean['first_s']:.1f} s more; beside steps a line {1e3 * mean['line_s']:.1f} ms, a part "
            f"{1e3 * mean['part_s']:.0f} ms, a take in the store {1e3 * mean['store_s']:.1f} ms; the driver's own "
            f"{1e3 * driver_s / len(lines):.1f} ms a line"
        )
    write_json(benchmark="scale_check", lines=args.lines, cores=os.cpu_count(), runs=rounds)


def real_render(workers: int, count: int):
    """(seconds from the first worker that is ready to the last take, (characters, frames) of the lines, when each
    worker was ready after the first, seconds of the driver's processor in that time)."""
    from higgs_runtime import TakeStore, render
    from higgs_runtime.cluster import ClusterSettings, ClusterSpeaker, Engine
    from higgs_runtime.rendering import Events

    ready: list[float] = []
    used: list[float] = []
    ended = spent = 0.0

    class Watch(Events):
        def on_line(self, line, state, seconds) -> None:
            nonlocal ended, spent
            if state == "spoken":
                ended, spent = time.perf_counter(), time.process_time()

        def on_workers(self, status) -> None:
            while len(ready) < status.idle + status.speaking:
                ready.append(time.perf_counter())
                used.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        job = job_of(script_of(count, uneven=True), store=TakeStore(folder))
        cluster = ClusterSettings("local", workers=workers, cpus=0.5)
        found = render(job, ClusterSpeaker(Engine("higgs-nano", device="cpu"), cluster), Watch())
    lines = [(len(one.line.text), one.take.codes.frames) for one in found.lines]
    return ended - ready[0], lines, [moment - ready[0] for moment in ready], spent - used[0]


if __name__ == "__main__":
    main()
