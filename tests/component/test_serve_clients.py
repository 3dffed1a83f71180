"""Clients that cannot be changed: what they send is answered as they understand it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import requests
from helpers_serve import NAME, SMALL, load_pair, serving, spoken_alone

from higgs_runtime import SettingError, Voice, VoiceError, embedded_voices, save_voice
from higgs_runtime.cli.serve import _alias
from higgs_runtime.serve.app import ModelNames
from higgs_runtime.serve.voices import Voices
from higgs_runtime.voices import load_source, voice_path

ORIGIN = "https://page.example"
TEXT = "Good morning to you."
GOOD = {"input": TEXT, "max_new_tokens": 5, "seed": 1}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return load_pair(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(pair):
    voices = Voices([], pair[1], "rose", {"alloy": "rose", "Echo": "ross"})
    names = ModelNames(NAME, ("tts-1", "gpt-4o-mini-tts"))
    with serving(pair, SMALL, voices=voices, names=names, origins=[ORIGIN]) as server:
        yield server


def test_open_webui_finds_models_and_voices_and_speaks(server):
    """As `routers/audio.py` of Open WebUI 0.6 asks: `id` and `name` of each voice, `models` with an `id` each; then the
    browser's body with the model of its settings."""
    models, voices = (requests.get(f"{server.url}/v1/audio/{what}", timeout=20).json() for what in ("models", "voices"))
    assert [model["id"] for model in models["models"]] == [NAME, "tts-1", "gpt-4o-mini-tts"]
    found = {voice["id"]: voice["name"] for voice in voices["voices"]}
    assert {"rose", "ross", "alloy", "echo"} <= found.keys()
    body = {"input": "# Title\n\nGood **morning**.", "voice": "alloy", "model": "tts-1", "max_new_tokens": 5}
    answer = requests.post(
        f"{server.url}/v1/audio/speech", json=body, headers={"Authorization": "Bearer EMPTY"}, timeout=60
    )
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"


def test_sillytavern_speaks(server):
    """As its server passes on what `openai-compatible.js` asks for, with the defaults of that file."""
    body = {"input": TEXT, "response_format": "mp3", "voice": "alloy", "speed": 1, "model": "tts-1"}
    answer = requests.post(
        f"{server.url}/v1/audio/speech",
        json={**body, "max_new_tokens": 5},
        headers={"Authorization": "Bearer "},
        timeout=60,
    )
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg" and len(answer.content) > 500


def test_an_alias_is_the_voice_itself_whatever_the_case(server):
    rose, ross = (server.codes({**GOOD, "voice": name}).ids.tolist() for name in ("rose", "ross"))
    assert rose != ross
    for name in ("alloy", "ALLOY", "Rose", {"id": "alloy", "name": "Alloy"}):
        assert server.codes({**GOOD, "voice": name}).ids.tolist() == rose
    assert server.codes({**GOOD, "voice": "echo"}).ids.tolist() == ross


def test_the_default_voice_is_one_person(server, pair):
    rose = server.codes({**GOOD, "voice": "rose"}).ids.tolist()
    for more in ({}, {"voice": "default"}, {"voice": ""}, {"voice": None}):
        assert server.codes({**GOOD, **more}).ids.tolist() == rose
    take = spoken_alone(pair[0], TEXT, seed=1, max_frames=5)
    assert server.codes({**GOOD, "voice": "none"}).ids.tolist() == take.codes.ids.tolist()
    voice = load_source(embedded_voices()["ross"], pair[1])
    assert isinstance(voice, Voice) and voice.codes is not None
    named = {"reference_codes": voice.codes.ids.T.tolist(), "reference_text": voice.transcript}
    assert server.codes({**GOOD, **named}).ids.tolist() == server.codes({**GOOD, "voice": "ross"}).ids.tolist()


def test_models_by_name(server):
    assert [one["id"] for one in server.get("/v1/models").json()["data"]] == [NAME, "tts-1", "gpt-4o-mini-tts"]
    assert server.get("/v1/models/tts-1").json()["id"] == "tts-1"
    assert server.get(f"/v1/models/{NAME.upper()}").status_code == 200
    assert server.get("/v1/models/whisper-1").status_code == 404
    assert server.post({**GOOD, "model": "TTS-1"}).status_code == 200
    refused = server.post({**GOOD, "model": "tts-2"})
    assert refused.status_code == 404 and "'tts-1'" in refused.json()["error"]["message"]


