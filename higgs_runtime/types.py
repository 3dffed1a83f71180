"""The nouns that travel between the stages: codes, voice, prompt, sampling settings, generation.

Letters in shapes: S sequence, K codebooks, F frames, R delayed rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch

from .errors import AudioError, PromptError
from .settings import check_settings, default_of

FinishReason = Literal["stop", "length", "repeating", "cancelled"]


def same_codec(one: str, other: str) -> bool:
    """Whether two names of codecs, each an identity or a signature, have a hash in common."""
    return not set(one.split("~")).isdisjoint(other.split("~"))


@dataclass(frozen=True, eq=False)
class Codes:
    """Audio as codebook entries, without delay and without stream ids.

    Attributes:
        ids: LongTensor [K, F], each in [0, codebook_size).
        frame_rate: frames per second (25 for the Higgs tokenizer).
        codebook_size: entries of one codebook (1024 for the Higgs tokenizer).
        codec: `Codec.signature` of the codec whose entries these are, or its `identity` alone; empty where it is not
            known.
        rests: of speech that was made in pieces: the frame that each but the last ends with, and the seconds of
            silence until the next. A codec decodes all frames as one; `decode_pieces` keeps to them.

    Raises:
        AudioError: ids are not an integer [K, F] tensor, or leave the codebook.
    """

    ids: torch.Tensor
    frame_rate: float
    codebook_size: int
    codec: str = ""
    rests: tuple[tuple[int, float], ...] = ()

    def __post_init__(self):
        ids = self.ids
        if ids.ndim != 2 or ids.is_floating_point() or ids.shape[0] == 0:
            raise AudioError(
                "These are not audio codes.",
                expected="an integer tensor [codebooks, frames]",
                got=f"{ids.dtype} of shape {list(ids.shape)}",
                remedy="Make codes with Encode Audio or Generate.",
            )
        if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= self.codebook_size):
            raise AudioError(
                "The codes leave their codebook.",
                expected=f"ids from 0 to {self.codebook_size - 1}",
                got=f"{int(ids.min())} to {int(ids.max())}",
                remedy="Use codes and codec of the same checkpoint family.",
            )

    @property
    def num_codebooks(self) -> int:
        return self.ids.shape[0]

    @property
    def frames(self) -> int:
        return self.ids.shape[1]

    @property
    def seconds(self) -> float:
        """Length of the audio in seconds."""
        return self.frames / self.frame_rate

    def may_be_of(self, codec: str) -> bool:
        """Whether they can be of the codec with this identity or signature: yes, unless both are known and differ."""
        return not self.codec or not codec or same_codec(self.codec, codec)

    def may_join(self, other: Codes) -> bool:
        """Whether both can be of one codec."""
        shapes = ((one.num_codebooks, one.codebook_size, one.frame_rate) for one in (self, other))
        return len(set(shapes)) == 1 and self.may_be_of(other.codec)

    @property
    def origin(self) -> str:
        """The codec in words, for messages."""
        shape = f"{self.num_codebooks} codebooks of {self.codebook_size} at {self.frame_rate:g} frames a second"
        return f"codec {self.codec.partition('~')[0]} ({shape})" if self.codec else f"an unnamed codec ({shape})"


@dataclass(frozen=True, eq=False)
class Voice:
    """Who speaks: reference codes with their transcript, or a description in words, or both.

    Attributes:
        codes, transcript: the (first) reference clip and the words spoken in it; only v3 reads a clip without them.
        description: the voice in words.
        more: further references of the same speaker, as (codes, transcript); see `combine_voices`.

    Raises:
        PromptError: there is neither a reference nor a description, or two come from different codecs.
    """

    codes: Codes | None = None
    transcript: str = ""
    description: str = ""
    more: tuple[tuple[Codes, str], ...] = ()

    def __post_init__(self):
        if self.codes is None and (self.more or not self.description.strip()):
            raise PromptError(
                "A voice needs something to go by.",
                expected="reference codes with their transcript, or a description",
                got="a second reference without a first" if self.more else "neither",
                remedy="Connect Encode Audio and write what the clip says, or describe the voice in words.",
            )
        for codes, _ in self.references:
            if not codes.may_join(self.references[0][0]):
                raise PromptError(
                    "The references of one voice come from different codecs.",
                    expected=f"codes of {self.references[0][0].origin}",
                    got=f"codes of {codes.origin}",
                    remedy="Encode all clips of a voice with the same codec.",
                )

    @property
    def references(self) -> tuple[tuple[Codes, str], ...]:
        """All references as (codes, transcript), the first one first; none for a voice that is only described."""
        return () if self.codes is None else ((self.codes, self.transcript), *self.more)


def combine_voices(voices: Iterable[Voice]) -> Voice:
    """One voice with the references of all, in order: several clips of one speaker show more of how they speak.

    Descriptions are joined, equal ones once.

    Raises:
        PromptError: there is no voice, or two come from different codecs.
    """
    voices = list(voices)
    references = [reference for voice in voices for reference in voice.references]
    described = dict.fromkeys(voice.description.strip() for voice in voices)
    first = references[0] if references else (None, "")
    return Voice(*first, " ".join(filter(None, described)), tuple(references[1:]))


@dataclass(frozen=True, eq=False)
class Prompt:
    """What the language model reads.

    Attributes:
        token_ids: LongTensor [S]; audio positions hold the audio or the delay placeholder id.
        audio_rows: LongTensor [R, K]; one delayed row for each audio position, in order.
        warnings: one sentence each on what the model will probably not speak as written.
        begun: LongTensor [K, F], the frames that the take begins with; None: the model speaks from its first frame. The
            prompt ends with their first F delayed rows, the begin column among them; what the model gives is what
            follows these frames.
    """

    token_ids: torch.Tensor
    audio_rows: torch.Tensor
    warnings: tuple[str, ...] = ()
    begun: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.token_ids.shape[0]


@dataclass(frozen=True, kw_only=True)
class ReleasedSampling:
    """How a model samples where nothing else is asked for, under the names of `Sampling`."""

    temperature: float
    top_k: int
    top_p: float
    ras_window: int


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next ids are chosen. What is below 0 is as the model was released; see `filled_in`.

    Attributes:
        temperature: 0 takes the most likely id, with no guard against repetitions; higher is more varied.
        top_k: keep the k most likely ids; 0 keeps all.
        top_p: keep the smallest set of ids whose probabilities reach p; 1 keeps all.
        seed: of the random generator; the same seed, prompt and settings give the same codes.
        ras_window: repetition-aware sampling looks at this many last ids of a codebook; 0 turns it off.
        ras_max_repeats: an id found this often in the window is drawn again from the raw distribution.
        max_frames: stop after this many frames (25 frames are one second).

    Raises:
        SettingError: a value is out of its range.
    """

    temperature: float = default_of("temperature")
    top_k: int = default_of("top_k")
    top_p: float = default_of("top_p")
    seed: int = default_of("seed")
    ras_window: int = default_of("ras_window")
    ras_max_repeats: int = default_of("ras_max_repeats")
    max_frames: int = default_of("max_frames")

    def __post_init__(self):
        check_settings(self, (one.name for one in fields(self)))

    def filled_in(self, released: ReleasedSampling) -> Sampling:
        """The same with a model's own values where this leaves the choice to it."""
        own = {one.name: getattr(released, one.name) for one in fields(released) if getattr(self, one.name) < 0}
        return replace(self, **own) if own else self


