"""EPUB 2 and 3: what the file says of the book, and its documents in the order of reading.

The formats: W3C's EPUB 3.3 (container, package document, navigation document), IDPF's OPF 2.0.1 with its NCX. No
library: EbookLib's licence (AGPL) is not ours; the container is a zip file with two small documents.
"""

from __future__ import annotations

import posixpath
import struct
import zipfile
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import ScriptError
from .headings import Block, as_known
from .markup import (
    Heard,
    ended,
    heard_of,
    kinds_of,
    local,
    parse_markup,
    said_alone,
    with_chapters,
    without_notes,
    words_of,
)

MOST_FILES = 50_000
MOST_BYTES, MOST_TEXT = 16 << 20, 64 << 20  # of a document, of all that are read; the Bible has 5 MB
LONGEST_NUMBER = 12  # letters of a chapter's number above its title
TITLES = 3  # blocks behind the place that the list of contents names, within which its heading stands
_DOCUMENTS = frozenset(
    ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "application/xml", "text/xml")
)
_FONTS = frozenset(("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"))  # hidden, not locked
_LOCKS = ("meta-inf/rights.xml", "meta-inf/license.lcpl", "meta-inf/sinf.xml")
_NOT_READ = frozenset(("cover", "toc", "copyright-page", "copyright", "loi", "lot", "index", "landmarks", "page-list"))
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,  # also of names that cannot be decoded
    NotImplementedError,
    RuntimeError,
    OverflowError,
    IndexError,
)


class AboutBook(NamedTuple):
    """What a book says of itself; "" where it does not."""

    title: str = ""
    author: str = ""
    language: str = ""
    date: str = ""


@dataclass
class Documents:
    """What is read of a book.

    Attributes:
        blocks: headings of chapters have a title.
        warnings: one sentence on each thing that is left out.
    """

    about: AboutBook
    blocks: list[Block] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _ContentsLine(NamedTuple):
    """A line of the list of contents."""

    path: str
    fragment: str
    title: str


def read_epub(path: Path, *, images: bool = False) -> Documents:
    """The documents of a book, in the order of its spine; chapters are what its list of contents names, or else its
    headings.

    Args:
        images: descriptions of pictures are read too.

    Raises:
        ScriptError: it is no EPUB, broken, locked (DRM), or larger than any book.
        MissingExtraError: lxml (extra `books`) is not installed.
    """
    with _Container(path) as container:
        package = _Package(container)
        heard = {document: one for document, one in _documents(container, package, images)}
        entries = package.contents()
    notes = sum(one.notes for one in heard.values()) + without_notes(heard)
    found = Documents(package.about._replace(language=package.about.language or _language(heard)))
    left_out = {
        "note": notes,
        "picture with a description": 0 if images else sum(one.pictures for one in heard.values()),
    }
    said = [
        f"{count} {what.replace(' ', 's ', 1) if ' ' in what else what + 's'}" if count > 1 else f"1 {what}"
        for what, count in left_out.items()
        if count
    ]
    if said:
        found.warnings.append(f"Not read: {', '.join(said)}.")
    found.warnings += package.warnings
    for document, one in heard.items():
        mine = [entry for entry in entries if entry.path == document]
        found.blocks += _with_chapters(one.blocks, mine, named=len(entries) > 1)
    return found


def _language(heard: dict[str, Heard]) -> str:
    return next((one.language for one in heard.values() if one.language), "")


def _documents(container: _Container, package: _Package, images: bool) -> Iterator[tuple[str, Heard]]:
    for path in package.spine:
        data = container.read(path)
        root = parse_markup(data, f"{container.name}: {path}")
        if root is None:
            package.warnings.append(f"'{path}' cannot be read and is left out.")
            continue
        bodies = [root, *(one for one in root.iter() if local(one) == "body")]
        if any(kinds_of(one) & _NOT_READ for one in bodies):
            continue

        def resolve(href: str, path: str = path) -> tuple[str, str]:
            return container.place(href, path)

        yield path, heard_of(root, resolve, images=images)


