"""How a number may be read: cardinal, year, digit by digit, ordinal, in the languages of `text.numbers` and Chinese."""

from __future__ import annotations

import re

from ..errors import MissingExtraError
from ..text.languages import DECIMAL_POINT
from ..text.numbers import Kind, spell

_DIGITS_ZH = "零一二三四五六七八九"
_ENDINGS = ("", "n", "r", "s", "m")  # of German ordinals
_POINTS = {"es": ("punto", "con"), "de": ("Punkt",), "fr": ("point",), "en": ("dot",)}


def in_words(figure: str, code: str, kind: Kind = "cardinal") -> str:
    if code in ("zh", "yue"):
        return _chinese(figure)
    try:
        return spell(figure, code, kind).casefold().replace("-", " ")
    except ImportError as error:
        raise MissingExtraError("Comparing numbers", "asr", "num2words") from error


def numbers(figure: str, code: str) -> list[str]:
    """All readings of a number that is written in figures; the number itself where its language is not known."""
    if not figure.isascii():
        return [figure]
    plain = unsigned(figure, code)
    if len(plain) > 30:
        return [figure]
    whole, point, fraction = plain.partition(".")
    digits = [in_words(one, code) for one in whole + fraction]
    first = in_words(plain, code)
    if not first:
        return [figure]
    found = [first]
    if not point:
        found += whole_readings(whole, code)
    elif code not in ("zh", "yue", "ja", "ko", "th"):
        word = first.removeprefix(in_words(whole, code)).split()[0] if first.startswith(in_words(whole, code)) else ""
        heads = [in_words(whole, code), *whole_readings(whole, code)]
        tails = [" ".join(in_words(one, code) for one in fraction), in_words(fraction, code), *_oh(fraction, code)]
        found += [f"{head} {word} {tail}" for head in heads for tail in tails]
        found += [f"{head} {other} {tail}" for other in _POINTS.get(code, ()) for head in heads for tail in tails]
        if whole == "0" and code == "en":
            found += [f"{word} {tail}" for tail in tails]
    if len(digits) > 1:
        found.append(" ".join(digits))
        found += _oh(whole + fraction, code)
    if code in ("zh", "yue", "ja"):
        found += [one.replace("零", "〇") for one in found] + [one.replace("一", "幺") for one in found[-1:]]
        found += [re.sub("二(?=[千万亿百])|^二$", "两", one) for one in found]
    return found


def whole_readings(figure: str, code: str) -> list[str]:
    found = []
    if code == "en":
        plain = in_words(figure, code)
        without = re.sub(r"\band\b|,", " ", plain)
        found += [
            without,
            re.sub(r"\bone (?=hundred|thousand|million)", "a ", plain),
            re.sub(r"\bone (?=hundred|thousand|million)", "a ", without),
        ]
        if len(figure) == 4 and figure[0] != "0":
            head, tail = figure[:2], figure[2:]
            if tail == "00":
                found.append(f"{in_words(head, code)} hundred")
            elif tail[0] == "0":
                found += [f"{in_words(head, code)} {zero} {in_words(tail[1], code)}" for zero in ("oh", "o", "zero")]
            else:
                found += [
                    f"{in_words(head, code)} {in_words(tail, code)}",
                    f"{in_words(head, code)} hundred {in_words(tail, code)}",
                    f"{in_words(head, code)} hundred and {in_words(tail, code)}",
                ]
        if len(figure) == 3 and figure[0] != "0" and figure[1:] != "00":
            tail = figure[1:]
            rest = f"oh {in_words(tail[1], code)}" if tail[0] == "0" else in_words(tail, code)
            found.append(f"{in_words(figure[0], code)} {rest}")
    if len(figure) == 4 and code in ("de", "nl", "da", "no"):
        found.append(in_words(figure, code, "year"))
    if code == "de":
        plain = in_words(figure, code)
        found += [
            plain.removeprefix("ein") if plain.startswith(("einhundert", "eintausend")) else plain,
            plain.replace("zwei", "zwo"),
        ]
        found += [plain.removesuffix("s")] if plain.endswith("eins") else []
        found += ["eine", "einen", "einer", "einem", "ein"] if figure == "1" else []
    if code in ("fr", "es", "it", "pt") and figure[-1] == "1":
        plain = in_words(figure, code)
        found += {
            "fr": [re.sub("un$", "une", plain)],
            "es": [re.sub("uno$", one, plain) for one in ("un", "una", "ún")],
        }.get(code, [])
    return found


def _oh(digits: str, code: str) -> list[str]:
    """Digits one by one, with the names that zero and twos have on the telephone."""
    if code == "en":
        one = " ".join("oh" if digit == "0" else in_words(digit, code) for digit in digits)
        double = re.sub(r"\b(\w+) \1\b", r"double \1", one)
        return [
            one,
            double,
            double.replace("oh", "o"),
            re.sub(r"\b(\w+) \1\b", r"double \1", one.replace("oh", "zero")),
        ]
    if len(digits) % 2 == 0 and digits:  # by twos, as telephone numbers and years
        return [" ".join(in_words(digits[n : n + 2], code) for n in range(0, len(digits), 2))]
    return []


def unsigned(figure: str, code: str) -> str:
    group, point = (",", ".") if code in DECIMAL_POINT else (".", ",")
    return re.sub(rf"[{re.escape(group)}\s]", "", figure).replace(point, ".")


def _chinese(figure: str) -> str:
    """A number in Chinese characters: 1050 is 一千零五十."""
    whole, point, fraction = figure.partition(".")
    said = (
        "".join(_DIGITS_ZH[int(one)] for one in whole)
        if len(whole) > 1 and whole[0] == "0"
        else _chinese_whole(int(whole or 0))
    )
    return said + ("点" + "".join(_DIGITS_ZH[int(one)] for one in fraction) if point else "")


def _chinese_whole(value: int) -> str:
    if value == 0:
        return "零"
    said, gap = "", False
    for unit, name in ((10**12, "兆"), (10**8, "亿"), (10**4, "万"), (1000, "千"), (100, "百"), (10, "十"), (1, "")):
        count, value = divmod(value, unit)
        if count:
            said += (
                ("零" if gap and said else "")
                + (_chinese_whole(count) if count > 9 or unit > 1000 else _DIGITS_ZH[count])
                + name
            )
            gap = False
        else:
            gap = bool(said)
    return said.removeprefix("一") if said.startswith("一十") else said


def ordinal_readings(figure: str, code: str) -> list[str]:
    said = in_words(figure, code, "ordinal")
    if code == "de":
        return [said + ending for ending in _ENDINGS]
    if code == "fr":
        return [said, *(["première", "premiers"] if figure == "1" else ["second", "seconde"] if figure == "2" else [])]
    if code == "es":
        short = {"1": ["primer"], "3": ["tercer"]}.get(figure, [])
        return [said, re.sub(r"o\b", "a", said), *short]
    return [said] if said else []


def value_of(roman: str) -> str:
    values = dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True))
    digits = [values[letter] for letter in roman]
    return str(sum(-one if one < max(digits[n + 1 :], default=0) else one for n, one in enumerate(digits)))
