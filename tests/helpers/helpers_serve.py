"""Servers of small random checkpoints: in this process, and as `higgs serve`; clients of both."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests
import torch
import uvicorn
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_server import free_port

from higgs_runtime import Codes, Sampling, build_prompt, conversation, generate, load_codec, load_model
from higgs_runtime.serve.connections import Connection
from higgs_runtime.serve.engine import SpeechEngine
from higgs_runtime.serve.limits import ServerLimits
from higgs_runtime.serve.voices import Voices

ROOT = Path(__file__).resolve().parents[2]
NAME = "random"
START_TIMEOUT_S = 120
SMALL = ServerLimits(rows=3, waiting=100, positions=2400, seconds=60)


def make_pair(folder: Path) -> tuple[Path, Path]:
    """Folders of a language model that never ends by itself, and of a codec."""
    return make_lm_checkpoint(folder / "lm", stream_end=0), make_codec_checkpoint(folder / "codec")


def load_pair(folder: Path):
    lm, codec = make_pair(folder)
    return load_model(lm), load_codec(codec)


class Server:
    """A server to talk to.

    Attributes:
        engine: of one in this process.
    """

    def __init__(self, port: int, engine: SpeechEngine | None = None, key: str | None = None):
        self.url, self.engine, self.port = f"http://127.0.0.1:{port}", engine, port
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def post(self, body=None, **more):
        more.setdefault("headers", self.headers)
        if body is not None:
            more["json"] = body
        answer = requests.post(self.url + "/v1/audio/speech", timeout=60, **{**more, "stream": True})
        if not more.get("stream"):
            answer.broken_off = not read_all(answer)
        return answer

    def get(self, path: str, **more):
        more.setdefault("headers", self.headers)
        return requests.get(self.url + path, timeout=20, **more)

    def codes(self, body: dict) -> Codes:
        """The codes of an answer."""
        answer = self.post({**body, "response_format": "codes"})
        assert answer.status_code == 200, answer.text
        return read_codes(answer.content)[0]

    def client(self, **more):
        import openai

        key = self.headers.get("Authorization", "Bearer none")[7:]
        http = openai.DefaultAsyncHttpxClient(verify=False)  # reading all certificates takes longer than a line
        return openai.AsyncOpenAI(
            base_url=self.url + "/v1", api_key=key, http_client=http, **{"max_retries": 0, "timeout": 120, **more}
        )

    def wait_for(self, what, timeout_s: float = 30.0) -> dict:
        """/health once `what(health)` is true."""
        end = time.monotonic() + timeout_s
        while not what(health := self.get("/health").json()):
            assert time.monotonic() < end, health
            time.sleep(0.02)
        return health

    def frames(self) -> float:
        """Spoken until now."""
        [line] = [line for line in self.get("/metrics").text.splitlines() if line.startswith("higgs_frames_total")]
        return float(line.split()[1])


def read_all(answer: requests.Response) -> bool:
    """Whether the body came whole; what came is the answer's content. Lines that never end by themselves end streams
    that are broken off."""
    parts, whole = [], True
    try:
        for part in answer.iter_content(None):
            parts.append(part)
    except requests.exceptions.ChunkedEncodingError:
        whole = False
    answer._content, answer._content_consumed = b"".join(parts), True
    return whole


def read_codes(data: bytes) -> tuple[Codes, dict]:
    """The codes of a "codes" answer, and its last line."""
    *lines, end = map(json.loads, data.splitlines())
    ids = torch.tensor([frame for line in lines for frame in line["ids"]]).T
    return Codes(ids, lines[0]["frame_rate"], lines[0]["codebook_size"], lines[0]["codec"]), end


@contextmanager
def serving(
    pair,
    limits: ServerLimits = SMALL,
    key: str | None = None,
    roots=(),
    *,
    voices: Voices | None = None,
    names=NAME,
    origins=(),
    finder=None,
) -> Iterator[Server]:
    """A server in this process."""
    from higgs_runtime.serve.app import create_app  # FastAPI, which most processes of tests never need

    with SpeechEngine(*pair, limits, voices or Voices(roots, pair[1])) as engine:
        config = uvicorn.Config(
            create_app(engine, names, key, origins, finder),
            host="127.0.0.1",
            port=free_port(),
            log_level="critical",
            http=partial(Connection, limits=limits),
            ws="none",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield Server(config.port, engine, key)
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@contextmanager
def serve_process(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[Server]:
    """`higgs serve` as a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "higgs_runtime.cli", "serve", "--port", str(port), *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with (cwd / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=log)
    server = Server(port, key=env.get("HIGGS_API_KEY"))
    try:
        end = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail((cwd / "serve.log").read_text(errors="replace"))
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as test:
        return test.connect_ex(("127.0.0.1", port)) == 0


def spoken_alone(model, text: str, voices=(), **settings):
    """The take of a text, without a server."""
    [take] = generate(model, [build_prompt(conversation(text, voices), model.tokenizer)], Sampling(**settings))
    return take


def together(*calls):
    """What coroutines give, run side by side."""

    async def run():
        return await asyncio.gather(*calls)

    return asyncio.run(run())
