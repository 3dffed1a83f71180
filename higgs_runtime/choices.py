"""What a person chooses among by name: tables that are read without torch, so that `higgs --help` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

DEVICES = ("cpu", "cuda", "mps", "xpu")  # ROCm calls itself cuda
DTYPES = ("bfloat16", "float16", "float32")
CONVERSIONS = ("int8", "int4")  # what a checkpoint is written anew in
QUANTIZATIONS = (*CONVERSIONS, "fp8")


class PromptFormat(str, Enum):
    """How a checkpoint's prompts are laid out (see prompt/builder.py); each is also its text."""

    NATIVE = "native"  # v2 as transformers has it
    ORIGINAL = "original"  # v2 as Boson AI's own code has it
    V3 = "v3"

    __str__ = str.__str__


# name -> suffix, and libsndfile's sample encoding or the key of CODINGS
EXPORT_FORMATS = {
    "wav 16-bit": (".wav", "PCM_16"),
    "wav 24-bit": (".wav", "PCM_24"),
    "wav 32-bit float": (".wav", "FLOAT"),
    "flac 16-bit": (".flac", "flac"),
    "flac 24-bit": (".flac", "flac24"),
    "mp3": (".mp3", "mp3"),
    "opus": (".opus", "opus"),
    "m4a (AAC)": (".m4a", "m4a"),
    "m4b (AAC audiobook)": (".m4b", "m4b"),
}


@dataclass(frozen=True)
class Norm:
    """One row of the table. A range is (lowest, highest); None asks for nothing.

    Attributes:
        title: for people.
        target: where normalizing lands: LUFS (BS.1770), or dB RMS where `rms_db` is asked for.
        ceiling_db: of the limiter, in dBTP.
        integrated_lufs, rms_db: level of the whole clip.
        true_peak_dbtp, peak_dbfs, floor_db: the highest that is allowed; the floor is the RMS of the quietest 0.5 s.
        channels: the number of channels.
    """

    title: str
    target: float
    ceiling_db: float
    integrated_lufs: tuple[float, float] | None = None
    rms_db: tuple[float, float] | None = None
    true_peak_dbtp: float | None = None
    peak_dbfs: float | None = None
    floor_db: float | None = None
    channels: int | None = None


# Sources: Spotify and YouTube play at -14 LUFS, Apple's podcasts at -16 ± 1 LKFS, both below -1 dBTP (a mono file that
# plays on two loudspeakers counts 3 dB more, hence -19); EBU R 128 (2023); ATSC A/85 (2013); ACX audio submission
# requirements. The platforms name no tolerance for -14 and -19: 1 LU is Apple's.
NORMS = {
    "streaming": Norm("Streaming, -14 LUFS", -14, -1, integrated_lufs=(-15, -13), true_peak_dbtp=-1),
    "podcast": Norm("Podcast, -16 LUFS", -16, -1, integrated_lufs=(-17, -15), true_peak_dbtp=-1),
    "podcast mono": Norm(
        "Podcast in mono, -19 LUFS", -19, -1, integrated_lufs=(-20, -18), true_peak_dbtp=-1, channels=1
    ),
    "ebu r128": Norm("EBU R 128, -23 LUFS", -23, -1, integrated_lufs=(-23.5, -22.5), true_peak_dbtp=-1),
    "atsc a85": Norm("ATSC A/85, -24 LKFS", -24, -2, integrated_lufs=(-26, -22), true_peak_dbtp=-2),
    "acx": Norm("ACX audiobook", -20, -3, rms_db=(-23, -18), peak_dbfs=-3, floor_db=-60),
}

# Frames a second of films, by the names that people call them: those with a point are a thousandth slower than 24, 30 …
FRAME_RATES = {
    "23.976": Fraction(24_000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30_000, 1001),
    "30": Fraction(30),
    "47.952": Fraction(48_000, 1001),
    "48": Fraction(48),
    "50": Fraction(50),
    "59.94": Fraction(60_000, 1001),
    "60": Fraction(60),
}

CAPTION_FORMATS = ("srt", "vtt", "ass", "json")
CAPTION_STYLES = ("captions", "words", "karaoke")  # one cue a caption, a word, and a caption whose words light up
