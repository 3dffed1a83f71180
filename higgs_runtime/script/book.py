"""A book as a script: all of it is read by the narrator, its headings become scenes and so chapters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ScriptError, check_range
from ..text.marks import plain_words
from ..text.vocabulary import has_words
from .epub import read_epub
from .grammar import short
from .headings import Block, as_known, entry_of, heading, is_contents, is_title
from .markup import Heard, heard_of, parse_markup, with_chapters, without_notes
from .subtitles import decode_text
from .types import Script, ScriptWarning, Turn

PARAGRAPH_S, HEADING_S, BREAK_S, CHAPTER_S = 0.8, 1.2, 1.6, 2.0  # silence after each; CHAPTER_S before a heading
WRAPPED = 90  # characters: lines that are longer were not broken to fit a page
EPUB, HTML = ".epub", (".html", ".htm", ".xhtml")
BOOKS = (".txt", ".md", EPUB, *HTML)  # suffixes of what people keep books in
LONGEST_ENTRY = 200  # characters of a line of a list of chapters, with what leads to its page
_ENDS = '.!?…:。！？："”’»)」』'
_FRONT = re.compile(r"\A\s*---[^\S\n]*\n(?:[\w-]+:[^\n]*\n|[^\S\n][^\n]*\n|-\s[^\n]*\n)+---[^\S\n]*\n")  # YAML
Chapters = Sequence[tuple[str, int]]  # title, and number of its first turn from 0


@dataclass(frozen=True)
class Book:
    """A book as a script, and what it says of itself; "" where it does not say.

    Attributes:
        chapters: in order.
    """

    script: Script
    chapters: Chapters = ()
    title: str = ""
    author: str = ""
    language: str = ""
    date: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """For the tags of an audio file."""
        found = {"title": self.title, "artist": self.author, "album": self.title, "genre": "Audiobook"}
        found["date"] = self.date
        return {name: " ".join(value.split()) for name, value in found.items() if value.strip()}

    def part(self, first: int = 1, count: int = 0) -> Book:
        """Some of its chapters; what stands before the first heading goes with the first one.

        Args:
            first: from 1.
            count: 0: all that follow.

        Raises:
            SettingError: there are not so many chapters.
        """
        most = max(1, len(self.chapters))
        check_range("first", first, 1, most, f"The book has {most} chapter{'s' * (most > 1)}.")
        check_range("count", count, 0, 1_000_000)
        starts = [0, *(start for _, start in self.chapters[1:]), len(self.script.turns)]
        last = min(most, first - 1 + count) if count else most
        begin, end = starts[first - 1], starts[last]
        warnings = [one for one in self.script.warnings if not one.line or self._within(one.line, begin, end)]
        script = Script(self.script.turns[begin:end], warnings=warnings)
        chapters = [(title, max(0, start - begin)) for title, start in self.chapters[first - 1 : last]]
        return replace(self, script=script, chapters=tuple(chapters))

    def _within(self, line: int, begin: int, end: int) -> bool:
        lines = [turn.line for turn in self.script.turns]
        return (not begin or lines[begin] <= line) and (end == len(lines) or line < lines[end])

    def describe(self) -> str:
        """Title, author, language, and each chapter with its number, for a person."""
        said = [
            f"{name}: {value}"
            for name, value in (("title", self.title), ("author", self.author), ("language", self.language))
            if value
        ]
        starts = [start for _, start in self.chapters] + [len(self.script.turns)]
        rows = [
            f"{number + 1:>4} {short(title)} ({starts[number + 1] - start} turns)"
            for number, (title, start) in enumerate(self.chapters)
        ]
        return "\n".join([*said, f"{len(rows)} chapter{'s' * (len(rows) != 1)}", *rows])


def is_book(path: str | Path) -> bool:
    """Whether a file is a book by its suffix; plain text may be one or a script."""
    return Path(path).suffix.lower() in (EPUB, *HTML)


def load_book(path: str | Path, *, images: bool = False) -> Book:
    """A book from a file: EPUB and HTML by their suffix (.epub, .html, .htm, .xhtml), all others as plain text.

    Of EPUB and HTML, notes, numbers of pages, lists of contents, copyright pages and what is hidden are left out, with
    a warning where words are lost to a listener; tables are read row by row. Of plain text see `book_script`.

    Args:
        images: the descriptions of pictures are read too.

    Raises:
        ScriptError: the file cannot be read, is broken, locked (DRM) or larger than any book; it is text in another
            encoding than UTF-8 (or UTF-16 with its mark); it has no words.
        MissingExtraError: EPUB or HTML, and lxml (extra `books`) is not installed.
    """
    path = Path(path)
    if not is_book(path):
        text = decode_text(path)
        return Book(*_read_text(text), **_front_matter(text))
    if path.suffix.lower() == EPUB:
        found = read_epub(path, images=images)
        blocks, left_out = _without_contents(found.blocks)
        about, warnings = found.about._asdict(), found.warnings
    else:
        blocks, about = _of_html(path, images)
        blocks, left_out = _without_contents(blocks)
        warnings = []
    if not any(block.title for block in blocks):
        _guess_titles(blocks)
    if not any(block.words for block in blocks):
        raise ScriptError(
            f"There is nothing to read in '{path.name}'.",
            expected="a book with text",
            got="pages without words",
            remedy="Where its pages are pictures, use an edition with text.",
        )
    said = [*warnings, *(["The list of chapters is left out."] if left_out else [])]
    return Book(*_script_of(blocks, [ScriptWarning(0, 0, one) for one in said], str), **about)


def _front_matter(text: str) -> dict[str, str]:
    """Title, author and the like, of the lines that Markdown may begin with."""
    front = _FRONT.match(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    entries = re.findall(r"^([\w-]+):[^\S\n]*(\S[^\n]*)$", front[0], re.M) if front else []
    known = {name.lower(): value.strip().strip("\"'") for name, value in entries}
    wanted = {"title": "title", "author": "author", "language": "language", "lang": "language", "date": "date"}
    return {field: known[name] for name, field in wanted.items() if known.get(name)}


def _of_html(path: Path, images: bool) -> tuple[list[Block], dict[str, str]]:
    """Its headings of the two largest kinds begin chapters."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScriptError(
            f"'{path}' could not be read: {error.strerror or error}.", remedy="Check its name and permissions."
        ) from error
    root = parse_markup(data, path.name)
    if root is None and data.strip():
        raise ScriptError(
            f"'{path.name}' cannot be read.",
            expected="HTML whose elements end",
            got="markup that is broken, or more than 255 elements within each other",
            remedy="Open it in a browser, and save what it shows as text or as HTML anew.",
        )
    heard = heard_of(root, lambda href: ("", href.partition("#")[2]), images=images) if root is not None else Heard()
    without_notes({"": heard})
    return with_chapters(heard.blocks), {"title": heard.title, "language": heard.language}


