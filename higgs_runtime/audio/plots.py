"""Pictures of sound: waveform, mel spectrogram, loudness over time, the tracks of a mix.

All are FloatTensor [H, W, 3], 0 to 1, H rows by W columns of pixels. Long clips are reduced to what a column can show
before anything is drawn. Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from ..errors import AudioError, MissingExtraError, check_range
from .clip import AudioClip, to_mono
from .loudness.measure import loudness_over_time
from .mix import AudioFile, Track, plan

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

_BACK, _INK, _GRID = "#1b1d23", "#e8e8ea", "#3a3d46"
_COLOURS = ("#4fc3f7", "#ffb74d", "#81c784", "#f06292", "#ba68c8", "#ffd54f", "#4db6ac", "#a1887f")
_TEXT_SHARE = 0.042  # of the picture's height and of half its width, whichever is less: readable on a node
_STEPS_S = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    36_000,
    86_400,
)
_FFT, _MELS, _RANGE_DB = 2048, 128, 80.0
_FRAMES_PER_COLUMN = 4  # a long clip is sampled at so many moments for each column of its spectrogram
_LOWEST_LUFS = -60.0


def waveform_picture(clip: AudioClip, width: int = 1024, height: int = 512) -> torch.Tensor:
    """The waveform, one row a channel: lowest and highest sample of each column.

    Raises:
        AudioError: the clip has no samples.
        SettingError: a side outside 64 to 8192 pixels.
        MissingExtraError: matplotlib (extra `pictures`) is not installed.
    """
    with _figure([clip], width, height) as (figure, pixels):
        axes, top = figure.subplots(), max(1.0, float(clip.samples.abs().max()))
        middles = [-2.1 * top * row for row in range(clip.channels)]
        for number, (samples, middle) in enumerate(zip(clip.samples, middles, strict=True)):
            _wave(axes, samples, clip.seconds, width, _COLOURS[number % len(_COLOURS)], middle)
        axes.set_ylim(middles[-1] - top, top)
        marks = (-0.5, 0, 0.5) if clip.channels <= 2 else (0,)
        axes.set_yticks([middle + mark for middle in middles for mark in marks])
        axes.set_yticklabels(
            [f"{mark:g}" for mark in marks] * clip.channels
            if clip.channels <= 2
            else [str(number) for number in range(clip.channels)]
        )
        _time_axis(axes, clip.seconds)
    return pixels[0]


def spectrogram_picture(clip: AudioClip, width: int = 1024, height: int = 512) -> torch.Tensor:
    """The mel spectrogram of all channels together: 128 bands from 0 Hz to half the rate, the upper 80 dB.

    Each column shows the mean of up to 4 moments, windows of 2048 samples (of 43 ms, where that is more).

    Raises:
        AudioError, SettingError, MissingExtraError: see `waveform_picture`.
    """
    with _figure([clip], width, height) as (figure, pixels):
        axes = figure.subplots()
        levels, centres = _mel_levels(clip, width)
        axes.imshow(
            levels,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=levels.max() - _RANGE_DB,
            extent=(0, clip.seconds, -0.5, _MELS - 0.5),
            interpolation="nearest",
        )
        import numpy as np

        marks = [hertz for hertz in (250, 1000, 2000, 4000, 8000, 16_000) if hertz < clip.sample_rate / 2]
        axes.set_yticks(np.interp(marks, centres, np.arange(_MELS)))
        axes.set_yticklabels([f"{hertz / 1000:g} k" if hertz >= 1000 else f"{hertz}" for hertz in marks])
        axes.set_ylabel("Hz")
        _time_axis(axes, clip.seconds)
    return pixels[0]


def loudness_picture(clip: AudioClip, width: int = 1024, height: int = 512) -> torch.Tensor:
    """Momentary (0.4 s) and short-term (3 s) loudness over time, and the integrated loudness as a line; in LUFS.

    Raises:
        AudioError: see `waveform_picture` and `measure_loudness`.
        SettingError, MissingExtraError: see `waveform_picture`.
    """
    with _figure([clip], width, height) as (figure, pixels):
        axes, curve = figure.subplots(), loudness_over_time(clip)
        for levels, first_s, colour, thick in (
            (curve.momentary_lufs, 0.4, _COLOURS[0], 1.0),
            (curve.short_term_lufs, 3.0, _COLOURS[1], 3.0),
        ):
            defined = curve.times_s >= first_s
            if defined.any():
                times, highest = (_columns(values[defined], width)[1] for values in (curve.times_s, levels))
                axes.plot(times, highest.clamp(min=_LOWEST_LUFS), color=colour, linewidth=thick, label=f"{first_s:g} s")
        if math.isfinite(whole := curve.integrated_lufs):
            axes.axhline(whole, color=_INK, linestyle="--", linewidth=1.5, label=f"{whole:.1f} LUFS")
        axes.set_ylim(_LOWEST_LUFS, 0)
        axes.set_ylabel("LUFS")
        axes.grid(True, color=_GRID)
        if axes.lines:
            axes.legend(loc="lower right", ncols=3, facecolor=_BACK, edgecolor=_GRID, labelcolor=_INK)
        _time_axis(axes, clip.seconds)
    return pixels[0]


def timeline_picture(
    tracks: Sequence[Track], names: Sequence[str] = (), width: int = 1024, height: int = 512
) -> torch.Tensor:
    """The tracks of a mix, one row each, at the place where they lie; muted ones pale, files without their wave.

    Args:
        tracks: one or more.
        names: of the tracks; their numbers where it ends.

    Raises:
        AudioError: no tracks.
        SettingError: places that cannot be (see `mix`), or see `waveform_picture`.
        MissingExtraError: see `waveform_picture`.
    """
    with _figure([track.clip for track in tracks], width, height) as (figure, pixels):
        rate = max(track.clip.sample_rate for track in tracks)
        places, axes = plan(tracks, rate), figure.subplots()
        seconds, solo = max(place.end for place in places) / rate, any(track.solo for track in tracks)
        for row, (track, place) in enumerate(zip(tracks, places, strict=True)):
            heard = not track.mute and (track.solo or not solo)
            _lane(
                axes,
                row,
                track,
                (place.start / rate, place.length / rate, place.period / rate),
                round(width * place.period / rate / seconds),
                1.0 if heard else 0.35,
            )
        axes.set_ylim(len(tracks) - 0.5, -0.5)
        axes.set_yticks(range(len(tracks)))
        axes.set_yticklabels([*names, *map(str, range(len(names), len(tracks)))][: len(tracks)])
        _time_axis(axes, seconds)
    return pixels[0]


def words_picture(
    clip: AudioClip, words: Sequence[tuple[float, float, str]], width: int = 1600, height: int = 320
) -> torch.Tensor:
    """The waveform with a box and the text over each word: (start, end, text), in seconds.

    Raises:
        AudioError, SettingError, MissingExtraError: see `waveform_picture`.
    """
    with _figure([clip], width, height) as (figure, pixels):
        axes, wave = figure.subplots(), to_mono(clip).samples[0]
        top = max(1e-6, float(wave.abs().max()))
        _wave(axes, wave / top, clip.seconds, width, _COLOURS[0], 0.0)
        for number, (start, end, text) in enumerate(words):
            colour = _COLOURS[1 + number % 2]
            axes.axvspan(start, end, ymax=0.8, color=colour, alpha=0.2, linewidth=0)
            axes.text(
                (start + end) / 2,
                1.15 + 0.25 * (number % 2),
                text,
                ha="center",
                va="center",
                color=colour,
                clip_on=True,
            )
        axes.set_ylim(-1.05, 1.6)
        axes.set_yticks([])
        _time_axis(axes, clip.seconds)
    return pixels[0]


def _lane(axes: Axes, row: int, track: Track, place: tuple[float, float, float], columns: int, alpha: float) -> None:
    """One track in its row: a box, its wave as often as it is heard, its gain."""
    start, length, period = place
    colour = _COLOURS[row % len(_COLOURS)]
    axes.barh(row, length, 0.8, start, color=colour, alpha=0.25 * alpha)
    if isinstance(track.clip, AudioClip):
        first, last = track.span
        wave = to_mono(track.clip).samples[0, first:last]
        low, high = _columns(wave / max(1.0, float(wave.abs().max())), max(1, columns))
        for again in range(min(200, math.ceil(length / period))):
            count = min(1.0, length / period - again) * len(low)
            times = start + (again + (torch.arange(len(low)) + 0.5) / len(low)) * period
            kept = slice(0, max(1, round(count)))
            axes.fill_between(
                times[kept], row - 0.4 * high[kept], row - 0.4 * low[kept], color=colour, alpha=alpha, linewidth=0.5
            )
    if track.gain_db:
        axes.annotate(
            f"{track.gain_db:+g} dB",
            (start, row - 0.4),
            (4, -4),
            textcoords="offset points",
            va="top",
            color=_INK,
            fontsize="small",
        )


def _wave(axes: Axes, samples: torch.Tensor, seconds: float, columns: int, colour: str, middle: float) -> None:
    """Samples [T] around a line at a height."""
    low, high = (middle + values for values in _columns(samples, columns))
    times = (torch.arange(len(low), dtype=torch.float64) + 0.5) * seconds / len(low)
    if len(samples) <= columns:
        axes.plot(times, high, color=colour, linewidth=1.0)
    else:
        axes.fill_between(times, low, high, color=colour, linewidth=0.5)
    axes.axhline(middle, color=_GRID, linewidth=0.8)


def _columns(values: torch.Tensor, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest value in each of so many equal stretches (of each value, where there are fewer)."""
    import numpy as np

    columns = min(columns, len(values))
    starts, plain = np.arange(columns) * len(values) // columns, values.detach().cpu().numpy()
    low, high = (torch.from_numpy(best.reduceat(plain, starts)) for best in (np.minimum, np.maximum))
    return low, high


