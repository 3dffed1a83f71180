"""What a checkpoint's config.json says about the language model, as one frozen dataclass."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..choices import PromptFormat
from ..errors import CheckpointError
from ..text.vocabulary import words_of
from ..types import ReleasedSampling
from .delay import NATIVE_STOP, ORIGINAL_STOP, V3_STOP, StopRule


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embedding (Su et al. 2021) and its Llama-3 frequency scaling (Meta, llama-models).

    Attributes:
        theta: base of the frequencies.
        factor: wavelengths beyond the trained context are stretched by this; 1 means no scaling.
        low_freq_factor, high_freq_factor: where stretching is full and where it ends.
        original_context: positions of the pre-training context.
    """

    theta: float
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


# Positions in training. v3: Boson AI's cookbook, where the file says 32,768. v2: max_position_embeddings of the native
# file; the original one of the same weights has that of its text backbone.
V3_TRAINED, V2_TRAINED = 8192, 2048
# v2: the example of its model card, with the guard of Boson AI's generation.py. v3: the examples of Boson AI's
# cookbook, with the top_p of vLLM-Omni's deployment; nobody guards v3 against repetitions.
V2_SAMPLING = ReleasedSampling(temperature=0.3, top_k=50, top_p=0.95, ras_window=7)
V3_SAMPLING = ReleasedSampling(temperature=0.8, top_k=50, top_p=0.95, ras_window=0)


