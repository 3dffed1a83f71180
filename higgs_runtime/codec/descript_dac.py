"""DAC models of the package descript-audio-codec (16, 24 and 44.1 kHz) behind the codec interface.

Source: Kumar et al. 2023, "High-Fidelity Audio Compression with Improved RVQGAN" (arXiv:2306.06546). The weights are
the package's own release files; they are read without running pickled code.
"""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from ..checkpoint.assign import NameRules, assign_strict
from ..checkpoint.files import read_pickle
from ..errors import CheckpointError, MissingExtraError
from .interface import Codec, check_finite
from .windows import activation_bytes, encode_windows, encoder_context

if TYPE_CHECKING:
    from dac.model.dac import DAC

ENCODE_WINDOW_SECONDS = 20.0


class DacCodec(Codec):
    """A DAC model. It decodes to F * hop samples, less a few at the end where a stride is odd (24 kHz model).

    As in the package, a clip beyond full scale is scaled down to it before it is encoded. The package's loudness
    normalization is not applied: codes keep the level of the clip. The quantizer always computes in float32.
    """

    module: DAC
    max_encode_seconds = 3600.0

    def __init__(self, module: DAC):
        hop = int(module.hop_length)
        super().__init__(module, module.decoder, hop)
        self._encode_context = encoder_context(module.encoder, hop)

    @classmethod
    def load(
        cls, file: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> DacCodec:
        """Loads a weights file (weights.pth, weights_24khz.pth, …).

        Raises:
            MissingExtraError: descript-audio-codec is not installed.
            CheckpointError: the file is missing, broken, not a DAC model, or does not fit its own settings.
        """
        model_class = _dac_class()
        settings, tensors = _read_weights(Path(file))
        accepted = inspect.signature(model_class).parameters
        try:
            with torch.device("meta"):
                module = model_class(**{name: value for name, value in settings.items() if name in accepted})
        except (TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"The settings in '{file}' are not usable.",
                expected="the settings of a DAC model",
                got=str(error),
                remedy="Download the weights file again.",
            ) from error
        what = f"DAC model in '{file}'"
        assign_strict(module, tensors, device=device, dtype=dtype, names=NameRules(keep=("quantizer.*",)), what=what)
        module.quantizer.float()
        return cls(module)

    @property
    def sample_rate(self) -> int:
        return int(self.module.sample_rate)

    @property
    def num_codebooks(self) -> int:
        return int(self.module.n_codebooks)

    @property
    def codebook_size(self) -> int:
        return int(self.module.codebook_size)

    def _codebooks(self) -> list[torch.Tensor]:
        levels: Any = self.module.quantizer.quantizers  # of the package's own classes, as torch cannot tell
        return [level.codebook.weight for level in levels]

    def encode_bytes(self, seconds: float) -> int:
        return activation_bytes(self.module.encoder, self.sample_rate, min(seconds, ENCODE_WINDOW_SECONDS))

    def _encode_steps(self, seconds: float) -> list[tuple[nn.Module, int]]:
        windows = math.ceil(seconds / ENCODE_WINDOW_SECONDS)
        return [(part, windows) for part in (*self.module.encoder.block, *self.module.quantizer.quantizers)]

    def _encode_wave(self, wave: torch.Tensor) -> torch.Tensor:
        wave = wave / wave.abs().max().clamp(min=1.0)
        wave = functional.pad(wave, (0, -wave.shape[0] % self.hop))
        return encode_windows(
            wave,
            self._encode_window,
            hop=self.hop,
            context=self._encode_context,
            window=round(ENCODE_WINDOW_SECONDS * self.frame_rate),
        )

    def _encode_window(self, wave: torch.Tensor) -> torch.Tensor:
        latents = self.module.encoder(wave[None, None].to(next(self.module.encoder.parameters())))
        check_finite(latents, self.module)
        return self.module.quantizer(latents.to(next(self.module.quantizer.parameters()).dtype))[1][0]

    def _decode_ids(self, ids: torch.Tensor) -> torch.Tensor:
        place = next(self.module.decoder.parameters())
        latents = self.module.quantizer.from_codes(ids[None].to(place.device))[0]
        return self.module.decoder(torch.as_tensor(latents).to(place.dtype))[0]


def _dac_class() -> type[DAC]:
    try:
        from dac.model.dac import DAC
    except ImportError as error:
        missing = (error.name or "dac").split(".")[0]  # the package itself, or one of the many that it imports
        package = "descript-audio-codec" if missing == "dac" else missing
        raise MissingExtraError("The DAC codec", "dac", package) from error
    return DAC


def _read_weights(file: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Constructor settings and tensors of a weights file, memory-mapped, without unpickling anything but data."""
    saved = read_pickle(file)
    metadata = saved.get("metadata") if isinstance(saved, dict) else None
    settings = metadata.get("kwargs") if isinstance(metadata, dict) else None
    tensors = saved.get("state_dict") if isinstance(saved, dict) else None
    if not isinstance(settings, dict) or not isinstance(tensors, dict):
        raise CheckpointError(
            f"'{file}' is not a DAC model.",
            expected="'state_dict' and 'metadata' with the model's settings",
            got=", ".join(map(str, list(saved)[:4])) if isinstance(saved, dict) else type(saved).__name__,
            remedy="Choose a weights file of descript-audio-codec, or the folder of the Higgs tokenizer.",
        )
    return settings, tensors
