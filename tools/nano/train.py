"""Train Higgs Nano from nothing: data, encoder, decoder and language model, export, evaluation.

    python dev.py train-nano                  everything, from where the last run stopped
    python dev.py train-nano -- lm            one stage
    python dev.py train-nano -- --out folder  where the checkpoint goes (default: higgs_runtime/nano)

Decoder and language model are trained at the same time, one core each. A run may be killed at any moment.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from corpus import load_lexicon
from decoder_stage import train_decoder
from encoder_stage import train_encoder
from lm_stage import train_lm

ROOT = Path(__file__).resolve().parent.parent.parent
STAGES = ("data", "encoder", "decoder", "lm", "export", "evaluate")
STEPS = {"encoder": 2500, "decoder": 9000, "lm": 4000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="?", choices=STAGES, help="only this stage (default: all)")
    parser.add_argument("--work", type=Path, default=ROOT / ".nano", help="folder of the run, kept between runs")
    parser.add_argument("--out", type=Path, default=ROOT / "higgs_runtime" / "nano")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.stage:
        run(args.stage, args)
        return
    run("data", args)
    run("encoder", args)
    _side_by_side(("decoder", "lm"), args)
    run("export", args)
    run("evaluate", args)


def run(stage: str, args: argparse.Namespace) -> None:
    lexicon = load_lexicon(args.work)
    if stage == "encoder":
        from gates import encoder_gate

        train_encoder(args.work, lexicon, STEPS["encoder"])
        encoder_gate(args.work, lexicon)
    elif stage == "decoder":
        train_decoder(args.work, lexicon, STEPS["decoder"], compiled=shutil.which("g++") is not None)
    elif stage == "lm":
        from gates import lm_gate

        train_lm(args.work, lexicon, STEPS["lm"])
        lm_gate(args.work, lexicon)
    elif stage == "export":
        from export import export, megabytes

        export(args.out, lexicon, args.work / "lm.pt", args.work / "codec.pt")
        print(f"{args.out}: {megabytes(args.out):.1f} MB", flush=True)
    elif stage == "evaluate":
        from evaluate import evaluate

        evaluate(args.out, lexicon, args.work)


def _side_by_side(stages: tuple[str, ...], args: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--work", str(args.work), "--threads", str(max(1, args.threads // 2))]
    children = {stage: subprocess.Popen([*command, stage]) for stage in stages}
    try:
        failed = [stage for stage, child in children.items() if child.wait()]
    finally:
        for child in children.values():
            child.terminate()
    if failed:
        raise SystemExit(f"The stage {' and '.join(failed)} failed; run the same command again to go on.")


if __name__ == "__main__":
    main()