def _with_chapters(blocks: list[Block], entries: list[_ContentsLine], *, named: bool) -> list[Block]:
    """The blocks of a document, those that begin a chapter with its title.

    Args:
        named: the book's list of contents says what the chapters are; else the headings do, the two largest kinds.
    """
    if not named:
        return with_chapters(blocks)
    before: dict[int, str] = {}
    places = {id: n for n, block in reversed(list(enumerate(blocks))) for id in block.ids}
    targets = [places.get(entry.fragment, 0) for entry in entries]
    worded = [n for n, block in enumerate(blocks) if block.words]
    borders = [*sorted(set(targets)), len(blocks)]
    for entry, at in zip(entries, targets, strict=True):
        first, end = bisect_left(worded, at), borders[bisect_right(borders, at)] if at < len(blocks) else 0
        near = [n for n in worded[first : first + TITLES] if n < end and blocks[n].lines]
        if not near:
            continue
        known = as_known(entry.title)
        same = [n for n in near if known and as_known(blocks[n].lines[0]) == known]
        chosen = same or [n for n in near if blocks[n].level and not blocks[n].title]
        if chosen:
            above = near[: near.index(chosen[0])]
            if any(len(blocks[n].lines[0]) > LONGEST_NUMBER for n in above):
                above = []
            numbers = [ended(blocks[n].lines[0]) for n in above]  # "II", above the title
            for n in above:
                blocks[n].lines = []
            blocks[chosen[0]].title = " ".join([*numbers, blocks[chosen[0]].lines[0]])
        elif entry.title and not blocks[near[0]].title:
            before.setdefault(near[0], entry.title)
    found = []
    for n, block in enumerate(blocks):
        if n in before:
            found.append(Block([before[n]], 0, title=before[n]))
        if block.lines:
            found.append(said_alone(block))
    return found


class _Package:
    """The package document: what there is, and in which order it is read."""

    def __init__(self, container: _Container):
        self._container, self.warnings = container, []
        self._path = container.package()
        root = parse_markup(container.read(self._path), f"{container.name}: {self._path}", lenient=False)
        if root is None:
            raise container.broken("its package document cannot be read")
        self._root = root
        self._items = {}  # id -> (path, kind, properties)
        for one in self._all("item"):
            href = one.get("href") or ""
            path, _ = container.place(href, self._path)
            properties = (one.get("properties") or "").split()
            self._items[one.get("id") or ""] = path, (one.get("media-type") or "").strip().lower(), properties
        self.about = self._about()
        self.spine = self._spine()
        if not self.spine:
            raise container.broken("it names no document to read")
        container.check_locks(self.spine)

    def _all(self, name: str) -> list:
        return [one for one in self._root.iter() if local(one) == name]

    def _about(self) -> AboutBook:
        def of(name: str) -> list[str]:
            return [said for one in self._all(name) if (said := words_of(one))]

        roles = {
            (one.get("refines") or "").lstrip("#"): words_of(one)
            for one in self._all("meta")
            if one.get("property") == "role"
        }
        authors = []
        for one in self._all("creator"):
            role = one.get("{http://www.idpf.org/2007/opf}role") or roles.get(one.get("id") or "", "") or "aut"
            if role == "aut" and (said := words_of(one)) and said not in authors:
                authors.append(said)
        first = {name: next(iter(of(name)), "") for name in ("title", "language", "date")}
        return AboutBook(first["title"], ", ".join(authors), first["language"], first["date"][:10])

    def _spine(self) -> list[str]:
        """Paths of what is read, without lists of contents, covers and what is shown beside the book."""
        container = self._container
        guide = {
            container.place(one.get("href") or "", self._path)[0]
            for one in self._all("reference")
            if (one.get("type") or "").lower() in _NOT_READ
        }
        found = []
        for one in self._all("itemref"):
            path, kind, properties = self._items.get(one.get("idref") or "", ("", "", []))
            apart = one.get("linear") == "no" or "nav" in properties or path in guide
            if not path or apart or path in found or kind and kind not in _DOCUMENTS:
                continue
            if container.has(path):
                found.append(path)
            else:
                self.warnings.append(f"'{path}' is missing in the file.")
        return found

    def contents(self) -> list[_ContentsLine]:
        """The list of contents: the longer of those of the navigation document and of the NCX; empty without."""
        found = []
        for path, kind, properties in self._items.values():
            if self._container.has(path) and ("nav" in properties or kind == "application/x-dtbncx+xml"):
                root = parse_markup(self._container.read(path), f"{self._container.name}: {path}")
                if root is not None:
                    found.append(list(self._entries(root, path, "nav" in properties)))
        return next((entries for entries in sorted(found, key=len, reverse=True) if entries), [])

    def _entries(self, root, path: str, is_nav: bool) -> Iterator[_ContentsLine]:
        if not is_nav:
            for point in (one for one in root.iter() if local(one) == "navpoint"):
                label = next((words_of(one) for one in point.iter() if local(one) == "text"), "")
                source = next((one.get("src") or "" for one in point.iter() if local(one) == "content"), "")
                if source:
                    yield _ContentsLine(*self._container.place(source, path), label)
            return
        navs = [one for one in root.iter() if local(one) == "nav"]
        for nav in [one for one in navs if "toc" in kinds_of(one)] or navs[:1]:
            for link in (one for one in nav.iter() if local(one) == "a" and one.get("href")):
                yield _ContentsLine(*self._container.place(link.get("href"), path), words_of(link))


