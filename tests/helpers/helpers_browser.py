"""A headless Chromium, spoken to in its own protocol (Chrome DevTools) over a websocket."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests
import websocket
from dev_env import BROWSERS
from helpers_server import free_port

START_TIMEOUT_S = 60
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
KEY_CODES = {
    "Backspace": 8,
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Delete": 46,
    "F8": 119,
    " ": 32,
}


def _key(name: str) -> dict:
    """What an event of a key has beside its name."""
    if name in KEY_CODES:
        return {"code": name.replace(" ", "Space"), "windowsVirtualKeyCode": KEY_CODES[name]}
    code = f"Digit{name}" if name.isdigit() else f"Key{name.upper()}"
    return {"code": code, "windowsVirtualKeyCode": ord(name.upper())}


def find_chromium() -> str:
    """The browser's program; skips the test where there is none."""
    for name in BROWSERS:
        if shutil.which(name):
            return shutil.which(name)
    pytest.skip(f"needs a Chromium ({' or '.join(BROWSERS)}) on the PATH")


WAITING = """
// What the page had a timer for has happened then, however busy the machine is: timers keep their order.
const wait = (ms = 100) => new Promise((done) => setTimeout(done, ms));
// For all that needs the server, a timer, a decoder or a drawing, however busy the machine is: what `found` finds then.
const until = async (found, limit = 100) => {
    const end = performance.now() + 1000 * limit;
    for (;;) {
        const result = await found();
        if (result) return result;
        if (performance.now() > end) throw new Error(`waited ${limit} s for ${found}`);
        await wait(50);
    }
};
const tracker = () => app.extensionManager.workflow.activeWorkflow.changeTracker;
// The graph as it is becomes a step of undo. Newer pages add to it what changes in the next 50 ms, a drag's begin too.
const step = async () => {
    (tracker().captureCanvasState ?? tracker().checkState).call(tracker());
    await wait();
};
const frame = () => new Promise((go) => requestAnimationFrame(go));
// The element that `find` finds is drawn, and stays where it is for some frames.
const settled = (find) => {
    let before = "", same = 0;
    return until(async () => {
        await frame();
        await frame();
        const box = find()?.getBoundingClientRect(), now = box?.width ? JSON.stringify(box) : "";
        same = now && now === before ? same + 1 : 0;
        before = now;
        return same >= 3;
    });
};
"""  # JavaScript

HOLD_THE_END = """
// A quick machine has spoken before the page hears anything: until its result is called, what is done looks half done,
// and no more than `most` samples come.
const holdTheEnd = (most = Infinity) => {
    const fetched = window.fetch;
    window.fetch = async (path, ...more) => {
        const answer = await fetched(path, ...more), about = JSON.parse(answer.headers.get("Higgs-Live") ?? "null");
        if (!about) return answer;
        const done = about.state !== "rendering", bytes = await answer.arrayBuffer();
        const last = Math.min(most, done ? Math.floor(about.samples / 2) : Infinity);
        const after = Number(new URL(path, location).searchParams.get("after")), end = 4 * Math.max(0, last - after);
        if (done || end < bytes.byteLength) await wait();
        const quick = { ...about, state: "rendering", elapsed_s: about.rendered_s / 8 }; // so that it plays at once
        return new Response(bytes.slice(0, end), { headers: { "Higgs-Live": JSON.stringify(done ? quick : about) } });
    };
    return () => { window.fetch = fetched; };
};
"""  # JavaScript


class Browser:
    """One page. `errors` collects what its scripts throw or log as an error. Its microphone beeps once a second."""

    def __init__(self, profile: Path):
        port = free_port()
        command = [
            find_chromium(),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1900,1100",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--autoplay-policy=no-user-gesture-required",
            f"--remote-debugging-port={port}",
            "--remote-allow-origins=*",
            f"--user-data-dir={profile}",
        ]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([*command, "about:blank"], **quiet)
        self._port = port
        self._speak_to(self._page_address(port))

    def tab(self) -> Browser:
        """Another page of the same program; it goes with it."""
        tab = object.__new__(Browser)
        opened = requests.put(f"http://127.0.0.1:{self._port}/json/new?about:blank", timeout=30).json()
        tab._speak_to(opened["webSocketDebuggerUrl"])
        return tab

    def click(self, x: float, y: float) -> None:
        """A click as of a person's mouse: the page may make sounds after it."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def _speak_to(self, address: str) -> None:
        self._ids = itertools.count(1)
        self.errors: list[str] = []
        self._socket = websocket.create_connection(address, timeout=120)
        self.call("Runtime.enable")
        self.call("Page.enable")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def call(self, method: str, **params) -> dict:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]))
            if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
                self.errors.append(json.dumps(message["params"]))
            if message.get("method") == "Page.javascriptDialogOpening":  # "leave the page?"
                leave = {"id": next(self._ids), "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                self._socket.send(json.dumps(leave))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def run(self, body: str):
        """What the body of an async function returns, as JSON."""
        # held by the page: else a promise that waits for what nothing else holds is garbage, and the call fails
        told = f"globalThis.waitedFor = (async () => {{ {body} }})()"
        answer = self.call("Runtime.evaluate", expression=told, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
        """Presses the mouse at a place of the page, moves it in so many steps to another, and lets go."""
        (x, y), (to_x, to_y) = start, end
        self._mouse("mouseMoved", x, y, 0)
        self._mouse("mousePressed", x, y, 1)
        for step in range(1, steps + 1):
            self._mouse("mouseMoved", x + (to_x - x) * step / steps, y + (to_y - y) * step / steps, 1)
        self._mouse("mouseReleased", to_x, to_y, 0)

    def _mouse(self, kind: str, x: float, y: float, buttons: int) -> None:
        button = "none" if kind == "mouseMoved" and not buttons else "left"
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button=button,
            buttons=buttons,
            clickCount=int(kind != "mouseMoved"),
        )

    def wait_for(self, expression: str, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while self.run(f"return !!({expression})") is not True:
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {expression}"
            time.sleep(0.3)

    # --- as a person at the keyboard and the mouse: real events, in the page that is shown -------------------------

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, *keys: str) -> None:
        """Keys one after the other, as "Enter", "a", "Control+z", "Alt+ArrowUp", "Alt+1"."""
        for key in keys:
            *held, name = key.split("+")
            about = {"key": name, "modifiers": sum(MODIFIERS[one] for one in held), **_key(name)}
            text = {"Enter": "\r", "Tab": ""}.get(name, name if len(name) == 1 and not set(held) - {"Shift"} else "")
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def mouse(self, *places: tuple[float, float]) -> None:
        """Presses the button at the first place, moves over the others, and lets go at the last."""
        (x, y), buttons = places[0], {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **buttons)
        for x, y in places[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **buttons)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, **buttons)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _page_address(self, port: int) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                tabs = requests.get(f"http://127.0.0.1:{port}/json", timeout=2).json()
            except requests.RequestException:
                time.sleep(0.2)
                continue
            return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        self.close()
        pytest.fail("Chromium did not start")