def test_a_voice_that_is_not_there_brings_the_list(server):
    refused = server.post({**GOOD, "voice": "nova"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "voice"
    for name in ("rose", "ross", "alloy"):
        assert name in refused.json()["error"]["message"]


def test_a_voice_without_words_is_refused_by_a_model_that_needs_them(pair, tmp_path):
    codes = load_source(embedded_voices()["rose"], pair[1]).codes
    save_voice(voice_path(tmp_path, "mute"), Voice(codes))
    with serving(pair, roots=[tmp_path]) as server:
        refused = server.post({**GOOD, "voice": "mute"})
    said = refused.json()["error"]["message"]
    assert refused.status_code == 400 and "no transcript" in said and "only Higgs Audio v3" in said


def test_null_is_a_field_that_was_left_out(server):
    names = ("model", "voice", "response_format", "stream", "stream_format", "speed", "instructions", "system")
    names += ("ref_audio", "ref_text", "references", "temperature", "top_k", "top_p", "ras_window", "prepare")
    answer = server.post({**GOOD, **dict.fromkeys(names)})
    assert answer.status_code == 200 and answer.content == server.post(GOOD).content
    assert server.post({"input": None}).status_code == 400


def test_a_body_without_its_type_is_told_as_such(server):
    url = f"{server.url}/v1/audio/speech"
    said = requests.post(url, data=b'{"input": "Hello."}', timeout=20).json()["error"]["message"]
    assert "it came without Content-Type" in said and "application/json" in said
    typed = {"Content-Type": "text/plain"}
    assert (
        "it came as text/plain" in requests.post(url, data=b"{}", headers=typed, timeout=20).json()["error"]["message"]
    )


def test_pages_of_an_allowed_origin_may_read_answers(server, pair):
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    may = requests.options(f"{server.url}/v1/audio/speech", headers=asked, timeout=20)
    assert may.status_code == 200 and may.headers["access-control-allow-origin"] == ORIGIN
    spoken = server.post(GOOD, headers={"Origin": ORIGIN})
    assert spoken.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Higgs-Seed" in spoken.headers["access-control-expose-headers"]
    other = server.post(GOOD, headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
    with serving(pair, key="secret", origins=["*"]) as closed:
        assert requests.options(f"{closed.url}/v1/audio/speech", headers=asked, timeout=20).status_code == 200
        refused = requests.post(f"{closed.url}/v1/audio/speech", json=GOOD, headers={"Origin": ORIGIN}, timeout=20)
        assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == "*", "it can be read"


def test_without_allowed_origins_no_page_may(pair):
    with serving(pair) as server:
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        may = requests.options(f"{server.url}/v1/audio/speech", headers=asked, timeout=20)
        assert may.status_code == 405 and "access-control-allow-origin" not in may.headers


def test_wrong_names_are_told_at_the_start(pair):
    with pytest.raises(VoiceError, match="one of alan"):
        Voices([Path("nowhere")], pair[1], "nobody")
    with pytest.raises(VoiceError, match="nobody"):
        Voices([], pair[1], "", {"alloy": "nobody"})
    assert _alias("alloy = rose") == ("alloy", "rose")
    for text in ("alloy", "alloy=", "=rose"):
        with pytest.raises(SettingError, match="NAME=VOICE"):
            _alias(text)


def test_references_are_judged(server, tmp_path):
    import base64
    import io

    import numpy as np
    import soundfile

    def sent(samples) -> dict:
        file = io.BytesIO()
        soundfile.write(file, samples, 24_000, format="WAV")
        url = "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()
        return {**GOOD, "ref_audio": url, "ref_text": "Words."}

    noise = np.random.default_rng(0).standard_normal(24_000 * 4) * 0.1
    for samples in (np.zeros(24_000), np.stack([noise, -noise], 1)):
        refused = server.post(sent(samples))
        assert refused.status_code == 400 and "no sound" in refused.json()["error"]["message"]
    assert "Too short" in server.post(sent(noise[:7200])).headers["x-higgs-warning"]
    assert "Noise" in server.post(sent(noise)).headers["x-higgs-warning"]
    assert "Clipped" in server.post(sent((noise * 50).clip(-1, 1))).headers["x-higgs-warning"]


@pytest.mark.parametrize("text", ["...", "\u266a", "--", " \n ", "\U0001f600", "!?", "[SPEAKER0]"])
def test_a_text_without_words_is_refused(server, text):
    refused = server.post({**GOOD, "input": text})
    assert refused.status_code == 400 and "nothing to say" in refused.json()["error"]["message"]


def test_the_server_prepares_a_text_where_it_is_asked_to(server, pair):
    """Open WebUI sends the Markdown of a chat."""
    written, plain = "# Good\n\n**Good** [morning](https://a.example) to you.", "Good.\n\nGood morning to you."
    asked = {**GOOD, "voice": "none"}
    as_it_is, prepared = (server.codes({**asked, "input": written, "prepare": one}) for one in (False, True))
    assert as_it_is.ids.tolist() != prepared.ids.tolist()
    assert prepared.ids.tolist() == server.codes({**asked, "input": plain, "prepare": True}).ids.tolist()
    with serving(pair, replace(SMALL, prepare=True)) as preparing:
        assert preparing.codes({**asked, "input": written}).ids.tolist() == prepared.ids.tolist()
        off = {**asked, "input": written, "prepare": False}
        assert preparing.codes(off).ids.tolist() == as_it_is.ids.tolist()


def test_our_own_client_asks_for_no_default_voice():
    """A voice that is described in words must not be spoken by the server's own."""
    from higgs_runtime import Sampling, conversation
    from higgs_runtime.remote.servers import SERVERS, request_body

    body = request_body(SERVERS["higgs serve"], conversation("Hello."), Sampling())[0]
    assert body["voice"] == "none"


def test_a_stream_that_is_broken_off_is_one_line_in_the_log():
    import logging
    import sys

    from higgs_runtime.cli.serve import _in_one_line
    from higgs_runtime.serve.answers import BrokenStream

    for error, words in (
        (BrokenStream("The speech is not whole."), "The speech is not whole."),
        (ValueError("x"), "odd"),
    ):
        try:
            raise error
        except (BrokenStream, ValueError):
            record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "odd", (), sys.exc_info())
        assert _in_one_line(record) and record.getMessage() == words and bool(record.exc_info) == (words == "odd")
