"""Long text into pieces: nothing lost, and cut at the right places."""

from __future__ import annotations

import random
import unicodedata

import pytest

from higgs_runtime import SettingError, chunk_text

SENTENCES = {
    "en": [
        "Dr. Smith paid $1,234,567.89 at 12:30! ",
        '"Is it far? Not at all," she said. ',
        "It’s e.g. the U.S. army. ",
        "See https://example.com/a,b?c=d. ",
        "Wait… what?! ",
        "Well — no; yes: [laugh] perhaps.\n\n",
    ],
    "zh": ["今天天气很好。", "我们去公园散步吧，顺便买点东西！", "他说：“你好吗？我很好。”", "价格是３．５元吗？"],
    "ja": ["これはカメラマンですか？", "「はい、そうです。」と言った。", "きゃっと叫んだ。"],
    "ko": ["한국어 문장입니다. ", "두 번째 문장은 조금 더 깁니다! "],
    "ar": ["هل أنت بخير؟ ", "نعم، أنا بخير. "],
    "hi": ["यह एक वाक्य है। ", "क्या आप ठीक हैं? "],
    "th": ["ภาษาไทยไม่มีช่องว่างระหว่างคำ ", "สวัสดีครับ "],
    "emoji": ["👨‍👩‍👧‍👦 family! ", "🇩🇪🇫🇷🇯🇵 flags ", "👍🏽 e\u0301 cafe\u0301. ", "1️⃣ one. "],
}


def check(text: str, max_chars: int, language=None) -> list[str]:
    pieces = chunk_text(text, max_chars, language)
    assert "".join(pieces) == text and all(pieces)
    for piece in pieces[1:]:
        assert unicodedata.category(piece[0])[0] != "M" and piece[0] not in "\u200d\ufe0f"
    assert not any(piece.endswith("\u200d") for piece in pieces)
    return pieces


@pytest.mark.parametrize("script", SENTENCES)
def test_no_character_is_lost_and_no_piece_is_too_long(script):
    generator = random.Random(script)
    for _ in range(150):
        text = "".join(generator.choice(SENTENCES[script]) for _ in range(generator.randrange(12)))
        max_chars = generator.randrange(1, 80)
        pieces = check(text, max_chars, generator.choice([None, "en", "de", "zh", "xx"]))
        assert all(len(piece) <= max(max_chars, 8) for piece in pieces)  # 8: the longest grapheme above is 7
        assert all(len(piece) <= max_chars for piece in pieces) or max_chars < 8


def test_random_characters():
    generator = random.Random(4)
    alphabet = ' \n\t.,!?"“”「」。，a1é\u0301\u200d👍🏽🇩🇫中カー\ud83d\ude00\r\n각\u1100\u1161\u11a8\u0915\u094d'
    for _ in range(600):
        text = "".join(generator.choice(alphabet) for _ in range(generator.randrange(60)))
        pieces = chunk_text(text, generator.randrange(1, 20))
        assert "".join(pieces) == text and all(pieces)


def test_short_text_is_one_piece():
    assert chunk_text("", 5) == []
    assert chunk_text("One. Two.", 9) == ["One. Two."]


@pytest.mark.parametrize("max_chars", [0, -1])
def test_length_below_one(max_chars):
    with pytest.raises(SettingError, match="1 character or more"):
        chunk_text("abc", max_chars)


@pytest.mark.parametrize(
    "text, max_chars, expected",
    [
        ("One two. Three four. Five.", 21, ["One two. Three four. ", "Five."]),
        ("One two three, four five six seven", 24, ["One two three, ", "four five six seven"]),
        ("one two three four", 9, ["one two ", "three ", "four"]),
        ("Dr. Smith went. He came.", 16, ["Dr. Smith went. ", "He came."]),
        ("Ask J. R. Tolkien. He knows.", 20, ["Ask J. R. Tolkien. ", "He knows."]),
        ('He left. "I am. You are." Yes.', 20, ["He left. ", '"I am. You are." ', "Yes."]),
        ("What? he asked. Nothing.", 17, ["What? he asked. ", "Nothing."]),
        ("It costs 1,234,567.89 now", 16, ["It costs ", "1,234,567.89 now"]),
        ("About 12 345 678 people", 12, ["About ", "12 345 678 ", "people"]),
        ("see https://a.org/b,c.d?e=f ok", 25, ["see ", "https://a.org/b,c.d?e=f ", "ok"]),
        ("oh [humming start] la la", 16, ["oh ", "[humming start] ", "la la"]),
        ("A b.\n\nC d e", 8, ["A b.\n\n", "C d e"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("ab abcdefghij", 4, ["ab ", "abcd", "efgh", "ij"]),
        ("word word", 4, ["word", " ", "word"]),
        ("今天好。明天也好，后天不好。", 9, ["今天好。", "明天也好，", "后天不好。"]),
        ("他走了。“你好吗？我很好。”她说。", 12, ["他走了。", "“你好吗？我很好。”", "她说。"]),
        ("私はカメラマンです", 5, ["私は", "カメラマン", "です"]),
        ("10\u00a0000 km", 7, ["10\u00a0000 ", "km"]),
    ],
)
def test_where_text_is_cut(text, max_chars, expected):
    assert check(text, max_chars) == expected


def test_language_decides_on_ordinals_and_abbreviations():
    text = "Er kam am 3. Mai nach Bonn. Gut."
    assert chunk_text(text, 14, "de-AT")[0] == "Er kam am 3. "  # by white space: the sentence goes on
    assert chunk_text("Er kam am 3. Mai an. Gut.", 21, "de") == ["Er kam am 3. Mai an. ", "Gut."]
    assert chunk_text("It is usw. Then we go on", 20, "en")[0] == "It is usw. "
    assert chunk_text("It is usw. Then we go on", 20, "de")[0] == "It is usw. Then we "


@pytest.mark.parametrize(
    "grapheme",
    [
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "e\u0301\u0323",
        "👍🏽",
        "1\ufe0f\u20e3",
        "\ud83d\ude00",
        "각",
        "\u1100\u1161\u11a8",
        "क्ष",
        "กำ",
        "\r\n",
    ],
)
def test_graphemes_stay_whole(grapheme):
    assert chunk_text(grapheme * 3, 1) == [grapheme] * 3
    longer = len(grapheme) + (len(grapheme) > 1)
    assert all(len(piece) % len(grapheme) == 0 for piece in chunk_text(grapheme * 9, longer))


@pytest.mark.parametrize(
    "text",
    [
        "a\u0301" * 10_000,
        '"' * 20_000,
        "." * 20_000,
        "a." * 10_000,
        "a@" * 10_000,
        "[" * 20_000,
        "123 " * 5000 + "1234",
        "\n " * 10_000,
        ".'" * 10_000,
        "🇩" * 5000,
        "“" * 20_000,
    ],
)
def test_hostile_text_takes_no_more_than_linear_time(text):
    assert "".join(chunk_text(text, 7)) == text
