"""The released checkpoints that can be downloaded: where each is, and which revision is meant.

The revisions of the native layouts are those that other projects pin and describe in these layouts; v2's was found in
one of them, the codec's and v3's in many. None could be fetched where this was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..errors import SettingError

V2_TERMS = "Boson Higgs Audio 2 Community License"
V2_LICENCE = (
    f"{V2_TERMS} (Boson AI's): above 100,000 annual active users an expanded licence is needed, and it asks for "
    "attribution."
)
V3_TERMS = "research and non-commercial use only"
V3_LICENCE = f"Higgs Audio v3 is licensed for {V3_TERMS}; its licence is Boson AI's."
OWN_LICENCE = "As its model card says."
TEXTS = ("*.json", "*.jinja", "LICENSE*")


@dataclass(frozen=True)
class Release:
    """One checkpoint in one layout.

    Attributes:
        name: of its folder below a models folder.
        about: what it is.
        repository: owner/name on the hub.
        revision: the commit that is meant; empty: none is known, the newest is pinned when it is first downloaded.
        weights: patterns of weight files; the first that names any counts.
        gigabytes: about what is downloaded.
        licence: what has to be said before.
        beside: the releases that it needs, in words.
        memory_gb: that its weights take when loaded, by number format or quantization.
    """

    name: str
    about: str
    repository: str
    revision: str
    weights: tuple[str, ...]
    gigabytes: float
    licence: str
    beside: str = ""
    memory_gb: Mapping[str, float] = field(default_factory=dict)

    def wanted(self, names: list[str]) -> list[str]:
        """The files to fetch of those that the repository has; none of its folders."""
        top = [name for name in names if "/" not in name and "\\" not in name and not name.startswith(".")]
        weights = ([name for name in top if fnmatchcase(name, pattern)] for pattern in self.weights)
        texts = [name for name in top if any(fnmatchcase(name, pattern) for pattern in TEXTS)]
        return [*texts, *next((found for found in weights if found), [])]


_NATIVE = ("*.safetensors",)
_V2_MEMORY = {"float32": 21.5, "bfloat16": 10.8, "int8": 5.8, "int4": 3.5}
_V3_MEMORY = {"float32": 16.2, "bfloat16": 8.1, "int8": 4.5, "int4": 2.8}
RELEASES = {
    release.name: release
    for release in (
        Release(
            "higgs-audio-v2-generation-3B-base",
            "Higgs Audio v2 language model, transformers-native layout",
            "bosonai/higgs-tts-2-3b-base",
            "d80c511612b3040ff2877ce3d408747df1739f11",
            _NATIVE,
            11.6,
            V2_LICENCE,
            "higgs-audio-v2-tokenizer",
            _V2_MEMORY,
        ),
        Release(
            "higgs-audio-v2-tokenizer",
            "Higgs Audio v2 codec, transformers-native layout",
            "bosonai/higgs-audio-v2-tokenizer",
            "403fbacf2f60caaa102f893fdfabb694619b2417",
            _NATIVE,
            0.8,
            V2_LICENCE,
            "higgs-audio-v2-generation-3B-base",
            {"float32": 0.7},
        ),
        Release(
            "higgs-audio-v3-tts-4b",
            "Higgs Audio v3 language model with its codec",
            "bosonai/higgs-tts-3-4b",
            "7556c17e05201fccd9c8cc120bc216dcc7b5d561",
            _NATIVE,
            9.3,
            V3_LICENCE,
            memory_gb=_V3_MEMORY,
        ),
        Release(
            "higgs-audio-v2-generation-3B-base-original",
            "Higgs Audio v2 language model, original layout",
            "bosonai/higgs-tts-2-3b-base",
            "10840182ca4ad5d9d9113b60b9bb3c1ef1ba3f84",
            _NATIVE,
            11.6,
            V2_LICENCE,
            "higgs-audio-v2-tokenizer, or its original layout",
            _V2_MEMORY,
        ),
        Release(
            "higgs-audio-v2-tokenizer-original",
            "Higgs Audio v2 codec, original layout",
            "bosonai/higgs-audio-v2-tokenizer",
            "9d4988fbd4ad07b4cac3a5fa462741a41810dbec",
            ("*.pth",),
            0.8,
            V2_LICENCE,
            "a v2 language model, and hubert_base where model.pth lacks HuBERT",
        ),
        Release(
            "hubert_base",
            "HuBERT, for an original codec that lacks it",
            "bosonai/hubert_base",
            "",
            ("*.safetensors", "*.bin"),
            0.4,
            OWN_LICENCE,
            "higgs-audio-v2-tokenizer-original",
        ),
    )
}


def release_named(name: str) -> Release:
    """The release of a name.

    Raises:
        SettingError: there is none.
    """
    if name not in RELEASES:
        raise SettingError(
            f"There is no release '{name}'.",
            expected=" or ".join(RELEASES),
            got=f"'{name}'",
            remedy="Choose one of these; `higgs download` lists them.",
        )
    return RELEASES[name]


FIRST = ("higgs-audio-v2-generation-3B-base", "higgs-audio-v2-tokenizer")  # what is proposed to who has none


def how_to_install() -> str:
    """The commands that fetch a released pair, its size, and the memory that it needs."""
    model, codec = (RELEASES[name] for name in FIRST)
    commands = "".join(f"  higgs download {one.name}    ({one.gigabytes} GB)\n" for one in (model, codec))
    memory = model.memory_gb
    return (
        f"{commands}In memory its weights take {memory['bfloat16']} GB on a GPU, {memory['float32']} GB on a CPU, "
        f"{memory['int8']} GB with --quantization int8, {memory['int4']} GB with int4; those of the codec "
        f"{codec.memory_gb['float32']} GB."
    )


def notice_of(lm) -> str:
    """What a person should know of the checkpoint that speaks, in whole lines; "" of one that needs no words."""
    notice = ""
    if lm.embedded:
        notice = (
            f"Speaking with {lm.title}, a tiny demonstration model{lm.extent}. For real speech:\n{how_to_install()}\n"
        )
    return notice + (f"{lm.licence}\n" if lm.licence else "")
