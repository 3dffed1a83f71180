"""A real ComfyUI server for tests, and a client that speaks to it as the editor does: HTTP and one websocket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import websocket

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 180
PACK_FOLDER = "comfyui-higgs"


class ComfyServer:
    """ComfyUI on the CPU with nothing but this pack, in a folder of its own.

    Args:
        frontend: folder of the editor's page; None for the one that ComfyUI brings.
        environment: variables of the server's process beside those of this one.

    Attributes:
        base: holds models/, input/, output/ and custom_nodes/ of this server.
        log: what the server said.
    """

    def __init__(self, tree: Path, base: Path, frontend: Path | None = None, **environment: str):
        self.tree, self.base, self.log = tree, base, base / "server.log"
        self._options = ["--front-end-root", str(frontend)] if frontend else []
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HIGGS_TAKES": str(base / "takes"), **environment}
        for name in ("models/higgs_audio", "input", "output", "user", "custom_nodes"):
            (base / name).mkdir(parents=True, exist_ok=True)
        (base / "custom_nodes" / PACK_FOLDER).symlink_to(ROOT, target_is_directory=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> ComfyServer:
        command = [
            sys.executable,
            "main.py",
            "--cpu",
            "--port",
            str(self.port),
            "--base-directory",
            str(self.base),
            "--disable-auto-launch",
            "--disable-api-nodes",
            "--disable-metadata",
            "--database-url",
            "sqlite:///:memory:",
            *self._options,
        ]
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                command, cwd=self.tree, stdout=sink, stderr=subprocess.STDOUT, env=self._environment
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                pytest.fail(f"ComfyUI did not start:\n{self.said()[-4000:]}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def memory_bytes(self) -> int:
        """Resident memory of the server process."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss

    def get(self, path: str):
        answer = requests.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def _answers(self) -> bool:
        try:
            return requests.get(self.url + "/system_stats", timeout=2).ok
        except requests.RequestException:
            return False


@dataclass
class Run:
    """What came of one queued prompt.

    Attributes:
        events: (seconds since the prompt was queued, type, data) of its websocket messages.
        outputs: node id -> what the node shows.
    """

    prompt_id: str
    events: list[tuple[float, str, dict]] = field(default_factory=list)
    outputs: dict[str, dict] = field(default_factory=dict)

    def of_type(self, kind: str) -> list[dict]:
        return [data for _, name, data in self.events if name == kind]

    @property
    def error(self) -> dict | None:
        errors = self.of_type("execution_error")
        return errors[0] if errors else None

    @property
    def executed(self) -> list[str]:
        """Nodes that really ran."""
        return [data["node"] for data in self.of_type("executing") if data["node"] is not None]


class Refused(Exception):
    """The server did not take the prompt; `answer` is what it said."""

    def __init__(self, answer: dict):
        super().__init__(json.dumps(answer))
        self.answer = answer


class Client:
    """One person at the editor."""

    def __init__(self, server: ComfyServer):
        self.server, self.id = server, uuid.uuid4().hex
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{server.port}/ws?clientId={self.id}", timeout=120)

    def close(self) -> None:
        self.socket.close()

    def queue(self, prompt: dict, **more) -> Run:
        """Raises Refused if the prompt does not pass ComfyUI's validation. Further fields go with the prompt."""
        body = {"prompt": prompt, "client_id": self.id, **more}
        answer = requests.post(self.server.url + "/prompt", json=body, timeout=60)
        self._queued_at = time.monotonic()
        if answer.status_code != 200:
            raise Refused(answer.json())
        return Run(answer.json()["prompt_id"])

    def follow(self, run: Run, until=None) -> Run:
        """Reads messages until the prompt has ended, or until(type, data) is true."""
        while True:
            message = self.socket.recv()
            if isinstance(message, bytes):
                continue
            kind, data = json.loads(message)["type"], json.loads(message).get("data", {})
            if data.get("prompt_id") != run.prompt_id:
                continue
            run.events.append((time.monotonic() - self._queued_at, kind, data))
            if until is not None and until(kind, data):
                return run
            # the last word on a prompt, whether it succeeded or not
            if kind == "executing" and data.get("node") is None:
                break
        history = self._history(run.prompt_id)
        run.outputs = history.get("outputs", {})
        return run

    def run(self, prompt: dict) -> Run:
        return self.follow(self.queue(prompt))

    def interrupt(self) -> None:
        requests.post(self.server.url + "/interrupt", json={}, timeout=30).raise_for_status()

    def free(self) -> None:
        body = {"unload_models": True, "free_memory": True}
        requests.post(self.server.url + "/free", json=body, timeout=30).raise_for_status()

    def download(self, file: dict, folder: Path) -> Path:
        answer = requests.get(self.server.url + "/view", params=file, timeout=60)
        answer.raise_for_status()
        path = folder / file["filename"]
        path.write_bytes(answer.content)
        return path

    def _history(self, prompt_id: str) -> dict:
        return self.server.get(f"/history/{prompt_id}").get(prompt_id, {})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
