"""HuBERT, whose features are the semantic branch of the encoder (Hsu et al. 2021, arXiv:2106.07447).

Plain torch under the names of transformers' HubertModel, which takes seconds to import and is the reference that tests
compare with. Masking, dropout and adapters, which only training uses, are left out.
Letters in shapes: B batch, W width, C channels, T samples, F frames, H heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}
ATTENTIONS = ("sdpa", "eager")
Front = Callable[[torch.Tensor], torch.Tensor]  # waveform [B, T] → [B, C, F]


@dataclass(frozen=True, kw_only=True)
class HubertSizes:
    """Settings of a HuBERT under the names and with the defaults of transformers' HubertConfig."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    feat_proj_layer_norm: bool = True
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    conv_pos_batch_norm: bool = False
    do_stable_layer_norm: bool = False
    adapter_attn_dim: int | None = None

    @classmethod
    def of(cls, config: Mapping) -> HubertSizes:
        """From semantic_model_config of a checkpoint.

        Raises:
            TypeError, ValueError: a setting is of the wrong kind, or of a HuBERT that is not built here.
        """
        found = {one.name: config[one.name] for one in fields(cls) if one.name in config}
        for name in ("conv_dim", "conv_stride", "conv_kernel"):
            if name in found:
                found[name] = tuple(int(one) for one in found[name])
        sizes = cls(**found)
        sizes._check()
        return sizes

    def _check(self) -> None:
        counts = {len(self.conv_dim), len(self.conv_stride), len(self.conv_kernel)}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(f"conv_dim, conv_stride and conv_kernel are of {sorted(counts)} entries")
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not divided by {self.num_attention_heads} heads")
        if self.feat_extract_norm not in ("group", "layer"):
            raise ValueError(f"feat_extract_norm is {self.feat_extract_norm!r}, neither group nor layer")
        for name in ("hidden_act", "feat_extract_activation"):
            if getattr(self, name) not in ACTIVATIONS:
                raise ValueError(f"{name} is {getattr(self, name)!r}, none of {', '.join(ACTIVATIONS)}")
        if self.conv_pos_batch_norm or self.adapter_attn_dim is not None:
            raise ValueError("conv_pos_batch_norm and adapter_attn_dim are of no released codec")


