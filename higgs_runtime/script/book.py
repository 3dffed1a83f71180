"""A plain text as a script: all of it is read by the narrator, its headings become scenes and so chapters."""

from __future__ import annotations

import re
from pathlib import Path

from .subtitles import decode_text
from .types import Script, ScriptWarning, Turn

PARAGRAPH_S, HEADING_S, BREAK_S, CHAPTER_S = 0.8, 1.2, 1.6, 2.0  # silence after each; CHAPTER_S before a heading
LONGEST = 80  # characters of a heading
_MARKED = re.compile(r"#{1,6}\s+(?P<title>\S.*?)\s*#*")
_NUMBER = r"(?:\d+|[ivxlcdm]+|[\w-]+)"
_NAMED = re.compile(
    rf"(?:(?:chapter|part|book|kapitel|teil|chapitre|partie|cap[ií]tulo|parte|capitolo|hoofdstuk|глава|часть)\s+"
    rf"{_NUMBER}(?:\s*[.:–—-]\s*\S.*|\.)?|(?:prologue|epilogue|prolog|epilog|introduction|foreword|afterword)\.?"
    rf"|第\s*[\d一二三四五六七八九十百零〇]+\s*[章回卷部].*)",
    re.I,
)


def read_book(path: str | Path) -> Script:
    """A text file as a script; see `book_script`.

    Raises:
        ScriptError: the file cannot be read, is not UTF-8 (or UTF-16 with its mark), or has no text.
    """
    return book_script(decode_text(Path(path)))


def book_script(text: str) -> Script:
    """Paragraphs, parted by blank lines, as turns of the narrator; nothing in them is a tag or a cue.

    A heading is a paragraph of one line such as "Chapter 3: The storm", "Prologue", "第三章", or one with # before it
    (Markdown). It is read, and names the scene of what follows. A line without letters ("* * *") is a longer pause.

    Raises:
        ScriptError: there is not text.
    """
    turns: list[Turn] = []
    scene, number = "", 1

    def pause(seconds: float) -> None:
        if turns:
            last = turns[-1]
            turns[-1] = Turn(last.speaker, last.text, max(last.pause_s, seconds), {}, last.line, last.scene)

    for paragraph in re.split(r"(\n[^\S\n]*(?:\n[^\S\n]*)+)", text.removeprefix("\ufeff").replace("\r\n", "\n")):
        lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
        if lines:
            first = number + (len(paragraph) - len(paragraph.lstrip("\n")))
            if title := heading(lines):
                pause(CHAPTER_S)
                scene = title
                spoken = title if title[-1] in ".!?。！？" else f"{title}."
                turns.append(Turn("", spoken, HEADING_S, {}, first, scene))
            elif any(letter.isalnum() for letter in paragraph):
                turns.append(Turn("", " ".join(lines), PARAGRAPH_S, {}, first, scene))
            else:
                pause(BREAK_S)
        number += paragraph.count("\n")
    warnings = () if scene or not turns else (ScriptWarning(0, 0, "No headings were found, so there are no chapters."),)
    return Script(turns, warnings=warnings)


def heading(lines: list[str]) -> str:
    """The title, if these lines of a paragraph are a heading; else ""."""
    if len(lines) != 1 or len(lines[0]) > LONGEST:
        return ""
    if marked := _MARKED.fullmatch(lines[0]):
        return marked["title"]
    return lines[0] if _NAMED.fullmatch(lines[0]) else ""
