"""A text of any length in one voice: the pieces that it is spoken in, and what the model reads for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from .choices import PromptFormat
from .errors import PromptError
from .model import ModelConfig
from .prompt.builder import Message
from .settings import FRAMES_A_SECOND, SETTINGS
from .text.chunking import spoken_spans
from .text.normalize import prepare_text
from .text.rests import rest_after
from .text.tags import carried
from .text.vocabulary import has_words
from .types import Codes, FinishReason, Generation
from .verification import SilenceStop, length_bounds
from .verification.shape import FASTEST

MAX_CHARS: int = SETTINGS["max_chars"].default
LEAST_CHARS = 70  # a sentence: however short a take may be, its words are not torn apart
ROOM = 0.8  # of a take's longest length that a calm reading of its piece may fill
MAX_SHOWN = 40  # characters of a piece in a message
UNFINISHED: tuple[FinishReason, ...] = ("length", "repeating")  # takes that may lack their end
REFERENCE_S = 1.0  # of a first piece, from which the others take the voice
SPEAKER = re.compile(r"\[SPEAKER\d+\]")


class TextPieces(NamedTuple):
    """A text as it is spoken.

    Attributes:
        texts: in order, one at least.
        warnings: of preparing it, one sentence each.
    """

    texts: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def check_words(text: str) -> None:
    """Raises:
    PromptError: a text has nothing to speak; a model that is given marks alone says something all the same.
    """
    if not has_words(text):
        raise PromptError(
            "There is nothing to say.",
            expected="a text with a letter or a digit in it",
            got=repr(text[:MAX_SHOWN]) if text.strip() else "an empty one",
            remedy="Write the text to speak.",
        )


def pieces_of(
    text: str,
    config: ModelConfig | None,
    max_frames: int,
    *,
    language: str | None = None,
    prepare: bool = False,
    marks: bool = False,
    whole: bool = False,
) -> TextPieces:
    """The pieces in which a text is spoken, cut at sentence ends where there are some.

    A piece in the midst of what a [SPEAKERn] says begins with that mark, and with v3's tags that go on.

    Args:
        config: None: of a model that is not here; the text is then not prepared.
        max_frames: of a take: a calm reading of each piece fits in.
        language: of the text; None: any.
        prepare: for this model, see `prepare_text`; else it is read as it is written.
        marks: then marks for the eye, as those of Markdown, are taken away too.
        whole: a text that fits into one take is not cut; else pieces are no longer than what the model speaks best.

    Raises:
        PromptError: there is nothing to speak.
    """
    check_words(text)
    warnings: tuple[str, ...] = ()
    if prepare and config is not None:
        prepared = prepare_text(text, config.prompt_layout, language, marks=marks)
        text, warnings = prepared.text or text, prepared.warnings
        check_words(text)  # a rule may have taken the last one
    frame_rate = FRAMES_A_SECOND if config is None else config.frame_rate
    calm_s = length_bounds(text, language)[0] * FASTEST
    most = MAX_CHARS if config is None or config.vocabulary is None else LEAST_CHARS  # few words: short lines
    fitting = int(ROOM * max_frames / frame_rate * len(text) / calm_s) if calm_s else most
    if whole and len(text) <= fitting:
        return TextPieces((text,), warnings)
    spans = spoken_spans(text, min(most, max(LEAST_CHARS, fitting)), language)
    texts = _with_speakers([text[start:end] for start, end in spans])
    v3 = config is None or config.prompt_layout == PromptFormat.V3
    return TextPieces(tuple(carried(texts) if v3 else texts), warnings)


def monologue_of(
    messages: Sequence[Message], config: ModelConfig | None, max_frames: int, *, cut: bool = True, voiced: bool = False
) -> Monologue:
    """A conversation whose last text is spoken in pieces where it does not fit into one take.

    Args:
        config, max_frames: as in `pieces_of`.
        cut: False: it is one piece however long it is.
        voiced: somebody is named beside the conversation.

    Raises:
        PromptError: there is nothing to speak.
    """
    text = "".join(item.strip() for item in messages[-1].content if isinstance(item, str))  # as `build_prompt` reads it
    check_words(text)
    texts = pieces_of(text, config, max_frames, whole=True).texts if cut else (text,)
    return Monologue(texts, messages, voiced=voiced or None)


def _with_speakers(texts: Sequence[str]) -> list[str]:
    """Each begins with the mark of who speaks, where there are marks at all."""
    found, speaker = [], ""
    for text in texts:
        found.append(text if not speaker or SPEAKER.match(text) else f"{speaker} {text}")
        speaker = (SPEAKER.findall(text) or [speaker])[-1]
    return found


class Monologue:
    """The pieces of one text on their way.

    Where nobody is named to sound like, the first piece that is long enough is the voice of those that follow: of each
    speaker the first one.

    Args:
        texts: the pieces, of `pieces_of`.
        messages: the conversation that the model goes on with; in place of its last text each piece is read.
        voiced: somebody is named; None: where somebody is heard in the conversation.

    Attributes:
        takes: of the pieces that are over, in order.
    """

    def __init__(self, texts: Sequence[str], messages: Sequence[Message], voiced: bool | None = None):
        self.texts, self.takes = tuple(texts), list[Generation]()
        self._before = list(messages[:-1])
        self._voiced = any(one.role == "assistant" for one in messages) if voiced is None else voiced
        self._known: set[str] = set()  # speakers who have been heard
        self._heard: list[Message] = []
        self._broken_off = False
        self._told: set[str] = set()

    @property
    def left(self) -> int:
        """Pieces that are not spoken yet."""
        return len(self.texts) - len(self.takes)

    @property
    def voices_to_find(self) -> int:
        """How many takes the later pieces have in front of them at most."""
        if self._voiced or len(self.texts) == 1:
            return 0
        return len(set().union(*map(_speakers, self.texts)))

    @property
    def side_by_side(self) -> int:
        """How many of them can be spoken at once: all whose voices are known, but one at least."""
        texts = self.texts[len(self.takes) :]
        count = next((n for n, text in enumerate(texts) if self._is_new(text)), len(texts))
        return max(1, count) if texts else 0

    def messages(self, ahead: int = 0) -> list[Message]:
        """What is read for the next piece, or for one further ahead."""
        return [*self._before, *self._heard, Message("user", [self.texts[len(self.takes) + ahead]])]

    def news(self, warnings: Sequence[str]) -> list[str]:
        """Those that were not told yet of another piece."""
        new = [one for one in dict.fromkeys(warnings) if one not in self._told]
        self._told.update(new)
        return new

    def keep(self, take: Generation) -> None:
        """The next piece was spoken."""
        text = self.texts[len(self.takes)]
        if self._is_new(text) and take.codes.seconds >= REFERENCE_S:
            self._known |= _speakers(text)
            self._heard += [
                Message("user", [text], reference=True),
                Message("assistant", [take.codes], reference=True),
            ]
        self.takes.append(take)

    def _is_new(self, text: str) -> bool:
        """Whether somebody speaks in it whose voice is not known."""
        return not self._voiced and not _speakers(text) <= self._known

    def break_off(self) -> None:
        """It was told to stop."""
        self._broken_off = True

    @property
    def reason_so_far(self) -> FinishReason:
        """Of the pieces that are over: "stop" only if each ended by itself."""
        reasons = [take.finish_reason for take in self.takes]
        if self._broken_off or "cancelled" in reasons:
            return "cancelled"
        unfinished: list[FinishReason] = [one for one in UNFINISHED if one in reasons]
        return unfinished[0] if unfinished else "stop"

    @property
    def reason(self) -> FinishReason:
        """Of the whole."""
        return "cancelled" if self.left else self.reason_so_far

    def gap_after(self, number: int) -> float | None:
        """Seconds of silence between a piece and the next; None behind the last one."""
        return rest_after(self.texts[number]) if number + 1 < len(self.texts) else None

    @property
    def gap_s(self) -> float | None:
        """`gap_after` the piece that was spoken last."""
        return None if self.reason_so_far == "cancelled" else self.gap_after(len(self.takes) - 1)

    def joined(self) -> Generation:
        """The takes as one, to the first that was cancelled; its codes remember the silence between the pieces."""
        reasons = [take.finish_reason for take in self.takes]
        takes = self.takes[: reasons.index("cancelled") + 1] if "cancelled" in reasons else self.takes
        first, end, rests = takes[0], 0, []
        for number, take in enumerate(takes[:-1]):
            end += take.frames
            rests.append((end, self.gap_after(number) or 0.0))
        if not rests:
            return first
        ids = torch.cat([take.codes.ids for take in takes], 1)
        return replace(
            first,
            codes=replace(first.codes, ids=ids, rests=tuple(rests)),
            rows=torch.cat([take.rows for take in takes]),
            finish_reason=self.reason,
            seconds=sum(take.seconds for take in takes),
            prompt_positions=sum(take.prompt_positions for take in takes),
            reused_positions=sum(take.reused_positions for take in takes),
        )

    def cut_off(self, remedy: str) -> list[str]:
        """A sentence on each piece that did not end by itself, or has no sound."""
        said = []
        for number, (text, take) in enumerate(zip(self.texts, self.takes, strict=False), start=1):
            if take.finish_reason in UNFINISHED or (take.finish_reason == "stop" and take.frames == 0):
                what = f"Piece {number} of {len(self.texts)}" if len(self.texts) > 1 else "The speech"
                how = f"was cut off after {take.codes.seconds:g} s and may lack its end" if take.frames else "is silent"
                if take.finish_reason == "repeating":
                    how = f"said the same again and again and was ended after {take.codes.seconds:g} s"
                start = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
                said.append(f"{what} {how}: “{start}” {remedy}")
        return said


def _speakers(text: str) -> set[str]:
    """Their marks; one nameless speaker where there are none."""
    return set(SPEAKER.findall(text)) or {""}


class QuietEnd:
    """Ends one take that stays silent, at the same frame whatever groups its frames come in.

    Attributes:
        end: frames that the take has; None while it was not silent for so long.
    """

    def __init__(self, stop: SilenceStop | None):
        self._stop = stop and stop.anew()
        self._heard, self.end = 0, None

    def __call__(self, ids: torch.Tensor) -> bool:
        """For `should_end`: whether the take is over with these new frames [K, n]."""
        if self._stop is None or self.end is not None:
            return self.end is not None
        for frame in range(ids.shape[1]):
            self._heard += 1
            if self._stop(0, ids[:, frame : frame + 1]):
                self.end = self._heard
                return True
        return False

    def take(self, take: Generation) -> Generation:
        """The take, cut where it fell silent: that is an end of its own."""
        if self.end is None or take.finish_reason == "cancelled":
            return take
        return replace(take, codes=self.rest(take.codes, 0), finish_reason="stop")

    def rest(self, codes: Codes, before: int) -> Codes:
        """Of new frames, those that belong to the take, which has so many before them."""
        left = codes.frames if self.end is None else max(0, self.end - before)
        return codes if left >= codes.frames else replace(codes, ids=codes.ids[:, :left])
