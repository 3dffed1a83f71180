"""A plain text as a script: all of it is read by the narrator, its headings become scenes and so chapters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..text.marks import plain_words
from ..text.vocabulary import has_words
from .headings import as_known, entry_of, heading, is_contents, is_title
from .subtitles import decode_text
from .types import Script, ScriptWarning, Turn

PARAGRAPH_S, HEADING_S, BREAK_S, CHAPTER_S = 0.8, 1.2, 1.6, 2.0  # silence after each; CHAPTER_S before a heading
WRAPPED = 90  # characters: lines that are longer were not broken to fit a page
_ENDS = '.!?…:。！？："”’»)」』'
_FRONT = re.compile(r"\A\s*---[^\S\n]*\n(?:[\w-]+:[^\n]*\n|[^\S\n]+[^\n]*\n|-\s[^\n]*\n)+---[^\S\n]*\n")  # YAML


@dataclass
class _Block:
    """A paragraph, a heading or a break, with its first line from 1."""

    lines: list[str]
    line: int
    title: str = ""
    number: int = 0  # of a heading that is a number; below 0 with a title
    waits: bool = False

    @property
    def words(self) -> bool:
        return any(map(has_words, self.lines))


def read_book(path: str | Path) -> Script:
    """A text file as a script; see `book_script`.

    Raises:
        ScriptError: the file cannot be read, is not UTF-8 (or UTF-16 with its mark), or has no text.
    """
    return book_script(decode_text(Path(path)))


def book_script(text: str) -> Script:
    """Paragraphs, parted by blank lines or one a line, as turns of the narrator; nothing in them is a tag or a cue.

    A heading is read, and names the scene of what follows: "Chapter 3: The storm", "Erstes Kapitel", "Prologue",
    "第三章", a number alone that counts up, one with # before it or a line below it (Markdown); its title may stand in
    the line below. A page of contents is left out, with a warning. A line without letters ("* * *") is a longer pause.
    Marks for the eye are not read (see `plain_words`).

    Raises:
        ScriptError: there is not text.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if front := _FRONT.match(text):
        text = "\n" * front[0].count("\n") + text[front.end() :]
    blocks = _with_titles(_counted(_blocks(text)))
    blocks, left_out = _without_contents(blocks)
    turns: list[Turn] = []
    scene = ""

    def pause(seconds: float) -> None:
        if turns:
            last = turns[-1]
            turns[-1] = Turn(last.speaker, last.text, max(last.pause_s, seconds), {}, last.line, last.scene)

    for block in blocks:
        if block.title and (title := " ".join(plain_words(block.title).split())):
            pause(CHAPTER_S)
            scene = title
            spoken = title if title[-1] in ".!?。！？" else f"{title}."
            turns.append(Turn("", spoken, HEADING_S, {}, block.line, scene))
        elif has_words(words := " ".join(plain_words("\n".join(block.lines)).split())):
            turns.append(Turn("", words, PARAGRAPH_S, {}, block.line, scene))
        else:
            pause(BREAK_S)
    warnings = [ScriptWarning(line, 1, "The list of chapters is left out.") for line in left_out]
    if turns and not scene:
        warnings.append(ScriptWarning(0, 0, "No headings were found, so there are no chapters."))
    return Script(turns, warnings=warnings)


# --- paragraphs -----------------------------------------------------------------------------------------------------


def _blocks(text: str) -> list[_Block]:
    """Paragraphs and headings in order."""
    found: list[_Block] = []
    paragraphs: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            paragraphs[-1].append((number, line.strip()))
        elif paragraphs[-1]:
            paragraphs.append([])
    paragraphs = [one for one in paragraphs if one]
    single = len(paragraphs) == 1
    for paragraph in paragraphs:
        for part in _parted(paragraph, single=single):
            _add(found, part)
    return found


