"""Text vocabularies of the released models, whole or cut short; a short one spares a second and 10 MB a checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
from make_random_checkpoint import write_tokenizer

ROOT = Path(__file__).resolve().parents[2]
# What v3 adds to Qwen's vocabulary, ids 151665 to 151726, in order: a catalogue of its tokenizer_config.json.
FIRST_MARK = 151665
V3_MARKS = [
    f"<|{name}|>"
    for name in (
        "asr streaming_asr tts streaming_tts audio_cont_txt audio audio_end text text_end eoc user assistant system "
        "await_audio ref_audio ref_text emotion:elation emotion:amusement emotion:enthusiasm emotion:determination "
        "emotion:pride emotion:contentment emotion:affection emotion:relief emotion:contemplation emotion:confusion "
        "emotion:surprise emotion:awe emotion:longing emotion:arousal emotion:anger emotion:fear emotion:disgust "
        "emotion:bitterness emotion:sadness emotion:shame emotion:helplessness env:music env:noise style:singing "
        "style:shouting style:whispering sfx:cough sfx:laughter sfx:crying sfx:screaming sfx:burping sfx:humming "
        "sfx:sigh sfx:sniff sfx:sneeze prosody:speed_very_slow prosody:speed_slow prosody:speed_fast "
        "prosody:speed_very_fast prosody:pitch_low prosody:pitch_high prosody:pause prosody:long_pause chatml "
        "prosody:expressive_high prosody:expressive_low"
    ).split()
]
SHORT = 4096  # ids in order of rank: all bytes and the most frequent pieces


def text_encoder(name: str) -> Path:
    """A vocabulary that the ComfyUI tree carries; skips the test where there is no tree."""
    tree = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".comfyui" / "ComfyUI")
    path = tree / "comfy" / "text_encoders" / name
    if not path.exists():
        pytest.skip(f"needs a vocabulary of a ComfyUI tree, not found: {path} (python dev.py test gets it)")
    return path


def llama_tokenizer() -> Path:
    """The Llama 3 vocabulary."""
    return text_encoder("llama_tokenizer/tokenizer.json")


@cache
def short_llama_tokenizer() -> Path:
    """It with Higgs' names, cut short; the special tokens keep their ids."""
    folder = temporary_folder()
    write_tokenizer(folder, llama_tokenizer())
    return cut_short(folder / "tokenizer.json")


def write_qwen_tokenizer(folder: Path, whole: bool) -> None:
    """tokenizer.json: Qwen's vocabulary with v3's marks and some of its tags."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(qwen_tokenizer() if whole else short_qwen_tokenizer(), folder / "tokenizer.json")


@cache
def short_qwen_tokenizer() -> Path:
    return cut_short(Path(shutil.copy(qwen_tokenizer(), temporary_folder())))


@cache
def qwen_tokenizer() -> Path:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    source = text_encoder("qwen25_tokenizer")
    tokenizer = Tokenizer(models.BPE.from_file(str(source / "vocab.json"), str(source / "merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    fill = [f"<|unused_{n}|>" for n in range(tokenizer.get_vocab_size(), FIRST_MARK)]
    for token in [*fill, *V3_MARKS]:
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
    file = temporary_folder() / "tokenizer.json"
    tokenizer.save(str(file))
    return file


def cut_short(file: Path) -> Path:
    """Keep the first SHORT pieces and the special tokens, each with its id."""
    raw = json.loads(file.read_text(encoding="utf-8"))
    model = raw["model"]
    kept = {piece: id for piece, id in model["vocab"].items() if id < SHORT}
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    merges = [[left, right] for left, right in pairs if left in kept and right in kept and left + right in kept]
    # An added token takes the next free id, unless the model has its name; no merge makes one of these of a text.
    special = {token["content"]: token["id"] for token in raw["added_tokens"]}
    model.update(vocab={**kept, **special}, merges=merges, ignore_merges=False)
    file.write_text(json.dumps(raw), encoding="utf-8")
    return file


_FOLDERS: list[tempfile.TemporaryDirectory] = []  # they go when the process ends


def temporary_folder() -> Path:
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="higgs-vocabulary-"))
    return Path(_FOLDERS[-1].name)
