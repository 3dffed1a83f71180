"""Tags as other readers find them: FFmpeg, mutagen, and ComfyUI's editor."""

from __future__ import annotations

import json
import re
import sys

import av
import mutagen
import pytest
import torch
from mutagen.mp4 import MP4

from higgs_runtime import AudioClip
from higgs_runtime.audio.files import About, Chapter, export_audio
from higgs_runtime.audio.files.export import MOST_OPUS_WORKFLOW
from higgs_runtime.audio.files.tags import as_ascii, cut_to_bytes

TAGS = {
    "title": "Der Turm, 第一章",
    "artist": "Rose",
    "album": "Sea",
    "comment": "Mine.",
    "lyrics": "One\nTwo 海",
    "date": "2023-05-01",
    "narrator": "Anna",
    "series": "Towers",
    "publisher": "House",
    "language": "eng",
    "isbn": "978-3",
}
COVER = torch.rand(300, 300, 3, generator=torch.Generator().manual_seed(0))
CLIP = AudioClip(torch.randn(1, 30 * 8000, generator=torch.Generator().manual_seed(0)) * 0.05, 8000)
LONG = "Ü" * 63  # 126 bytes: where a size of seven bits a byte ends


def chapters(count: int, seconds: float = 30.0) -> tuple[Chapter, ...]:
    step = seconds / count
    return tuple(Chapter(n * step, (n + 1) * step, LONG if n == 2 else f"Chapter {n} ü") for n in range(count))


def export(folder, format: str, **about):
    return export_audio(CLIP, folder, "{title}", format, about=About(**{"tags": TAGS, **about}))


@pytest.mark.parametrize("format", ["mp3", "wav 16-bit"])
@pytest.mark.parametrize("count", [1, 30, 255, 256, 600])
def test_chapters_and_cover_of_id3_are_seen_by_all(tmp_path, format, count):
    path = export(tmp_path, format, chapters=chapters(count), cover=COVER).path
    with av.open(str(path)) as file:
        seen = file.chapters()
        assert [one["metadata"]["title"] for one in seen] == [one.title for one in chapters(count)]
        assert [one for one in file.streams.video if one.disposition.attached_pic]
    tag = mutagen.File(path).tags
    found = tag.getall("CHAP")
    assert {one.sub_frames["TIT2"].text[0] for one in found} == {one.title for one in chapters(count)}
    assert [round(one.start_time / 1000, 3) for one in found] == [round(one.start_s, 3) for one in chapters(count)]
    top = next(one for one in tag.getall("CTOC") if one.flags & 2)
    listed = top.child_element_ids
    if count > 255:
        listed = [name for part in tag.getall("CTOC") if part is not top for name in part.child_element_ids]
    assert set(listed) == {one.element_id for one in found}
    assert tag.getall("APIC")[0].data[:2] == b"\xff\xd8"


@pytest.mark.parametrize("format", ["mp3", "wav 16-bit"])
def test_the_tag_is_of_the_version_that_everything_reads(tmp_path, format):
    data = export(tmp_path, format, chapters=chapters(3)).path.read_bytes()
    at = data.find(b"ID3")
    assert data[at + 3 : at + 5] == b"\3\0"
    tag = mutagen.File(next(tmp_path.iterdir())).tags
    assert str(tag["COMM::eng"]) == "Mine.\nSynthetic speech." and str(tag["USLT::eng"]) == TAGS["lyrics"]
    assert str(tag["TIT2"]) == TAGS["title"] and str(tag["TDRC"]) == "2023-05-01" and str(tag["TPUB"]) == "House"
    assert str(tag["TXXX:narrator"]) == "Anna" and str(tag["TXXX:series"]) == "Towers"


@pytest.mark.parametrize("date", ["2024", "2024-02", "May 2024", "1999-12-31"])
def test_dates_of_all_kinds_are_kept(tmp_path, date):
    path = export(tmp_path, "mp3", tags={"date": date}).path
    told = mutagen.File(path).tags
    assert date in str(told.get("TDRC", "")) + str(told.get("TXXX:date", "")) or date.startswith(str(told["TDRC"]))


