"""What config.json of the native Higgs tokenizer says, with transformers' defaults for what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import CheckpointError

MODEL_TYPE = "higgs_audio_v2_tokenizer"
MOST, MOST_LAYERS = 2**17, 1000  # of any codec that could be meant: more would take hours or all memory


@dataclass(frozen=True)
class HiggsCodecConfig:
    """Sizes of the networks.

    Attributes:
        sample_rate, semantic_rate: of the acoustic and the semantic branch, samples per second.
        encoder_width, decoder_width: channels of the acoustic encoder's first and the decoder's widest layer.
        latent: D, width of acoustic latents.
        down_ratios, up_ratios: strides of the acoustic blocks; each multiplies to `hop`.
        semantic: settings of HuBERT.
        semantic_width: its hidden size.
        semantic_stride: HuBERT frames per frame of codes.
        num_codebooks, codebook_size, codebook_width: K, entries of a codebook, length of an entry.
        edge_padding: samples of silence on each side where the acoustic branch would give another number of frames.
        named_codes_only: as in `Codec`; not a field of transformers.
        settings: what all this was read from.
    """

    sample_rate: int
    semantic_rate: int
    encoder_width: int
    decoder_width: int
    latent: int
    down_ratios: tuple[int, ...]
    up_ratios: tuple[int, ...]
    semantic: Mapping
    semantic_width: int
    semantic_stride: int
    kernel: int
    unit_kernel: int
    out_widths: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    num_codebooks: int
    codebook_size: int
    codebook_width: int
    edge_padding: int
    named_codes_only: bool = False
    settings: Mapping = field(default_factory=dict, compare=False, repr=False)

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.down_ratios)

    def native(self) -> dict:
        """A config.json in the native layout that is read as this; two of its fields are not of transformers."""
        return {
            **self.settings,
            "model_type": MODEL_TYPE,
            "num_codebooks": self.num_codebooks,
            "edge_padding": self.edge_padding,
        }

    @classmethod
    def from_dict(cls, config: Mapping) -> HiggsCodecConfig:
        """Reads a parsed config.json.

        Raises:
            CheckpointError: a setting is of the wrong kind, or settings contradict each other.
        """
        try:
            parsed = cls._parse(config)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
            raise CheckpointError(
                "The codec's config.json is not usable.",
                expected="the settings of a Higgs tokenizer",
                got=f"{type(error).__name__}: {error}",
                remedy="Download the codec's config.json again.",
            ) from error
        parsed._check()
        return parsed

    @classmethod
    def _parse(cls, config: Mapping) -> HiggsCodecConfig:
        acoustic = config.get("acoustic_model_config") or {}
        semantic = config.get("semantic_model_config") or {}
        down = _ints(acoustic.get("downsampling_ratios", (8, 5, 4, 2)))
        rate, semantic_rate = int(config.get("sample_rate", 24_000)), int(config.get("semantic_sample_rate", 16_000))
        hop, latent = math.prod(down), int(acoustic.get("hidden_size", 256))
        size, width = int(config.get("codebook_size", 1024)), int(semantic.get("hidden_size", 768))
        bandwidth = max(config.get("target_bandwidths", (0.5, 1, 1.5, 2, 4))[-1], 0)
        bits_per_codebook = math.ceil(rate / hop) * math.ceil(math.log2(size))
        factor = int(config.get("downsample_factor", 320))
        return cls(
            sample_rate=rate,
            semantic_rate=semantic_rate,
            encoder_width=int(acoustic.get("encoder_hidden_size", 64)),
            decoder_width=int(acoustic.get("decoder_hidden_size", 1024)),
            latent=latent,
            down_ratios=down,
            up_ratios=_ints(acoustic.get("upsampling_ratios", (8, 5, 4, 2))),
            semantic=semantic,
            semantic_width=width,
            semantic_stride=int(hop / (rate / semantic_rate) / factor),
            kernel=int(config.get("kernel_size", 3)),
            unit_kernel=int(config.get("unit_kernel_size", 3)),
            out_widths=tuple(int(width * ratio) for ratio in config.get("channel_ratios", (1, 1))),
            strides=_ints(config.get("strides", (1, 1))),
            dilations=_ints(config.get("block_dilations", (1, 1))),
            num_codebooks=int(config.get("num_codebooks", 1000 * bandwidth // bits_per_codebook)),
            codebook_size=size,
            codebook_width=int(config.get("codebook_dim", 64) or latent + width),
            edge_padding=int(config.get("edge_padding", hop // 2)),
            named_codes_only=_flag(config, "named_codes_only"),
            settings=config,
        )

    def _check(self) -> None:
        sizes = (
            self.sample_rate,
            self.semantic_rate,
            self.encoder_width,
            self.decoder_width >> len(self.up_ratios),
            self.latent,
            *self.down_ratios,
            *self.up_ratios,
            self.semantic_width,
            self.kernel,
            self.unit_kernel,
            *self.out_widths,
            *self.strides,
            self.num_codebooks,
            self.codebook_size,
            self.codebook_width,
            self.edge_padding + 1,
        )
        problem = ""
        if min(sizes) < 1:
            problem = "a size below 1"
        elif max(sizes) > MOST or max(len(self.down_ratios), len(self.out_widths), len(self.dilations)) > MOST_LAYERS:
            problem = f"a size above {MOST}, or more than {MOST_LAYERS} layers"
        elif not _fits(self.semantic.values()) or self.semantic.get("num_hidden_layers", 1) not in range(MOST_LAYERS):
            problem = f"a size of HuBERT above {MOST}, or {MOST_LAYERS} layers"
        elif math.prod(self.up_ratios) != self.hop:
            problem = f"ratios that multiply to {self.hop} going in and {math.prod(self.up_ratios)} going out"
        elif len(self.strides) != len(self.out_widths):
            problem = f"{len(self.strides)} strides for {len(self.out_widths)} channel ratios"
        if problem:
            raise CheckpointError(
                "The codec's config.json contradicts itself.",
                expected="sizes that fit each other",
                got=problem,
                remedy="Download the codec's config.json again.",
            )


def _fits(values: Iterable) -> bool:
    """Whether all numbers among the values, and in lists among them, are of a size that can be meant."""
    numbers = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return all(abs(number) <= MOST for number in numbers if isinstance(number, (int, float)))


def _ints(values) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _flag(config: Mapping, name: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, neither true nor false")
    return value
