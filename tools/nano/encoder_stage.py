"""Stage A: the encoder learns what matters in a frame, then its codebooks are fitted.

The encoder's frames (32 numbers of unit variance) must tell the spectrum under a little noise and the phone under much
noise. That orders them: what tells phones apart is far apart. Residual k-means then puts 8 x 1024 entries where the
frames really are, so that no entry is unused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import nn
from torch.nn import functional

from .codec_model import BOTTLENECK, new_codec, semantic_latents
from .corpus import Texts
from .speech import HOP, PAUSE, RATE, SPEAKERS, Word, lay_out
from .state import Training, save_atomically, set_rate

CLIPS, FRAMES = 16, 32  # of a batch
RATE_PEAK = 1.5e-3
FINE_NOISE, COARSE_NOISE = 0.15, 0.6  # standard deviations beside the frames' 1.0
MELS, MEL_STEPS = 80, 4  # a frame's mel spectrum is 4 columns, 10 ms each
DECODER = ("acoustic_decoder.", "fc2.")  # parts of the codec that this stage leaves alone
BINS, BIN_STEPS = 96, 2  # and its low frequencies, where pitch is heard, 2 columns


class Heads(nn.Module):
    """What is read from a frame: its spectrum and its phone."""

    def __init__(self, phones: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(BOTTLENECK, affine=False)
        self.spectrum = _Head(MELS * MEL_STEPS + BINS * BIN_STEPS, 256, 2)
        self.phone = _Head(phones, 128, 1)


class _Head(nn.Module):
    """[B, F, bottleneck] -> [B, out, F]"""

    def __init__(self, out: int, width: int, blocks: int):
        super().__init__()
        self.inward = nn.Conv1d(BOTTLENECK, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.GELU(), nn.Conv1d(width, width, 3, padding=1), nn.GELU(), nn.Conv1d(width, width, 1))
            for _ in range(blocks)
        )
        self.outward = nn.Conv1d(width, out, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.inward(frames.transpose(1, 2))
        for block in self.blocks:
            x = x + block(x)
        return self.outward(functional.gelu(x))


class Spectra:
    """Log spectra of a batch of waveforms [B, T] -> [B, MELS*4 + BINS*2, F]."""

    def __init__(self):
        self.windows = torch.hann_window(1024), torch.hann_window(2048)
        self.filters = torchaudio.functional.melscale_fbanks(513, 0, RATE / 2, MELS, RATE, "slaney", "slaney")

    def __call__(self, wave: torch.Tensor) -> torch.Tensor:
        batch, frames = wave.shape[0], wave.shape[1] // HOP
        mel = torch.stft(wave, 1024, HOP // MEL_STEPS, window=self.windows[0], return_complex=True).abs()
        mel = (mel[..., : frames * MEL_STEPS].transpose(1, 2) @ self.filters + 1e-3).log()
        low = torch.stft(wave, 2048, HOP // BIN_STEPS, window=self.windows[1], return_complex=True).abs()
        low = (low[:, :BINS, : frames * BIN_STEPS].transpose(1, 2) + 0.1).log()
        return torch.cat([mel.reshape(batch, frames, -1), low.reshape(batch, frames, -1)], 2).transpose(1, 2)


def phone_names(lexicon: dict[str, dict[str, Word]]) -> list[str]:
    return sorted({phone for spoken in lexicon.values() for word in spoken.values() for phone in word.phones} | {PAUSE})


class Batches:
    """Crops of FRAMES frames from joined texts: (wave [B, T], phone ids [B, F]), a function of the step.

    Half of them begin within a frame of the joined words, as a clip that somebody cut does.
    """

    def __init__(self, lexicon: dict[str, dict[str, Word]], seed: int):
        self.lexicon, self.seed = lexicon, seed
        self.phones = {name: index for index, name in enumerate(phone_names(lexicon))}

    def __call__(self, step: int, clips: int = CLIPS) -> tuple[torch.Tensor, torch.Tensor]:
        random, texts = np.random.default_rng([self.seed, step]), Texts(self.seed * 1_000_000 + step)
        waves, labels = [], []
        for _ in range(clips):
            spoken = self.lexicon[random.choice(list(SPEAKERS))]
            wave, phones = lay_out(texts.draw(8), spoken)
            while len(phones) <= FRAMES:
                more, names = lay_out(texts.draw(8), spoken)
                wave, phones = np.concatenate([wave, more]), phones + names
            start = random.integers(len(phones) - FRAMES)
            shift = random.integers(HOP) if random.random() < 0.5 else 0
            first = start * HOP + shift
            waves.append(wave[first : first + FRAMES * HOP] * random.uniform(0.7, 1.2))
            start += round(shift / HOP)
            labels.append([self.phones[name] for name in phones[start : start + FRAMES]])
        noise = 1e-4 * random.standard_normal((clips, FRAMES * HOP))
        return torch.from_numpy((np.stack(waves) + noise).astype(np.float32)), torch.tensor(labels)


def train_encoder(folder: Path, lexicon: dict[str, dict[str, Word]], steps: int) -> Path:
    """Train the encoder and fit its codebooks. Returns the file with their weights."""
    done = folder / "encoder.pt"
    if done.is_file():
        return done
    module, config = new_codec()
    batches, spectra = Batches(lexicon, seed=1), Spectra()
    heads = Heads(len(batches.phones))
    encoder = nn.ModuleDict(
        {
            "hubert": module.semantic_model,
            "semantic": module.encoder_semantic,
            "bottleneck": nn.Linear(config.semantic_width, BOTTLENECK),
            "heads": heads,
        }
    )
    weights = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE_PEAK, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    parts = {"encoder": encoder, "optimizer": optimizer}
    training = Training("encoder", folder / "encoder_run.pt", steps, parts, RATE_PEAK)
    mean = spectra(batches(0)[0]).mean((0, 2), keepdim=True)

    def one_step(step: int, rate: float) -> dict[str, float]:
        wave, phones = batches(step)
        target = spectra(wave)
        frames = _normalized(module, config, encoder, wave)
        torch.manual_seed(step)
        spectrum = heads.spectrum(frames + FINE_NOISE * torch.randn_like(frames)) + mean
        logits = heads.phone(frames + COARSE_NOISE * torch.randn_like(frames))
        error = (spectrum - target).abs()
        mel, low = error[:, : MELS * MEL_STEPS].mean(), error[:, MELS * MEL_STEPS :].mean()
        phone = functional.cross_entropy(logits, phones)
        set_rate(optimizer, rate)
        optimizer.zero_grad()
        (mel + low + 0.4 * phone).backward()
        nn.utils.clip_grad_norm_(weights, 2.0)
        optimizer.step()
        right = (logits.argmax(1) == phones).float().mean()
        return {"mel": mel.item(), "low": low.item(), "phone": phone.item(), "phones right": right.item()}

    training.run(one_step)
    encoder.eval()
    _fold(module, config, encoder)
    fit_codebooks(module, lambda step: _joined(module, config, batches(10_000_000 + step)[0]))
    kept = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(DECODER)}
    save_atomically({"module": kept, "heads": heads.state_dict(), "mean": mean}, done)
    return done


def _normalized(module, config, encoder: nn.ModuleDict, wave: torch.Tensor) -> torch.Tensor:
    frames = encoder["bottleneck"](semantic_latents(module, config, wave))
    return encoder["heads"].norm(frames.transpose(1, 2)).transpose(1, 2)


@torch.no_grad()
def _fold(module, config, encoder: nn.ModuleDict) -> None:
    """Bottleneck and normalization become the joint projection: its output is the 32 numbers, turned into its width."""
    norm, bottleneck = encoder["heads"].norm, encoder["bottleneck"]
    scale = (norm.running_var + norm.eps).rsqrt()
    weight, bias = bottleneck.weight * scale[:, None], (bottleneck.bias - norm.running_mean) * scale
    basis = torch.empty(config.latent + config.semantic_width, BOTTLENECK)
    nn.init.orthogonal_(basis, generator=torch.Generator().manual_seed(1))
    module.fc.weight.zero_()
    module.fc.weight[:, config.latent :] = basis @ weight
    module.fc.bias.copy_(basis @ bias)
    for level in module.quantizer.quantizers:
        level.project_in.weight.copy_(basis.t())
        level.project_out.weight.copy_(basis)
        level.project_in.bias.zero_()
        level.project_out.bias.zero_()


@torch.no_grad()
def _joined(module, config, wave: torch.Tensor) -> torch.Tensor:
    """[B, T] -> what the quantizer gets [B * F, joined width]."""
    latents = functional.pad(semantic_latents(module, config, wave), (config.latent, 0))
    return module.fc(latents).flatten(0, 1)


@torch.no_grad()
def fit_codebooks(module, frames_of_step, batches: int = 120, rounds: int = 15) -> None:
    """Residual k-means: each codebook is fitted to what the ones before leave over. Every entry gets frames."""
    residual = torch.cat([frames_of_step(step) for step in range(batches)])
    generator = torch.Generator().manual_seed(2)
    for number, level in enumerate(module.quantizer.quantizers):
        points = level.project_in(residual)
        entries = level.codebook.embed
        entries.copy_(points[torch.randperm(len(points), generator=generator)[: len(entries)]])
        for _ in range(rounds):
            nearest = level.codebook.nearest(points[None])[0]
            count = torch.zeros(len(entries)).index_add_(0, nearest, torch.ones(len(points)))
            total = torch.zeros_like(entries).index_add_(0, nearest, points)
            entries.copy_(total / count.clamp_min(1)[:, None])
            unused = torch.nonzero(count < 1).flatten()
            entries[unused] = points[torch.randint(len(points), (len(unused),), generator=generator)]
        nearest = level.codebook.nearest(points[None])[0]
        share = torch.bincount(nearest, minlength=len(entries)) / len(points)
        perplexity = torch.exp(-(share * share.clamp_min(1e-12).log()).sum())
        residual = residual - level.decode(nearest)
        left = residual.square().sum() / (len(residual) * BOTTLENECK)
        print(f"codebook {number}: perplexity {perplexity:.0f}, {left:.3f} of the variance left", flush=True)
