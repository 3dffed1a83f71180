"""Cutting text in seven writing systems: nothing lost or doubled, and nothing cut that belongs together."""

from __future__ import annotations

import pytest
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import chunk_text

WORDS = {
    "Latin": "a The naïve café don’t o'clock well-known Straße señor U.S. e.g. Dr. 3rd",
    "Cyrillic": "и Это слово большой самолёт что-нибудь Україна ґанок",
    "Greek": "η Αυτό είναι μεγάλος λέξη ξανά",
    "Arabic": "و هذه كلمة كبيرة مَدرسة اليوم",
    "Hebrew": 'זה מילה גדול צה"ל ארה״ב שָׁלוֹם',
    "Devanagari": "है यह वाक्य क्षेत्र प्रार्थना हिन्दी",
    "Thai": "นี่ ประโยค กำลัง ภาษาไทย น้ำ",
    "Hangul": "이 한국어 문장입니다 커다란 각",
}
NUMBERS = "7 3.14 1,234,567.89 1.234,5 12:30 2026-11-25 ٣٫١٤ १२,३४५ ５０％ 50% 10\u00a0000".split(" ")
WHOLE = [
    *NUMBERS,
    "12 345",
    "https://example.org/a,b.c?d=e",
    "www.example.org",
    "max@example.org",
    "[laugh]",
    "[humming start]",
    "<SE>[Laughter]</SE>",
    "<|sfx:laughter|>",
]
QUOTES = ["“{}”", "„{}“", "«{}»", "»{}«", '"{}"', "‘{}’"]
STOPS = {"Arabic": ["،", "؟", "."], "Devanagari": ["।", ",", "?"], "Greek": [".", ",", ";"]}
SPACED = sorted(WORDS)
QUICK = settings(max_examples=60, derandomize=True, deadline=None, database=None)


@st.composite
def spaced_texts(draw, script):
    """A text, and the spans of it that belong together."""
    words = st.sampled_from(WORDS[script].split())
    quoted = st.builds(
        lambda mark, inner: mark.format(" ".join(inner)),
        st.sampled_from(QUOTES),
        st.lists(words, min_size=1, max_size=5),
    )
    text, spans = "", []
    for item in draw(st.lists(words | st.sampled_from(WHOLE) | quoted, max_size=20)):
        spans.append((len(text), len(text) + len(item)))
        stop = draw(st.sampled_from(["", "", ",", ".", "!", "…", *STOPS.get(script, ())]))
        text += item + ("" if item.startswith(("http", "www")) else stop)
        text += draw(st.sampled_from([" ", " ", "\n", "\n\n"]))
    return text, spans


def cuts_of(text, max_chars, language=None):
    pieces = chunk_text(text, max_chars, language)
    assert "".join(pieces) == text and all(pieces)
    ends, place = [], 0
    for piece in pieces:
        place += len(piece)
        ends.append(place)
    return pieces, ends[:-1]


@pytest.mark.parametrize("script", SPACED)
def test_words_numbers_addresses_quotations_and_tags_stay_whole(script):
    @settings(QUICK, max_examples=examples(60))
    @given(spaced_texts(script), st.integers(1, 60), st.sampled_from([None, "en", "de", "ar", "he", "el", "ko", "th"]))
    def check(made, max_chars, language):
        text, spans = made
        pieces, cuts = cuts_of(text, max_chars, language)
        for start, end in spans:
            if end - start <= max_chars:
                inside = [cut for cut in cuts if start < cut < end]
                assert inside == [], f"{text[start:end]!r} is cut in {pieces}"

    check()


HAN = {
    "zh": [
        "今天",
        "天气",
        "很",
        "好",
        "我们",
        "公园",
        "，",
        "。",
        "“你好吗？”",
        "《红楼梦》",
        "３．５元",
        "12:30",
        "[laugh]",
    ],
    "ja": ["これは", "カメラマン", "です", "、", "。", "「はい、そうです。」", "東京", "2026年", "きゃっ"],
}


@pytest.mark.parametrize("language", HAN)
def test_text_without_spaces(language):
    kept = [item for item in HAN[language] if item[0] in "“《「[" or item[0].isdecimal() or item == "カメラマン"]

    @QUICK
    @given(
        st.lists(st.sampled_from(HAN[language]), max_size=25),
        st.integers(1, 30),
        st.sampled_from([None, language, "en"]),
    )
    def check(items, max_chars, told):
        pieces, cuts = cuts_of("".join(items), max_chars, told)
        assert all(len(piece) <= max_chars for piece in pieces)
        start = 0
        for n, item in enumerate(items):
            before = items[n - 1] if n else ""
            run = item in kept and not (before[-1:].isalnum() and item[0].isalnum())
            run &= len(before) <= max_chars  # the end of one that had to be cut goes on into this one
            if run and len(item) <= max_chars and items[n + 1 : n + 2] != [item]:
                assert [cut for cut in cuts if start < cut < start + len(item)] == [], (item, pieces)
            start += len(item)

    check()


def test_chinese_is_cut_between_words():
    text = "我们在公园里散步的时候看见了一只非常可爱的小狗正在追逐蝴蝶"  # no mark to cut at
    for max_chars in range(4, 16):
        assert "".join(pieces := chunk_text(text, max_chars, "zh")) == text
        for word in ("我们", "公园", "散步", "时候", "看见", "非常", "可爱", "小狗", "正在", "追逐", "蝴蝶"):
            assert any(word in piece for piece in pieces), (word, pieces)


def test_chinese_without_jieba_is_still_cut_between_characters(monkeypatch):
    from higgs_runtime.text import chunking

    monkeypatch.setattr(chunking, "chinese_word_ends", lambda text: None)
    assert chunk_text("今天天气很好我们去公园", 4, "zh") == ["今天天气", "很好我们", "去公园"]


def test_half_width_marks_end_chinese_sentences():
    """As text is after preparation: no blank behind the mark."""
    assert chunk_text("今天很好.我们去公园?好吧!", 7, "zh") == ["今天很好.", "我们去公园?", "好吧!"]
    assert chunk_text("价格是3.5元吗", 5, "zh") == ["价格是", "3.5元吗"]


def test_a_cache_in_the_temporary_folder_is_not_trusted(tmp_path, monkeypatch):
    """jieba by itself unmarshals a file from the folder of temporary files."""
    import tempfile

    from higgs_runtime.text import chinese as segmentation

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "jieba.cache").write_bytes(b"hostile")
    segmentation._cutter.cache_clear()
    assert 2 in segmentation.chinese_word_ends("我们公园")
    assert [path.name for path in tmp_path.iterdir()] == ["jieba.cache"]
