"""Lines that speak side by side: a model, prompts of different length with settings of their own, each take alone."""

from __future__ import annotations

import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes

from higgs_runtime import Message, Sampling, build_prompt, generate, load_model


def some_model(folder):
    """It ends some of the lines by itself."""
    return load_model(make_lm_checkpoint(folder, stream_end=1.05))


TEXTS = ("One.", "Two two.", "A third, longer line.", "Four!", "The fifth of them", "Six", "Seven.", "At last.")


def prompt_of(model, *parts):
    """A system message, then user texts and clips in turn."""
    messages = [Message("system", "Speak.")]
    messages += [Message("assistant", part) if not isinstance(part, str) else Message("user", part) for part in parts]
    return build_prompt(messages, model.tokenizer)


def lines(model):
    return [prompt_of(model, "Reference.", random_codes(3 + 4 * n, seed=n), text) for n, text in enumerate(TEXTS)]


def settings(count=8, seed=0):
    return [
        Sampling(
            temperature=1.0,
            top_k=(0, 50, 5)[n % 3],
            top_p=(1.0, 0.9)[n % 2],
            seed=seed + n,
            ras_window=(7, 0, 3)[n % 3],
            max_frames=10 + 7 * n,
        )
        for n in range(count)
    ]


def takes_alone(model):
    """Each line by itself."""
    return [generate(model, [prompt], one)[0] for prompt, one in zip(lines(model), settings(), strict=True)]


def same(a, b):
    return torch.equal(a.rows, b.rows) and torch.equal(a.codes.ids, b.codes.ids) and a.finish_reason == b.finish_reason
