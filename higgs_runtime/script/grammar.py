"""The forms that a line of a script can take: tags, cues, settings, numbers. Pure functions of text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import ScriptError
from ..settings import shown_at
from ..text.sound_tags import FIRST_WORDS
from ..text.speakers import fits_colon, fits_tag

# Of one turn: fields of Sampling, and what happens to its take afterwards.
SETTINGS = shown_at("script")
LONGEST_S = 600.0  # of a pause, and of what is spoken over another
SHORTEST_S = 0.1  # of a line that has a length
RANGES = {"gain": (SETTINGS["gain"].least, SETTINGS["gain"].most), "fade": (0.0, 60.0)}  # dB, seconds
SOUND_WORDS = FIRST_WORDS | {"breath", "gasp"}  # first words of a bracket that need no warning
PAUSE_S = 0.8  # of a pause that does not say how long it is
STRENGTHS = {"none": 0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.8, "x-strong": 1.2}  # seconds, of SSML

_NUMBER = r"(?:\d+(?:[.,]\d*)?|[.,]\d+)"
_UNIT = r"(?:ms|msecs?|milliseconds?|s|secs?|seconds?|)"
TAG = re.compile(r"\[([^\[\]]*)\](?:\s*[:：])?\s*")
COLON = re.compile(r"([^:：\[\]{}\\#][^:：\[\]{}\\]{0,47})(?::(?=\s|$)|：)\s*")
# What people put around a name: a list's mark or number, and bold, italic or quotation marks.
_LIST = r"(?:(?:[-–—*+•‣▪]|\d{1,3}[.)])\s+)?"
_OPEN, _CLOSE = r"(?:[*_]{1,3}|[\"“”„«‹「『'‘])", r"(?:[*_]{1,3}|[\"”“»›」』'’])"
_NAME = r"([^\s:：\[\]{}\\#*_\"“”„«»‹›「」『』][^:：\[\]{}\\*_\"“”„«»‹›「」『』]{0,47})"
_LISTED = re.compile(_LIST)
_ADORNED = re.compile(
    rf"{_OPEN}(?:\[([^\[\]]{{1,48}})\]\s*(?:[:：]\s*{_CLOSE}|{_CLOSE}\s*[:：]?)\s*"
    rf"|{_NAME}\s*(?:[:：]\s*{_CLOSE}\s*|{_CLOSE}\s*(?::(?=\s|$)|：)\s*))"
)
ASIDE = re.compile(r"\s*[(（]([^()（）]{1,40})[)）]$")  # behind a name: "Anna (whispering)"
# Another speaker inside of a line: a tag behind the end of a sentence.
NUMBERED = r"(?:S|Speaker|SPEAKER)[ _-]?\d{1,3}"  # the names that machines give, which nobody writes for another reason
INLINE = re.compile(
    r"(?:(?:[.!?…。！？‥][\"”’»›)\]」』*_]*\s*|[\"”»」』]\s*)\[(?P<name>[^\[\]\n]{1,48})\]"
    rf"|(?<=\s)\[(?P<number>{NUMBERED})\])(?:\s*[:：])?\s*"
)
CUE = re.compile(
    r"\[\s*(?P<kind>(?:pause|overlap)\b|slot(?=\s*\d)|fit(?=\s*[:：])|(?:sfx|music)(?=\s*[:：])|/\s*music\b)"
    r'(?P<inner>(?:"[^"]*"|[^"\[\]]+)*)(?P<close>\]?)'
    # pauses as other tools write them
    rf"|<(?:break|pause)(?P<ssml>(?:[\s:=/][^<>]*)?)>(?:\s*</(?:break|pause)>)?"
    rf"|\(\s*pause(?P<round>[\s:=,]+{_NUMBER}\s*{_UNIT}|)\s*\)|<\#\s*(?P<sharp>{_NUMBER})\s*\#>",
    re.I,
)
LIKE_PAUSE = re.compile(  # a pause in a form that nobody defined
    r"[\[{<](?:[a-z]+[\s_-])?(?:pause|silence|wait|break|beat)\b[^\[\]{}<>]{0,20}[\]}>]"
    r"|[(（](?:[a-z]+ )?(?:pause|beat)[)）]"
    r"|[\[{<(]\s*\d+(?:[.,]\d+)?\s*m?s(?:ec(?:onds?)?)?(?: pause)?\s*[\])}>]",
    re.I,
)
SCENE = re.compile(r"#+\s*scene\s*[:：]\s*(.*)", re.I | re.S)
_SECONDS = re.compile(rf"\s*({_NUMBER})\s*({_UNIT})\s*", re.I)
_SLOT = re.compile(rf"\s*({_NUMBER})\s*s?\s*[-–]\s*({_NUMBER})\s*s?\s*", re.I)
_BRACES = re.compile(r"\{([^{}]*)\}\s*")
_SETTING = re.compile(r"([a-z_]+)\s*=\s*([^\s,=]+)[\s,]*")
_POINTED = r"(?:\d+(?:\.\d*)?|\.\d+)"  # in a list, a comma parts
_OPTION = re.compile(
    rf"[\s,]*(?:(?:gain\s*=\s*)?(?P<gain>[-+]?{_POINTED})\s*dB|fade\s*=\s*(?P<fade>{_POINTED}\s*(?:ms|s|))|(?P<duck>duck))"
    r"(?=[\s,]|$)",
    re.I,
)
_LIKE_OPTION = re.compile(r"duck|[-+.\d]+(?:dB)?|\w+=.*", re.I)
_SUFFIX = re.compile(r".\.[a-z]\w{1,4}$", re.I)
_LINE_END = re.compile(r"\r\n|\r|\n")
_FORBIDDEN_IN_FILES = re.compile(r'["\x00-\x1f\x7f]')


def error_at(line: int, column: int, what: str, expected: str, got: str, remedy: str) -> ScriptError:
    """A ScriptError that knows its place; line 0 is none (a turn made by hand)."""
    where = f"Line {line}, column {column}: " if line else ""
    error = ScriptError(where + what, expected=expected, got=short(got), remedy=remedy)
    error.line, error.column = line, column
    return error


def no_text(line: int, column: int, speaker: str) -> ScriptError:
    return error_at(
        line,
        column,
        "The turn has no text.",
        "words to speak",
        f"only the name '{speaker}'" if speaker else "none",
        "Write the text, or remove the tag.",
    )


def short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def lines_of(text: str) -> list[str]:
    return _LINE_END.split(text)


def needs_escape(line: str) -> bool:
    """Whether a line of text would be read as something else without a backslash in front of it."""
    if line[0] in "{#\\\ufeff:：" or CUE.search(line) or next(inline_tags(line), None):
        return True
    if line[0] == "[":
        tag = TAG.match(line)
        return not tag or first_word(tag[1]) not in SOUND_WORDS
    return speaker_of(line) is not None


def first_word(name: str) -> str:
    return name.strip().casefold().split(" ")[0]


def speaker_of(line: str) -> tuple[str, int, bool] | None:
    """The name in a line's tag, where the tag ends, and whether it is `Name:`; None without one.

    What a list, bold type or quotation marks put around the tag counts as nothing.
    """
    listed = _LISTED.match(line)
    start = listed.end() if listed else 0
    if (tag := TAG.match(line, start)) and fits_tag(tag[1].strip()):
        return tag[1].strip(), tag.end(), False
    adorned = _ADORNED.match(line, start)
    if adorned and adorned[1] and fits_tag(adorned[1].strip()):
        return adorned[1].strip(), adorned.end(), False
    if adorned and adorned[2] and (name := _colon_name(adorned[2])):
        return name, adorned.end(), True
    colon = colon_speaker(line, start)
    return (*colon, True) if colon else None


def colon_speaker(line: str, start: int = 0) -> tuple[str, int] | None:
    """The name before a colon at the start of a line, and where the text begins."""
    colon = COLON.match(line, start)
    name = _colon_name(colon[1]) if colon else ""
    return (name, colon.end()) if colon and name else None


def _colon_name(words: str) -> str:
    """The name before a colon, without what stands in round brackets behind it; "" for none."""
    name = ASIDE.sub(_of_aside, words.strip()).strip()
    return name if fits_colon(name) else ""


def _of_aside(aside: re.Match) -> str:
    """A number in brackets is part of the name: "Host (2)" is Host 2."""
    return f" {aside[1].strip()}" if aside[1].strip().isdecimal() else ""


def inline_tags(line: str) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of each tag behind the end of a sentence, inside of a line."""
    for found in INLINE.finditer(line) if "[" in line else ():
        name, at = (found["name"] or found["number"]).strip(), found.start(found.lastgroup or "name") - 1
        if at and fits_tag(name):
            yield name, at, found.end()


