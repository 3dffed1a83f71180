"""Plain text as a script: paragraphs, headings, and nothing lost."""

from __future__ import annotations

import time

import pytest
from helpers_time import grows_linearly
from hypothesis import given, settings, strategies as st

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


LIGATURES = "ﬀﬁﬂﬃﬄﬅﬆﬓﬔﬕﬖﬗ"
letters_and_marks = st.characters(codec="utf-8", categories=("L", "Nd"), exclude_characters=LIGATURES)
words = st.text(letters_and_marks | st.sampled_from(".,;:!?'’“”…—()"), min_size=1, max_size=12)


@settings(deadline=None)
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


CHAPTERS = {  # text -> titles
    "# One\nText right below.": ["One"],
    "CHAPTER I.\nOf the Sea\n\nText.": ["CHAPTER I. Of the Sea"],
    "CHAPTER I.\n\nOf the Sea\n\nText.": ["CHAPTER I. Of the Sea"],
    "CHAPTER I.\n\nThe sea was calm.\n\nText.": ["CHAPTER I."],
    "CHAPTER I.\nDOWN THE RIVER.\n\nText.": ["CHAPTER I. DOWN THE RIVER."],
    "Chapter 1 The Storm\n\nText.": ["Chapter 1 The Storm"],
    "Chapter Twenty One\n\nText.": ["Chapter Twenty One"],
    "Chapter Twenty-One: Home\n\nText.": ["Chapter Twenty-One: Home"],
    "Chapter the Third\n\nText.": ["Chapter the Third"],
    "PART THE FIRST\n\nText.": ["PART THE FIRST"],
    "Stave II\n\nText.": ["Stave II"],
    "Act IV, Scene 2\n\nText.": [],
    "Third Chapter\n\nText.": ["Third Chapter"],
    "II. The Long Road\n\nText.": ["II. The Long Road"],
    "3. The Long Road\n\nText.": ["3. The Long Road"],
    "I\n\nText.\n\nII\n\nMore.": ["I", "II"],
    "1\n\nText.\n\n2\n\nMore.\n\n3\n\nEnd.": ["1", "2", "3"],
    "— 1 —\n\nText.": ["1"],
    "1\nThe Road\n\nText.": ["1 The Road"],
    "42\n\nText.": [],
    "1. Milk\n\n2. Bread\n\n3. Eggs\n\nText.": ["3. Eggs"],
    "Preface\n\nText.": ["Preface"],
    "Author’s Note\n\nText.": ["Author’s Note"],
    "Epilogue: Ten years later\n\nText.": ["Epilogue: Ten years later"],
    "Appendix A\n\nText.": ["Appendix A"],
    "1. Kapitel\n\nText.": ["1. Kapitel"],
    "Erstes Kapitel\n\nText.": ["Erstes Kapitel"],
    "Kapitel drei: Nacht\n\nText.": ["Kapitel drei: Nacht"],
    "Vorwort\n\nText.": ["Vorwort"],
    "Chapitre premier\n\nTexte.": ["Chapitre premier"],
    "Deuxième partie\n\nTexte.": ["Deuxième partie"],
    "Avant-propos\n\nTexte.": ["Avant-propos"],
    "Capítulo primero\n\nTexto.": ["Capítulo primero"],
    "Segunda parte\n\nTexto.": ["Segunda parte"],
    "Prólogo\n\nTexto.": ["Prólogo"],
    "第1話\n\nText.": ["第1話"],
    "第十二回 风雪\n\nText.": ["第十二回 风雪"],
    "楔子\n\n文。": ["楔子"],
    "プロローグ\n\n文。": ["プロローグ"],
    "终章\n\n文。": ["终章"],
    "The Harbour\n===========\n\nText.": ["The Harbour"],
    "The Harbour\n---\nText.": ["The Harbour"],
    "**Chapter 1**\n\nText.": ["Chapter 1"],
    "# **The *Old* House**\n\nText.": ["The Old House"],
    "<h2>The Harbour</h2>\n\nText.": ["The Harbour"],
    "Chapitre Ier\n\nTexte.": ["Chapitre Ier"],
    "Chapitre vingt et un\n\nTexte.": ["Chapitre vingt et un"],
    "Capítulo veintiuno\n\nTexto.": ["Capítulo veintiuno"],
    "Kapitel einundzwanzig\n\nText.": ["Kapitel einundzwanzig"],
    "最終話\n\n文。": ["最終話"],
    "Foreword by Anna\n\nText.": ["Foreword by Anna"],
    "Preface to the Second Edition\n\nText.": ["Preface to the Second Edition"],
    "Prologue to a war\n\nText.": [],
    "C. Major\n\nText.": [],
    "Book it.\n\nText.": [],
    "Chapter closed.\n\nText.": [],
    "Part one was easy.\n\nText.": [],
    "Part One was Easy, and so on.\n\nText.": [],
    "I. am tired\n\nText.": [],
    "I\n\n": [],
    "Introduction to the sea\n\nText.": [],
    "prologue\n\nText.": [],
    "第一次见到他的时候。\n\n文。": [],
    "Act now\n\nText.": [],
    "Letter of the law\n\nText.": [],
    "1984 was good.\n\nText.": [],
    "CONTENTS\n\nChapter 1\n\nChapter 2\n\nChapter 1\n\nText.\n\nChapter 2\n\nText.": ["Chapter 1", "Chapter 2"],
    "Contents\nChapter 1 The Sea ..... 3\nChapter 2\t17\n\nChapter 1 The Sea\n\nText.\n\nChapter 2\n\nText.": [
        "Chapter 1 The Sea",
        "Chapter 2",
    ],
    "Inhalt\n\nKapitel 1\n\nKapitel 2\n\nKapitel 1\n\nText.\n\nKapitel 2\n\nText.": ["Kapitel 1", "Kapitel 2"],
    "Chapter 1\n\nChapter 2\n\nChapter 1\n\nText.\n\nChapter 2\n\nText.": ["Chapter 1", "Chapter 2"],
    "Chapter 1\nChapter 2\nChapter 3\n\nChapter 1\nText.\n\nChapter 2\nMore.\n\nChapter 3\nEnd.": [
        "Chapter 1",
        "Chapter 2",
        "Chapter 3",
    ],
    "CONTENTS\n\nI. The Sea\nII. The Road\n\nI. The Sea\n\nText.\n\nII. The Road\n\nMore.": [
        "I. The Sea",
        "II. The Road",
    ],
    "# Contents\n\n- [Chapter 1](#c1)\n- [Chapter 2](#c2)\n\n# Chapter 1\n\nText.\n\n# Chapter 2\n\nMore.": [
        "Chapter 1",
        "Chapter 2",
    ],
    "目录\n\n第一章 风\n第二章 雨\n\n第一章 风\n\n文。\n\n第二章 雨\n\n文。": ["第一章 风", "第二章 雨"],
    "Chapter 1\nHe saw\nAnna at the door.\n\nText.": ["Chapter 1"],
    "Chapter 1\nThe Old House\nIt was a quiet night.\n\nText.": ["Chapter 1 The Old House"],
    "Part 1\n\nChapter 1\n\nText.\n\nPart 2\n\nChapter 1\n\nText.": ["Part 1", "Chapter 1", "Part 2", "Chapter 1"],
    "Chapter 1\nIt was late.\nShe slept.\nChapter 2\nIt was early.": ["Chapter 1", "Chapter 2"],
}


