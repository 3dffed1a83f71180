"""Which lines of a book are headings, in the spellings of its languages. Pure functions of lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ..text.vocabulary import has_words

LONGEST = 80  # characters of a heading
LONGEST_TITLE = 60  # of one that stands below its number

_UNITS = "one two three four five six seven eight nine"
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth last final"
)
_WORDS = {  # numbers behind or before the word for a chapter
    "de": "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn zwanzig erste[sr]? zweite[sr]? dritte[sr]? vierte[sr]? fünfte[sr]? sechste[sr]? siebte[sr]? "
    "(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und(?:zwanzig|dreißig|vierzig|fünfzig) dreißig vierzig fünfzig "
    "siebente[sr]? achte[sr]? neunte[sr]? zehnte[sr]? elfte[sr]? zwölfte[sr]? letzte[sr]?",
    "fr": "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit "
    "dix-neuf "
    "(?:vingt|trente|quarante|cinquante)(?:[\\s-](?:et[\\s-]un|deux|trois|quatre|cinq|six|sept|huit|neuf))? "
    "premi[eè]re? deuxième second troisième quatrième cinquième sixième septième huitième neuvième "
    "dixième dernière? 1er 1re I[eè]?re? \\d+e",
    "es": "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veinti(?:uno|dós|trés|cuatro|cinco|séis|siete|ocho|nueve) treinta cuarenta "
    "primer[oa]? segund[oa] tercer[oa]? cuart[oa] quint[oa] sext[oa] séptim[oa] octav[oa] "
    "noven[oa] décim[oa] últim[oa] \\d+\\.?[ºª]",
    "it": "due tre quattro cinque sei sette otto nove dieci prim[oa] second[oa] terz[oa] quart[oa] quint[oa] sest[oa]",
    "ru": "первая второ?ая третья четв[её]ртая пятая шестая седьмая восьмая девятая десятая первый",
}


def _any(words: str) -> str:
    return "(?:" + "|".join(words.split()) + ")"


_ENGLISH = rf"(?:{_any(_TENS)}(?:[\s-]{_any(_UNITS)})?|{_any(_TEENS)}|{_any(_UNITS)})"
_ORDINAL = rf"(?:the\s+)?(?:{_any(_TENS)}[\s-])?{_any(_ORDINALS)}"
_OTHERS = "|".join(word for words in _WORDS.values() for word in words.split())
ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ROMAN_SMALL = ROMAN.translate(str.maketrans("IVXLCDM", "ivxlcdm"))
_NUMBER = rf"(?:\d{{1,4}}(?:st|nd|rd|th)?|(?-i:{ROMAN}|{_ROMAN_SMALL})|{_ENGLISH}|{_ORDINAL}|{_OTHERS})"
_PART = (
    "chapter|chap\\.?|part|book|volume|vol\\.?|act|scene|section|canto|stave|letter|episode|kapitel|teil|buch|band|abschnitt|akt|"
    "szene|brief|folge|chapitre|partie|livre|tome|acte|scène|lettre|épisode|cap[ií]tulo|parte|libro|tomo|acto|escena|carta|episodio|"
    "capitolo|atto|hoofdstuk|deel|boek|capítol|rozdział|kapitola|глава|часть|книга|том|розділ|κεφάλαιο|kapitel|luku"
)
_ALONE = (
    "prologue|epilogue|introduction|preface|foreword|afterword|interlude|postscript|acknowledge?ments|dedication|appendix|"
    "author[’']s note|prolog|epilog|vorwort|nachwort|einleitung|einführung|zwischenspiel|widmung|danksagung|anhang|"
    "préface|prologue|épilogue|avant-propos|postface|remerciements|dédicace|interlude|annexe|prólogo|epílogo|prefacio|"
    "introducción|interludio|agradecimientos|dedicatoria|apéndice|prologo|epilogo|prefazione|introduzione|proloog|"
    "epiloog|voorwoord|nawoord|inleiding|пролог|эпилог|предисловие|введение|послесловие"
)
_HAN = r"[\d０-９一二三四五六七八九十百千零〇两上中下]+"
_HAN_ALONE = (
    "楔子|序[言章幕]?|前言|引[子言]|尾[声聲]|[后後][记記]|番外.{0,12}|[终終]章|最[终終][章回話话]|自序|代序|附[录錄]|"
    "プロローグ|エピローグ|あとがき|まえがき|はじめに|おわりに|幕間|間章|解説|프롤로그|에필로그|머리말|맺음말"
)
_SEPARATOR = r"\s*[.:：–—-]+\s*"
_CJK = re.compile(
    rf"(?:第\s*{_HAN}\s*[章回卷部话話节節集篇幕夜折]|[卷其]\s*{_HAN}|제?\s*\d+\s*[장부화])(?P<rest>.*)|(?:{_HAN_ALONE})(?P<more>\s*[:：—–-].*)?"
)
_NAMED = re.compile(
    rf"(?P<head>(?:{_PART})\s+(?:the\s+)?(?:{_NUMBER})(?!\w)|(?:{_NUMBER})(?:\.|º|ª)?\s+(?:{_PART})(?!\w)"
    rf"|(?:appendix|anhang|annexe|part|book|teil|exhibit)\s+(?-i:[A-Z])(?!\w))(?P<rest>.*)",
    re.I,
)
_PLAIN = re.compile(rf"(?P<head>(?:{_ALONE}))(?!\w)(?P<rest>.*)", re.I)
_COUNTED = re.compile(rf"(?P<number>{ROMAN}|\d{{1,3}})\s*(?:[.):]|\s[–—-])\s+(?P<rest>\S.*)")
_BARE = re.compile(rf"(?P<number>{ROMAN}|\d{{1,3}})\.?")
_MARKED = re.compile(r"#{1,6}\s+(?P<title>\S.*?)\s*#*")
_HTML = re.compile(r"<h[1-6][^<>]*>(?P<title>.+?)</h[1-6]>", re.I)
_UNDERLINE = re.compile(r"={3,}|-{3,}|~{3,}")
_DECORATED = re.compile(
    r"(?P<mark>[*_=~•·◆◇■□–—-]{1,6})\s*(?P<title>[^\s*_=~•·◆◇■□–—-].*?)\s*(?P=mark)|[\[【](?P<boxed>[^\[\]【】]+)[\]】]"
)
_CONTENTS = re.compile(
    r"(?:table of )?contents|inhalt(?:sverzeichnis|sübersicht)?|table des matières|sommaire|[ií]ndice(?: general)?|"
    r"contenido|"
    r"tabla de contenidos?|inhoud(?:sopgave)?|indice|содержание|оглавление|目\s*[录錄次]|차례|목차",
    re.I,
)
_PAGE = re.compile(r"(?:\s*(?:\.\s?){3,}|\s*…+|\s*·{3,}|\s{2,}|\t)\s*(?:\d{1,4}|[ivxlc]+)?\s*$")


@dataclass
class Block:
    """A paragraph, a heading or a break of a book.

    Attributes:
        lines: without blanks at their ends.
        line: the first one, from 1; 0 where the book is not plain text.
        title: of a heading that begins a chapter.
        number: of a heading that is a number; below 0 with a title.
        waits: its title may stand in the block below.
        level: 1 to 6, of a heading of a document; 0: it is none.
        ids: places of the document that links lead to.
        marked: it begins with a mark that leads back, as notes do.
    """

    lines: list[str]
    line: int
    title: str = ""
    number: int = 0
    waits: bool = False
    level: int = 0
    ids: set[str] = field(default_factory=set)
    marked: bool = False

    @property
    def words(self) -> bool:
        return any(map(has_words, self.lines))


class Heading(NamedTuple):
    """A heading at the start of a paragraph.

    Attributes:
        title: all of it.
        lines: of the paragraph that it takes.
        number: of one that is a bare number (with a title perhaps), to be judged by its neighbours; else 0.
        waits: it is a number, and its title may stand in the next paragraph.
    """

    title: str
    lines: int
    number: int = 0
    waits: bool = False


def heading(lines: list[str]) -> Heading | None:
    """The heading that a paragraph begins with, or None."""
    first = lines[0]
    if len(lines) > 1 and len(first) <= LONGEST and _UNDERLINE.fullmatch(lines[1]) and any(map(str.isalnum, first)):
        return Heading(first, 2)
    if len(first) > LONGEST:
        return None
    if marked := _MARKED.fullmatch(first) or _HTML.fullmatch(first):
        return Heading(marked["title"], 1)
    bare = first
    if decorated := _DECORATED.fullmatch(first):
        bare = (decorated["title"] or decorated["boxed"]).strip()
    found = _by_name(bare) or _by_number(bare)
    if found is None or len(lines) == 1:
        return found
    return _with_title(found, lines)


def is_contents(line: str) -> bool:
    """Whether a line is the heading of a list of chapters."""
    return bool(_CONTENTS.fullmatch(line.strip(" .:：#*_=[]【】")))


def entry_of(line: str) -> str:
    """A line of a list of chapters, without the page's number and what leads to it."""
    return _PAGE.sub("", line.strip()).strip(" -–—•*")


