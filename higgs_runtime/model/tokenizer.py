"""The text side of a checkpoint: its tokenizer.json, with special tokens only where the layout puts them."""

from __future__ import annotations

import re
from pathlib import Path

from ..checkpoint.files import TOKENIZER_FILE, read_tokenizer
from ..choices import PromptFormat
from ..errors import CheckpointError, PromptError
from .config import ModelConfig

BEGIN = "<|begin_of_text|>"
HEADER_START, HEADER_END = "<|start_header_id|>", "<|end_header_id|>"
END_OF_TURN = "<|eot_id|>"
SCENE_START, SCENE_END = "<|scene_desc_start|>", "<|scene_desc_end|>"
AUDIO_BEGIN, AUDIO_END = "<|audio_out_bos|>", "<|audio_eos|>"
AUDIO_IN_BEGIN = "<|audio_bos|>"
AUDIO = "<|AUDIO_OUT|>"

_REQUIRED = (BEGIN, HEADER_START, HEADER_END, END_OF_TURN, AUDIO_BEGIN, AUDIO_END, AUDIO)

V3_BEGIN, V3_TEXT, V3_AUDIO = "<|tts|>", "<|text|>", "<|audio|>"
V3_REFERENCE_TEXT, V3_REFERENCE_AUDIO = "<|ref_text|>", "<|ref_audio|>"
_V3_REQUIRED = (V3_BEGIN, V3_TEXT, V3_AUDIO, V3_REFERENCE_TEXT, V3_REFERENCE_AUDIO)
CONTROL = re.compile(r"<\|(?:emotion|style|prosody|sfx):[^|]+\|>")
_HALF = re.compile(r"[\ud800-\udfff]")  # of JSON's escapes, and of bytes that are no text


class ChatTokenizer:
    """Text to ids, and the ids and stream numbers that the prompt layout needs.

    `encode` treats everything as plain text: "<|eot_id|>" in a script is nine characters, never the end of a turn.

    Attributes:
        checkpoint: name of the model's folder or file.

    Args:
        path: tokenizer.json, or the model folder that holds it; or the file or folder that `content` was read from.
        config: of the model that will read the ids.
        content: of tokenizer.json, where it is known already.

    Raises:
        CheckpointError: no or a broken tokenizer.json, or one that does not fit the model.
    """

    def __init__(self, path: str | Path, config: ModelConfig, content: bytes | None = None):
        from tokenizers import Tokenizer

        path = Path(path)
        path = path / TOKENIZER_FILE if path.is_dir() else path
        try:
            full = Tokenizer.from_buffer(read_tokenizer(path) if content is None else content)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - the library raises bare Exception
            raise CheckpointError(
                f"{path} cannot be read.",
                expected="a tokenizer.json",
                got=str(error),
                remedy="Download the file again.",
            ) from error
        self.config = config
        self.checkpoint = (path.absolute().parent if path.name == TOKENIZER_FILE else path).name
        self._special = {token.content: id for id, token in full.get_added_tokens_decoder().items()}
        self._check(full.get_vocab_size(with_added_tokens=True), path)
        # The same vocabulary without added tokens cannot produce a special id, whatever the text says.
        self._plain = Tokenizer(full.model)
        self._plain.normalizer = full.normalizer
        self._plain.pre_tokenizer = full.pre_tokenizer

    def encode(self, text: str) -> list[int]:
        """Ids of plain text.

        Raises:
            PromptError: it holds halves of characters, as what was read in a wrong encoding does.
        """
        if broken := _HALF.search(text):
            raise PromptError(
                "The text holds half a character.",
                expected="text in Unicode",
                got=f"U+{ord(broken[0]):04X} at character {broken.start() + 1}",
                remedy="Save the text as UTF-8, or correct it here.",
            )
        return self._plain.encode(text, add_special_tokens=False).ids

    def special(self, token: str) -> int | None:
        """Id of a special token, or None where the checkpoint has it only as plain text."""
        return self._special.get(token)

    @property
    def controls(self) -> list[str]:
        """The tags that a text may hold and the model acts on, as "<|emotion:anger|>"."""
        return sorted(token for token in self._special if CONTROL.fullmatch(token))

    def _check(self, size: int, path: Path) -> None:
        v3 = self.config.prompt_layout == PromptFormat.V3
        required = _V3_REQUIRED if v3 else _REQUIRED
        missing = [token for token in required if token not in self._special]
        if missing:
            raise CheckpointError(
                f"{path} is not the tokenizer of a Higgs checkpoint.",
                expected=f"{'Qwen3' if v3 else 'Llama 3'}'s vocabulary with Higgs' special tokens",
                got=f"none named {', '.join(missing)}",
                remedy="Put the tokenizer.json of this checkpoint beside its weights.",
            )
        pairs = {} if v3 else {AUDIO: self.config.audio_token_id, AUDIO_BEGIN: self.config.audio_bos_token_id}
        wrong = [
            f"{token} is {self._special[token]}, not {id}" for token, id in pairs.items() if self._special[token] != id
        ]
        # Llama's tokenizer.json may name a few more reserved tokens than the model has rows; used ids must fit.
        if max(self._special[token] for token in required) >= self.config.vocab_size:
            wrong.append("special tokens lie beyond the model's vocabulary")
        if size - len(self._special) > self.config.vocab_size:
            wrong.append(f"{size} tokens for a model with {self.config.vocab_size}")
        if wrong:
            raise CheckpointError(
                f"{path} does not fit this model.",
                expected="the ids that config.json names",
                got="; ".join(wrong),
                remedy="Put the tokenizer.json of this checkpoint beside its weights.",
            )
