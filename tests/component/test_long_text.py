"""Text that is longer than one take, in one voice, and what is said of a take that did not end by itself. With the
pack's own checkpoint, which does not run on."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from helpers_serve import read_all, serving

from higgs_runtime import (
    AudioClip,
    HiggsWarning,
    Sampling,
    embedded_voices,
    load_codec,
    load_model,
    speak,
    speak_stream,
)
from higgs_runtime.cli import main
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.monologue import pieces_of
from higgs_runtime.serve.limits import ServerLimits
from higgs_runtime.verification import length_bounds

TEXT = (
    "Good morning, my friend. The story is ready. Where is the old bridge? The window is open. Please wait for the "
    "train. We have a small boat. The child is at home. I can hear the music. Thank you very much. The bus is "
    "late today. Hello, how are you? The weather is cold and windy. She will play a song. Please open the window."
)
CALM = Sampling(temperature=0.3)
SHORT = Sampling(temperature=0.3, max_frames=10)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pair():
    return load_model(EMBEDDED / "higgs-nano"), load_codec(EMBEDDED / "higgs-nano-codec")


@pytest.fixture(scope="module")
def rose():
    file = embedded_voices()["rose"]
    return {"voice": file, "transcript": file.with_suffix(".txt").read_text(encoding="utf-8")}


@pytest.fixture(scope="module")
def spoken(pair, rose):
    return speak(TEXT, **rose, model=pair[0], codec=pair[1], sampling=CALM)


@pytest.fixture(scope="module")
def server(pair):
    with serving(pair, ServerLimits(rows=3, positions=2400, silence_s=3.0)) as server:
        yield server


def wave(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2").astype("f4") / 32767


# --- whole ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_text_is_spoken_whole(spoken, ears):
    assert length_bounds(TEXT)[0] < spoken.seconds < length_bounds(TEXT)[1]
    assert spoken.seconds > 25 and ears.share_heard(TEXT, spoken) > 0.65


@pytest.mark.slow
def test_without_a_voice_all_pieces_have_the_one_of_the_first(pair):
    resemblyzer = pytest.importorskip("resemblyzer")
    clip = speak(TEXT, model=pair[0], codec=pair[1], sampling=CALM)
    third = clip.length // 3
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    parts = [clip.samples[0, n * third : (n + 1) * third].numpy() for n in range(3)]
    made = [encoder.embed_utterance(resemblyzer.preprocess_wav(part, 24_000)) for part in parts]
    assert min(float(made[0] @ other) for other in made[1:]) > 0.85


def test_a_stream_is_the_same_sound(pair, rose, spoken):
    pieces = list(speak_stream(TEXT, **rose, model=pair[0], codec=pair[1], sampling=CALM))
    joined = torch.cat([piece.samples for piece in pieces], 1)
    assert len(pieces) > 10 and joined.shape == spoken.samples.shape
    assert (joined - spoken.samples).abs().max() < 1e-3


def test_the_server_speaks_it_whole(server, spoken):
    body = {"input": TEXT, "voice": "rose", "temperature": 0.3, "seed": 0, "response_format": "pcm"}
    whole, streamed = server.post(body), server.post({**body, "stream": True})
    assert whole.headers["x-higgs-finish-reason"] == "stop" and not streamed.broken_off
    for answer in (whole, streamed):
        heard = wave(answer.content)
        assert len(heard) == spoken.length and abs(heard - spoken.samples[0].numpy()).max() < 2e-3


def test_say_speaks_it_whole_and_says_nothing(tmp_path, monkeypatch, capsys, spoken):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIGGS_MODELS", str(tmp_path))
    assert main(["say", TEXT, "--voice", "rose", "--temperature", "0.3", "-o", "a.wav", "--device", "cpu"]) == 0
    assert "cut off" not in capsys.readouterr().err
    assert abs(AudioClip.load("a.wav").samples - spoken.samples).max() < 2e-3


@pytest.mark.parametrize("text", [TEXT, "多年以前，海边有一座灯塔。" * 30, "Ein Satz. " * 90, "word " * 400, "a" * 900])
def test_pieces_hold_all_of_the_text_and_fit_into_a_take(pair, text):
    config = pair[0].config
    for frames in (250, 750):
        made = pieces_of(text, config, frames).texts
        assert "".join("".join(made).split()) == "".join(text.split())
        assert all(len(piece) <= 300 for piece in made)


def test_a_short_text_is_one_piece_as_it_was_written(pair):
    assert pieces_of(" Good morning.\n", pair[0].config, 10).texts == ("Good morning.",)


# --- seams ----------------------------------------------------------------------------------------------------------


def test_lines_begin_and_end_at_zero_with_the_planned_gap_between(spoken):
    sound = spoken.samples[0]
    assert sound[0] == 0 and abs(float(sound[-1])) < 1e-3
    assert (sound[1:] - sound[:-1]).abs().max() < 0.5, "no step"
    zeros = (sound == 0).int()
    edges = torch.diff(torch.cat((torch.zeros(1, dtype=torch.int), zeros, torch.zeros(1, dtype=torch.int))))
    runs = (edges == -1).nonzero()[:, 0] - (edges == 1).nonzero()[:, 0]
    gaps = [int(run) / 24_000 for run in runs if run > 1200]
    assert len(gaps) >= 4 and all(abs(gap - 0.45) < 0.001 for gap in gaps), "after a sentence"


# --- not whole ------------------------------------------------------------------------------------------------------


def test_a_take_that_is_cut_off_is_told(pair, rose):
    for say in (speak, lambda *args, **more: list(speak_stream(*args, **more))):
        with pytest.warns(HiggsWarning, match="cut off after 0.4 s.*Good morning"):
            say("Good morning, my friend.", **rose, model=pair[0], codec=pair[1], sampling=SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HiggsWarning)
        speak("Good morning.", **rose, model=pair[0], codec=pair[1], sampling=CALM)


def test_which_piece_was_cut_off_is_told(pair, rose):
    with pytest.warns(HiggsWarning, match="Piece 2 of 2 was cut off"):
        speak(TEXT[:115], **rose, model=pair[0], codec=pair[1], sampling=SHORT)


def test_the_server_tells_it_in_every_form(server):
    body = {"input": "Good morning, my friend.", "voice": "rose", "seed": 1, "max_new_tokens": 10}
    whole = server.post(body)
    assert whole.status_code == 200 and whole.headers["x-higgs-finish-reason"] == "length"
    assert "cut off" in whole.headers["x-higgs-warning"]
    for format in ("pcm", "wav", "mp3", "opus"):
        answer = server.post({**body, "stream": True, "response_format": format})
        assert answer.broken_off and answer.content, format
    events = server.post({**body, "stream_format": "sse"})
    last = json.loads(events.text.strip().splitlines()[-1].removeprefix("data: "))
    assert not events.broken_off and last["finish_reason"] == "length"
    codes = server.post({**body, "response_format": "codes", "stream": True})
    assert not codes.broken_off and json.loads(codes.content.splitlines()[-1])["finish_reason"] == "length"
    assert not server.post({**body, "stream": True, "max_new_tokens": 300, "temperature": 0.3}).broken_off


def test_a_limit_that_a_client_sets_is_of_the_whole_answer(server):
    body = {"input": TEXT, "voice": "rose", "seed": 1, "temperature": 0.3, "max_new_tokens": 150}
    codes = server.codes(body)
    assert 100 < codes.frames <= 150


def test_say_tells_it_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIGGS_MODELS", str(tmp_path))
    assert main(["say", "Good morning.", "--voice", "rose", "-o", "a.wav", "--max-seconds", "0.4"]) == 0
    assert "higgs: The speech was cut off after 0.4 s" in capsys.readouterr().err


def test_a_take_that_stays_silent_ends(pair, rose, monkeypatch):
    """As in scripts: here every frame counts as silent."""
    from higgs_runtime.verification import silence_stop

    entries = frozenset(range(pair[1].codebook_size))
    monkeypatch.setattr(silence_stop, "silent_entries", lambda _codec: entries)
    long = Sampling(temperature=0.3, max_frames=400)
    chosen = {"model": pair[0], "codec": pair[1], "sampling": long, **rose}
    with warnings.catch_warnings():
        warnings.simplefilter("error", HiggsWarning)
        for pieces in (
            [speak("Good morning, my old friend.", silence_s=0.52, **chosen)],
            list(speak_stream("Good morning, my old friend.", silence_s=0.52, **chosen)),
        ):
            assert sum(piece.seconds for piece in pieces) == pytest.approx(0.52)
    with serving(pair, ServerLimits(rows=1, positions=2400, silence_s=0.6)) as server:
        codes = server.codes({"input": "Good morning, my old friend.", "voice": "rose", "seed": 1})
        assert codes.frames == 15


def test_a_reader_of_a_stream_that_is_not_whole_sees_it(server):
    with server.post({"input": TEXT, "voice": "rose", "max_new_tokens": 30, "stream": True}, stream=True) as answer:
        assert answer.status_code == 200 and not read_all(answer)
