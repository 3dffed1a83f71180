"""Books in EPUB and HTML: what a listener hears of them, and files that are broken, locked or mean harm."""

from __future__ import annotations

import io
import random
import struct
import time
import zipfile

import pytest
from helpers_epub import ABOUT, make_epub, nav, ncx, page
from helpers_mutations import mutations
from helpers_time import grows_linearly

from higgs_runtime import HiggsError, ScriptError, parse_script
from higgs_runtime.script import book, epub, load_book, markup, read_book

pytest.importorskip("lxml")


@pytest.fixture
def read(tmp_path):
    def read_bytes(data: bytes | str, name: str = "book.epub", **more):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return load_book(path, **more)

    return read_bytes


def texts(book) -> list[str]:
    return [turn.text for turn in book.script.turns]


def one(inside: str, **more) -> bytes:
    return make_epub({"c.xhtml": page(inside)}, **more)


# --- what is heard --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inside, heard",
    [
        ("<p>Good morn&#173;ing, every\u00adone.</p>", ["Good morning, everyone."]),
        ("<p>A <ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字</ruby></p>", ["A 漢字"]),
        ("<p>One<br/>two</p><div>Three <p>four</p> five</div>", ["One two", "Three", "four", "five"]),
        ('<p>Every<span epub:type="pagebreak" title="12" id="p12">12</span>one.</p>', ["Everyone."]),
        ('<p>Every<span role="doc-pagebreak">12</span>one.</p>', ["Everyone."]),
        ('<p>Old.<a epub:type="noteref" href="#n">*</a></p><aside epub:type="footnote" id="n">No.</aside>', ["Old."]),
        ('<p>Old.<a role="doc-noteref" href="#n">1</a></p><div role="doc-footnote" id="n">No.</div>', ["Old."]),
        ('<p>Old<sup><a href="#f1" id="r1">1</a></sup></p><p id="f1"><a href="#r1">1</a> No.</p>', ["Old"]),
        ('<p>Old<a href="#f1"><sup>[1]</sup></a></p><p><a id="f1" href="#r1">[1]</a> No.</p>', ["Old"]),
        ('<p id="a">See chapter <a href="#b">2</a>.</p><p id="b">Two.</p>', ["See chapter 2.", "Two."]),
        ('<p><a href="#top">1</a> is a number.</p>', ["1 is a number."]),
        ('<p><img src="t.png" alt="T"/>he sea.</p><p><img src="b.jpg" alt="A bridge"/></p>', ["The sea."]),
        ("<table><tr><th>Name</th><th>Age</th></tr><tr><td>Ann</td><td>3</td></tr></table>", ["Name, Age.", "Ann, 3."]),
        ("<table><tr><td><h3>In</h3><p>a.</p><p>b.</p></td></tr></table>", ["In.", "a.", "b."]),
        ('<p>a<span hidden="">b</span><span style="display: none">c</span>d</p><p aria-hidden="true">e</p>', ["ad"]),
        ("<p>He said <q>yes</q>.</p><ol><li>one</li><li>two</li></ol>", ["He said “yes”.", "one", "two"]),
        ("<p>– Hola – dijo.</p><p>2 * 3 * 4 [1]</p>", ["– Hola – dijo.", "2 * 3 * 4 [1]"]),
        ("<p>&amp; &lt;b&gt; &#8364;</p>", ["& <b> €"]),
        ("<script>no</script><style>no</style><svg><text>no</text></svg><p>Yes.</p>", ["Yes."]),
        ("<p>ﬁne</p>", ["fine"]),
    ],
)
def test_what_is_heard_of_a_document(read, inside, heard):
    assert texts(read(one(inside))) == heard


def test_a_scene_break_is_a_longer_pause(read):
    book = read(one("<p>One.</p><hr/><p>Two.</p><p>* * *</p><p>Three.</p><p>Four.</p>"))
    assert [turn.pause_s for turn in book.script.turns] == [1.6, 1.6, 0.8, 0.8]


def test_pictures_are_read_if_that_is_wished(read):
    data = one('<p>One.</p><figure><img src="b.jpg" alt="A bridge"/><figcaption>The bridge.</figcaption></figure>')
    assert texts(read(data)) == ["One.", "The bridge."]
    assert "1 picture with a description" in str(read(data).script.warnings[0])
    assert texts(read(data, images=True)) == ["One.", "A bridge.", "The bridge."]


