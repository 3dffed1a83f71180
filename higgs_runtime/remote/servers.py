"""Servers elsewhere that speak with a Higgs model: the one table of how they differ, and what is sent to each.

All of them take OpenAI's POST /v1/audio/speech. Sources of the rest: the Speech API page and the request class of
vLLM-Omni, the Higgs page of SGLang-Omni's cookbook and its serve/speech_service.py, the API reference of Boson AI (all
of November 2026).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..audio.clip import AudioClip
from ..audio.files import file_bytes
from ..errors import PromptError, SettingError
from ..model.config import V3_SAMPLING
from ..prompt import DEFAULT_SYSTEM, Message
from ..settings import FRAMES_A_SECOND, shown_at
from ..types import Codes, ReleasedSampling, Sampling

SoundOf = Callable[[Codes], AudioClip]


@dataclass(frozen=True)
class RemoteServer:
    """One kind of server.

    Attributes:
        title: what a person calls it.
        url: where it is by default, with the path before /audio/speech.
        key_variable: the environment variable that usually holds its key.
        model: what is asked for by default; "" asks the server what it has.
        returns: "codes": the frames of the codec, as they are; "sound": 16-bit PCM.
        fields: sent with each request, so that the answer is streamed.
        sampling: what it takes of `Sampling`, by its own names.
        released: sent for what is left to the model; None: such a field is left out, and the server fills it in.
        added_steps: a maximum that counts steps counts these beside the frames: the delay of the codebooks.
        reference: how a clip to sound like is sent: "ref_audio" and "ref_text", or "references": a list.
        references: at most.
        scenes: it takes scene and system message.
        no_voice: the name to send where none is asked for, also beside references; "": no name is sent.
        seeds: how many seeds it knows, from 0 on; others are brought into that range.
        characters, reference_bytes, steps: limits; None: not told.
    """

    title: str
    url: str
    key_variable: str
    fields: Mapping[str, Any]
    sampling: Mapping[str, str] = field(default_factory=dict)
    released: ReleasedSampling | None = None
    model: str = ""
    returns: Literal["codes", "sound"] = "sound"
    added_steps: int = 0
    reference: Literal["ref_audio", "references"] = "ref_audio"
    references: int = 1
    scenes: bool = False
    no_voice: str = ""
    seeds: int = 2**64
    characters: int | None = None
    reference_bytes: int | None = None
    steps: int | None = None


_OURS = {name: one.field or name for name, one in shown_at("server").items()}  # ours -> that of `higgs serve`
_STEPS = {name: _OURS[name] for name in ("seed", "max_frames")}
_HEAT = {name: _OURS[name] for name in ("temperature", "top_k", "top_p")}

SERVERS: dict[str, RemoteServer] = {
    "higgs serve": RemoteServer(
        "higgs serve",
        "http://127.0.0.1:8000/v1",
        "HIGGS_API_KEY",
        {"response_format": "codes", "stream": True},
        _OURS,
        returns="codes",
        reference="references",
        references=8,
        scenes=True,
        no_voice="none",  # else its default voice speaks, also for one that is described in words
    ),
    "vLLM-Omni": RemoteServer(
        "vLLM-Omni",
        "http://127.0.0.1:8091/v1",
        "VLLM_API_KEY",
        {"response_format": "pcm", "stream_format": "audio"},
        _STEPS,
        added_steps=7,
        seeds=2**63,  # a signed number of 64 bits
    ),
    "SGLang-Omni": RemoteServer(
        "SGLang-Omni",
        "http://127.0.0.1:8000/v1",
        "SGLANG_API_KEY",
        {"response_format": "pcm", "stream": True},
        {**_STEPS, **_HEAT},
        V3_SAMPLING,  # its own defaults are those of its speech API, for any model
        added_steps=7,
        reference="references",
        no_voice="default",  # it refuses requests without a voice, those with references too
        characters=4096,
        reference_bytes=10 * 2**20,
        steps=2048,
    ),
    "Boson AI": RemoteServer(
        "Boson AI",
        "https://api.boson.ai/v1",
        "BOSON_API_KEY",
        {"response_format": "pcm", "stream": True},
        model="higgs-tts-3",
        characters=5000,
        reference_bytes=10_000_000,
    ),
}


def request_body(
    server: RemoteServer,
    messages: Sequence[Message],
    sampling: Sampling,
    *,
    voice: str = "",
    sound_of: SoundOf | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is sent for a conversation, but for the name of the model; and one sentence on each thing left out.

    Args:
        messages: as for `build_prompt`; clips to sound like come as examples before the text.
        voice: a name that the server knows; "" none in particular.
        sound_of: makes sound of a reference's codes (`codec.decode`), for servers that take no codes.

    Raises:
        PromptError: what the server cannot be asked for.
        SettingError: references come as codes, the server takes sound, and there is no `sound_of`.
    """
    system, scene, references, text = _parts(server, messages)
    sampled, notes = _sampled(server, sampling)
    body = {"input": text, **server.fields, **sampled}
    if voice and references:
        raise PromptError(
            "A name of a voice and a clip to sound like exclude each other.",
            expected="one of them",
            got=f"voice '{voice}' and {len(references)} reference(s)",
            remedy="Empty the voice of the remote model, or take the voice out of the prompt.",
        )
    if voice or server.no_voice:
        body["voice"] = voice or server.no_voice
    if server.characters is not None and len(text) > server.characters:
        raise PromptError(
            f"The text is too long for {server.title}.",
            expected=f"{server.characters} characters",
            got=str(len(text)),
            remedy="Speak it in pieces.",
        )
    if len(references) > server.references:
        raise PromptError(
            f"{server.title} takes fewer references.",
            expected=f"at most {server.references}",
            got=str(len(references)),
            remedy="Speak each voice's lines in a request of their own.",
        )
    if server.scenes:
        body.update({"instructions": scene} if scene else {})
        body.update({"system": system} if system != DEFAULT_SYSTEM else {})
    elif scene or system not in ("", DEFAULT_SYSTEM):
        notes += (f"{server.title} takes no scene and no system message; left out.",)
    if references:
        body.update(_reference_fields(server, references, sound_of))
    return body, notes


