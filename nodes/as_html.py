"""A text as HTML that shows it letter by letter."""

from __future__ import annotations

# What HTML, or the editor on its way there, reads as more than a letter: tags and entities, [[label|address]] and the
# __LNK0__ that stands for it meanwhile, and addresses (http://…, www.…), which would become links.
_SPECIAL = str.maketrans({letter: f"&#{ord(letter)};" for letter in "&<>\"'[]|_:."})


def as_html(text: str) -> str:
    """HTML that shows this text and nothing else; lines stay lines, as the editor breaks them itself."""
    return text.translate(_SPECIAL)
