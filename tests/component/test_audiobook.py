"""A book of twenty minutes, from plain text to a file with chapters, in memory that does not grow with it."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint
from helpers_rendering import rendered

from higgs_runtime import RenderSettings, Sampling, TakeStore, Voice, load_codec, load_model
from higgs_runtime.audio.files.export import parse_chapters
from higgs_runtime.audio.mix import AudioFile
from higgs_runtime.rendering import assemble
from higgs_runtime.script import book_script
from higgs_runtime.takes import model_identity

CHAPTERS, PARAGRAPHS, LINE_S = 8, 10, 15.0
MINUTES = 20
MAY_GROW_MB = 48  # in the last four fifths of the work; twenty minutes are 115 MB of samples


def book() -> str:
    paragraph = "It was a long and quiet winter, and the keeper of the lighthouse read his books by the fire. " * 3
    return "\n\n".join(
        "\n\n".join([f"Chapter {n + 1}", *[f"On day {k} of it. {paragraph}" for k in range(PARAGRAPHS)]])
        for n in range(CHAPTERS)
    )


class Watch:
    """Bytes that this process holds, after a fifth of some work and at most after that."""

    def __init__(self, total: int):
        self.after, self.early, self.late = total // 5, 0, 0
        self.done = 0

    def look(self, *_) -> None:
        self.done += 1
        held = psutil.Process().memory_info().rss
        if self.done <= self.after:
            self.early = max(self.early, held)
        else:
            self.late = max(self.late, held)

    @property
    def grown_mb(self) -> float:
        return (self.late - self.early) / 1e6


@pytest.mark.slow
def test_a_book_of_twenty_minutes_in_flat_memory(tmp_path, one_thread):
    lm = make_lm_checkpoint(tmp_path / "lm", stream_end=0)
    model, codec = load_model(lm), load_codec(make_codec_checkpoint(tmp_path / "codec"))
    script = book_script(book())
    lines = CHAPTERS * (PARAGRAPHS + 1)
    speaking = Watch(lines)
    made = rendered(
        script,
        {"Narrator": Voice(random_codes(20), "The words of the clip.")},
        model,
        Sampling(temperature=1.0, max_frames=round(LINE_S * 25)),
        RenderSettings(read_scenes=False, max_chars=500),
        store=TakeStore(tmp_path / "takes"),
        identity=model_identity(lm, device="cpu", dtype=torch.float32),
        on_take=speaking.look,
    )
    assert made.complete and len(made.lines) == lines
    (tmp_path / "spool").mkdir()
    gc.collect()
    decoding = Watch(lines)
    found = assemble(made, codec, spool=tmp_path / "spool", on_progress=decoding.look)
    before = psutil.Process().memory_info().rss
    mixed = found.mix_to(tmp_path / "book.wav").clip
    grown = (psutil.Process().memory_info().rss - before) / 1e6
    assert isinstance(mixed, AudioFile) and mixed.seconds > MINUTES * 60
    assert max(speaking.grown_mb, decoding.grown_mb, grown) < MAY_GROW_MB, (speaking.grown_mb, decoding.grown_mb, grown)
    titles = [chapter.title for chapter in parse_chapters(found.chapters_text(), mixed.seconds)]
    assert titles == [f"Chapter {n + 1}" for n in range(CHAPTERS)]
    assert Path(tmp_path, "book.wav").stat().st_size > 28e6
