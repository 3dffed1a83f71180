"""Sounds that are written into a text, as [laugh], and how each generation of the model reads them.

v2: the forms of Boson AI's example (boson-ai/higgs-audio, examples/generation.py), its unequal humming included.
v3: the tags of its PROMPTING.md (bosonai/higgs-tts-3-4b), which asks for the sound in letters right behind the tag.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..choices import PromptFormat

V2 = {
    "applause": "<SE>[Applause]</SE>",
    "cheering": "<SE>[Cheering]</SE>",
    "cough": "<SE>[Cough]</SE>",
    "humming": "<SE>[Humming]</SE>",
    "humming start": "<SE>[Humming]</SE>",
    "humming end": "<SE_e>[Humming]</SE_e>",
    "laugh": "<SE>[Laughter]</SE>",
    "music": "<SE>[Music]</SE>",
    "music start": "<SE_s>[Music]</SE_s>",
    "music end": "<SE_e>[Music]</SE_e>",
    "sing start": "<SE_s>[Singing]</SE_s>",
    "sing end": "<SE_e>[Singing]</SE_e>",
}
V3 = {  # with the sound in letters: Latin, Chinese; the styles have none
    "burp": ("<|sfx:burping|>", "Burp", "嗝"),
    "cough": ("<|sfx:cough|>", "Ahem", "咳咳"),
    "cry": ("<|sfx:crying|>", "Boohoo", "呜呜"),
    "humming": ("<|sfx:humming|>", "Hmm", "嗯嗯"),
    "laugh": ("<|sfx:laughter|>", "Haha", "哈哈"),
    "scream": ("<|sfx:screaming|>", "Aaah", "啊啊"),
    "sigh": ("<|sfx:sigh|>", "Uh", "唉"),
    "sneeze": ("<|sfx:sneeze|>", "Achoo", "阿嚏"),
    "sniff": ("<|sfx:sniff|>", "Sff", "嘶"),
    "shout": ("<|style:shouting|>",),
    "sing": ("<|style:singing|>",),
    "whisper": ("<|style:whispering|>",),
}
_ALSO = {
    "applause": "clap claps clapping",
    "burp": "burps burping",
    "cheering": "cheer cheers",
    "cough": "coughs coughing",
    "cry": "cries crying sob sobs sobbing",
    "humming": "hum hums",
    "laugh": "chuckle chuckles giggle giggles laughs laughing laughter",
    "scream": "screams screaming",
    "shout": "shouts shouting",
    "sigh": "sighs sighing",
    "sing": "sings singing",
    "sneeze": "sneezes sneezing",
    "sniff": "sniffs sniffing",
    "whisper": "whispers whispering",
}
_MEANT = {other: word for word, others in _ALSO.items() for other in others.split()}
_OTHER = (  # what people write of sounds that no model here makes; "breath" also stands for "breathing", …
    "beat breath breathe gasp groan moan grunt growl whimper wheeze yawn snort snore sniffle hiccup pant hiss whistle "
    "exhale inhale mumble mutter murmur sneer snicker cackle chant yell silence static thunder footsteps click creak "
    "knock ring buzz beep clear throat swallow gulp kiss hum scoff tut shush chatter crowd cheer applaud weep wail"
).split()
FIRST_WORDS = frozenset(word.split()[0] for word in (*V2, *V3, *_MEANT))  # of all that stands in brackets
_ALSO_MADE = frozenset("breath breaths breathes breathing gasp gasps gasping laughed coughed sighed sneezed".split())
_WHOLE_NAMES = frozenset((*V2, *V3, *_MEANT))
_OTHER_STEMS = frozenset((*_OTHER, *(word.removesuffix("e") for word in _OTHER if word.endswith("e"))))
# As people write the sounds of v3 themselves, so that none is written twice.
_WRITTEN = re.compile(
    r"(?:a+h*em|ha(?:ha)+|he(?:he)+|boo-?hoo|sob|a+h+|burp|h+m+|m+h?m+|u+h|ha+h|s+f+|a-?choo|咳咳|[哈嘿]{2,}|呜呜|啊啊|嗝|嗯嗯|唉|嘶|阿嚏)"
    r"(?![^\W\d_a-z])(?![a-z])",
    re.I,
)
_BRACKET = re.compile(r"<(SE\w*)>[^<>]{0,80}</\1>|<\|[^|>\n]{0,80}\|>|\[([^\[\]\n]{1,40})\]")
_LIKE_A_SOUND = re.compile(r"[a-z][a-z'’-]*(?: [a-z][a-z'’-]*){0,2}")


def writes_sound(text: str, place: int) -> bool:
    """Whether the letters of a sound of v3 stand at this place."""
    return _WRITTEN.match(text, place) is not None


def is_sound_word(said: str) -> bool:
    """Whether the words of a bracket are a sound that a model here makes: "Laughs", "LAUGHS SOFTLY".

    What follows the first word may have no capital of its own: "Music Teacher" is a person.
    """
    return _begins_with(said, lambda word: word in FIRST_WORDS or word in _ALSO_MADE)


def is_sound(said: str) -> bool:
    """Whether the words of a bracket name any sound, as `is_sound_word` and beyond: "SIGHS", "clears throat"."""
    ends = ("", "s", "es", "ing", "ed", "d")
    return _begins_with(said, lambda word: word in FIRST_WORDS or any(_stem(word, end) for end in ends))


def _begins_with(said: str, is_one: Callable[[str], bool]) -> bool:
    first, *rest = said.split() or [""]
    if not said.isupper() and any(one[0].isupper() for one in rest):
        return " ".join(said.casefold().split()) in _WHOLE_NAMES
    return is_one(first.casefold().strip(".,!…"))


def _stem(word: str, end: str) -> bool:
    stem = word.removesuffix(end) if word.endswith(end) else ""
    return stem in _OTHER_STEMS or (end in ("ing", "ed") and stem[-1:] == stem[-2:-1] and stem[:-1] in _OTHER_STEMS)


class SoundTag(NamedTuple):
    """A sound word of a text: where it stands, the characters of it, and what the model reads for them."""

    start: int
    end: int
    reads: str


def find_sounds(text: str, layout: str, *, chinese: bool = False) -> tuple[list[SoundTag], list[str]]:
    """The sound words that a model knows, and a warning for each that it does not; those stay as they are.

    Case and endings do not count: [Laughs] is [laugh]. What stands in the model's own form already is left alone.

    Args:
        layout: of the checkpoint's prompt; v3 has its own sounds.
        chinese: whether the letters behind a tag of v3 are Chinese.
    """
    found, warnings = [], {}
    for start, end, said in _brackets(text):
        word = " ".join(said.casefold().split())
        word = _MEANT.get(word, word)
        if layout == PromptFormat.V3 and word in V3:
            found.append(_v3(text, start, end, V3[word], chinese))
        elif layout != PromptFormat.V3 and word in V2:
            found.append(SoundTag(start, end, V2[word]))
        elif word in V2 or word in V3 or _LIKE_A_SOUND.fullmatch(said.strip()):
            warnings[_unknown(said.strip(), layout)] = None
    return found, list(warnings)


def _brackets(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _BRACKET.finditer(text):
        if match[2] is not None:
            yield match.start(), match.end(), match[2]


def _v3(text: str, start: int, end: int, form: tuple[str, ...], chinese: bool) -> SoundTag:
    """The tag, and the sound in letters unless the text has it; both stick together."""
    tag, *letters = form
    blanks = re.compile(r"[^\S\n]+").match(text, end)
    after = blanks.end() if blanks else end
    if not letters or _WRITTEN.match(text, after):
        return SoundTag(start, after, tag)
    reads = tag + letters[1 if chinese else 0]
    if after == len(text) or not text[after].isalnum():
        return SoundTag(start, end, reads)
    return SoundTag(start, after, reads + ("，" if chinese else ", "))


def _unknown(said: str, layout: str) -> str:
    version, known = ("v3", V3) if layout == PromptFormat.V3 else ("v2", V2)
    words = [word for word in (*known, *_MEANT) if _MEANT.get(word, word) in known]
    nearest = difflib.get_close_matches(said.casefold(), words, n=1, cutoff=0.6)
    makes = ", ".join(f"[{word}]" for word in nearest or known)
    return (
        f"[{said}] is no sound that Higgs Audio {version} makes, so it is read as text; "
        f"{'the nearest is' if nearest else 'it makes'} {makes}."
    )
