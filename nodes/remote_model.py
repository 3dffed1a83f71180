"""Remote Model: a Higgs model on a server, in place of one on this computer."""

from __future__ import annotations

from dataclasses import dataclass

from comfy_api.latest import io

from ..higgs_runtime.remote.allowed import remote_key
from ..higgs_runtime.remote.servers import SERVERS
from . import sockets
from .host import handles
from .host.messages import show_warnings
from .host.progress import cancelled, raise_if_cancelled
from .host.schemas import node_schema

FRAME_RATE = 25  # frames a second of every Higgs model


@dataclass(frozen=True)
class RemoteHandle(handles.ModelHandle):
    """What travels in place of a ModelHandle: whom to ask, and how. The key is read when it is needed."""

    model: str = ""
    voice: str = ""
    key_variable: str = ""
    timeout_s: float = 120.0
    retries: int = 4
    server: str = ""
    codec: handles.ModelHandle | None = None


class HiggsRemoteModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        variables = ", ".join(f"{one.key_variable} for {one.title}" for one in SERVERS.values())
        return node_schema(
            node_id="HiggsRemoteModel",
            display_name="Higgs Remote Model",
            category=f"{sockets.CATEGORY}/loaders",
            advanced=("key_variable", "timeout_s", "retries"),
            search_aliases=["API", "vLLM", "SGLang", "Boson AI", "server", "OpenAI"],
            description="Has Higgs Generate and Render Script ask a server for the speech: `higgs serve`, vLLM-Omni, "
            "SGLang-Omni, or Boson AI. Text and reference clips are sent there.",
            inputs=[
                io.Combo.Input(
                    "server",
                    options=list(SERVERS),
                    default=next(iter(SERVERS)),
                    tooltip="Which kind of server it is. They differ in what they take and in what they give back.",
                ),
                io.String.Input(
                    "url",
                    default="",
                    tooltip="Where it is, with the path before /audio/speech, as http://192.168.0.9:8000/v1. Empty: "
                    "the usual place. Other computers have to be in HIGGS_REMOTE_URLS where ComfyUI is started. No "
                    "keys here: it is saved in the workflow.",
                ),
                io.String.Input(
                    "model",
                    default="",
                    tooltip="Name of the model there. Empty: the usual one, or the first that the server has.",
                ),
                io.String.Input(
                    "voice",
                    default="",
                    tooltip="Name of a voice there. Empty: the voices of the prompt, or none in particular.",
                ),
                io.String.Input(
                    "key_variable",
                    default="",
                    tooltip=f"Environment variable of ComfyUI that holds the key. Empty: {variables}, if it is set "
                    "and may go there: to its own server, or to what HIGGS_REMOTE_URLS lists. Other variables have to "
                    "be in HIGGS_REMOTE_KEYS.",
                ),
                io.Float.Input(
                    "timeout_s",
                    default=120.0,
                    min=1.0,
                    max=3600.0,
                    step=1.0,
                    optional=True,
                    tooltip="Seconds without a byte from the server, waiting in its queue included, until it counts as "
                    "lost.",
                ),
                io.Int.Input(
                    "retries",
                    default=4,
                    min=0,
                    max=20,
                    optional=True,
                    tooltip="Further tries after a lost connection, status 429 or 5xx, with growing pauses in seconds.",
                ),
                sockets.Codec.Input(
                    "codec",
                    optional=True,
                    tooltip="From Load Higgs Codec, for Higgs Generate. Servers other than higgs serve take and give "
                    "sound: it makes sound of reference codes, and codes of the speech. Render Script has its own.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model", tooltip="For Higgs Generate and Render Script.")],
        )

    @classmethod
    def validate_inputs(cls, server=None, url=None, key_variable=None) -> bool | str:
        """What comes from another node is None here, and is looked at when it runs."""
        from ..higgs_runtime import SettingError

        if server not in (None, *SERVERS):
            return f"There is no server of the kind '{server}'."
        try:
            if server is not None and url is not None:
                remote_key(SERVERS[server], url, (key_variable or "").strip())
        except SettingError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, server, url, model, voice, key_variable, timeout_s=120.0, retries=4, codec=None) -> io.NodeOutput:
        from ..higgs_runtime import SettingError

        if server not in SERVERS:  # linked from another node: nobody has looked at it yet
            raise SettingError(
                "There is no server of this kind.",
                expected=", ".join(SERVERS),
                got=f"'{server}'",
                remedy="Choose one of these.",
            )
        remote_key(SERVERS[server], url, key_variable.strip())  # refuses where it may not go
        return io.NodeOutput(
            RemoteHandle(
                handles.REMOTE,
                url.strip(),
                model=model.strip(),
                voice=voice.strip(),
                key_variable=key_variable.strip(),
                timeout_s=timeout_s,
                retries=retries,
                server=server,
                codec=codec,
            )
        )


