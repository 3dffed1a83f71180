"""Films of the pack's clips: one actor after another, as a clip or as a video whose sound may begin later."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from higgs_runtime import AudioClip, Script, Turn, embedded_voices

RATE = 24_000
GAP_S = 0.5


def actor(name: str) -> tuple[AudioClip, str]:
    """A clip of the pack and its words."""
    path = embedded_voices()[name]
    return AudioClip.load(path), path.with_suffix(".txt").read_text(encoding="utf-8").strip()


def film_of(names, *, named: bool = False, noise: float = 1e-4) -> tuple[AudioClip, Script]:
    """The clips one after another, GAP_S apart, with a little noise; and subtitles of what they say."""
    parts, turns, at = [torch.zeros(1, round(GAP_S * RATE))], [], GAP_S
    for name in names:
        clip, text = actor(name)
        parts += [clip.samples, torch.zeros(1, round(GAP_S * RATE))]
        turns.append(Turn(name.title() if named else "", text, slot=(at, at + clip.seconds)))
        at += clip.seconds + GAP_S
    wave = torch.cat(parts, 1)
    hiss = noise * torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    return AudioClip(wave + hiss, RATE), Script(turns)


def write_film(path: Path, clip: AudioClip, delay_s: float = 0.0, b_frames: int = 0) -> Path:
    """A video with this sound, which begins `delay_s` after the pictures; so many of them in a row are made of those
    before and behind them."""
    import av

    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264" if b_frames else "mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.max_b_frames = b_frames
        sound = file.add_stream("aac", rate=clip.sample_rate, layout="mono" if clip.channels == 1 else "stereo")
        for number in range(int((clip.seconds + delay_s) * 10) + 2):
            picture = np.full((48, 64, 3), number % 255, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        wave = clip.samples.numpy()
        for start in range(0, clip.length, 1024):
            block = np.ascontiguousarray(wave[:, start : start + 1024].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono" if clip.channels == 1 else "stereo")
            frame.sample_rate, frame.time_base = clip.sample_rate, Fraction(1, clip.sample_rate)
            frame.pts = round(delay_s * clip.sample_rate) + start
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    return path


def lag_s(heard: AudioClip, expected: AudioClip) -> float:
    """By how much what is heard comes later than expected, in seconds."""
    size = 2 * max(heard.length, expected.length)
    one, other = (torch.fft.rfft(clip.samples[0], size) for clip in (heard, expected))
    place = int(torch.fft.irfft(one * other.conj(), size).argmax())
    return (place - size if place > size // 2 else place) / heard.sample_rate
