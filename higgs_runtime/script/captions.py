"""What is said in one caption, and by whom: labels of recognizers, dashes and chevrons, descriptions for the deaf."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from ..text.sound_tags import is_sound
from ..text.speakers import fits_colon
from ..text.vocabulary import has_words
from .grammar import colon_speaker, lines_of

# Before the words of each of several speakers: a dash, or the chevrons of live captions.
_DASH = re.compile(r"(?:[-–—‐−]\s*)?[>»]{2,3}\s*|[-–—‐−](?:\s+|(?=[^\W\d]|[\[(（【“\"¿¡]))")
_LABEL = re.compile(
    r"(?:\[([^\[\]\n]{1,48})\]|\(([^()\n]{1,48})\)|（([^（）\n]{1,48})）|【([^【】\n]{1,48})】)\s*([:：]?)\s*"
)
_RECOGNIZED = re.compile(r"(?:speaker|spk|sprecher|locuteur|hablante|说话人|話者)[ _-]*(?:\d{1,3}|[a-z?])", re.I)
_TURN = re.compile(r"\[speaker[ _]turn\]|\[blank[ _]audio\]", re.I)  # marks of whisper.cpp
_NOTES = re.compile(r"[♩♪♫♬♭♯🎵🎶]+")
_SUNG = re.compile(r"#(.+)#")  # a line between two signs, as British captions mark a song
_WHOLE = re.compile(r"\s*(?:\([^()]*\)|（[^（）]*）|\*[^*]+\*)\s*[:.]?\s*")
_BRACKETS = re.compile(r"\[[^\[\]\n]*\]|【[^【】\n]*】|\([^()\n]*\)|（[^（）\n]*）|\*[^*\n]+\*")
_READING = re.compile(r"(?<=[\u3005\u3400-\u9fff])[(（][\u3041-\u3096\u30a1-\u30fa\u30fc・]+[)）]")  # of kanji, in kana


@dataclass
class Caption:
    """Who says what in a caption, in order, and what of it is no speech."""

    said: list[tuple[str, str]] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    sung: bool = False


def read_caption(
    text: str,
    speaker: str = "",
    *,
    descriptions: bool = False,
    known: Collection[str] = (),
    dashes: bool = False,
) -> Caption:
    """Take a caption apart.

    A name is what stands before a colon, in a bracket before a colon, or in a bracket as recognizers write it
    ("[SPEAKER_00]", "(speaker 1)"). Descriptions for the deaf are the rest of what stands in square brackets, and in
    round ones if they are in capitals, a whole line, or begin a line with a sound.

    Args:
        text: plain, lines parted by line feeds.
        speaker: of the whole caption, where the file says so.
        descriptions: they stay in the text.
        known: names of speakers, casefolded: a bracket with one of them is no description.
        dashes: a line behind a dash is somebody else's than the line before it, also where nobody has a name.
    """
    found = Caption()
    parts: list[tuple[str, list[str]]] = [(speaker, [])]
    bare = True  # who has a name in this caption has it in square brackets
    for line in lines_of(_READING.sub("", _TURN.sub("", text))):
        dash = _DASH.match(line.strip())
        line = _DASH.sub("", line.strip(), count=1) if dash else line.strip()
        if dash and dashes and not speaker and parts[-1][1]:
            parts.append(("", []))
        name, rest = _speaker(line, found, bare=not speaker and bare, known=known)
        if name and not speaker:
            parts.append((name, []))
            bare = bare and line[0] == "["
        elif name and name.casefold() != speaker.casefold():
            rest = line  # somebody is quoted
        line = _words(rest, found, descriptions)
        if line:
            parts[-1][1].append(line)
            bare = bare and len(parts) > 1
    joined = [(name, "\n".join(lines)) for name, lines in parts]
    found.said = [(name, said) for name, said in joined if has_words(said)]
    return found


def _speaker(line: str, found: Caption, *, bare: bool, known: Collection[str]) -> tuple[str, str]:
    """The name that a line begins with, and what follows; "" without one.

    Args:
        bare: a name in square brackets without a colon may be one.
    """
    label = _LABEL.match(line)
    if label:
        name, rest = next(one for one in label.groups()[:4] if one).strip(), line[label.end() :]
        if _RECOGNIZED.fullmatch(name) or (label[5] and has_words(name) and not is_sound(name)):
            return name, rest
        name = re.split(r"[,，]\s", name)[0]  # "[Anna, whispering]"
        if name.casefold() in known and has_words(rest):
            return name, rest
        likely = bare and label[1] and not name.isupper() and fits_colon(name) and not is_sound(name)
        if likely and has_words(rest) and name[0].isupper():
            found.doubts.append(f"'{label[0].strip()}' is read as a speaker")
            return name, rest
    if tag := colon_speaker(line):
        return tag[0], line[tag[1] :]
    return "", line


def _words(line: str, found: Caption, keep: bool) -> str:
    """A line without notes of music, and without descriptions, unless they are to be kept."""
    if sung := _SUNG.fullmatch(line.strip()):
        line = sung[1]
    line, notes = _NOTES.subn(" ", line)
    found.sung = found.sung or bool((sung or notes) and has_words(line))
    if not keep:
        whole = _WHOLE.fullmatch(line)

        def out(match: re.Match) -> str:
            inner = match[0][1:-1].strip()
            if not has_words(inner):
                return " "
            square, first = match[0][0] in "[【", match.start() == len(line) - len(line.lstrip())
            capitals = inner.isupper() and any(one.isalpha() for one in inner) and len(inner) > 1
            if match[0][0] == "*":
                described = bool(whole) or is_sound(inner)
            else:
                rest = line[match.end() :].lstrip(" \"“‘«¿¡'")
                begins = first and (match[0][0] == "（" or rest[:1].isupper())  # "(in French) Bonjour."
                ends = not rest and line[: match.start()].rstrip()[-1:] in '.!?…"”' and is_sound(inner)
                described = square or whole or capitals or begins or ends or (first and is_sound(inner))
            if not described:
                return match[0]
            found.descriptions.append(match[0])
            return " "

        line = _BRACKETS.sub(out, line)
    return " ".join(line.split()) if line.strip() else ""
