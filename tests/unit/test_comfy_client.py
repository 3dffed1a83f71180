"""`higgs render`: inputs of a workflow, and the client, on a server that is a list of answers."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from higgs_runtime.cli import EPILOG, comfy_client, main
from higgs_runtime.cli.comfy_client import ComfyClient, RenderError, set_input

ROOT = Path(__file__).resolve().parents[2]

WORKFLOW = {
    "1": {
        "class_type": "A",
        "inputs": {"text": "old", "audio": "a.wav", "link": ["2", 0]},
        "_meta": {"title": "Prompt"},
    },
    "2": {"class_type": "B", "inputs": {"seed": 1}, "_meta": {"title": "Twin"}},
    "3": {"class_type": "B", "inputs": {"seed": 1}, "_meta": {"title": "Twin"}},
}


@pytest.mark.parametrize(
    "assignment, node, key, value",
    [
        ("1.text=Hello = there", "1", "text", "Hello = there"),
        ("Prompt.text=42 things", "1", "text", "42 things"),
        ("1.text=42", "1", "text", "42"),
        ("1.text=true", "1", "text", "true"),
        ("1.text=@home", "1", "text", "@home"),
        ("1.text=@@home", "1", "text", "@@home"),
        ("2.seed=7", "2", "seed", 7),
        ("1.link=4", "1", "link", 4),
        ("1.audio=@clip.wav", "1", "audio", "uploaded clip.wav"),
        ("1.audio=@@clip.wav", "1", "audio", "@clip.wav"),
        ("1.audio=42", "1", "audio", "42"),
    ],
)
def test_set_input(assignment, node, key, value):
    workflow = json.loads(json.dumps(WORKFLOW))
    set_input(workflow, assignment, upload=lambda path: f"uploaded {path}")
    assert workflow[node]["inputs"][key] == value


@pytest.mark.parametrize("assignment", ["text=x", "1.text", "9.text=x", "1.nothing=x", "Twin.seed=2"])
def test_set_input_refuses(assignment):
    with pytest.raises(RenderError):
        set_input(json.loads(json.dumps(WORKFLOW)), assignment)


def examples() -> list[list[str]]:
    """The command lines that the help gives, and the one of the error message."""
    with pytest.raises(RenderError) as refused:
        set_input({}, "nonsense")
    remedy = str(refused.value).partition("For example: ")[2]
    lines = [line for line in EPILOG.splitlines() if "higgs render " in line]
    return [shlex.split(line) for line in [*lines, f"higgs render workflows/api/clone_voice.json {remedy}"]]


@pytest.mark.parametrize("words", examples())
def test_examples_fit_the_shipped_workflow(words):
    workflow = json.loads((ROOT / words[words.index("render") + 1]).read_text(encoding="utf-8"))
    assignments = [after for word, after in zip(words, words[1:], strict=False) if word == "--set"]
    for assignment in assignments:
        set_input(workflow, assignment, upload=lambda path: f"uploaded {path}")
    [voice] = [node for node in workflow.values() if node["class_type"] == "HiggsVoice"]
    [clip] = [node for node in workflow.values() if node["class_type"] == "HiggsLoadAudio"]
    assert (voice["inputs"]["transcript"], clip["inputs"]["audio"]) == ("What the clip says.", "uploaded clip.wav")


# ---- the client -----------------------------------------------------------------------------------------------------

NEVER = {"queue_running": [], "queue_pending": []}
QUEUED = {"queue_running": [[0, "other"]], "queue_pending": [[1, "mine"]]}


def done(*files: tuple[str, str]) -> dict:
    outputs = [{"filename": name, "type": kind} for name, kind in files]
    return {"mine": {"status": {"status_str": "success"}, "outputs": {"9": {"audio": outputs, "text": ["words"]}}}}


@pytest.fixture
def server(monkeypatch):
    """Answers by path, in turn, the last one for ever; an exception is raised."""
    monkeypatch.setattr(comfy_client, "POLL_S", 0.001)
    monkeypatch.setattr(comfy_client, "RETRY_S", 0.5)

    def serve(**answers) -> ComfyClient:
        def request(self, path, body=None, content_type=""):
            waiting = answers[path.split("/")[1]]
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if isinstance(answer, Exception):
                raise answer
            return json.dumps(answer).encode()

        monkeypatch.setattr(ComfyClient, "_request", request)
        return ComfyClient("http://nowhere")

    return serve


LOST = RenderError("No ComfyUI answers.")


def test_wait_returns_saved_files_or_else_previews(server):
    client = server(history=[{}, {}, {}, done(("p.flac", "temp"), ("o.flac", "output"))], queue=[QUEUED])
    assert [file["filename"] for file in client.wait("mine")] == ["o.flac"]
    assert [file["filename"] for file in server(history=[done(("p.flac", "temp"))]).wait("mine")] == ["p.flac"]


@pytest.mark.timeout(20)
def test_wait_ends_when_the_server_forgot_the_prompt(server):
    with pytest.raises(RenderError, match="no longer knows"):
        server(history=[{}], queue=[QUEUED, NEVER]).wait("mine")


def test_wait_believes_the_queue_only_the_second_time(server):
    """It ended between the look at the history and the one at the queue, and is there at the next look."""
    client = server(history=[{}, {}, {}, done(("o.flac", "output"))], queue=[NEVER, QUEUED, NEVER])
    assert client.wait("mine")


def test_wait_survives_looks_that_fail_for_a_while(server):
    assert server(history=[LOST, LOST, {}, LOST, done(("o.flac", "output"))], queue=[LOST, QUEUED]).wait("mine")
    with pytest.raises(RenderError, match="No ComfyUI answers"):
        server(history=[LOST], queue=[QUEUED]).wait("mine")


def test_upload_escapes_characters_that_would_end_the_name(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(ComfyClient, "_request", lambda self, path, body, kind: sent.append(body) or b'{"name": "x"}')
    (tmp_path / 'a "b"\r\nc ä.wav').write_bytes(b"sound")
    assert ComfyClient("http://nowhere").upload(tmp_path / 'a "b"\r\nc ä.wav') == "x"
    assert 'filename="a %22b%22%0D%0Ac ä.wav"\r\n'.encode() in sent[0]


def test_render_without_a_server(tmp_path, capsys):
    file = tmp_path / "w.json"
    file.write_text(json.dumps(WORKFLOW))
    assert main(["render", str(file), "--server", "http://127.0.0.1:9"]) == 1
    assert "No ComfyUI answers" in capsys.readouterr().err
    for given in ("nowhere.invalid", "127.0.0.1:9", "http://127.0.0.1:port", "://", "ftp:/x"):
        assert main(["render", str(file), "--server", given]) == 1
        said = capsys.readouterr().err
        assert "No ComfyUI answers at " in said and "urlopen" not in said
    file.write_text('{"nodes": []}')
    assert main(["render", str(file)]) == 1
    assert "Export (API)" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["localhost/x", "http://127.0.0.1:9 9", "http://[", "127.0.0.1:8188", ""])
def test_invalid_server_addresses(tmp_path, capsys, url):
    file = tmp_path / "w.json"
    file.write_text(json.dumps(WORKFLOW))
    assert main(["render", str(file), "--server", url]) == 1
    said = capsys.readouterr().err
    assert "No ComfyUI answers" in said and "http://127.0.0.1:8188" in said


@pytest.mark.parametrize("page", [b"<html>", b"[]", b"{}", b"7"])
def test_another_server_is_no_comfyui(monkeypatch, page):
    monkeypatch.setattr(ComfyClient, "_request", lambda *_: page)
    client = ComfyClient("http://nowhere")
    with pytest.raises(RenderError, match="is no ComfyUI"):
        client.queue(WORKFLOW)
    assert client.warnings("mine") == {}


def test_an_unwritable_file_is_reported_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(ComfyClient, "_request", lambda *_: b"x" * 100_000)
    (tmp_path / "a.wav").write_text("an earlier one")
    client = ComfyClient("http://nowhere")
    assert client.fetch({"filename": "a.wav"}, tmp_path).name == "a-2.wav"
    with pytest.raises(RenderError, match="could not be written.*-o"):
        client.fetch({"filename": "a.wav"}, tmp_path / "a.wav")
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from higgs_runtime.cli import comfy_client as one\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
        "one.ComfyClient._request = lambda *_: b'x' * 100_000\ntry:\n"
        "    one.ComfyClient('http://nowhere').fetch({'filename': 'b.wav'}, Path(sys.argv[1]))\n"
        "except one.RenderError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert "could not be written" in done.stdout, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "a-2.wav"}


def test_render_shows_warnings_and_does_without_them(server, tmp_path, capsys):
    file = tmp_path / "w.json"
    file.write_text(json.dumps(WORKFLOW))
    answers = {
        "prompt": [{"prompt_id": "mine"}],
        "history": [done(("o.flac", "output"))],
        "view?filename=o.flac&subfolder=&type=output": ["sound"],
    }
    for told, said in (
        ({"2": "It does not know 'wizard'."}, "higgs: Twin (2): It does not know 'wizard'.\n"),
        (LOST, ""),
    ):
        server(**answers, **{"higgs": [told]})
        assert main(["render", str(file), "-o", str(tmp_path / "out")]) == 0
        assert capsys.readouterr().err == said


@pytest.mark.parametrize("newer", [True, False])
def test_cancel_takes_one_step_where_the_server_knows_how(monkeypatch, newer):
    asked = []

    def request(self, path, body=None, content_type=""):
        asked.append((path, json.loads(body)))
        if path.startswith("/api/jobs") and not newer:
            raise RenderError("ComfyUI refused the request (HTTP 405).")
        return b"{}"

    monkeypatch.setattr(ComfyClient, "_request", request)
    ComfyClient("http://nowhere").interrupt("mine")
    older = [("/queue", {"delete": ["mine"]}), ("/interrupt", {"prompt_id": "mine"})]
    assert asked == [("/api/jobs/mine/cancel", {}), *([] if newer else older)]


def test_what_an_earlier_run_noted_of_its_files_is_not_queued(monkeypatch):
    """ComfyUI takes `is_changed` in a prompt for the answer, and would give the clip of then."""
    sent = []
    monkeypatch.setattr(
        ComfyClient, "_request", lambda _, path, body, kind: sent.append(json.loads(body)) or b'{"prompt_id": "7"}'
    )
    noted = {number: {**node, "is_changed": ["of then"]} for number, node in WORKFLOW.items()}
    assert ComfyClient("localhost").queue(noted) == "7" and sent[0]["prompt"] == WORKFLOW


def test_nor_is_it_embedded_in_files():
    from helpers_workflow import node_classes, node_module

    node_classes()
    prompt = {
        "1": {"class_type": "A", "inputs": {}, "is_changed": [float("nan")]},
        "2": {"class_type": "B", "inputs": {}},
    }
    hidden = SimpleNamespace(prompt=prompt, extra_pnginfo={"workflow": {"nodes": []}})
    entries = node_module("host.files").workflow_entries(hidden)
    assert json.loads(entries["prompt"]) == {
        number: {"class_type": kind, "inputs": {}} for number, kind in zip("12", "AB", strict=True)
    }
    assert json.loads(entries["workflow"]) == {"nodes": []}
    assert "is_changed" in prompt["1"], "ComfyUI's own stays as it is"