def _parted(paragraph: list[tuple[int, str]], *, single: bool) -> list[list[tuple[int, str]]]:
    """The paragraphs of a run of lines: each line is one where lines end as sentences do, or are longer than a page.

    Args:
        single: the book has no blank lines at all.
    """
    lines = [line for _, line in paragraph]
    whole = [line for line in lines if line[-1] in _ENDS or len(line) > WRAPPED or heading([line])]
    if len(lines) < (2 if single else 3) or any(line[0] in "|>#-*+=~`" for line in lines):
        return [paragraph]
    if max(map(len, lines)) > WRAPPED if not single else len(whole) >= 0.7 * len(lines):
        return [[one] for one in paragraph]
    return [paragraph]


def _add(found: list[_Block], paragraph: list[tuple[int, str]]) -> None:
    """A paragraph, with the headings that it begins with as blocks of their own."""
    at = 0
    while at < len(paragraph):
        title = heading([line for _, line in paragraph[at : at + 3]])  # it looks no further
        end = at + title.lines if title else len(paragraph)
        lines = [line for _, line in paragraph[at:end]]
        block = _Block(lines, paragraph[at][0])
        if title:
            block.title, block.number = title.title, title.number
            block.waits = title.waits and end == len(paragraph)
        found.append(block)
        at = end


def _counted(blocks: list[_Block]) -> list[_Block]:
    """Headings that are numbers, only where they count: from 1, or one more than the last; a list of items is none.

    A number with a title may come as it likes, if text follows it.
    """
    last = 0
    for n, block in enumerate(blocks):
        if not block.number:
            continue
        value, titled = abs(block.number), block.number < 0
        follows = n + 1 < len(blocks) and not blocks[n + 1].number and blocks[n + 1].words
        if follows and (titled or value in (1, last + 1)):
            last = value
        else:
            block.title, block.waits = "", False
    return blocks


def _with_titles(blocks: list[_Block]) -> list[_Block]:
    """Numbers with the titles that stand in the paragraph below them."""
    found: list[_Block] = []
    n = 0
    while n < len(blocks):
        block, following = blocks[n], blocks[n + 1 : n + 3]
        titled = block.title and block.waits and len(following) == 2 and not following[0].title
        if titled and len(following[0].lines) == 1 and following[1].words and not following[1].title:
            if is_title(line := following[0].lines[0]) and line[-1] not in ".!?。！？":
                block.title = f"{block.title} {line}"
                block.lines += following[0].lines
                n += 1
        found.append(block)
        n += 1
    return found


def _without_contents(blocks: list[_Block]) -> tuple[list[_Block], list[int]]:
    """The blocks without lists of chapters, and the lines where these stood: headings that all come again below."""
    last = {as_known(block.title): n for n, block in enumerate(blocks) if block.title}
    kept: list[_Block] = []
    left_out: list[int] = []
    n = 0
    while n < len(blocks):
        named = is_contents(blocks[n].lines[0])
        end, entries = n + named, 0
        if named and len(blocks[n].lines) > 1:  # the list is in the same paragraph
            end = n
        while end < len(blocks) and (count := _entries(blocks[end], end, last, skip=named and end == n)):
            end, entries = end + 1, entries + count
        if entries >= (1 if named else 2) and (named or all(block.title for block in blocks[n:end])):
            left_out.append(blocks[n].line)
            n = end
            continue
        kept.append(blocks[n])
        n += 1
    return kept, left_out


def _entries(block: _Block, place: int, last: dict[str, int], *, skip: bool) -> int:
    """How many headings that come again a block lists; 0 if it says anything else."""
    lines = [block.title] if block.title else block.lines[skip:]
    known = list(last)
    for line in lines:
        entry = as_known(entry_of(line))
        whole = last.get(entry, -1) > place
        if not entry or not (
            whole
            or any(last[one] > place and (one.startswith(entry + " ") or entry.startswith(one + " ")) for one in known)
        ):
            return 0
    return len(lines)