def to_micro(value: float | str) -> float:
    """Times and gains are kept to six decimals, so that sums of them are exact in a text."""
    return round(float(value), 6)


def number(value: float) -> str:
    """The shortest digits that are read as the same number."""
    return repr(value).removesuffix(".0")


def decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def read_time(text: str) -> float | None:
    """Seconds of "0.8s", "800ms", "0.8" or "2 seconds"; None for anything else."""
    match = _SECONDS.fullmatch(text)
    unit = 1000 if match and match[2].casefold().startswith("m") else 1
    return to_micro(_float(match[1]) / unit) if match else None


def read_pause(cue: re.Match) -> float | None:
    """Seconds of a pause in any of its forms; None if it cannot be read. Of a bare `[pause]`: PAUSE_S."""
    said = next(one for one in (cue["inner"], cue["ssml"], cue["round"], cue["sharp"]) if one is not None)
    if cue["ssml"] is not None:
        said = re.sub(r"^[\s:=]+|[\s/]+$", "", said)
        if strength := re.fullmatch(r"strength\s*=\s*[\"']([a-z-]+)[\"']", said, re.I):
            return STRENGTHS.get(strength[1].lower())
        said = re.sub(r"^(?:time|duration|t)\s*=\s*|[\"']", "", said, flags=re.I)
    said = re.sub(r"^(?:[\s:：=,]*(?:for|of)?\s)?[\s:：=,]*", "", said).strip()
    return read_time(said) if said else PAUSE_S


