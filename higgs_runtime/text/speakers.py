"""What may be a speaker's name in a script. Pure text rules, used by the script parser."""

from __future__ import annotations

import re

from .sound_tags import is_sound_word

_ORDINARY = frozenset(
    """answer attention caution chapter conclusion date day edit episode example fact figure finally
    first hence hint however i important line note part ps question remember result rule scene second section source
    step summary table therefore third thus time tip title today tomorrow update verse volume warning""".split()
)
_PARTS_OF_A_SHOW = frozenset(
    "ad background break bridge chorus credits cut end ending fade inaudible intro jingle outro sound start "
    "theme".split()
)
_PARTICLES = frozenset("al bin da de der di du la of the van von y".split())
_SAYING = tuple("说道问答想喊叫曰說問")  # "他说：" introduces a quotation, not a turn
_CUE = re.compile(r"(pause|overlap)\b|slot\s*\d|(sfx|music)$", re.I)
_FORBIDDEN = re.compile(r"[\[\]:：\r\n]")


def fits_tag(name: str) -> bool:
    """Whether `[name]` is a speaker: begins with a capital or an uncased letter, no brackets or colons, not a cue or a
    sound word ("Laughs")."""
    starts = name[:1].isalpha() and not name[0].islower()
    fits = starts and name == name.strip() and not _FORBIDDEN.search(name) and not _CUE.match(name)
    return bool(fits) and not is_sound_word(name)


def like_a_name(name: str) -> bool:
    """Whether what stands in a bracket is written as names are: each word with a capital or a figure, but for "of",
    and none of the words that stand in brackets for other reasons ("Intro", "Chapter 2")."""
    if name.casefold().split()[0].strip(".") in _ORDINARY | _PARTS_OF_A_SHOW:
        return False
    return all(not part[0].islower() or part in _PARTICLES for part in name.split())


def fits_colon(words: str) -> bool:
    """Whether `words:` at the start of a line is a speaker.

    Up to four words, each with a capital ("Mr. Smith", "Guard 2", "Queen of Hearts"), the first none of the ordinary
    words that often stand before a colon ("Note", "Step 1", "However"). In scripts without capitals: up to six
    characters in one word that does not end in a verb of saying ("小明", not "他说").
    """
    parts = words.split()
    if not 1 <= len(parts) <= 4 or parts[0].lower().strip(".") in _ORDINARY or not fits_tag(words):
        return False
    if not parts[0][0].isupper():
        return len(parts) == 1 and len(words) <= 6 and not words.endswith(_SAYING) and words != "注意"
    plain = all(re.fullmatch(r"#?[\w.'’-]+", part) for part in parts)
    return plain and all(
        part[0].isupper() or part.lstrip("#")[:1].isdigit() or part in _PARTICLES for part in parts[1:]
    )
