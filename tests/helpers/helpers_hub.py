"""A hub on this computer: an HTTP server that answers as the real one does where huggingface_hub asks it.

Files above 1 kB are "large": the hub names their SHA-256, and redirects from /resolve/ to another address; of others
it names the SHA-1 of git's blob. Every answer to a request for bytes follows `Range`.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from helpers_http import LocalServer

from higgs_runtime.hub.download import RECORD
from higgs_runtime.hub.releases import RELEASES

LARGE = 1000
PIECE = 1 << 14

LM, HUBERT = RELEASES["higgs-audio-v2-generation-3B-base"], RELEASES["hubert_base"]
NEW = "f" * 40  # a later commit
BIG = random.Random(0).randbytes(600_000)
FILES = {
    "config.json": b'{"model_type": "higgs_audio_v2"}',
    "tokenizer.json": b"{}" * 900,
    "model.safetensors": BIG,
    "LICENSE": b"Read me.",
    "README.md": b"not fetched",
    "modeling.py": b"not fetched",
    "sub/config.json": b"{}",
    "../outside.json": b"{}",
    ".hidden.json": b"{}",
}
FETCHED = ["LICENSE", "config.json", "model.safetensors", "tokenizer.json"]


class Hub(LocalServer):
    """Repositories by name: commit → files; what goes wrong is set from outside.

    Attributes:
        gate: repository → (status, X-Error-Code) of every answer about it.
        token: what gates open for.
        break_after: connections end after so many bytes, as often as `breaks` says.
        pause_s: before each piece of a file.
        corrupt: names of files that are sent with a wrong byte.
        ranges: the Range headers of requests for bytes ("" where there was none).
    """

    def __init__(self):
        super().__init__(_Answer)
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.gate: dict[str, tuple[int, str]] = {}
        self.token = ""
        self.break_after, self.breaks = 0, 0
        self.pause_s = 0.0
        self.corrupt: set[str] = set()
        self.whole_always = False
        self.ranges: list[str] = []
        self.asked: list[str] = []
        self.tokens: set[str] = set()

    def fill(self) -> None:
        """v2 and HuBERT, and nothing goes wrong."""
        self.repositories = {
            LM.repository: {LM.revision: dict(FILES)},
            HUBERT.repository: {"a" * 40: {"config.json": b"{}", "pytorch_model.bin": BIG[:5000]}},
        }
        self.gate, self.pause_s, self.asked, self.ranges = {}, 0.0, [], []


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        """Silence."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.server.tokens.add(token)
        if path.startswith("/cdn/"):
            owner, name, commit, file = path.removeprefix("/cdn/").split("/", 3)
            return self._bytes(self.server.repositories[f"{owner}/{name}"][commit][file], file)
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        if match is None:
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match is None or match[1] not in self.server.repositories:
            return self._refuse(401 if not token else 404, "RepoNotFound")
        if match[1] in self.server.gate and not (self.server.token and token == self.server.token):
            return self._refuse(*self.server.gate[match[1]])
        commits = self.server.repositories[match[1]]
        commit = match[2] if match[2] and match[2] != "main" else list(commits)[-1]
        if commit not in commits:
            return self._refuse(404, "RevisionNotFound")
        if match.re.pattern.startswith("/api"):
            return self._describe(match[1], commit, commits[commit])
        return self._resolve(match[1], commit, match[3], commits[commit])

    def _describe(self, name, commit, files):
        siblings = []
        for file, content in files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry = {"rfilename": file, "size": len(content), "blobId": blob}
            if len(content) > LARGE:
                sha = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        body = {
            "_id": "1",
            "id": name,
            "modelId": name,
            "sha": commit,
            "siblings": siblings,
            "tags": [],
            "private": False,
            "downloads": 0,
            "likes": 0,
        }
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name, commit, file, files):
        if file not in files:
            return self._refuse(404, "EntryNotFound")
        content = files[file]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if len(content) <= LARGE:
            return self._bytes(content, file, headers)
        headers |= {
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.server.url}/cdn/{name}/{commit}/{file}",
            "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        return self._send(302, b"", headers)

    def _bytes(self, content, file, headers=()):
        asked = self.headers.get("Range", "")
        self.server.ranges.append(asked)
        if file in self.server.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        start = int(asked[6:].partition("-")[0]) if asked and not self.server.whole_always else 0
        size, content = len(content), content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        for key, value in {**dict(headers), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        sent, breaks = 0, self.server.breaks > 0 and size > LARGE
        for place in range(0, len(content), PIECE):
            time.sleep(self.server.pause_s)
            piece = content[place : place + PIECE]
            if breaks and sent + len(piece) > self.server.break_after:
                self.server.breaks -= 1
                self.close_connection = True
                return
            self.wfile.write(piece)
            sent += len(piece)

    def _refuse(self, status, code):
        self._send(status, b"{}", {"X-Error-Code": code} if code else {})

    def _send(self, status, body, headers):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def content(folder: Path) -> dict[str, bytes]:
    """Files of a downloaded folder, without what it says of itself."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != RECORD}


def fetched_bytes(models: Path) -> int:
    """What an unfinished download has on the disk."""
    return sum(file.stat().st_size for file in models.glob(".*.partial/*") if file.exists())


@contextmanager
def local_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that huggingface_hub asks in this process, with v2 and HuBERT."""
    from huggingface_hub import constants, utils

    with Hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        hub.fill()
        for name, seconds in (("RETRY_S", 0.01), ("POLL_S", 0.02)):
            monkeypatch.setattr(sys.modules["higgs_runtime.hub.download"], name, seconds)
        utils.close_session()
        yield hub
        utils.close_session()