def test_notes_of_the_whole_book_are_left_out_and_counted(read):
    pages = {
        "c.xhtml": page('<p>One<a href="n.xhtml#f1" id="r1">1</a> and two<a href="n.xhtml#f2">2</a>.</p>'),
        "n.xhtml": page(
            '<h2>Notes</h2><p id="f1"><a href="c.xhtml#r1">1</a> A</p><p id="f2"><a href="c.xhtml#r2">2</a> B</p>'
        ),
    }
    book = read(make_epub(pages))
    assert texts(book) == ["One and two."] and "2 notes" in str(book.script.warnings[0])


# --- order and chapters ---------------------------------------------------------------------------------------------

THREE = {
    "b.xhtml": page("<h1>One</h1><p>First.</p><h2>Within</h2><p>More.</p>"),
    "a.xhtml": page('<p>Before.</p><p id="x">II</p><p class="t">Two</p><p>Second.</p>'),
    "c.xhtml": page("<p>Third.</p>"),
}
ENTRIES = ("b.xhtml", "One"), ("a.xhtml#x", "Two"), ("c.xhtml", "Three")


@pytest.mark.parametrize("kind", ["contents", "old_contents"])
def test_chapters_are_those_of_the_contents(read, kind):
    book = read(make_epub(THREE, **{kind: (nav if kind == "contents" else ncx)(*ENTRIES)}))
    assert texts(book) == ["One.", "First.", "Within.", "More.", "Before.", "II. Two.", "Second.", "Three.", "Third."]
    assert book.chapters == (("One", 0), ("II. Two", 5), ("Three", 7))
    assert [turn.scene for turn in book.script.turns][4:8] == ["One", "II. Two", "II. Two", "Three"]
    assert parse_script(str(book.script)).turns == book.script.turns


def test_entries_of_contents_that_lead_to_one_place_or_nowhere(read):
    """Each place is looked at up to the next one alone: short chapters keep their own titles."""
    pages = {"a.xhtml": page('<p id="x">I</p><p>One</p><p id="y">II</p><h2>Two</h2><p>b.</p>'), "b.xhtml": page("")}
    entries = ("a.xhtml#x", "One"), ("a.xhtml#x", "Once more"), ("a.xhtml#y", ""), ("a.xhtml#no", "I"), ("b.xhtml", "B")
    book = read(make_epub(pages, contents=nav(*entries)))
    assert texts(book) == ["I. One.", "II. Two.", "b."] and len(book.chapters) == 2


def test_without_contents_headings_of_two_kinds_are_chapters(read):
    pages = {"a.xhtml": page("<h1>Book</h1><h2>One</h2><p>a.</p><h4>sub</h4><p>b.</p><h2>Two</h2><p>c.</p>")}
    assert [title for title, _ in read(make_epub(pages)).chapters] == ["Book", "One", "Two"]


def test_without_any_heading_paragraphs_are_looked_at(read):
    book = read(one("<p>Chapter 1</p><p>a.</p><p>Chapter 2</p><p>b.</p>"))
    assert [title for title, _ in book.chapters] == ["Chapter 1", "Chapter 2"]


def test_the_spine_is_the_order_and_what_is_apart_is_not_read(read):
    pages = {name: page(f"<p>{name[0]}.</p>") for name in ("a.xhtml", "b.xhtml", "c.xhtml", "d.xhtml")}
    pages["d.xhtml"] = page("<p>d.</p>", ' epub:type="copyright-page"')
    spine = '<itemref idref="p2"/><itemref idref="p1" linear="no"/><itemref idref="p3"/><itemref idref="p0"/>'
    assert texts(read(make_epub(pages, spine=spine))) == ["c.", "a."]
    guide = '<guide><reference type="toc" href="c.xhtml"/></guide>'
    assert texts(read(make_epub(pages, spine=spine, guide=guide))) == ["a."]


def test_chapters_are_chosen(read):
    book = read(make_epub(THREE, contents=nav(*ENTRIES)))
    assert texts(book.part(2, 1)) == ["II. Two.", "Second."] and book.part(2, 1).chapters == (("II. Two", 0),)
    assert texts(book.part(1, 1))[-1] == "Before." and texts(book.part(2)) == texts(book.part(2, 9))
    assert book.part(1).script.turns == book.script.turns
    for first in (0, 4):
        with pytest.raises(HiggsError, match="The book has 3 chapters"):
            book.part(first)