def read_fit(text: str) -> float | None:
    """Seconds of ": 2.4s"; None for anything else, or out of range."""
    seconds = read_time(text.strip().lstrip(":："))
    return seconds if seconds is not None and SHORTEST_S <= seconds <= LONGEST_S else None


def read_slot(text: str) -> tuple[float, float] | None:
    """Start and end in seconds of "1.5s-2.25s"; None for anything else."""
    match = _SLOT.fullmatch(text)
    return (to_micro(_float(match[1])), to_micro(_float(match[2]))) if match else None


def _float(digits: str) -> float:
    return float(digits.replace(",", "."))


def check_setting(name: str, value) -> int | float:
    """The value as the setting's type.

    Raises:
        ValueError: what was expected instead, in words.
    """
    if name not in SETTINGS:
        raise ValueError("one of " + ", ".join(SETTINGS))
    return SETTINGS[name].read(value)


def read_settings(line: int, column: int, text: str) -> tuple[dict[str, int | float], int]:
    """`{name=value …}` at the start of the text, and its length with the blanks after it.

    Raises:
        ScriptError: it is not closed, or a setting is unknown, out of its range or given twice.
    """
    braces = _BRACES.match(text)
    if not braces:
        raise error_at(
            line,
            column,
            "The settings are not closed.",
            "'}'",
            f"'{text[:20]}'",
            "Close them, or put a backslash in front of the brace.",
        )
    found: dict[str, int | float] = {}
    inner, position = braces[1], len(braces[1]) - len(braces[1].lstrip())
    while position < len(inner):
        at, pair = column + 1 + position, _SETTING.match(inner, position)
        if not pair or pair[1] not in SETTINGS or pair[1] in found:
            got = f"'{pair[1]}'" + " twice" * (pair[1] in found) if pair else f"'{inner[position:]}'"
            raise error_at(
                line,
                at,
                "This setting cannot be read.",
                "name=value with one of " + ", ".join(SETTINGS),
                got,
                "Mend it, or put a backslash in front of the brace if this is text.",
            )
        unit = SETTINGS[pair[1]].unit
        digits = pair[2][: -len(unit)] if unit and pair[2].casefold().endswith(unit.casefold()) else pair[2]
        try:
            found[pair[1]] = check_setting(pair[1], digits)
        except ValueError as error:
            raise error_at(
                line, at, f"The setting '{pair[1]}' cannot be used.", str(error), f"'{pair[2]}'", "Write such a number."
            ) from error
        position = pair.end()
    return found, braces.end()


def holds_settings(text: str) -> bool:
    """Whether the text has braces that look like settings."""
    pairs = (_SETTING.match(braces[1].lstrip()) for braces in _BRACES.finditer(text))
    return any(pair and pair[1] in SETTINGS for pair in pairs)


def read_sound(text: str, options: tuple[str, ...]) -> dict | str:
    """`door.wav -6dB` or `"bed 1.flac" fade=2s duck` as a file and its options; a string says what cannot be read."""
    path, rest = _split_file(text.strip())
    if not fits_file(path):
        return path or "no file"
    found: dict[str, str | float] = {"path": path}
    position = 0
    while rest[position:].strip(" \t,"):
        option = _OPTION.match(rest, position)
        name = option.lastgroup if option else None
        if option is None or name is None or name not in options or name in found:
            return rest[position:].strip()
        value = True if name == "duck" else read_time(option[name]) if name == "fade" else float(option[name])
        if value is None or (name in RANGES and not RANGES[name][0] <= value <= RANGES[name][1]):
            return option[0].strip()
        found[name], position = value, option.end()
    return found


def _split_file(text: str) -> tuple[str, str]:
    """The file's name, and what follows: a name in quotes, or up to its suffix or the first option."""
    if text.startswith('"'):
        name, _, rest = text[1:].partition('"')
        return name, rest
    end = 0
    for token in re.finditer(r"[^\s,]+", text):
        if end and _LIKE_OPTION.fullmatch(token[0]):
            break
        end = token.end()
        if _SUFFIX.search(token[0]):
            break
    return text[:end], text[end:]


def write_file(path: str) -> str:
    """A file's name as a cue holds it: in quotes, unless it is plain."""
    return path if re.fullmatch(r"[\w/-]+\.[a-zA-Z]\w{1,4}", path) else f'"{path}"'


def fits_file(path: str) -> bool:
    return bool(path.strip()) and not _FORBIDDEN_IN_FILES.search(path) and not _LINE_END.search(path)
