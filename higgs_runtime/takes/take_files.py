"""One take in one safetensors file: its codes, and what is known of it as JSON. Read whole, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..atomic_write import write_bytes
from ..errors import SettingError, TakeError
from ..types import Codes, FinishReason, Generation


@dataclass(frozen=True, eq=False)
class Take:
    """One rendering of a line with one seed.

    Attributes:
        seconds: wall-clock time that it took.
        meta: what else is known, as JSON: speaker, text, line, model, created (seconds since 1970), heard, wer,
            similarity, verdict, …

    Raises:
        SettingError: `meta` is not JSON (also NaN is not).
    """

    codes: Codes
    finish_reason: FinishReason
    seed: int
    seconds: float
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        try:
            plain = json.loads(json.dumps(dict(self.meta), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise SettingError(
                "The notes of a take are not JSON.",
                expected="texts, finite numbers, lists, None",
                got=str(error),
                remedy="Write it as text, or leave it out.",
            ) from error
        object.__setattr__(self, "meta", plain)

    @classmethod
    def of(cls, spoken: Generation, seed: int, **meta) -> Take:
        """What `generate` gave for a prompt, with notes."""
        return cls(spoken.codes, spoken.finish_reason, seed, spoken.seconds, meta)


class BrokenTake(Exception):
    """A file that does not hold the take of its name, whole."""


def packed_take(key: str, take: Take) -> bytes:
    """A take as the bytes of one file."""
    from safetensors.torch import save

    codes = take.codes
    ids = codes.ids.detach().to("cpu", torch.int16 if codes.codebook_size <= 1 << 15 else torch.int32).contiguous()
    about = json.dumps(
        {
            "key": key,
            "frame_rate": codes.frame_rate,
            "codebook_size": codes.codebook_size,
            "codec": codes.codec,
            "finish_reason": take.finish_reason,
            "seed": take.seed,
            "seconds": take.seconds,
            "meta": take.meta,
        }
    )
    return save({"codes": ids}, {"take": about, "sha256": _digest(about, ids)})


def unpacked_take(data: bytes, key: str) -> Take:
    """The take in the bytes of one file.

    Raises:
        BrokenTake: they are truncated, damaged, or those of another key.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        ids = load(data)["codes"]  # checks the header
        head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        about = json.loads(head["take"])
        if head["sha256"] != _digest(head["take"], ids) or about["key"] != key:
            raise ValueError("its contents do not fit its sum or its name")
        codes = Codes(ids.long(), about["frame_rate"], about["codebook_size"], about["codec"])
        return Take(codes, about["finish_reason"], about["seed"], about["seconds"], about["meta"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BrokenTake(str(error)) from error


def write_take(path: Path, key: str, take: Take) -> int:
    """Put a take in place of what is there, if anything: it appears whole, or not at all. Returns its bytes.

    Raises:
        TakeError: the disk is full or not writable; what was there stays.
    """
    data = packed_take(key, take)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data, sync=True)
    except OSError as error:
        raise TakeError(
            f"A take could not be stored in '{path.parent}'.",
            expected=f"{len(data)} bytes written",
            got=error.strerror or str(error),
            remedy="Make room on the disk (`higgs takes prune`), or store takes "
            "elsewhere. Takes that were stored before are still there.",
        ) from error
    return len(data)


def read_take(path: Path, key: str) -> Take:
    """Read a take.

    Raises:
        FileNotFoundError: there is none.
        BrokenTake: as `unpacked_take`.
    """
    return unpacked_take(path.read_bytes(), key)


def _digest(about: str, ids: torch.Tensor) -> str:
    return hashlib.sha256(about.encode() + ids.numpy().tobytes()).hexdigest()
