"""`higgs serve` as a process of its own: many clients, the key, limits, malformed and hostile requests."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import requests
import soundfile
from helpers_codec import sound_clip
from helpers_serve import NAME, SMALL, make_pair, serve_process, serving, spoken_alone

from higgs_runtime import AudioClip, AudioError, SettingError, load_codec, load_model
from higgs_runtime.audio.clip import eased, level_peak
from higgs_runtime.cli import main
from higgs_runtime.serve.limits import ServerLimits
from higgs_runtime.serve.references import read_reference

pytestmark = pytest.mark.slow  # the process takes seconds to start

KEY = "a-key-of-the-tests"
TEXT = "Good morning to you."
GOOD = {"input": TEXT, "max_new_tokens": 5, "seed": 1, "response_format": "pcm"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    make_pair(folder)
    return folder


@pytest.fixture(scope="module")
def process(folder):
    arguments = (
        "--model",
        str(folder / "lm"),
        "--codec",
        str(folder / "codec"),
        "--name",
        NAME,
        "--rows",
        "8",
        "--positions",
        "400",
        "--max-seconds",
        "1",
        "--max-reference-seconds",
        "2",
        "--max-body-mb",
        "5",
    )
    with serve_process(*arguments, cwd=folder, env={"HIGGS_API_KEY": KEY, "HIGGS_MODELS": str(folder)}) as server:
        yield server


def wav(samples, rate: int = 24_000, **more) -> str:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", **more)
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()


TONE = wav(np.sin(np.arange(24_000) / 20))


# --- many clients ---------------------------------------------------------------------------------------------------


def sixteen_bit(clip: AudioClip, stream: bool) -> np.ndarray:
    """As it is sent; a stream is cut off at full scale, a whole file is turned down."""
    clip = eased(clip)
    clip = clip if stream or float(clip.samples.abs().max()) <= 1 else level_peak(clip, 0.0)
    return (clip.samples.clamp(-1, 1).numpy()[0] * 32767).round()


def test_sixty_four_clients_at_once(process, folder):
    """Streamed and whole, through a process of its own: nobody is lost, and each hears what they hear alone."""
    model, codec = load_model(folder / "lm"), load_codec(folder / "codec")
    texts = [f"This is line number {n}." for n in range(64)]
    chosen = [{"seed": n, "temperature": 1.0, "max_new_tokens": 14 + n % 9} for n in range(64)]

    async def speak(client, n: int) -> bytes:
        more = chosen[n]
        if n % 2 == 0:  # broken off at its end, which that client takes for an error
            body = {"input": texts[n], "voice": "none", "response_format": "pcm", "stream": True, **more}
            return (await asyncio.to_thread(process.post, body)).content
        async with client.audio.speech.with_streaming_response.create(
            model=NAME, voice="none", input=texts[n], response_format="pcm", extra_body=more
        ) as answer:
            assert int(answer.headers["x-higgs-seed"]) == n
            return b"".join([piece async for piece in answer.iter_bytes()])

    async def all_at_once() -> list[bytes]:
        clients = [process.client() for _ in texts]
        return await asyncio.gather(*(speak(client, n) for n, client in enumerate(clients)))

    heard = asyncio.run(all_at_once())
    health = process.get("/health").json()
    assert health == {"status": "ok", "model": NAME, "rows": 8, "speaking": 0, "waiting": 0}
    hop = codec.sample_rate // 25
    assert [len(data) // 2 // hop for data in heard] == [one["max_new_tokens"] for one in chosen]
    for n in range(0, 64, 5):
        take = spoken_alone(model, texts[n], seed=n, temperature=1.0, max_frames=chosen[n]["max_new_tokens"])
        expected = sixteen_bit(codec.decode(take.codes), stream=n % 2 == 0)
        assert abs(np.frombuffer(heard[n], "<i2") - expected).max() <= 1, n


# --- the key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", KEY, "Bearer \u00e9"]
)
def test_a_request_without_the_key_is_refused(process, sent):
    headers = {} if sent is None else {"Authorization": sent.encode("latin-1")}
    for method, path in (
        ("POST", "/v1/audio/speech"),
        ("GET", "/v1/models"),
        ("GET", "/v1/audio/voices"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
    ):
        answer = requests.request(method, process.url + path, headers=headers, json=GOOD, timeout=20)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", path
        assert "error" in answer.json() and KEY not in answer.text
    assert requests.get(process.url + "/health", headers=headers, timeout=20).json()["status"] == "ok"


def test_the_key_is_compared_in_constant_time(monkeypatch):
    from higgs_runtime.serve import guard

    compared = []
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    door = guard.Guard(None, ServerLimits(), None, KEY, None)
    assert door._allowed("/v1/models", f"bearer {KEY}".encode()) and not door._allowed("/v1/models", b"Bearer x")
    assert compared == [(KEY.encode(), KEY.encode()), (b"x", KEY.encode())]


def test_openai_clients_get_openais_errors(process):
    import openai

    client = openai.OpenAI(base_url=process.url + "/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.models.list()
    client = openai.OpenAI(base_url=process.url + "/v1", api_key=KEY, max_retries=0)
    assert [model.id for model in client.models.list()] == [NAME]
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.audio.speech.create(input=TEXT, model="tts-1", voice="default")
    with pytest.raises(openai.BadRequestError, match="no such voice"):
        client.audio.speech.create(input=TEXT, model=NAME, voice="nobody")


def test_other_computers_need_a_key(capsys, monkeypatch):
    monkeypatch.delenv("HIGGS_API_KEY", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        assert main(["serve", "--host", host]) == 1
        assert "HIGGS_API_KEY" in capsys.readouterr().err


# --- malformed and hostile ------------------------------------------------------------------------------------------

BAD = [
    {"input": ""},
    {"input": None},
    {"input": 5},
    {"input": ["a"]},
    {"input": "   "},
    {"input": TEXT, "text": "b"},
    {"input": TEXT, "seed": -1},
    {"input": TEXT, "seed": 2**64},
    {"input": TEXT, "seed": "a"},
    {"input": TEXT, "temperature": -2},
    {"input": TEXT, "temperature": float("nan")},
    {"input": TEXT, "temperature": float("inf")},
    {"input": TEXT, "top_p": 1.5},
    {"input": TEXT, "top_k": -2},
    {"input": TEXT, "ras_window": 10_000},
    {"input": TEXT, "max_new_tokens": 0},
    {"input": TEXT, "max_new_tokens": 26},
    {"input": TEXT, "response_format": "exe"},
    {"input": TEXT, "speed": 9},
    {"input": TEXT, "speed": 2, "stream": True},
    {"input": TEXT, "stream_format": "sse", "response_format": "codes"},
    {"input": "a" * 5000},
    {"input": TEXT, "instructions": "word " * 800},
    {"input": "\ud800"},
    {"input": TEXT, "system": "\udfff"},
    {"input": "[SPEAKER3] Hi.", "voice": "rose"},
    {"input": TEXT, "voice": "../../etc/passwd"},
    {"input": TEXT, "voice": "rose\0"},
    {"input": TEXT, "voice": ["rose"]},
    {"input": TEXT, "voice": {"id": "rose", "more": 1}},
    {"input": TEXT, "voice": "rose", "ref_audio": TONE},
    {"input": TEXT, "ref_audio": TONE},
    {"input": TEXT, "ref_text": "Words."},
    {"input": TEXT, "ref_audio": "", "ref_text": "Words."},
    {"input": TEXT, "ref_audio": "!!!", "ref_text": "Words."},
    {"input": TEXT, "ref_audio": "AAAA", "ref_text": "Words."},
    {"input": TEXT, "ref_audio": "data:audio/wav,plain", "ref_text": "Words."},
    {"input": TEXT, "ref_audio": TONE[:-4000], "ref_text": ""},
    {"input": TEXT, "ref_audio": wav(np.zeros(0)), "ref_text": "Words."},
    {"input": TEXT, "ref_audio": wav(np.zeros(72_000)), "ref_text": "Too long."},
    {"input": TEXT, "ref_audio": wav(np.zeros(100), 3), "ref_text": "An odd rate."},
    {"input": TEXT, "ref_audio": wav(np.zeros((100, 20))), "ref_text": "Many channels."},
    {"input": TEXT, "ref_audio": wav(np.full(24_000, np.nan), subtype="FLOAT"), "ref_text": "No numbers."},
    {"input": TEXT, "references": [{"text": "Words."}]},
    {"input": TEXT, "references": [{"audio_path": TONE, "text": "a"}] * 20},
    {"input": TEXT, "references": [{"audio_path": TONE, "text": "a"}] * 3},
    {"input": TEXT, "references": [{"audio_path": TONE, "codes": [[1] * 8], "text": "Both."}]},
    {"input": TEXT, "reference_codes": [[1] * 8, [2] * 7], "reference_text": "Ragged."},
    {"input": TEXT, "reference_codes": [[1024] * 8], "reference_text": "Out of the book."},
    {"input": TEXT, "reference_codes": [[1] * 3], "reference_text": "Three books."},
    {"input": TEXT, "reference_codes": [[-1] * 8], "reference_text": "Below."},
    {"input": TEXT, "references": [{"codes": [[]], "text": "Nothing."}]},
    {"input": TEXT, "a field" * 10_000: 1},
]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_malformed_requests_are_refused(process, body):
    answer = requests.post(
        process.url + "/v1/audio/speech",
        data=json.dumps(body),
        timeout=60,
        headers={**process.headers, "Content-Type": "application/json"},
    )
    assert answer.status_code == 400, answer.text[:200]
    error = answer.json()["error"]
    assert len(error["message"]) > 10 and error["type"] == "invalid_request_error"
    assert "Traceback" not in answer.text and len(answer.text) < 2000


@pytest.mark.parametrize(
    "data, headers",
    [
        (b"", {}),
        (b"{", {}),
        (b"[]", {}),
        (b"null", {}),
        (b"[" * 100_000, {}),
        (b'{"input": ' + b"[" * 50_000, {}),
        (b"\xff\xfe", {}),
        (json.dumps(GOOD).encode(), {"Content-Type": "text/plain"}),
        (b"input=Good", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b'{"input": "a", "seed": 1' + b"0" * 100_000 + b"}", {}),
    ],
)
def test_bodies_that_are_no_request(process, data, headers):
    answer = requests.post(
        process.url + "/v1/audio/speech",
        data=data,
        timeout=60,
        headers={"Content-Type": "application/json", **process.headers, **headers},
    )
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error", answer.text
    told = answer.json()["error"]["message"]  # not where in the framework it failed
    assert told.startswith(
        ("The body has to be a JSON object, sent with Content-Type: application/json", "There was an error parsing")
    )
    assert ("text/plain" in told) == ("text/plain" in str(headers))


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "../lm/config.json",
        "file://localhost/etc/passwd",
        "C:\\clip.wav",
        "clip.wav",
        "ftp://127.0.0.1/clip.wav",
        "gopher://127.0.0.1:70/x",
        "concat:clip.wav|clip.wav",
        "HTTP://127.0.0.1/",
        "file:///a%00.wav",
    ],
)
def test_nothing_is_read_for_a_client(process, source):
    answer = process.post({**GOOD, "ref_audio": source, "ref_text": "Words."})
    assert answer.status_code == 400 and "root:" not in answer.text


def test_nothing_is_fetched_for_a_client(process):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/clip.wav"
        for body in ({"ref_audio": url, "ref_text": "Words."}, {"references": [{"audio_path": url, "text": "Words."}]}):
            answer = process.post({**GOOD, **body})
            assert answer.status_code == 400 and "does not fetch" in answer.json()["error"]["message"]
        with pytest.raises(TimeoutError):
            listener.accept()


def test_large_bodies_are_refused_before_they_are_read(process):
    answer = process.post({**GOOD, "system": "a" * 6_000_000})
    assert answer.status_code == 413
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=20)
    connection.putrequest("POST", "/v1/audio/speech")
    for name, value in {**process.headers, "Content-Length": str(10**12), "Content-Type": "application/json"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413, "without a byte of it"
    connection.close()


def test_large_bodies_in_chunks_are_refused(process):
    def chunks():
        yield b'{"input": "'
        for _ in range(20):
            yield b"a" * 500_000

    headers = {**process.headers, "Content-Type": "application/json"}
    try:
        assert (
            requests.post(process.url + "/v1/audio/speech", data=chunks(), headers=headers, timeout=20).status_code
            == 413
        )
    except requests.ConnectionError:
        pass  # it closed while we were still sending
    assert process.post(GOOD).status_code == 200


def test_another_method_or_path(process):
    assert process.get("/v1/audio/speech").status_code == 405
    assert process.get("/v1/../../etc/passwd").status_code == 404 == process.get("/docs").status_code


def test_after_all_that_it_speaks_as_before(process, folder):
    take = spoken_alone(load_model(folder / "lm"), TEXT, seed=1, max_frames=5)
    assert process.codes({**GOOD, "voice": "none"}).ids.tolist() == take.codes.ids.tolist()
    assert process.get("/health").json()["status"] == "ok"


def test_requests_that_the_openapi_page_allows_are_answered_as_documented(process, tmp_path):
    """schemathesis makes requests of the page, good and bad, and holds the answers against it. What the page cannot say
    (a voice or references) may be refused."""
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        process.url + "/openapi.json",
        "--max-examples",
        "8",
        "--seed",
        "1",
        "-H",
        f"Authorization: Bearer {KEY}",
        "--checks",
        "all",
        "--exclude-checks",
        "positive_data_acceptance",
        "--suppress-health-check",
        "all",
        "--phases",
        "coverage,fuzzing",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "7 selected / 7 total" in done.stdout


# --- limits that are set for it -------------------------------------------------------------------------------------


def test_a_body_that_does_not_come_is_not_waited_for(folder):
    pair = load_model(folder / "lm"), load_codec(folder / "codec")
    with serving(pair, replace(SMALL, receive_timeout_s=0.2)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plug:
            plug.sendall(
                b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            assert b" 408 " in plug.recv(1000)


def test_clips_in_a_folder_that_is_allowed(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    sound_clip(0.5).save(allowed / "my clip.wav")
    sound_clip(0.5).save(tmp_path / "secret.wav")
    (allowed / "link.wav").symlink_to(tmp_path / "secret.wav")
    (allowed / "circle.wav").symlink_to(allowed / "circle.wav")
    limits = ServerLimits(folders=(allowed,))
    for source in (str(allowed / "my clip.wav"), f"file://{allowed}/my%20clip.wav", f"file:{allowed}/my clip.wav"):
        assert read_reference(source, limits).seconds == 0.5
    for source in (
        str(tmp_path / "secret.wav"),
        f"{allowed}/../secret.wav",
        f"file://{allowed}/%2e%2e/secret.wav",
        f"{allowed}/link.wav",
        f"{allowed}/none.wav",
        f"{allowed}",
        f"file://{allowed}",
        "file:",
        f"file://{allowed}/a\0.wav",
        f"file://{allowed}/a%00.wav",
        f"{allowed}/circle.wav",
    ):
        with pytest.raises(AudioError):
            read_reference(source, limits)


class _Files(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/clips/moved.wav":
            self.send_response(302)
            self.send_header("Location", "/secret.wav")
            self.end_headers()
            return
        if self.path == "/clips/no_http.wav":
            self.wfile.write(b"SSH-2.0-some\r\n")
            return
        self.send_response(200 if self.path.endswith(".wav") else 404)
        self.end_headers()
        for _ in range(50 if self.path.endswith("large.wav") else 1):
            self.wfile.write(self.server.data)

    def log_message(self, *_):
        """Silence."""


def test_clips_at_an_address_that_is_allowed(tmp_path):
    sound_clip(0.5).save(tmp_path / "clip.wav")
    with HTTPServer(("127.0.0.1", 0), _Files) as files:
        files.data = (tmp_path / "clip.wav").read_bytes()
        threading.Thread(target=files.serve_forever, args=(0.02,), daemon=True).start()
        base = f"http://127.0.0.1:{files.server_address[1]}"
        limits = ServerLimits(addresses=(base + "/clips/",), body_bytes=500_000)
        assert isinstance(read_reference(base + "/clips/clip.wav", limits), AudioClip)
        for path in (
            "/secret.wav",
            "/clips/../secret.wav",
            "/clips/%2e%2e/secret.wav",
            "/clips/moved.wav",
            "/clips/none",
            "/clips/large.wav",
            "/clips/no_http.wav",
            "/clips/a\n.wav",
        ):
            with pytest.raises(AudioError):
                read_reference(base + path, limits)
        files.shutdown()


@pytest.mark.parametrize(
    "more",
    [
        {"addresses": ("http://host",)},
        {"addresses": ("file:///a/",)},
        {"rows": 0},
        {"seconds": float("nan")},
        {"waiting": 0},
        {"addresses": ("https://",)},
    ],
)
def test_limits_that_make_no_sense(more):
    with pytest.raises(SettingError):
        ServerLimits(**more)


def test_playlists_are_not_handed_to_ffmpeg(tmp_path):
    """FFmpeg would follow what a playlist names."""
    for data in (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile '/etc/passwd'\n"):
        with pytest.raises(AudioError, match="cannot be read"):
            read_reference(base64.b64encode(data).decode(), ServerLimits())
