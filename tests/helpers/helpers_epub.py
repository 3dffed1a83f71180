"""Books in EPUB, made for tests: whole ones, and such as mean harm."""

from __future__ import annotations

import io
import zipfile

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="{opf}" media-type="application/oebps-package+xml"/></rootfiles></container>"""
OPF = """<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">{about}</metadata>
<manifest>{items}</manifest><spine{toc}>{spine}</spine>{guide}</package>"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><head><title>x</title></head>
<body{body}>{inside}</body></html>"""
ABOUT = """<dc:title>The old bridge</dc:title><dc:creator id="a">Rose Ross</dc:creator>
<meta refines="#a" property="role">aut</meta><dc:creator opf:role="ill">Ann Artist</dc:creator>
<dc:language>en</dc:language><dc:date>2026-11-30T00:00:00Z</dc:date>"""


def page(inside: str, body: str = "") -> str:
    return PAGE.format(inside=inside, body=body)


def nav(*entries: tuple[str, str]) -> str:
    rows = "".join(f'<li><a href="{href}">{title}</a></li>' for href, title in entries)
    return page(f'<nav epub:type="toc"><ol>{rows}</ol></nav>')


def ncx(*entries: tuple[str, str]) -> str:
    rows = "".join(
        f"<navPoint><navLabel><text>{title}</text></navLabel><content src='{href}'/></navPoint>"
        for href, title in entries
    )
    return f"<ncx xmlns='http://www.daisy.org/z3986/2005/ncx/'><navMap>{rows}</navMap></ncx>"


def make_epub(
    pages: dict[str, str],
    *,
    contents: str | None = None,
    old_contents: str | None = None,
    about: str = ABOUT,
    folder: str = "OEBPS",
    spine: str | None = None,
    guide: str = "",
    files: dict[str, str | bytes] | None = None,
) -> bytes:
    """The bytes of an EPUB.

    Args:
        pages: name -> XHTML, in the order of reading.
        contents, old_contents: a navigation document (EPUB 3), an NCX (EPUB 2).
        spine: in place of one itemref for each page.
        files: more, by their paths from the root.
    """
    items = "".join(
        f'<item id="p{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(pages)
    )
    inside = {f"{folder}/{name}".lstrip("/"): text for name, text in pages.items()}
    toc = ""
    if contents is not None:
        items += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        inside[f"{folder}/nav.xhtml".lstrip("/")] = contents
    if old_contents is not None:
        items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
        inside[f"{folder}/toc.ncx".lstrip("/")] = old_contents
        toc = ' toc="ncx"'
    refs = "".join(f'<itemref idref="p{n}"/>' for n in range(len(pages))) if spine is None else spine
    opf = f"{folder}/book.opf".lstrip("/")
    inside[opf] = OPF.format(about=about, items=items, toc=toc, spine=refs, guide=guide)
    inside["META-INF/container.xml"] = CONTAINER.format(opf=opf)
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip")
        for name, text in {**inside, **(files or {})}.items():
            archive.writestr(name, text)
    return found.getvalue()