def _guess_titles(blocks: list[Block]) -> None:
    """Headings that are written as paragraphs, where a book has no others."""
    for block in blocks:
        if found := heading(block.lines[:1]):
            block.title, block.number, block.waits = found.title, found.number, found.waits
    _counted(blocks)


def read_book(path: str | Path) -> Script:
    """A book's file as a script; see `load_book`, and what it raises."""
    return load_book(path).script


def book_script(text: str) -> Script:
    """Paragraphs, parted by blank lines or one a line, as turns of the narrator; nothing in them is a tag or a cue.

    A heading is read, and names the scene of what follows: "Chapter 3: The storm", "Erstes Kapitel", "Prologue",
    "第三章", a number alone that counts up, one with # before it or a line below it (Markdown); its title may stand in
    the line below. A page of contents is left out, with a warning. A line without letters ("* * *") is a longer pause.
    Marks for the eye are not read (see `plain_words`).

    Raises:
        ScriptError: there is not text.
    """
    return _read_text(text)[0]


def _read_text(text: str) -> tuple[Script, Chapters]:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if front := _FRONT.match(text):
        text = "\n" * front[0].count("\n") + text[front.end() :]
    blocks = _with_titles(_counted(_blocks(text)))
    blocks, left_out = _without_contents(blocks)
    return _script_of(blocks, [ScriptWarning(line, 1, "The list of chapters is left out.") for line in left_out])


