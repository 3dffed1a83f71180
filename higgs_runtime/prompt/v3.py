"""The prompt of Higgs Audio v3: no chat, but a row of marks.

    <|tts|>
    <|ref_text|> text <|ref_audio|> frames        a voice; any number; without its words <|ref_audio|> frames
    <|text|> text <|audio|> frames                what was said before; any number
    <|text|> text <|audio|>                       ← the model goes on from here
    <|text|> text <|audio|> frames                ← or from here, in the midst of a turn

Where frames that the model spoke begin, <|audio|> is their column of stream-begin ids (`begin_is_token`). At the end
that column is the model's own first row. A text may hold control tags, as <|emotion:anger|>.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from ..audio.clip import AudioClip
from ..errors import PromptError
from ..model import ChatTokenizer
from ..model.tokenizer import V3_BEGIN, V3_REFERENCE_AUDIO, V3_REFERENCE_TEXT, V3_TEXT
from ..types import Codes
from .chatml import PromptBuilder

SpokenTurn = tuple[str, Codes | AudioClip | None, bool]  # text, audio, whether it is a reference
TAG = re.compile(r"(<\|[^<>|\s]+\|>)")


def lay_out_v3(
    layout: PromptBuilder, tokenizer: ChatTokenizer, turns: Iterable[SpokenTurn], goes_on: bool = False
) -> None:
    """Lay out turns of (text, audio, whether it is a reference); one without audio is to be spoken.

    Args:
        goes_on: the last turn is only begun.

    Raises:
        PromptError: a text holds a tag that the checkpoint does not know.
    """
    layout.special(V3_BEGIN)
    turns = list(turns)
    for number, (text, audio, reference) in enumerate(turns, 1):
        if text or not reference:
            layout.special(V3_REFERENCE_TEXT if reference else V3_TEXT)
        for piece, is_tag in pieces(text, tokenizer):
            layout.special(piece) if is_tag else layout.text(piece)
        if reference:
            layout.special(V3_REFERENCE_AUDIO)
        if audio is not None and goes_on and number == len(turns):
            layout.begun(audio)
        elif audio is not None:
            layout.rows(audio, begin=not reference)


def pieces(text: str, tokenizer: ChatTokenizer) -> Iterator[tuple[str, bool]]:
    """(piece, whether it is a control tag) of a text.

    Raises:
        PromptError: there is no such tag.
    """
    known = tokenizer.controls
    for piece in TAG.split(text):
        if not TAG.fullmatch(piece):
            if piece:
                yield piece, False
            continue
        if piece not in known:
            near = difflib.get_close_matches(piece, known, n=1, cutoff=0.0)
            raise PromptError(
                f"The text holds {piece}, which is not a tag of this model.",
                got=piece,
                expected=f"a known one, as {near[0]}" if near else "no tag: this checkpoint has none",
                remedy="Correct the tag, or write the text without it.",
            )
        yield piece, True
