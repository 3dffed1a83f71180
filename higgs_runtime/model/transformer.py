"""The Higgs language model in plain torch: a Llama-style decoder that reads text tokens and audio frames.

Architecture after Boson AI's Higgs Audio v2 (github.com/boson-ai/higgs-audio): every layer has one attention
for all positions, and a norm + FFN of its own for audio positions (DualFFN). A config without `audio_path`
gives a layer with one FFN, and `qk_norm` adds Qwen3's head norms.

What is read together is stored together: query, key and value weights are one matrix, gate and up another.

Shapes: B batch, S sequence, T keys, H hidden, D of a head, N = B·S positions, K codebooks, V rows of an audio head,
R audio positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import PromptError
from ..typed_modules import ModulesOf
from ..types import Prompt
from .config import ModelConfig
from .kv_cache import KVCache, Place
from .linear import AudioHead, Linear, PackedLinear
from .rope import inverse_frequencies, rope_table, rotate

if TYPE_CHECKING:
    from .tokenizer import ChatTokenizer


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
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): [N, H] → [N, H]."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        inner, bias = config.intermediate_size, config.ffn_bias
        self.gate_up = PackedLinear(config.hidden_size, {"gate": inner, "up": inner}, bias=bias)
        self.down = Linear(inner, config.hidden_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Attention(nn.Module):
    """Causal self-attention with grouped key/value heads (Ainslie et al. 2023): [N, H] → [N, H]."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer, self.heads, self.kv_heads, self.head_dim = (
            layer,
            config.num_heads,
            config.num_kv_heads,
            config.head_dim,
        )
        hidden, bias, kv = config.hidden_size, config.attention_bias, self.kv_heads * self.head_dim
        self.qkv = PackedLinear(hidden, {"q": self.heads * self.head_dim, "k": kv, "v": kv}, bias=bias)
        self.o = Linear(self.heads * self.head_dim, hidden, bias=bias)
        self.q_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else None

    def forward(self, x: Tensor, place: Place) -> Tensor:
        heads = self.qkv(x).view(*place.shape, self.heads + 2 * self.kv_heads, self.head_dim)
        turned, v = heads.split((self.heads + self.kv_heads, self.kv_heads), dim=2)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = turned.split((self.heads, self.kv_heads), dim=2)
            turned = torch.cat((self.q_norm(q), self.k_norm(k)), dim=2)
        q, k = rotate(turned, place.cos, place.sin).split((self.heads, self.kv_heads), dim=2)
        k, v = place.write(self.layer, k.transpose(1, 2), v.transpose(1, 2))
        out = grouped_attention(q.transpose(1, 2), k, v, place.mask)
        return self.o(out.transpose(1, 2).reshape(len(x), -1))


