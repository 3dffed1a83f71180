"""Functions of text take any text, in time that grows with its length, and answer or raise an error of ours."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import pytest
from helpers_time import grows_linearly

from higgs_runtime import HiggsError, SettingError, prepare_text
from higgs_runtime.script import book_script, describe_script, parse_script, subtitles_text
from higgs_runtime.script.captions import read_caption
from higgs_runtime.script.timed_text import read_cues
from higgs_runtime.text.chunking import chunk_text, spoken_spans
from higgs_runtime.text.languages import detect_language
from higgs_runtime.text.marks import plain_words
from higgs_runtime.text.numbers import ORDINALS, POINTS, spell
from higgs_runtime.text.sound_tags import find_sounds
from higgs_runtime.text.vocabulary import has_words, words_of
from higgs_runtime.verification import compare_words, length_bounds

FUNCTIONS = {
    "prepare for v2": lambda text: prepare_text(text, "native", "en", spell_numbers=True, marks=True),
    "prepare for v3": lambda text: prepare_text(text, "v3", detect=True),
    "chunk": lambda text: chunk_text(text, 50),
    "chunk Chinese": lambda text: chunk_text(text, 50, "zh"),
    "spans": lambda text: spoken_spans(text, 50),
    "detect": detect_language,
    "words": words_of,
    "has words": has_words,
    "sounds": lambda text: find_sounds(text, "native"),
    "marks": plain_words,
    "book": book_script,
    "script": lambda text: describe_script(parse_script(text)),
    "srt": lambda text: read_cues(text, "srt"),
    "vtt": lambda text: read_cues("WEBVTT\n\n00:01.000 --> 00:02.000\n" + text, "vtt"),
    "caption": read_caption,
    "bounds": length_bounds,
}
PIECES = [
    *" ()\n\ta哈[]<1$°'\"“”‘’«@-—…*_`#|\\&!。，\u0301\u00ad\ud800\U0001f1e6\u200d{}\r\u2028१ก가ﬁ٣．",
    "你好", "<SE>", "[laugh] ", "1,", "1.", " °", "°C", "http://", "www.", "a@", "a.", "a-", "&amp;", "(a",
    "a b ", "A: ", "[A] ", "{a=", "x\n\n", "1 000", "<b", "</", "-->", "1:", "IV ", "Chapter 1\n\n", "3.",
    "，1", "a. [B] ", "(pause ", "<|emotion:anger|> a ", "<|sfx:sigh|> ",
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_time_grows_with_the_length_of_any_text(name):
    """Ten times as long takes about ten times as long, and not a hundred times; what is quick may take its time."""

    def linear(piece: str) -> bool:
        def run(length: int) -> None:
            with suppress(HiggsError):
                FUNCTIONS[name]("x " + piece * (length // len(piece)))

        return grows_linearly(run, 1_500, most=60)

    for warm in ("Hello my friend, 12. ", "哈"):
        FUNCTIONS[name](warm * 200)  # what is loaded once
    assert not [piece for piece in PIECES if not linear(piece)]


@pytest.mark.slow
@pytest.mark.parametrize("piece", [" ", "(", ")", "\n", "°", "[", "哈"])
def test_five_megabytes_are_prepared(piece):
    start = time.process_time()
    prepare_text("x " + piece * 5_000_000, "native", "en")
    assert time.process_time() - start < 60


def test_half_a_character_is_no_reason_to_stop():
    for text in ("\ud800", "a \udfff b", "Hello my \ud83d friend, how are you today?"):
        assert prepare_text(text, "native", detect=True).text
        assert "".join(chunk_text(text, 3)) == text
        detect_language(text)
        words_of(text)
        compare_words(text, text)
        assert subtitles_text([(0, 1, "", text)], "srt")


def test_what_is_too_long_to_compare_is_refused():
    with pytest.raises(SettingError, match="50000 characters or fewer, got 50001"):
        compare_words("a" * 50_001, "a")


# --- numbers ----------------------------------------------------------------------------------------------------------

NUMBERS = {  # 21, 1.5, 2.05, and the third and the year 1984 where they are read
    "ca": ("vint-i-un", "un coma cinc", "dos coma zero cinc", "tercer", ""),
    "da": ("enogtyve", "et komma fem", "to komma nul fem", "tredje", "nitten hundrede fireogfirs"),
    "de": ("einundzwanzig", "eins Komma fünf", "zwei Komma null fünf", "dritte", "neunzehnhundertvierundachtzig"),
    "en": ("twenty-one", "one point five", "two point zero five", "third", "nineteen eighty-four"),
    "es": ("veintiuno", "uno coma cinco", "dos coma cero cinco", "tercero", "mil novecientos ochenta y cuatro"),
    "fi": ("kaksikymmentäyksi", "yksi pilkku viisi", "kaksi pilkku nolla viisi", "kolmas", ""),
    "fr": (
        "vingt et un",
        "un virgule cinq",
        "deux virgule zéro cinq",
        "troisième",
        "mille neuf cent quatre-vingt-quatre",
    ),
    "he": ("עשרים ואחת", "אחת נקודה חמש", "שתיים נקודה אפס חמש", "שלישי", ""),
    "id": ("dua puluh satu", "satu koma lima", "dua koma nol lima", "", ""),
    "it": ("ventuno", "uno virgola cinque", "due virgola zero cinque", "terzo", "millenovecentottantaquattro"),
    "ja": ("二十一", "一点五", "二点零五", "", "千九百八十四"),
    "ko": ("이십일", "일 점 오", "이 점 영 오", "", "천구백팔십사"),
    "nl": ("eenentwintig", "één komma vijf", "twee komma nul vijf", "derde", "negentien honderd vierentachtig"),
    "no": ("tjueen", "en komma fem", "to komma null fem", "tredje", "nitten hundre og åttifire"),
    "pl": ("dwadzieścia jeden", "jeden przecinek pięć", "dwa przecinek zero pięć", "trzeci", ""),
    "pt": ("vinte e um", "um vírgula cinco", "dois vírgula zero cinco", "terceiro", ""),
    "ro": ("douăzeci și unu", "unu virgulă cinci", "doi virgulă zero cinci", "al treilea", ""),
    "ru": ("двадцать один", "одна целая пять десятых", "две целых пять сотых", "третий", ""),
    "th": ("ยี่สิบเอ็ด", "หนึ่งจุดห้า", "สองจุดศูนย์ห้า", "", ""),
    "tr": ("yirmibir", "bir virgül beş", "iki virgül sıfır beş", "", ""),
    "uk": ("двадцять один", "один кома п'ять", "два кома нуль п'ять", "третій", ""),
    "vi": ("hai mươi mốt", "một phẩy năm", "hai phẩy không năm", "", "một nghìn chín trăm tám mươi bốn"),
}


def test_every_language_that_reads_numbers_is_checked():
    assert set(NUMBERS) == set(POINTS) and {code for code, row in NUMBERS.items() if row[3]} == ORDINALS


@pytest.mark.parametrize("code", NUMBERS)
def test_numbers_of_a_language(code):
    whole, half, hundredths, third, year = NUMBERS[code]
    assert (spell("21", code), spell("1.5", code), spell("2.05", code)) == (whole, half, hundredths)
    assert spell("3", code, "ordinal") == third and (not year or spell("1984", code, "year") == year)
    assert all(spell(figure, code) for figure in ("0", "100", "1000000", "007", "0.10", "123456789012345"))


@pytest.mark.parametrize("code", ["cy", "is", "am", "ce", "bn", "ar", "fa", "sw", "", "sv", "az"])
def test_other_languages_keep_their_figures_with_a_note(code):
    assert spell("21", code) == ""
    found = prepare_text("x 1,5 x", "native", code or "xx", spell_numbers=True)
    assert "1,5" in found.text and found.warnings[0].startswith("1,5 cannot be written in words")


def test_numbers_that_nobody_reads_stay_figures():
    assert spell("9" * 31, "en") == "" and prepare_text("9" * 400, "native", "en", spell_numbers=True).text[0] == "9"


def test_ordinals_that_a_stop_makes_stay_figures():
    assert prepare_text("Am 3. Mai um 12 %.", "native", "de", spell_numbers=True).text == "Am 3. Mai um 12 %."
    assert prepare_text("Es sind 3.", "native", "de", spell_numbers=True).text == "Es sind drei."
    assert (
        prepare_text("I have 3. You have 4.", "native", "en", spell_numbers=True).text == "I have three. You have four."
    )


def test_leading_zeros_are_read():
    found = prepare_text("Agent 007 at Gate 05, 0.5 and 0.", "native", "en", spell_numbers=True)
    assert found.text == "Agent zero zero seven at Gate zero five, zero point five and zero."


# --- languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, language",
    [
        ("BONJOUR TOUT LE MONDE", "fr"),
        ("GUTEN MORGEN ZUSAMMEN", "de"),
        ("THE STORY IS READY", "en"),
        ("THE QUICK BROWN FOX JUMPED OVER THE LAZY DOG", "en"),
        ("ÉCOUTE-MOI BIEN", "fr"),
    ],
)
def test_capitals_are_guessed_as_small_letters(text, language):
    guess = detect_language(text)
    assert guess.language == language and guess.sure


@pytest.mark.parametrize(
    "text", ["Hallo Welt 21", "hallo welt", "Band 21", "Bus Linie 21", "il y a 21", "Página 21", "ok", "да"]
)
def test_a_few_letters_are_not_sure(text):
    assert not detect_language(text).sure
    found = prepare_text(text + " ", "native", spell_numbers=True)
    assert found.language == "" and found.text == text + "."


def test_the_language_of_the_script_decides_for_short_turns():
    from higgs_runtime import Sampling
    from higgs_runtime.rendering.lines import lines_of

    script = parse_script("[Anna] Guten Morgen, meine lieben Freunde, wie geht es euch heute?\n[Ben] Hallo Welt 21.")
    lines = lines_of(
        script, Sampling(), 25.0, max_chars=99, prepare=partial(prepare_text, layout="native", spell_numbers=True)
    )
    assert lines[1].text == "Hallo Welt einundzwanzig."


# --- pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["３．５元", "1，０００", "１２：３０", "２０％", "3.5元"])
def test_full_width_numbers_stay_whole(number):
    assert any(number in piece for piece in chunk_text(f"《红楼梦》{number}", len(number)))
