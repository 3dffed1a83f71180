"""A name becomes a voice: an audio file with its words beside it, a voice of the library, or one of the pack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch

from ..audio.clip import AudioClip
from ..codec import Codec
from ..errors import SettingError
from ..hub import embedded_voices
from ..kept import kept
from ..types import Codes, Voice
from .library import SUFFIX, find_voices, load_voice
from .reference import judged_reference

KEPT_WAY = "1"  # of making codes of a clip: another number where `judged_reference` would give others


def voice_files(roots: Iterable[str | Path]) -> dict[str, Path]:
    """name -> file, of the library in these models folders and of the pack; the library's names count more."""
    library = find_voices(roots)
    return {**library, **{name: file for name, file in embedded_voices().items() if name not in library}}


def voice_source(name: str, roots: Iterable[str | Path]) -> Path:
    """The file that a name means: an audio file that is there, else one of `voice_files`.

    Raises:
        SettingError: there is none.
    """
    if Path(name).is_file():
        return Path(name)
    known = voice_files(roots)
    if name not in known:
        raise SettingError(
            f"There is no voice '{name}'.",
            expected=f"an audio file or one of {', '.join(known)}",
            got="no such file",
            remedy="Name one of these, or an existing audio file with its transcript in a .txt beside it.",
        )
    return known[name]


def is_voice_file(source: Path) -> bool:
    """Whether it is a saved voice, which has its words in it, and no audio file."""
    return source.suffix == SUFFIX


def load_source(source: Path, codec: Codec, *, words_needed: bool = False) -> Voice:
    """The voice of a voice file, or of an audio file and the words in the .txt beside it, if there is one.

    Args:
        words_needed: for another model than v3.

    Raises:
        SettingError: that file cannot be read, or is not there and needed.
        VoiceError, AudioError: the file cannot be used.
    """
    if is_voice_file(source):
        return saved_voice(source, words_needed=words_needed)
    words = transcript_of(source)
    if words_needed and not words:
        raise no_words(source, "Write what the clip says into that file, or add it with higgs voices add --listen.")
    return Voice(reference_codes(source, codec), words)


def reference_codes(source: str | Path, codec: Codec) -> Codes:
    """`judged_reference` of an audio file; the codes of the pack's own clips are `kept`.

    Warns:
        HiggsWarning: as `judged_reference`.

    Raises:
        AudioError: the file cannot be read or encoded.
    """
    source = Path(source)
    if not is_built_in(source):
        return judged_reference(AudioClip.load(source), codec, source.name)
    clip = hashlib.sha256(source.read_bytes()).hexdigest()
    made_from = {"what": "codes of a clip", "way": KEPT_WAY, "clip": clip, "codec": codec.weights_hash}
    ids = kept(
        made_from,
        lambda: judged_reference(AudioClip.load(source), codec, source.name).ids.tolist(),
        lambda value: _are_ids(value, codec),
    )
    return Codes(torch.tensor(ids), codec.frame_rate, codec.codebook_size, codec.signature)


def is_built_in(source: str | Path) -> bool:
    """Whether a file is a reference voice of the pack: looked at when it was made, and the same on every computer."""
    return Path(source).resolve() in {file.resolve() for file in embedded_voices().values()}


def _are_ids(value: object, codec: Codec) -> bool:
    """Whether this can be the ids [K, F] of a clip."""
    if not isinstance(value, list) or len(value) != codec.num_codebooks:
        return False
    lengths = {len(row) if isinstance(row, list) else 0 for row in value}
    return (
        len(lengths) == 1
        and 0 not in lengths
        and all(type(one) is int and 0 <= one < codec.codebook_size for row in value for one in row)
    )


def saved_voice(source: Path, *, words_needed: bool = False) -> Voice:
    """The voice of a voice file.

    Raises:
        SettingError: it has a clip without words, and they are needed.
        VoiceError: it cannot be read.
    """
    voice = load_voice(source)[0]
    if words_needed and not has_all_words(voice):
        raise no_words(
            source, "Transcribe it: add it again from its clip, with higgs voices add --listen --overwrite.", ""
        )
    return voice


def has_all_words(voice: Voice) -> bool:
    """Whether the words of all its clips are known."""
    return all(words.strip() for _, words in voice.references)


def no_words(clip: Path, remedy: str, where: str | None = None) -> SettingError:
    place = f", as in {clip.with_suffix('.txt')}" if where is None else where
    return SettingError(
        f"The words of '{clip}' are not known.",
        expected=f"what is said in the clip{place}: only Higgs Audio v3 does without",
        got="none",
        remedy=remedy,
    )


def transcript_of(clip: Path) -> str:
    """What the .txt beside a clip says; "" without one.

    Raises:
        SettingError: it cannot be read.
    """
    words = clip.with_suffix(".txt")
    if not words.is_file():
        return ""
    try:
        return words.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{words} cannot be read.",
            expected="the words of the voice file in UTF-8",
            got=str(error),
            remedy="Give the words with --transcript, or save the file as UTF-8.",
        ) from error
