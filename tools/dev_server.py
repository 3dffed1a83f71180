"""A real ComfyUI server as a child process, for `dev.py` (standard library only)."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from dev_env import StepFailed, Ticker, child_env, stop, succeeds, tail, venv_python

SERVER_START_S = 180


def free_port(wanted: int = 0) -> int:
    """The wanted port if it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise StepFailed("No free port on 127.0.0.1.", "Close some programs and run again.")


class Server:
    """A ComfyUI server as a context: ready inside, stopped after. Without a log it speaks to the terminal."""

    def __init__(self, tree: Path, port: int = 0, log: Path | None = None):
        self.tree, self.port, self.log = tree, free_port(port), log
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        ask = "import torch; raise SystemExit(not (torch.cuda.is_available() or torch.backends.mps.is_available()))"
        command = [str(venv_python()), "main.py", "--port", str(self.port), "--disable-auto-launch"]
        command += [] if succeeds("-c", ask) else ["--cpu"]
        sink = self.log.open("wb") if self.log else None
        self.ticker = Ticker(f"starting ComfyUI on port {self.port}")
        self.child = subprocess.Popen(
            command, cwd=self.tree, env=child_env(self.tree), stdout=sink, stderr=subprocess.STDOUT if sink else None
        )
        if sink:
            sink.close()  # the child has its own handle
        try:
            self.wait_until_ready()
        except BaseException:
            stop(self.child)
            raise
        self.ticker.done("ready")
        return self

    def __exit__(self, *_: object) -> None:
        stop(self.child)

    def wait_until_ready(self) -> None:
        while self.get("/system_stats") is None:
            self.fail_if_dead()
            if self.ticker.seconds() > SERVER_START_S:
                raise StepFailed(
                    f"ComfyUI did not answer within {SERVER_START_S} s.\n{self.last_words()}",
                    "Run `python dev.py comfy` to see all it says.",
                )
            time.sleep(0.3)
            self.ticker.tick()

    def fail_if_dead(self) -> None:
        if self.child.poll() is not None:
            raise StepFailed(
                f"ComfyUI ended ({self.child.returncode}).\n{self.last_words()}",
                "The lines above say why; a port taken meanwhile is mended by running again.",
            )

    def require_nodes(self, kinds: set[str]) -> None:
        """Raise StepFailed if the server does not know these nodes: the pack did not load then."""
        known = self.get("/object_info", timeout_s=60) or {}
        missing = sorted(kinds - set(known))
        if missing:
            raise StepFailed(
                f"ComfyUI does not know {', '.join(missing)}.\n{tail(self.log, 60) if self.log else ''}",
                "The pack did not load; its traceback is in the lines above.",
            )

    def last_words(self) -> str:
        return tail(self.log) if self.log else ""

    def get(self, path: str, timeout_s: float = 5) -> dict | None:
        """A JSON answer of the server, or None while it has none."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return None
