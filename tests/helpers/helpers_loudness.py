"""FFmpeg's own meters (through PyAV), to compare with."""

from __future__ import annotations

import json
from fractions import Fraction

from higgs_runtime import AudioClip

_LAYOUTS = {1: "mono", 2: "stereo", 5: "5.0", 6: "5.1"}


def ebur128(clip: AudioClip) -> dict[str, float]:
    """What `ebur128=peak=true` reads at the end of a clip: I, LRA and true_peak (linear), and the highest M and S."""
    frames = list(_filtered(clip, "ebur128", "peak=true:metadata=1"))
    told = [{key: float(value) for key, value in frame.metadata.items()} for frame in frames if frame.metadata]
    read = {name: told[-1][f"lavfi.r128.{name}"] for name in ("I", "LRA", "true_peak")}
    return {**read, **{name: max(one[f"lavfi.r128.{name}"] for one in told) for name in ("M", "S")}}


def loudnorm(clip: AudioClip) -> dict[str, float]:
    """What the first pass of `loudnorm` measures: input_i, input_tp, input_lra."""
    import av.logging

    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture(local=False) as lines:
            for _ in _filtered(clip, "loudnorm", "print_format=json"):
                pass
            import gc

            gc.collect()  # it prints when its graph goes
    finally:
        av.logging.set_level(level)
    text = "".join(line[2] for line in lines)
    return {
        key: float(value)
        for key, value in json.loads(text[text.index("{") : text.rindex("}") + 1]).items()
        if key.startswith("input")
    }


def _filtered(clip: AudioClip, name: str, arguments: str):
    import av

    layout, graph = _LAYOUTS[clip.channels], av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=clip.sample_rate, format="fltp", layout=layout, time_base=Fraction(1, clip.sample_rate)
    )
    meter, sink = graph.add(name, arguments), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(clip.samples.numpy(), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = clip.sample_rate, 0, Fraction(1, clip.sample_rate)
    source.push(frame)
    source.push(None)
    while True:
        try:
            yield sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