def _parts(
    server: RemoteServer, messages: Sequence[Message]
) -> tuple[str, str, list[tuple[Codes | AudioClip, str]], str]:
    """System message, scene, references with their words, and the text."""
    roles = [message.role for message in messages]
    start = 2 if roles[1:2] == ["scene"] else 1
    turns, turn_roles = messages[start:], roles[start:]
    if roles[:1] != ["system"] or turn_roles != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        raise PromptError(
            "The conversation is not one that can be sent.",
            got=", ".join(roles),
            expected="system, scene (optional), references, a text",
            remedy="Use conversation().",
        )
    if not all(message.reference for message in turns[:-1]):
        raise PromptError(
            f"{server.title} does not go on from earlier turns.",
            got=f"{len(turns) // 2} turns before",
            expected="references and one text",
            remedy="Speak this with a model on this computer.",
        )
    system, scene = (_text(one) for one in (messages[0], messages[1] if start == 2 else Message("scene", [""])))
    text = _text(turns[-1])
    if not server.scenes and (tag := re.search(r"\[SPEAKER\d+\]", text)):
        raise PromptError(
            f"{server.title} speaks one voice at a time.",
            expected="a text without speaker tags",
            got=tag[0],
            remedy="Speak each speaker's lines in a request of their own.",
        )
    pairs = zip(turns[:-1:2], turns[1::2], strict=True)
    return system, scene, [(_sound(spoken), _text(words)) for words, spoken in pairs], text


def _text(message: Message) -> str:
    texts = [part for part in message.content if isinstance(part, str)]
    if len(texts) != len(message.content):
        raise PromptError(
            f"A {message.role} message holds audio.",
            expected="text",
            got="audio",
            remedy="Only references can be audio for a server.",
        )
    return "".join(texts).strip()


def _sound(message: Message) -> Codes | AudioClip:
    sound = message.content[0] if message.content else ""
    if isinstance(sound, str):
        raise PromptError(
            "A reference holds no audio.",
            expected="codes or a clip",
            got="text",
            remedy="Put the words into the user message before it.",
        )
    return sound


def _sampled(server: RemoteServer, sampling: Sampling) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the sampling, and one sentence on each thing that will not count as it was set."""
    notes = _not_taken(server, sampling)
    if server.released is not None:
        sampling = sampling.filled_in(server.released)
    asked = {theirs: getattr(sampling, ours) for ours, theirs in server.sampling.items()}
    found = {name: value for name, value in asked.items() if value >= 0}
    if "seed" in found and found["seed"] >= server.seeds:
        found["seed"] %= server.seeds
        notes += (f"{server.title} takes seeds below {server.seeds}: {found['seed']} in place of {sampling.seed}.",)
    if "max_frames" in server.sampling:
        steps = server.sampling["max_frames"]
        found[steps] += server.added_steps
        if server.steps is not None and found[steps] > server.steps:
            found[steps] = server.steps
            seconds = (server.steps - server.added_steps) / FRAMES_A_SECOND
            notes += (f"{server.title} speaks at most {seconds:.0f} s at once; a longer text has to come in pieces.",)
    return found, notes


def _not_taken(server: RemoteServer, sampling: Sampling) -> tuple[str, ...]:
    """What was set and will not count; seeds always are."""
    usual = Sampling()
    lost = [
        one.name
        for one in fields(Sampling)
        if one.name not in server.sampling
        and (one.name == "seed" or getattr(sampling, one.name) != getattr(usual, one.name))
    ]
    return (f"{server.title} takes no {', '.join(lost)}; its own settings count.",) if lost else ()


def _reference_fields(
    server: RemoteServer, references: Sequence[tuple[Codes | AudioClip, str]], sound_of: SoundOf | None
) -> dict[str, Any]:
    sent = [_source(server, source, sound_of) | ({"text": words} if words else {}) for source, words in references]
    if server.reference == "references":
        return {"references": sent}
    return {"ref_audio": sent[0]["audio_path"], **({"ref_text": sent[0]["text"]} if "text" in sent[0] else {})}


def _source(server: RemoteServer, source: Codes | AudioClip, sound_of: SoundOf | None) -> dict[str, Any]:
    if isinstance(source, Codes) and server.returns == "codes":
        return {"codes": source.ids.T.tolist(), "codec": source.codec}
    if isinstance(source, Codes):
        if sound_of is None:
            raise SettingError(
                f"{server.title} takes clips to sound like as sound, and these are codes.",
                expected="a codec to make sound of them",
                got="none",
                remedy="Connect the codec of the voice to the remote model.",
            )
        source = sound_of(source)
    data = file_bytes("wav", source.samples.numpy(), source.sample_rate)
    if server.reference_bytes is not None and len(data) > server.reference_bytes:
        raise PromptError(
            f"The reference is too large for {server.title}.",
            expected=f"{server.reference_bytes} bytes",
            got=str(len(data)),
            remedy="Use a shorter clip.",
        )
    return {"audio_path": "data:audio/wav;base64," + base64.b64encode(data).decode()}
