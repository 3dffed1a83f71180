"""Preparing a reference: which seconds are taken, where they are cut, and what the report says of them."""

from __future__ import annotations

import difflib
import random
import time

import pytest
import torch
from helpers_audio import sine
from helpers_examples import cases_of
from helpers_speech import speech

from higgs_runtime import AudioClip, AudioError, SettingError, load_recognizer, prepare_reference
from higgs_runtime.audio.clip import resample, to_mono, trim
from higgs_runtime.audio.quality import levels, profile
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.verification import Transcript, Word

RATE = 8000
NAMES = "ant bee cow doe elk fox gnu hen ibis jay kite lynx mole newt owl pig quail rat seal toad".split()


def hiss(seconds: float, dbfs: float, rate=RATE, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, round(seconds * rate), generator=generator) * 10 ** (dbfs / 20)


class Made:
    """A recording of bursts for words, and a recognizer that knows when each was. Of a word that is cut off at the
    edge of what it is given it hears the rest, as a real one does."""

    def __init__(self, seed: int, seconds: float, gaps=(0.03, 0.5), noise_dbfs=-60.0):
        draw = random.Random(seed)
        self.words, at, samples = [], 1.0, hiss(seconds, noise_dbfs, seed=seed)
        while at < seconds - 1.5:
            length = draw.uniform(0.15, 0.6)
            text = draw.choice(NAMES) + draw.choice(["", "", "", ",", "."])
            self.words.append(Word(text, at, at + length, 0.9))
            first, last = round(at * RATE), round((at + length) * RATE)
            samples[:, first:last] += hiss((last - first) / RATE, -22, seed=len(self.words))[:, : last - first]
            at += length + draw.uniform(*gaps)
        self.clip = AudioClip(samples, RATE)
        self.given = None

    def transcribe(self, clip, language=None):
        self.given = clip
        windows = self.clip.samples[0].unfold(0, 32, 1)
        start = int((windows == clip.samples[0, :32]).all(1).nonzero()[0, 0]) / RATE
        heard = [
            Word(one.text, max(0.0, one.start_s - start), min(clip.seconds, one.end_s - start), 0.9)
            for one in self.words
            if one.end_s > start and one.start_s < start + clip.seconds
        ]
        return Transcript(" ".join(one.text for one in heard), tuple(heard), language or "en")

    def check(self, made, with_text: bool):
        start, end = made.report.start_s, made.report.end_s
        split = [one for one in self.words for cut in (start, end) if one.start_s + 1e-3 < cut < one.end_s - 1e-3]
        assert split == [], (start, end)
        if with_text:
            inside = [one.text for one in self.words if one.start_s > start - 1e-3 and one.end_s < end + 1e-3]
            assert made.transcript == " ".join(inside) and inside


class Told:
    """A recognizer that says what it was told."""

    def __init__(self, words):
        self.words = words

    def transcribe(self, clip, language=None):
        return Transcript(" ".join(one.text for one in self.words), self.words, "en")


# --- where it is cut ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", cases_of(range(12), quick=4))
def test_no_word_is_split_with_a_recognizer(seed):
    source = Made(seed, random.Random(seed).uniform(6, 60))
    made = prepare_reference(source.clip, recognizer=source, max_s=8.0)
    source.check(made, with_text=True)
    assert 3 <= made.clip.seconds <= 8 and source.given.seconds < 11
    assert made.report.language == "en" and made.report.warnings == (
        "Narrow band: 8000 Hz lacks the brightness of a voice.",
    )


@pytest.mark.parametrize("seed", cases_of(range(6), quick=3))
def test_words_that_touch_are_not_split_either(seed):
    source = Made(seed, 30.0, gaps=(0.0, 0.01))
    source.check(prepare_reference(source.clip, recognizer=source), with_text=True)


@pytest.mark.parametrize("seed", range(6))
def test_without_a_recognizer_it_is_cut_at_pauses(seed):
    source = Made(seed, 40.0, gaps=(0.1, 0.5))
    made = prepare_reference(source.clip, min_s=4.0, max_s=10.0)
    source.check(made, with_text=False)
    assert 4 <= made.clip.seconds <= 10 and made.transcript == ""
    assert "No recognizer: type the transcript yourself." in made.report.warnings
    assert "no pause" not in str(made.report)


def test_a_voice_that_never_pauses_is_cut_with_a_warning():
    made = prepare_reference(AudioClip(hiss(30, -20), RATE))
    assert 3 <= made.clip.seconds <= 15
    assert "There was no pause to cut in: a word may be split at either end." in made.report.warnings


