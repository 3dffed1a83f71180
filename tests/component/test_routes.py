"""The HTTP routes of the pack, with hostile names and bodies: refused as JSON, and nothing outside is read."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import requests
import soundfile
import torch
from helpers_examples import cases_of
from helpers_takes import key_of, line_of, some_take
from helpers_workflow import node_classes, node_module

from higgs_runtime import AudioClip, TakeStore, load_codec
from higgs_runtime.hub.catalog import EMBEDDED
from higgs_runtime.hub.releases import how_to_install
from higgs_runtime.takes import Take

HOSTILE = [
    "../secret.wav",
    "..",
    "/etc/passwd",
    "C:\\x.wav",
    "..\\secret.wav",
    "<script>alert(1)</script>",
    "\u202egpj.wav",
    "a\0.wav",
    "%2e%2e%2fsecret.wav",
    "x" * 5000,
    "link.wav",
    "sub/../../secret.wav",
    "~/.bashrc",
    " ",
    ".",
]


@pytest.fixture(scope="module")
def site():
    """The routes on a server of their own. `url`; `folder` holds input/ and a secret beside it."""
    from aiohttp import web

    node_classes()
    routes = node_module("routes")
    table = web.RouteTableDef()
    routes.serve(table)
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), SimpleNamespace(routes=routes)

    async def start():
        app = web.Application(client_max_size=100 << 20)
        app.add_routes(table)
        runner = web.AppRunner(app)
        await runner.setup()
        address = web.TCPSite(runner, "127.0.0.1", 0)
        await address.start()
        found.url = f"http://127.0.0.1:{address._server.sockets[0].getsockname()[1]}"
        ready.set()

    def serve():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(30)
    yield found
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def inputs(site, tmp_path, monkeypatch):
    folder = tmp_path / "input"
    (folder / "sub").mkdir(parents=True)
    wave = torch.sin(torch.arange(24_000) / 20)[None] * torch.linspace(0, 1, 24_000)
    AudioClip(wave, 24_000).save(folder / "sub" / "tone <b> 老.wav")
    AudioClip(wave, 24_000).save(tmp_path / "secret.wav")
    (folder / "notes.txt").write_text("no sound")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    monkeypatch.setattr(node_module("host.files"), "shown_folder", lambda kind: folder if kind == "input" else None)
    return folder


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    return TakeStore(tmp_path / "takes")


def refused(answer, *statuses) -> str:
    assert answer.status_code in (statuses or range(400, 500)), answer.text[:300]
    assert answer.headers["Content-Type"].startswith("application/json")
    [why] = answer.json().values()
    return why


# --- outlines -------------------------------------------------------------------------------------------------------


def test_peaks_of_an_input_file(site, inputs):
    found = requests.get(site.url + "/higgs/peaks", {"name": "sub/tone <b> 老.wav", "points": "50"}, timeout=30).json()
    assert (found["seconds"], found["sample_rate"], found["channels"]) == (1.0, 24_000, 1)
    assert len(found["low"]) == len(found["high"]) == 50
    assert -1 <= found["low"][-1] < -0.9 and 0.9 < found["high"][-1] <= 1 and abs(found["high"][0]) < 0.05


def test_the_clip_of_a_voice_file_may_be_anything(site, inputs, monkeypatch):
    file = io.BytesIO()
    soundfile.write(file, torch.sin(torch.arange(8000 * 100) / 9).numpy() / 2, 8000, format="FLAC")
    for kept, seconds in ((file.getvalue(), 60.0), (b"<html>", None), (file.getvalue()[:60], None)):
        monkeypatch.setattr(node_module("load_voice"), "preview", lambda name, kept=kept: kept)
        for route in ("peaks", "quality"):
            answer = requests.get(f"{site.url}/higgs/{route}", {"kind": "voice", "name": "v"}, timeout=60)
            if seconds:
                assert answer.json()["seconds"] == seconds
            else:
                assert refused(answer)


def test_peaks_of_a_clip_of_the_pack(site, inputs):
    query = {"kind": "clip", "name": "rose (from the pack)", "points": 9}
    assert len(requests.get(site.url + "/higgs/peaks", query, timeout=30).json()["high"]) == 9


@pytest.mark.parametrize("kind, name", cases_of(["input", "clip", "voice"], HOSTILE, quick=4))
def test_peaks_of_hostile_names(site, inputs, kind, name):
    refused(requests.get(site.url + "/higgs/peaks", {"kind": kind, "name": name}, timeout=30), 404)


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "etc"},
        {"points": "0"},
        {"points": "99999"},
        {"points": "1e9"},
        {"points": "-1"},
        {"points": "٣"},
        {"name": "notes.txt"},
        {"name": ""},
    ],
)
def test_peaks_of_invalid_requests(site, inputs, query):
    query = {"kind": "input", "name": "sub/tone <b> 老.wav", **query}
    refused(requests.get(site.url + "/higgs/peaks", query, timeout=30))


# --- quality --------------------------------------------------------------------------------------------------------


def test_quality_of_a_part(site, inputs):
    query = {"kind": "clip", "name": "rose (from the pack)", "start": "0.5", "duration": "2"}
    found = requests.get(site.url + "/higgs/quality", query, timeout=30).json()
    apart = found["speech_dbfs"] - found["noise_dbfs"]
    assert found["seconds"] == 2.0 and found["snr_db"] == pytest.approx(apart, abs=0.02)
    assert found["warnings"][0].startswith("Too short: 2.0 s")


def test_no_more_than_a_minute_is_read(site, inputs):
    AudioClip(torch.rand(1, 70 * 1000) - 0.5, 1000).save(inputs / "long.wav")
    for asked in ({}, {"duration": "0"}, {"duration": "999999"}):
        found = requests.get(site.url + "/higgs/quality", {"name": "long.wav", **asked}, timeout=30).json()
        assert found["seconds"] == 60.0


@pytest.mark.parametrize("kind, name", cases_of(["input", "clip", "voice"], HOSTILE, quick=4))
def test_quality_of_hostile_names(site, inputs, kind, name):
    refused(requests.get(site.url + "/higgs/quality", {"kind": kind, "name": name}, timeout=30), 404)


@pytest.mark.parametrize(
    "query",
    [
        {"start": "-1"},
        {"start": "nan"},
        {"duration": "1e3"},
        {"start": "9" * 99},
        {"start": "2"},
        {"kind": "etc"},
        {"name": "notes.txt"},
    ],
)
def test_quality_of_invalid_requests(site, inputs, query):
    query = {"name": "sub/tone <b> 老.wav", **query}
    refused(requests.get(site.url + "/higgs/quality", query, timeout=30))


@pytest.mark.parametrize("route, name", cases_of(["clips", "voices", "takes"], HOSTILE, quick=4))
def test_sounds_of_hostile_names(site, store, route, name):
    """Names in the path, each character escaped, so that nothing on the way tidies it."""
    answer = requests.get(f"{site.url}/higgs/{route}/{quote(name, safe='')}", timeout=30)
    assert 400 <= answer.status_code < 500
    if answer.headers["Content-Type"].startswith("application/json"):
        refused(answer)
    assert "root:" not in answer.text


# --- takes ----------------------------------------------------------------------------------------------------------


def test_a_take_is_listed_played_and_locked(site, store):
    codec = load_codec(EMBEDDED / "higgs-nano-codec")
    spoken = codec.encode(AudioClip.load(EMBEDDED / "clips" / "rose.flac", duration_s=1.0))
    key = key_of(7, seed=5)
    store.put(key, Take(spoken, "stop", 5, 0.5, {"text": "<b>Hi", "speaker": "Rose", "wer": 0.25, "similarity": 0.8}))
    store.put(key_of(8, seed=5), some_take(5))
    url = f"{site.url}/higgs/takes"
    [about] = requests.get(url, {"line": line_of(7)}, timeout=30).json()
    assert about == {
        "key": key,
        "seed": "5",
        "seconds": spoken.seconds,
        "speaker": "Rose",
        "text": "<b>Hi",
        "wer": 0.25,
        "similarity": 0.8,
        "locked": False,
    }
    answer = requests.get(f"{url}/{key}", timeout=60)
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert answer.headers["Content-Type"] == "audio/flac" and rate == 24_000
    expected = codec.decode(spoken).samples[0]
    assert len(samples) == len(expected) and (torch.from_numpy(samples) - expected).abs().max() < 1e-4
    assert -60 < float(answer.headers["X-Loudness-LUFS"]) < 0
    assert requests.post(f"{url}/{key}/lock", timeout=30).json() == {"key": key, "locked": True}
    assert store.is_locked(key) and requests.get(url, {"line": line_of(7)}, timeout=30).json()[0]["locked"]
    assert requests.post(f"{url}/{key}/unlock", timeout=30).json()["locked"] is False
    assert not store.is_locked(key)


def test_a_take_of_another_codec_says_so(site, store):
    store.put(key_of(8), some_take())
    assert "0123456789abcdef" in refused(requests.get(f"{site.url}/higgs/takes/{key_of(8)}", timeout=60), 400)


@pytest.mark.parametrize("act", ["", "/lock", "/unlock"])
@pytest.mark.parametrize("key", [key_of(9), "x", "../x", key_of(9) + "%00", "A" * 64 + "-1", "1" * 100_000])
def test_keys_of_no_take(site, store, key, act):
    send = requests.post if act else requests.get
    answer = send(f"{site.url}/higgs/takes/{quote(key, safe='%')}{act}", timeout=30)
    assert 400 <= answer.status_code < 500
    assert not store.folder.exists()


@pytest.mark.parametrize("line", ["", "x", "../" * 20, "0" * 63, line_of(1) + "-3", "é" * 64])
def test_lines_that_are_no_key(site, store, line):
    refused(requests.get(f"{site.url}/higgs/takes", {"line": line}, timeout=30), 400)


def test_a_line_without_takes_has_none(site, store):
    assert requests.get(f"{site.url}/higgs/takes", {"line": line_of(1)}, timeout=30).json() == []


# --- scripts --------------------------------------------------------------------------------------------------------


def post(site, route: str, body):
    return requests.post(f"{site.url}/higgs/script/{route}", data=body, timeout=60)


def test_a_script_is_checked(site):
    found = post(site, "check", "# Scene: hall\n[Anna] Hi. [pause 1s] You!\n\n[anna] hm\n".encode()).json()
    assert found["errors"] == []
    assert found["turns"][:2] == [
        {"line": 2, "speaker": "Anna", "scene": "hall", "pause": 1.0},
        {"line": 2, "speaker": "Anna", "scene": "hall", "pause": 0.0},
    ]
    assert [(one["line"], one["column"]) for one in found["warnings"]] == [(4, 1)]


def test_an_error_has_its_place(site):
    found = post(site, "check", "[Anna] Hi.\n  [Bob] {seed=x} no".encode()).json()
    [error] = found["errors"]
    assert (error["line"], error["column"]) == (2, 10) and error["message"].startswith("The setting 'seed'")


HOSTILE_TEXTS = [
    "",
    "\0",
    "<script>alert(1)</script>",
    "\u202eABC",
    "[" * 100_000,
    "{" * 100_000,
    "\ufeff",
    "[Anna] " + "x" * 900_000,
    "\r\r\n",
    "../../etc/passwd",
    "%00%2e%2e",
    "a" + "\u0301" * 1000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE_TEXTS)))
@pytest.mark.parametrize("route", ["check", "lines", "subtitles"])
def test_hostile_texts(site, route, number):
    answer = post(site, route, HOSTILE_TEXTS[number].encode())
    assert answer.status_code in ((400,) if route == "subtitles" else (200,))
    assert answer.headers["Content-Type"].startswith("application/json")
    assert len(answer.content) < 2_000_000 and json.loads(answer.content)


@pytest.mark.parametrize("route", ["check", "lines", "subtitles"])
def test_bodies_have_an_end(site, route):
    refused(post(site, route, b"x" * (1 << 21)), 413)
    refused(post(site, route, (b"x" * (1 << 16) for _ in range(32))), 413)  # that does not say its length
    assert "UTF-8" in refused(post(site, route, b"\xff\xfe\xfa"), 400)


def test_the_last_render_of_a_script_is_known(site):
    states = node_module("shared.line_states")
    line = SimpleNamespace(number=0, turn=0, speaker="Anna")
    for seconds in (1.0, 2.5):
        render = states.LineStates("[Anna] Hi.\r\n")
        render.on_line(line, "queued", 0.0)
        render.on_line(line, "speaking", seconds)
    [found] = post(site, "lines", b"[Anna] Hi.\r\n").json()["lines"]
    assert (found["turn"], found["state"], found["seconds"]) == (1, "speaking", 2.5)
    assert post(site, "lines", b"[Anna] Hi.\n").json() == {"prompt_id": "", "lines": []}
    for number in range(states.MOST_RENDERS):
        states.LineStates(str(number))
    assert post(site, "lines", b"[Anna] Hi.\r\n").json()["lines"] == [], "not kept for ever"


def test_subtitles_become_a_script(site):
    srt = "1\n00:00:01,000 --> 00:00:02,500\nAnna: Hi <b>there</b>!\n\n2\n00:00:03,000 --> 00:00:04,000\nRain.\n"
    found = post(site, "subtitles", srt.encode()).json()
    assert found["text"] == "[Anna] [slot 1s-2.5s] Hi there!\n\n[slot 3s-4s] Rain.\n"
    assert "[slot 1s-2s] Hi" in post(site, "subtitles", b"WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n").json()["text"]


# --- who speaks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["auto", "higgs-nano"])
def test_the_notice_describes_higgs_nano(site, choice, monkeypatch):
    monkeypatch.setattr(node_module("host.files"), "model_folders", list)
    found = requests.get(site.url + "/higgs/notice", {"checkpoint": choice}, timeout=30).json()["notice"]
    assert found.startswith("Speaking with Higgs Nano, a tiny demonstration model (353 words")
    assert how_to_install() in found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_notice_about_something_unknown(site, name, monkeypatch):
    monkeypatch.setattr(node_module("host.files"), "model_folders", list)
    assert "language model" in refused(requests.get(site.url + "/higgs/notice", {"checkpoint": name}, timeout=30), 400)
