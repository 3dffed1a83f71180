"""A text as spans with their right readings: "Chapter IV" is "chapter four", "$5.99" five dollars ninety-nine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import product

from ..text.languages import DECIMAL_POINT
from . import spoken_forms as forms
from .number_readings import in_words, numbers, ordinal_readings, unsigned, value_of, whole_readings

Span = tuple[str, ...]  # all right readings of one stretch of a text; plain words have one

_ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
           "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}  # fmt: skip
_KEPT = frozenset("ºª№²³°℃℉…")


def spans_of(text: str, code: str) -> list[Span]:
    """The spans of a text in one language, in order.

    Raises:
        MissingExtraError: there are figures, and num2words is not installed (extra `asr`).
    """
    text = _plain(text)
    spans: list[Span] = []
    place = 0
    for match in _scanner(code).finditer(text):
        found = _READERS[match.lastgroup or ""](match, code)
        if not found:
            continue
        spans += [(text[place : match.start()],), tuple(dict.fromkeys(found))]
        place = match.end()
    return [*spans, (text[place:],)]


def _plain(text: str) -> str:
    """Full-width and other forms of letters and digits as the plain ones; signs that mean something stay."""
    text = text.replace("’", "'").replace("‘", "'").replace("℃", "°C").replace("℉", "°F").replace("⁄", "/")
    text = re.sub(rf"(\d)\s?([{''.join(_VULGAR)}])", lambda match: f"{match[1]} {_VULGAR[match[2]]}", text)
    text = "".join(_VULGAR.get(one) or (one if one in _KEPT else unicodedata.normalize("NFKC", one)) for one in text)
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=32)
def _scanner(code: str) -> re.Pattern:
    """One pattern of all that is read otherwise than written, the most special first."""
    group, point = (r",", r"\.") if code in DECIMAL_POINT else (r"[.\u202f\u00a0 ]", ",")
    group = rf"[{group.strip('[]')}\u202f]"
    number = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+(?!\d)(?:{point}\d+)?|\d+(?:{point}\d+)?)"
    money = "|".join(re.escape(sign) for sign in (*forms.CODES, "$", "€", "£", "¥", "₹", "CHF"))
    yuan = "|元" if code == "zh" else ""
    spaced = code not in ("zh", "ja")
    front = r"(?<![\w.,])" if spaced else r"(?<![a-zA-Z\d.,])"
    tail = r"(?![^\W\d_]|\.\w)" if spaced else "(?![a-zA-Z])"
    many = _either(forms.MANY.get(code, {}), tail=tail)
    units = _either(forms.UNITS.get(code, {}), tail=tail)
    months = "|".join(forms.MONTHS.get(code, ["(?!)"]))
    if code == "en":
        months += "|" + "|".join(f"{name[:3]}t?(?=[. ])" for name in forms.MONTHS[code])
    short = "|".join(
        re.escape(word).replace(r"\ ", r"\s?")
        for word in sorted(forms.ABBREVIATIONS.get(code, {}), key=len, reverse=True)
    )
    day = r"\d{1,2}(?:st|nd|rd|th)?"
    parts = {
        "iso": r"(?<!\d)(?P<iso_y>\d{4})-(?P<iso_m>\d{1,2})-(?P<iso_d>\d{1,2})(?!\d)",
        "german_date": r"(?<![\d.])(?P<gd>\d{1,2})\.\s?(?P<gm>\d{1,2})\.(?:\s?(?P<gy>\d{4}))?(?!\d)"
        if code == "de"
        else "(?!)",
        "slashes": r"(?<![\d/])(?P<sl_a>\d{1,2})/(?P<sl_b>\d{1,2})/(?P<sl_y>\d{4}|\d{2})(?![\d/])",
        "first": rf"(?<!\w)1(?=\s+de\s+(?:{months})\b)" if code == "es" else "(?!)",
        "month_day": rf"\b(?P<md_m>{months})\.?\s+(?P<md_d>{day})(?!\w|[:,.]\d)" if code == "en" else "(?!)",
        "day_month": rf"(?<![\w.,:])(?P<dm_d>{day})\s+(?P<dm_m>{months})\b" if code == "en" else "(?!)",
        "clock": r"(?<![\d:.,])(?P<ch>\d{1,2})(?:[:：]|(?<=\d)h(?=\d\d)|\.(?=\d\d\s?Uhr))(?P<cm>\d{2})(?![\d:])"
        r"(?:\s?Uhr\b)?",
        "money_before": rf"{front}(?P<mb_sign>{money})\s?(?P<mb_n>{number})(?:\s?(?P<mb_many>{many}))?",
        "money_behind": rf"{front}(?P<mh_n>{number})(?:\s?(?P<mh_many>{many}))?\s?(?P<mh_sign>{money}{yuan})"
        + r"(?!\w)" * spaced,
        "percent": rf"{front}(?P<pc_n>{number})\s?%",
        "degrees": rf"{front}(?P<dg_n>{number})\s?(?P<dg_sign>°\s?[CF](?![^\W\d_])|°)",
        "fraction": r"(?<![\w/.,])(?:(?P<fr_w>\d{1,3})\s)?(?P<fr_n>\d{1,2})/(?P<fr_d>\d{1,3})(?![\d/])",
        "decade": rf"{front}'?(?P<dc>(?:\d\d)?\d0)'?(?:s\b|er[ns]?\b)",
        # "Ce" and "Les" are words: of single letters only I, V and X are numbers
        "french": r"\b(?P<fo>\d{1,3}|I(?=er|[eè]?re)|[VX](?=i?[eè]me|e\b)|(?=\w\w)[IVXLCDM]{2,})"
        r"(?:ers?|[eè]res?|i?[eè]mes?|es?|nde?s?|res?)\b"
        if code == "fr"
        else "(?!)",
        "spanish": rf"{front}(?P<so>\d{{1,3}})(?:\.?[ºª]|\.?er|ero|era)(?!\w)" if code == "es" else "(?!)",
        "english": rf"{front}(?P<eo>\d+)(?:st|nd|rd|th)\b" if code == "en" else "(?!)",
        "german": rf"{front}(?P<go>\d{{1,3}})\.(?=\s+[^\W\d_])" if code == "de" else "(?!)",
        "roman": rf"\b(?P<rw>[^\W\d_][\w'’-]*)\s+(?P<rn>{_ROMAN})(?P<rd>\.?)(?![\w'’])",
        "numbered": r"(?<!\w)(?:№|(?:[Nn]o|[Nn]r|[Nn]úm)\.?|[Nn]\.?[º°])\s?(?=\d)",
        "unit": rf"{front}(?P<un_n>{number})\s?(?P<un>{units})",
        "many": rf"{front}(?P<mn_n>{number})\s?(?P<mn>{many})",
        "short": rf"(?<![\w.])(?P<sh>(?i:{short}))(?P<sh_point>\.?)(?!\w|\.\w)" if short else "(?!)",
        "dotted": r"\b(?:[^\W\d_]\.){2,}(?:[^\W\d_](?!\w))?",
        "range": r"(?<=\d)\s?[-–—~]\s?(?=\d)",
        "times": r"(?<=\d)\s?[x×]\s?(?=\d)",
        "power": r"(?<=[a-zA-Z\d])[²³]",
        "minus": r"(?<![\w.,)\]]\s)(?<![\w.,)\]])[-−](?=\d)|(?<=\w\s)[-−](?=\d)",
        "number": rf"(?P<nm>{number})",
        "sign": r"[&+=@#×÷§±~<>]",
    }
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in parts.items()))


def _either(words: Iterable[str], *, tail: str) -> str:
    found = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return rf"(?:(?:{found})\.?{tail})" if found else "(?!)"


# --- readers: the readings of each kind of span ----------------------------------------------------------------------


def _money(sign: str, figure: str, many: str | None, code: str) -> list[str]:
    table = forms.MONEY.get(code, {})
    if sign not in table and forms.CODES.get(sign) not in table:
        return [f"{sign} {said}" for said in numbers(figure, code)]
    one, several, cent, cents = table.get(sign) or table[forms.CODES[sign]]
    if many:
        words = forms.MANY[code][many.rstrip(".")]
        return [f"{said} {word} {name}" for said in numbers(figure, code) for word in words for name in (several, one)]
    whole, point, fraction = unsigned(figure, code).partition(".")
    names = (one, several)
    one_of = [f"a {one}", f"an {one}"] if code == "en" and unsigned(figure, code) == "1" else []
    heads = [
        said
        for said in (
            [*numbers(whole, code)] if len(whole) < 5 else [in_words(whole, code), *whole_readings(whole, code)]
        )
    ]
    found = one_of + [f"{said} {name}" for said in numbers(figure, code) for name in names]
    if not point or len(fraction) > 2:
        return found
    small = str(int(fraction.ljust(2, "0")))
    if small == "0":
        return found + [f"{head} {name}" for head in heads for name in names]
    if code == "zh":
        tens, ones = fraction.ljust(2, "0")
        jiao = [in_words(tens, code) + "角", in_words(tens, code) + "毛"] if tens != "0" else ["零", ""]
        fen = [in_words(ones, code) + "分", in_words(ones, code)] if ones != "0" else [""]
        ends = [j + f for j in jiao for f in fen] + [in_words(small, code) + each for each in (cent, cents)]
        return found + [head + name + end for head in heads for name in names for end in ends]
    cut = numbers(small, code)[:3] + (
        [f"{zero} {in_words(small, code)}" for zero in ("oh", "zero")] if code == "en" and len(small) == 1 else []
    )
    link = forms.AND.get(code, "")
    for head, name, tail in product(heads, names, cut):
        found += [f"{head} {name} {tail}", f"{head} {name} {tail} {cent}", f"{head} {name} {tail} {cents}"]
        found += [f"{head} {name} {link} {tail} {each}" for each in (cent, cents)]
        found += {
            "en": [f"{head} {tail}"],
            "es": [f"{head} {name} con {tail}", f"{head} con {tail} {name}", f"{head} {name} con {tail} {cents}"],
        }.get(code, [])
    if whole == "0":
        found += [f"{tail} {each}" for tail in cut for each in (cent, cents)]
    return found


def _percent(match: re.Match, code: str) -> list[str]:
    said = numbers(match["pc_n"], code)
    if code in ("zh", "yue"):
        return [f"百分之{one}" for one in said]
    return [f"{one} {word}" for one in said for word in forms.PERCENT.get(code, ["%"])]


def _degrees(match: re.Match, code: str) -> list[str]:
    shapes = forms.DEGREES.get(code, {}).get(re.sub(r"\s", "", match["dg_sign"]), [])
    return [shape.format(one) for one in numbers(match["dg_n"], code) for shape in shapes]


def _fraction(match: re.Match, code: str) -> list[str]:
    whole, top, bottom = match["fr_w"], match["fr_n"], match["fr_d"]
    if int(bottom) == 0 or code not in forms.A_HALF:
        return []
    parts = _part_of(top, bottom, code)
    if not whole:
        return parts
    link = forms.AND.get(code, "")
    heads = numbers(whole, code)
    if code in ("zh", "ja"):
        return [head + "又" + part for head in heads for part in parts] + [
            head + "半" for head in heads if (top, bottom) == ("1", "2")
        ]
    half = (top, bottom) == ("1", "2")
    joined = [f"{head} {link} {part}" for head in heads for part in parts] + [
        f"{head} {part}" for head in heads for part in parts
    ]
    if code == "de":
        joined += [f"{head}{part}" for head in heads for part in parts] + ["anderthalb"] * (half and whole == "1")
    return joined


def _part_of(top: str, bottom: str, code: str) -> list[str]:
    tops, bottoms = numbers(top, code), numbers(bottom, code)
    found = list(forms.A_HALF[code]) if (top, bottom) == ("1", "2") else []
    if code in ("zh", "ja"):
        return found + [f"{low}{'分之' if code == 'zh' else '分の'}{high}" for high in tops[:2] for low in bottoms[:2]]
    names = forms.DENOMINATORS[code].get(int(bottom))
    if names:
        shares = names[top != "1"].split("|")
    elif code == "de":
        shares = [
            in_words(bottom, code) + ("tel" if int(bottom) < 20 else "stel"),
            {"7": "siebtel"}.get(bottom, "siebtel"),
        ]
    elif code == "es":
        shares = [in_words(bottom, code) + "avo" + "s" * (top != "1")]
    else:
        shares = [in_words(bottom, code, "ordinal") + "s" * (top != "1")]
    ones = {"en": ["a", "one"], "de": ["ein", "eine", "einem"], "fr": ["un", "une"], "es": ["un", "una"]}[code]
    found += [f"{high} {share}" for high in (ones if top == "1" else tops) for share in shares]
    if int(top) > int(bottom):  # "24/7"
        found += [f"{high} {low}" for high in tops for low in bottoms]
    return found + [f"{high} {over} {low}" for high in tops for over in forms.OVER[code] for low in bottoms]


def _clock(match: re.Match, code: str) -> list[str]:
    hour, minute = str(int(match["ch"])), match["cm"]
    if int(hour) > 24 or int(minute) > 59:
        return []
    hours, minutes = numbers(hour, code)[:6], numbers(str(int(minute)), code)[:6]
    then = str(int(hour) % 12 + 1)
    exact = minute == "00"
    if code == "en":
        found = [
            f"{h} {m}"
            for h in hours
            for m in ([*minutes] if minute[0] != "0" else [f"{z} {m}" for m in minutes for z in ("oh", "o", "zero")])
        ]
        found += (
            [f"{h} {tail}".strip() for h in hours for tail in ("oclock", "o clock", "", "hundred")] if exact else []
        )
        found += {
            "30": [f"half past {h}" for h in hours],
            "15": [f"quarter past {h}" for h in hours],
            "45": [f"quarter to {in_words(then, code)}"],
        }.get(minute, [])
        return found + (["noon", "midnight"] if hour == "12" and exact else [])
    if code == "de":
        ends = [f"{h} Uhr" for h in [*hours, "ein"]] if hour == "1" else [f"{h} Uhr" for h in hours]
        found = ends if exact else [f"{h} {m}" for h in ends for m in minutes]
        return found + [f"halb {in_words(then, code)}"] * (minute == "30")
    if code == "fr":
        ends = [f"{h} {word}" for h in [*hours, "une"] for word in ("heures", "heure")]
        ends += {"12": ["midi"], "0": ["minuit"]}.get(hour, [])
        half = {"30": ["et demie", "et demi"], "15": ["et quart"]}.get(minute, [])
        return ends if exact else [f"{h} {m}" for h in ends for m in [*minutes, *half]]
    if code == "es":
        half = {"30": ["y media"], "15": ["y cuarto"]}.get(minute, [])
        hours = [*hours, "una"] if hour == "1" else hours
        return (
            [f"{h} {tail}" for h in hours for tail in ("en punto", "")]
            if exact
            else [f"{h} {m}" for h in hours for m in [*minutes, *(f"y {m}" for m in minutes), *half]]
        )
    if code in ("zh", "ja"):
        mark, end = ("点", "分") if code == "zh" else ("時", "分")
        found = (
            [f"{h}{mark}{'整' * full}" for h in hours for full in (0, 1)]
            if exact
            else [
                f"{h}{mark}{zero}{m}{e}"
                for h in hours
                for m in minutes
                for e in (end, "")
                for zero in (("", "零") if minute[0] == "0" else ("",))
            ]
        )
        return found + [f"{h}{mark}半" for h in hours if minute == "30"]
    return [f"{h} {m}" for h in hours for m in minutes]


def _date(year: str | None, month: str, day: str, code: str) -> list[str]:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return []
    month, day = str(int(month)), str(int(day))
    years = numbers(year, code) if year else [""]
    if code in ("zh", "ja"):
        return [
            f"{y}{'年' if y else ''}{in_words(month, code)}月{d}{end}"
            for y in years
            for d in numbers(day, code)[:1]
            for end in "日号"
        ]
    if code not in forms.MONTHS:
        return []
    name, days = forms.MONTHS[code][int(month) - 1], [*ordinal_readings(day, code), *numbers(day, code)]
    if code == "en":
        return [
            f"{head} {y}"
            for y in years
            for d in days
            for head in (f"{name} {d}", f"{name} the {d}", f"the {d} of {name}", f"{d} of {name}", f"{d} {name}")
        ]
    link = {"es": "de"}.get(code, "")
    months = [name, *(ordinal_readings(month, code) if code == "de" else [])]
    ends = [f"{link} {y}" for y in years] + [f"del {y}" for y in years if link]
    return [f"{d} {link} {m} {end}" for d in days for m in months for end in ends]


def _month_day(match: re.Match, code: str) -> list[str]:
    month, day = (match["md_m"], match["md_d"]) if match["md_m"] else (match["dm_m"], match["dm_d"])
    number = next(n for n, name in enumerate(forms.MONTHS[code], start=1) if name[:3] == month[:3])
    return _date(None, str(number), re.sub(r"\D", "", day), code)


def _decade(match: re.Match, code: str) -> list[str]:
    figure = match["dc"]
    if code == "en":
        heads = [*numbers(figure, code)] if len(figure) > 2 else [in_words(figure, code)]
        return [re.sub(r"y$", "ies", head) if head.endswith("y") else head + "s" for head in heads]
    if code == "de":
        return [head + "er" + end for head in numbers(figure, code) for end in ("", "n", "s")]
    return [head for head in numbers(figure, code)]


def _roman(match: re.Match, code: str) -> list[str]:
    """Of a part that is counted, or behind a name."""
    word, roman = match["rw"], match["rn"]
    part = word.casefold() in forms.PARTS
    if not roman or not (part or word[0].isupper()) or (len(roman) == 1 and roman not in "IVX"):
        return []
    if not part and roman == "I" and not match["rd"] and re.match(r"\s+[a-z]", match.string[match.end() :]):
        return []  # "Anna I think"
    value = value_of(roman)
    ordinals = ordinal_readings(value, code)
    articles = {"en": ["the", ""], "de": ["der", "die", "des", "dem", "den", ""], "fr": [""], "es": [""]}.get(
        code, [""]
    )
    found = [*numbers(value, code), *(f"{article} {one}" for article in articles for one in ordinals)]
    return [f"{word} {one}" for one in [*found, roman]]


def _short(match: re.Match, code: str) -> list[str]:
    said = re.sub(r"\s", "", match["sh"]).casefold()
    table = {re.sub(r"\s", "", word): words for word, words in forms.ABBREVIATIONS[code].items()}
    if not match["sh_point"] and said not in forms.WITHOUT_POINT and "." not in said:
        return []
    if said in forms.WORDS_TOO and match["sh"][0].islower():
        return []  # "away from the sun."
    alone = said in forms.WITHOUT_POINT or re.search(r"[. ]", match["sh"])
    return table[said] if alone else [*table[said], match[0].replace(".", "")]  # "sat." may be the word


def _sign(match: re.Match, code: str) -> list[str]:
    """What is always said, as &; what a recognizer or a reader may pass over, as the # of a tag, also by silence."""
    return [*forms.SIGNS.get(code, {}).get(match[0], [""]), *([""] if match[0] in "#@~<>" else [])]


