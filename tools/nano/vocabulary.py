"""The text side: a word-level tokenizer with Higgs' special tokens, in the file format of the released one."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from .domain import PAUSES, REPEATED_MARK, TYPOGRAPHY, words

SPECIAL = [
    "<|end_of_text|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|audio_out_bos|>",
    "<|reserved_special_token_6|>",
    "<|AUDIO|>",
    "<|AUDIO_OUT|>",
    "<|scene_desc_start|>",
    "<|scene_desc_end|>",
]
UNKNOWN = "<unk>"
ROLES = ["system", "user", "assistant"]
TAGS = [f"[speaker{number}]" for number in range(10)]


def tokens() -> list[str]:
    """All tokens; a token's place is its id."""
    marks = [mark for mark in PAUSES if mark.strip()]
    rest = [UNKNOWN, *ROLES, *TAGS, *marks, *"0123456789", *words()]
    return SPECIAL + list(dict.fromkeys(rest))


def token_id(token: str) -> int:
    return tokens().index(token)


def write_tokenizer(folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json. Words are read in lower case, digits one by one."""
    names = tokens()
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            *(normalizers.Replace(sign, plain) for sign, plain in TYPOGRAPHY.items()),
            normalizers.Replace(Regex(REPEATED_MARK), ""),
        ]
    )
    # Other letters become the unknown token; other signs are not read at all.
    piece = Regex(r"\[speaker\d\]|[a-z]+(?:'[a-z]+)*|\d|[,;:.!?-]|[^\W\d_a-z]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(piece, behavior="removed", invert=True)
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|end_of_text|>",
        "unk_token": UNKNOWN,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
