"""Where encoding and decoding spend their time on a CPU, by one thread: products, convolutions, activations, by layer.

    python dev.py bench codec_profile -- [--seconds 6] [--plain]

GFLOP are the operations that are computed; with --plain, without the compiled loops, these are all that the plain sums
have. The clock of the process is read around each operation, which adds a few percent.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from _common import random_codes, write, write_json
from helpers_codec import RELEASED, make_codec_checkpoint, sound_clip
from torch.overrides import TorchFunctionMode

from higgs_runtime.codec.cpu_kernel import kernels, networks
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec

LEAST = 0.01  # of the whole: rows with less are added up
LOOPS = ("snake_rows", "points_of", "rows_of", "pair_points_of", "pair_rows_of", "last_row_sums")


class Meter(TorchFunctionMode):
    """Seconds of the process and operations of torch's functions and of the compiled loops, by network and shape."""

    def __init__(self):
        super().__init__()
        self.rows: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._within = ["rest"]

    def __torch_function__(self, func, types, args=(), kwargs=None):
        started = time.process_time()
        found = func(*args, **(kwargs or {}))
        took = time.process_time() - started
        what, operations = described(getattr(func, "__name__", ""), args, found)
        self._add(what, took, operations)
        return found

    def _add(self, what: str, seconds: float, operations: float = 0.0) -> None:
        row = self.rows[self._within[-1], what]
        row[0] += seconds
        row[1] += operations

    def loop(self, name: str, function: Callable) -> Callable:
        def timed(*args):
            started = time.process_time()
            function(*args)
            self._add(f"loop {name}", time.process_time() - started)

        return timed

    def inside(self, name: str, function: Callable) -> Callable:
        """The function, with what it does counted under this name."""

        def labelled(*args, **kwargs):
            self._within.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._within.pop()

        return labelled


def described(name: str, args: tuple, found) -> tuple[str, float]:
    """What an operation is, with the shape of its weight, and its multiplications and additions."""
    if name == "bmm":
        a, b = args[:2]
        return f"products {list(b.shape)}", 2.0 * a.numel() * b.shape[-1]
    if name in ("addmm", "addmm_"):
        _, a, b = args[:3]
        return f"products {list(b.shape)}", 2.0 * a.numel() * b.shape[-1]
    if name == "linear":
        return f"linear {list(args[1].shape)}", 2.0 * args[0].numel() * args[1].shape[0]
    if name in ("matmul", "__matmul__"):
        return "matmul", 2.0 * args[0].numel() * args[1].shape[-1]
    if name == "conv1d":
        return f"convolution {list(args[1].shape)}", 2.0 * found.numel() * args[1][0].numel()
    if name == "conv_transpose1d":
        return f"transposed convolution {list(args[1].shape)}", 2.0 * args[0].numel() * args[1][0].numel()
    if name == "scaled_dot_product_attention":
        return "attention", 4.0 * args[0].numel() * args[1].shape[-2]
    return {"gelu": "gelu", "gelu_": "gelu", "sin_": "snake", "square_": "snake"}.get(name, "other"), 0.0


@contextmanager
def metered(codec: HiggsCodec):
    """A Meter, with the codec's networks and the compiled loops under it."""
    meter, module, hubert = Meter(), codec.module, codec.module.semantic_model
    named = [
        ("HuBERT, convolutions", hubert.feature_extractor, "forward"),
        ("HuBERT, convolutions", networks.PreparedFront, "__call__"),
        ("HuBERT, positions", hubert.encoder.pos_conv_embed, "forward"),
        *(("HuBERT, layers", layer, "forward") for layer in hubert.encoder.layers),
        ("semantic encoder", module.encoder_semantic, "forward"),
        ("DAC encoder", module.acoustic_encoder, "forward"),
        ("DAC encoder", networks.PreparedEncoder, "__call__"),
        ("quantizer", module.quantizer, "encode"),
        ("quantizer", module.quantizer, "decode"),
        ("DAC decoder", networks.PreparedDecoder, "__call__"),
        *(("DAC decoder", stage, "forward") for stage in module.acoustic_decoder.stages),
    ]
    with ExitStack() as stack:
        for name, owner, method in named:
            stack.enter_context(patch.object(owner, method, meter.inside(name, getattr(owner, method))))
        for name in LOOPS:
            stack.enter_context(patch.object(kernels, name, meter.loop(name, getattr(kernels, name))))
        stack.enter_context(meter)
        yield meter


def table(what: str, call: Callable[[], object], codec: HiggsCodec) -> dict:
    call()  # compiled, and weights laid out
    started = time.process_time()
    call()
    whole = time.process_time() - started
    with metered(codec) as meter:
        call()
    counted = sum(seconds for seconds, _ in meter.rows.values())
    operations = sum(count for _, count in meter.rows.values())
    write(f"\n{what}: {whole:.2f} s without the meter, {counted:.2f} s of operations, {operations / 1e9:.1f} GFLOP")
    write(f"{'network':<22} {'operation':<40} {'ms':>8} {'share':>6} {'GFLOP':>8} {'GFLOP/s':>8}")
    small: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (network, name), (seconds, count) in sorted(meter.rows.items(), key=lambda row: -row[1][0]):
        if seconds < LEAST * counted:
            small[network][0] += seconds
            small[network][1] += count
        else:
            write(row(network, name, seconds, count, counted))
    for network, (seconds, count) in small.items():
        write(row(network, "(all smaller)", seconds, count, counted))
    return {
        "seconds": whole,
        "rows": [[*key, seconds, count] for key, (seconds, count) in meter.rows.items()],
    }


def row(network: str, name: str, seconds: float, count: float, whole: float) -> str:
    speed = f"{count / 1e9:8.2f} {count / 1e9 / seconds:8.1f}" if count else f"{'':>17}"
    return f"{network:<22} {name:<40} {1000 * seconds:8.1f} {seconds / whole:6.1%} {speed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--plain", action="store_true", help="the modules, without the compiled loops")
    args = parser.parse_args()
    torch.set_num_threads(1)  # all of it is then done by the thread that is looked at
    with tempfile.TemporaryDirectory() as folder:
        make_codec_checkpoint(Path(folder) / "codec", codebook_dim=64, **RELEASED)
        codec = HiggsCodec.load(Path(folder) / "codec", fused=not args.plain)
        clip, codes = sound_clip(args.seconds), random_codes(round(args.seconds * 25))
        found = {
            "encode": table(f"encode {args.seconds:g} s", lambda: codec.encode(clip), codec),
            "decode": table(f"decode {args.seconds:g} s", lambda: codec.decode(codes), codec),
        }
    write_json(benchmark="codec_profile", **vars(args), **found)


if __name__ == "__main__":
    main()
