"""Generation: read the prompt, then write one delayed frame a step until the model ends the stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from .decode_state import DecodeState
from .errors import NumericError, PromptError
from .kv_cache import KVCache
from .model import HiggsModel, Routing
from .sampling import sample
from .types import Codes, FinishReason, Generation, Prompt, Sampling

PREFILL_CHUNK = {"cpu": 128}  # positions read between two looks at should_stop, by device type
PREFILL_CHUNK_ELSEWHERE = 1024

OnFrames = Callable[[int, torch.Tensor], None]
ShouldStop = Callable[[], bool]


@torch.no_grad()
def generate(
    model: HiggsModel,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    on_frames: OnFrames | None = None,
    should_stop: ShouldStop | None = None,
) -> list[Generation]:
    """Speak each prompt.

    Every prompt starts its own random generator from `sampling.seed`, so a prompt gives the same codes whatever
    other prompts are rendered with it.

    Args:
        on_frames: called after every step with the prompt's index and the frames LongTensor [K, n] which that step
            completed (n = 0 during the first K steps); joined they are the codes of the Generation.
        should_stop: asked before every step; True ends this prompt and those after it as "cancelled".

    Returns:
        One Generation per prompt, in order. A cancelled one keeps the frames it has.

    Raises:
        PromptError: a prompt with max_frames does not fit the model's positions.
        NumericError: the logits are not finite.
    """
    on_frames = on_frames or (lambda index, frames: None)
    should_stop = should_stop or (lambda: False)
    for prompt in prompts:
        _check_length(model, prompt, sampling)
    return [_speak(model, prompt, sampling, index, on_frames, should_stop) for index, prompt in enumerate(prompts)]


def _speak(
    model: HiggsModel, prompt: Prompt, sampling: Sampling, index: int, on_frames: OnFrames, should_stop: ShouldStop
) -> Generation:
    started = time.perf_counter()
    config = model.config
    state = DecodeState(config.num_codebooks, config.stream_bos_id, config.stream_eos_id, config.codebook_size)
    frames: list[torch.Tensor] = []
    # 1. Read the prompt.
    cache = model.new_cache(_positions(model, prompt, sampling))
    logits = prefill(model, prompt, cache, should_stop)
    # 2. Write one delayed frame a step.
    generator = torch.Generator(model.device).manual_seed(sampling.seed)
    history = torch.full(
        (max(sampling.ras_window, 1), config.num_codebooks), config.stream_eos_id, device=model.device
    )
    written, max_rows = 0, sampling.max_frames + config.num_codebooks + 1
    reason: FinishReason = "cancelled"
    while logits is not None and not should_stop():
        _check_finite(logits, state.step, model.dtype)
        ids = state.hold(sample(logits, history, sampling, generator, config.codebook_size))
        state.push(ids)
        history = torch.cat((history[1:], ids[None]))
        new = state.take_frames()[:, : sampling.max_frames - written].cpu()
        frames.append(new)
        written += new.shape[1]
        on_frames(index, new)
        if state.finished or written == sampling.max_frames or state.step == max_rows:
            reason = "length" if state.end_step is None else "stop"
            break
        logits = model.step(ids[None], cache)[0]
    # 3. Hand over what is complete.
    ids = torch.cat(frames, dim=1) if frames else torch.empty((config.num_codebooks, 0), dtype=torch.long)
    rows = torch.stack(state.rows).cpu() if state.rows else torch.empty((0, config.num_codebooks), dtype=torch.long)
    codes = Codes(ids, config.frame_rate, config.codebook_size, config.codec_identity)
    return Generation(codes, rows, reason, time.perf_counter() - started, len(prompt))


def prefill(
    model: HiggsModel, prompt: Prompt, cache: KVCache, should_stop: ShouldStop, chunk: int | None = None
) -> torch.Tensor | None:
    """Read the prompt into the cache in chunks; the next logits [K, V], or None when stopped on the way."""
    x, mask = model.embed(prompt)
    hidden = None
    chunk = chunk or PREFILL_CHUNK.get(model.device.type, PREFILL_CHUNK_ELSEWHERE)
    for start in range(0, len(prompt), chunk):
        if should_stop():
            return None
        part = slice(start, start + chunk)
        hidden = model(x[:, part], Routing.from_mask(mask[:, part]), cache)
    return model.head(hidden[0, -1])


def _check_finite(logits: torch.Tensor, step: int, dtype: torch.dtype) -> None:
    if not bool(logits.isfinite().all()):
        raise NumericError(
            "The language model computed numbers out of range.", expected="finite logits",
            got=f"NaN or infinity in {dtype} at step {step}",
            remedy="Load it in bfloat16 or float32; if that does not help, the weights are damaged: get them anew.",
        )


def _positions(model: HiggsModel, prompt: Prompt, sampling: Sampling) -> int:
    # One stream-begin row, max_frames + K - 1 delayed rows, one row of wind-down; the last row is never read back.
    return len(prompt) + sampling.max_frames + model.config.num_codebooks


def _check_length(model: HiggsModel, prompt: Prompt, sampling: Sampling) -> None:
    needed, limit = _positions(model, prompt, sampling), model.config.max_positions
    if needed > limit:
        raise PromptError(
            "Prompt and audio are longer than the model can read.", expected=f"at most {limit} positions",
            got=f"{len(prompt)} of prompt + {needed - len(prompt)} for the audio",
            remedy="Use shorter reference clips or text, or a smaller maximum length.",
        )