_READERS: dict[str, Callable[[re.Match, str], list[str]]] = {
    "iso": lambda match, code: _date(match["iso_y"], match["iso_m"], match["iso_d"], code),
    "german_date": lambda match, code: _date(match["gy"], match["gm"], match["gd"], code),
    "month_day": _month_day,
    "day_month": _month_day,
    "slashes": lambda match, code: [
        *(_date(match["sl_y"], match["sl_a"], match["sl_b"], code) if code == "en" else []),
        *_date(match["sl_y"], match["sl_b"], match["sl_a"], code),
    ],
    "first": lambda match, code: ["primero", *numbers("1", code)],
    "range": lambda match, code: [*forms.RANGE.get(code, []), ""],
    "times": lambda match, code: [*forms.SIGNS.get(code, {}).get("×", []), "x"],
    "power": lambda match, code: [*forms.POWERS.get(code, {}).get(match[0], []), {"²": "2", "³": "3"}[match[0]]],
    "clock": _clock,
    "money_before": lambda match, code: _money(match["mb_sign"], match["mb_n"], match["mb_many"], code),
    "money_behind": lambda match, code: _money(match["mh_sign"], match["mh_n"], match["mh_many"], code),
    "percent": _percent,
    "degrees": _degrees,
    "fraction": _fraction,
    "decade": _decade,
    "french": lambda match, code: (
        [*ordinal_readings(match["fo"] if match["fo"].isdigit() else value_of(match["fo"]), code), match[0]]
    ),
    "spanish": lambda match, code: ordinal_readings(match["so"], code),
    "english": lambda match, code: ordinal_readings(match["eo"], code),
    "german": lambda match, code: [*ordinal_readings(match["go"], code), *numbers(match["go"], code)],
    "roman": _roman,
    "numbered": lambda match, code: [*forms.NUMBER_SIGN.get(code, ["no"]), *([] if "." in match[0] else ["no"])],
    "unit": lambda match, code: [
        f"{n} {unit}" for n in numbers(match["un_n"], code) for unit in forms.UNITS[code][match["un"].rstrip(".")]
    ],
    "many": lambda match, code: [
        f"{n} {many}" for n in numbers(match["mn_n"], code) for many in forms.MANY[code][match["mn"].rstrip(".")]
    ],
    "short": _short,
    "dotted": lambda match, code: [match[0].replace(".", ""), match[0].replace(".", " ")],
    "minus": lambda match, code: forms.MINUS.get(code, ["-"]),
    "number": lambda match, code: numbers(match["nm"], code),
    "sign": _sign,
}