@pytest.mark.parametrize("text", CHAPTERS)
def test_chapters_by_their_spelling(text):
    try:
        script = book_script(text)
    except ScriptError:
        assert not CHAPTERS[text]
        return
    scenes = [turn.scene for turn in script.turns]
    found = [one for one, before in zip(scenes, ["", *scenes], strict=False) if one and one != before]
    assert found == CHAPTERS[text]
    assert parse_script(str(script)) == script


def test_a_list_of_chapters_is_left_out_with_a_warning():
    script = book_script("The Book\n\nCONTENTS\n\nChapter 1\n\nChapter 2\n\nChapter 1\n\nA.\n\nChapter 2\n\nB.")
    assert [turn.text for turn in script.turns] == ["The Book", "Chapter 1.", "A.", "Chapter 2.", "B."]
    assert [(one.line, one.message) for one in script.warnings] == [(3, "The list of chapters is left out.")]
    assert book_script("Contents\n\nwere mixed.").turns[0].text == "Contents"


def test_a_book_with_one_paragraph_a_line():
    long = "It was a quiet night, and the keeper of the old house read his book by the fire until it was late."
    text = f"Chapter 1\n{long}\n“Who is there?”\n{long}\nChapter 2\n{long}"
    assert [turn.text for turn in book_script(text).turns] == [
        "Chapter 1.",
        long,
        "“Who is there?”",
        long,
        "Chapter 2.",
        long,
    ]
    wrapped = "It was a quiet night, and\nthe keeper of the old house.\nHe read his book until it\nwas late.\n\nMore."
    assert len(book_script(wrapped).turns) == 2


def test_marks_for_the_eye_are_not_read_in_books():
    text = (
        "**Bold** and [a link](https://example.com/x) [1], `code`.\n\n- item one\n- item two\n\n> quoted\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert [turn.text for turn in book_script(text).turns] == [
        "Bold and a link, code.",
        "item one. item two.",
        "quoted",
        "a, b. 1, 2.",
    ]
    assert book_script("He was nega-\ntive about the well-\nknown house.").turns[0].text == (
        "He was negative about the well-known house."
    )
    front = book_script("---\ntitle: A\nlang: en\nnotes:\n  one\n---\n\nText.")
    assert [(turn.text, turn.line) for turn in front.turns] == [("Text.", 8)]


def test_a_poem_below_a_line_is_read_at_once():
    """It begins as YAML does, and every line has blanks before it."""
    start = time.process_time()
    assert len(book_script("---\na: b\n" + "        The sea was calm.\n" * 40 + "\nThe end.").turns) > 1
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "piece",
    [
        "#",
        "1.\n\n",
        "Chapter 1\n\n",
        "a-\n",
        "*a",
        "[a](",
        "> ",
        "I\n\n",
        "Contents\n\n",
        "| a",
        "第",
        "`",
        "<!--",
        "a\n---\n",
    ],
)
def test_books_take_linear_time(piece):
    assert grows_linearly(lambda count: book_script("Text. " + piece * count), 800)


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
