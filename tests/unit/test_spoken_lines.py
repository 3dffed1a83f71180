"""What of a script reaches the model, and what reaches people: silence for marks, the author's words in captions."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from helpers_audio import sine
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import Codes, Sampling, Script, ScriptError, Turn, Voice, parse_script, render
from higgs_runtime.cluster.parts import Parts
from higgs_runtime.rendering import Performance, RenderJob, assemble
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.rendering.performance import SpokenLine
from higgs_runtime.rendering.timing import ANSWER_S, WORDLESS_S
from higgs_runtime.takes import Take
from higgs_runtime.text.chunking import spoken_spans
from higgs_runtime.text.normalize import prepare_text
from higgs_runtime.text.rests import SENTENCE_S
from higgs_runtime.text.vocabulary import has_words


@pytest.mark.parametrize(
    "text", ["", " ", "...", "♪", "—", "!", "*", "( )", "👍🏽", "🎵", "[SPEAKER0]", "\u3164", "\u0301", "\ud800"]
)
def test_there_is_nothing_to_speak(text):
    assert not has_words(text)


@pytest.mark.parametrize(
    "text", ["a", "7", "½", "²", "好", "ー", "ก", "٣", "[laugh]", "<|sfx:cough|>", "...a", "é", "𝒳"]
)
def test_there_is_something_to_speak(text):
    assert has_words(text)


def test_marks_stick_to_the_piece_before():
    def pieces(text: str, most: int) -> list[str]:
        return [text[start:end] for start, end in spoken_spans(text, most)]

    assert pieces("Good morning. ... — Hello there. ♪", 14) == ["Good morning. ...", "— Hello there. ♪"]
    assert pieces("... Good morning.", 13) == ["... Good morning."]
    assert pieces("... — !", 3) == []


@settings(max_examples=examples(150), derandomize=True, deadline=None, database=None)
@given(
    st.lists(st.sampled_from(["a", "Good.", " ", "…", "— ", "\n", "好。", "12", "!!", "♪"]), max_size=30),
    st.integers(1, 20),
)
def test_no_piece_is_without_words_and_no_word_is_lost(parts, most):
    text = "".join(parts)
    spans = spoken_spans(text, most)
    assert all(has_words(text[start:end]) for start, end in spans)
    assert [one for one in text if one.isalnum()] == [
        one for start, end in spans for one in text[start:end] if one.isalnum()
    ]
    marks = sum(not one.isspace() for one in text)
    assert marks == sum(not one.isspace() for start, end in spans for one in text[start:end]) or not has_words(text)


SILENT = """[Anna] Good morning.
[Ben] ...
[Anna] ♪
[Ben] —
[Anna] "..." [pause 1s] "!"
[Ben] Hello.
"""


def test_turns_without_words_are_silence_with_a_warning_each():
    script = parse_script(SILENT)
    assert [warning.line for warning in script.warnings] == [2, 3, 4, 5, 5]
    assert all("no words" in warning.message for warning in script.warnings)
    assert [(line.turn, line.text) for line in lines_of(script, Sampling(), 25.0, max_chars=99)] == [
        (0, "Good morning."),
        (6, "Hello."),
    ]
    assert parse_script(str(script)) == script


class Tones:
    def decode(self, codes):
        return sine(200.0, codes.seconds, -14.0, rate=24_000)


def assembled(script: Script, **how):
    lines = lines_of(script, Sampling(), 25.0, **{"max_chars": 300, **how})
    take = Take(Codes(torch.zeros(8, 25, dtype=torch.long), 25.0, 1024), "stop", 0, 0.1)
    return assemble(Performance(script, [SpokenLine(line, take, tries=1) for line in lines]), Tones())


def test_the_silence_has_its_length():
    times = assembled(parse_script(SILENT)).times
    assert times[1].start_s == pytest.approx(1.0 + ANSWER_S + 5 * WORDLESS_S + 1.0)
    plain = assembled(parse_script("[Anna] One.\n[Anna] Two.")).times
    assert plain[1].start_s == pytest.approx(1.0 + SENTENCE_S)


def test_a_script_of_marks_alone_is_an_error():
    script = parse_script("[Anna] ...\n[Ben] ♪")
    job = RenderJob(script=script, voices={name: Voice(description="Warm.") for name in ("Anna", "Ben")})
    with pytest.raises(ScriptError, match="nothing to speak"):
        render(job, speaker=None)  # before anybody is asked


def test_a_cluster_gets_no_part_without_words():
    turns = [Turn("", text) for text in ("…", "One.", "—", "♪", "Two.", "!")]
    parts = Parts(Script(turns), by_scene=False, batch=1)
    found = []
    while part := parts.fetch(4):
        found.append((part.first, [turn.text for turn in part.script.turns]))
    assert [text for _, texts in found for text in texts] == [turn.text for turn in turns]
    assert all(any(has_words(text) for text in texts) for _, texts in found)
    marks = Parts(Script(turns[:1]), by_scene=False, batch=1)
    assert marks.fetch(2) is not None and marks.fetch(2) is None


# --- what people read -------------------------------------------------------------------------------------------------

WRITTEN = "[laugh] Very good! It is 20 °C (hot) today… “yes”."


@pytest.mark.parametrize("layout", ["native", "v3"])
def test_captions_and_time_lines_have_the_authors_words(layout):
    script = parse_script(f"[Anna] {WRITTEN}\n[Ben] Good morning — everyone.")
    made = assembled(script, prepare=partial(prepare_text, layout=layout), language="en")
    assert [text for *_, text in made.subtitles()] == [WRITTEN, "Good morning — everyone."]
    told = made.timeline()["lines"]
    assert [line["text"] for line in told] == [WRITTEN, "Good morning — everyone."]
    assert told[0]["read"].startswith("<SE>[Laughter]" if layout == "native" else "<|sfx:laughter|>")


def test_they_are_cut_at_the_same_places():
    script = parse_script(f"[Anna] {WRITTEN}")
    lines = lines_of(
        script, Sampling(), 25.0, max_chars=40, language="en", prepare=partial(prepare_text, layout="native")
    )
    assert [(line.text, line.written) for line in lines] == [
        ("<SE>[Laughter]</SE> Very good!", "[laugh] Very good!"),
        ("It is 20 degrees Celsius hot today...", "It is 20 °C (hot) today…"),
        ('"yes".', "“yes”."),
    ]


def test_figures_that_are_spelled_out_stay_figures_in_captions():
    script = parse_script("[Anna] In 1984 I had 12 apples, or 7. They were good.")
    lines = lines_of(
        script,
        Sampling(),
        25.0,
        max_chars=60,
        language="en",
        prepare=partial(prepare_text, layout="native", spell_numbers=True),
    )
    assert " ".join(line.written for line in lines) == script.turns[0].text
    assert "nineteen eighty-four" in lines[0].text and "1984" in lines[0].written


@settings(max_examples=examples(150), derandomize=True, deadline=None, database=None)
@given(
    st.lists(
        st.sampled_from(
            ["[laugh]", "20 °C", "（", "好，", "word", " ", "  ", "…", "12", ".", "\n", "\u00ad", "“a”", "é"]
        ),
        max_size=20,
    ),
    st.integers(5, 40),
)
def test_no_letter_of_the_author_is_lost_or_doubled(parts, most):
    text = "".join(parts)
    if not text.strip():
        return
    prepared = prepare_text(text, "native", "en")
    places = [prepared.written_at(place) for place in range(len(prepared.text) + 1)]
    assert places == sorted(places) and all(0 <= place <= len(text) for place in places)
    lines = lines_of(
        Script([Turn("A", text)]),
        Sampling(),
        25.0,
        max_chars=most,
        language="en",
        prepare=partial(prepare_text, layout="native"),
    )
    written = "".join(line.written for line in lines)
    assert [one for one in text if one.isalnum()] == [one for one in written if one.isalnum()]
