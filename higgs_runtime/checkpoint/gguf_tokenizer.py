"""The tokenizer in a GGUF file, as a tokenizer.json: Qwen's byte-level BPE from its pieces and merges.

Keys: docs/gguf.md of https://github.com/ggml-org/ggml, as llama.cpp's converter writes them. It names the rule that
cuts text into words ("qwen2"), and says of each piece whether it is one of text. CrispASR's form has the pieces of text
alone: the marks behind them are those of the release.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from .gguf_file import GgufFile

KEYS = "tokenizer.ggml."
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # kinds of pieces; others are of other tokenizers
NEEDED = "<|audio|>"  # without it, it is the tokenizer of another model
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECES_OF_TEXT = 151_643  # of Qwen 2.5 and 3
EMOTIONS = (
    "elation amusement enthusiasm determination pride contentment affection relief contemplation confusion surprise "
    "awe longing arousal anger fear disgust bitterness sadness shame helplessness"
)
SOUNDS = "cough laughter crying screaming burping humming sigh sniff sneeze"
# The marks of the release behind these pieces, in order: Qwen's, and from 151665 on Higgs'.
MARKS = (
    *"<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|>".split(),
    *"<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>".split(),
    *"<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|>".split(),
    "<|file_sep|>",
    *(
        f"<|{name}|>"
        for name in (
            *"asr streaming_asr tts streaming_tts audio_cont_txt audio audio_end text text_end eoc user".split(),
            *"assistant system await_audio ref_audio ref_text".split(),
            *(f"emotion:{name}" for name in EMOTIONS.split()),
            *"env:music env:noise style:singing style:shouting style:whispering".split(),
            *(f"sfx:{name}" for name in SOUNDS.split()),
            *(f"prosody:speed_{name}" for name in "very_slow slow fast very_fast".split()),
            *(f"prosody:{name}" for name in "pitch_low pitch_high pause long_pause".split()),
            *"chatml prosody:expressive_high prosody:expressive_low".split(),
        )
    ),
)


@lru_cache(64)
def holds_tokenizer(file: GgufFile) -> bool:
    """Whether `tokenizer_of` makes one."""
    return _pieces(file) is not None and bool(file.texts(f"{KEYS}merges"))


def tokenizer_of(file: GgufFile) -> bytes | None:
    """A tokenizer.json with the ids of the tokenizer that the file was made from; None where it holds none, or another
    one than Qwen's with Higgs' marks."""
    found, merges = _pieces(file), file.texts(f"{KEYS}merges")
    if found is None or not merges:
        return None
    text, marks = found
    made: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [
            {"id": id, "content": name, "special": True, "normalized": False}
            | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
            for name, id in marks.items()
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            ],
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        # A mark that is none of the model's pieces would get the next free id; no merge makes one of these of a text.
        "model": {"type": "BPE", "vocab": {**text, **marks}, "merges": [pair.split(" ") for pair in merges]},
    }
    return json.dumps(made, ensure_ascii=False).encode()


def _pieces(file: GgufFile) -> tuple[dict[str, int], dict[str, int]] | None:
    """Pieces of text, and marks, with their ids."""
    written_as = file.text(f"{KEYS}model"), file.text(f"{KEYS}pre")
    tokens, kinds = file.texts(f"{KEYS}tokens"), file.numbers(f"{KEYS}token_type")
    if not tokens:
        return None
    if kinds is None and written_as == (None, None) and len(tokens) == PIECES_OF_TEXT:
        marks = {name: PIECES_OF_TEXT + place for place, name in enumerate(MARKS)}
        return {name: id for id, name in enumerate(tokens)}, marks
    if written_as != ("gpt2", "qwen2") or kinds is None or len(kinds) != len(tokens):
        return None
    if not set(kinds) <= {NORMAL, CONTROL, USER_DEFINED, UNUSED}:
        return None
    pieces = [(name, id, kind) for id, (name, kind) in enumerate(zip(tokens, kinds, strict=True))]
    marks = {name: id for name, id, kind in pieces if kind in (CONTROL, USER_DEFINED)}
    return ({name: id for name, id, kind in pieces if kind == NORMAL}, marks) if NEEDED in marks else None
