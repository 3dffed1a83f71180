"""Verifies the takes of a script's lines, by a recognizer that listens to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

from ..audio.clip import AudioClip
from ..codec import Codec
from ..types import Codes, Voice
from ..verification import Limits, Recognizer, Verdict, load_recognizer, verify_take, voice_comparer
from .lines import Line


class Verifier:
    """Hears whether a take says its line, in its voice.

    Args:
        name: of the recognizer.
        compare_voices: also compare with the first reference of the line's voice (extra `similarity`).
        language: of the script, ISO 639-1; None has the recognizer detect it.

    Attributes:
        judge: names recognizer and limits: verdicts of one judge hold for the same codes.

    Raises:
        MissingExtraError: voices are to be compared, and the extra is not installed.
    """

    def __init__(
        self,
        codec: Codec,
        recognizer: Recognizer,
        name: str,
        voices: Mapping[str, Voice],
        *,
        limits: Limits | None = None,
        language: str | None = None,
        compare_voices: bool = False,
    ):
        if compare_voices:
            voice_comparer()  # before anything is spoken
        self._codec, self._recognizer, self._voices = codec, recognizer, voices
        self._limits, self._language, self._compare = limits or Limits(), language, compare_voices
        self._references: dict[str, AudioClip] = {}
        self.judge = f"{name} {language or ''} {compare_voices} {sorted(asdict(self._limits).items())}"

    def hear(self, line: Line, codes: Codes) -> Verdict:
        """Raises:
        MissingExtraError: as `verify_take`.
        """
        return verify_take(
            self._codec.decode(codes),
            line.text,
            recognizer=self._recognizer,
            language=self._language,
            reference=self._reference(line.speaker),
            limits=self._limits,
        )

    def _reference(self, speaker: str) -> AudioClip | None:
        codes = self._voices[speaker].codes
        if not self._compare or codes is None:
            return None
        if speaker not in self._references:
            self._references[speaker] = self._codec.decode(codes)
        return self._references[speaker]


@dataclass(frozen=True)
class Listening:
    """How takes are listened to, before anything is loaded: what travels to another process.

    Attributes:
        recognizer: as in `load_recognizer`.
        compare_voices, limits: as in `Verifier`.
        name: what verdicts call the recognizer; "": as it is named here.
    """

    recognizer: str | None = None
    _: KW_ONLY
    compare_voices: bool = False
    limits: Limits | None = None
    name: str = ""

    def verifier(
        self, codec: Codec, voices: Mapping[str, Voice], language: str | None, folders: Sequence[Path] | None = None
    ) -> Verifier:
        """Args:
            folders: where recognizers are looked for, as in `load_recognizer`.

        Raises:
            CheckpointError, MissingExtraError: as `load_recognizer`, and `Verifier`.
        """
        return Verifier(
            codec,
            load_recognizer(self.recognizer, folders=folders),
            self.name or str(self.recognizer),
            voices,
            limits=self.limits,
            language=language,
            compare_voices=self.compare_voices,
        )