class FeatureLayer(nn.Module):
    """[B, C, T] → [B, C', T/stride]: convolution, perhaps a norm, activation."""

    def __init__(self, sizes: HubertSizes, index: int):
        super().__init__()
        before, width = sizes.conv_dim[index - 1] if index else 1, sizes.conv_dim[index]
        self.conv = nn.Conv1d(
            before, width, sizes.conv_kernel[index], stride=sizes.conv_stride[index], bias=sizes.conv_bias
        )
        self.layer_norm: nn.Module | None = None
        if sizes.feat_extract_norm == "layer":
            self.layer_norm = nn.LayerNorm(width)
        elif index == 0:
            self.layer_norm = nn.GroupNorm(width, width)
        self.activation = ACTIVATIONS[sizes.feat_extract_activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if isinstance(self.layer_norm, nn.LayerNorm):
            x = self.layer_norm(x.transpose(-2, -1)).transpose(-2, -1)
        elif self.layer_norm is not None:
            x = self.layer_norm(x)
        return self.activation(x)


class FeatureExtractor(nn.Module):
    """Waveform [B, T] → [B, C, F]."""

    def __init__(self, sizes: HubertSizes):
        super().__init__()
        self.conv_layers = nn.ModuleList(FeatureLayer(sizes, index) for index in range(len(sizes.conv_dim)))

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        x = wave[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x


class FeatureProjection(nn.Module):
    """[B, F, C] → [B, F, W]."""

    def __init__(self, sizes: HubertSizes):
        super().__init__()
        width = sizes.conv_dim[-1]
        self.layer_norm = nn.LayerNorm(width, eps=sizes.layer_norm_eps) if sizes.feat_proj_layer_norm else None
        self.projection = nn.Linear(width, sizes.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.projection(x if self.layer_norm is None else self.layer_norm(x))


class NormedWeight(nn.Module):
    """A convolution's weight [W', W, taps] in two parts: directions, and a length for each tap (weight norm)."""

    def __init__(self, *shape: int):
        super().__init__()
        self.original0 = nn.Parameter(torch.ones(1, 1, shape[2]))
        self.original1 = nn.Parameter(torch.ones(shape))

    def forward(self) -> torch.Tensor:
        return torch._weight_norm(self.original1, self.original0, 2)  # pyright: ignore[reportPrivateImportUsage]


class NormedConvolution(nn.Module):
    """What torch's `weight_norm` makes of a grouped convolution [B, W, F] → [B, W, F + 1 or F], under its names.

    Building it by that function on the meta device imports torch's compiler, which takes a second or three.
    """

    def __init__(self, width: int, taps: int, groups: int):
        super().__init__()
        if width % groups:
            raise ValueError(f"hidden_size {width} is not divided by {groups} groups")
        self._padding, self._groups = taps // 2, groups
        self.bias = nn.Parameter(torch.zeros(width))
        self.parametrizations = nn.ModuleDict({"weight": NormedWeight(width, width // groups, taps)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.parametrizations["weight"]()
        return functional.conv1d(x, weight, self.bias, padding=self._padding, groups=self._groups)


class PositionalConvolution(nn.Module):
    """[B, F, W] → what is added to it for where each frame stands, [B, F, W]."""

    def __init__(self, sizes: HubertSizes):
        super().__init__()
        taps, groups = sizes.num_conv_pos_embeddings, sizes.num_conv_pos_embedding_groups
        self.conv = NormedConvolution(sizes.hidden_size, taps, groups)
        self._activation = ACTIVATIONS[sizes.feat_extract_activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._activation(self.conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)


class SelfAttention(nn.Module):
    """[B, F, W] → [B, F, W]; every frame sees all."""

    def __init__(self, sizes: HubertSizes, attention: str):
        super().__init__()
        self._heads, self._eager, width = sizes.num_attention_heads, attention == "eager", sizes.hidden_size
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            project(x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        if self._eager:
            scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
            seen = scores.softmax(-1) @ value
        else:
            seen = functional.scaled_dot_product_attention(query, key, value)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class HubertFeedForward(nn.Module):
    """[B, F, W] → [B, F, W]."""

    def __init__(self, sizes: HubertSizes):
        super().__init__()
        self.intermediate_dense = nn.Linear(sizes.hidden_size, sizes.intermediate_size)
        self.output_dense = nn.Linear(sizes.intermediate_size, sizes.hidden_size)
        self._activation = ACTIVATIONS[sizes.hidden_act]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output_dense(self._activation(self.intermediate_dense(x)))


class EncoderLayer(nn.Module):
    """[B, F, W] → [B, F, W]; the norms stand behind what they follow, or before it where `do_stable_layer_norm`."""

    def __init__(self, sizes: HubertSizes, attention: str):
        super().__init__()
        self.attention = SelfAttention(sizes, attention)
        self.layer_norm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)
        self.feed_forward = HubertFeedForward(sizes)
        self.final_layer_norm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)
        self._norm_first = sizes.do_stable_layer_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._norm_first:
            x = x + self.attention(self.layer_norm(x))
            return x + self.feed_forward(self.final_layer_norm(x))
        x = self.layer_norm(x + self.attention(x))
        return self.final_layer_norm(x + self.feed_forward(x))


class Encoder(nn.Module):
    """[B, F, W] → the hidden states [B, F, W] before the first layer and after each."""

    def __init__(self, sizes: HubertSizes, attention: str):
        super().__init__()
        self.pos_conv_embed = PositionalConvolution(sizes)
        self.layer_norm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)  # behind the last layer, not read
        self.layers = nn.ModuleList(EncoderLayer(sizes, attention) for _ in range(sizes.num_hidden_layers))
        self._norm_first = sizes.do_stable_layer_norm

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = x + self.pos_conv_embed(x)
        states = [x if self._norm_first else self.layer_norm(x)]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states


class Hubert(nn.Module):
    """Waveform [B, T] at HuBERT's rate → all hidden states, each [B, F, W].

    Args:
        attention: "sdpa", or its slow twin "eager".
    """

    def __init__(self, sizes: HubertSizes, attention: str = "sdpa"):
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"attention is {attention!r}, none of {', '.join(ATTENTIONS)}")
        self.sizes = sizes
        self.feature_extractor = FeatureExtractor(sizes)
        self.feature_projection = FeatureProjection(sizes)
        self.encoder = Encoder(sizes, attention)

    def forward(self, wave: torch.Tensor, front: Front | None = None) -> list[torch.Tensor]:
        """With `front` in place of `feature_extractor`."""
        return self.encoder(self.feature_projection((front or self.feature_extractor)(wave).transpose(1, 2)))
