"""Errors of the pack. Every message says what was expected, what was found and how to mend it."""

from __future__ import annotations

import math
import re

LONGEST_SENTENCE = 200  # letters


class HiggsError(Exception):
    """Base of all errors the pack raises on purpose.

    Args:
        what: one sentence, what failed.
        expected, got: the two sides of the mismatch, as short phrases.
        remedy: one sentence, what the person can do.
    """

    def __init__(self, what: str, *, expected: str = "", got: str = "", remedy: str = ""):
        self.what, self.expected, self.got, self.remedy = what, expected, got, remedy
        parts = [what]
        if expected or got:
            sides = [f"expected {expected}" if expected else "", f"got {got}" if got else ""]
            text = ", ".join(side for side in sides if side)
            parts.append(text[0].upper() + text[1:] + ".")
        if remedy:
            parts.append(remedy)
        super().__init__(" ".join(parts))


class AudioError(HiggsError, ValueError):
    """A clip or an audio file that cannot be used as asked."""


class CheckpointError(HiggsError, ValueError):
    """Model files that are missing, broken, of another kind, or do not fit each other."""


class PromptError(HiggsError, ValueError):
    """Messages that cannot be laid out as a prompt."""


class VoiceError(HiggsError, ValueError):
    """A voice file, or a name of a voice, that cannot be used."""


class ScriptError(HiggsError, ValueError):
    """A script that does not follow the grammar.

    Attributes:
        line, column: where, from 1; 0 where the script is not text.
    """

    line = column = 0


class TakeError(HiggsError, RuntimeError):
    """A take that cannot be stored, read or found."""


class SettingError(HiggsError, ValueError):
    """A setting out of its range, or two settings that contradict each other."""


class _WithTakes(HiggsError):
    """Ends a generation on its way.

    Attributes:
        takes: what was finished before, by the index of its prompt.
    """

    takes: dict = {}


class NumericError(_WithTakes, ArithmeticError):
    """A network computed NaN or infinity."""


class MemoryShortError(_WithTakes, MemoryError):
    """A device has too little memory for what was asked."""


class DownloadError(HiggsError, RuntimeError):
    """A release that cannot be fetched."""


class RemoteError(HiggsError, RuntimeError):
    """A server elsewhere that refuses, or cannot be reached.

    Attributes:
        status: of its answer (HTTP); 0 where there was none.
    """

    status = 0


class ClusterError(HiggsError, RuntimeError):
    """A cluster that cannot be reached or used."""


class StoppedError(HiggsError):
    """Work that ended because it was asked to stop."""


class HiggsWarning(UserWarning):
    """What works but probably not as meant, as words that the model does not know."""


# What each extra installs. DAC without its dependency lists: they hold protobuf below 3.20, which breaks other packs.
EXTRAS = {
    "asr": ("pip install faster-whisper rapidfuzz num2words",),
    "align": ("pip install --no-deps pocketsphinx",),
    "similarity": ("pip install --no-deps resemblyzer==0.1.4 webrtcvad-wheels==2.0.14.post1",),
    "export": ("pip install av pillow",),
    "remote": ("pip install openai",),
    "serve": ("pip install fastapi uvicorn prometheus_client av",),
    "gguf": ("pip install gguf",),
    "pictures": ("pip install matplotlib",),
    "tags": ("pip install mutagen",),
    "ray": ("pip install ray",),
    "fsspec": ("pip install fsspec",),
    "sound": ("pip install pedalboard",),
    "books": ("pip install lxml",),
    "subtitles": ("pip install pysubs2",),
    "text": ("pip install langid jieba num2words",),
    "dac": (
        "pip install --no-deps descript-audio-codec==1.0.0 descript-audiotools==0.7.2",
        "pip install argbind einops ffmpy flatten-dict importlib_resources julius randomname rich tensorboard",
    ),
}


class MissingExtraError(HiggsError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: what needs it.
        extra: key of EXTRAS.
        package: the import that failed.
    """

    def __init__(self, feature: str, extra: str, package: str):
        super().__init__(
            f"{feature} needs the optional package '{package}', which is not installed.",
            remedy=f"With the Python that runs this: {' && '.join(EXTRAS[extra])}",
        )
        self._given = feature, extra, package

    def __reduce__(self):
        return type(self), self._given  # also into another process


def one_sentence(text: str) -> str:
    """What an error may repeat of an answer from elsewhere: its first sentence in plain characters, and no page."""
    if re.search(r"<[a-zA-Z!/?]", text):
        return "a page, which is not shown"
    line = next((line for line in text.splitlines() if line.strip()), "")[:1000]
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in line).split())
    sentence = re.split(r"(?<=[.!?]) ", plain, maxsplit=1)[0]
    return sentence if len(sentence) <= LONGEST_SENTENCE else f"{sentence[:LONGEST_SENTENCE]}…"


def check_range(name: str, value: float, low: float, high: float, remedy: str = "") -> None:
    """Refuse a setting that is not a number from low to high.

    Raises:
        SettingError: the value is NaN, infinite or out of the range.
    """
    if not math.isfinite(value) or not low <= value <= high:
        first, last = (f"{end:g}" if isinstance(end, float) else str(end) for end in (low, high))
        raise SettingError(
            f"The setting '{name}' is out of range.",
            expected=f"{first} to {last}",
            got=str(value),
            remedy=remedy or f"Set {name} inside this range.",
        )