class _Container:
    """The zip file. Nothing of it is written anywhere; a document is read up to an end."""

    def __init__(self, path: Path):
        self.name, self._left = path.name, MOST_TEXT
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except _BROKEN as error:
            raise self.broken(_reason(error)) from error
        if len(entries) > MOST_FILES:
            raise self._too_large(f"{len(entries)} files")
        self._entries = {entry.filename: entry for entry in entries}
        self._by_small = {name.casefold(): name for name in self._entries}

    def __enter__(self) -> _Container:
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def has(self, path: str) -> bool:
        return path.casefold() in self._by_small

    def read(self, path: str) -> bytes:
        """A document.

        Raises:
            ScriptError: it is missing, broken, locked or too large.
        """
        name = path if path in self._entries else self._by_small.get(path.casefold(), "")
        if not name:
            raise self.broken(f"'{path}' is missing")
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise self._locked("a password")
        most = min(MOST_BYTES, self._left)
        if entry.file_size > most:
            raise self._too_large(f"{entry.file_size / 2**20:.0f} MB in '{path}'")
        try:
            with self._zip.open(entry) as file:
                data = file.read(most + 1)
        except _BROKEN as error:
            raise self.broken(f"'{path}': {_reason(error)}") from error
        if len(data) > most:
            raise self._too_large(f"more than {most / 2**20:.0f} MB in '{path}'")
        self._left -= len(data)
        return data

    def place(self, href: str, base: str) -> tuple[str, str]:
        """The path within the file, and the fragment, that a link in a document means; ("", "") leads elsewhere."""
        try:
            parts = urlsplit(href.strip())
        except ValueError:
            return "", ""
        if parts.scheme or parts.netloc:
            return "", ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(parts.path))) if parts.path else base
        name = self._by_small.get(path.casefold(), path)
        return name, unquote(parts.fragment)

    def package(self) -> str:
        """The path of the package document."""
        if self.has("META-INF/container.xml"):
            root = parse_markup(self.read("META-INF/container.xml"), f"{self.name}: container.xml", lenient=False)
            files = [
                one.get("full-path") or ""
                for one in (root.iter() if root is not None else ())
                if local(one) == "rootfile"
            ]
            if files:
                return files[0]
        packages = [name for name in self._entries if name.lower().endswith(".opf")]
        if not packages:
            raise self.broken("it has no package document (.opf)")
        return packages[0]

    def check_locks(self, documents: list[str]) -> None:
        """Refuse a book whose text is locked. Fonts may be hidden, which locks nothing.

        Raises:
            ScriptError: DRM.
        """
        if not self.has("META-INF/encryption.xml"):
            return
        root = parse_markup(self.read("META-INF/encryption.xml"), f"{self.name}: encryption.xml", lenient=False)
        for data in (one for one in (root.iter() if root is not None else ()) if local(one) == "encrypteddata"):
            methods = [one.get("Algorithm") or "" for one in data.iter() if local(one) == "encryptionmethod"]
            paths = [one.get("URI") or "" for one in data.iter() if local(one) == "cipherreference"]
            text = {self.place(path, "")[0] for path in paths} & set(documents)
            if text and not set(methods[:1]) <= _FONTS or text and not methods:
                kind = next((name for name in _LOCKS if self.has(name)), "")
                raise self._locked(
                    {"meta-inf/license.lcpl": "LCP", "meta-inf/sinf.xml": "Apple's FairPlay"}.get(
                        kind, "Adobe's or another shop's lock"
                    )
                )

    def broken(self, why: str) -> ScriptError:
        return ScriptError(
            f"'{self.name}' cannot be read as an EPUB.",
            expected="a whole EPUB file",
            got=why,
            remedy="Open it in a reader of books to see whether it is whole, or download it again.",
        )

    def _too_large(self, got: str) -> ScriptError:
        return ScriptError(
            f"'{self.name}' is larger than any book.",
            expected=f"at most {MOST_BYTES >> 20} MB of text in a document, {MOST_TEXT >> 20} MB in all",
            got=got,
            remedy="Cut the book in parts; or the file is made to do harm.",
        )

    def _locked(self, how: str) -> ScriptError:
        return ScriptError(
            f"'{self.name}' is locked (DRM), and only its shop's own reader opens it.",
            expected="a book without copy protection",
            got=how,
            remedy="Ask the shop or publisher for an edition without DRM.",
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