def test_a_plain_book_has_chapters_and_front_matter(read):
    told = read('---\ntitle: "The sea"\nauthor: Rose\n---\nOnce.\n\n# One\n\na.\n\n# Two\n\nb.\n', "a.md")
    assert (told.title, told.author) == ("The sea", "Rose") and told.tags["artist"] == "Rose"
    assert texts(told.part(1, 1)) == ["Once.", "One.", "a."] and texts(told.part(2)) == ["Two.", "b."]


def test_html_is_a_book_too(read):
    told = read("<html lang=de><title>Das Meer</title><h1>Eins</h1><p>Ein <b>Satz.<p>Noch einer.", "a.html")
    assert texts(told) == ["Eins.", "Ein Satz.", "Noch einer."]
    assert (told.title, told.language) == ("Das Meer", "de")


def test_what_the_book_says_of_itself(read):
    told = read(one("<p>a.</p>"))
    assert (told.title, told.author, told.language, told.date) == ("The old bridge", "Rose Ross", "en", "2026-11-30")
    assert told.tags == {
        "title": "The old bridge",
        "artist": "Rose Ross",
        "album": "The old bridge",
        "genre": "Audiobook",
        "date": "2026-11-30",
    }
    assert read(one("<p>a.</p>", about="")).tags == {"genre": "Audiobook"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["", "<head><title>x</title></head>"])
def test_html_that_names_no_encoding_is_unicode(read, encoding, head):
    assert texts(read(f"<html>{head}<body><p>Čaj — “ok”<br></html>".encode(encoding), "a.html")) == ["Čaj — “ok”"]
    named = "<html><head><meta charset=windows-1252></head><body><p>café “ok”<br></html>"
    assert texts(read(named.encode("cp1252"), "a.html")) == ["café “ok”"]


def test_pages_that_are_too_deep_are_not_read_in_part(read):
    """Some never end their <font>; lxml gives up at 256, and what it has by then is not the page."""
    deep = "<html><body>" + "<p>a.</p><font size=2>" * 300 + "<p>b.</p></body></html>"
    with pytest.raises(ScriptError, match="255 elements within each other"):
        read(deep, "a.html")
    told = read(make_epub({"c.xhtml": page("<p>c.</p>"), "d.xhtml": deep}))
    assert texts(told) == ["c."] and "d.xhtml' cannot be read" in " ".join(map(str, told.script.warnings))
    deep = "<html><body>" + "<p>a.</p><font size=2>" * 240 + "<p>b.</p></body></html>"
    assert texts(read(deep, "a.html")) == ["a."] * 240 + ["b."]


def test_reading_takes_as_long_as_the_book_is(read):
    def run(count: int):
        pages = "".join(
            f"<h2>Of the sea {n}</h2><p>{n} And so it was.</p><p>{n} They went home.</p>" for n in range(count)
        )
        return read(f"<html><body>{pages}</body></html>", "a.html")

    assert len(run(9).chapters) == 9 and grows_linearly(run, 300)


def test_a_line_of_dots_is_read_at_once(read):
    line = "." * 20_000 + "y"
    start = time.process_time()
    read(f"<html><body><h2>One</h2><p>{line}</p></body></html>", "a.html")
    assert time.process_time() - start < 5


def test_pages_that_are_not_well_formed_are_read_as_html(read):
    pages = {"a.xhtml": "<html><body><p>One & <b>two &nbsp; <p>three<script/>four</p></body>"}
    assert texts(read(make_epub(pages))) == ["One & two", "threefour"]


@pytest.mark.parametrize("folder", ["", "OEBPS", "a b/c"])
def test_folders_and_names_of_all_kinds(read, folder):
    data = make_epub({"a b.xhtml": page("<p>a.</p>")}, folder=folder)
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        opf = next(name for name in made.namelist() if name.endswith(".opf"))
        text = made.read(opf).decode().replace('href="a b.xhtml"', 'href="./A%20b.xhtml"')
    assert texts(read(make_epub({"a b.xhtml": page("<p>a.</p>")}, folder=folder, files={opf: text}))) == ["a."]