@dataclass(frozen=True)
class ModelConfig:
    """Shape and ids of a Higgs language model.

    Attributes:
        codebook_rows: V, rows of one audio head: entries plus stream-begin and stream-end.
        audio_path: layers own a second norm and FFN for audio positions (v2 DualFFN).
        text_only_layers: the layers that do not, all the same.
        qk_norm: queries and keys are normalized per head (Qwen3).
        frame_rate: audio frames per second.
        audio_in_token_id: stands for audio rows that are heard and not spoken, where a layout tells these apart.
        stop: how streams end (see generation/schedule.py).
        prompt_layout: how prompts are laid out for it (see prompt/builder.py).
        begin_is_token: where a stream begins the model reads the token `audio_bos_token_id`, and no row of begin ids.
        released: how it samples where nothing else is asked for.
        tied_head: audio head and audio embedding are one matrix.
        display_name: what a person calls it; may be empty.
        vocabulary: the only words that it speaks, in lower case; None: any text.
        codec_identity: `Codec.identity` of the codec that it was trained with; may be empty.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    norm_eps: float
    max_positions: int
    num_codebooks: int
    codebook_rows: int
    audio_token_id: int
    audio_delay_token_id: int
    audio_bos_token_id: int
    stream_bos_id: int
    stream_eos_id: int
    rope: RopeConfig = field(default_factory=lambda: RopeConfig(theta=500_000.0))
    attention_bias: bool = False
    ffn_bias: bool = False
    audio_path: bool = True
    qk_norm: bool = False
    text_only_layers: frozenset[int] = frozenset()
    frame_rate: float = 25.0
    audio_in_token_id: int | None = None
    stop: StopRule = NATIVE_STOP
    prompt_layout: PromptFormat = PromptFormat.NATIVE
    begin_is_token: bool = False
    released: ReleasedSampling = V2_SAMPLING
    tied_head: bool = False
    display_name: str = ""
    vocabulary: frozenset[str] | None = None
    codec_identity: str = ""

    @property
    def trained_positions(self) -> int:
        """Positions that it was trained on; its file may name more."""
        trained = V3_TRAINED if self.prompt_layout == PromptFormat.V3 else V2_TRAINED
        return min(self.max_positions, trained)

    @property
    def codebook_size(self) -> int:
        """Entries of one codebook, without the stream ids."""
        return min(self.stream_bos_id, self.stream_eos_id)

    @property
    def products(self) -> int:
        """Multiplications that a position costs in the layers, without attention itself."""
        projections = 2 * (self.num_heads + self.num_kv_heads) * self.head_dim
        return self.num_layers * self.hidden_size * (projections + 3 * self.intermediate_size)

    def is_audio(self, token_ids):
        """Which of some token ids (a tensor) stand for audio rows."""
        audio = (token_ids == self.audio_token_id) | (token_ids == self.audio_delay_token_id)
        return audio if self.audio_in_token_id is None else audio | (token_ids == self.audio_in_token_id)


def parse_native_v2(raw: dict[str, Any]) -> ModelConfig:
    """Read the config.json of a transformers-native v2 checkpoint (`model_type: higgs_audio_v2`).

    Raises:
        CheckpointError: a field is missing or of another kind, or asks for something that is not implemented here.
    """
    with _read_from_config():
        config = ModelConfig(
            **_backbone(raw),
            num_codebooks=raw["num_codebooks"],
            codebook_rows=raw["codebook_size"],
            audio_token_id=raw["audio_token_id"],
            audio_delay_token_id=raw["audio_delay_token_id"],
            audio_bos_token_id=raw["audio_bos_token_id"],
            stream_bos_id=raw["audio_stream_bos_id"],
            stream_eos_id=raw["audio_stream_eos_id"],
            **parse_additions(raw),
        )
        _check(config, raw)
    return config


# Fields of the original config.json that change what is computed -> the value that is supported, and where left out.
_ORIGINAL_ONLY = {
    "use_delay_pattern": (True, False),
    "encode_audio_in_tokens": (True, False),
    "audio_embed_avg": (False, False),
    "audio_decoder_proj_num_layers": (0, 0),
    "use_audio_out_embed_projector": (False, False),
    "use_audio_out_self_attention": (False, False),
    "use_rq_transformer": (False, False),
}


def parse_original_v2(raw: dict[str, Any]) -> ModelConfig:
    """Read the config.json of an original v2 checkpoint (`model_type: higgs_audio`, Boson AI's own code).

    Raises:
        CheckpointError: as parse_native_v2.
    """
    with _read_from_config():
        text = _part(raw, "text_config")
        audio_id = raw["audio_out_token_idx"]
        config = ModelConfig(
            **_backbone(text),
            num_codebooks=raw["audio_num_codebooks"],
            codebook_rows=raw["audio_codebook_size"] + 2,
            audio_token_id=audio_id,
            audio_delay_token_id=audio_id,
            audio_bos_token_id=raw["audio_out_bos_token_id"],
            audio_in_token_id=raw["audio_in_token_idx"],
            stream_bos_id=raw["audio_stream_bos_id"],
            stream_eos_id=raw["audio_stream_eos_id"],
            text_only_layers=_text_only_layers(raw, text["num_hidden_layers"]),
            stop=ORIGINAL_STOP,
            prompt_layout=PromptFormat.ORIGINAL,
            **parse_additions(raw),
        )
        asked = {name: raw.get(name, absent) or type(known)() for name, (known, absent) in _ORIGINAL_ONLY.items()}
        _refuse({f"{name} {value}" for name, value in asked.items() if value != _ORIGINAL_ONLY[name][0]})
        _check(config, text)
    return config


AUDIO_PLACEHOLDER = -100  # stands for audio rows among the token ids of v3
V3_ROPE_THETA = 1_000_000.0  # of Qwen3; the released file says null


def parse_v3(raw: dict[str, Any]) -> ModelConfig:
    """Read the config.json of a v3 checkpoint (`model_type: higgs_multimodal_qwen3`).

    The id of <|audio|> stands in no config: the loader takes it from the tokenizer.

    Raises:
        CheckpointError: as parse_native_v2.
    """
    with _read_from_config():
        text, audio = _part(raw, "text_config"), _part(raw, "audio_encoder_config")
        rows = audio["vocab_size"]
        config = ModelConfig(
            **_backbone({"head_dim": 128, "rms_norm_eps": 1e-6, **text}, V3_ROPE_THETA),
            num_codebooks=audio["num_codebooks"],
            codebook_rows=rows,
            audio_token_id=AUDIO_PLACEHOLDER,
            audio_delay_token_id=AUDIO_PLACEHOLDER,
            audio_bos_token_id=AUDIO_PLACEHOLDER,
            stream_bos_id=rows - 2,
            stream_eos_id=rows - 1,
            audio_path=False,
            qk_norm=True,
            stop=V3_STOP,
            prompt_layout=PromptFormat.V3,
            begin_is_token=True,
            released=V3_SAMPLING,
            tied_head=audio.get("tie_word_embeddings", True),
            **parse_additions(raw),
        )
        other = {"encoder_type": "discrete", "use_delay_pattern": True, "out_dim": config.hidden_size}
        _refuse({f"{name} {audio[name]!r}" for name, value in other.items() if audio.get(name, value) != value})
        _check(config, text)
    return config


def _text_only_layers(raw: dict[str, Any], count: int) -> frozenset[int]:
    """Layers in which audio positions take the same way as text."""
    adapter = raw.get("audio_adapter_type", "stack")
    rest = frozenset(range(count)) - frozenset(raw.get("audio_dual_ffn_layers") or ())
    if adapter not in ("stack", "dual_ffn", "dual_ffn_fast_forward"):
        _refuse({f"audio_adapter_type {adapter!r}"})
    if adapter == "dual_ffn_fast_forward" and rest:  # there audio positions would pass the rest by
        _refuse({f"{adapter} with audio_dual_ffn_layers for {count - len(rest)} of {count} layers"})
    return frozenset(range(count)) if adapter == "stack" else rest


def _refuse(found: set[str]) -> None:
    if found:
        raise CheckpointError(
            "The settings of this checkpoint are not those of a released Higgs Audio model.",
            expected="the settings of the released v2",
            got=", ".join(sorted(found)),
            remedy="Use a released Higgs Audio checkpoint.",
        )


@contextmanager
def _read_from_config() -> Iterator[None]:
    """Fields that are missing, or of a kind that cannot be computed with, as CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        missing = isinstance(error, KeyError)
        raise CheckpointError(
            f"config.json of the language model is {'incomplete' if missing else 'not usable'}.",
            expected=f"the field {error}" if missing else "numbers and lists as in the released file",
            got="none" if missing else str(error),
            remedy="Download the checkpoint's config.json again.",
        ) from error


_ADDITIONS = {  # field -> what it has to be, in words and as a test
    "display_name": ("a text", lambda value: isinstance(value, str)),
    "vocabulary": (
        "a list of words in lower case",
        lambda value: (
            isinstance(value, list)
            and value
            and all(isinstance(word, str) and words_of(word) == [word] for word in value)
        ),
    ),
    "codec_identity": (
        "16 hexadecimal digits",
        lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value),
    ),
}


