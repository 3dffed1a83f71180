"""Director: a chat server says who speaks and where tags stand; a person accepts it."""

from __future__ import annotations

import time
from typing import Literal

from comfy_api.latest import io

from ..higgs_runtime.remote.allowed import remote_key
from . import sockets
from .host import messages
from .host.progress import Progress, cancelled, raise_if_cancelled
from .host.schemas import node_schema
from .script import output_of, script_outputs
from .shared.settings import setting_input

EVENT = "higgs.directed"  # for web/director.js
TAGS: dict[str, Literal["none", "v2", "v3"]] = {
    "none": "none",
    "sounds (Higgs Audio v2)": "v2",
    "tags (Higgs Audio v3)": "v3",
}
WAITS = "The Director's proposal waits to be accepted: look at it on the node, accept it, and queue again. Or switch "
WAITS += "'review' off: then it is used at once."

_OUTDATED: set[str] = set()  # what was accepted of other scripts, where a new proposal waits


class HiggsDirector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsDirector",
            display_name="Director",
            category=f"{sockets.CATEGORY}/script",
            advanced=("instructions", "key_variable", "chunk_chars", "timeout_s", "retries"),
            search_aliases=["LLM", "speaker attribution", "Ollama", "llama.cpp", "LM Studio", "OpenAI", "chat"],
            description="Has a chat server of your own choice say who speaks which words of a script or a story, and "
            "where sounds and tags stand. It changes no word: what you accept is kept in the workflow.",
            inputs=[
                sockets.Script.Input("script", tooltip="From Script, Load Book or Load Subtitles. It is sent there."),
                io.String.Input(
                    "url",
                    default="",
                    tooltip="A server with OpenAI's chat API, with the path before /chat/completions, as "
                    "http://127.0.0.1:8080/v1. Other computers have to be in HIGGS_REMOTE_URLS where ComfyUI is "
                    "started. No keys here: it is saved in the workflow.",
                ),
                io.String.Input(
                    "model", default="", tooltip="Name of the model there. Empty: the first that the server has."
                ),
                io.Combo.Input(
                    "tags",
                    options=list(TAGS),
                    default="sounds (Higgs Audio v2)",
                    tooltip="What it may add: nothing, sounds such as [laugh], or the tags of v3 and its sounds.",
                ),
                io.Boolean.Input(
                    "speakers",
                    default=True,
                    tooltip="On: lines without a speaker are given one, or parted where several speak. Off: all stay "
                    "with whom they are.",
                ),
                io.String.Input(
                    "instructions",
                    default="",
                    multiline=True,
                    optional=True,
                    placeholder="Anna is afraid, and hides it.",
                    tooltip="What the server should know beside the text.",
                ),
                *asking_inputs(),
                io.Boolean.Input(
                    "review",
                    default=True,
                    optional=True,
                    tooltip="On: a new proposal is shown here, and nothing goes on until you accept it. Off, or not "
                    "given by a graph that is queued without the page: it is used at once.",
                ),
                io.String.Input(
                    "accepted",
                    default="",
                    multiline=True,
                    optional=True,
                    dynamic_prompts=False,
                    tooltip="What was accepted, for this script and these choices; while they stay the same, no "
                    "server is asked. The node writes it.",
                ),
            ],
            outputs=[
                *script_outputs(),
                io.String.Output(display_name="text", tooltip="The directed script as text."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, review=False, accepted="", **_) -> str:
        """What nobody has accepted is asked for anew: a page that comes later knows of no proposal."""
        unseen = not (accepted or "").strip() or accepted in _OUTDATED
        return str(time.time_ns()) if review and unseen else ""

    @classmethod
    def validate_inputs(cls, url=None, key_variable=None, tags=None, accepted=None) -> bool | str:
        """What comes from another node is None here, and is looked at when it runs; so is the address where something
        was accepted: on another computer it may not be allowed, and is not asked."""
        from ..higgs_runtime import SettingError

        if tags not in (None, *TAGS):
            return f"There are no tags '{tags}'."
        try:
            if url and url.strip() and not (accepted or "").strip():
                remote_key(None, url, (key_variable or "").strip())
        except SettingError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, script, url, model, tags, speakers, review=False, accepted="", **asking) -> io.NodeOutput:
        from ..higgs_runtime.script.directing import accepted_script, read_accepted, script_key

        kind = TAGS[tags]
        key, kept = script_key(script, kind, speakers), read_accepted(accepted)
        if kept is not None and kept.of == key:
            told: list[str] = []
            made = accepted_script(script, kept, kind, speakers, told.append)
            _OUTDATED.discard(accepted)
            count = len(kept.turns)
            messages.send_event(EVENT, state="accepted", turns=count)
            return output_with([f"{count} line{'s' * (count != 1)} as accepted", *told], made)
        found = ask(script, url, model, kind, speakers, **asking)
        rows = [row_of(script, number, found) for number in sorted({*found.turns, *found.kept})]
        waits = review and bool(found.turns)
        if waits and kept is not None:
            _OUTDATED.add(accepted)
        state = "waits" if waits else "used"
        messages.send_event(EVENT, state=state, of=key, rows=rows, stale=kept is not None)
        if not waits:
            return output_with(found.report().split("\n"), found.script)
        messages.show_warnings([WAITS])
        blocked = messages.left_out(None)  # with a message, the page shows an error of the node behind
        return io.NodeOutput(blocked, found.report(), blocked, blocked, blocked)


