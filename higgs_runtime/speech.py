"""The main path on one page: text and voice → prompt → codes → sound."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from .audio.clip import AudioClip, within_full_scale
from .codec import Codec, load_codec
from .codec.grouping import STREAMED, FrameGroups
from .devices import pick_device, pick_dtype
from .errors import AudioError, CheckpointError, HiggsWarning, SettingError
from .generation.generate import generate, stream
from .generation.request import with_length_warning
from .generation.session import OnFrames, ShouldStop
from .hub import ModelKey, default_pair, find_checkpoints, model_roots, shared_cache
from .model import HiggsModel, load_model
from .prompt import DEFAULT_SYSTEM, build_prompt, conversation
from .suspended import closed_in_time
from .text.normalize import PreparedText, prepare_text
from .types import Codes, Prompt, Sampling, Voice
from .voices import encode_reference


def speak(
    text: str,
    voice: Voice | AudioClip | str | Path | None = None,
    *,
    model: HiggsModel | str | Path | None = None,
    codec: Codec | str | Path | None = None,
    transcript: str = "",
    scene: str = "",
    system: str = DEFAULT_SYSTEM,
    prepare: bool = False,
    sampling: Sampling | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    quantization: str | None = None,
    on_frames: OnFrames | None = None,
    should_stop: ShouldStop | None = None,
) -> AudioClip:
    """Speak a text.

    Args:
        voice: whom to sound like: a Voice, or a clip or audio file of 3 to 15 s together with its `transcript`.
        model, codec: loaded, or the folders to load from; folders stay loaded in the shared cache. Without both:
            `default_pair` of what lies in `model_roots()`.
        prepare: let `prepare_text` change the text for the model; else it reads what is written.
        device, dtype, quantization: where and how folders are loaded, as in `load_model`; None picks a GPU if there
            is one, and `pick_dtype` of the device. The codec is always loaded in float32.
        on_frames, should_stop: as in `generate`; a stopped call returns what has been spoken until then.

    Returns:
        AudioClip at the codec's rate, within full scale: a clip whose peak exceeds ±1 is turned down to it as a whole
        (the decoder may overshoot, and files of whole numbers cannot hold that).

    Warns:
        HiggsWarning: the text or the transcript has words that the model does not know, or a text that is prepared has
            sound words that it does not make.

    Raises:
        AudioError: there is no sound, because the model ended at once or the call was stopped before the first frame.
        HiggsError: whatever cannot be loaded, read or spoken, with what to do about it.
    """
    how = _Options(
        model=model,
        codec=codec,
        transcript=transcript,
        scene=scene,
        system=system,
        prepare=prepare,
        device=device,
        dtype=dtype,
        quantization=quantization,
    )
    sampling = sampling or Sampling()
    with _prepared(text, voice, how, sampling) as (lm, tokenizer, prompt):
        [spoken] = generate(lm, [prompt], sampling, on_frames=on_frames, should_stop=should_stop)
        if spoken.frames == 0:
            raise silence(spoken.finish_reason)
        clip = tokenizer.decode(spoken.codes)
        return within_full_scale(clip)


@closed_in_time
def speak_stream(
    text: str,
    voice: Voice | AudioClip | str | Path | None = None,
    *,
    sampling: Sampling | None = None,
    should_stop: ShouldStop | None = None,
    **chosen,
) -> Generator[AudioClip, None, None]:
    """Speak a text and hand out the sound while it is made, in pieces of about a second, the first one shorter.

    All pieces in a row are what the codec makes of the whole take; they are not brought down where they leave full
    scale. Whoever stops reading ends it.

    Args:
        chosen: model, codec, transcript, scene, system, prepare, device, dtype and quantization, as in `speak`; so are
            warnings and errors.
    """
    sampling = sampling or Sampling()
    with ExitStack() as stack:
        lm, tokenizer, prompt = stack.enter_context(_prepared(text, voice, _Options(**chosen), sampling))
        spoken = stack.enter_context(closing(stream(lm, prompt, sampling, should_stop=should_stop)))
        clips = stack.enter_context(closing(tokenizer.decode_stream(_grouped(spoken))))
        heard = False
        for clip in clips:
            heard = True
            yield clip
        if not heard:
            raise silence("cancelled" if should_stop and should_stop() else "stop")


def _grouped(chunks: Iterable[Codes]) -> Iterator[Codes]:
    """Chunks joined to at least so many frames as decode well at once: few at first, for an early sound."""
    groups = FrameGroups(STREAMED)
    for chunk in chunks:
        if (piece := groups.add(chunk)) is not None:
            yield piece
    if (piece := groups.rest()) is not None:
        yield piece


def silence(reason: str) -> AudioError:
    if reason == "cancelled":
        return AudioError("Speech was stopped before the first sound.", remedy="Start it again to hear something.")
    return AudioError(
        "The model ended without a sound.",
        expected="at least one frame",
        got=f"'{reason}'",
        remedy="Try another seed, or a reference clip with a matching transcript.",
    )


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What `speak` and `speak_stream` take beside a text and a voice, under their names."""

    model: HiggsModel | str | Path | None = None
    codec: Codec | str | Path | None = None
    transcript: str = ""
    scene: str = ""
    system: str = DEFAULT_SYSTEM
    prepare: bool = False
    device: str | None = None
    dtype: torch.dtype | None = None
    quantization: str | None = None


