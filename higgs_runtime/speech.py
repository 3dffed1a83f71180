"""The main path on one page: text and voice → prompt → codes → sound."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import torch

from .audio.clip import AudioClip, eased, within_full_scale
from .audio.seams import Seams
from .codec import Codec, load_codec
from .codec.grouping import STREAMED, FrameGroups
from .codec.steps import OnProgress
from .devices import pick_device, pick_dtype
from .errors import AudioError, CheckpointError, HiggsWarning, SettingError
from .generation.cpu_kernel import prepare as prepare_step
from .generation.request import positions_of, with_length_warning
from .generation.session import OnFrames, Session, ShouldStop
from .hub import ModelKey, default_pair, find_checkpoints, model_roots, shared_cache
from .model import HiggsModel, load_model
from .model.loading import auto_dtype
from .monologue import Monologue, QuietEnd, check_words, pieces_of
from .prompt import DEFAULT_SYSTEM, build_prompt, conversation
from .settings import SETTINGS
from .suspended import closed_in_time
from .types import Codes, Prompt, Sampling, Voice
from .verification import SilenceStop
from .voices import is_built_in, judged_reference, reference_codes

SILENCE_S: float = SETTINGS["silence_s"].default
_stops: WeakKeyDictionary[Codec, dict[float, SilenceStop]] = WeakKeyDictionary()


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
    marks: bool = False,
    sampling: Sampling | None = None,
    silence_s: float | None = SILENCE_S,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    quantization: str | None = None,
    on_frames: OnFrames | None = None,
    should_stop: ShouldStop | None = None,
) -> AudioClip:
    """Speak a text of any length: a long one in pieces, as `pieces_of` cuts it.

    Without a voice the first piece chooses one, and the others go on with it.

    Args:
        voice: whom to sound like: a Voice, or a clip or audio file of 3 to 15 s together with its `transcript`.
        model, codec: loaded, or the folders to load from; folders stay loaded in the shared cache. Without both:
            `default_pair` of what lies in `model_roots()`.
        prepare: let `prepare_text` change the text for the model; else it reads what is written.
        marks: prepare it, and leave out marks for the eye too, as those of Markdown.
        sampling: of each piece; its `max_frames` too.
        silence_s: a piece that stays silent for so many seconds is over; None: only its end or `max_frames` ends it.
        device, dtype, quantization: where and how folders are loaded, as in `load_model`; None picks a GPU if there
            is one, and `auto_dtype` of folder and device. The codec is always loaded in float32.
        on_frames, should_stop: as in `generate`, with the number of the piece; a stopped call returns what has been
            spoken until then.

    Returns:
        AudioClip at the codec's rate, whose ends are `eased`, within full scale: a clip whose peak exceeds ±1 is
        turned down to it as a whole (the decoder may overshoot, and files of whole numbers cannot hold that).

    Warns:
        HiggsWarning: a piece was cut off at `max_frames`, so that the speech may not be whole.
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
        marks=marks,
        silence_s=silence_s,
        device=device,
        dtype=dtype,
        quantization=quantization,
    )
    sampling = sampling or Sampling()
    with _prepared(text, voice, how, sampling) as (lm, tokenizer, monologue, stop):
        session = Session(lm)
        while monologue.left and monologue.reason_so_far != "cancelled":
            prompts, news = next_prompts(lm, monologue, sampling, monologue.side_by_side)
            _warn(news)
            speak_next(session, monologue, prompts, sampling, stop, on_frames=on_frames, should_stop=should_stop)
        _warn_of_ends(monologue)
        spoken = monologue.joined()
        if spoken.frames == 0:
            raise silence(monologue.reason)
        clip = decode_pieces(tokenizer, spoken.codes)
        return within_full_scale(clip if spoken.codes.rests else eased(clip))  # pieces are eased already


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

    All of it in a row is what `speak` returns, but for its level: it is not brought down where it leaves full scale.
    Whoever stops reading ends it.

    Args:
        chosen: model, codec, transcript, scene, system, prepare, marks, silence_s, device, dtype and quantization, as
            in `speak`; so are warnings and errors.
    """
    sampling = sampling or Sampling()
    with _prepared(text, voice, _Options(**chosen), sampling) as (lm, tokenizer, monologue, stop):
        session, seams, heard = Session(lm, batch=1), Seams(tokenizer.sample_rate), False
        while monologue.left and monologue.reason_so_far != "cancelled":
            spoken = _frames_of_next(session, monologue, sampling, stop, should_stop)
            with closing(spoken), closing(tokenizer.decode_stream(_grouped(spoken))) as clips:
                for clip in clips:
                    if (piece := seams.push(clip)) is not None:
                        heard = True
                        yield piece
            if (rest := seams.end_line(monologue.gap_s)) is not None:
                heard = True
                yield rest
        if not heard:
            raise silence(monologue.reason)
        _warn_of_ends(monologue)


def next_prompts(
    model: HiggsModel, monologue: Monologue, sampling: Sampling, count: int
) -> tuple[list[Prompt], list[str]]:
    """What the model reads for the next pieces, and the warnings on it that are new.

    Raises:
        PromptError: see `build_prompt`.
    """
    laid = [build_prompt(monologue.messages(ahead), model.tokenizer) for ahead in range(count)]
    prompts = [with_length_warning(prompt, sampling, model.config) for prompt in laid]
    return prompts, monologue.news([warning for prompt in prompts for warning in prompt.warnings])


def speak_next(
    session: Session,
    monologue: Monologue,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    stop: SilenceStop | None,
    *,
    on_frames: OnFrames | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Speaks the next pieces, those of `next_prompts`, side by side."""
    done = len(monologue.takes)
    ends = [QuietEnd(stop) for _ in prompts]
    takes = session.generate(
        prompts,
        sampling,
        on_frames=on_frames and (lambda index, frames: on_frames(done + index, frames)),
        should_stop=should_stop,
        should_end=lambda index, frames: ends[index](frames),
    )
    for end, take in zip(ends, takes, strict=True):
        monologue.keep(end.take(take))