@dataclass(frozen=True, eq=False)
class Generation:
    """One finished, cut short or cancelled rendering.

    Attributes:
        codes: the frames that are complete in all codebooks.
        rows: LongTensor [R, K], the delayed rows as they were generated, stream ids included.
        finish_reason: "stop" (the model ended), "length" (max_frames), "repeating" (it said the same again and again,
            and was ended) or "cancelled".
        seconds: wall-clock time that the generation took.
        prompt_positions: positions of the prompt.
        reused_positions: how many of them an earlier prompt had in common and were not read again.
        sampling: what was used, the model's own values filled in; None where a server chose them.
    """

    codes: Codes
    rows: torch.Tensor
    finish_reason: FinishReason
    seconds: float
    prompt_positions: int
    reused_positions: int = 0
    sampling: Sampling | None = None

    @property
    def frames(self) -> int:
        return self.codes.frames


@dataclass(frozen=True)
class WordTime:
    """A word of a text, and when it is said.

    Attributes:
        text: as its author wrote it, punctuation included.
        start_s, end_s: seconds.
        confidence: how sure the recognizer is that it heard this word, 0 to 1; None where nobody listened.
        line: number of the line that it belongs to, from 0.
        speaker: whose line that is; "" unknown.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None
    line: int = 0
    speaker: str = ""

    def moved(self, by_s: float = 0.0, line: int | None = None) -> WordTime:
        """So much later, and of another line if one is given."""
        line = self.line if line is None else line
        return replace(self, start_s=self.start_s + by_s, end_s=self.end_s + by_s, line=line)
