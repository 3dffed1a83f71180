"""Tags of MP3 and WAV files: ID3v2.3, which everything reads (id3.org, "ID3 tag version 2.3.0"; chapters: "ID3v2
Chapter Frame Addendum").

FFmpeg 8 would write ID3v2.4: its chapters have sizes that other readers take for others, which hides what follows, and
its comment is a frame that no player shows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from .tags import Chapter, Told, as_ascii

# Names of tags, as FFmpeg calls them, by frame; every other name has a frame of its own description (TXXX).
FRAMES = {
    "title": "TIT2",
    "subtitle": "TIT3",
    "artist": "TPE1",
    "album_artist": "TPE2",
    "performer": "TPE3",
    "album": "TALB",
    "composer": "TCOM",
    "genre": "TCON",
    "track": "TRCK",
    "disc": "TPOS",
    "publisher": "TPUB",
    "language": "TLAN",
    "copyright": "TCOP",
    "encoded_by": "TENC",
    "isrc": "TSRC",
}
LANGUAGE = b"eng"  # of comments and lyrics: the field is not optional
MOST_IN_LIST = 255  # entries of a table of contents, which are counted in a byte
NO_OFFSET = 0xFFFFFFFF  # chapters are told in time alone


def id3_tag(told: Told) -> bytes:
    """The tag; empty where there is nothing to tell."""
    frames = [_described(name, as_ascii(value)) for name, value in told.further.items()]
    for name, value in told.tags.items():
        if name == "year" and "date" in told.tags:  # there is one frame for it
            frames.append(_described(name, value))
        else:
            frames += _frames_of(name, value)
    frames += _chapters(told.chapters)
    if told.cover is not None:
        frames.append(_frame("APIC", b"\0image/jpeg\0\3\0" + told.cover.data))
    body = b"".join(frames)
    if not body:
        return b""
    size = bytes(len(body) >> 7 * place & 0x7F for place in (3, 2, 1, 0))
    return b"ID3\3\0\0" + size + body


def _frames_of(name: str, value: str) -> Iterator[bytes]:
    if name == "comment":
        yield _frame("COMM", _spoken(value))
    elif name == "lyrics":
        yield _frame("USLT", _spoken(value))
    elif name in ("date", "year"):
        year, _, day = value.partition("-")
        if not (len(year) == 4 and year.isascii() and year.isdecimal()):
            yield _described(name, value)
            return
        yield _frame("TYER", _text(year))
        if len(day) == 5 and day[2] == "-":
            yield _frame("TDAT", _text(day[3:] + day[:2]))
    elif name in FRAMES:
        yield _frame(FRAMES[name], _text(value))
    else:
        yield _described(name, value)


def _chapters(chapters: Sequence[Chapter]) -> Iterator[bytes]:
    names = [f"ch{number}".encode() + b"\0" for number in range(len(chapters))]
    for name, chapter in zip(names, chapters, strict=True):
        times = struct.pack(">IIII", round(1000 * chapter.start_s), round(1000 * chapter.end_s), NO_OFFSET, NO_OFFSET)
        yield _frame("CHAP", name + times + _frame("TIT2", _text(chapter.title)))
    lists = [names[start : start + MOST_IN_LIST] for start in range(0, len(names), MOST_IN_LIST)]
    if len(lists) == 1:
        yield _frame("CTOC", b"toc\0\3" + bytes([len(names)]) + b"".join(names))
    elif lists:
        parts = [f"toc{number}".encode() + b"\0" for number in range(len(lists))]
        yield _frame("CTOC", b"toc\0\3" + bytes([len(parts)]) + b"".join(parts))
        for part, found in zip(parts, lists, strict=True):
            yield _frame("CTOC", part + b"\1" + bytes([len(found)]) + b"".join(found))


def _frame(kind: str, data: bytes) -> bytes:
    return kind.encode() + struct.pack(">IH", len(data), 0) + data


def _text(text: str) -> bytes:
    """In Latin-1, or in UTF-16, which are the two that this version knows."""
    try:
        return b"\0" + text.encode("latin-1") + b"\0"
    except UnicodeEncodeError:
        return b"\1" + text.encode("utf-16", "surrogatepass") + b"\0\0"


def _described(name: str, value: str) -> bytes:
    try:
        data = b"\0" + name.encode("latin-1") + b"\0" + value.encode("latin-1") + b"\0"
    except UnicodeEncodeError:
        both = [text.encode("utf-16", "surrogatepass") + b"\0\0" for text in (name, value)]
        data = b"\1" + b"".join(both)
    return _frame("TXXX", data)


def _spoken(text: str) -> bytes:
    """Language, an empty description and the text."""
    coded = _text(text)
    empty = b"\xff\xfe\0\0" if coded[:1] == b"\1" else b"\0"
    return coded[:1] + LANGUAGE + empty + coded[1:]
