"""Generation: read the prompts, then write one delayed frame a step until the model ends each stream."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ..model import HiggsModel
from ..types import Codes, Generation, Prompt, Sampling
from .request import ShouldEnd
from .session import DEFAULT_BATCH, OnFrames, Session, ShouldStop


def generate(
    model: HiggsModel,
    prompts: Sequence[Prompt],
    sampling: Sampling | Sequence[Sampling],
    *,
    on_frames: OnFrames | None = None,
    should_stop: ShouldStop | None = None,
    should_end: ShouldEnd | None = None,
    batch: int = DEFAULT_BATCH,
) -> list[Generation]:
    """Speak prompts, several side by side; one that ends makes room for the next.

    Each prompt draws its random numbers from its own seed, so it gives the same codes in any batch. What prompts
    have in common at their beginning is read once. To keep what was read for a later call, use a `Session`.

    Args:
        sampling: for all prompts, or one for each.
        on_frames: called every few steps for each prompt that speaks, with its index and the frames LongTensor [K, n]
            that became complete (n may be 0); joined they are the codes of its Generation.
        should_stop: asked before every step; True ends all that are not done as "cancelled".
        should_end: asked with an index and new frames, as `on_frames` but before it; True ends this prompt after these
            frames as "length". The others go on.
        batch: how many speak side by side, at most; fewer where memory is short.

    Returns:
        One Generation per prompt, in order. A cancelled one keeps the frames it has, and so does one that was ended
        because it repeated itself.

    Raises:
        PromptError: a prompt with max_frames does not fit the model's positions.
        NumericError: the logits are not finite; it names the part of the model where that began.
        MemoryShortError: there is no memory even for one prompt; it holds the takes that were finished before.
    """
    session = Session(model, batch=batch)
    return session.generate(prompts, sampling, on_frames=on_frames, should_stop=should_stop, should_end=should_end)


def stream(
    model: HiggsModel, prompt: Prompt, sampling: Sampling, *, should_stop: ShouldStop | None = None
) -> Generator[Codes, None, None]:
    """Speak one prompt; yields its frames as they become complete, every few steps, for `Codec.decode_stream`.

    Whoever stops reading ends it, best with `contextlib.closing`: what it holds is free then, and not when Python ends.

    Raises:
        As `generate`.
    """
    return Session(model, batch=1).stream(prompt, sampling, should_stop=should_stop)
