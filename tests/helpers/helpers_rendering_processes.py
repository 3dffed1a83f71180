"""What processes do that render one script together; here, so that they can import it."""

from __future__ import annotations

import multiprocessing
import warnings

import torch
from helpers_checkpoint import random_codes
from helpers_rendering import rendered

from higgs_runtime import RenderSettings, Sampling, TakeStore, Voice, load_model, parse_script
from higgs_runtime.takes import model_identity

LINES = "\n".join(f"[{('Anna', 'Ben')[n % 2]}] This is line {n} of many." for n in range(40))
QUICK = Sampling(temperature=1.0, seed=5, max_frames=8)


def ready(folder):
    """Model and identity, in a process that keeps to one thread: it may be forked then."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    return load_model(folder), model_identity(folder, device="cpu", dtype=torch.float32)


def render(folder, takes, out=None):
    """Renders LINES from a store; puts (numbers of the lines spoken here, all ids) into `out`."""
    render_with(*ready(folder), takes, out)


def render_again_and_again(folder, takes, pipe):
    """For each message a child that renders, with the model of this process; answers with its id, and at its end."""
    model, identity = ready(folder)
    while pipe.recv():
        child = multiprocessing.get_context("fork").Process(target=render_with, args=(model, identity, takes))
        child.start()
        pipe.send(child.pid)
        child.join()
        pipe.send(child.exitcode)


def render_with(model, identity, takes, out=None):
    voices = {
        name: Voice(random_codes(9 + n, seed=n), f"What voice {n} says.") for n, name in ((1, "Anna"), (2, "Ben"))
    }
    spoken = []
    found = rendered(
        parse_script(LINES),
        voices,
        model,
        QUICK,
        RenderSettings(batch=2),
        store=TakeStore(takes),
        identity=identity,
        on_line=lambda line, state, seconds: spoken.append(line.number) if state == "spoken" else None,
    )
    if out is not None:
        out.put((spoken, [one.take.codes.ids.tolist() for one in found.lines]))
