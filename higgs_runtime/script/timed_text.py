"""SRT and WebVTT as cues: lines of times in the forms that tools write, and captions that roll, each line once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ..errors import ScriptError
from .grammar import lines_of, short
from .retiming import Retiming

TOUCH_S = 0.1  # captions so near to each other are one behind the other
FLASH_S = 0.06  # shown for so short a time, a caption only repeats what stands there already

# Between the numbers: what players read, and what translators and recognizers make of it.
_TIME = r"[-−–]?\s*\d{1,3}(?:\s*[:：]\s*\d{1,3}){1,3}(?:\s*[.,，;；]\s*\d{1,9})?|\d{1,6}[.,]\d{1,9}"
ARROW = r"[-–—−]{1,3}\s?>"
_TIMES = re.compile(
    rf"\[?\s*(?P<start>{_TIME})\s*{ARROW}\s*(?P<end>{_TIME})(?!\d)(?:\s*\])?(?:\s+[A-Za-z][\w-]*:\S+)*(?P<text>.*)"
)
_LIKE_TIMES = re.compile(rf"\s*\[?[-−–\d][\d\s.,，;−]*(?:-->|[:：](?:\S*\s*-->|[\d\s:：.,，;−]*{ARROW}))")
_CODE = re.compile(r"(\d{1,3})[:：](\d{1,2})[:：](\d{1,2})([:：;；])(\d{2})")  # hours, minutes, seconds, frames
_NUMBER = re.compile(r"#?\d+")
_MARKUP = re.compile(r"<[^<>]*>|\{[^{}]*\}")


@dataclass
class Cue:
    """One caption: seconds in the film, text as it stands in the file, and the line of its times, from 1."""

    start_s: Fraction
    end_s: Fraction
    text: str
    line: int = 0


def read_cues(text: str, kind: str, timing: Retiming | None = None) -> tuple[list[Cue], list[str]]:
    """The cues of an SRT or WebVTT ("vtt") text in the order of the file, and what is to be said of them.

    In WebVTT an empty line ends a cue, and a line of one blank is text; header, notes, styles and names go. In SRT
    blank lines may stand inside of a cue. A line with an arrow is never text.

    Args:
        timing: where it has a `from_fps`, two digits behind a third colon, or a semicolon (drop-frame), are frames.

    Raises:
        ScriptError: a line begins as times do, and cannot be read. `.line` says which.
    """
    cues, notes = _scan(lines_of(text.removeprefix("\ufeff")), kind, timing or Retiming())
    rolled = _each_line_once(cues)
    if rolled is not None:
        notes.append("The captions roll: each repeats lines of the one before. Every line is read once.")
    return rolled or cues, notes


def _scan(lines: list[str], kind: str, timing: Retiming) -> tuple[list[Cue], list[str]]:
    cues: list[Cue] = []
    codes = 0  # lines whose times look as if they counted frames
    notes: list[str] = []
    said: list[str] | None = None  # the lines of the open cue

    def close() -> None:
        if said is not None:
            cues[-1].text = "\n".join(said).strip("\n")

    for number, line in enumerate(lines, start=1):
        times = _TIMES.fullmatch(line.strip()) if ">" in line else None
        if times:
            if said is not None and kind == "srt":
                _drop_number(said, len(cues) + 1)
            close()
            codes += bool(_CODE.fullmatch(times["start"].strip()) and _CODE.fullmatch(times["end"].strip()))
            try:
                start, end = (timing.moved(_seconds(times[name], timing)) for name in ("start", "end"))
            except ScriptError as error:
                error.line, error.column = number, 1
                raise
            cues.append(Cue(start, end, "", number))
            said = [times["text"].strip()] if times["text"].strip() else []
        elif ">" in line and _LIKE_TIMES.match(line):
            raise _bad_times(number, line)
        elif "-->" in line:
            notes.append(f"Line {number}: '{short(line.strip())}' has an arrow and no times; it is left out.")
        elif said is None:
            continue
        elif kind == "vtt" and not line:
            close()
            said = None
        else:
            said.append(line)
    close()
    if codes and timing.from_fps is None and codes == len(cues):
        notes.append(
            "The times look as if they counted frames, and are read as hundredths; say which frame rate it is."
        )
    return cues, notes


def _drop_number(said: list[str], number: int) -> None:
    """Take away what stands before the next cue's times: its number, alone in a line."""
    blank = not said or not said[-1].strip()
    while said and not said[-1].strip():
        said.pop()
    if said and _NUMBER.fullmatch(said[-1].strip()):
        own = len(said) == 1 or not said[-2].strip()
        if not blank or (own and int(said[-1].strip("# \t")) == number):
            said.pop()