@contextmanager
def _prepared(
    text: str, voice: Voice | AudioClip | str | Path | None, how: _Options, sampling: Sampling
) -> Iterator[tuple[HiggsModel, Codec, Prompt]]:
    """Model, codec and the prompt for them, as long as the with-block runs."""
    device = how.device or pick_device()
    dtype = how.dtype or pick_dtype(device)
    model, codec = _chosen(how.model, how.codec)
    conversation(text, [])  # what cannot be spoken, or heard, is said before minutes of loading
    if isinstance(voice, (str, Path)):
        voice = AudioClip.load(voice)
    with ExitStack() as stack:
        lm = stack.enter_context(_loaded("lm", model, load_model, device, dtype, quantization=how.quantization))
        tokenizer = stack.enter_context(_loaded("codec", codec, load_codec, device, torch.float32))
        check_pair(lm, tokenizer)
        voices = [] if voice is None else [make_voice(voice, how.transcript, tokenizer)]
        prepared = prepare_text(text, lm.config.prompt_layout) if how.prepare else PreparedText(text)
        prompt = build_prompt(conversation(prepared.text, voices, system=how.system, scene=how.scene), lm.tokenizer)
        prompt = with_length_warning(prompt, sampling, lm.config)
        for warning in (*prepared.warnings, *prompt.warnings):
            warnings.warn(warning, HiggsWarning, stacklevel=4)
        yield lm, tokenizer, prompt


def make_voice(source: Voice | AudioClip | str | Path, transcript: str, codec: Codec) -> Voice:
    """A Voice from a clip or an audio file and the words that are spoken in it.

    Raises:
        AudioError: the clip cannot be read or encoded.
    """
    if isinstance(source, Voice):
        return source
    clip = source if isinstance(source, AudioClip) else AudioClip.load(source)
    return Voice(encode_reference(clip, codec), transcript)


def _chosen(model, codec) -> tuple:
    if model is None and codec is None:
        model, codec = (item.path for item in default_pair(find_checkpoints(model_roots())))
    if model is None or codec is None:
        raise SettingError(
            "Model and codec belong together.",
            expected="both, or neither",
            got="a codec alone" if model is None else "a model alone",
            remedy="Give the other one too.",
        )
    return model, codec


def check_pair(lm: HiggsModel, codec: Codec) -> None:
    """Refuses a codec that the model does not speak in.

    Raises:
        CheckpointError: it is another one than the model was trained with.
    """
    trained_with = lm.config.codec_identity
    if codec.takes(trained_with):
        return
    what = "This codec is another one than the model was trained with."
    expected, got = f"codec {trained_with}", f"codec {codec.identity}"
    if not trained_with:
        what = "This codec takes only codes that name it."
        expected, got = f"a model that names codec {codec.identity}", "one that names no codec"
    raise CheckpointError(what, expected=expected, got=got, remedy="Choose the codec of the same release as the model.")


@contextmanager
def _loaded(kind: str, source, load, device: str, dtype: torch.dtype, **how) -> Iterator:
    if not isinstance(source, (str, Path)):
        yield source
        return
    key = ModelKey.of(kind, source, device=device, dtype=dtype, **how)
    with shared_cache().use(key, lambda: load(source, device=device, dtype=dtype, **how)) as model:
        yield model