def asking_inputs() -> list[io.Input]:
    """How the server is asked."""
    return [
        io.String.Input(
            "key_variable",
            default="",
            optional=True,
            tooltip="Environment variable of ComfyUI that holds the key, and stands in HIGGS_REMOTE_KEYS "
            "there; the key goes only to what HIGGS_REMOTE_URLS lists. Empty: no key.",
        ),
        setting_input("chunk_chars", optional=True),
        io.Float.Input(
            "timeout_s",
            default=120.0,
            min=1.0,
            max=3600.0,
            step=1.0,
            optional=True,
            tooltip="Seconds without a byte from the server, waiting in its queue included, until it counts as lost.",
        ),
        io.Int.Input(
            "retries",
            default=2,
            min=0,
            max=20,
            optional=True,
            tooltip="Further tries after a lost connection, status 429 or 5xx, with growing pauses in seconds.",
        ),
    ]


def ask(script, url, model, kind, speakers, **asking):
    """Asks the server; see `direct` for what it gives and raises."""
    from ..higgs_runtime.errors import StoppedError
    from ..higgs_runtime.remote.chat import ChatServer
    from ..higgs_runtime.remote.direct import DirectSettings, direct

    sent = {name: asking[name] for name in ("timeout_s", "retries") if name in asking}
    wished = {name: asking[name] for name in ("instructions", "chunk_chars") if name in asking}
    ChatServer(url, model.strip(), **sent)  # refuses what is none, before a key is looked for
    server = ChatServer(url, model.strip(), remote_key(None, url, asking.get("key_variable", "").strip()), **sent)
    progress = Progress(1)
    try:
        return direct(
            script,
            server,
            DirectSettings(kind, speakers, **wished),
            on_progress=progress.update,
            should_stop=cancelled,
        )
    except StoppedError:
        raise_if_cancelled()
        raise


def row_of(script, number: int, found) -> dict:
    """A line as the page shows it: as it is, what is proposed, and why it stays as it is."""
    turn = script.turns[number]
    return {
        "turn": number + 1,
        "speaker": turn.speaker,
        "text": turn.text,
        "pieces": found.turns.get(number, ()),
        "kept": found.kept.get(number, ""),
    }


def output_with(said: list[str], script) -> io.NodeOutput:
    """The outputs for a script; what is to be known of it leads the report."""
    _, report, texts, speakers = output_of(script).args
    messages.show_text("\n".join(said))
    return io.NodeOutput(script, "\n".join([*said, "", report]), texts, speakers, str(script))