def _seconds(time: str, timing: Retiming) -> Fraction:
    """Hours, minutes and seconds from the right; three digits behind a last colon are milliseconds."""
    if timing.from_fps is not None and (code := _CODE.fullmatch(time.strip())):
        hours, minutes, seconds, frames = map(int, code.group(1, 2, 3, 5))
        return timing.of_frames(hours, minutes, seconds, frames, drop=code[4] in ";；")
    time = re.sub(r"\s", "", time).translate(str.maketrans("：，−–;；", ":.--.."))
    sign = -1 if time[0] == "-" else 1
    parts, _, fraction = time.lstrip("-").replace(",", ".").partition(".")
    numbers = parts.split(":")
    if not fraction and (len(numbers) == 4 or (len(numbers) == 3 and len(numbers[-1]) == 3)):
        fraction = numbers.pop()
    seconds = 0
    for one in numbers:
        seconds = 60 * seconds + int(one)
    return sign * (seconds + (Fraction(int(fraction), 10 ** len(fraction)) if fraction else Fraction(0)))


def _bad_times(number: int, line: str) -> ScriptError:
    error = ScriptError(
        f"Line {number} begins no subtitle: its times cannot be read.",
        expected="a line as 00:01:02,500 --> 00:01:04,000",
        got=f"'{short(line.strip())}'",
        remedy="Correct them in a text editor, or open and save the file in a subtitle editor.",
    )
    error.line, error.column = number, 1
    return error


# --- captions that roll ---------------------------------------------------------------------------------------------


def _each_line_once(cues: list[Cue]) -> list[Cue] | None:
    """One cue for each line of captions that roll, as live ones do and those that YouTube makes; None if they do not.

    A caption that touches the one before, and begins with that one's last lines, shows them once more. Lines may also
    grow. Since people do repeat themselves, a file rolls only where half of its captions do.
    """
    rolls, found = 0, []
    shown: list[str] = []
    held: list[Cue] = []  # the cues of the lines that are shown
    last: Cue | None = None
    for cue in cues:
        lines = [line.strip() for line in cue.text.split("\n") if _plain(line)]
        touches = last is not None and cue.start_s - last.end_s <= TOUCH_S and cue.start_s >= last.start_s
        kept, grown = _repeated(shown, lines) if touches and last is not None else (0, False)
        if kept:
            flash = cue.end_s - cue.start_s <= FLASH_S
            rolls += len(lines) > kept or grown or flash or (last is not None and cue.text != last.text)
            held = held[len(held) - kept :]
            if grown:
                held[-1].text = "\n".join([*held[-1].text.split("\n")[:-1], lines[kept - 1]])
                held[-1].end_s = cue.end_s
            elif len(lines) == kept and held:
                held[-1].end_s = max(held[-1].end_s, cue.end_s)
        else:
            held = []
        fresh = lines[kept:]
        if fresh:
            new = Cue(cue.start_s, cue.end_s, "\n".join(fresh), cue.line)
            found.append(new)
            held = [*held, *[new] * len(fresh)]
        shown, last = [_plain(line) for line in lines], cue
    return found if rolls >= 2 and 2 * rolls >= len(cues) - 1 else None


def _repeated(shown: list[str], lines: list[str]) -> tuple[int, bool]:
    """How many of these lines were shown at the end of the caption before, and whether the last of them has grown."""
    plain = [_plain(line) for line in lines]
    for count in range(min(len(shown), len(plain)), 0, -1):
        before, now = shown[len(shown) - count :], plain[:count]
        if before == now:
            return count, False
        if before[:-1] == now[:-1] and now[-1].startswith(before[-1] + " "):
            return count, True
    return 0, False


def _plain(line: str) -> str:
    return " ".join(_MARKUP.sub("", line).split())
