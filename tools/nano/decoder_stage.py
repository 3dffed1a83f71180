"""Stage B: the decoder learns to sound from codes that no longer change.

Half of the crops carry the words' fixed codes, as the language model will write them, the other half the codes of the
sentence encoded as a whole, as a user's clip will be.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import nn

from .codec_model import train_snakes
from .codes import WordCodes, heard_sentences, load_trained
from .corpus import Texts
from .speech import HOP, RATE, SPEAKERS, Word, sentence
from .state import Training, save_atomically, set_rate

CLIPS, FRAMES = 4, 32  # of a batch
MARGIN = 2  # frames at each end of a crop that hear the cut; they are not judged
RATE_PEAK = 1.2e-3
WINDOWS = ((2048, 480, 128), (1024, 240, 80), (512, 120, 48), (256, 60, 24))  # samples, hop, mel bands


class SpectralLoss(nn.Module):
    """Distance of log-mel and log-magnitude spectra at several resolutions."""

    def __init__(self):
        super().__init__()
        self.windows = [torch.hann_window(size) for size, _, _ in WINDOWS]
        self.filters = [
            torchaudio.functional.melscale_fbanks(size // 2 + 1, 0, RATE / 2, bands, RATE, "slaney", "slaney")
            for size, _, bands in WINDOWS
        ]

    def forward(self, made: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Waveforms [B, T] -> (loss, mel distance at the second resolution, in nepers)."""
        total, shown = made.new_zeros(()), None
        for (size, hop, _), window, filters in zip(WINDOWS, self.windows, self.filters, strict=True):
            both = torch.stft(torch.cat([made, wanted]), size, hop, window=window, return_complex=True)
            magnitude = (torch.view_as_real(both).square().sum(-1) + 1e-9).sqrt()
            mel = (magnitude.transpose(1, 2) @ filters + 1e-4).log()
            fine = (magnitude + 1e-3).log()
            mel_error, fine_error = ((x[: len(made)] - x[len(made) :]).abs().mean() for x in (mel, fine))
            off = (magnitude[: len(made)] - magnitude[len(made) :]).norm() / (magnitude[len(made) :].norm() + 1e-6)
            total = total + mel_error + 0.3 * fine_error + 0.3 * off
            shown = mel_error.detach() if size == 1024 else shown
        return total, shown


class Crops:
    """(codes [B, K, F], wave [B, T]) of training sentences, a function of the step."""

    def __init__(self, folder: Path, lexicon: dict[str, dict[str, Word]], seed: int):
        self.lexicon, self.seed = lexicon, seed
        self.words, self.heard = WordCodes.load(folder, lexicon), heard_sentences(folder, lexicon)

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        random, texts = np.random.default_rng([self.seed, step]), Texts(self.seed * 1_000_000 + step)
        pairs = [
            self._crop(random, *(self._heard(random) if clip % 2 else self._joined(random, texts)))
            for clip in range(CLIPS)
        ]
        codes, waves = zip(*pairs, strict=True)
        return torch.stack(codes), torch.from_numpy(np.stack(waves))

    def _joined(self, random: np.random.Generator, texts: Texts) -> tuple[torch.Tensor, np.ndarray]:
        speaker, text = str(random.choice(list(SPEAKERS))), texts.draw(6)
        return self.words.sentence(text, speaker), sentence(text, self.lexicon[speaker])

    def _heard(self, random: np.random.Generator) -> tuple[torch.Tensor, np.ndarray]:
        item = self.heard[random.integers(len(self.heard))]
        return item.codes, item.wave(self.lexicon)

    def _crop(self, random, codes: torch.Tensor, wave: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        short = FRAMES - codes.shape[1]
        if short > 0:
            codes, wave = torch.cat([codes, self.words.pause(short)], 1), np.pad(wave, (0, short * HOP))
        start = random.integers(codes.shape[1] - FRAMES + 1)
        return codes[:, start : start + FRAMES], wave[start * HOP : (start + FRAMES) * HOP].astype(np.float32)


def train_decoder(folder: Path, lexicon: dict[str, dict[str, Word]], steps: int, compiled: bool) -> Path:
    """Train the decoder on the codes of encoder.pt. Returns the file with the whole codec's weights.

    Args:
        compiled: through torch.compile, which needs a C++ compiler and saves a quarter of the time.
    """
    done = folder / "codec.pt"
    if done.is_file():
        return done
    module, batches, loss = load_trained(folder / "encoder.pt").module, Crops(folder, lexicon, seed=3), SpectralLoss()
    module.requires_grad_(False)
    decoder = nn.ModuleDict({"joint": module.fc2, "decoder": module.acoustic_decoder}).requires_grad_(True).train()
    train_snakes(module.acoustic_decoder)
    synthesize = torch.compile(module.acoustic_decoder, dynamic=False) if compiled else module.acoustic_decoder
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=RATE_PEAK, betas=(0.8, 0.98), weight_decay=0.0, fused=True)
    parts = {"decoder": decoder, "optimizer": optimizer}
    training = Training("decoder", folder / "decoder_run.pt", steps, parts, RATE_PEAK)

    def one_step(step: int, rate: float) -> dict[str, float]:
        codes, wanted = batches(step)
        with torch.no_grad():
            latents = module.quantizer.decode(codes)
        made = synthesize(module.fc2(latents).transpose(1, 2))[:, 0]
        inner = slice(MARGIN * HOP, (FRAMES - MARGIN) * HOP)
        error, mel = loss(made[:, inner], wanted[:, inner])
        set_rate(optimizer, rate)
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        return {"loss": error.item(), "mel": mel.item()}

    training.run(one_step)
    save_atomically({"module": module.state_dict()}, done)
    return done