# --- refused --------------------------------------------------------------------------------------------------------

LOCKED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:e="http://www.w3.org/2001/04/xmlenc#">
<e:EncryptedData><e:EncryptionMethod Algorithm="{how}"/><e:CipherData><e:CipherReference URI="{what}"/></e:CipherData>
</e:EncryptedData></encryption>"""
AES = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"


def test_a_locked_book_is_refused_and_hidden_fonts_are_none(read):
    lock = {"META-INF/encryption.xml": LOCKED.format(how=AES, what="OEBPS/c.xhtml")}
    with pytest.raises(ScriptError, match="locked \\(DRM\\).*without DRM"):
        read(one("<p>a.</p>", files=lock))
    with pytest.raises(ScriptError, match="LCP"):
        read(one("<p>a.</p>", files={**lock, "META-INF/license.lcpl": "{}"}))
    for how, what in ((AES, "OEBPS/c.mp3"), ("http://www.idpf.org/2008/embedding", "OEBPS/f.otf")):
        font = {"META-INF/encryption.xml": LOCKED.format(how=how, what=what)}
        assert texts(read(one("<p>a.</p>", files=font))) == ["a."]


ENTITIES = '<!DOCTYPE html [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">{more}]>'
BOMB = ENTITIES.format(more="".join(f'<!ENTITY c{n} "{"&b;" * 9}">' for n in range(20)))
OUTSIDE = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "head, inside", [(BOMB, "&c1;&c2;"), (OUTSIDE, "&x;"), (BOMB, '<a title="&c1;"/>'), (OUTSIDE, "<p>")]
)
@pytest.mark.parametrize("place", ["a page", "the package", "the contents"])
def test_entities_are_refused_wherever_they_are(read, head, inside, place):
    bad = f"{head}<html><body><p>a {inside}</p></body></html>"
    files = {}
    if place == "the package":
        files = {"OEBPS/book.opf": f"{head}<package><metadata>{inside}</metadata></package>"}
    elif place == "the contents":
        files = {"OEBPS/nav.xhtml": bad}
    pages = {"c.xhtml": bad if place == "a page" else page("<p>a.</p>")}
    with pytest.raises(ScriptError, match="entities of its own"):
        read(make_epub(pages, contents=nav(("c.xhtml", "A")), files=files))


def test_nothing_outside_is_read(read, tmp_path):
    (tmp_path / "secret.xhtml").write_text(page("<p>secret.</p>"))
    pages = {"../../secret.xhtml": "x", f"{tmp_path}/secret.xhtml": "x", "c.xhtml": page("<p>a.</p>")}
    data = make_epub(pages)
    told = read(data)
    assert "secret" not in " ".join(texts(told)) and texts(told)[-1] == "a."


def test_a_bomb_is_refused_by_what_it_says_and_by_what_it_holds(read, monkeypatch):
    monkeypatch.setattr(epub, "MOST_BYTES", 100_000)
    data = one("<p>" + "a" * 200_000 + "</p>")
    with pytest.raises(ScriptError, match="larger than any book"):
        read(data)
    at = data.index(b"OEBPS/c.xhtml", data.index(b"PK\x01\x02")) - 46
    smaller = bytearray(data)
    smaller[at + 24 : at + 28] = struct.pack("<I", 50_000)  # it says that it is small
    with pytest.raises(ScriptError, match="cannot be read as an EPUB|larger than"):
        read(bytes(smaller))
    monkeypatch.setattr(epub, "MOST_BYTES", 1 << 24)
    monkeypatch.setattr(epub, "MOST_TEXT", 300_000)
    with pytest.raises(ScriptError, match="larger than any book"):
        read(make_epub({f"{n}.xhtml": page("<p>" + "a" * 90_000 + "</p>") for n in range(5)}))
    monkeypatch.setattr(epub, "MOST_FILES", 3)
    with pytest.raises(ScriptError, match="files"):
        read(data)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "cannot be read as an EPUB"),
        (b"PK\x03\x04", "cannot be read as an EPUB"),
        (b"no zip at all" * 99, "cannot be read as an EPUB"),
        (one("<p> </p>"), "nothing to read"),
        (one(""), "nothing to read"),
        (make_epub({}), "names no document"),
        (one("<p>a.</p>", spine='<itemref idref="none"/>'), "names no document"),
        (one("<p>a.</p>", files={"META-INF/container.xml": "<"}), None),
        (one("<p>a.</p>", files={"META-INF/container.xml": "", "OEBPS/book.opf": ""}), "package document"),
        (one("<p>a.</p>", files={"OEBPS/book.opf": "<package/>"}), "names no document"),
    ],
)
def test_what_is_no_book_is_told(read, data, words):
    if words is None:  # the package is found without it
        assert texts(read(data)) == ["a."]
        return
    with pytest.raises(ScriptError, match=words):
        read(data)


def test_a_missing_page_and_a_missing_file(read, tmp_path):
    data = one("<p>a.</p>", about=ABOUT)
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        opf = made.read("OEBPS/book.opf").decode()
    opf = opf.replace("</manifest>", '<item id="g" href="g.xhtml"/></manifest>').replace(
        "</spine>", '<itemref idref="g"/></spine>'
    )
    told = read(one("<p>a.</p>", files={"OEBPS/book.opf": opf}))
    assert texts(told) == ["a."] and "'OEBPS/g.xhtml' is missing" in " ".join(map(str, told.script.warnings))
    with pytest.raises(ScriptError, match="EPUB"):
        read_book(tmp_path / "none.epub")
    with pytest.raises(ScriptError, match="could not be read"):
        read_book(tmp_path / "none.html")


def test_without_lxml_it_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lxml", None)
    with pytest.raises(HiggsError, match="pip install lxml"):
        read(one("<p>a.</p>"))
    assert texts(read("a.", "a.txt")) == ["a."]


# --- damaged --------------------------------------------------------------------------------------------------------

RICH = make_epub(
    {
        **THREE,
        "d.xhtml": page(
            '<h1>Four</h1><p>Old<sup><a href="#f" id="r">1</a></sup></p><p id="f"><a href="#r">1</a> No</p>'
            "<table><tr><td>a</td><td>b</td></tr></table><p>&#173;<ruby>漢<rt>か</rt></ruby></p>"
        ),
    },
    contents=nav(*ENTRIES),
    old_contents=ncx(*ENTRIES),
    files={"META-INF/encryption.xml": LOCKED.format(how=AES, what="OEBPS/f.otf")},
)


def outcome(read, data: bytes) -> str:
    started = time.process_time()
    try:
        told = read(data)
        parse_script(str(told.script))
        said = "read"
    except HiggsError as error:
        assert "book.epub" in str(error) or "turns" in str(error), error
        said = "refused"
    assert time.process_time() - started < 5
    return said


@pytest.mark.slow
def test_a_thousand_damaged_files_are_read_or_refused(read):
    found = [outcome(read, broken) for broken in mutations(RICH, 1000, random.Random(5))]
    assert {"read", "refused"} == set(found)


@pytest.mark.slow
def test_a_thousand_books_with_a_damaged_document_are_read_or_refused(read):
    with zipfile.ZipFile(io.BytesIO(RICH)) as made:
        inside = {name: made.read(name) for name in made.namelist()}
    chance, found = random.Random(6), []
    for name in sorted(inside):
        for broken in mutations(inside[name], 1000 // len(inside) + 1, chance) if inside[name] else ():
            whole = io.BytesIO()
            with zipfile.ZipFile(whole, "w") as archive:
                for other, data in inside.items():
                    archive.writestr(other, broken if other == name else data)
            found.append(outcome(read, whole.getvalue()))
    assert len(found) >= 1000 and {"read", "refused"} == set(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "inside",
    [
        "<p>" * 200_000,
        "<!--" * 200_000,
        "<a href='#" * 100_000,
        "&lt;" * 500_000,
        "<p>a</p>" * 100_000,
        "<p>" + "a\u00ad " * 200_000 + "</p>",
        "<sup><a href='#a'>1</a></sup>" * 40_000,
    ],
)
def test_long_documents_end_soon(read, inside):
    started = time.process_time()
    try:
        read(one(inside))
    except ScriptError:
        pass
    assert time.process_time() - started < 20


def test_the_modules_say_the_same_suffixes():
    assert set(book.BOOKS) == {".txt", ".md", ".epub", ".html", ".htm", ".xhtml"} and markup.BREAK