class Path(nn.Module):
    """The part of a layer that text and audio positions do not share: two norms and an FFN."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.ffn_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.ffn = FeedForward(config)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.ffn(self.ffn_norm(x))


class Layer(nn.Module):
    """One decoder layer: [N, H] → [N, H]."""

    def __init__(self, config: ModelConfig, index: int):
        super().__init__()
        self.attention = Attention(config, index)
        self.text = Path(config)
        self.audio = Path(config) if config.audio_path and index not in config.text_only_layers else None

    def forward(self, x: Tensor, routing: Routing, place: Place) -> Tensor:
        text, audio = self.text, self.audio or self.text
        routing = routing if self.audio else ALL_TEXT
        x = x + self.attention(routed(x, routing, text.attention_norm, audio.attention_norm), place)
        return x + routed(x, routing, text.feed_forward, audio.feed_forward)


def embedding(rows: int, width: int) -> nn.Embedding:
    """nn.Embedding. On the meta device without a draw of weights: for that torch imports its compiler, in seconds."""
    weight = torch.empty(rows, width)
    return nn.Embedding(rows, width, _weight=weight if weight.is_meta else None)


class HiggsModel(nn.Module):
    """Text tokens and audio frames in, logits of the next audio frame out.

    Attributes:
        config: ModelConfig.
        tokenizer: the checkpoint's ChatTokenizer, or None for a model built without files.
    """

    codebook_offsets: Tensor
    inverse_frequencies: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.tokenizer = cast("ChatTokenizer", None)  # who reads text has loaded one from files
        self.text_embedding = embedding(config.vocab_size, config.hidden_size)
        self.audio_embedding = embedding(config.num_codebooks * config.codebook_rows, config.hidden_size)
        self.layers = ModulesOf(Layer(config, index) for index in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.audio_head = AudioHead(config.hidden_size, config.num_codebooks * config.codebook_rows, bias=False)
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

    @property
    def compute_dtype(self) -> torch.dtype:
        """What it computes in: the format of the weights, but float32 on a CPU where that is bfloat16."""
        return compute_dtype(self.dtype, self.device)

    def new_cache(self, capacity: int, batch: int = 1, dtype: torch.dtype | None = None) -> KVCache:
        """An empty cache for `batch` rows of at most `capacity` positions; None: in what the model computes in."""
        rope = rope_table(torch.arange(capacity, device=self.device), self.inverse_frequencies, self.compute_dtype)
        return KVCache(self.config, capacity, rope, batch=batch, device=self.device, dtype=dtype or self.compute_dtype)

    def embed_rows(self, rows: Tensor) -> Tensor:
        """Delayed rows [..., K] → the sum of their code embeddings [..., H]."""
        x = self.audio_embedding(rows + self.codebook_offsets).to(self.compute_dtype).sum(dim=-2)
        if not self.config.begin_is_token:
            return x
        begins = (rows == self.config.stream_bos_id).all(dim=-1, keepdim=True)
        return torch.where(begins, self.text_embedding.weight[self.config.audio_bos_token_id].to(x.dtype), x)

    def embed(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """Embeddings [1, S, H] of a prompt and its audio mask [1, S].

        Raises:
            PromptError: audio rows and placeholders do not match, or ids leave the vocabulary.
        """
        self.check(prompt)
        ids, rows = prompt.token_ids.to(self.device), prompt.audio_rows.to(self.device)
        mask = self.config.is_audio(ids)
        x = self.text_embedding(ids.clamp(min=0)).to(self.compute_dtype)
        x[mask] = self.embed_rows(rows)
        return x[None], mask[None]

    def forward(self, x: Tensor, routing: Routing, place: Place | None = None) -> Tensor:
        """Embeddings [B, S, H] → hidden states [B, S, H].

        Args:
            place: where in a cache the positions are written and what they see; None: a sequence of its own.
        """
        if place is None:
            positions = torch.arange(x.shape[1], device=x.device)
            place = Place((x.shape[0], x.shape[1]), rope_table(positions, self.inverse_frequencies, x.dtype)[None])
        flat = x.flatten(0, 1)
        for layer in self.layers:
            flat = layer(flat, routing, place)
        return self.norm(flat).view_as(x)

    def head(self, hidden: Tensor, exact: bool = True, in_float32: Tensor | None = None) -> Tensor:
        """Hidden states [..., H] → float32 logits [..., K, V].

        Args:
            exact, in_float32: see `AudioHead`.
        """
        logits = self.audio_head(hidden, exact, in_float32)
        return logits.unflatten(-1, (self.config.num_codebooks, self.config.codebook_rows))

    @torch.no_grad()
    def logits(self, prompt: Prompt) -> Tensor:
        """Logits of every position without a cache: float32 [S, K, V]. For comparisons."""
        x, mask = self.embed(prompt)
        return self.head(self(x, Routing.from_mask(mask)))[0]

    def step(self, rows: Tensor, place: Place, exact: bool = True, in_float32: Tensor | None = None) -> Tensor:
        """Read one delayed row per batch row [B, K]; return the next logits [B, K, V]. The rest as in `head`."""
        return self.head(self(self.embed_rows(rows)[:, None], ALL_AUDIO, place)[:, 0], exact, in_float32)

    def check(self, prompt: Prompt) -> None:
        """Raises:
        PromptError: audio rows and placeholders do not match, or ids leave the vocabulary; or the frames that the take
            begins with are no frames of this model.
        """
        c, ids, rows = self.config, prompt.token_ids, prompt.audio_rows
        placeholders = int(c.is_audio(ids).sum())
        if ids.ndim != 1 or len(ids) == 0:
            raise PromptError(
                "The prompt is empty.",
                expected="token ids [S]",
                got=f"shape {list(ids.shape)}",
                remedy="Build the prompt with build_prompt.",
            )
        if tuple(rows.shape) != (placeholders, c.num_codebooks):
            raise PromptError(
                "The audio of the prompt does not fit its placeholders.",
                expected=f"rows of shape [{placeholders}, {c.num_codebooks}]",
                got=str(list(rows.shape)),
                remedy="Use codes of this checkpoint's codec and build the prompt with its tokenizer.",
            )
        if int(ids.max()) >= c.vocab_size or (len(rows) and int(rows.max()) >= c.codebook_rows):
            raise PromptError(
                "The prompt holds ids that the model does not have.",
                expected=f"token ids below {c.vocab_size}, audio ids below {c.codebook_rows}",
                got=f"{int(ids.max())} and {int(rows.max()) if len(rows) else '-'}",
                remedy="Use tokenizer and codec of this checkpoint.",
            )
        begun = prompt.begun
        if begun is not None and (
            begun.ndim != 2
            or begun.shape[0] != c.num_codebooks
            or not begun.shape[1]
            or not 0 <= int(begun.min()) <= int(begun.max()) < c.codebook_size
        ):
            raise PromptError(
                "The frames that the take begins with are none of this model's.",
                expected=f"ids from 0 to {c.codebook_size - 1}, of shape [{c.num_codebooks}, 1 or more]",
                got=f"shape {list(begun.shape)}"
                + (f", ids {int(begun.min())} to {int(begun.max())}" if begun.numel() else ""),
                remedy="Build the prompt with build_prompt, of codes of this checkpoint's codec.",
            )


def compute_dtype(weights: torch.dtype, device: torch.device | str) -> torch.dtype:
    """What a model whose weights are in a format computes in on a device: on a CPU bfloat16 only stores them."""
    on_cpu = torch.device(device).type == "cpu"
    return torch.float32 if on_cpu and weights == torch.bfloat16 else weights


def routed(x: Tensor, routing: Routing, text_fn, audio_fn) -> Tensor:
    """Apply each function to its own positions of x [N, H] and to no other."""
    if routing.audio is None:
        return text_fn(x)
    if routing.text is None:
        return audio_fn(x)
    out = torch.empty_like(x)
    out[routing.text] = text_fn(x[routing.text])
    out[routing.audio] = audio_fn(x[routing.audio])
    return out


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Causal attention of S queries [B, heads, S, D] on T ≥ S keys [B, kv_heads, T, D]; the last S align.

    A single query attends to everything but what `mask` [B, 1, 1, T] takes away (added to the scores), so the heads
    of a group become the queries of their key/value head and nothing is expanded.
    """
    batch, heads, length, dim = q.shape
    kv_heads, total = k.shape[1], k.shape[2]
    groups = heads // kv_heads
    if length == 1:
        mask = None if mask is None else mask.expand(batch, 1, groups, total)
        out = F.scaled_dot_product_attention(q.reshape(batch, kv_heads, groups, dim), k, v, attn_mask=mask)
        return out.view(batch, heads, 1, dim)
    k, v = (t[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2) for t in (k, v))
    if length == total:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.ones(length, total, dtype=torch.bool, device=q.device).tril(total - length)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