def remote_of(handle: RemoteHandle):
    """The server, and how to ask it.

    Raises:
        SettingError: see `remote_key` and `Remote`.
    """
    from ..higgs_runtime.remote.client import Remote

    server = SERVERS[handle.server]
    key = remote_key(server, handle.path, handle.key_variable)
    return Remote(server, handle.path, handle.model, handle.voice, key, handle.timeout_s, handle.retries)


def speak(handle: RemoteHandle, monologue, sampling, on_seconds) -> str:
    """Has a server speak the pieces of a text, and keeps them as codes; a report.

    Args:
        on_seconds: called with the seconds of audio that have come.

    Raises:
        SettingError: see `remote_key`, or sound comes and there is no codec to make codes of it.
        RemoteError, AudioError, PromptError: see `Remote.speak`.
    """
    from ..higgs_runtime import SettingError

    server = SERVERS[handle.server]
    if server.returns == "sound" and handle.codec is None:
        raise SettingError(
            f"{server.title} gives sound, and Generate gives codes.",
            expected="a codec that makes codes of the sound",
            got="none",
            remedy="Connect Load Higgs Codec to the codec input of Higgs Remote Model.",
        )
    remote, takes = remote_of(handle), []
    while monologue.left:
        came_s = sum(take.audio_s for take in takes)
        take = _take(handle, remote, monologue, sampling, lambda seconds, came_s=came_s: on_seconds(came_s + seconds))
        takes.append(take)
        show_warnings(_notes(takes))
    return report(takes, remote, monologue)


def _take(handle: RemoteHandle, remote, monologue, sampling, on_seconds):
    """The next piece, kept as codes."""
    from ..higgs_runtime import AudioError
    from ..higgs_runtime.types import Generation

    codec_handle = handle.codec

    def sound_of(codes):
        assert codec_handle is not None, "it is asked only where there is one"
        with handles.open_model(codec_handle, lambda codec: codec.decode_bytes(codes.seconds)) as codec:
            return codec.decode(codes)

    try:
        take = remote.speak(
            monologue.messages(),
            sampling,
            sound_of=sound_of if codec_handle else None,
            on_seconds=on_seconds,
            should_stop=cancelled,
        )
    except AudioError:
        raise_if_cancelled()  # before there was a sound
        raise
    raise_if_cancelled()
    codes, clip = take.codes, take.clip
    if clip is not None and codec_handle is not None:
        with handles.open_model(codec_handle, lambda codec: codec.encode_bytes(clip.seconds)) as codec:
            codes = codec.encode(clip)
    monologue.keep(
        Generation(codes, codes.ids.new_empty((0, codes.num_codebooks)), take.finish_reason, take.seconds, 0)
    )
    return take


def _notes(takes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for take in takes for note in take.notes))


def report(takes, remote, monologue) -> str:
    """One paragraph on the takes of a text, for a person."""
    audio_s, seconds = sum(take.audio_s for take in takes), sum(take.seconds for take in takes)
    tries = "" if takes[0].tries == 1 else f", at the {takes[0].tries}. try"
    lines = [
        f"{audio_s:.2f} s of audio from {remote.server.title} at {remote.base_url}",
        f"{seconds:.2f} s until it was here{tries}, real-time factor {seconds / audio_s:.2f}",
        f"finish reason: {monologue.reason}",
    ]
    notes = _notes(takes)
    if len(takes) > 1:
        lines.insert(1, f"spoken in {len(takes)} pieces, each of at most max_seconds")
        notes += tuple(monologue.cut_off("Raise max_seconds, or try another seed."))
    if takes[0].codes is None:
        lines.append("Note: it came as sound and was encoded here, which loses a little.")
    return "\n".join(lines + [f"Note: {note}" for note in notes])