def _frames_of_next(
    session: Session,
    monologue: Monologue,
    sampling: Sampling,
    stop: SilenceStop | None,
    should_stop: ShouldStop | None,
) -> Generator[Codes, None, None]:
    """The next piece as it is spoken."""
    config = session.model.config
    [prompt], news = next_prompts(session.model, monologue, sampling, 1)
    _warn(news, stacklevel=4)
    end, frames = QuietEnd(stop), 0
    spoken = session.serve(
        iter([(prompt, sampling)]),
        positions=positions_of(prompt, sampling, config),
        window=sampling.filled_in(config.released).ras_window,
        should_stop=should_stop,
        should_end=lambda _number, new: end(new),
    )
    with closing(spoken):
        for _, codes, take in spoken:
            codes = end.rest(codes, frames)
            frames += codes.frames
            if codes.frames:
                yield codes
            if take is not None:
                monologue.keep(end.take(take))
                return
    monologue.break_off()


def decode_pieces(codec: Codec, codes: Codes, *, on_progress: OnProgress | None = None) -> AudioClip:
    """What codes sound like: pieces that were spoken by themselves from zero to zero, with their rests between; all
    else as `Codec.decode` has it, whose errors are also these.

    Args:
        on_progress: called with (frames decoded, all frames).
    """
    if not codes.rests or codes.frames == 0:
        return codec.decode(codes, on_progress=on_progress)
    seams, found, start = Seams(codec.sample_rate), [], 0
    for end, rest_s in (*codes.rests, (codes.frames, None)):
        if end > start:
            clip = codec.decode(replace(codes, ids=codes.ids[:, start:end], rests=()))
            found += [seams.push(clip), seams.end_line(rest_s)]
        start = end
        if on_progress is not None:
            on_progress(end, codes.frames)
    return AudioClip(torch.cat([clip.samples for clip in found if clip is not None], dim=1), codec.sample_rate)


def _warn(news: Iterable[str], stacklevel: int = 3) -> None:
    for warning in news:
        warnings.warn(warning, HiggsWarning, stacklevel=stacklevel)


def _warn_of_ends(monologue: Monologue) -> None:
    for said in monologue.cut_off("Raise the maximum length, or try another seed."):
        warnings.warn(said, HiggsWarning, stacklevel=3)


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
    marks: bool = False
    silence_s: float | None = SILENCE_S
    device: str | None = None
    dtype: torch.dtype | None = None
    quantization: str | None = None


@contextmanager
def _prepared(
    text: str, voice: Voice | AudioClip | str | Path | None, how: _Options, sampling: Sampling
) -> Iterator[tuple[HiggsModel, Codec, Monologue, SilenceStop | None]]:
    """Model, codec, what is to be said and what ends a silent take, as long as the with-block runs."""
    device = how.device or pick_device()
    model, codec = _chosen(how.model, how.codec)
    dtype = how.dtype or (auto_dtype(model, device) if isinstance(model, (str, Path)) else pick_dtype(device))
    check_words(text)  # what cannot be spoken, or heard, is said before minutes of loading
    if torch.device(device).type == "cpu":
        prepare_step()
    name = Path(voice).name if isinstance(voice, (str, Path)) else "The reference"
    if isinstance(voice, (str, Path)) and not is_built_in(voice):
        voice = AudioClip.load(voice)
    with ExitStack() as stack:
        lm = stack.enter_context(_loaded("lm", model, load_model, device, dtype, quantization=how.quantization))
        tokenizer = stack.enter_context(_loaded("codec", codec, load_codec, device, torch.float32))
        check_pair(lm, tokenizer)
        voices = [] if voice is None else [make_voice(voice, how.transcript, tokenizer, name)]
        pieces = pieces_of(text, lm.config, sampling.max_frames, prepare=how.prepare or how.marks, marks=how.marks)
        for warning in pieces.warnings:
            warnings.warn(warning, HiggsWarning, stacklevel=4)
        messages = conversation(text, voices, system=how.system, scene=how.scene)

        stop = None if how.silence_s is None else silence_stop(tokenizer, how.silence_s)
        yield lm, tokenizer, Monologue(pieces.texts, messages), stop


def silence_stop(codec: Codec, seconds: float) -> SilenceStop:
    """One that remembers which of the codec's entries are silence: finding out encodes seven seconds.

    Raises:
        SettingError: seconds out of range.
    """
    known = _stops.setdefault(codec, {})
    if seconds not in known:
        known[seconds] = SilenceStop(codec, seconds)
    return known[seconds]


def make_voice(
    source: Voice | AudioClip | str | Path, transcript: str, codec: Codec, name: str = "The reference"
) -> Voice:
    """A Voice from a clip or an audio file and the words that are spoken in it.

    Args:
        name: of a clip, for messages.

    Warns:
        HiggsWarning: how good the clip is as a reference, see `inspect_reference`.

    Raises:
        AudioError: the clip cannot be read or encoded.
    """
    if isinstance(source, Voice):
        return source
    if not isinstance(source, AudioClip):
        return Voice(reference_codes(source, codec), transcript)
    return Voice(judged_reference(source, codec, name), transcript)


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
