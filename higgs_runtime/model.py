"""The Higgs language model in plain torch: a Llama-style decoder that reads text tokens and audio frames.

Architecture after Boson AI's Higgs Audio v2 (github.com/boson-ai/higgs-audio): every layer has one attention
for all positions, and a norm + FFN of its own for audio positions (DualFFN). A config without `audio_path`
gives a layer with one FFN, and `qk_norm` adds Qwen3's head norms.

Shapes: B batch, S sequence, H hidden, N = B·S positions, K codebooks, V rows of an audio head, R audio positions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig, RopeConfig
from .errors import PromptError
from .kv_cache import KVCache
from .types import Prompt


class Routing(NamedTuple):
    """Which of the N flattened positions are text and which audio; None stands for "no such position"."""

    text: Tensor | None
    audio: Tensor | None

    @classmethod
    def from_mask(cls, audio_mask: Tensor) -> Routing:
        """audio_mask: bool [B, S]."""
        flat = audio_mask.flatten()
        audio, text = flat.nonzero().squeeze(1), (~flat).nonzero().squeeze(1)
        return cls(text if len(text) else None, audio if len(audio) else None)


_SOME = torch.empty(0, dtype=torch.long)  # "not None": with all positions on one path the indices are not looked at
ALL_AUDIO = Routing(text=None, audio=_SOME)
ALL_TEXT = Routing(text=_SOME, audio=None)


class RMSNorm(nn.Module):
    """Root mean square norm (Zhang & Sennrich 2019) over the last dimension."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): [*, H] → [*, H]."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.ffn_bias)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.ffn_bias)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.ffn_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Attention(nn.Module):
    """Causal self-attention with grouped key/value heads (Ainslie et al. 2023): [B, S, H] → [B, S, H]."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer, self.heads, self.kv_heads, self.head_dim = (
            layer, config.num_heads, config.num_kv_heads, config.head_dim,
        )
        hidden, bias = config.hidden_size, config.attention_bias
        self.q = nn.Linear(hidden, self.heads * self.head_dim, bias=bias)
        self.k = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=bias)
        self.v = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=bias)
        self.o = nn.Linear(self.heads * self.head_dim, hidden, bias=bias)
        self.q_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], cache: KVCache | None) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_norm(self.q(x).view(batch, length, self.heads, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k(x).view(batch, length, self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.v(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = rotate(q, *rope), rotate(k, *rope)
        if cache is not None:
            k, v = cache.write(self.layer, k, v)
        return self.o(grouped_attention(q, k, v).transpose(1, 2).reshape(batch, length, -1))


class Path(nn.Module):
    """The part of a layer that text and audio positions do not share: two norms and an FFN."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.ffn_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.ffn = FeedForward(config)

    def feed(self, x: Tensor) -> Tensor:
        return x + self.ffn(self.ffn_norm(x))


class Layer(nn.Module):
    """One decoder layer: [B, S, H] → [B, S, H]."""

    def __init__(self, config: ModelConfig, index: int):
        super().__init__()
        self.attention = Attention(config, index)
        self.text = Path(config)
        self.audio = Path(config) if config.audio_path else None

    def forward(self, x: Tensor, routing: Routing, rope: tuple[Tensor, Tensor], cache: KVCache | None) -> Tensor:
        text, audio = self.text, self.audio or self.text
        routing = routing if self.audio else ALL_TEXT
        x = x + self.attention(routed(x, routing, text.attention_norm, audio.attention_norm), rope, cache)
        return routed(x, routing, text.feed, audio.feed)


