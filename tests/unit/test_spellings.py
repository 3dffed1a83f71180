"""Right readings of what is written in figures, signs and short forms are no error; wrong ones are."""

from __future__ import annotations

import time

import pytest

from higgs_runtime.verification import compare_words

pytest.importorskip("rapidfuzz")
pytest.importorskip("num2words")

RIGHT = """
en  | Chapter IV. | Chapter four
en  | Chapter four | Chapter IV
en  | Henry VIII | Henry the eighth
en  | Henry VIII had wives. | Henry the Eighth had wives
en  | Rocky II | Rocky two
en  | World War II ended. | world war two ended
en  | Elizabeth I. | Elizabeth the first
en  | It costs $5.99. | It costs five dollars and ninety-nine cents.
en  | It costs $5.99. | It costs five ninety-nine
en  | It costs five dollars and ninety-nine cents. | It costs $5.99.
en  | $1.5 million | one point five million dollars
en  | $5.05 | five dollars and five cents
en  | $0.50 | fifty cents
en  | £20 | twenty pounds
en  | US$20 | twenty dollars
en  | 20 EUR | twenty euros
en  | 1/2 | one half
en  | 3/4 of it | three quarters of it
en  | 2½ cups | two and a half cups
en  | ⅔ | two thirds
en  | 5/8 | five eighths
en  | No. 5 | number five
en  | #5 | number five
en  | the 1990s | the nineteen nineties
en  | the '90s | the nineties
en  | the 2010s | the twenty tens
en  | On May 3 we left. | On May third we left
en  | On May 3rd we left. | On the third of May we left
en  | On 3 May we left. | On the third of May we left
en  | May 3, 1999 | May third nineteen ninety nine
en  | 2026-11-29 | November twenty-ninth twenty twenty-six
en  | 3:30 | half past three
en  | 3:05 | three oh five
en  | at 12:00 | at twelve o'clock
en  | 3 p.m. | three pm
en  | 20 °C | twenty degrees Celsius
en  | 20°C today | twenty degrees today
en  | -5 degrees | minus five degrees
en  | 50% | fifty per cent
en  | 3 + 4 = 7 | three plus four equals seven
en  | salt & pepper | salt and pepper
en  | St. James | Saint James
en  | Main St. | Main Street
en  | e.g. apples | for example apples
en  | Dr. Smith vs. Mr. Jones, etc. | doctor smith versus mister jones et cetera
en  | the U.S.A. | the USA
en  | 10 km | ten kilometres
en  | 60 mph | sixty miles per hour
en  | 5 lbs | five pounds
en  | the 21st | the twenty-first
en  | In 1905 | in nineteen oh five
en  | In 2005 | in two thousand five
en  | In 1900 | in nineteen hundred
en  | 1200 men | twelve hundred men
en  | 100 men | a hundred men
en  | 3.14 | three point one four
en  | Agent 007 | Agent double oh seven
en  | Agent 007 | Agent zero zero seven
en  | Dial 555-0199 | dial five five five oh one nine nine
en  | p. 12 | page twelve
en  | OK | okay
en  | 1,234 | one thousand two hundred thirty four
de  | Am 3. Mai | Am dritten Mai
de  | Der 3. Mai | Der dritte Mai
de  | 3.5.2020 | dritter fünfter zweitausendzwanzig
de  | 5,99 € | fünf Euro neunundneunzig
de  | 5,99 € | fünf Euro und neunundneunzig Cent
de  | 12 % | zwölf Prozent
de  | Kapitel IV | Kapitel vier
de  | Ludwig XIV. | Ludwig der Vierzehnte
de  | 1/2 | ein halb
de  | 3/4 | drei Viertel
de  | 2/5 | zwei Fünftel
de  | die 1990er Jahre | die neunzehnhundertneunziger Jahre
de  | z. B. heute | zum Beispiel heute
de  | usw. | und so weiter
de  | Nr. 5 | Nummer fünf
de  | 15:30 Uhr | fünfzehn Uhr dreißig
de  | 3:30 | halb vier
de  | 20 °C | zwanzig Grad
de  | 3,14 | drei Komma eins vier
de  | 1999 | neunzehnhundertneunundneunzig
de  | 100 km/h | hundert Stundenkilometer
de  | 1 Frau | eine Frau
de  | 5 Mio. € | fünf Millionen Euro
fr  | Louis XIV | Louis quatorze
fr  | François Ier | François premier
fr  | le XIXe siècle | le dix-neuvième siècle
fr  | le 1er mai | le premier mai
fr  | la 2e fois | la deuxième fois
fr  | 5,99 € | cinq euros quatre-vingt-dix-neuf
fr  | 50 % | cinquante pour cent
fr  | 1/2 | un demi
fr  | 2/3 | deux tiers
fr  | n° 5 | numéro cinq
fr  | M. Dupont | monsieur Dupont
fr  | Mme Dupont | madame Dupont
fr  | 15h30 | quinze heures trente
fr  | 15h30 | quinze heures et demie
fr  | les années 90 | les années quatre-vingt-dix
fr  | 20 °C | vingt degrés
fr  | 3,14 | trois virgule quatorze
fr  | chapitre IV | chapitre quatre
es  | Felipe II | Felipe segundo
es  | Luis XIV | Luis catorce
es  | el siglo XIX | el siglo diecinueve
es  | capítulo IV | capítulo cuatro
es  | 5,99 € | cinco euros con noventa y nueve
es  | 50 % | cincuenta por ciento
es  | 1/2 | un medio
es  | 3/4 | tres cuartos
es  | n.º 5 | número cinco
es  | Sr. López | señor López
es  | EE. UU. | estados unidos
es  | el 1.º | el primero
es  | 3,5 | tres coma cinco
es  | los años 90 | los años noventa
es  | a las 3:30 | a las tres y media
zh  | 第3章 | 第三章
zh  | 第三章 | 第3章
zh  | 2026年 | 二零二六年
zh  | 3月5日 | 三月五号
zh  | 50% | 百分之五十
zh  | 1/2 | 二分之一
zh  | 20°C | 二十摄氏度
zh  | 90年代 | 九十年代
zh  | 1050 | 一千零五十
zh  | 3.5元 | 三点五元
zh  | 3:30 | 三点半
zh  | 2000人 | 两千人
zh  | 10公里 | 十公里
zh  | -5度 | 零下五度
ja  | 第3章 | 第三章
ja  | 500円 | 五百円
ja  | ¥500 | 五百円
ja  | 50% | 五十パーセント
ja  | 3月5日 | 三月五日
ja  | 1/2 | 二分の一
ja  | 3:30 | 三時半
ja  | ３．５ | 三点五
"""
WRONG = """
en  | It costs $5.99. | It costs six dollars.
en  | It costs $5.99. | It costs five dollars and ninety-eight cents.
en  | It costs $5.99. | It costs five pounds ninety-nine
en  | Chapter IV. | Chapter five
en  | Chapter IV. | Chapter six
en  | Henry VIII | Henry the seventh
en  | 1/2 | one third
en  | 3/4 | four thirds
en  | the 1990s | the nineteen eighties
en  | May 3 | May fourth
en  | May 3 | the third of June
en  | 3:30 | half past four
en  | No. 5 | number nine
en  | 20 °C | twenty degrees Fahrenheit
en  | -5 degrees | five hundred degrees
en  | Dr. Smith | mister Smith
en  | 10 km | ten miles
en  | I came, I saw. | one came one saw
en  | the mix is ready | the one thousand nine is ready
en  | Agent 007 | Agent seventy
de  | Am 3. Mai | Am vierten Mai
de  | 5,99 € | fünf Euro neunundachtzig
de  | 12 % | zwanzig Prozent
de  | 3/4 | drei Fünftel
fr  | Louis XIV | Louis quinze
fr  | 15h30 | seize heures trente
es  | Felipe II | Felipe tercero
zh  | 第3章 | 第四章
zh  | 50% | 百分之六十
ja  | 500円 | 五千円
"""


