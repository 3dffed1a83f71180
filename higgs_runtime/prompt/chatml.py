"""What prompts are made of, one piece after the other: text, special tokens and audio."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..audio.clip import AudioClip
from ..choices import PromptFormat
from ..errors import PromptError, SettingError
from ..model import ChatTokenizer, delayed_rows
from ..model.delay import begun_rows
from ..model.tokenizer import AUDIO_BEGIN, AUDIO_END, AUDIO_IN_BEGIN, HEADER_END, HEADER_START
from ..types import Codes, Prompt

Encode = Callable[[AudioClip], Codes]


class PromptBuilder:
    """Collects text, special tokens and audio. Neighbouring texts are tokenized as one, as in the written prompt.

    Args:
        encode: for clips among the audio.
        layout: one that the checkpoint can have.

    Raises:
        SettingError: there is no such layout.
    """

    def __init__(self, tokenizer: ChatTokenizer, encode: Encode | None, layout: str):
        own = tokenizer.config.prompt_layout
        fitting = [one for one in PromptFormat if (one == PromptFormat.V3) == (own == PromptFormat.V3)]
        if layout not in fitting:
            raise SettingError(
                "There is no such prompt layout for this checkpoint.",
                expected=" or ".join(fitting),
                got=repr(layout),
                remedy="Leave it out: the checkpoint knows its own.",
            )
        self._tokenizer, self._encode, self._native = tokenizer, encode, layout == PromptFormat.NATIVE
        self._ids: list[int] = []
        self._rows: list[torch.Tensor] = []
        self._text = ""
        self._begun: torch.Tensor | None = None

    def text(self, text: str) -> PromptBuilder:
        self._text += text
        return self

    def special(self, token: str) -> PromptBuilder:
        id = self._tokenizer.special(token)
        if id is None:
            return self.text(token)
        self._flush()
        self._ids.append(id)
        return self

    def header(self, role: str) -> PromptBuilder:
        return self.special(HEADER_START).text(role).special(HEADER_END).text("\n\n")

    def rows(self, audio: Codes | AudioClip, *, begin: bool) -> PromptBuilder:
        """Frames as v3 has them: without a column of ends, and a column of begins only where the model spoke."""
        config = self._tokenizer.config
        rows = self._delayed(audio)[0 if begin else 1 : -1]
        self._flush()
        self._ids += [config.audio_token_id] * len(rows)
        self._rows.append(rows)
        return self

    def audio(self, audio: Codes | AudioClip, heard: bool = False) -> PromptBuilder:
        """A clip with what stands around it in v2; `heard`: not spoken by the assistant."""
        config = self._tokenizer.config
        rows = self._delayed(audio)
        apart = heard and not self._native
        delayed = config.num_codebooks - 1 if self._native else 0
        id = config.audio_in_token_id if apart and config.audio_in_token_id is not None else config.audio_token_id
        self.special(AUDIO_IN_BEGIN if apart else AUDIO_BEGIN)
        self._flush()
        self._ids += [id] * (len(rows) - delayed) + [config.audio_delay_token_id] * delayed
        self._rows.append(rows)
        return self.special(AUDIO_END)

    def begun(self, audio: Codes | AudioClip) -> PromptBuilder:
        """Frames that the model goes on from, at the end of a prompt: the rows in which no codebook is free, but for
        the last one, which is what the model's first step reads."""
        config = self._tokenizer.config
        ids = self._codes(audio).ids.cpu().long()
        rows = begun_rows(ids, config.stream_bos_id)[0][:-1]
        self._flush()
        self._ids += [config.audio_token_id] * len(rows)
        self._rows.append(rows)
        self._begun = ids
        return self

    def finish(self, warnings: tuple[str, ...]) -> Prompt:
        self._flush()
        rows = torch.cat(self._rows) if self._rows else torch.empty((0, self._tokenizer.config.num_codebooks))
        return Prompt(torch.tensor(self._ids, dtype=torch.long), rows.long(), warnings, self._begun)

    def _delayed(self, audio: Codes | AudioClip) -> torch.Tensor:
        config = self._tokenizer.config
        return delayed_rows(self._codes(audio).ids.cpu(), config.stream_bos_id, config.stream_eos_id)

    def _flush(self) -> None:
        if self._text:
            self._ids += self._tokenizer.encode(self._text)
            self._text = ""

    def _codes(self, audio: Codes | AudioClip) -> Codes:
        if isinstance(audio, AudioClip):
            if self._encode is None:
                raise PromptError(
                    "The conversation holds a clip, not codes.",
                    expected="codes, or a codec's encode",
                    got="an AudioClip alone",
                    remedy="Pass encode=codec.encode.",
                )
            audio = self._encode(audio)
        self._check_origin(audio)
        if audio.frames == 0:
            raise PromptError(
                "A reference clip is empty.",
                expected="at least one frame",
                got="0 frames",
                remedy="Use a clip of 3 to 15 seconds.",
            )
        return audio

    def _check_origin(self, codes: Codes) -> None:
        config = self._tokenizer.config
        if (codes.num_codebooks, codes.codebook_size) != (config.num_codebooks, config.codebook_size):
            expected = f"{config.num_codebooks} codebooks of {config.codebook_size}"
            got = f"{codes.num_codebooks} of {codes.codebook_size}"
        elif not codes.may_be_of(config.codec_identity):
            expected, got = f"codes of codec {config.codec_identity}", f"codes of {codes.origin}"
        else:
            return
        raise PromptError(
            "These codes come from another codec than the model was trained with.",
            expected=expected,
            got=got,
            remedy="Encode the clip with the Higgs codec of this checkpoint.",
        )
