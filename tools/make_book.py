"""Write the book that the pack brings, in words that Higgs Nano speaks: python -m tools.make_book"""

from __future__ import annotations

import zipfile
from pathlib import Path

BOOK = Path(__file__).resolve().parent.parent / "higgs_runtime" / "nano" / "books" / "the_old_bridge.epub"
CHAPTERS = {
    "The quiet morning": ["Good morning, everyone. The story is ready.", "The old lighthouse keeper smiled."],
    "The old bridge": ["It is a quiet night by the sea.", "“Only the wind, my friend,” the keeper said."],
}
_PAGE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en">
<head><title>{title}</title></head><body>{inside}</body></html>
"""
_OPF = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">higgs-nano-book</dc:identifier>
<dc:title>The old bridge</dc:title><dc:creator>ComfyUI-Higgs</dc:creator><dc:language>en</dc:language>
<meta property="dcterms:modified">2026-11-30T00:00:00Z</meta></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>{items}</manifest>
<spine>{spine}</spine></package>
"""
_CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""


def main() -> None:
    names = [f"chapter{number}.xhtml" for number, _ in enumerate(CHAPTERS, start=1)]
    kind = "application/xhtml+xml"
    items = "".join(f'<item id="c{n}" href="{name}" media-type="{kind}"/>' for n, name in enumerate(names))
    spine = "".join(f'<itemref idref="c{n}"/>' for n, _ in enumerate(names))
    links = "".join(f'<li><a href="{name}">{title}</a></li>' for name, title in zip(names, CHAPTERS, strict=True))
    files = {
        "mimetype": "application/epub+zip",  # first, and not packed, as EPUB asks
        "META-INF/container.xml": _CONTAINER,
        "OEBPS/book.opf": _OPF.format(items=items, spine=spine),
        "OEBPS/nav.xhtml": _PAGE.format(title="Contents", inside=f'<nav epub:type="toc"><ol>{links}</ol></nav>'),
    }
    for name, (title, paragraphs) in zip(names, CHAPTERS.items(), strict=True):
        said = "".join(f"<p>{one}</p>" for one in paragraphs)
        files[f"OEBPS/{name}"] = _PAGE.format(title=title, inside=f"<h1>{title}</h1>{said}")
    BOOK.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(BOOK, "w") as book:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, (2026, 11, 30, 0, 0, 0))
            book.writestr(entry, text, zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