def as_known(title: str) -> str:
    """A title by which two spellings of it are the same."""
    return " ".join(re.findall(r"[^\W_]+", title.casefold()))


def is_title(line: str) -> bool:
    """Whether a line may be the title of a chapter whose number stands above: short, with a capital, no sentence."""
    words = re.findall(r"[^\W\d_][\w'’-]*", line)
    if not words or len(line) > LONGEST_TITLE or line[0] in '-–—"“„«‘「『*[':
        return False
    if line[-1] in ",;:…" or words[0][0].islower():
        return False
    return line[-1] not in '.!?。！？"”»' or line.isupper() or 2 <= len(words) <= 8 and _in_capitals(words)


def _by_name(line: str) -> Heading | None:
    """ "Chapter 3: The storm", "Erstes Kapitel", "Prologue", "第三章 风": a word for a chapter, and at most a title."""
    if cjk := _CJK.fullmatch(line):
        rest = cjk["rest"] or ""
        sentence = rest[-1:] in ("。", "，", "、", "；") or bool(re.match(r"[的是有在了很都也让讓は]", rest))
        return None if sentence else Heading(line, 1, waits=not rest.strip() and bool(cjk["rest"] is not None))
    if named := _NAMED.fullmatch(line):
        rest = named["rest"]
        if not rest.strip(" .:–—-"):
            return Heading(line, 1, waits=True)
        return Heading(line, 1) if _titled(rest) else None
    if plain := _PLAIN.fullmatch(line):
        rest = plain["rest"]
        if not rest.strip(" .:"):
            return Heading(line, 1) if line[0].isupper() or not line[0].isalpha() else None
        if not line[0].isupper():
            return None
        of = re.match(r"\s+(?:by|to|von|zur?|de|du|par|del?|di|a la)\s+(?=\S)", rest)
        named = of and rest[-1] not in ".!?" and _in_capitals(re.findall(r"[^\W\d_][\w'’-]*", rest[of.end() :]))
        return Heading(line, 1) if named or re.match(r"\s*[:–—]|\s+-\s", rest) and _titled(rest) else None
    return None


