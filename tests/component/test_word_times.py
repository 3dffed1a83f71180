"""When words are said: against speech whose times are known, and of texts that differ from what is heard."""

from __future__ import annotations

import itertools
import random
import sys
import time

import pytest
import torch
from helpers_flite import SENTENCES, spoken
from helpers_speech import speech

from higgs_runtime import AudioClip, AudioError, HiggsWarning, MissingExtraError, load_recognizer
from higgs_runtime.verification import Word, alignment, forced_alignment, heard_times, word_times
from higgs_runtime.verification.recognizer import PACKAGED

RATE = 16_000


@pytest.fixture(scope="module")
def recognizer():
    return load_recognizer(PACKAGED)


@pytest.fixture
def by_ear(monkeypatch):
    """As where PocketSphinx is not, or in another language."""
    monkeypatch.setattr(alignment, "can_align", lambda _language: False)


def tones(seconds, rate=RATE):
    """Sound at the given stretches, silence between."""
    wave = torch.zeros(1, round(seconds[-1][1] * rate) + rate // 2)
    for start, end in seconds:
        place = torch.arange(round(start * rate), round(end * rate))
        wave[0, place] = 0.3 * torch.sin(place * 0.1)
    return AudioClip(wave, rate)


def errors_of(found, times) -> tuple[float, float]:
    """(median, 95th percentile) of the distances of starts and ends, in seconds."""
    told = torch.tensor([[word.start_s, word.end_s] for word in found])
    off = (told - torch.tensor(times)).abs().flatten().sort().values
    return float(off[len(off) // 2]), float(off[int(len(off) * 0.95)])


def in_order(found, seconds) -> bool:
    times = [time for word in found for time in (word.start_s, word.end_s)]
    return times == sorted(times) and times[0] >= 0 and times[-1] <= seconds


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """(text, clip, times) of all sentences in three voices."""
    folder = tmp_path_factory.mktemp("flite")
    return [(text, *spoken(text, voice, folder)) for voice in ("slt", "rms", "awb") for text in SENTENCES]


@pytest.mark.slow
def test_half_of_the_words_are_within_20_ms_and_95_of_100_within_60(known):
    found, times = [], []
    for text, clip, truth in known:
        words = word_times(clip, text, language="en")
        assert [word.text for word in words] == text.split() and in_order(words, clip.seconds)
        assert all(word.confidence is None for word in words)  # nobody listened
        found += words
        times += truth
    middle, most = errors_of(found, times)
    assert middle <= 0.02 and most <= 0.06


@pytest.mark.slow
def test_what_a_recognizer_heard_is_mended_where_the_sound_cannot_decide(known, recognizer, by_ear):
    found, raw, times, raw_times = [], [], [], []
    for text, clip, truth in known[::3]:
        heard = recognizer.transcribe(clip, "en").words
        found += word_times(clip, text, heard=heard, language="en")
        times += truth
        if len(heard) == len(truth):
            raw += heard
            raw_times += truth
    middle, most = errors_of(found, times)
    assert middle <= 0.06 and most <= 0.19
    assert errors_of(raw, raw_times)[0] > 1.5 * middle  # as the recognizer has them


@pytest.mark.slow
def test_a_long_recording_between_silences_is_aligned_in_stretches(known, recognizer):
    rate, parts, times, texts, start = known[0][1].sample_rate, [], [], [], 1.5
    parts.append(torch.zeros(1, round(start * rate)))
    for text, clip, truth in known[:15]:
        parts += [clip.samples, torch.zeros(1, rate // 2)]
        times += [(a + start, b + start) for a, b in truth]
        texts.append(text)
        start += clip.seconds + 0.5
    whole = AudioClip(torch.cat(parts, 1), rate)
    assert whole.seconds > 45
    words = word_times(whole, " ".join(texts), recognizer=recognizer)
    middle, most = errors_of(words, times)
    assert in_order(words, whole.seconds) and middle <= 0.02 and most <= 0.1
    assert sum(word.confidence > 0.5 for word in words) > 0.8 * len(words)


def recording(known, seconds: float):
    """(clip, text, times) of sentences in changing voices, with silences of changing lengths."""
    draw, rate, parts, texts, times, at = random.Random(1), known[0][1].sample_rate, [], [], [], 0
    while at < seconds * rate:
        text, clip, truth = draw.choice(known)
        gap = torch.zeros(1, round(draw.choice((0.15, 0.3, 0.5, 1.0, 4.0)) * rate))
        parts += [clip.samples, gap]
        texts.append(text)
        times += [(a + at / rate, b + at / rate) for a, b in truth]
        at += clip.length + gap.shape[1]
    return AudioClip(torch.cat(parts, 1), rate), " ".join(texts), times


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [3, 60])
def test_a_long_recording_that_nobody_heard_is_aligned_window_by_window(known, minutes, monkeypatch):
    clip, text, times = recording(known, 60 * minutes)
    windows, align = [], alignment.align_words
    monkeypatch.setattr(
        alignment, "align_words", lambda piece, words: windows.append(piece.seconds) or align(piece, words)
    )
    told, began = [], time.process_time()
    words = word_times(
        clip, text, language="en", on_progress=lambda done, total: told.append((time.process_time(), done, total))
    )
    middle, most = errors_of(words, times)
    assert [word.text for word in words] == text.split() and in_order(words, clip.seconds)
    assert middle <= 0.02 and most <= 0.06
    assert max(windows) <= alignment.LONGEST_S + 0.01 and sum(windows) < 3 * clip.seconds
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told) and told[-1][1:] == (clip.seconds,) * 2
    waits = [b - a for a, b in itertools.pairwise([began, *(at for at, _, _ in told)])]
    assert max(waits) < 2, "a person who cancels waits for one window"


def test_a_call_that_is_cancelled_ends_with_its_window(monkeypatch):
    monkeypatch.setattr(alignment, "can_align", lambda _language: True)
    monkeypatch.setattr(alignment, "align_words", lambda piece, words: None)
    clip = tones([(10 * n + 1.0, 10 * n + 9.0) for n in range(30)])
    text = " ".join(f"word{n}" for n in range(600))
    assert len(word_times(clip, text, language="en")) == 600, "also where nothing fits"

    def stop(done, total):
        if done > 60:
            raise InterruptedError
        told.append((done, total))

    told = []
    with pytest.raises(InterruptedError):
        word_times(clip, text, language="en", on_progress=stop)
    assert told and told[-1][1] == clip.seconds


def test_figures_and_misheard_words_have_the_times_of_what_is_said(by_ear):
    clip = tones([(0.5, 3.5)])
    heard = [
        Word(text, start, start + 0.3, 0.9)
        for text, start in (("It", 0.5), ("costs", 0.8), ("five", 1.1), ("dollars", 1.4), ("ninety-nine,", 1.7),
                            ("deer", 2.0), ("sir.", 2.3))
    ]  # fmt: skip
    found = word_times(clip, "It costs $5.99, dear – sir!", heard=heard, language="en")
    assert [word.text for word in found] == ["It", "costs", "$5.99,", "dear –", "sir!"]
    assert in_order(found, clip.seconds)
    times = {word.text: (word.start_s, word.end_s) for word in found}
    late = alignment.LATE_S
    assert times["$5.99,"] == pytest.approx((1.1 - late, 2.0 - late), abs=0.02)
    assert times["dear –"] == pytest.approx((2.0 - late, 2.3 - late), abs=0.02)
    sure = {word.text: word.confidence for word in found}
    assert sure["costs"] == 0.9 and 0 < sure["dear –"] < 0.9


def test_a_word_that_nobody_heard_stands_between_its_neighbours(by_ear):
    heard = [Word("one", 0.5, 1.0, 1.0), Word("three", 1.6, 2.0, 1.0)]
    found = word_times(tones([(0.4, 2.0)]), "[Anna] one two three", heard=heard, language="en")
    assert [(word.text, word.confidence) for word in found] == [("one", 1.0), ("two", 0.0), ("three", 1.0)]
    assert found[0].end_s == found[1].start_s and found[1].end_s == found[2].start_s and found[1].end_s > 1.4


def test_chinese_is_told_character_by_character(by_ear):
    heard = [Word("你好", 0.1, 0.7, 0.8), Word("世界。", 0.7, 1.3, 0.8)]
    found = word_times(tones([(0.0, 1.3)]), "你好，AI世界。", heard=heard, language="zh")
    assert [word.text for word in found] == ["你", "好，", "AI", "世", "界。"] and in_order(found, 2.0)


def test_words_begin_and_end_at_the_silence_beside_them(by_ear):
    clip = tones([(1.0, 2.0), (3.0, 4.0)])
    heard = [Word("one", 0.8, 2.3, 1.0), Word("two", 3.2, 3.9, 1.0)]  # as Whisper tells them
    found = word_times(clip, "one two", heard=heard, language="en")
    told = [time for word in found for time in (word.start_s, word.end_s)]
    assert told == pytest.approx([1.0, 2.0, 3.0, 4.0], abs=0.04)


def test_a_text_of_something_else_is_told_and_silence_is_an_error(recognizer):
    clip, _ = speech()[0]
    with pytest.warns(HiggsWarning, match="something else"):
        found = word_times(clip, "Purple elephants calculate tomorrow's zero gravity", recognizer=recognizer)
    assert in_order(found, clip.seconds) and len(found) == 6
    for quiet in (AudioClip(torch.zeros(1, RATE), RATE), AudioClip(torch.zeros(1, 0), RATE)):
        with pytest.raises(AudioError, match="No word can be found"):
            word_times(quiet, "Hello.", language="en")
    assert word_times(clip, "[Anna] <|pause|> –", language="en") == []


def test_without_a_text_what_is_heard_has_times(recognizer):
    clip, text = speech()[0]
    found = heard_times(clip, recognizer)
    assert len(found) == len(text.split()) and in_order(found, clip.seconds)
    assert heard_times(AudioClip(torch.zeros(1, RATE), RATE), recognizer) == []


def test_an_extra_that_is_missing_is_named(by_ear):
    with pytest.raises(MissingExtraError, match="pocketsphinx"):
        word_times(tones([(0.0, 1.0)]), "Hello.", language="en")


def test_the_library_that_compares_words_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(MissingExtraError, match="rapidfuzz"):
        word_times(tones([(0.0, 1.0)]), "Hello.", language="en")


@pytest.mark.parametrize("word", ["zyxtrynth", "naïve", "x", "'", "ß", "tch"])
def test_words_of_no_dictionary_have_sounds(word):
    clip, text = speech()[0]
    assert forced_alignment.sounds_of(word)
    spans = forced_alignment.align_words(clip, [*(one.strip(".,").lower() for one in text.split()[:3]), word])
    assert spans is None or len(spans) == 4
