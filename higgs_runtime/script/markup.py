"""HTML and XHTML as what a listener hears of it: headings, paragraphs, breaks.

Left out are notes and their marks, numbers of pages, lists of contents, readings over characters, pictures (unless they
are asked for), and what is hidden. Kinds are those of EPUB's structural semantics (epub:type) and of DPUB-ARIA (role).
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import MissingExtraError, ScriptError
from ..text.marks import LETTERS
from ..text.vocabulary import has_words
from .headings import Block

_TYPE = "{http://www.idpf.org/2007/ops}type"
_NOTES = frozenset("footnote footnotes endnote endnotes rearnote rearnotes note annotation".split())
_NOT_READ = frozenset("noteref annoref backlink pagebreak page-list pagelist toc landmarks loi lot index".split())
_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hgroup legend li main ol p pre section summary table tbody td tfoot th "
    "thead tr ul".split()
)
_SKIPPED = frozenset(
    "head script style template noscript audio video object embed iframe canvas map svg nav rt rp rtc button input "
    "select textarea".split()
)
_NOTE_MARK = re.compile(r"[\[(]?\s*(?:\d{1,4}|[¹²³⁰⁴-⁹]{1,4}|[*†‡§¶⁎※↑↩^]{1,4}\ufe0e?)\s*[.\])]?")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_ENDS = ".!?…:;,。！？：；"
BREAK = "* * *"  # a line that is heard as a pause

Resolve = Callable[[str], tuple[str, str]]  # what a link names: path, and fragment


@dataclass
class Heard:
    """What is heard of a document.

    Attributes:
        blocks: in order.
        noted: places that marks of notes lead to: (path, fragment).
        notes, pictures, tables: how many there were.
        language: as the document says.
        title: of its head.
    """

    blocks: list[Block] = field(default_factory=list)
    noted: set[tuple[str, str]] = field(default_factory=set)
    notes: int = 0
    pictures: int = 0
    tables: int = 0
    language: str = ""
    title: str = ""


def etree():
    """lxml's.

    Raises:
        MissingExtraError: lxml (extra `books`) is not installed.
    """
    try:
        from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  (it has no types)
    except ImportError as error:
        raise MissingExtraError("A book in EPUB or HTML", "books", "lxml") from error
    return etree


def parse_markup(data: bytes, name: str, *, lenient: bool = True):
    """The root of a document; None where there is none, or where it breaks the parser's limits of depth and length:
    what is left of it would lack pages. No entity is expanded, nothing is fetched.

    Args:
        lenient: what is not well-formed is read as HTML is read.

    Raises:
        ScriptError: it declares entities of its own, as documents do that mean harm.
        MissingExtraError: as `etree`.
    """
    lxml = etree()
    safe = dict(no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        root = lxml.fromstring(data, lxml.XMLParser(resolve_entities=False, load_dtd=False, **safe))
    except (lxml.XMLSyntaxError, ValueError):
        if b"<!ENTITY" in data:
            raise _with_entities(name) from None
        data = data.removeprefix(codecs.BOM_UTF8)
        known = {"encoding": "utf-8"} if _is_utf8(data) else {}  # HTML that names no encoding would be Latin-1
        strict = dict(resolve_entities=False, recover=True)
        parser = lxml.HTMLParser(**safe, **known) if lenient else lxml.XMLParser(**safe, **strict)
        try:
            root = lxml.fromstring(data, parser)
        except (lxml.XMLSyntaxError, ValueError):
            return None
        if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
            return None
    if root is None:
        return None
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and next(iter(declared.iterentities()), None) is not None:
        raise _with_entities(name)
    return root


def _is_utf8(data: bytes) -> bool:
    try:
        return bool(data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _with_entities(name: str) -> ScriptError:
    return ScriptError(
        f"'{name}' declares entities of its own.",
        expected="a document that a reader of books opens",
        got="<!ENTITY",
        remedy="Take the book from another source; this file may be made to do harm.",
    )


def local(element) -> str:
    """The name of an element without its namespace, in small letters; "" of what is none."""
    return element.tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(element.tag, str) else ""


def kinds_of(element) -> frozenset[str]:
    """What an element is, by epub:type and role."""
    said = f"{element.get(_TYPE) or element.get('epub:type') or ''} {element.get('role') or ''}"
    return frozenset(one.removeprefix("doc-") for one in said.lower().split())


def words_of(element) -> str:
    """All text of an element, in one line."""
    return " ".join("".join(element.itertext()).split())


def heard_of(root, resolve: Resolve, *, images: bool = False) -> Heard:
    """What is heard of a document.

    Args:
        root: see `parse_markup`.
        resolve: where a link leads.
        images: descriptions of pictures are read too.
    """
    reader = _Walker(resolve, images)
    for element in root.iter():
        if local(element) == "title" and not reader.heard.title:
            reader.heard.title = words_of(element)
    reader.heard.language = root.get("{http://www.w3.org/XML/1998/namespace}lang") or root.get("lang") or ""
    reader.walk(root)
    reader.flush()
    return reader.heard


def without_notes(documents: dict[str, Heard]) -> int:
    """Takes out paragraphs that are notes by their form: they begin with a mark that leads back, and marks of the text
    lead to them. Returns how many.

    Args:
        documents: path -> what is heard of it; changed.
    """
    noted = {place for one in documents.values() for place in one.noted}
    count = 0
    for path, one in documents.items():
        kept = [block for block in one.blocks if not (block.marked and any((path, id) in noted for id in block.ids))]
        taken = len(one.blocks) - len(kept)
        count += taken
        one.blocks = kept if not taken or any(block.words and not block.level for block in kept) else []
    return count


def with_chapters(blocks: list[Block]) -> list[Block]:
    """The blocks; headings of the two largest kinds begin chapters."""
    levels = sorted({block.level for block in blocks if block.level})[:2]
    for block in blocks:
        block.title = block.lines[0] if block.level in levels else ""
    return [said_alone(block) for block in blocks]


def said_alone(block: Block) -> Block:
    """A heading within a chapter is a sentence of its own."""
    if block.level and not block.title:
        block.lines = [ended(block.lines[0])]
    return block


class _Walker:
    """Walks over a document; `heard` grows."""

    def __init__(self, resolve: Resolve, images: bool):
        self.heard = Heard()
        self._resolve, self._images = resolve, images
        self._text: list[str] = []  # of what is open; no piece is empty
        self._begun = False  # whether that has a word, or another sign
        self._ids: set[str] = set()  # since the last block
        self._marked = False  # what is open began with the mark of a note
        self._level = 0  # of the heading that is open

    def walk(self, element) -> None:
        name = local(element)
        if not name:
            self._say(_entity(element))
            return
        kinds = kinds_of(element)
        if place := element.get("id"):
            self._ids.add(place)
        if name in ("a", "span") and (place := element.get("name")):
            self._ids.add(place)
        if kinds & _NOTES:
            self.heard.notes += 1
        if "noteref" in kinds:
            self.heard.noted.add(self._resolve(element.get("href") or ""))
        if name in _SKIPPED or kinds & (_NOTES | _NOT_READ) or _is_hidden(element):
            return
        if name == "a" and self._is_note_mark(element):
            return
        special = {"br": self._line, "hr": self._rule, "img": self._picture, "tr": self._row, "math": self._formula}
        if name in special:
            special[name](element)
        elif name in _BLOCKS:
            self._block(element, name, kinds)
        else:
            self._say("“" if name == "q" else "")
            self._inside(element)
            self._say("”" if name == "q" else "")

    def flush(self) -> None:
        """Ends the paragraph or heading that is open."""
        lines = [" ".join(one.split()) for one in "".join(self._text).split("\n")]
        self._text.clear()
        self._begun = False
        lines = [line for line in lines if line]
        if not lines:
            return
        text = " ".join(lines)
        for pattern, new in LETTERS:
            text = pattern.sub(new, text)
        text = text.replace("\u00ad", "").strip()
        if self._level:  # a title that is broken for the eye is still several
            text = " ".join(line if line[-1] in _ENDS else f"{line}." for line in lines[:-1]) + f" {lines[-1]}"
            text = text.replace("\u00ad", "").strip()
        self._add(Block([text], 0, level=self._level, ids=self._ids, marked=self._marked))

    def _add(self, block: Block) -> None:
        self.heard.blocks.append(block)
        self._ids, self._marked = set(), False

    def _say(self, text: str | None) -> None:
        if text:
            self._text.append(re.sub(r"[\s\u200b\ufeff]+", " ", text))
            self._begun = self._begun or not text.isspace()

    def _inside(self, element) -> None:
        self._say(element.text)
        for child in element:
            self.walk(child)
            self._say(child.tail)

    def _block(self, element, name: str, kinds: frozenset[str]) -> None:
        self.flush()
        level = int(name[1]) if re.fullmatch(r"h[1-6]", name) else 2 if "heading" in kinds else 0
        before, self._level = self._level, level or self._level
        if name == "table":
            self.heard.tables += 1
        self._inside(element)
        self.flush()
        self._level = before

    def _line(self, _element) -> None:
        self._text.append("\n")

    def _rule(self, _element) -> None:
        self.flush()
        self._add(Block([BREAK], 0, ids=self._ids))

    def _picture(self, element) -> None:
        said = " ".join((element.get("alt") or "").split())
        self.heard.pictures += bool(said)
        if len(said) == 1 and said.isalpha():  # the first letter of a chapter, drawn
            self._say(said)
        elif self._images and has_words(said):
            self.flush()
            self._say(ended(said))
            self.flush()

    def _formula(self, element) -> None:
        self._say(element.get("alttext") or "".join(element.itertext()))

    def _row(self, element) -> None:
        """A row of a table as a sentence; a table of one column, or with headings, only places what it holds."""
        cells = [child for child in element if local(child) in ("td", "th")]
        if len(cells) < 2 or any(re.fullmatch(r"h[1-6]|table", local(one)) for one in element.iter()):
            self._block(element, "tr", frozenset())
            return
        self.flush()
        said = []
        for cell in cells:
            inner = _Walker(self._resolve, self._images)
            inner.walk(cell)
            inner.flush()
            self._ids |= {id for block in inner.heard.blocks for id in block.ids}
            said.append(" ".join(line for block in inner.heard.blocks for line in block.lines))
        self._say(ended(", ".join(one for one in said if has_words(one))))
        self.flush()

    def _is_note_mark(self, element) -> bool:
        """Whether a link is the mark of a note, or leads back from one; `noted` and `marked` say which."""
        said, href = words_of(element), element.get("href")
        if not href or "#" not in href or not _NOTE_MARK.fullmatch(said):
            return False
        if not self._begun:
            self._marked = True
            return not said.strip("[(.)] ").isdigit() or local(element.getparent()) == "sup"
        raised = any(local(one) == "sup" for one in (element.getparent(), *element))
        if raised or not said.isdigit() or not self._text[-1][-1].isspace():  # "see chapter 3" is no mark
            self.heard.noted.add(self._resolve(href))
            return True
        return False


def _entity(element) -> str:
    """What an entity of HTML stands for; nothing of others."""
    said = element.text or "" if getattr(element, "name", None) else ""
    plain = html.unescape(said)
    return plain if plain != said else ""


def _is_hidden(element) -> bool:
    shown = element.get("hidden") is None and element.get("aria-hidden") != "true"
    return not shown or bool(_HIDDEN.search(element.get("style") or ""))


def ended(words: str) -> str:
    """As a sentence, so that it is heard as one."""
    return words if not words or words[-1] in _ENDS else f"{words}."
