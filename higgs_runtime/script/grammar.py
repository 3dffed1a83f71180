"""The forms that a line of a script can take: tags, cues, settings, numbers. Pure functions of text."""

from __future__ import annotations

import re

from ..errors import ScriptError
from ..settings import shown_at
from ..text.sound_tags import FIRST_WORDS
from ..text.speakers import fits_colon, fits_tag

# Of one turn: fields of Sampling, and what happens to its take afterwards.
SETTINGS = shown_at("script")
LONGEST_S = 600.0  # of a pause, and of what is spoken over another
RANGES = {"gain": (SETTINGS["gain"].least, SETTINGS["gain"].most), "fade": (0.0, 60.0)}  # dB, seconds
SOUND_WORDS = FIRST_WORDS | {"breath", "gasp"}  # first words of a bracket that need no warning

TAG = re.compile(r"\[([^\[\]]*)\]\s*")
COLON = re.compile(r"([^:：\[\]{}\\#][^:：\[\]{}\\]{0,47})(?::(?=\s|$)|：)\s*")
CUE = re.compile(
    r"\[\s*(?P<kind>(?:pause|overlap)\b|slot(?=\s*\d)|(?:sfx|music)(?=\s*[:：])|/\s*music\b)"
    r'(?P<inner>(?:"[^"]*"|[^"\[\]]+)*)(?P<close>\]?)',
    re.I,
)
SCENE = re.compile(r"#+\s*scene\s*[:：]\s*(.*)", re.I | re.S)
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_SECONDS = re.compile(rf"\s*({_NUMBER})\s*(ms|s|)\s*", re.I)
_SLOT = re.compile(rf"\s*({_NUMBER})\s*s?\s*[-–]\s*({_NUMBER})\s*s?\s*", re.I)
_BRACES = re.compile(r"\{([^{}]*)\}\s*")
_SETTING = re.compile(r"([a-z_]+)\s*=\s*([^\s,=]+)[\s,]*")
_OPTION = re.compile(
    rf"[\s,]*(?:(?:gain\s*=\s*)?(?P<gain>[-+]?{_NUMBER})\s*dB|fade\s*=\s*(?P<fade>{_NUMBER}\s*(?:ms|s|))|(?P<duck>duck))"
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
    if line[0] in "{#\\\ufeff" or CUE.search(line):
        return True
    if line[0] == "[":
        tag = TAG.match(line)
        return not tag or first_word(tag[1]) not in SOUND_WORDS
    return colon_speaker(line) is not None


def first_word(name: str) -> str:
    return name.strip().casefold().split(" ")[0]


def speaker_of(line: str) -> tuple[str, int, bool] | None:
    """The name in a line's tag, where the tag ends, and whether it is `Name:`; None without one."""
    if (tag := TAG.match(line)) and fits_tag(tag[1].strip()):
        return tag[1].strip(), tag.end(), False
    colon = colon_speaker(line)
    return (*colon, True) if colon else None


def colon_speaker(line: str) -> tuple[str, int] | None:
    """The name before a colon at the start of a line, and where the text begins."""
    colon = COLON.match(line)
    return (colon[1].strip(), colon.end()) if colon and fits_colon(colon[1].strip()) else None


def to_micro(value: float | str) -> float:
    """Times and gains are kept to six decimals, so that sums of them are exact in a text."""
    return round(float(value), 6)


def number(value: float) -> str:
    """The shortest digits that are read as the same number."""
    return repr(value).removesuffix(".0")


def decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def read_time(text: str) -> float | None:
    """Seconds of "0.8s", "800ms" or "0.8"; None for anything else."""
    match = _SECONDS.fullmatch(text)
    return to_micro(float(match[1]) / (1000 if match[2].casefold() == "ms" else 1)) if match else None


def read_slot(text: str) -> tuple[float, float] | None:
    """Start and end in seconds of "1.5s-2.25s"; None for anything else."""
    match = _SLOT.fullmatch(text)
    return (to_micro(match[1]), to_micro(match[2])) if match else None


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
