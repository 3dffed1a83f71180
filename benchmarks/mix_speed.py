"""An hour of 20 tracks mixed into a file: this runtime and ffmpeg's `amix`, in turn, each in a process of its own.

    python dev.py bench mix_speed -- [--minutes 60] [--tracks 20] [--rounds 3]

Both read the same WAV files and write 24-bit FLAC. ffmpeg is the program where there is one, else PyAV's filters.
"Times real time" goes by seconds on a core. The peak is what the process holds at most, above what it held before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import write, write_json
from memory import peak

from higgs_runtime import Track
from higgs_runtime.audio.mix import AudioFile, mix_to_file

RATE = 48_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--tracks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        name, folder = args.part
        started, busy = time.perf_counter(), cpu()
        above = {"ours": ours, "ffmpeg": ffmpeg}[name](Path(folder))
        write(f"{time.perf_counter() - started} {cpu() - busy} {above}")
        return
    figures = {"ours": [], "ffmpeg": []}
    with tempfile.TemporaryDirectory() as folder:
        make_tracks(Path(folder), args.minutes * 60, args.tracks)
        for _ in range(args.rounds):
            for name in figures:
                command = [sys.executable, "-W", "ignore", __file__, "--part", name, folder]
                found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
                figures[name].append([float(one) for one in found])
    write(f"{args.minutes:g} minutes, {args.tracks} tracks at {RATE} Hz, mono, each at its own gain, into FLAC:")
    for name, rows in figures.items():
        seconds, busy, above = (statistics.median(column) for column in zip(*rows, strict=True))
        write(
            f"  {name:<7} {seconds:7.1f} s, {busy:7.1f} s of them on a core: {args.minutes * 60 / busy:5.0f} times "
            f"real time; peak {above:5.0f} MB"
        )
    write_json(
        benchmark="mix_speed",
        **{key: value for key, value in vars(args).items() if key != "part"},
        program=bool(shutil.which("ffmpeg")),
        **figures,
    )


def cpu() -> float:
    """Seconds that this process and its children were at work."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make_tracks(folder: Path, seconds: float, count: int) -> None:
    """Files that differ, of noise that comes and goes; 16 bits."""
    import numpy as np
    import soundfile

    length = round(seconds * RATE)
    for number in range(count):
        generator = np.random.default_rng(number)
        minute = (generator.standard_normal(RATE * 60) * 0.02).astype("float32")
        with soundfile.SoundFile(folder / f"{number}.wav", "w", RATE, 1) as file:
            for start in range(0, length, len(minute)):
                file.write(minute[: length - start])


def gains(count: int) -> list[float]:
    return [-3.0 - number / 2 for number in range(count)]


def ours(folder: Path) -> float:
    paths = sorted(folder.glob("*.wav"))
    before = peak()
    mix_to_file(
        [Track(AudioFile(path), gain_db=gain) for path, gain in zip(paths, gains(len(paths)), strict=True)],
        folder / "ours.flac",
        subtype="PCM_24",
    )
    return (peak() - before) / 1e6


def ffmpeg(folder: Path) -> float:
    paths = sorted(folder.glob("*.wav"))
    scale = [f"[{number}:a]volume={gain}dB[a{number}]" for number, gain in enumerate(gains(len(paths)))]
    names = "".join(f"[a{number}]" for number in range(len(paths)))
    graph = ";".join([*scale, f"{names}amix=inputs={len(paths)}:normalize=0[out]"])
    program, target = shutil.which("ffmpeg"), folder / "theirs.flac"
    if program is None:
        return with_av(paths, target)
    inputs = [part for path in paths for part in ("-i", str(path))]
    done = subprocess.Popen(
        [
            program,
            "-v",
            "error",
            "-y",
            *inputs,
            "-filter_complex",
            graph,
            "-map",
            "[out]",
            "-sample_fmt",
            "s32",
            str(target),
        ]
    )
    highest = 0.0
    while done.poll() is None:
        status = Path(f"/proc/{done.pid}/status").read_text(encoding="ascii").splitlines()
        highest = max([highest, *(int(line.split()[1]) / 1000 for line in status if "VmHWM" in line)])
        time.sleep(0.2)
    if done.returncode:
        raise SystemExit("ffmpeg failed")
    return highest


def with_av(paths: list[Path], target: Path) -> float:
    """The same graph through PyAV."""
    import av

    before = peak()
    graph, sources = av.filter.Graph(), []
    mixer = graph.add("amix", f"inputs={len(paths)}:normalize=0")
    for number, (path, gain) in enumerate(zip(paths, gains(len(paths)), strict=True)):
        stream = av.open(str(path)).streams.audio[0]
        source, volume = graph.add_abuffer(template=stream), graph.add("volume", f"{gain}dB")
        source.link_to(volume)
        volume.link_to(mixer, 0, number)
        sources.append((source, stream.container.decode(stream)))
    shaped, sink = graph.add("aformat", "sample_fmts=s32:channel_layouts=mono"), graph.add("abuffersink")
    mixer.link_to(shaped)
    shaped.link_to(sink)
    graph.configure()
    with av.open(str(target), "w") as out:
        encoder = out.add_stream("flac", rate=RATE, layout="mono", format="s32")
        running = dict(enumerate(sources))
        while True:
            for number, (source, frames) in list(running.items()):
                frame = next(frames, None)
                source.push(frame)
                if frame is None:
                    del running[number]
            try:
                while True:
                    mixed = graph.pull()
                    mixed.pts = None
                    out.mux(encoder.encode(mixed))
            except av.BlockingIOError:
                continue
            except av.EOFError:
                break
        out.mux(encoder.encode(None))
    return (peak() - before) / 1e6


if __name__ == "__main__":
    main()