def parse_additions(raw: dict[str, Any]) -> dict[str, Any]:
    """What config.json may say of a language model beside transformers' fields, as arguments of ModelConfig.

    Raises:
        CheckpointError: a field is of another kind.
    """
    found = {}
    for name, (expected, fits) in _ADDITIONS.items():
        value = raw.get(name)
        if value is None:
            continue
        if not fits(value):
            raise CheckpointError(
                f"The field '{name}' in config.json of the language model cannot be used.",
                expected=expected,
                got=repr(value)[:80],
                remedy="Correct the field, or leave it out.",
            )
        found[name] = frozenset(value) if isinstance(value, list) else value
    return found


def _part(raw: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(raw[name], dict):
        raise KeyError(name)
    return raw[name]


def _backbone(raw: dict[str, Any], default_theta: float = 500_000.0) -> dict[str, Any]:
    """What all layouts say of the text backbone in transformers' words, as arguments of ModelConfig."""
    heads = raw["num_attention_heads"]
    return {
        "vocab_size": raw["vocab_size"],
        "hidden_size": raw["hidden_size"],
        "intermediate_size": raw["intermediate_size"],
        "num_layers": raw["num_hidden_layers"],
        "num_heads": heads,
        "num_kv_heads": raw.get("num_key_value_heads") or heads,
        "head_dim": raw.get("head_dim") or raw["hidden_size"] // heads,
        "norm_eps": raw["rms_norm_eps"],
        "max_positions": raw["max_position_embeddings"],
        "rope": _parse_rope(raw, default_theta),
        "attention_bias": raw.get("attention_bias", False),
        "ffn_bias": raw.get("mlp_bias", False),
    }


def _parse_rope(raw: dict[str, Any], default_theta: float) -> RopeConfig:
    # transformers 5 writes `rope_parameters`; 4.x wrote `rope_theta` beside `rope_scaling`.
    rope = {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}
    theta = rope.get("rope_theta") or raw.get("rope_theta") or default_theta
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return RopeConfig(theta=theta)
    if kind != "llama3":
        raise CheckpointError(
            "The position encoding of this checkpoint is not supported.",
            expected="rope_type 'default' or 'llama3'",
            got=repr(kind),
            remedy="Use a released Higgs Audio checkpoint.",
        )
    return RopeConfig(
        theta=theta,
        factor=rope["factor"],
        low_freq_factor=rope["low_freq_factor"],
        high_freq_factor=rope["high_freq_factor"],
        original_context=rope["original_max_position_embeddings"],
    )


_MOST = {  # of any model that could be meant: more would take hours or all memory before a tensor is looked at
    "num_layers": 1000,
    "hidden_size": 2**17,
    "intermediate_size": 2**20,
    "vocab_size": 2**23,
    "num_heads": 2**12,
    "num_kv_heads": 2**12,
    "head_dim": 2**12,
    "max_positions": 2**32,
    "num_codebooks": 2**8,
    "codebook_rows": 2**17,
}


def _check(config: ModelConfig, raw: dict[str, Any]) -> None:
    problems = [
        f"{name} {getattr(config, name)!r} (1 to {most})"
        for name, most in _MOST.items()
        if type(getattr(config, name)) is not int or not 1 <= getattr(config, name) <= most
    ]
    problems += [
        f"{name} {value!r}"
        for name, value in {**vars(config.rope), "rms_norm_eps": config.norm_eps}.items()
        if type(value) not in (int, float) or not 0 < value < math.inf
    ]
    if problems:
        raise CheckpointError(
            "config.json of the language model names sizes that no model has.",
            expected="numbers in these ranges",
            got="; ".join(problems),
            remedy="Download the checkpoint's config.json again.",
        )
    if raw.get("hidden_act", "silu") != "silu":
        problems.append(f"hidden_act {raw['hidden_act']!r} (expected 'silu')")
    if config.num_heads % config.num_kv_heads:
        problems.append(f"{config.num_heads} heads over {config.num_kv_heads} key/value heads")
    if config.head_dim % 2:
        problems.append(f"odd head_dim {config.head_dim}")
    if max(config.stream_bos_id, config.stream_eos_id) >= config.codebook_rows:
        problems.append(
            f"codebook_size {config.codebook_rows} has no room for the stream ids "
            f"{config.stream_bos_id} and {config.stream_eos_id}"
        )
    ids = (config.audio_token_id, config.audio_delay_token_id, config.audio_bos_token_id)
    if max(ids) >= config.vocab_size:
        problems.append(f"audio token ids {ids} beyond vocab_size {config.vocab_size}")
    if problems:
        raise CheckpointError(
            "config.json of the language model contradicts itself.",
            got="; ".join(problems),
            remedy="Download the checkpoint's config.json again.",
        )