def rows(table: str):
    return [pytest.param(*(cell.strip() for cell in row.split("|")), id=row) for row in table.strip().splitlines()]


@pytest.mark.parametrize("language, written, heard", rows(RIGHT))
def test_a_right_reading_is_no_error(language, written, heard):
    found = compare_words(written, heard, language)
    assert (found.wer, found.cer) == (0, 0), found.pairs


@pytest.mark.parametrize("language, written, heard", rows(WRONG))
def test_a_wrong_reading_is_one(language, written, heard):
    assert compare_words(written, heard, language).cer > 0


@pytest.mark.parametrize("written", [row.values[1] for row in rows(RIGHT)])
def test_what_is_heard_as_it_is_written_is_right(written):
    for language in ("en", "de", "fr", "es", "zh", "ja", "it", "ru", "sw"):
        assert compare_words(written, written, language).wer == 0, language


@pytest.mark.parametrize(
    "piece",
    [
        "1 ",
        "$5 ",
        "1/2 ",
        "IV ",
        "A IV ",
        "3:30 ",
        "e.g. ",
        "May 3 ",
        "3. Mai ",
        "1.",
        "1,000",
        "&",
        "5 km ",
        "½",
        "-",
        "'",
    ],
)
def test_long_lines_take_their_time_and_no_more(piece):
    start = time.process_time()
    compare_words(piece * 60, "one two three " * 30, "en")
    assert time.process_time() - start < 6
