"""A chat server, asked for JSON of one form: POST /chat/completions, streamed.

Sources of November 2026: OpenAI's API reference; the README of llama.cpp's server; the OpenAI-compatible server, the
structured outputs and the reasoning outputs of vLLM's documentation; Ollama's and LM Studio's pages on compatibility.
They agree on `messages`, `stream` and `response_format` of type json_schema, and differ in where a model's reasoning
comes (`reasoning_content`, `reasoning`, or in the text between <think> and </think>); none of it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..errors import RemoteError, SettingError, StoppedError, one_sentence
from .call import Call, Reachable

MOST_BYTES = 32 << 20  # of an answer, with all that streaming and reasoning put around it
MOST_LETTERS = 4 << 20  # of what it says
_THOUGHTS = re.compile(r"\A.*?</think(?:ing)?>", re.S)  # also without their beginning, which the prompt may have
_OPENS = re.compile(r"[{\[]")
MOST_OPENS = 100  # where JSON may begin
_NO_FORM = (400, 422, 501)  # of servers that know no response_format, or not this one

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ChatServer(Reachable):
    """A server, and how to ask it.

    Attributes:
        url: with the path before /chat/completions.
        model: a name that the server knows; "": the first that it has.

    Raises:
        SettingError: no URL, or one with a name or password in it; a setting out of range; a key that no header can
            hold.
    """

    url: str
    model: str = ""
    key: str = field(default="", repr=False)
    timeout_s: float = 120.0
    retries: int = 2

    title = "The chat server"

    def __post_init__(self):
        if not self.url.strip():
            raise SettingError(
                "No chat server is named.",
                expected="the address of a server with OpenAI's chat API",
                got="nothing",
                remedy="Write one, as http://127.0.0.1:8080/v1 (llama.cpp), :8000/v1 (vLLM) or :11434/v1 (Ollama).",
            )
        self.check()

    @property
    def base_url(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  (it is read alone)
        return self.url.strip().rstrip("/")

    def ask(
        self,
        messages: Messages,
        schema: Mapping[str, Any],
        *,
        on_letters: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> ChatAnswer:
        """One answer.

        Args:
            schema: the form of the JSON that is asked for; a server that knows no forms is asked without.
            on_letters: called with how many letters have come.
            should_stop: asked all the time; True leaves the server.

        Raises:
            StoppedError: `should_stop`.
            RemoteError: the server refuses the request, or cannot be reached in so many tries.
            AudioError: it has no list of models, and no model was named.
            MissingExtraError: openai (extra `remote`) is not installed.
        """
        answer = ChatAnswer()
        with closing(_ChatCall(self, messages, schema).events(should_stop or (lambda: False))) as events:
            for event in events:
                if event is None:
                    raise StoppedError("The chat server was left, as it was asked.")
                if isinstance(event, int):  # a new try; what came before does not count
                    answer = ChatAnswer(tries=event)
                else:
                    answer.take(event)
                    if on_letters is not None:
                        on_letters(len(answer.text))
        return answer


@dataclass
class ChatAnswer:
    """What a server said.

    Attributes:
        text: its words, without its reasoning.
        refusal: why it did not answer.
        finish_reason: "stop", "length", "content_filter", …; "" where the answer broke off.
        error: what went wrong on its side while it answered.
        tries: how often it was asked.
    """

    text: str = ""
    refusal: str = ""
    finish_reason: str = ""
    error: str = ""
    tries: int = 1

    def take(self, body: Mapping[str, Any]) -> None:
        """A part of it, streamed or whole; what is of another form is passed over."""
        if said := body.get("error"):  # some send null with each piece
            self.error = str(said.get("message") or said) if isinstance(said, Mapping) else str(said)
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            return
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, Mapping):
            self.text += _words(said.get("content"))
            self.refusal += _words(said.get("refusal"))
        if isinstance(reason := choice.get("finish_reason"), str):
            self.finish_reason = reason
        if len(self.text) > MOST_LETTERS:
            raise _endless()

    def json(self) -> Any:
        """What it says as JSON: after its thoughts, and whatever is around the first object (or list of objects).

        Raises:
            ValueError: there is none, or it is broken.
        """
        text = _THOUGHTS.sub("", self.text)
        why = ValueError("no JSON")
        for opening in islice(_OPENS.finditer(text), MOST_OPENS):
            try:
                found = json.JSONDecoder().raw_decode(text, opening.start())[0]
            except RecursionError as error:
                raise ValueError("JSON without end") from error
            except ValueError as error:
                if opening[0] == "{" or opening.start() == 0:  # else a word in brackets, before the answer
                    raise
                why = error
                continue
            if found and (isinstance(found, dict) or isinstance(found[0], dict)):
                return found
        raise why


def _words(said: Any) -> str:
    """Of a text, or of parts with one each."""
    if isinstance(said, list):
        return "".join(_words(part.get("text")) for part in said if isinstance(part, Mapping))
    return said if isinstance(said, str) else ""


def _endless() -> RemoteError:
    return RemoteError(
        "The chat server sends without end.",
        expected=f"at most {MOST_LETTERS >> 20} MB of text",
        got="more",
        remedy="Check the URL and the model: it may repeat itself.",
    )


class _ChatCall(Call):
    """One request for an answer."""

    def __init__(self, server: ChatServer, messages: Messages, schema: Mapping[str, Any]):
        super().__init__(server, "an answer", MOST_BYTES)
        self._chat, self._messages, self._schema = server, messages, schema
        self._in_form = True

    async def ask(self, client, number: int) -> None:
        model = self._chat.model or await self.first_model(client)
        body: dict[str, Any] = {"model": model, "messages": list(self._messages), "stream": True}
        if self._in_form:
            schema = {"name": "answer", "strict": True, "schema": self._schema}
            form = {"temperature": 0, "response_format": {"type": "json_schema", "json_schema": schema}}
            try:
                await self._stream(client, number, {**body, **form})
                return
            except self.openai.APIStatusError as error:
                if error.status_code not in _NO_FORM:
                    raise
                self._in_form = False
        await self._stream(client, number, body)

    async def _stream(self, client, number: int, body: dict[str, Any]) -> None:
        more = {name: value for name, value in body.items() if name not in ("model", "messages")}
        chat = client.chat.completions.with_streaming_response
        async with chat.create(model=body["model"], messages=body["messages"], extra_body=more) as answer:
            self.found(number)
            whole = "json" in answer.headers.get("content-type", "")  # it does not stream
            rest = b""
            async for piece in answer.iter_bytes():
                rest += piece
                if len(rest) > MOST_BYTES:
                    raise _endless()
                if not whole:
                    *lines, rest = re.split(rb"\r\n|\n|\r(?!\n|\Z)", rest)
                    self._tell(lines)
            self._tell([rest if not whole else b"data: " + b" ".join(rest.splitlines())])

    def _tell(self, lines: Sequence[bytes]) -> None:
        """Events of a stream: lines of `data: {…}`; others are comments, or their ends."""
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            try:
                said = json.loads(line[5:])
            except (ValueError, RecursionError):  # "[DONE]", or broken: then the end is missing, which is told
                continue
            if isinstance(said, dict):
                self.found(said)


def refused(answer: ChatAnswer, without_key: Callable[[str], str]) -> str:
    """Why an answer is none, in words; "" where it may be one."""
    if answer.error:
        return f"the server failed: {one_sentence(without_key(answer.error))}"
    if answer.refusal:
        return f"the server refused: {one_sentence(without_key(answer.refusal))}"
    if answer.finish_reason == "content_filter":
        return "the server refused (content filter)"
    return ""