def test_sentences_are_kept_whole_where_that_costs_little():
    source = Made(3, 60.0, gaps=(0.2, 0.2))
    source.words = [
        Word(one.text.rstrip(".,") + ("." if n % 6 == 5 else ""), one.start_s, one.end_s, 0.9)
        for n, one in enumerate(source.words)
    ]
    text = prepare_reference(source.clip, recognizer=source).transcript
    assert text.endswith(".") and text.count(" ") % 6 == 5


def test_text_is_taken_as_it_was_written():
    source = Made(1, 6.0)

    class Chinese:
        def transcribe(self, clip, language=None):
            words = [Word(text, 0.2 + n, 0.9 + n, 0.9) for n, text in enumerate("今天 天气 很好".split())]
            return Transcript("今天，天气很好。", tuple(words), "zh")

    assert prepare_reference(source.clip, recognizer=Chinese()).transcript == "今天，天气很好"


# --- what is taken --------------------------------------------------------------------------------------------------


def test_the_clear_seconds_of_a_recording_are_taken():
    source = Made(5, 90.0)
    wave = source.clip.samples.clone()
    wave[:, : 40 * RATE] += hiss(40, -35)
    wave[:, 60 * RATE :] = (wave[:, 60 * RATE :] * 40).clamp(-0.5, 0.5)
    report = prepare_reference(AudioClip(wave, RATE)).report
    assert 39 <= report.start_s < report.end_s <= 61
    assert report.clipped_samples == 0 and report.snr_db > 25 and report.source_seconds == 90


def test_silence_around_is_left_out_and_the_level_is_even():
    clip, _ = speech()[0]
    wave = torch.nn.functional.pad(clip.samples * 0.1, (5 * clip.sample_rate, 9 * clip.sample_rate)).repeat(2, 1)
    made = prepare_reference(AudioClip(wave, clip.sample_rate))
    assert made.clip.channels == 1 and made.clip.sample_rate == clip.sample_rate
    assert 4.9 < made.report.start_s < made.report.end_s < 5.1 + clip.seconds
    assert float(made.clip.samples.abs().max()) <= 10 ** (-1 / 20) + 1e-4
    again = prepare_reference(made.clip).report
    assert again.speech_dbfs == pytest.approx(-20, abs=0.5) or again.peak_dbfs == pytest.approx(-1, abs=0.2)
    assert float(made.clip.samples[0, 0]) == 0 == float(made.clip.samples[0, -1])


@pytest.mark.parametrize("noise_dbfs", [-60.0, -45.0])
@pytest.mark.parametrize("with_words", [True, False])
def test_it_ends_in_the_quiet_of_its_recording(noise_dbfs, with_words):
    """Where the next word follows after 30 ms, too: a model goes on as its reference ended."""
    source = Made(11, 40.0, gaps=(0.03, 0.25), noise_dbfs=noise_dbfs)
    made = prepare_reference(source.clip, recognizer=source if with_words else None)
    found = profile(made.clip)
    quiet = found.db <= levels(found.db).threshold
    run_s = int(quiet.flip(0).long().cumprod(0).sum()) * found.hop_s
    assert 0.28 <= run_s <= 0.52 and made.clip.seconds <= 15.0
    tone = made.clip.samples[0, -round(0.28 * RATE) : -round(0.01 * RATE)]
    level = 20 * tone.square().mean().sqrt().log10() - made.report.gain_db
    assert level == pytest.approx(noise_dbfs, abs=3), "its own noise, neither silence nor speech"
    jumps = made.clip.samples[0].diff().abs()
    assert jumps[-round(0.5 * RATE) :].max() <= jumps.max()
    source.check(made, with_text=with_words)


def test_a_recording_that_is_never_quiet_ends_in_silence():
    made = prepare_reference(AudioClip(hiss(8, -20), RATE))
    assert made.clip.samples[0, -round(0.25 * RATE) :].abs().max() == 0


# --- the report -----------------------------------------------------------------------------------------------------


def warnings_of(samples: torch.Tensor, rate: int) -> str:
    return " ".join(prepare_reference(AudioClip(samples, rate)).report.warnings[:-1])  # without "No recognizer"


