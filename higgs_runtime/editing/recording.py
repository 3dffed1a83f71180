"""A recording that is edited or continued: as sound, and as frames of the codec where they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from ..audio.clip import AudioClip
from ..codec import Codec
from ..errors import AudioError, SettingError
from ..model import HiggsModel
from ..settings import default_of
from ..speech import check_pair, decode_pieces
from ..types import Codes, Sampling, Voice
from ..verification import Recognizer, Transcript, spoken_tokens

LANGUAGE_S = 30.0  # of a recording that tell its language
AROUND_FRAMES = 25  # that are encoded beside those that are wanted, at either side: the codec sees what is around

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Speaking:
    """Who speaks and listens, and how.

    Attributes:
        model, codec: loaded, of one release.
        voice: in place of the recording's own.
        recognizer: hears the words of the recording and judges candidates; None: nobody does.
        language: of the recording, ISO 639-1; None: it is heard, else English.
        sampling: of each take; further candidates have the seeds that follow.
        candidates: takes to choose from.
        on_step: called with (steps done, steps in all); what it raises ends the call.
        should_stop: asked before every step of the model; the call ends with an AudioError then.
    """

    model: HiggsModel
    codec: Codec
    voice: Voice | None = None
    recognizer: Recognizer | None = None
    language: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    candidates: int = default_of("candidates")
    on_step: OnStep | None = None
    should_stop: Callable[[], bool] | None = None

    def __post_init__(self):
        if not isinstance(self.candidates, int) or not 1 <= self.candidates:
            raise SettingError(
                "The number of candidates is not usable.",
                expected="a whole number from 1 on",
                got=repr(self.candidates),
                remedy="4 suits an edit.",
            )
        check_pair(self.model, self.codec)

    def check(self) -> None:
        """Raises:
        AudioError: it shall stop.
        """
        if self.should_stop is not None and self.should_stop():
            raise AudioError(
                "It was stopped before it was done; the recording is as it was.",
                remedy="Start it again to have the new sound.",
            )

    def in_language_of(self, clip: AudioClip) -> Speaking:
        """With the language that a recording is heard to be in, where none is given."""
        if self.language is not None or self.recognizer is None:
            return self
        known = self.recognizer.languages
        if len(known) == 1:
            return replace(self, language=known[0])
        start = AudioClip(clip.samples[:, : round(LANGUAGE_S * clip.sample_rate)], clip.sample_rate)
        return replace(self, language=self.hear(start).language or self.hear(clip).language or None)

    def hear(self, clip: AudioClip) -> Transcript:
        """What the recognizer hears; it can be stopped meanwhile."""
        assert self.recognizer is not None  # asked before
        return self.recognizer.transcribe(clip, self.language, on_progress=lambda *_: self.check())


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording.

    Attributes:
        clip: its sound, at its own rate and in all its channels.
        codes: its frames, where it came as such.
    """

    clip: AudioClip
    codes: Codes | None
    codec: Codec
    _made: dict[tuple[int, int], Codes] = field(default_factory=dict)

    @classmethod
    def of(cls, source: AudioClip | Codes, codec: Codec) -> Recording:
        """Of a clip, or of codes. Codes that were spoken in pieces, with silence between, are taken as their sound.

        Raises:
            AudioError: no samples, or no frames; codes of another codec.
        """
        if isinstance(source, Codes):
            clip = decode_pieces(codec, source)
            return cls(clip, None if source.rests else source, codec)
        if source.length == 0:
            raise AudioError(
                "The recording is empty.",
                expected="at least one sample",
                got="0 samples",
                remedy="Check the file, or the step that made the clip.",
            )
        return cls(source, None, codec)

    @property
    def frame_rate(self) -> float:
        return self.codec.frame_rate

    @property
    def frames(self) -> int:
        """Whole frames that it holds."""
        return int(self.clip.seconds * self.frame_rate + 1e-6) if self.codes is None else self.codes.frames

    def sample(self, frame: int) -> int:
        """The sample at which a frame begins."""
        return min(self.clip.length, self.sample_count(frame))

    def sample_count(self, frames: int) -> int:
        """Samples of so many frames, at its rate."""
        return round(frames / self.frame_rate * self.clip.sample_rate)

    def between(self, first: int, stop: int) -> AudioClip:
        """The sound of the frames [first, stop)."""
        return AudioClip(self.clip.samples[:, self.sample(first) : self.sample(stop)], self.clip.sample_rate)

    def codes_of(self, first: int, stop: int) -> Codes:
        """The frames [first, stop): its own, or encoded with what is around them; only these are."""
        if self.codes is not None:
            return replace(self.codes, ids=self.codes.ids[:, first:stop])
        if (first, stop) not in self._made:
            self._made[first, stop] = self._encoded(first, stop)
        return self._made[first, stop]

    def _encoded(self, first: int, stop: int) -> Codes:
        start = max(0, first - AROUND_FRAMES)
        made = self.codec.encode(self.between(start, min(self.frames, stop + AROUND_FRAMES)))
        ids = made.ids[:, first - start : stop - start]
        missing = stop - first - ids.shape[1]  # a resampled clip may be a sample short of its last frame
        if missing > 0:
            ids = torch.cat((ids, ids[:, -1:].expand(-1, missing)), dim=1)
        return replace(made, ids=ids)


def check_words_of(text: str, language: str, what: str) -> list[str]:
    """The words of a text.

    Raises:
        SettingError: there are none.
    """
    words = spoken_tokens(text, language)
    if not words:
        raise SettingError(
            f"{what} has no words.",
            expected="a text with words",
            got=repr(text[:40]) if text.strip() else "an empty one",
            remedy="Write at least one word. To cut all of a recording away, use Trim or leave it out.",
        )
    return words
