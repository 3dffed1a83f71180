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
    "attribution. Read it: LICENSE, beside the model."
)
V3_TERMS = "non-commercial; creators may publish with a credit"
V3_LICENCE = (
    "Boson Higgs Audio v3 Research and Non-Commercial License (Boson AI's, 21 May 2026). Its Creator Use Grant, there "
    "since July 2026, lets creators publish and monetise what they make on their own channels with a credit to Boson "
    "AI's Higgs Audio; hosting the model and building it into products need a licence. Read it: LICENSE in "
    "bosonai/higgs-tts-3-4b."
)
CREDIT = "Made with Boson AI's Higgs Audio"  # what the licences of v2 and v3 ask of what is published
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
        other_names: that it has or had elsewhere; may be given in place of its name.
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
    other_names: tuple[str, ...] = ()

    def wanted(self, names: list[str]) -> list[str]:
        """The files to fetch of those that the repository has; none of its folders."""
        top = [name for name in names if "/" not in name and "\\" not in name and not name.startswith(".")]
        by_pattern = ([name for name in top if fnmatchcase(name, pattern)] for pattern in self.weights)
        weights = next((found for found in by_pattern if found), [])
        texts = [name for name in top if any(fnmatchcase(name, pattern) for pattern in TEXTS)]
        if len(weights) == 1:  # the index is of shards that are left out
            texts = [name for name in texts if not name.endswith(".index.json")]
        return [*texts, *weights]


_NATIVE = ("model.safetensors", "*.safetensors")  # v2's repository has one file and the same in three shards
_V2_MEMORY = {"float32": 21.5, "bfloat16": 10.8, "int8": 5.8, "int4": 3.5}
_V3_MEMORY = {"float32": 16.2, "bfloat16": 8.1, "int8": 4.5, "int4": 2.8}
RELEASES = {
    release.name: release
    for release in (
        Release(
            "higgs-audio-v2-generation-3B-base",
            "Higgs Audio v2 (Higgs TTS 2) language model, transformers-native layout",
            "bosonai/higgs-tts-2-3b-base",
            "d80c511612b3040ff2877ce3d408747df1739f11",
            _NATIVE,
            11.6,
            V2_LICENCE,
            "higgs-audio-v2-tokenizer",
            _V2_MEMORY,
            ("higgs-tts-2-3b-base",),
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
            "Higgs Audio v3 (Higgs TTS 3) language model with its codec",
            "bosonai/higgs-tts-3-4b",
            "7556c17e05201fccd9c8cc120bc216dcc7b5d561",
            _NATIVE,
            9.3,
            V3_LICENCE,
            memory_gb=_V3_MEMORY,
            other_names=("higgs-tts-3-4b",),
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
    """The release of a name, also of one that it has or had on the hub.

    Raises:
        SettingError: there is none.
    """
    plain = name.removeprefix("bosonai/")
    for release in RELEASES.values():
        if plain in (release.name, *release.other_names):
            return release
    raise SettingError(
        f"There is no release '{name}'.",
        expected=" or ".join(RELEASES),
        got=f"'{name}'",
        remedy="Choose one of these; `higgs download` lists them.",
    )


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
