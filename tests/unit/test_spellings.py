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
fr  | Ce livre et les autres. | ce livre et les autres
fr  | Les cinq, De Gaulle, Mes amis | les cinq de gaulle mes amis
en  | He sat. | he sat
en  | There are no 5 men. | there are no five men
en  | the Ice and the Mix | the ice and the mix
de  | Die Vier und die Mix | die vier und die mix
ja  | 第3章 | 第三章
ja  | 500円 | 五百円
ja  | ¥500 | 五百円
ja  | 50% | 五十パーセント
ja  | 3月5日 | 三月五日
ja  | 1/2 | 二分の一
ja  | 3:30 | 三時半
ja  | ３．５ | 三点五
en  | It was 10:45 a.m. | it was ten forty-five am
en  | $100 | a hundred dollars
en  | $2.5bn | two point five billion dollars
en  | 5 € | five euros
en  | €5.50 | five euros fifty
en  | ¥1000 | one thousand yen
en  | 50¢ | fifty cents
en  | Part II | Part two
en  | King George III was mad. | King George the third was mad
en  | Vol. 2 | volume two
en  | Chapter XXI | chapter twenty one
en  | Chapter I | chapter one
en  | Super Bowl LVIII | super bowl fifty eight
en  | 1/3 | a third
en  | 1 1/2 cups | one and a half cups
en  | ¼ mile | a quarter mile
en  | 4 × 5 = 20 | four times five is twenty
en  | A & B | a and b
en  | 100 °F | a hundred degrees Fahrenheit
en  | 90° | ninety degrees
en  | the 1st, 2nd and 3rd | the first second and third
en  | Mt. Everest | Mount Everest
en  | approx. 5 | approximately five
en  | the 80s | the eighties
en  | the 2000s | the two thousands
en  | the 1800s | the eighteen hundreds
en  | 11/29/2026 | november twenty ninth twenty twenty six
en  | Dec. 25 | December twenty-fifth
en  | December 25, 2020 | December the twenty fifth twenty twenty
en  | 25 December 2020 | the twenty-fifth of December twenty twenty
en  | 10-20 people | ten to twenty people
en  | 1939–1945 | nineteen thirty-nine to nineteen forty-five
en  | 24/7 | twenty four seven
en  | i.e. this | that is this
en  | 10% | ten percent
en  | 0.5 | point five
en  | 0.5 | zero point five
en  | Route 66 | route sixty-six
en  | 1st Ave. | first avenue
en  | Ms. Lee | miss lee
en  | x² | x squared
en  | 5 ft | five feet
en  | 3 km/h | three kilometers per hour
en  | 2 hrs | two hours
en  | at 9am | at nine am
en  | 9 PM | nine pm
en  | NASA | nasa
en  | 4x4 | four by four
en  | No. 10 | number ten
en  | 1 in 3 | one in three
en  | 100,000 | one hundred thousand
en  | 1.5 million | one point five million
en  | two hundred and five | 205
en  | $1 | one dollar
en  | $1 | a dollar
en  | £1.20 | one pound twenty
en  | 3 p.m. | 3 PM
de  | Heinrich VIII. | Heinrich der Achte
de  | von Ludwig XIV. | von Ludwig dem Vierzehnten
de  | 2. Weltkrieg | zweiter Weltkrieg
de  | am 24.12. | am vierundzwanzigsten zwölften
de  | 24. Dezember 2020 | vierundzwanzigster Dezember zweitausendzwanzig
de  | 1,5 Mio. | eins Komma fünf Millionen
de  | 20 % | zwanzig Prozent
de  | d. h. so | das heißt so
de  | bzw. | beziehungsweise
de  | 1/4 | ein Viertel
de  | 1½ Stunden | anderthalb Stunden
de  | 1½ Stunden | eineinhalb Stunden
de  | 10.000 | zehntausend
de  | 14.30 Uhr | vierzehn Uhr dreißig
de  | um 8 Uhr | um acht Uhr
de  | -5 °C | minus fünf Grad
de  | S. 12 | Seite zwölf
de  | 20 € | zwanzig Euro
de  | 0,50 € | fünfzig Cent
de  | Müller & Söhne | Müller und Söhne
de  | die 90er | die Neunziger
de  | § 5 | Paragraph fünf
de  | 3 + 4 = 7 | drei plus vier ist sieben
de  | im 19. Jh. | im neunzehnten Jahrhundert
fr  | Napoléon III | Napoléon trois
fr  | 1 000 € | mille euros
fr  | 1,5 million | un virgule cinq million
fr  | 3/4 | trois quarts
fr  | 20 % | vingt pour cent
fr  | à 8h | à huit heures
fr  | à 12h30 | à midi et demi
fr  | Mlle Dupont | mademoiselle Dupont
fr  | p. ex. ceci | par exemple ceci
fr  | le 14 juillet 1789 | le quatorze juillet mille sept cent quatre-vingt-neuf
fr  | 2e étage | deuxième étage
fr  | -5 °C | moins cinq degrés
fr  | 1re fois | première fois
fr  | 3 + 4 | trois plus quatre
es  | Alfonso X | Alfonso décimo
es  | Carlos V | Carlos quinto
es  | Juan XXIII | Juan veintitrés
es  | 1/2 litro | medio litro
es  | 2/3 | dos tercios
es  | el 3 de mayo | el tres de mayo
es  | el 1 de mayo | el primero de mayo
es  | 20 °C | veinte grados
es  | 100 € | cien euros
es  | Sra. Pérez | señora Pérez
es  | 1.250 | mil doscientos cincuenta
es  | p. ej. | por ejemplo
es  | 3.er | tercer
es  | 21 años | veintiún años
es  | 15:30 | quince treinta
zh  | ¥5.99 | 五块九毛九
zh  | 5.99元 | 五元九角九分
zh  | 25% | 百分之二十五
zh  | 下午3点 | 下午三点
zh  | 2026年11月29日 | 二零二六年十一月二十九日
zh  | 20世纪90年代 | 二十世纪九十年代
zh  | 1949年 | 一九四九年
zh  | 100元 | 一百元
zh  | 3/4 | 四分之三
zh  | 第12章 | 第十二章
zh  | 0.5 | 零点五
zh  | 12345 | 一万两千三百四十五
zh  | 2个 | 两个
zh  | +5 | 加五
ja  | 2026年 | 二千二十六年
ja  | 20°C | 二十度
ja  | 1990年代 | 千九百九十年代
ja  | 第1話 | 第一話
ja  | 3人 | 三人
ja  | 1,000円 | 千円
ja  | 10時30分 | 十時三十分
ja  | 25% | 二十五パーセント
ja  | 3/4 | 四分の三
ja  | 5km | 五キロ
ja  | $5 | 五ドル
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
en  | No. 5 | no five
en  | -5 degrees | five degrees
en  | salt & pepper | salt pepper
en  | 3 + 4 = 7 | three four seven
en  | 5 m | five m
en  | Agent 007 | Agent seven
en  | 50% | fifty
en  | £20 | twenty
de  | z. B. heute | z b heute
fr  | le 1er mai | le un mai
en  | 10-20 people | ten people
en  | 24/7 | twenty four eight
en  | Dec. 25 | December twenty-fourth
en  | 11/29/2026 | October twenty-ninth twenty twenty-six
en  | $100 | a thousand dollars
en  | 1.5 million | five million
en  | 10:45 | ten fifty-four
en  | x² | x cubed
de  | 1½ Stunden | zweieinhalb Stunden
de  | § 5 | Paragraph sechs
de  | z. B. heute | das heißt heute
fr  | Napoléon III | Napoléon deux
fr  | 2/3 | trois quarts
es  | 15:30 | dieciséis treinta
zh  | ¥5.99 | 五块八毛九
ja  | 1,000円 | 二千円
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


def test_a_word_at_the_end_is_no_short_form():
    """ "sun." ends a sentence; "Sun." may be the day."""
    assert compare_words("Point it away from the sun.", "point it away from the sunday", "en").wer > 0
    assert compare_words("We sat.", "We sat.", "en").pairs[-1] == ("sat", "sat")
    assert compare_words("Closed on Sun. and Mon.", "closed on sunday and monday", "en").wer == 0
