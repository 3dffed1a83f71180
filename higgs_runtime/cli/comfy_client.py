"""A running ComfyUI over HTTP: queue a workflow in API format, wait for it, fetch its files.

Routes: ComfyUI's server.py (`/prompt`, `/history`, `/queue`, `/view`, `/upload/image`, `/interrupt`,
`/api/jobs/ID/cancel`).
"""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from ..atomic_write import write_bytes
from ..errors import HiggsError, one_sentence

POLL_S = 0.25
TIMEOUT_S = 30.0
RETRY_S = 10.0  # a render is not given up for one look that fails
LOADER = "HiggsLoadModel"  # the node that names a language model
FILE_INPUTS = ("audio", "image", "video", "file")
EXAMPLE = '--set "Load Audio (Higgs).audio=@clip.wav" --set "Higgs Voice.transcript=What the clip says."'


class RenderError(HiggsError):
    """The server refused the workflow, or a node failed."""


class ComfyClient:
    """Talks to one ComfyUI server.

    Args:
        url: such as "http://127.0.0.1:8188"; "http://" may be left out.

    Raises (all methods):
        RenderError: the server cannot be reached, refuses, or a node fails; the message is the node's own.
    """

    def __init__(self, url: str):
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")

    def queue(self, workflow: dict[str, Any]) -> str:
        """Queue a workflow (API format); returns the prompt id.

        What an earlier run noted in it of its files is left out: the server would not look at them again.
        """
        asked = {
            number: {name: value for name, value in node.items() if name != "is_changed"}
            for number, node in workflow.items()
        }
        body = json.dumps({"prompt": asked, "client_id": uuid.uuid4().hex}).encode()
        try:
            return str(json.loads(self._request("/prompt", body, "application/json"))["prompt_id"])
        except (ValueError, LookupError, TypeError) as error:  # a page, or another list
            raise self._odd("no id of the rendering") from error

    def wait(self, prompt_id: str, on_wait: Callable[[float], None] | None = None) -> list[dict[str, str]]:
        """Wait until the prompt is done; returns the files it saved (its previews if it saved none) for `fetch`.

        Args:
            on_wait: called with the seconds so far at each look.
        """
        started, gone = time.monotonic(), 0
        while True:
            entry = self._look(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None and entry.get("status", {}).get("status_str"):
                break
            # It may end between the look at the history and the one at the queue: only the second miss counts.
            gone = 0 if entry is not None or self._is_queued(prompt_id) else gone + 1
            if gone == 2:
                raise RenderError(
                    "ComfyUI no longer knows the rendering.",
                    got="no such prompt in queue or history",
                    remedy="It was restarted, or the prompt was removed from its queue: render again.",
                )
            if on_wait:
                on_wait(time.monotonic() - started)
            time.sleep(POLL_S)
        if entry["status"]["status_str"] != "success":
            raise _failure(entry["status"].get("messages", []))
        found = [item for output in entry["outputs"].values() for items in output.values() for item in items]
        files = [item for item in found if isinstance(item, dict) and "filename" in item]
        return [file for file in files if file.get("type") == "output"] or files

    def warnings(self, prompt_id: str) -> dict[str, str]:
        """What this pack's nodes warned of in a prompt, by their ids; none where the server's pack does not tell."""
        try:
            told = json.loads(self._request(f"/higgs/warnings?{urlencode({'prompt': prompt_id})}"))
            return told if isinstance(told, dict) else {}
        except (RenderError, ValueError):  # an older pack, or none: the render is there all the same
            return {}

    def notices(self, workflow: dict[str, Any]) -> list[str]:
        """What is to be known of the language models that a workflow speaks with there: what their server means by
        them; none where its pack does not tell."""
        chosen = [
            node.get("inputs", {}).get("checkpoint") for node in workflow.values() if node["class_type"] == LOADER
        ]
        found = []
        for choice in dict.fromkeys(one for one in chosen if isinstance(one, str)):
            try:
                found.append(json.loads(self._request(f"/higgs/notice?{urlencode({'checkpoint': choice})}"))["notice"])
            except (RenderError, ValueError, KeyError, TypeError):  # as in `warnings`
                continue
        return list(dict.fromkeys(notice for notice in found if notice))

    def fetch(self, file: dict[str, str], folder: Path) -> Path:
        """Copy a file from the server into a folder; an existing name gets a number."""
        query = {key: file.get(key, "") for key in ("filename", "subfolder", "type")}
        data = self._request(f"/view?{urlencode(query)}")
        name, number = Path(Path(file["filename"]).name or "render"), 1
        target = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    write_bytes(target, data, new=True)
                    return target
                except FileExistsError:
                    number += 1
                    target = folder / f"{name.stem}-{number}{name.suffix}"
        except OSError as error:
            raise RenderError(
                f"'{target}' could not be written.",
                expected="a folder with room that may be written to",
                got=error.strerror or str(error),
                remedy="The file is still on the server: make "
                "room, or name a folder elsewhere with -o, and render again.",
            ) from error

    def upload(self, path: Path) -> str:
        """Put a file into the server's input folder; returns the name that a node takes."""
        if not path.is_file():
            raise RenderError("There is no such file to upload.", got=str(path), remedy="Correct the path after '@'.")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RenderError(
                f"'{path}' cannot be read.",
                expected="a file to upload",
                got=error.strerror or str(error),
                remedy="Check its permissions.",
            ) from error
        boundary = uuid.uuid4().hex
        name = path.name.translate({ord(sign): f"%{ord(sign):02X}" for sign in '"\r\n'})  # as browsers do
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        answer = json.loads(self._request("/upload/image", body, f"multipart/form-data; boundary={boundary}"))
        return f"{answer['subfolder']}/{answer['name']}" if answer.get("subfolder") else answer["name"]

    def interrupt(self, prompt_id: str) -> None:
        """Stop the prompt, or take it out of the queue; in one step where the server knows how (since 0.33)."""
        try:
            self._request(f"/api/jobs/{prompt_id}/cancel", b"{}", "application/json")
            return
        except RenderError:  # an older one
            pass
        self._request("/queue", json.dumps({"delete": [prompt_id]}).encode(), "application/json")
        self._request("/interrupt", json.dumps({"prompt_id": prompt_id}).encode(), "application/json")

    def _is_queued(self, prompt_id: str) -> bool:
        queue = self._look("/queue")
        return any(item[1] == prompt_id for item in queue["queue_running"] + queue["queue_pending"])

    def _look(self, path: str) -> Any:
        """A JSON answer; where none comes, the question is asked again for RETRY_S."""
        until = time.monotonic() + RETRY_S
        while True:
            try:
                return json.loads(self._request(path))
            except ValueError as error:
                raise self._odd("an answer that is no JSON") from error
            except RenderError:
                if time.monotonic() >= until:
                    raise
                time.sleep(POLL_S)

    def _request(self, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        try:
            request = Request(self.url + path, data=body, headers={"Content-Type": content_type} if body else {})
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.read()
        except HTTPError as error:
            raise _refusal(error) from error
        except (OSError, ValueError, http.client.HTTPException) as error:  # the last two also of a URL that is none
            raise RenderError(
                f"No ComfyUI answers at {self.url}.",
                expected="a running server at a URL such as http://127.0.0.1:8188",
                got=str(getattr(error, "reason", "") or error) or repr(error),
                remedy="Start ComfyUI, or name another server with --server.",
            ) from error

    def _odd(self, got: str) -> RenderError:
        return RenderError(
            f"What answers at {self.url} is no ComfyUI.",
            expected="ComfyUI's answers",
            got=got,
            remedy="Name its address with --server.",
        )


def set_input(workflow: dict[str, Any], assignment: str, upload: Callable[[Path], str] | None = None) -> None:
    """Apply "node.input=value" to a workflow in API format.

    `node` is an id or a title. Where the input holds text, the value is text, as it stands; elsewhere it is read as
    JSON if it can be. For the inputs in FILE_INPUTS "@path" uploads the file and sets its name there, and "@@" stands
    for an "@" of the name itself.

    Raises:
        RenderError: the form is wrong, there is no such node or input, or the title is not unique.
    """
    target, equals, text = assignment.partition("=")
    name, dot, key = target.rpartition(".")
    if not equals or not dot:
        raise RenderError(
            "A --set is not of the form node.input=value.",
            got=repr(assignment),
            remedy=f'For example: --set "6.text=Hello" {EXAMPLE}',
        )
    nodes = [node for id, node in workflow.items() if name in (id, node.get("_meta", {}).get("title"))]
    if len(nodes) != 1 or key not in nodes[0].get("inputs", {}):
        known = sorted(
            f"{id}.{key}"
            for id, node in workflow.items()
            for key, value in node.get("inputs", {}).items()
            if not isinstance(value, list)
        )
        raise RenderError(
            f"The workflow has no single input '{target}'.",
            expected=", ".join(known),
            got=f"{len(nodes)} such nodes",
            remedy="Use the id of the node.",
        )
    inputs = nodes[0]["inputs"]
    inputs[key] = _value(key, text, inputs[key], upload)


def _value(key: str, text: str, present: Any, upload: Callable[[Path], str] | None) -> Any:
    if key in FILE_INPUTS and text.startswith("@@"):
        return text[1:]
    if key in FILE_INPUTS and text.startswith("@") and upload is not None:
        return upload(Path(text[1:]))
    if isinstance(present, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refusal(error: HTTPError) -> RenderError:
    """What ComfyUI says about a workflow that it does not take."""
    raw = error.read()
    try:
        answer = json.loads(raw)
        parts = [answer["error"]["message"]]
        for id, node in answer.get("node_errors", {}).items():
            parts += [f"{node['class_type']} ({id}): {item['message']}: {item['details']}" for item in node["errors"]]
    except (ValueError, KeyError, TypeError):
        parts = [one_sentence(raw.decode(errors="replace"))]
    return RenderError(
        f"ComfyUI refused the request (HTTP {error.code}).",
        got="; ".join(parts),
        remedy="Mend the workflow or the --set values.",
    )


def _failure(messages: list) -> RenderError:
    """The error of the node that failed, from a prompt's history."""
    for kind, data in messages:
        if kind == "execution_error":
            return RenderError(f"{data['node_type']} ({data['node_id']}) failed: {data['exception_message'].strip()}")
        if kind == "execution_interrupted":
            return RenderError("The rendering was cancelled.")
    return RenderError("The rendering failed.", remedy="The server's log says why.")
