"""The voices that a server knows by name, and the conversation that a request becomes. On the engine's thread."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable
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


class Voices:
    """Voices of the library and of the pack, encoded when they are first used.

    Args:
        roots: models folders, see `find_voices`.
    """

    def __init__(self, roots: Iterable[str | Path], codec: Codec):
        self._roots, self._codec = list(roots), codec
        self._known: OrderedDict[tuple, Any] = OrderedDict()  # least recently used first

    def files(self) -> dict[str, Path]:
        """name -> file, as the folders are now; the library's names before the pack's. Safe on any thread."""
        return voice_files(self._roots)

    def find(self, name: str) -> Path:
        """The file of a voice; safe on any thread.

        Raises:
            VoiceError: there is none of this name.
        """
        files, name = self.files(), unicodedata.normalize("NFC", name)
        if name not in files:
            raise VoiceError(
                "There is no such voice.",
                expected="a name from /v1/audio/voices",
                got=repr(name[:80]),
                remedy="Leave it at 'default', or send a reference.",
            )
        return files[name]

    def messages(self, asked: Asked) -> list[Message]:
        """The conversation that the model reads for a request.

        Raises:
            HiggsError: a voice or a reference that cannot be used.
        """
        if not asked.references:
            voices = [] if asked.voice is None else [self._voice(asked.voice)]
            return conversation(asked.text, voices, system=asked.system, scene=asked.scene)
        start, *rest = conversation(asked.text, system=asked.system, scene=asked.scene)
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
