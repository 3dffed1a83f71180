"""The Higgs tokenizer: 24 kHz mono audio as 8 codebooks of 1024 entries at 25 frames a second.

An acoustic encoder (DAC) beside a semantic branch (HuBERT), joined and quantized; the way back is acoustic alone.
The reference is transformers' HiggsAudioV2TokenizerModel, whose checkpoint layout this module has.
Letters in shapes: K codebooks, F frames, T samples, D latent width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from ..checkpoint.assign import NameRules, assign_strict
from ..checkpoint.files import CODEC_OF_V3, ORIGINAL_CODEC, V3, check_model_type, model_type_of
from ..checkpoint.source import open_source
from .bundled import read_bundled
from .cpu_kernel import fast_decoder, fast_encoder, fast_front
from .dac_layers import AcousticDecoder, AcousticEncoder
from .higgs_config import MODEL_TYPE, HiggsCodecConfig
from .interface import Codec, check_finite
from .original import read_original
from .quantizer import ResidualQuantizer
from .resample import sinc_resample
from .semantic import HUBERT_PADDING, SemanticEncoder, build_hubert, hubert_features, shortest_wave
from .windows import LIVE_COPIES, activation_bytes, encode_windows, encoder_context, run_kept

ACOUSTIC_WINDOW_SECONDS = 60.0
LIVE_SOUNDS = 4  # copies of a clip at both rates, in samples of the codec's
FUSED_WINDOW_SECONDS = 6.0  # it cuts pieces for the caches itself; memory grows with it, and little is decoded twice
CODEBOOKS = ("quantizer.*.codebook.embed",)  # as in the file in any dtype: codes and identity hang on them
UNUSED_TENSORS = (
    "decoder_semantic.*",
    "fc1.*",
    "semantic_model.masked_spec_embed",  # training only
    "quantizer.*.codebook.inited",
    "quantizer.*.codebook.cluster_size",
    "quantizer.*.codebook.embed_avg",
)


class HiggsTokenizer(nn.Module):
    """The networks, under the names that the native checkpoint uses."""

    def __init__(self, config: HiggsCodecConfig, attention: str = "sdpa"):
        super().__init__()
        joined = config.latent + config.semantic_width
        self.acoustic_encoder = AcousticEncoder(config.encoder_width, config.down_ratios, config.latent)
        self.acoustic_decoder = AcousticDecoder(config.latent, config.decoder_width, config.up_ratios)
        self.semantic_model = build_hubert(config.semantic, attention)
        self.encoder_semantic = SemanticEncoder(
            config.semantic_width,
            kernel=config.kernel,
            out_widths=config.out_widths,
            strides=config.strides,
            unit_kernel=config.unit_kernel,
            dilations=config.dilations,
        )
        self.fc = nn.Linear(joined, joined)
        self.fc2 = nn.Linear(joined, config.latent)
        self.quantizer = ResidualQuantizer(config.num_codebooks, joined, config.codebook_size, config.codebook_width)


def codec_bytes(config: HiggsCodecConfig, dtype: torch.dtype) -> int:
    """What a codec of these sizes takes in memory when it is loaded; its codebooks are always float32."""
    with torch.device("meta"):
        weights = HiggsTokenizer(config).state_dict()
    kept = [name for name in weights if any(fnmatchcase(name, pattern) for pattern in CODEBOOKS)]
    return sum(one.numel() * (4 if name in kept else dtype.itemsize) for name, one in weights.items())


class HiggsCodec(Codec):
    """The Higgs tokenizer behind the codec interface.

    HuBERT attends over the whole clip, so time and memory of encoding grow with its length (attention quadratically):
    hence the limit of 300 s. A clip below 119 samples gives HuBERT no frame; it is padded with silence to that.
    """

    module: HiggsTokenizer
    max_encode_seconds = 300.0
    can_record = True

    def __init__(self, module: HiggsTokenizer, config: HiggsCodecConfig, fused: bool = True):
        super().__init__(module, module.acoustic_decoder, config.hop)
        self._fast = fast_decoder(module.acoustic_decoder) if fused else None
        self._fast_encoder = fast_encoder(module.acoustic_encoder) if fused else None
        self._fast_front = fast_front(module.semantic_model.feature_extractor) if fused else None
        self.config = config
        self.named_codes_only = config.named_codes_only
        self._encode_context = encoder_context(module.acoustic_encoder, config.hop)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        attention: str = "sdpa",
        fused: bool = True,
    ) -> HiggsCodec:
        """Loads the native layout (config.json and model.safetensors, or its shards), the original one, or what a v3
        checkpoint holds.

        Args:
            attention: of HuBERT, "sdpa" or its slow twin "eager".
            fused: compute on a CPU by `cpu_kernel`; False: by its slow twins, the modules themselves.

        Raises:
            CheckpointError: files are missing or broken, of another model, or do not fit each other.
        """
        source = open_source(folder)
        settings = source.config
        check_model_type(settings, (MODEL_TYPE, ORIGINAL_CODEC, V3, CODEC_OF_V3), folder)
        if model_type_of(settings) == ORIGINAL_CODEC:
            config, tensors = read_original(Path(folder), settings)
        elif model_type_of(settings) in (V3, CODEC_OF_V3):
            config, tensors = read_bundled(source)
        else:
            config, tensors = HiggsCodecConfig.from_dict(settings), source.tensors()
        with torch.device("meta"):
            module = HiggsTokenizer(config, attention)
        assign_strict(
            module,
            tensors,
            device=device,
            dtype=dtype,
            names=NameRules(keep=CODEBOOKS, ignore=UNUSED_TENSORS, rename=_current_name),
            what=f"Higgs codec in '{folder}'",
        )
        return cls(module, config, fused)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    def _codebooks(self) -> list[torch.Tensor]:
        return [level.codebook.embed for level in self.module.quantizer.quantizers]

    def encode_bytes(self, seconds: float) -> int:
        module, window = self.module, min(seconds, ACOUSTIC_WINDOW_SECONDS)
        front, fast = self._fast_front and self._fast_front.now(), self._fast_encoder and self._fast_encoder.now()
        if front:
            sizes, frames = module.semantic_model.sizes, front.frames(self._heard(seconds))
            states = sizes.hidden_size * (sizes.num_hidden_layers + LIVE_COPIES) + 2 * sizes.intermediate_size
            semantic = 4 * frames * states
        else:
            semantic = activation_bytes(module.semantic_model.feature_extractor, self.config.semantic_rate, seconds)
        if not fast:
            return max(semantic, activation_bytes(module.acoustic_encoder, self.sample_rate, window))
        acoustic = activation_bytes(module.acoustic_encoder, self.sample_rate, window, fast.copies)
        sound = math.ceil(4 * LIVE_SOUNDS * self.sample_rate * seconds)
        return max(semantic, acoustic) + sound + fast.piece_bytes(torch.get_num_threads())

    def _heard(self, seconds: float) -> int:
        """Samples that HuBERT reads of a clip."""
        samples = max(round(seconds * self.sample_rate), self._shortest())
        return -(-samples * self.config.semantic_rate // self.sample_rate) + 2 * HUBERT_PADDING

    def _encode_steps(self, seconds: float) -> list[tuple[nn.Module, int]]:
        hubert, windows = self.module.semantic_model, math.ceil(seconds / ACOUSTIC_WINDOW_SECONDS)
        encoder, front = self._fast_encoder and self._fast_encoder.now(), self._fast_front and self._fast_front.now()
        return [
            *(front.steps(self._heard(seconds)) if front else _once(hubert.feature_extractor.conv_layers)),
            *_once(hubert.encoder.layers),
            *((block, windows) for block in (encoder.steps if encoder else self.module.acoustic_encoder.block)),
            *((level.project_in, 1) for level in self.module.quantizer.quantizers),
        ]

    def _encode_wave(self, wave: torch.Tensor) -> torch.Tensor:
        place = self.module.fc.weight
        wave = functional.pad(wave, (0, max(0, self._shortest() - wave.shape[0])))[None].to(place.device)
        semantic = self._semantic_latents(wave)
        acoustic = self._acoustic_latents(wave[:, None].to(place.dtype), semantic.shape[-1])
        frames = min(semantic.shape[-1], acoustic.shape[-1])
        joined = torch.cat([acoustic[..., :frames], semantic[..., :frames]], dim=1).transpose(1, 2)
        embeddings = self.module.fc(joined)
        check_finite(embeddings, self.module)
        return self.module.quantizer.encode(embeddings)[0]

    def _decode_ids(self, ids: torch.Tensor) -> torch.Tensor:
        latents, fast = self._latents(ids), self._fast and self._fast.now()
        if fast is None:
            return self.module.acoustic_decoder(latents.transpose(1, 2))[0]
        return fast(latents[0], torch.get_num_threads())[None]

    def _decode_kept(self, ids: torch.Tensor, first: int, stop: int, last: bool) -> torch.Tensor:
        latents, fast = self._latents(ids), self._fast and self._fast.now()
        if fast is None:
            return run_kept(self.module.acoustic_decoder.stages, latents.transpose(1, 2), first, stop)[0]
        return fast(latents[0], torch.get_num_threads(), (first, stop))[None]

    def _latents(self, ids: torch.Tensor) -> torch.Tensor:
        """[1, F, D]."""
        return self.module.fc2(self.module.quantizer.decode(ids[None].to(self.module.fc2.weight.device)))

    def _window_bytes(self, seconds: float) -> int:
        fast = self._fast and self._fast.now()
        if not fast:
            return super()._window_bytes(seconds)
        widest = activation_bytes(self._decoder, self.frame_rate, min(seconds, self._decode_seconds), fast.copies)
        return widest + fast.piece_bytes(torch.get_num_threads())

    @property
    def _decode_seconds(self) -> float:
        return FUSED_WINDOW_SECONDS if self._fast and self._fast.now() is not None else super()._decode_seconds

    def _semantic_latents(self, wave: torch.Tensor) -> torch.Tensor:
        """[1, T] float32 at the codec's rate -> [1, W, F]."""
        semantic_wave = sinc_resample(wave, self.config.sample_rate, self.config.semantic_rate).to(
            self.module.fc.weight.dtype
        )
        fast = self._fast_front and self._fast_front.now()
        front = (lambda wave: fast(wave[0], torch.get_num_threads()).t()[None]) if fast else None
        features = hubert_features(self.module.semantic_model, semantic_wave, self.config.semantic_stride, front)
        return self.module.encoder_semantic(features.transpose(1, 2))

    def _acoustic_latents(self, wave: torch.Tensor, frames: int) -> torch.Tensor:
        """[1, 1, T] -> [1, D, F]. Silence on each side where the branches would differ in length."""
        if self._acoustic_frames(wave.shape[-1]) != frames:
            wave = functional.pad(wave, (self.config.edge_padding, self.config.edge_padding))
        fast = self._fast_encoder and self._fast_encoder.now()
        encode = (
            (lambda wave: fast(wave[0, 0], torch.get_num_threads())[None]) if fast else self.module.acoustic_encoder
        )
        return encode_windows(
            wave,
            encode,
            hop=self.hop,
            context=self._encode_context,
            window=round(ACOUSTIC_WINDOW_SECONDS * self.frame_rate),
        )

    def _acoustic_frames(self, samples: int) -> int:
        for stride in self.config.down_ratios:
            samples = (samples + 2 * ((stride + 1) // 2) - 2 * stride) // stride + 1
        return samples

    def _shortest(self) -> int:
        """Samples at the codec's rate that give HuBERT one frame."""
        shortest = shortest_wave(self.module.semantic_model)
        return (shortest - 1) * self.config.sample_rate // self.config.semantic_rate + 1


def _once(modules: Iterable[nn.Module]) -> Iterator[tuple[nn.Module, int]]:
    return ((module, 1) for module in modules)


def _current_name(name: str) -> str:
    """Checkpoints made before torch 2.0's parametrizations name the two parts of HuBERT's weight norm differently."""
    if name.endswith(".weight_g"):
        return name.removesuffix("weight_g") + "parametrizations.weight.original0"
    if name.endswith(".weight_v"):
        return name.removesuffix("weight_v") + "parametrizations.weight.original1"
    return name
