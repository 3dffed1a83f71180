"""The voices that a server knows by name, and the conversation that a request becomes. On the engine's thread."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..audio.clip import AudioClip
from ..codec import Codec
from ..errors import VoiceError
from ..prompt import Message, conversation
from ..types import Codes, Voice
from ..voices import encode_reference, load_source, voice_files
from .lines import Asked

KEPT = 64  # voices and clips whose codes are remembered
MOST_NAMED = 40  # voices in a message


class Voices:
    """Voices of the library and of the pack, encoded when they are first used.

    Args:
        roots: models folders, see `find_voices`.
        default: name of the voice that speaks where none is asked for; "": the model chooses one for each request.
        aliases: further names -> names.

    Raises:
        VoiceError: there is no voice of a name that is given here.
    """

    def __init__(
        self, roots: Iterable[str | Path], codec: Codec, default: str = "", aliases: Mapping[str, str] | None = None
    ):
        self._roots, self._codec = list(roots), codec
        self.aliases = {_small(name): target for name, target in (aliases or {}).items()}
        self._default = default
        for name in filter(None, (default, *self.aliases.values())):
            self.find(name)
        self._known: OrderedDict[tuple, Any] = OrderedDict()  # least recently used first

    def files(self) -> dict[str, Path]:
        """name -> file, as the folders are now; the library's names before the pack's. Safe on any thread."""
        return voice_files(self._roots)

    def names(self) -> list[str]:
        """For the field `voice`: those of the files, and the aliases."""
        return sorted({*self.files(), *self.aliases}, key=str.casefold)

    def default(self) -> Path | None:
        """The file of the voice that speaks where none is asked for."""
        return self.find(self._default) if self._default else None

    def find(self, name: str) -> Path:
        """The file of a voice, whatever the case of its name; safe on any thread.

        Raises:
            VoiceError: there is none of this name.
        """
        files, name = self.files(), unicodedata.normalize("NFC", name)
        name = self.aliases.get(_small(name), name) if name not in files else name
        if name in files:
            return files[name]
        called = {_small(one): file for one, file in files.items()}
        if (file := called.get(_small(name))) is not None:
            return file
        names = self.names()
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise VoiceError(
            "There is no such voice.",
            expected="one of " + ", ".join(names[:MOST_NAMED]) + more,
            got=repr(name[:80]),
            remedy="Leave it at 'default', or send a reference.",
        )

    def messages(self, asked: Asked) -> list[Message]:
        """The conversation that the model reads for a request's text.

        Raises:
            HiggsError: a voice or a reference that cannot be used.
        """
        text = asked.text
        if not asked.references:
            voices = [] if asked.voice is None else [self._voice(asked.voice)]
            return conversation(text, voices, system=asked.system, scene=asked.scene)
        start, *rest = conversation(text, system=asked.system, scene=asked.scene)
        for source, words in asked.references:  # as they are: several speakers are told apart in the words
            codes = source if isinstance(source, Codes) else self._codes(source)
            voice = Voice(codes, words)
            rest[-1:-1] = [
                Message("user", [voice.transcript.strip()], reference=True),
                Message("assistant", [codes], reference=True),
            ]
        return [start, *rest]

    def _voice(self, path: Path) -> Voice:
        try:
            stat = path.stat()
            return self._remembered((path, stat.st_mtime_ns, stat.st_size), lambda: load_source(path, self._codec))
        except OSError as error:
            raise VoiceError(
                "The voice is gone.",
                expected="its file, as when it was listed",
                got=error.strerror or "",
                remedy="See /v1/audio/voices.",
            ) from error

    def _codes(self, clip: AudioClip) -> Codes:
        digest = hashlib.sha256(clip.samples.contiguous().numpy().tobytes()).hexdigest()
        return self._remembered((digest, clip.sample_rate, clip.channels), lambda: encode_reference(clip, self._codec))

    def _remembered(self, key: tuple, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def _small(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