@pytest.mark.parametrize("format", ["m4a (AAC)", "m4b (AAC audiobook)"])
def test_mp4_keeps_what_has_no_atom_of_its_own(tmp_path, format, monkeypatch):
    made = export(tmp_path, format, tags={**TAGS, "year": "2023"})
    told = MP4(made.path)
    for name in ("narrator", "series", "publisher", "language", "isbn", "year"):
        assert told[f"----:com.apple.iTunes:{name}"][0].decode() == {**TAGS, "year": "2023"}[name]
    assert told["\xa9nam"] == [TAGS["title"]] and told["\xa9cmt"] == ["Mine.\nSynthetic speech."] and not made.notes
    monkeypatch.setitem(sys.modules, "mutagen", None)
    [note] = export(tmp_path, format).notes
    assert "narrator, series, publisher, language, isbn" in note and "pip install mutagen" in note


def test_a_year_alone_is_the_date_of_an_mp4(tmp_path):
    assert MP4(export(tmp_path, "m4a (AAC)", tags={"year": "2023"}).path)["\xa9day"] == ["2023"]


@pytest.mark.parametrize("letter", ["a", "ü", "第", "😀"])
@pytest.mark.parametrize("before", range(4))
def test_long_chapter_titles_end_with_a_whole_letter(tmp_path, letter, before):
    title = "x" * before + letter * 300
    made = export(tmp_path, "m4b (AAC audiobook)", chapters=(Chapter(0.0, 15.0, title), Chapter(15.0, 30.0, "Next")))
    first, second = MP4(made.path).chapters
    assert second.title == "Next" and title.startswith(first.title) and 250 < len(first.title.encode()) <= 255


@pytest.mark.parametrize("count", [255, 256, 400])
def test_more_chapters_than_the_list_of_nero_holds(tmp_path, count):
    path = export(tmp_path, "m4b (AAC audiobook)", chapters=chapters(count)).path
    with av.open(str(path)) as file:
        assert len(file.chapters()) == count
    told = MP4(path).chapters
    assert told is None if count > 255 else len(told) == count


def in_editor(path) -> dict:
    """As the editor looks for it: in what comes before the third page of an Ogg file, and in the head of an MP3."""
    data = path.read_bytes()
    pages = [found.start() for found in re.finditer(b"OggS\0", data)]
    head = data[: pages[2]] if pages else data
    mark = b"=" if pages else b"\0"
    found = re.search(rb"workflow" + mark + rb"(\{.*?(\}.*?\0))", head, re.S)
    return json.loads(re.search(rb"\{.*\}", found[1])[0]) if found else {}


@pytest.mark.parametrize("format", ["opus", "mp3"])
def test_the_editor_finds_the_workflow_beside_a_long_prompt(tmp_path, format):
    workflow = {"nodes": [{"title": "Ünï " + "x" * 60_000}]}
    prompt = json.dumps({"1": "y" * 60_000})
    made = export(tmp_path, format, metadata={"prompt": prompt, "workflow": json.dumps(workflow)}, cover=COVER)
    assert in_editor(made.path) == workflow and not [note for note in made.notes if "workflow" in note]
    assert made.path.read_bytes().count(b"nodes") == 1


def test_a_workflow_that_the_editor_will_not_find_is_told(tmp_path):
    for size, notes in ((MOST_OPUS_WORKFLOW - 20, 0), (MOST_OPUS_WORKFLOW + 200, 1)):
        workflow = json.dumps({"nodes": "x" * size})[: size - 2] + '"}'
        made = export(tmp_path, "opus", metadata={"workflow": workflow})
        assert len(made.notes) == notes and bool(in_editor(made.path)) == (not notes)
    assert "export as flac" in made.notes[0]


@pytest.mark.parametrize("text", ["", "plain", "ü海😀", '{"a": "ü😀"}'])
def test_escapes_are_the_same_json(text):
    assert as_ascii(text).isascii() and json.loads(as_ascii(json.dumps(text, ensure_ascii=False))) == text


def test_cuts_between_letters():
    assert cut_to_bytes("aü", 2) == "a" and cut_to_bytes("aü", 3) == "aü" and cut_to_bytes("", 5) == ""
