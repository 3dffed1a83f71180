"""A recording that a model edits or continues, with who speaks and who listens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ..host import handles
from ..host.audio import clip_from_audio
from ..host.progress import Progress, cancelled, raise_if_cancelled
from . import recognizer_inputs

PROMPT_S = 40.0  # of frames that a prompt has at most: a reference and what is gone on from, twice over


def recording_of(audio, codes):
    """The recording: codes where there are some, else a clip.

    Raises:
        SettingError: neither is connected.
        AudioError: the audio is no single clip.
    """
    from ...higgs_runtime import SettingError

    if codes is None and audio is None:
        raise SettingError(
            "There is no recording.", expected="audio or codes", got="neither", remedy="Connect one of them."
        )
    return clip_from_audio(audio) if codes is None else codes


@contextmanager
def speaking(model, codec, settings: dict, max_seconds: float, at_once: int = 1) -> Iterator:
    """`Speaking` with the models of two handles, which tells ComfyUI's progress bar and is stopped by its cancel.

    Args:
        settings: recognizer, language, voice, candidates, and what else a `Sampling` has.
        max_seconds: of a take.
        at_once: takes that are spoken side by side, or as many as there are candidates.
    """
    from ...higgs_runtime import AudioError, Sampling
    from ...higgs_runtime.editing import Speaking
    from ...higgs_runtime.model import working_bytes

    code = settings.pop("language").strip()
    listener = recognizer_inputs.find_listener(settings.pop("recognizer"), code)
    candidates, voice = settings.pop("candidates"), settings.pop("voice", None)

    def cache_bytes(lm) -> int:
        positions = round((PROMPT_S + max_seconds) * lm.config.frame_rate)
        return working_bytes(lm.config, positions, lm.compute_dtype, rows=max(candidates, at_once))

    handles.check_here(model)
    raise_if_cancelled()
    with (
        handles.open_model(codec, lambda one: max(one.encode_bytes(PROMPT_S), one.decode_bytes(PROMPT_S))) as tokenizer,
        handles.open_speaker(model, cache_bytes) as lm,
    ):
        progress = Progress(1)

        def on_step(done: int, total: int) -> None:
            raise_if_cancelled()
            progress.update(done, total)

        frames = math.ceil(max_seconds * lm.config.frame_rate)
        how = Speaking(
            model=lm,
            codec=tokenizer,
            voice=voice,
            recognizer=listener.recognizer if listener else None,
            language=code or None,
            sampling=Sampling(max_frames=frames, **settings),
            candidates=candidates,
            on_step=on_step,
            should_stop=cancelled,
        )
        try:
            yield how
        except AudioError:
            raise_if_cancelled()  # it says no more than that it was stopped
            raise
        progress.finish()
