"""How good a clip is as a reference, as it is: what the picker of Load Audio says of a selection."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import AudioClip, AudioError, prepare_reference
from higgs_runtime.voices.reference import inspect_reference

RATE = 24_000


def talk(seconds: float = 6.0) -> torch.Tensor:
    """Bursts of a voice-like tone with pauses, over very little noise."""
    time = torch.arange(int(seconds * RATE)) / RATE
    voice = sum(torch.sin(2 * torch.pi * 120 * n * time) / n for n in range(1, 8))
    syllables = (torch.sin(2 * torch.pi * 1.5 * time - 0.6) > -0.2).float()
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(1)) * 1e-4
    return (0.15 * voice * syllables + noise)[None]


def said(samples: torch.Tensor, rate: int = RATE) -> str:
    return "\n".join(inspect_reference(AudioClip(samples, rate)).warnings)


def test_a_good_clip_has_no_warning():
    report = inspect_reference(AudioClip(talk(), RATE))
    assert report.warnings == () and report.snr_db > 30 and report.end_s == 6.0 and report.start_s == 0.0


def test_each_fault_is_named():
    clean = talk()
    assert "ends while there is sound" in said(clean[:, : int(4.3 * RATE)]) and "ends while" not in said(clean)
    noise = 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    assert "Noise under the speech" in said(clean + noise)
    assert "Clipped:" in said((clean * 8).clamp(-1, 1))
    assert "very quietly" in said(clean * 0.01) and "Too short" in said(clean[:, :RATE])
    assert "Narrow band" in said(clean[:, ::3], RATE // 3) and "Long: 36 s" in said(clean.repeat(1, 6))


def test_it_is_measured_as_prepare_reference_measures():
    clip = AudioClip(talk(), RATE)
    prepared, seen = prepare_reference(clip).report, inspect_reference(clip)
    assert abs(prepared.speech_dbfs - seen.speech_dbfs) < 1 and prepared.peak_dbfs == seen.peak_dbfs


@pytest.mark.parametrize(
    "samples, words",
    [
        (torch.zeros(1, 0), "0 samples"),
        (torch.zeros(2, RATE), "silence"),
        (torch.stack([torch.ones(RATE), -torch.ones(RATE)]), "cancel each other"),
    ],
)
def test_silence_is_refused(samples, words):
    with pytest.raises(AudioError, match=words):
        inspect_reference(AudioClip(samples, RATE))
