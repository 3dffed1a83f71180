"""Words compared, lengths, silence and voices measured, and takes spoilt on purpose found out."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from helpers_audio import flat, sine
from helpers_speech import speech

from higgs_runtime import AudioClip, MissingExtraError, SettingError, load_recognizer, verify_take
from higgs_runtime.audio.clip import level_peak, resample, trim
from higgs_runtime.verification import (
    Limits,
    Transcript,
    Verdict,
    Word,
    best_take,
    compare_words,
    length_bounds,
    measure_silence,
    speaker,
    speaker_similarity,
)
from higgs_runtime.verification.ends import end_faults
from higgs_runtime.verification.recognizer import PACKAGED

RATE = 24_000

# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written, heard, language",
    [
        ("It's 25 o'clock, Mr. Smith!", "its twenty-five oclock mister smith", "en"),
        ("That was in 1999.", "that was in nineteen ninety nine", "en"),
        ("That was in nineteen ninety-nine.", "That was in 1999", "en-US"),
        ("Dial 911, room 105.", "dial nine one one room one oh five".replace("oh", "zero"), "en"),
        ("1,250.5% of $5", "one thousand two hundred fifty point five percent of five dollars", "en"),
        ("The 21st of May", "the twenty first of may", "en"),
        ("Es kostet 1.250,5 Euro.", "es kostet eintausendzweihundertfünfzig komma fünf euro", "de"),
        ("[SPEAKER0] <|emotion:joy|>Hi <SE>[Laughter]</SE>there <SE_s>[Music]</SE_s>", "Hi there.", "en"),
        ("今天天气，很好！", "今天天气很好", "zh-CN"),
        ("「ＡＢＣ」です。", "abcです", "ja"),
        ("안녕 하세요", "안녕하세요.", "ko"),
        ("हिन्दी भाषा", "हिन्दी, भाषा।", "hi"),
        ("Don’t", "don't", "en"),
        ("", "", "en"),
        ("[laugh]", " ", "en"),
    ],
)
def test_the_same_words_in_another_spelling(written, heard, language):
    found = compare_words(written, heard, language)
    assert (found.wer, found.cer) == (0, 0) and all(one == other for one, other in found.pairs)


def test_words_that_differ_are_counted_and_shown():
    found = compare_words("The old keeper of the light smiled.", "The cold keeper of light smiled twice.")
    assert found.wer == pytest.approx(3 / 7) and 0 < found.cer < found.wer
    assert [pair for pair in found.pairs if pair[0] != pair[1]] == [("old", "cold"), ("the", ""), ("", "twice")]
    assert compare_words("one two", "").wer == 1 and compare_words("", "one two").wer == 2
    assert compare_words("lighthouse", "light house").cer == 0


def test_languages_without_spaces_are_compared_by_character():
    found = compare_words("今天天气很好。", "今天天汽好", "zh")
    assert found.wer == found.cer == pytest.approx(2 / 6) and len(found.pairs) == 6
    assert compare_words("สวัสดีครับ", "สวัสดีคับ", "th").wer == pytest.approx(1 / 10)


@pytest.mark.parametrize("text", ["1" * 400, "٣٤", "25 €", "¼", "\ud800", "1.2.3", "1,2,3", "３"])
def test_odd_figures_are_compared_and_do_not_fail(text):
    for language in ("en", "de", "xx", "zh", "ar", "he"):
        assert compare_words(text, text, language).wer == 0


def test_without_the_packages_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert compare_words("two", "two").wer == 0
    with pytest.raises(MissingExtraError, match="num2words"):
        compare_words("2", "two")
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(MissingExtraError, match="rapidfuzz"):
        compare_words("two", "two")


# --- length and silence ---------------------------------------------------------------------------------------------


def test_bounds_hold_what_people_take():
    for clip, text in speech():
        least, most = length_bounds(text, "en")
        assert least < 0.75 * clip.seconds and clip.seconds < 0.75 * most and most < 5 * clip.seconds


def test_bounds_follow_the_writing():
    """The same sentence, which takes about as long in all of these languages."""
    lines = {
        "en": "It is a quiet night by the sea.",
        "de": "Es ist eine ruhige Nacht am Meer.",
        "zh": "海边的夜晚很安静。",
        "ja": "海辺の静かな夜です。",
        "ko": "바닷가의 조용한 밤입니다.",
        "ru": "Это тихая ночь у моря.",
        "th": "เป็นคืนที่เงียบสงบริมทะเล",
        "hi": "यह समुद्र के किनारे एक शांत रात है।",
    }
    for language, line in lines.items():
        least, most = length_bounds(line, language)
        assert 0.5 < least < 1.8 < 3.0 < most < 9, language
    assert length_bounds("", "en") == (0, 1.5)
    assert length_bounds("<|sfx:laughter|>", "en") == (0, 4.5)
    assert length_bounds("海海", "ja")[1] > length_bounds("海海", "zh")[1]
    assert length_bounds("2001")[0] > length_bounds("abcd")[0]


def test_silence_is_measured():
    tone = sine(440, 1.0, dbfs=-20, rate=8000).samples
    pause, hush = torch.zeros(1, 4000), 1e-4 * torch.ones(1, 16_000)
    share, longest = measure_silence(AudioClip(torch.cat([pause, tone, hush, tone, pause], dim=1), 8000))
    assert longest == pytest.approx(2.0, abs=0.05) and share == pytest.approx(3 / 5, abs=0.02)
    assert measure_silence(AudioClip(tone, 8000)) == (0, 0)
    assert measure_silence(flat(0.0)) == (1, 1) and measure_silence(flat(0.0, length=0)) == (1, 0)
    assert measure_silence(flat(1e-4, channels=2)) == (1, 1)
    assert measure_silence(AudioClip(torch.ones(1, 1), 1)).share in (0, 1)


# --- voices ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_different_voices_are_distinguished():
    (one, _), (other, _) = speech()
    halves = [trim(one, 0, one.seconds / 2), trim(one, one.seconds / 2)]
    assert speaker_similarity(*halves) > 0.8 > 0.7 > speaker_similarity(halves[0], other)
    assert speaker_similarity(one, one) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("clip", [flat(0.0, length=0), flat(0.0, length=80_000), flat(0.1, length=100)])
def test_too_little_speech_gives_no_figure(clip):
    assert speaker_similarity(clip, speech()[0][0]) is None
    assert speaker_similarity(trim(speech()[0][0], 0, 1.0), speech()[0][0]) is None


def test_without_resemblyzer_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    speaker._encoder.cache_clear()
    with pytest.raises(MissingExtraError, match="--no-deps resemblyzer"):
        speaker_similarity(speech()[0][0], speech()[1][0])


# --- takes ----------------------------------------------------------------------------------------------------------


def joined(*clips: AudioClip) -> AudioClip:
    return AudioClip(torch.cat([clip.samples for clip in clips], dim=1), clips[0].sample_rate)


def spoilt(number: int) -> dict[str, tuple[AudioClip, str]]:
    """Takes of a line, spoilt on purpose, each with words of the reason that has to be given."""
    clip, other = speech()[number][0], speech()[1 - number][0]
    return {
        "swapped": (other, "the words differ"),
        "truncated": (trim(clip, 0, 0.6 * clip.seconds), "the end is missing"),
        "repeated": (joined(clip, clip), "the end is said twice"),
        "silent": (AudioClip(torch.zeros_like(clip.samples), clip.sample_rate), "it is silent"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_takes_spoilt_on_purpose_are_caught(number):
    recognizer, (clip, text) = load_recognizer(PACKAGED), speech()[number]
    good = verify_take(clip, text, language="en", recognizer=recognizer, reference=clip)
    assert good.passed and not good.reasons and good.wer < 0.1 and good.similarity > 0.99
    verdicts = [good]
    for kind, (take, reason) in spoilt(number).items():
        verdicts.append(verify_take(take, text, language="en", recognizer=recognizer, reference=clip))
        assert not verdicts[-1].passed and any(reason in one for one in verdicts[-1].reasons), kind
    assert any("another" in one for one in verdicts[1].reasons), "the other clip is of another speaker"
    assert best_take(verdicts[::-1]) == len(verdicts) - 1


class Hears:
    """A recognizer that always hears the same."""

    def __init__(self, text: str, language: str = "en"):
        self.heard = Transcript(text, (), language)

    def transcribe(self, _clip, _language=None):
        return self.heard


LINE = "One two three four five six seven eight nine ten, and then we all go home by the river at night."


@pytest.mark.parametrize(
    "heard, says",
    [
        (LINE, []),
        (LINE.replace("all ", ""), []),
        (LINE.replace("river", "liver"), []),
        (LINE.removesuffix(" at night."), ["the end is missing (“at night”)"]),
        (LINE + " At night.", ["the end is said twice (“at night”)"]),
        (LINE + " Uh huh.", ["more is said after the end (“uh huh”)"]),
        (LINE + " Night.", ["the end is said twice (“night”)"]),
        (LINE + " No.", []),
    ],
)
def test_ends_are_looked_at_however_long_the_line_is(heard, says):
    verdict = verify_take(sine(220, 6), LINE, recognizer=Hears(heard))
    assert list(verdict.reasons) == says and verdict.passed == (not says) and verdict.similarity is None


def test_a_repetition_that_is_written_is_no_fault():
    assert verify_take(sine(220, 1), "No, no, no.", recognizer=Hears("No, no, no!")).passed
    assert not verify_take(sine(220, 1), "No, no.", recognizer=Hears("No no no no.")).passed


def test_length_and_silence_are_looked_at():
    hole = joined(sine(220, 2, rate=8000), flat(0.0, length=24_000), sine(220, 2, rate=8000), flat(0.0, length=800))
    for clip, says in (
        (sine(220, 1), "its length is 1.0 s"),
        (sine(220, 60), "its length is 60.0 s"),
        (hole, "3.0 s of silence are inside"),
        (flat(0.0), "it is silent (1.0 s)"),
        (flat(0.0, length=0), "it is silent (0.0 s)"),
    ):
        verdict = verify_take(clip, LINE, recognizer=Hears(LINE))
        assert len(verdict.reasons) == 1 and verdict.reasons[0].startswith(says)
    assert verify_take(hole, LINE, recognizer=Hears(LINE), limits=Limits(max_silence_s=4)).passed
    silent = verify_take(hole, LINE, recognizer=Hears(LINE), limits=Limits(max_silence_s=4, max_silent_share=0.3))
    assert silent.reasons == ("43% of it is silence",)


def take_that(ending: torch.Tensor) -> AudioClip:
    """Two seconds of bursts and pauses, then this end."""
    time = torch.arange(2 * RATE) / RATE
    words = 0.2 * torch.sin(2 * torch.pi * 180 * time) * (torch.sin(2 * torch.pi * 2 * time) > 0)
    return AudioClip(torch.cat([words, ending])[None], RATE)


QUIET = torch.zeros(RATE // 4)
HISS = torch.randn(RATE // 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "ending, says",
    [
        (QUIET, []),
        (torch.cat([QUIET, 0.0005 * HISS]), []),
        (torch.cat([QUIET, 0.03 * HISS, QUIET]), ["of noise follow the last word"]),
        (torch.cat([QUIET, 0.08 * HISS]), ["in the midst of a sound"]),
        (torch.cat([QUIET, torch.tensor([0.25])]), ["with a click"]),
        (torch.cat([QUIET, torch.tensor([0.01])]), []),
    ],
    ids=["quiet", "a noise floor", "noise", "cut off", "click", "too small to hear"],
)
def test_how_a_take_ends_is_measured(ending, says):
    found = end_faults(take_that(ending), last_word_s=1.75)
    assert len(found) == len(says) and all(part in one for part, one in zip(says, found, strict=True))


def test_an_end_that_is_meant_to_be_noise_is_none_of_a_fault():
    clip = take_that(torch.cat([QUIET, 0.03 * HISS, QUIET]))
    heard = Hears(LINE)
    heard.heard = Transcript("One two.", (Word("One", 0.1, 0.5, 0.9), Word("two.", 1.0, 1.75, 0.9)), "en")
    assert "noise follow" in " ".join(verify_take(clip, "One two.", recognizer=heard).reasons)
    assert "noise" not in " ".join(verify_take(clip, "One two. [laugh]", recognizer=heard).reasons)


def test_a_short_line_with_a_word_spelled_otherwise_passes():
    assert verify_take(sine(220, 1), "By the sea.", recognizer=Hears("By the see.")).passed
    assert not verify_take(sine(220, 1), "By the sea.", recognizer=Hears("Buy a bee.")).passed


def test_an_empty_text_expects_no_words():
    assert verify_take(sine(220, 1), "[laugh]", recognizer=Hears("")).passed
    assert not verify_take(sine(220, 1), "", recognizer=Hears("Hello you.")).passed


@pytest.mark.parametrize(
    "name, value", [("max_wer", -0.1), ("min_similarity", 2.0), ("max_silence_s", math.nan), ("max_silent_share", 1.1)]
)
def test_limits_out_of_range(name, value):
    with pytest.raises(SettingError, match=name):
        Limits(**{name: value})


def verdict(passed=True, cer=0.0, similarity=None) -> Verdict:
    return Verdict(passed, cer, cer, similarity, 1.0, "", () if passed else ("wrong",))


@pytest.mark.parametrize(
    "takes, best",
    [
        ([verdict(False, 0.0), verdict(True, 0.1)], 1),
        ([verdict(cer=0.1), verdict(cer=0.0), verdict(cer=0.0)], 1),
        ([verdict(similarity=0.8), verdict(cer=0.001, similarity=0.9)], 1),
        ([verdict(False, 0.9), verdict(False, 0.3)], 1),
    ],
)
def test_the_best_take(takes, best):
    assert best_take(takes) == best


def test_no_takes():
    with pytest.raises(SettingError, match="no take"):
        best_take([])


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 0.5, 0.3, 0.1, 0.03])
def test_the_level_of_a_recording_is_no_other_voice(gain):
    pytest.importorskip("resemblyzer")
    for clip, _ in speech():
        loud = level_peak(clip, -0.5)
        assert speaker_similarity(AudioClip(loud.samples * gain, clip.sample_rate), loud) >= 0.995


@pytest.mark.slow
def test_silence_around_and_another_rate_are_no_other_voice():
    pytest.importorskip("resemblyzer")
    for clip, _ in speech():
        silence = torch.zeros(1, 2 * clip.sample_rate)
        padded = AudioClip(torch.cat((silence, clip.samples, silence), 1), clip.sample_rate)
        wide = AudioClip(clip.samples.repeat(2, 1), clip.sample_rate)
        for other in (padded, resample(clip, 48_000), resample(clip, 16_000), wide):
            assert speaker_similarity(other, clip) >= 0.995
