"""Voices on the disk: one safetensors file each, in the folder `voices` of a models folder.

The file holds the codes of each reference as `codes_0`, `codes_1`, … (int16 [K, F]), the reference clip to listen to as
`preview` (uint8, the bytes of a FLAC file), and in the header under "voice" all the rest as one JSON object.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import torch

from ..atomic_write import write_bytes
from ..audio.clip import AudioClip, resample, to_mono, trim
from ..errors import VoiceError
from ..hub import VOICES
from ..types import Codes, Voice

SUFFIX = ".safetensors"
FORMAT, VERSION = "higgs-voice", 1
MAX_NAME, MAX_NAME_BYTES = 80, 200  # characters; bytes in UTF-8, of the 255 that file systems allow
FORBIDDEN = frozenset('/\\:*?"<>|')  # in names of files, on one system or another
JOINERS = "\u200c\u200d"  # format characters that words of Persian and Indic languages need
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}  # of Windows
MAX_CODEBOOK = 2**15  # int16
PREVIEW_RATE, PREVIEW_SECONDS = 24_000, 30.0


@dataclass(frozen=True)
class VoiceCard:
    """What a voice file says beside the voice.

    Attributes:
        note: licence, and who agreed to what.
        source_sha256: of the source's samples, see `of`; empty where it is not known.
        sample_rate: of the source in Hz; 0 where it is not known.
        created: time in UTC, ISO 8601.
        preview: a FLAC file to listen to (mono, 24 kHz, 30 s at most); may be empty.
    """

    note: str = ""
    source_sha256: str = ""
    sample_rate: int = 0
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    preview: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, clip: AudioClip, note: str = "") -> VoiceCard:
        """The card of a voice made from this clip. The hash is SHA-256 of its float32 samples (little-endian), channel
        after channel.

        Raises:
            AudioError: the clip has no samples.
        """
        samples = clip.samples.detach().cpu().contiguous().numpy().astype("<f4", copy=False)
        return cls(note, hashlib.sha256(samples.data).hexdigest(), clip.sample_rate, preview=_flac(clip))


def save_voice(
    path: str | os.PathLike, voice: Voice, card: VoiceCard | None = None, *, overwrite: bool = False
) -> None:
    """Write a voice into a file; see `voice_path` for where the library looks.

    The file is there whole or not at all. A missing folder is made. What a file holds already is not written again.

    Raises:
        VoiceError: another voice is there already (unless `overwrite`), the path does not end in .safetensors or
            cannot be written, or a codebook is larger than 32768 entries.
    """
    from safetensors.torch import save

    target = Path(path)
    if target.suffix != SUFFIX:
        raise VoiceError(
            "This is not the name of a voice file.",
            expected=f"a name ending in {SUFFIX}",
            got=target.name,
            remedy="Change the suffix.",
        )
    tensors, record = _packed(voice, card or VoiceCard())
    if not overwrite and target.exists():
        if _holds(target, tensors, record):
            return
        raise _exists(target)
    data = save(tensors, {"format": FORMAT, "voice": json.dumps(record, ensure_ascii=False)})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, data, new=not overwrite)
    except OSError as error:
        if isinstance(error, FileExistsError) and target.is_file():
            raise _exists(target) from error
        raise VoiceError(
            f"'{target}' could not be written: {error.strerror or error}.",
            remedy="Check free disk space and permissions, then save again.",
        ) from error


def load_voice(path: str | os.PathLike) -> tuple[Voice, VoiceCard]:
    """Read a voice file: the voice as it was saved, bit by bit, and its card.

    Whether it fits a model or a codec shows where it is used: its codes name their codec.

    Raises:
        VoiceError: no such file, damaged, cut off, no voice file, made by a newer version, or with ids out of range.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise VoiceError(f"There is no voice file '{path}'.", remedy="See which voices there are: higgs voices ls")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise VoiceError(
                    f"'{path}' is not a voice.",
                    expected="a file made by Save Voice",
                    got="another safetensors file",
                    remedy="Move it out of the folder of voices.",
                )
            return _unpacked(json.loads(header["voice"]), {name: file.get_tensor(name) for name in file.keys()})
    except VoiceError:
        raise
    except (SafetensorError, OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise VoiceError(
            f"The voice file '{path}' is damaged.",
            expected="a whole file, as Save Voice wrote it",
            got=str(error),
            remedy="Copy it again from where it came from, or save the voice again.",
        ) from error


def describe_voice(voice: Voice, card: VoiceCard) -> str:
    """What a person wants to know of a voice, in lines."""
    source = f"a clip at {card.sample_rate} Hz, SHA-256 {card.source_sha256[:16]}…" if card.source_sha256 else ""
    codec = voice.codes.codec if voice.codes is not None else ""
    lines = [
        ("description", voice.description),
        ("note", card.note),
        ("source", source),
        ("codec", codec),
        ("created", card.created),
    ]
    said = [
        f"reference, {codes.seconds:.1f} s: {transcript or 'without words, for Higgs Audio v3'}"
        for codes, transcript in voice.references
    ]
    return "\n".join([*said, *(f"{name}: {value}" for name, value in lines if value)])


def find_voices(roots: Iterable[str | os.PathLike]) -> dict[str, Path]:
    """The voices in these models folders: name -> file, by name; of two with one name the first folder's counts."""
    found: dict[str, Path] = {}
    for root in map(Path, roots):
        for file in root.glob(f"{VOICES}/*{SUFFIX}"):
            name = unicodedata.normalize("NFC", file.stem)
            if not file.name.startswith(".") and file.is_file():
                found.setdefault(name, file)
    return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def voice_path(root: str | os.PathLike, name: str) -> Path:
    """Where the voice of this name lies, or would lie, in a models folder.

    Raises:
        VoiceError: it cannot be the name of a file everywhere.
    """
    name = unicodedata.normalize("NFC", name)
    remedy = "Choose a plain name, such as Old keeper."
    if not 1 <= len(name) <= MAX_NAME or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise VoiceError(
            "This cannot be the name of a voice.",
            expected=f"1 to {MAX_NAME} characters",
            got=f"{len(name)}",
            remedy=remedy,
        )
    bad = [one for one in name if one in FORBIDDEN or (one not in JOINERS and unicodedata.category(one)[0] == "C")]
    if bad or name != name.strip() or name[0] == "." or name[-1] == "." or name.split(".")[0].casefold() in DEVICES:
        raise VoiceError(
            "This cannot be the name of a voice.",
            got=repr(name),
            remedy=remedy,
            expected='letters, digits, inner spaces and marks other than / \\ : * ? " < > |, no dot at either end',
        )
    return Path(root, VOICES, name + SUFFIX)


def _holds(path: Path, tensors: dict[str, torch.Tensor], record: dict) -> bool:
    """Whether the file holds this, but for the time when it was made."""
    try:
        there, said = _packed(*load_voice(path))
    except VoiceError:
        return False
    same = there.keys() == tensors.keys() and all(torch.equal(there[name], tensors[name]) for name in there)
    return same and {**said, "created": ""} == {**record, "created": ""}


def _packed(voice: Voice, card: VoiceCard) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors and the JSON object of a voice file."""
    tensors, references = {}, []
    for n, (codes, transcript) in enumerate(voice.references):
        if codes.codebook_size > MAX_CODEBOOK:
            raise VoiceError(
                "The codebooks are too large for a voice file.",
                expected=f"up to {MAX_CODEBOOK} entries",
                got=str(codes.codebook_size),
                remedy="Use the codec of a Higgs model.",
            )
        tensors[f"codes_{n}"] = codes.ids.to("cpu", torch.int16).contiguous()
        references.append(
            {
                "transcript": transcript,
                "codec": codes.codec,
                "frame_rate": codes.frame_rate,
                "codebook_size": codes.codebook_size,
            }
        )
    if card.preview:
        tensors["preview"] = torch.frombuffer(bytearray(card.preview), dtype=torch.uint8)
    record = {
        "version": VERSION,
        "description": voice.description,
        "references": references,
        "note": card.note,
        "source_sha256": card.source_sha256,
        "sample_rate": card.sample_rate,
        "created": card.created,
    }
    return tensors, record


def _unpacked(record: dict, tensors: dict[str, torch.Tensor]) -> tuple[Voice, VoiceCard]:
    if record["version"] > VERSION:
        raise VoiceError(
            "The voice file was made by a newer version.",
            expected=f"format {VERSION}",
            got=str(record["version"]),
            remedy="Update the pack.",
        )
    references = []
    for n, about in enumerate(record["references"]):
        ids = tensors[f"codes_{n}"]
        if ids.dtype != torch.int16:
            raise ValueError(f"codes_{n} are {ids.dtype}")
        codes = Codes(ids.long(), float(about["frame_rate"]), int(about["codebook_size"]), _text(about, "codec"))
        references.append((codes, _text(about, "transcript")))
    first, transcript = references[0] if references else (None, "")
    voice = Voice(first, transcript, _text(record, "description"), tuple(references[1:]))
    preview = tensors.get("preview", torch.empty(0, dtype=torch.uint8))
    card = VoiceCard(
        _text(record, "note"),
        _text(record, "source_sha256"),
        int(record["sample_rate"]),
        _text(record, "created"),
        preview.numpy().tobytes(),
    )
    return voice, card


def _text(record: dict, key: str) -> str:
    if not isinstance(record[key], str):
        raise ValueError(f"{key} is not text")
    return record[key]


def _flac(clip: AudioClip) -> bytes:
    import soundfile

    mono = resample(to_mono(trim(clip, 0.0, PREVIEW_SECONDS)), PREVIEW_RATE)
    file = io.BytesIO()
    soundfile.write(file, mono.samples[0].clamp(-1, 1).cpu().numpy(), PREVIEW_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _exists(path: Path) -> VoiceError:
    return VoiceError(
        f"There is a voice '{path.stem}' already.",
        expected="a name that is free",
        got=str(path),
        remedy="Choose another name, or allow overwriting.",
    )
