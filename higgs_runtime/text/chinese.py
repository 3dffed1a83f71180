"""Where Chinese words end: jieba's dictionary and model of unknown words."""

from __future__ import annotations

import logging
from functools import cache

MOST_AT_ONCE = 1_000  # characters: jieba 0.42.1 takes time by the square of a run of one character


def chinese_word_ends(text: str) -> frozenset[int] | None:
    """Places behind each word of a text, as jieba cuts it; None where jieba is not installed (extra `text`)."""
    cutter = _cutter()
    if cutter is None:
        return None
    ends, place = [], 0
    for start in range(0, len(text), MOST_AT_ONCE):
        for word in cutter.cut(text[start : start + MOST_AT_ONCE]):
            place += len(word)
            ends.append(place)
    return frozenset(ends)


@cache
def _cutter():
    try:
        import jieba
    except ImportError:
        return None
    jieba.setLogLevel(logging.WARNING)
    cutter = jieba.Tokenizer()
    # Its own start-up trusts a cache file in the folder of temporary files, where others can put one.
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True
    return cutter