def test_warnings_tell_what_is_wrong():
    clip = to_mono(speech()[0][0])
    wave, rate = clip.samples, clip.sample_rate
    level_db = float(10 * wave.square().mean().log10())
    bed = resample(to_mono(AudioClip.load(EMBEDDED / "clips" / "bed.flac")), rate).samples[:, : wave.shape[1]]
    bed = bed * 10 ** ((level_db - 8) / 20) / bed.square().mean().sqrt()
    assert warnings_of(wave, rate) == ""
    assert "Noise under the speech: only" in warnings_of(wave + hiss(clip.seconds, level_db - 8, rate), rate)
    assert "Music, hum or echo under" in warnings_of(wave + bed, rate)
    assert "samples are cut off" in warnings_of((wave * 8).clamp(-0.4, 0.4), rate)
    assert "very quietly: the peak is at" in warnings_of(wave * 0.01, rate)
    assert "Too short: 0." in warnings_of(wave[:, rate : rate + rate // 2], rate)


def test_report_has_figures_with_units():
    text = str(prepare_reference(speech()[0][0]).report)
    for unit in (" s ", " Hz", " dBFS", " dB", "%"):
        assert unit in text


def test_a_recognizer_that_hears_nothing_or_is_unsure():
    source = Made(2, 10.0)

    class Deaf:
        def __init__(self, *words):
            self.words = words

        def transcribe(self, clip, language=None):
            return Transcript(" ".join(word.text for word in self.words), self.words, "en")

    made = prepare_reference(source.clip, recognizer=Deaf())
    assert made.transcript == "" and "heard no words" in str(made.report)
    unsure = prepare_reference(source.clip, recognizer=Deaf(Word("hm", 0.5, 0.7, 0.2), Word("so", 4.0, 4.2, 0.3)))
    assert unsure.transcript == "hm so" and "unsure" in str(unsure.report)


# --- what it is given -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples, words", [(torch.zeros(2, 0), "0 samples"), (torch.zeros(1, 24_000), "silence")])
def test_nothing_to_hear_is_refused(samples, words):
    with pytest.raises(AudioError, match=words):
        prepare_reference(AudioClip(samples, RATE))


@pytest.mark.parametrize("length, rate", cases_of([1, 2, 79, 80, 81, 1000], [1, 50, 8000, 44_100], quick=5))
def test_clips_of_a_moment_are_taken_whole_with_a_warning(length, rate):
    made = prepare_reference(AudioClip(hiss(length / rate, -10, rate), rate), max_s=60.0)
    assert made.clip.length >= 1
    if made.clip.seconds < 3:
        assert "Too short" in str(made.report)


@pytest.mark.parametrize(
    "values", [{"min_s": 0}, {"max_s": 61.0}, {"min_s": 10.0, "max_s": 12.0}, {"max_s": float("nan")}]
)
def test_settings_out_of_range(values):
    with pytest.raises(SettingError):
        prepare_reference(sine(300, 5.0), **values)


def test_progress_is_reported_and_can_stop_it():
    told = []
    prepare_reference(AudioClip(hiss(200, -20), RATE), on_progress=lambda *step: told.append(step))
    assert told == [(n, 4) for n in (1, 2, 3, 4)]

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_reference(AudioClip(hiss(5, -20), RATE), on_progress=stop)


@pytest.mark.slow
def test_two_hours_take_seconds():
    source = Made(7, 60.0)
    wave = source.clip.samples.repeat(1, 120)
    clip, started = AudioClip(wave, RATE), time.perf_counter()
    made = prepare_reference(clip)
    assert time.perf_counter() - started < 30 and made.clip.seconds <= 15 and clip.seconds == 7200


@pytest.mark.slow
def test_a_real_recognizer_confirms_the_transcript_of_the_clip():
    recognizer = load_recognizer()
    clips = speech()
    wave = torch.cat([resample(to_mono(clip), 24_000).samples for clip, _ in clips * 2], dim=1)
    whole = AudioClip(wave, 24_000)
    made = prepare_reference(whole, recognizer=recognizer, language="en")
    assert 3 <= made.clip.seconds <= 15
    again, before = plain(recognizer.transcribe(made.clip, "en").text), plain(made.transcript)
    assert (again[:3], again[-3:]) == (before[:3], before[-3:])
    assert difflib.SequenceMatcher(None, again, before).ratio() > 0.9
    for cut in (made.report.start_s, made.report.end_s):  # sound tells where a word is; recognizers guess its ends
        around = trim(whole, max(0.0, cut - 0.01), 0.02).samples
        assert float(around.pow(2).mean()) < 1e-3 * float(whole.samples.pow(2).mean())


def test_a_word_with_an_early_end_time_is_not_cut():
    """The pause is where it is quiet, a little behind the end that the recognizer tells."""
    wave = torch.cat([hiss(4, -20), torch.zeros(1, RATE // 2), hiss(14, -20)], dim=1)
    words = (Word("One.", 0.0, 3.85, 0.9), Word("two", 4.5, 18.5, 0.9))
    made = prepare_reference(AudioClip(wave, RATE), recognizer=Told(words), language="en")
    assert 4.0 <= made.report.end_s <= 4.5 and made.transcript == "One."


def plain(text: str) -> list[str]:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ").split()
