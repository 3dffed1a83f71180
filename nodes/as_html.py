"""A text as what the editor takes for it: HTML in LiteGraph, Markdown in the Vue nodes."""

from __future__ import annotations

import re
import string

# Neither reads an entity as more than a letter. Of plain marks tags, emphasis, lists, headings and links are made:
# of [[label|address]], the __LNK0__ that stands for it meanwhile, and of addresses as they are. Two spaces are
# Markdown's line break.
_MARKS = str.maketrans({mark: f"&#{ord(mark)};" for mark in string.punctuation} | {"\n": "  \n"})


def as_html(text: str) -> str:
    """HTML, and Markdown, that shows this text and nothing else."""
    return re.sub(r"^[ \t]", lambda indent: f"&#{ord(indent[0])};", text.translate(_MARKS), flags=re.M)  # is no code