class HiggsModel(nn.Module):
    """Text tokens and audio frames in, logits of the next audio frame out.

    Attributes:
        config: ModelConfig.
        tokenizer: the checkpoint's ChatTokenizer, or None for a model built without files.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.tokenizer = None
        self.text_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.audio_embedding = nn.Embedding(config.num_codebooks * config.codebook_rows, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.audio_head = nn.Linear(config.hidden_size, config.num_codebooks * config.codebook_rows, bias=False)
        # Built on the CPU even while the weights are still on the meta device: no file carries these.
        offsets = torch.arange(config.num_codebooks, device="cpu") * config.codebook_rows
        self.register_buffer("codebook_offsets", offsets, persistent=False)
        self.register_buffer("inverse_frequencies", inverse_frequencies(config.rope, config.head_dim), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.audio_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.audio_head.weight.dtype

    def new_cache(self, capacity: int, batch: int = 1) -> KVCache:
        return KVCache(self.config, capacity, batch=batch, device=self.device, dtype=self.dtype)

    def embed_rows(self, rows: Tensor) -> Tensor:
        """Delayed rows [..., K] → the sum of their code embeddings [..., H]."""
        return self.audio_embedding(rows + self.codebook_offsets).sum(dim=-2)

    def embed(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """Embeddings [1, S, H] of a prompt and its audio mask [1, S].

        Raises:
            PromptError: audio rows and placeholders do not match, or ids leave the vocabulary.
        """
        ids, rows = prompt.token_ids.to(self.device), prompt.audio_rows.to(self.device)
        mask = (ids == self.config.audio_token_id) | (ids == self.config.audio_delay_token_id)
        self._check(ids, rows, int(mask.sum()))
        x = self.text_embedding(ids)
        x[mask] = self.embed_rows(rows)
        return x[None], mask[None]

    def forward(self, x: Tensor, routing: Routing, cache: KVCache | None = None) -> Tensor:
        """Embeddings [B, S, H] → hidden states [B, S, H]; a cache is read and filled."""
        start = cache.length if cache is not None else 0
        positions = torch.arange(start, start + x.shape[1], device=x.device)
        rope = rope_tables(positions, self.inverse_frequencies, x.dtype)
        for layer in self.layers:
            x = layer(x, routing, rope, cache)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x)

    def head(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., H] → float32 logits [..., K, V]."""
        logits = self.audio_head(hidden).float()
        return logits.unflatten(-1, (self.config.num_codebooks, self.config.codebook_rows))

    @torch.no_grad()
    def logits(self, prompt: Prompt) -> Tensor:
        """Logits of every position without a cache: float32 [S, K, V]. For comparisons."""
        x, mask = self.embed(prompt)
        return self.head(self(x, Routing.from_mask(mask)))[0]

    def step(self, rows: Tensor, cache: KVCache) -> Tensor:
        """Read one delayed row per batch row [B, K]; return the next logits [B, K, V]."""
        return self.head(self(self.embed_rows(rows)[:, None], ALL_AUDIO, cache)[:, 0])

    def _check(self, ids: Tensor, rows: Tensor, placeholders: int) -> None:
        c = self.config
        if ids.ndim != 1 or len(ids) == 0:
            raise PromptError("The prompt is empty.", expected="token ids [S]", got=f"shape {list(ids.shape)}",
                              remedy="Build the prompt with build_prompt.")
        if tuple(rows.shape) != (placeholders, c.num_codebooks):
            raise PromptError(
                "The audio of the prompt does not fit its placeholders.",
                expected=f"rows of shape [{placeholders}, {c.num_codebooks}]", got=str(list(rows.shape)),
                remedy="Use codes of this checkpoint's codec and build the prompt with its tokenizer.",
            )
        if int(ids.max()) >= c.vocab_size or (len(rows) and int(rows.max()) >= c.codebook_rows):
            raise PromptError(
                "The prompt holds ids that the model does not have.",
                expected=f"token ids below {c.vocab_size}, audio ids below {c.codebook_rows}",
                got=f"{int(ids.max())} and {int(rows.max()) if len(rows) else '-'}",
                remedy="Use tokenizer and codec of this checkpoint.",
            )


def routed(x: Tensor, routing: Routing, text_fn, audio_fn) -> Tensor:
    """Apply each function to its own positions of x [B, S, H] and to no other."""
    if routing.audio is None:
        return text_fn(x)
    if routing.text is None:
        return audio_fn(x)
    flat = x.flatten(0, 1)
    out = torch.empty_like(flat)
    out[routing.text] = text_fn(flat[routing.text])
    out[routing.audio] = audio_fn(flat[routing.audio])
    return out.view_as(x)


def inverse_frequencies(rope: RopeConfig, head_dim: int) -> Tensor:
    """Rotation per position of each pair of channels, float32 [head_dim / 2], Llama-3 scaling applied."""
    exponents = torch.arange(0, head_dim, 2, device="cpu").float() / head_dim
    frequencies = 1.0 / rope.theta**exponents
    if rope.factor == 1.0:
        return frequencies
    turns = rope.original_context * frequencies / (2 * math.pi)  # full turns within the trained context
    keep = ((turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)).clamp(0, 1)
    return frequencies * (keep + (1 - keep) / rope.factor)


def rope_tables(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin [S, head_dim] of the rotation at each position."""
    angles = torch.outer(positions.float(), frequencies.to(positions.device).float()).repeat(1, 2)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channel pairs (i, i + head_dim/2) of x [B, heads, S, head_dim]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def grouped_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of S queries [B, heads, S, D] on T ≥ S keys [B, kv_heads, T, D]; the last S align.

    A single query attends to everything, so the heads of a group become the queries of their key/value head and
    nothing is expanded.
    """
    batch, heads, length, dim = q.shape
    kv_heads, total = k.shape[1], k.shape[2]
    groups = heads // kv_heads
    if length == 1:
        out = F.scaled_dot_product_attention(q.view(batch, kv_heads, groups, dim), k, v)
        return out.view(batch, heads, 1, dim)
    k, v = (t[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2) for t in (k, v))
    if length == total:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.ones(length, total, dtype=torch.bool, device=q.device).tril(total - length)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
