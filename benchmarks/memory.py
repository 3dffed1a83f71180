"""Peaks of memory: loading, speaking with v2 in its released shape, decoding an hour, a script of 1,000 lines. Each in
a process of its own.

    python dev.py bench memory -- [--lines 1000] [--only large]

"Above" means above what the process held before; file pages that stay mapped count. v2 in its released shape is a file
of 11 GB with weights in two of its 28 layers and holes for the others, which take no disk; as pages in memory they
count like any others.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from _common import load_model, make_language_model, prompts, random_codes, write, write_json
from helpers_checkpoint import GIGABYTE, RELEASED_V2
from helpers_codec import RELEASED, make_codec_checkpoint
from helpers_vocabulary import llama_tokenizer
from make_random_checkpoint import make_sparse_language_model

from higgs_runtime import Codes, Sampling, Session, generate, load_codec
from higgs_runtime.hub import model_bytes

PARTS = ("load", "large", "decode", "script")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=60, help="of codes to decode")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        name, *rest = args.part
        write(str({"load": load, "large": large, "decode": decode, "script": script}[name](*rest)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        make_language_model(Path(folder) / "twin", llama_tokenizer(), num_hidden_layers=1)
        for name in args.only:
            measured = {"load": loads, "large": larges, "decode": decodes, "script": scripts}[name]
            found |= measured(folder, args)
    write_json(benchmark="memory", **found)


def larges(folder: str, args: argparse.Namespace) -> dict[str, float]:
    make_sparse_language_model(Path(folder) / "large", llama_tokenizer(), **RELEASED_V2)
    found = {"large": part("large", f"{folder}/large")}
    write(f"v2 in bfloat16, loading and speaking: peak / size of the model: {found['large']:.3f}")
    return found


def loads(folder: str, args: argparse.Namespace) -> dict[str, float]:
    found = {}
    make_language_model(Path(folder) / "lm", llama_tokenizer(), dtype="float32", stream_end=0, **GIGABYTE)
    for dtype, quantization in (("float32", ""), ("bfloat16", ""), ("bfloat16", "int8"), ("bfloat16", "int4")):
        label = f"loading, {dtype} {quantization}".strip()
        found[label] = part("load", f"{folder}/lm", dtype, quantization)
        write(f"{label:<28} peak / size of the model: {found[label]:.3f}")
    return found


def decodes(folder: str, args: argparse.Namespace) -> dict[str, float]:
    make_codec_checkpoint(Path(folder) / "codec", codebook_dim=64, **RELEASED)
    found = {"decode": part("decode", f"{folder}/codec", str(args.minutes))}
    write(f"decoding {args.minutes} minutes: {found['decode']:.0f} MB above codec and codes")
    return found


def scripts(folder: str, args: argparse.Namespace) -> dict[str, float]:
    make_language_model(Path(folder) / "small", llama_tokenizer(), stream_end=0)
    found = {"script": part("script", f"{folder}/small", str(args.lines))}
    write(f"a script of {args.lines} lines: {found['script']:.1f} MB more at its end than after a tenth of it")
    return found


def part(*args: str) -> float:
    command = [sys.executable, "-W", "ignore", __file__, "--part", *args]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def load(folder: str, dtype: str, quantization: str) -> float:
    load_model(Path(folder).parent / "twin")  # libraries set themselves up
    before = peak()
    model = load_model(folder, dtype=getattr(torch, dtype), quantization=quantization or None)
    for weight in model.parameters():
        weight.sum()
    return (peak() - before) / model_bytes(model)


def large(folder: str) -> float:
    """Load and speak two frames."""
    speak_two_frames(load_model(Path(folder).parent / "twin"))
    before = peak()
    model = load_model(folder, dtype=torch.bfloat16)
    speak_two_frames(model)
    return (peak() - before) / model_bytes(model)


def speak_two_frames(model) -> None:
    generate(model, prompts(model.tokenizer, ["What shall be said."]), Sampling(max_frames=2))


def decode(folder: str, minutes: str) -> float:
    codec, codes = load_codec(folder), random_codes(int(minutes) * 60 * 25)
    for weight in codec.module.parameters():
        weight.sum()  # mapped, and read now
    before, samples = peak(), 0
    for clip in codec.decode_stream(codes_in_chunks(codes)):
        samples += clip.samples.shape[1]
    if samples != codes.frames * 960:
        raise SystemExit(f"{samples} samples")
    return (peak() - before) / 1e6


def codes_in_chunks(codes: Codes):
    for start in range(0, codes.frames, 250):
        yield Codes(codes.ids[:, start : start + 250], 25.0, 1024)


def script(folder: str, lines: str) -> float:
    model, count = load_model(folder), int(lines)
    session = Session(model)
    texts = prompts(model.tokenizer, [f"This is line {n}." for n in range(count)])
    sampling = Sampling(temperature=1.0, max_frames=8)
    session.generate(texts[: count // 10], sampling)
    gc.collect()
    before = now()
    for start in range(count // 10, count, count // 10):
        session.generate(texts[start : start + count // 10], sampling)
    gc.collect()
    return (now() - before) / 1e6


def peak() -> int:
    """Most bytes that this process ever held. (getrusage would count what its parent held when it was started.)"""
    [line] = [line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if "VmHWM" in line]
    return int(line.split()[1]) * 1024


def now() -> int:
    """Bytes that this process holds."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    main()