def _titled(rest: str) -> bool:
    """Whether what follows "Chapter 3" is its title: behind a mark, or begun with a capital and no sentence."""
    separated = re.match(_SEPARATOR, rest)
    title = rest[separated.end() :] if separated else rest.strip()
    if not title or (not separated and not rest[0].isspace()):
        return False
    words = re.findall(r"[^\W\d_][\w'’-]*", title)
    if separated:
        return not (words and words[0][0].islower() and title[-1] in ".,;")
    return bool(words) and not words[0][0].islower() and (title[-1] not in ".,;!?" or _in_capitals(words))


def _by_number(line: str) -> Heading | None:
    if (bare := _BARE.fullmatch(line)) and value_of(bare["number"]):
        return Heading(line, 1, value_of(bare["number"]), waits=True)
    counted = _COUNTED.fullmatch(line)
    if (
        not counted
        or counted["number"] in tuple("LCDM")  # "C. Major"
        or not value_of(counted["number"])
        or not is_title(counted["rest"])
        or counted["rest"][-1] in ".!?。！？;,"
    ):
        return None
    words = re.findall(r"[^\W\d_][\w'’-]*", counted["rest"])
    if counted["number"].isdigit() and not _in_capitals(words):
        return None
    return Heading(line, 1, -value_of(counted["number"]))


def _with_title(found: Heading, lines: list[str]) -> Heading | None:
    """A heading whose paragraph goes on: with its title, with the text below, or as a sentence, so that it is none."""
    second = lines[1]
    if found.waits and is_title(second) and heading([second]) is None:
        words = re.findall(r"[^\W\d_][\w'’-]*", second)
        if len(lines) == 2 or _in_capitals(words) and not lines[2][0].islower():
            return Heading(f"{lines[0]} {second}", 2, -found.number)
    return None if second[0].islower() else found._replace(waits=False)


def _in_capitals(words: list[str]) -> bool:
    """Whether words are written as those of titles: each that is long, with a capital."""
    long = [word for word in words if len(word) > 3]
    return all(word[0].isupper() or not word[0].isalpha() or word[0].upper() == word[0] for word in long or words)


def value_of(number: str) -> int:
    """Of figures, or of a Roman number."""
    if number.isdigit():
        return int(number)
    values = dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True))
    digits = [values[letter] for letter in number.upper()]
    return sum(-one if one < max(digits[n + 1 :], default=0) else one for n, one in enumerate(digits))