def _mel_levels(clip: AudioClip, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels in dB [bands, columns or fewer], and the bands' centres in Hz."""
    import librosa
    import numpy as np

    wave = to_mono(clip).samples[0].detach().cpu().numpy()
    window = _FFT * 2 ** max(0, math.ceil(math.log2(clip.sample_rate / 48_000)))  # else the lowest bands stay empty
    wave = np.pad(wave, (0, max(0, window - len(wave))))
    hop = max(window // 8, (len(wave) - window) // (columns * _FRAMES_PER_COLUMN))
    power = librosa.feature.melspectrogram(
        y=wave, sr=clip.sample_rate, n_fft=window, hop_length=hop, center=False, n_mels=_MELS
    )
    each = -(-power.shape[1] // columns)
    starts = np.arange(0, power.shape[1], each)
    power = np.add.reduceat(power, starts, axis=1) / np.diff([*starts, power.shape[1]])
    return librosa.power_to_db(power, ref=1.0, top_db=None), librosa.mel_frequencies(_MELS, fmax=clip.sample_rate / 2)


def _time_axis(axes: Axes, seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = next((step for step in _STEPS_S if seconds / step <= 8), _STEPS_S[-1])

    def clock(second: float, _) -> str:
        minutes, rest = divmod(round(second / min(step, 1)) * min(step, 1), 60)
        digits = max(0, math.ceil(-math.log10(step)))
        text = f"{rest:0{3 + digits if digits else 2}.{digits}f}"
        return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{text}" if seconds >= 3600 else f"{minutes:.0f}:{text}"

    axes.set_xlim(0, seconds)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(clock))


@contextmanager
def _figure(clips: Sequence[AudioClip | AudioFile], width: int, height: int):
    """A dark figure to draw on, and a list that holds its pixels once all is drawn."""
    for name, value in (("width", width), ("height", height)):
        check_range(name, value, 64, 8192, "Pixels; 1024 by 512 suits a node.")
    if not clips or any(clip.length == 0 for clip in clips):
        raise AudioError(
            "There is nothing to draw.",
            expected="a clip with samples",
            got="0 samples" if clips else "no tracks",
            remedy="Check the step before.",
        )
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("Drawing", "pictures", "matplotlib") from error
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: dict[RcKeyType, str | float] = {
        "font.size": min(height, width / 2) * _TEXT_SHARE * 0.72,
        "text.color": _INK,
        "axes.facecolor": _BACK,
        "axes.edgecolor": _GRID,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    pixels: list[torch.Tensor] = []
    with matplotlib.rc_context(style):
        figure = Figure((width / 100, height / 100), dpi=100, facecolor=_BACK, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        yield figure, pixels
        canvas.draw()
    pixels.append(torch.from_numpy(np.asarray(canvas.buffer_rgba())[:, :, :3].astype(np.float32) / 255))
