"""Words with their times, and the captions that are made of them.

Sizes after common house rules for subtitles (Netflix Timed Text Style Guide, English: 42 characters a line, two lines,
7 s at most, 5/6 s at least, about 17 to 20 characters a second).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

from ..choices import CAPTION_FORMATS, CAPTION_STYLES
from ..errors import ScriptError
from ..settings import CAPTION_LIMITS, SETTINGS, default_of
from ..types import WordTime
from .subtitles import Event, events_text, marked_up

PAUSE_S = 0.7  # between two words: the next caption begins
LEAST_S, GAP_S = 0.83, 0.08  # a caption stays so long where there is room, and ends so long before the next
_ENDS, _CLAUSES = re.compile(r"[.!?…。！？]['\"”’»)\]]*$"), re.compile(r"[,;:—–，；：、]['\"”’»)\]]*$")
_NO_SPACE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(frozen=True)
class CaptionLimits:
    """How large a caption gets; ranges and defaults are those of the table of settings.

    Attributes:
        max_chars: characters a line. A longer word stands alone.
        max_lines: 1 or 2.
        max_s: seconds that a caption is shown.
        chars_per_s: reading speed: a caption stays longer for it where there is room.

    Raises:
        SettingError: a value is out of its range.
    """

    max_chars: int = default_of("caption_chars")
    max_lines: int = default_of("caption_lines")
    max_s: float = default_of("caption_s")
    chars_per_s: float = default_of("caption_speed")

    def __post_init__(self):
        for field, name in zip(fields(self), CAPTION_LIMITS, strict=True):
            SETTINGS[name].check(getattr(self, field.name), called=field.name)


@dataclass(frozen=True)
class CaptionOfWords:
    """Words that are shown together.

    Attributes:
        second_row: which word begins the second row on the screen; 0 where there is one row.
    """

    words: tuple[WordTime, ...]
    start_s: float
    end_s: float
    second_row: int = 0

    @property
    def text(self) -> str:
        """Its rows, parted by a line feed."""
        return "\n".join(_rows(self.words, self.second_row))


def joined(words: Iterable[WordTime]) -> str:
    """The words as one text; no space where the script of a language has none."""
    text = ""
    for word in words:
        tight = not text or (_NO_SPACE.match(text[-1]) and _NO_SPACE.match(word.text))
        text += word.text if tight else f" {word.text}"
    return text


def in_sentences(words: Iterable[WordTime]) -> list[list[WordTime]]:
    """Words, parted behind the end of each sentence."""
    found: list[list[WordTime]] = []
    for word in words:
        if not found or _ENDS.search(found[-1][-1].text):
            found.append([])
        found[-1].append(word)
    return found


def make_captions(words: Sequence[WordTime], limits: CaptionLimits | None = None) -> list[CaptionOfWords]:
    """Words in captions: never of two lines of the script, parted at pauses, best at the end of a sentence or clause.

    Args:
        words: in any order; of lines that are spoken over each other, each has its own captions.

    Returns:
        In the order of their starts.
    """
    limits = limits or CaptionLimits()
    groups: list[list[WordTime]] = []
    for word in _line_by_line(words):
        last = groups[-1] if groups else []
        if not last or not _together(last[-1], word):
            groups.append([word])
            continue
        last.append(word)
        while len(groups[-1]) > 1 and not _fits(groups[-1], limits):
            at = _best_break(groups[-1])
            groups[-1:] = [groups[-1][:at], groups[-1][at:]]
    made = []
    for number, group in enumerate(groups):
        follows = groups[number + 1][0].start_s - GAP_S if number + 1 < len(groups) else float("inf")
        text = joined(group)
        wanted = group[0].start_s + max(LEAST_S, min(limits.max_s, len(text) / limits.chars_per_s))
        end = max(group[-1].end_s, min(wanted, follows))
        made.append(CaptionOfWords(tuple(group), group[0].start_s, end, _second_row(group, limits)))
    return sorted(made, key=lambda caption: caption.start_s)


def too_fast(captions: Iterable[CaptionOfWords], limits: CaptionLimits | None = None) -> list[CaptionOfWords]:
    """Those that are shown too shortly to be read at the reading speed of the limits, by more than a tenth."""
    most = 1.1 * (limits or CaptionLimits()).chars_per_s
    return [one for one in captions if len(one.text) > most * max(0.001, one.end_s - one.start_s)]


def describe_captions(words: Sequence[WordTime], limits: CaptionLimits | None = None) -> str:
    """How many captions words make, which are read too fast, and which words nobody heard; for a person."""
    made = make_captions(words, limits)
    said = [f"{len(words)} words in {len(made)} captions"]
    said += [
        f"At {one.start_s:.2f} s: {len(one.text)} characters in {one.end_s - one.start_s:.2f} s, too fast to be read"
        for one in too_fast(made, limits)
    ]
    said += [f"At {word.start_s:.2f} s: “{word.text}” was not heard" for word in words if word.confidence == 0]
    return "\n".join(said)


def captions_text(
    words: Sequence[WordTime], kind: str = "srt", style: str = "captions", limits: CaptionLimits | None = None
) -> str:
    """Words as the text of a file.

    Args:
        kind: "srt", "vtt", "ass" or "json"; JSON has the words and the captions.
        style: "captions", "words" (one cue each) or "karaoke" (a caption whose words light up one by one: WebVTT's
            times inside a cue, ASS's `\\k`).

    Raises:
        ScriptError: another kind or style, or karaoke in SRT, which has none.
        MissingExtraError: without pysubs2 (extra `subtitles`), but for JSON.
    """
    _check(kind, style)
    words = sorted(words, key=lambda word: word.start_s)
    if kind == "json":
        shown = [
            {"start_s": one.start_s, "end_s": one.end_s, "text": one.text, "line": one.words[0].line}
            for one in make_captions(words, limits)
        ]
        return json.dumps({"words": [asdict(word) for word in words], "captions": shown}, ensure_ascii=False, indent=1)
    if style == "words":
        captions = [CaptionOfWords((word,), word.start_s, word.end_s) for word in words]
    else:
        captions = make_captions(words, limits)
    events = []
    for one in captions:
        event = marked_up(kind, one.start_s, one.end_s, one.words[0].speaker, one.text)
        events.append(_lit(event, one, kind) if style == "karaoke" else event)
    return events_text(events, kind)


def _check(kind: str, style: str) -> None:
    for what, value, known in (("format", kind, CAPTION_FORMATS), ("style", style, CAPTION_STYLES)):
        if value not in known:
            raise ScriptError(
                f"Captions have no {what} '{value}'.", expected=", ".join(known), got=value, remedy="Choose one."
            )
    if style == "karaoke" and kind == "srt":
        raise ScriptError(
            "SRT cannot light up words.",
            expected="vtt or ass",
            got="srt",
            remedy="Choose another format, or the style 'words'.",
        )


def _lit(event: Event, caption: CaptionOfWords, kind: str) -> Event:
    """The event with the time of each word before it."""
    text, told = "", caption.start_s
    for number, word in enumerate(caption.words):
        plain = marked_up(kind, word.start_s, word.end_s, "", word.text).text
        spaced = number and joined(caption.words[: number + 1]).endswith(f" {word.text}")
        text += r"\N" if number and number == caption.second_row else " " * bool(spaced)
        if kind == "ass":
            last = number + 1 == len(caption.words)
            end = caption.end_s if last else caption.words[number + 1].start_s
            # in whole hundredths from the start of the caption, so that nothing adds up
            length = round((end - caption.start_s) * 100) - round((word.start_s - caption.start_s) * 100)
            text += rf"{{\k{length}}}"
        elif round(word.start_s, 3) > round(told, 3):  # WebVTT's times have to grow
            text, told = f"{text}<{_clock(word.start_s)}>", word.start_s
        text += plain
    named = re.match(r"<v [^>]*>", event.text) if kind == "vtt" else None
    return event._replace(text=(named[0] if named else "") + text)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return (
        f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:"
        f"{milliseconds // 1000 % 60:02}.{milliseconds % 1000:03}"
    )


def _line_by_line(words: Iterable[WordTime]) -> list[WordTime]:
    """The words of each line in the order of their times, and the lines in that of their first words."""
    lines: dict[tuple[int, str], list[WordTime]] = {}
    for word in sorted(words, key=lambda word: word.start_s):
        lines.setdefault((word.line, word.speaker), []).append(word)
    return [word for line in lines.values() for word in line]


def _together(before: WordTime, word: WordTime) -> bool:
    same = (before.line, before.speaker) == (word.line, word.speaker)
    return same and word.start_s - before.end_s < PAUSE_S


def _fits(words: Sequence[WordTime], limits: CaptionLimits) -> bool:
    rows = _rows(words, _second_row(words, limits))
    short = words[-1].end_s - words[0].start_s <= limits.max_s
    return short and all(len(row) <= limits.max_chars for row in rows)


def _best_break(words: Sequence[WordTime]) -> int:
    """Before which word to part them, the last of which is too much: after a sentence, else a clause, else a pause."""
    full = len(joined(words))

    def worth(at: int) -> tuple:
        before, share = words[at - 1].text, len(joined(words[:at])) / full
        kind = 2 if _ENDS.search(before) else 1 if _CLAUSES.search(before) else 0
        if share < (0.2, 0.35, 0.25)[kind]:
            kind = -1  # two words alone are worse than a sentence that is parted
        return kind, words[at].start_s - words[at - 1].end_s if kind < 1 else 0.0, share

    return max(range(1, len(words)), key=worth)


def _rows(words: Sequence[WordTime], second: int) -> list[str]:
    return [joined(row) for row in (words[: second or None], words[second:] if second else ()) if row]


def _second_row(words: Sequence[WordTime], limits: CaptionLimits) -> int:
    """Where to part words that are too long for one row: in two of about the same length, after a clause if near."""
    if len(joined(words)) <= limits.max_chars or len(words) == 1 or limits.max_lines == 1:
        return 0

    def width(at: int) -> float:
        longest = max(map(len, _rows(words, at)))
        good = _ENDS.search(words[at - 1].text) or _CLAUSES.search(words[at - 1].text)
        return longest - (10 if good and longest <= limits.max_chars else 0)

    return min(range(1, len(words)), key=width)
