"""Edits and continuations with small models: what is kept, what goes in and out, and what is refused.

The recognizer is a stand-in that hears given words, evenly spread; German, so that no aligner has a say.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint, sound_clip

from higgs_runtime import AudioClip, AudioError, Codes, Sampling, SettingError, load_codec, load_model
from higgs_runtime.editing import Speaking, edit_speech, speak_on
from higgs_runtime.editing.join import MARGIN_S
from higgs_runtime.types import WordTime
from higgs_runtime.verification import Transcript, Word, spoken_tokens

OLD = "eins zwei drei vier fünf sechs. sieben acht neun zehn elf zwölf."
SECONDS = 6.0


class Ears:
    """Hears a text, evenly spread over its clip; of a part of the recording the words that lie in it.

    Attributes:
        heard_s: seconds that were heard in all.
    """

    languages = ("de", "en")

    def __init__(self, recording: AudioClip, said: str = OLD, others: str = ""):
        self.recording, self.said, self.others = recording, said, others
        self.heard_s, self.calls = 0.0, 0

    def transcribe(self, clip, language=None, *, on_progress=None):
        self.heard_s += clip.seconds
        self.calls += 1
        if on_progress is not None:
            on_progress(0.0, clip.seconds)
        text, start, seconds = self.others, 0.0, clip.seconds
        where = self.place(clip)
        if where is not None:
            text, start, seconds = self.said, -where, self.recording.seconds
        words, found = text.split(), []
        for n, word in enumerate(words):
            a, b = (start + seconds * (n + place) / len(words) for place in (0.1, 0.9))
            if a >= 0 and b <= clip.seconds:
                found.append(Word(word, a, b, 0.9))
        return Transcript(" ".join(one.text for one in found), tuple(found), "de")

    def place(self, clip) -> float | None:
        """Where in the recording a clip begins; None: it is no part of it."""
        if clip.length == self.recording.length:
            return 0.0 if torch.equal(clip.samples, self.recording.samples) else None
        start = (clip.samples.storage_offset() - self.recording.samples.storage_offset()) % self.recording.length
        there = self.recording.samples[:, start : start + clip.length]
        same = clip.samples.untyped_storage().data_ptr() == self.recording.samples.untyped_storage().data_ptr()
        return start / clip.sample_rate if same and torch.equal(there, clip.samples) else None


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editing")
    codec = load_codec(make_codec_checkpoint(folder / "codec"))
    return load_model(make_lm_checkpoint(folder / "lm", stream_end=0)), codec


@pytest.fixture
def clip():
    return sound_clip(SECONDS, 24_000)


@pytest.fixture(autouse=True)
def evenly_spoken(monkeypatch):
    """Where the words of a candidate are is not for random models to say."""

    def spread(clip, text, *, heard=None, language=None):
        words, seconds = spoken_tokens(text, language), clip.seconds
        return [
            WordTime(word, seconds * n / len(words), seconds * (n + 1) / len(words)) for n, word in enumerate(words)
        ]

    monkeypatch.setattr(sys.modules["higgs_runtime.editing.edit"], "word_times", spread)


def speaking(pair, recording, **more) -> Speaking:
    ears = more.pop("ears", None) or Ears(recording, others=more.pop("others", ""))
    settings = {"recognizer": ears, "language": "de", "candidates": 2, "sampling": Sampling(seed=5, max_frames=40)}
    return Speaking(model=pair[0], codec=pair[1], **{**settings, **more})


def outside_is_equal(made, recording: AudioClip) -> bool:
    """All that lies outside of the spans, sample by sample."""
    rate, done, moved = recording.sample_rate, 0, 0
    for one in made.spans:
        start, stop = round(one.was_start_s * rate), round(one.was_end_s * rate)
        if not torch.equal(made.clip.samples[:, done + moved : start + moved], recording.samples[:, done:start]):
            return False
        moved, done = round(one.end_s * rate) - stop, stop
    return torch.equal(made.clip.samples[:, done + moved :], recording.samples[:, done:])


# --- edits ----------------------------------------------------------------------------------------------------------

EDITS = {
    "replace": OLD.replace("vier", "hundert"),
    "insert": OLD.replace("vier", "vier hundert"),
    "delete": OLD.replace("vier ", ""),
    "first": OLD.replace("eins", "hundert"),
    "last": OLD.replace("zwölf", "hundert"),
    "in front": f"hundert {OLD}",
    "behind": f"{OLD} hundert.",
    "two": OLD.replace("drei", "hundert").replace("elf ", ""),
    "neighbours": OLD.replace("vier", "hundert").replace("fünf", "tausend"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("form", ["mono", "stereo 44.1 kHz", "codes"])
def test_what_is_not_changed_stays_to_the_sample_and_to_the_frame(pair, clip, edit, form):
    source: AudioClip | Codes = clip
    if form == "stereo 44.1 kHz":
        one = sound_clip(SECONDS, 44_100)
        source = clip = AudioClip(torch.cat((one.samples, one.samples * 0.5)), 44_100)
    elif form == "codes":
        source = pair[1].encode(clip)
        clip = pair[1].decode(source)
    how = speaking(pair, clip, others=EDITS[edit])
    made = edit_speech(source, OLD, EDITS[edit], how)
    assert made.spans and outside_is_equal(made, clip) and made.text == EDITS[edit]
    assert made.clip.sample_rate == clip.sample_rate and made.clip.channels == clip.channels
    kept_s = clip.seconds - sum(one.was_end_s - one.was_start_s for one in made.spans)
    assert kept_s > 3.5, "spans are no longer than a few words with their margins"
    if form == "codes":
        assert isinstance(source, Codes) and made.codes is not None
        assert made.codes.frames * pair[1].hop == made.clip.length
        one, frame_s = made.spans[0], 1 / source.frame_rate
        first = round((one.was_start_s + made.margin_s) / frame_s)
        assert torch.equal(made.codes.ids[:, :first], source.ids[:, :first])
        rest = source.frames - round((made.spans[-1].was_end_s - made.margin_s) / frame_s)
        if rest > 0:
            assert torch.equal(made.codes.ids[:, -rest:], source.ids[:, -rest:])
    else:
        assert made.codes is None


def test_a_text_that_says_the_same_gives_the_recording_back(pair, clip):
    how = speaking(pair, clip)
    made = edit_speech(clip, OLD, OLD.upper().replace(".", "!"), how)
    assert made.clip is clip and not made.spans and "Nothing was changed" in str(made) and not made.within
    codes = pair[1].encode(clip)
    assert edit_speech(codes, OLD, OLD, how).codes is codes


@pytest.mark.parametrize("right", [5, 6, 7])
def test_of_the_candidates_the_one_that_is_heard_right_is_used(pair, clip, right):
    class Choosy(Ears):
        judged = 0

        def transcribe(self, clip, language=None, **more):
            heard = super().transcribe(clip, language, **more)
            if self.place(clip) is not None:
                return heard
            self.judged += 1
            if self.judged % 2:  # where its words are; then how it is heard in its place
                return heard
            return replace(
                heard, text="eins zwei drei hundert fünf sechs" if self.judged // 2 == right - 4 else "nichts"
            )

    how = speaking(pair, clip, ears=Choosy(clip, others=EDITS["replace"]), candidates=3)
    [span] = edit_speech(clip, OLD, EDITS["replace"], how).spans
    assert (span.seed, span.candidates, span.word_errors) == (right, 3, 0.0)


def test_a_further_change_in_the_sentence_is_no_error_of_the_first(pair, clip):
    """Each is judged in the recording, in which the other one is not made."""

    class Exact(Ears):
        calls_of_all = 0

        def transcribe(self, clip, language=None, **more):
            self.calls_of_all += self.place(clip) == 0.0
            return super().transcribe(clip, language, **more)

    for other in ("zwei hundert vier fünf sechs", "zwei drei vier tausend sechs"):
        ears = Exact(clip, others=f"eins {other}")
        new = OLD.replace("drei", "hundert").replace("fünf", "tausend")
        errors = [one.word_errors for one in edit_speech(clip, OLD, new, speaking(pair, clip, ears=ears)).spans]
        assert len(errors) == 2 and 0.0 in errors, errors
        assert ears.calls_of_all == 1, "the recording is heard once for all edits"


def test_seeds_that_begin_anew_are_told_as_they_are(pair, clip):
    sampling = Sampling(seed=2**64 - 1, max_frames=40)
    how = speaking(pair, clip, others=EDITS["replace"], sampling=sampling, candidates=3)
    [span] = edit_speech(clip, OLD, EDITS["replace"], how).spans
    assert span.seed in (2**64 - 1, 0, 1)


@pytest.mark.parametrize("language", ["zh", None])
def test_the_language_is_heard_where_none_is_given(pair, clip, language):
    class Chinese(Ears):
        languages = ("en", "zh")

        def transcribe(self, clip, language=None, **more):
            return replace(super().transcribe(clip, language, **more), language=language or "zh")

    ears = Chinese(clip, said="今 天 天 气 很 好", others="今 天 天 气 很 冷")
    how = speaking(pair, clip, ears=ears, language=language)
    [span] = edit_speech(clip, "今天天气很好。", "今天天气很冷。", how).spans
    assert (span.old, span.new) == ("好。", "冷。") and span.was_start_s > 4
    assert speak_on(clip, "今天天气很好。", "他来了。", how, pause_s=0.3).transcript == "今天天气很好。"


def test_a_phrase_that_comes_again_elsewhere_does_not_hide_the_place():
    listening = sys.modules["higgs_runtime.editing.listening"]
    words = ["es", "war", "ein", *(f"wort{n}" for n in range(500))]
    said = ["es", "war", "ein", *words[300:400]]
    clip = AudioClip(sound_clip(2.0, 8000).samples.repeat(1, 60), 8000)
    found = listening._placed(clip, words, [Word(one, 10 + n, 10.8 + n, 0.9) for n, one in enumerate(said)], "de")
    assert found is not None and (found.first, found.stop) == (300, 400) and found.time(300).start_s > 12


def test_words_are_heard_where_there_is_no_transcript(pair, clip):
    made = edit_speech(clip, "", EDITS["delete"], speaking(pair, clip))
    assert [one.old for one in made.spans] == ["vier"] and outside_is_equal(made, clip)


def test_of_an_hour_only_what_is_near_the_edit_is_heard_and_encoded(pair, monkeypatch):
    words = [f"wort{n}" + "." * (n % 4 == 3) for n in range(3600)]
    hour = AudioClip(sound_clip(60.0, 8000).samples.repeat(1, 60), 8000)
    new = [*words]
    new[1801] = "anders"
    encoded = []
    encode = type(pair[1]).encode
    monkeypatch.setattr(
        type(pair[1]), "encode", lambda self, one, **more: encoded.append(one.seconds) or encode(self, one, **more)
    )
    ears = Ears(hour, said=" ".join(words), others="")
    ears.others = "wort1800 anders wort1802 wort1803"
    made = edit_speech(hour, " ".join(words), " ".join(new), speaking(pair, hour, ears=ears))
    assert outside_is_equal(made, hour) and 1795 < made.spans[0].was_start_s < 1801
    assert ears.heard_s < 600 and max(encoded) < 30 and sum(encoded) < 200


# --- continuations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mono", "stereo 44.1 kHz", "codes"])
def test_a_recording_goes_on_and_stays_what_it_was(pair, clip, form):
    source: AudioClip | Codes = clip
    if form == "stereo 44.1 kHz":
        one = sound_clip(SECONDS, 44_100)
        source = clip = AudioClip(torch.cat((one.samples, one.samples * 0.5)), 44_100)
    elif form == "codes":
        source = pair[1].encode(clip)
        clip = pair[1].decode(source)
    made = speak_on(source, OLD, "dreizehn vierzehn.", speaking(pair, clip, others="dreizehn vierzehn."), pause_s=0.4)
    kept = round(made.kept_s * clip.sample_rate)
    assert clip.length - kept == round(MARGIN_S * clip.sample_rate)
    assert torch.equal(made.clip.samples[:, :kept], clip.samples[:, :kept])
    assert made.clip.channels == clip.channels and made.clip.sample_rate == clip.sample_rate
    assert made.pause_s == pytest.approx(0.4, abs=0.05) and made.clip.seconds > clip.seconds + 0.5
    assert (made.codes is not None) == (form == "codes")
    if form == "codes":
        assert isinstance(source, Codes) and made.codes is not None
        assert torch.equal(made.codes.ids[:, : source.frames], source.ids)


@pytest.mark.parametrize("pause_s", [0.0, 0.4])
@pytest.mark.parametrize("text", ["dreizehn vierzehn.", "Das ist ein langer Satz, der noch etwas weiter geht. " * 6])
def test_codes_of_what_goes_on_are_as_long_as_its_sound(pair, clip, text, pause_s):
    source = pair[1].encode(clip)
    clip = pair[1].decode(source)
    made = speak_on(source, OLD, text, speaking(pair, clip, others=text), pause_s=pause_s)
    assert made.codes is not None and made.codes.frames * pair[1].hop == made.clip.length
    added_s = made.pause_s - speak_on(source, OLD, text, speaking(pair, clip, others=text), pause_s=0.0).pause_s
    assert made.start_s == pytest.approx(clip.seconds + added_s, abs=1e-6)


def test_the_end_of_what_a_recording_says_is_transcript_enough(pair, clip):
    made = speak_on(clip, "zehn elf zwölf.", "dreizehn.", speaking(pair, clip, others="dreizehn."), pause_s=0.4)
    assert made.transcript == "zehn elf zwölf."


def test_a_long_text_is_spoken_in_pieces_that_all_go_on_from_the_recording(pair, clip, monkeypatch):
    where = sys.modules["higgs_runtime.editing.speak_on"]
    prompts, build = [], where.build_prompt
    monkeypatch.setattr(where, "build_prompt", lambda *given: prompts.append(build(*given)) or prompts[-1])
    text = "Das ist ein langer Satz, der noch etwas weiter geht. " * 12
    made = speak_on(clip, OLD, text, speaking(pair, clip, candidates=1))
    begun = [prompt.begun for prompt in prompts if prompt.begun is not None]
    assert made.pieces == len(begun) > 1 and len(made.seeds) == made.pieces
    assert all(torch.equal(one, begun[0]) for one in begun)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [edit_speech, speak_on])
def test_what_cannot_be_done_is_said_before_anything_is_spoken(pair, clip, call):
    empty, silent = AudioClip(torch.zeros(1, 0), 24_000), AudioClip(torch.zeros(1, 72_000), 24_000)
    new = EDITS["replace"]
    for source, transcript, text, kind, words in (
        (empty, OLD, new, AudioError, "empty"),
        (clip, OLD, "  ", SettingError, "no words"),
        (clip, OLD, "… !", SettingError, "no words"),
        (clip, "?!", new, SettingError, "no words"),
        (silent, OLD, new, AudioError, "No word can be found|Nobody speaks"),
        (clip, "ganz andere Worte als jene", new, AudioError, "something else"),
    ):
        how = speaking(pair, clip if source is clip else source, ears=Ears(clip))
        with pytest.raises(kind, match=words):
            call(source, transcript, text, how)
    with pytest.raises(SettingError, match="not known"):
        call(clip, "", new, speaking(pair, clip, ears=None, recognizer=None))
    with pytest.raises(AudioError, match="not a number"):
        AudioClip(torch.full((1, 100), float("nan")), 24_000)
    with pytest.raises(SettingError, match="candidates"):
        speaking(pair, clip, candidates=0)


def test_a_long_recording_needs_a_recognizer(pair):
    long = AudioClip(sound_clip(10.0, 8000).samples.repeat(1, 10), 8000)
    how = speaking(pair, long, recognizer=None, language="en")
    with pytest.raises(SettingError, match="Words of a long recording"):
        edit_speech(long, "one two three", "one two four", how)
    how = speaking(pair, long, recognizer=None, language="de")
    with pytest.raises(SettingError, match="Words of a long recording"):
        speak_on(long, OLD, "dreizehn.", how)


@pytest.mark.parametrize("call", [edit_speech, speak_on])
def test_it_can_be_stopped_at_every_stage(pair, clip, call):
    """Whoever asks after n questions; the recording is never touched."""
    before, asked = clip.samples.clone(), 0

    def run(after: int | None) -> bool:
        nonlocal asked
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return after is not None and asked > after

        how = speaking(pair, clip, others=EDITS["replace"], should_stop=stop)
        try:
            call(clip, OLD, EDITS["replace"], how)
        except AudioError as error:
            assert "stopped" in str(error)
            return True
        return False

    assert not run(None)
    questions = asked
    for after in {0, 1, 2, 3, questions // 2, questions - 2, questions - 1}:
        assert run(after), after
    assert torch.equal(clip.samples, before)


def test_what_steps_raise_ends_the_call(pair, clip):
    def raising(done, total):
        assert 0 <= done <= total
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit_speech(clip, OLD, EDITS["replace"], speaking(pair, clip, others=EDITS["replace"], on_step=raising))