def _script_of(
    blocks: list[Block], warnings: list[ScriptWarning], plain: Callable[[str], str] = plain_words
) -> tuple[Script, Chapters]:
    """Turns of the narrator, and those that begin chapters.

    Args:
        plain: takes marks for the eye out of a text, where there may be some.
    """
    turns: list[Turn] = []
    chapters: list[tuple[str, int]] = []
    scene = ""

    def pause(seconds: float) -> None:
        if turns:
            last = turns[-1]
            turns[-1] = Turn(last.speaker, last.text, max(last.pause_s, seconds), {}, last.line, last.scene)

    for block in blocks:
        if block.title and (title := " ".join(plain(block.title).split())):
            pause(CHAPTER_S)
            scene = title
            chapters.append((title, len(turns)))
            spoken = title if title[-1] in ".!?。！？" else f"{title}."
            turns.append(Turn("", spoken, HEADING_S, {}, block.line, scene))
        elif has_words(words := " ".join(plain("\n".join(block.lines)).split())):
            turns.append(Turn("", words, PARAGRAPH_S, {}, block.line, scene))
        else:
            pause(BREAK_S)
    if turns and not scene:
        warnings = [*warnings, ScriptWarning(0, 0, "No headings were found, so there are no chapters.")]
    return Script(turns, warnings=warnings), tuple(chapters)


# --- paragraphs -----------------------------------------------------------------------------------------------------


def _blocks(text: str) -> list[Block]:
    """Paragraphs and headings in order."""
    found: list[Block] = []
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


def _add(found: list[Block], paragraph: list[tuple[int, str]]) -> None:
    """A paragraph, with the headings that it begins with as blocks of their own."""
    at = 0
    while at < len(paragraph):
        title = heading([line for _, line in paragraph[at : at + 3]])  # it looks no further
        end = at + title.lines if title else len(paragraph)
        lines = [line for _, line in paragraph[at:end]]
        block = Block(lines, paragraph[at][0])
        if title:
            block.title, block.number = title.title, title.number
            block.waits = title.waits and end == len(paragraph)
        found.append(block)
        at = end


def _counted(blocks: list[Block]) -> list[Block]:
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


def _with_titles(blocks: list[Block]) -> list[Block]:
    """Numbers with the titles that stand in the paragraph below them."""
    found: list[Block] = []
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


def _without_contents(blocks: list[Block]) -> tuple[list[Block], list[int]]:
    """The blocks without lists of chapters, and the lines where these stood: headings that all come again below."""
    last = {as_known(block.title): n for n, block in enumerate(blocks) if block.title}
    begun: dict[str, int] = {}  # as titles begin -> the last of these
    for title, place in last.items():
        begun |= {one: max(place, begun.get(one, 0)) for one in _beginnings(title)}
    kept: list[Block] = []
    left_out: list[int] = []
    n = 0
    while n < len(blocks):
        named = is_contents(blocks[n].lines[0])
        end, entries = n + named, 0
        if named and len(blocks[n].lines) > 1:  # the list is in the same paragraph
            end = n
        while end < len(blocks) and (count := _entries(blocks[end], end, (last, begun), skip=named and end == n)):
            end, entries = end + 1, entries + count
        if entries >= (1 if named else 2) and (named or all(block.title for block in blocks[n:end])):
            left_out.append(blocks[n].line)
            n = end
            continue
        kept.append(blocks[n])
        n += 1
    return kept, left_out


def _entries(block: Block, place: int, titles: tuple[dict[str, int], dict[str, int]], *, skip: bool) -> int:
    """How many headings that come again a block lists, whole or as they begin; 0 if it says anything else.

    Args:
        titles: place of the last heading with this title, of the last one whose title begins so.
    """
    last, begun = titles
    lines = [block.title] if block.title else block.lines[skip:]
    for line in lines:
        entry = as_known(entry_of(line)) if len(line) <= LONGEST_ENTRY else ""
        found = [last.get(entry, -1), begun.get(entry, -1), *(last.get(one, -1) for one in _beginnings(entry))]
        if not entry or max(found) <= place:
            return 0
    return len(lines)


def _beginnings(title: str) -> list[str]:
    """Its first word, its first two words, and so on, but not all of it."""
    words = title.split() if len(title) <= LONGEST_ENTRY else []
    return [" ".join(words[:n]) for n in range(1, len(words))]
