"""Sixty lines of Higgs Nano in the times of other speakers, as a dub has them: how many fit, and that none overlap."""

from __future__ import annotations

import random
import sys
from itertools import islice

import pytest

from higgs_runtime import (
    LocalSpeaker,
    RenderJob,
    RenderSettings,
    Sampling,
    Script,
    Turn,
    load_codec,
    load_model,
    load_recognizer,
    read_subtitles,
    render,
    write_subtitles,
)
from higgs_runtime.hub.catalog import EMBEDDED, embedded_voices
from higgs_runtime.rendering import Verifier, assemble, describe_fits
from higgs_runtime.rendering.slots import speech_seconds
from higgs_runtime.voices import load_source
from tools.nano.domain import sentences

# Who says it, and who said it in the film: somebody who speaks about as fast, as one casts a dub.
CAST = {"Rose": "Alan", "Alan": "Rose", "Bear": "Ross", "Ross": "Bear"}
LINES, NEAR, MOST = 60, 0.05, 0.9


@pytest.mark.slow
def test_sixty_lines_fit_the_slots_of_other_speakers(tmp_path, capsys):
    model, codec = load_model(EMBEDDED / "higgs-nano"), load_codec(EMBEDDED / "higgs-nano-codec")
    voices = {name.title(): load_source(file, codec) for name, file in embedded_voices().items()}
    settings, sampling = RenderSettings(batch=32, takes_per_slot=3), Sampling(seed=3)
    texts, speakers = list(islice(sentences(5), LINES)), [list(CAST)[n % len(CAST)] for n in range(LINES)]

    film = Script([Turn(CAST[speaker], text) for speaker, text in zip(speakers, texts, strict=True)])
    original = render(RenderJob(script=film, voices=voices, sampling=sampling, settings=settings), LocalSpeaker(model))
    cues, at, gaps = [], 1.0, random.Random(1)
    for spoken, speaker, text in zip(original.lines, speakers, texts, strict=True):
        seconds = speech_seconds(codec, spoken.take.codes)
        cues.append((at, at + seconds, speaker, text))
        at += seconds + gaps.uniform(0.05, 1.0)
    file = tmp_path / "film.srt"
    write_subtitles(cues, file)

    script = read_subtitles(file)
    verifier = Verifier(codec, load_recognizer(), "ears", voices, language="en")
    job = RenderJob(script=script, voices=voices, sampling=sampling, settings=settings)
    made = render(job, LocalSpeaker(model, codec, verifier=verifier))
    assembly = assemble(made, codec)
    with capsys.disabled():
        sys.stdout.write(f"\n{describe_fits(assembly.fits)}\n")

    lengths = [time.end_s - time.start_s for time in assembly.times]
    slots = [turn.slot[1] - turn.slot[0] for turn in script.turns]
    near = sum(abs(length / slot - 1) <= NEAR for length, slot in zip(lengths, slots, strict=True))
    assert near >= MOST * LINES
    assert all(0.9 - 1e-9 <= time.speed <= 1.15 + 1e-9 for time in assembly.times)
    pairs = zip(assembly.times, assembly.times[1:], strict=False)
    assert all(one.end_s <= following.start_s + 1e-6 for one, following in pairs)
    heard = [track.clip.seconds for track in assembly.tracks]
    assert heard == pytest.approx(lengths, abs=1e-3), "the sound is as long as the time line says"
    assert sum(one.tries for one in made.lines) >= 3 * LINES
