"""Plain text as a script: paragraphs, headings, and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from higgs_runtime import ScriptError, parse_script
from higgs_runtime.script import book_script, read_book
from higgs_runtime.script.book import BREAK_S, CHAPTER_S, HEADING_S, PARAGRAPH_S

BOOK = """The old bridge

Chapter 1: The storm

It was a
windy night.

* * *

[Anna] said: {no} settings # here.

PROLOGUE

## The end ##

Nothing.
"""


def test_headings_make_scenes_and_are_read():
    script = book_script(BOOK)
    assert [(turn.scene, turn.text, turn.pause_s) for turn in script.turns] == [
        ("", "The old bridge", CHAPTER_S),
        ("Chapter 1: The storm", "Chapter 1: The storm.", HEADING_S),
        ("Chapter 1: The storm", "It was a windy night.", BREAK_S),
        ("Chapter 1: The storm", "[Anna] said: {no} settings # here.", CHAPTER_S),
        ("PROLOGUE", "PROLOGUE.", CHAPTER_S),
        ("The end", "The end.", HEADING_S),
        ("The end", "Nothing.", PARAGRAPH_S),
    ]
    assert {turn.speaker for turn in script.turns} == {""} and script.warnings == ()
    for turn in script.turns[:-1]:
        assert BOOK.splitlines()[turn.line - 1].strip(" #.").startswith(turn.text[:8].strip("."))


@pytest.mark.parametrize(
    "line",
    [
        "Chapter One",
        "CHAPTER XII.",
        "Part 2 - Winter",
        "Kapitel 3",
        "第三章 风",
        "Epilogue",
        "# Of cats",
        "Chapitre 4 : La mer",
        "глава 1",
    ],
)
def test_these_are_headings(line):
    assert book_script(f"{line}\n\nText.").turns[1].scene == line.strip("# ")


@pytest.mark.parametrize(
    "line",
    [
        "Chapter one was long, and she slept.",
        "Partly",
        "Part of it",
        "A title",
        "Chapter 1\nand more",
        "#hashtag",
        "Chapter " + "x" * 80,
    ],
)
def test_these_are_not(line):
    script = book_script(f"{line}\n\nText.")
    assert script.turns[1].scene == "" and "no chapters" in str(script.warnings[0])


def test_it_can_be_written_as_a_script_and_read_again():
    assert parse_script(str(book_script(BOOK))) == book_script(BOOK)


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@given(st.lists(st.lists(st.lists(words, min_size=1, max_size=4), min_size=1, max_size=3), min_size=1, max_size=6))
def test_no_word_is_lost(paragraphs):
    text = "\n\n".join("\n".join(" ".join(line) for line in paragraph) for paragraph in paragraphs)
    spoken = [
        paragraph
        for paragraph in paragraphs
        if any(letter.isalnum() for line in paragraph for word in line for letter in word)
    ]
    if not spoken:
        with pytest.raises(ScriptError):
            book_script(text)
        return
    read = "".join(turn.text for turn in book_script(text).turns)
    letters = "".join(
        letter for paragraph in spoken for line in paragraph for word in line for letter in word if letter.isalnum()
    )
    assert "".join(letter for letter in read if letter.isalnum()) == letters


@pytest.mark.parametrize("text", ["", " \n\n ", "* * *\n\n---"])
def test_no_text_is_an_error(text):
    with pytest.raises(ScriptError):
        book_script(text)


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "book.txt").write_bytes(b"\xff\xfe\x00\xd8\x00")
    with pytest.raises(ScriptError):
        read_book(tmp_path / "book.txt")
    with pytest.raises(ScriptError):
        read_book(tmp_path / "missing.txt")
