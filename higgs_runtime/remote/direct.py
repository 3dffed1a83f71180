"""A chat server as director of a script: who speaks, and where tags stand. It proposes; the words stay the script's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import HiggsError, RemoteError, SettingError, StoppedError
from ..script import Script, Turn
from ..script.directing import (
    TAG_KINDS,
    TOKEN,
    NotTheSame,
    Pieces,
    TagKind,
    directed,
    fitted,
    known_tag,
    shown,
    speaker_named,
)
from ..settings import check_settings, default_of
from ..text.sound_tags import V2, V3
from ..text.tags import TAGS, tag_faults
from .chat import ChatAnswer, ChatServer, refused

ASKS = 2  # per line: once more where its answer cannot be used
BEFORE = 3  # turns before a chunk that are shown with it
MOST_NAMES = 200  # of speakers that are known
MOST_NOTES = 50  # in a report

OnProgress = Callable[[int, int], None]  # letters that are done, and of all

_SCHEMA = {
    "type": "object",
    "properties": {
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer"},
                    "parts": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"speaker": {"type": "string"}, "text": {"type": "string"}},
                            "required": ["speaker", "text"],
                            "additionalProperties": False,
                        },
                    },
                },
                "required": ["n", "parts"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["lines"],
    "additionalProperties": False,
}
_TASK = """You prepare a text for several voices. You get JSON with numbered lines, and answer with JSON alone:
{"lines": [{"n": 1, "parts": [{"speaker": "Anna", "text": "…"}]}]}
For each line give its parts in order. Joined, the texts of the parts are the line, letter by letter: change, add, leave
out, correct and translate nothing, keep the punctuation and quotation marks. Give every line of "lines" once, under its
own number, and no others; "before" and "speakers" only tell what came earlier."""
_SPEAKERS = """Who says it: a line whose "speaker" is given keeps it, in one part. In other lines, what somebody in the
story says aloud is a part of that person; what is told about it is a part of the narrator, whose speaker is "". Use the
names in "speakers" where they are meant; a name has a capital and is always written alike. If it is unclear who speaks,
the part is the narrator's."""
_NO_SPEAKERS = """Each line is one part, with the speaker that the line has."""
_TAGS = {
    "none": "Add no tags.",
    "v2": "You may add sounds, sparingly, where one is heard: {sounds}. They stand in the text, where the sound is.",
    "v3": "You may add tags, sparingly, where the text asks for them. These lead a sentence: {leading}. These stand "
    "where they are heard: {inline}, and sounds: {sounds}. Tags are added to the text and change no word of it.",
}


@dataclass(frozen=True)
class DirectSettings:
    """What is asked for.

    Attributes:
        tags: which are placed: "none", sounds of Higgs Audio v2 as [laugh], or the tags of v3.
        speakers: lines without a speaker are given one, or parted among several.
        instructions: what a person says beside it, for the whole text.
        chunk_chars: letters in a request, about; a line is never cut.

    Raises:
        SettingError: there are no such tags; a setting is out of range.
    """

    tags: TagKind = "v2"
    speakers: bool = True
    instructions: str = ""
    chunk_chars: int = default_of("chunk_chars")

    def __post_init__(self):
        if self.tags not in TAG_KINDS:
            raise SettingError(
                f"There are no tags '{self.tags}'.",
                expected=", ".join(TAG_KINDS),
                got=self.tags,
                remedy="Choose others.",
            )
        check_settings(self, ("chunk_chars",))


@dataclass(frozen=True)
class Directed:
    """What became of a script.

    Attributes:
        before, script: the script that was given, and that with the proposals.
        turns: number of a turn from 0 -> what is proposed, where it differs.
        kept: number of a turn from 0 -> why it stays as it was.
        notes: one sentence on each thing that is to be known.
        requests: how often the server was asked.
    """

    before: Script
    script: Script
    turns: dict[int, Pieces]
    kept: dict[int, str]
    notes: tuple[str, ...]
    requests: int
    server: str

    def report(self) -> str:
        """For a person: how many lines are changed, who speaks, and each line that stays as it was, with why."""
        count, names = len(self.before.turns), dict.fromkeys(turn.speaker for turn in self.script.turns if turn.speaker)
        lines = [
            f"{len(self.turns)} of {count} lines changed, {len(self.kept)} kept because of their answers",
            f"{self.requests} request{'s' * (self.requests != 1)} to {self.server}",
            f"speakers: {', '.join(names) or 'the narrator alone'}",
            *self.notes,
        ]
        lines += [f"line {number + 1} stays as it was: {why}" for number, why in list(self.kept.items())[:MOST_NOTES]]
        if len(self.kept) > MOST_NOTES:
            lines.append(f"… and {len(self.kept) - MOST_NOTES} more")
        return "\n".join(lines)


def direct(
    script: Script,
    server: ChatServer,
    settings: DirectSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Directed:
    """Has a chat server say who speaks which words, and where tags stand.

    Every word stays: an answer is laid over its line letter by letter, and a line whose answer says other words is kept
    as it was, with why. Long scripts go in chunks, each with the names so far and the lines before. What fails after
    the first chunk (a lost server) ends the asking, and the rest stays as it was, with why.

    Args:
        on_progress: called after each chunk.
        should_stop: asked all the time.

    Raises:
        StoppedError: `should_stop`.
        RemoteError, AudioError, MissingExtraError: as `ChatServer.ask`, of the first chunk.
    """
    work = _Directing(script, server, settings or DirectSettings(), should_stop or (lambda: False))
    total = sum(len(turn.text) for turn in script.turns)
    done = 0
    for chunk in _chunks(script, work.settings.chunk_chars):
        try:
            work.ask(chunk)
        except StoppedError:
            raise
        except HiggsError as error:
            if not work.answered:
                raise
            work.give_up(chunk[0], str(error))
            break
        done += sum(len(script.turns[n].text) for n in chunk)
        if on_progress is not None:
            on_progress(done, total)
    if not work.answered and work.reasons:
        raise RemoteError(
            "The chat server gave no answer that can be used.",
            expected="JSON with the lines in parts",
            got=next(iter(work.reasons.values())).rstrip("."),
            remedy="Choose a model that follows instructions, or smaller chunks.",
        )
    return work.result()


def _chunks(script: Script, letters: int) -> Iterator[list[int]]:
    """Numbers of turns, in order; a scene begins a new chunk where the one before is half full."""
    chunk: list[int] = []
    size = 0
    for number, turn in enumerate(script.turns):
        new_scene = chunk and script.turns[chunk[-1]].scene != turn.scene and size > letters / 2
        if chunk and (size + len(turn.text) > letters or new_scene):
            yield chunk
            chunk, size = [], 0
        chunk.append(number)
        size += len(turn.text)
    if chunk:
        yield chunk


@dataclass
class _Directing:
    """What is known while a script is directed."""

    script: Script
    server: ChatServer
    settings: DirectSettings
    should_stop: Callable[[], bool]
    turns: dict[int, Pieces] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)  # turns that there was an answer of use to
    requests: int = 0

    def __post_init__(self):
        self.names = list(dict.fromkeys(turn.speaker for turn in self.script.turns if turn.speaker))

    def ask(self, numbers: Sequence[int]) -> None:
        """Asks for these turns: again for those whose answers cannot be used, in halves where an answer is too long."""
        left = list(numbers)
        for _ in range(ASKS):
            answer = self._answer(left)
            if answer.finish_reason == "length" and len(left) > 1:
                self.ask(left[: len(left) // 2])
                self.ask(left[len(left) // 2 :])
                return
            left = self._read(answer, left)
            if not left or refused(answer, str) and not answer.error:
                return

    def give_up(self, first: int, why: str) -> None:
        """No turn from this one on is asked for any more; of its chunk some may have been."""
        left = [n for n in range(first, len(self.script.turns)) if n not in self.answered]
        self.reasons = {**dict.fromkeys(left, "it was not asked for any more"), **self.reasons}
        self.notes[f"The server was lost before line {left[0] + 1} was answered: {why}"] = None

    def _answer(self, numbers: Sequence[int]) -> ChatAnswer:
        self.requests += 1
        return self.server.ask(self._messages(numbers), _SCHEMA, should_stop=self.should_stop)

    def _messages(self, numbers: Sequence[int]) -> list[dict[str, str]]:
        settings = self.settings
        sounds = V3 if settings.tags == "v3" else V2
        lists = {
            "sounds": ", ".join(f"[{word}]" for word, form in sounds.items() if settings.tags == "v2" or len(form) > 1),
            "leading": ", ".join(name for name, tag in TAGS.items() if not tag.inline),
            "inline": ", ".join(name for name, tag in TAGS.items() if tag.inline and tag.group != "sfx"),
        }
        task = [_TASK, _SPEAKERS if settings.speakers else _NO_SPEAKERS, _TAGS[settings.tags].format(**lists)]
        if failed := [number for number in numbers if number in self.reasons]:
            again = [number + 1 for number in failed]
            task.append(f"These lines were answered with other words before; copy them exactly: {again}")
        first = numbers[0]
        said: dict[str, Any] = {"speakers": self.names[-MOST_NAMES:]}
        if settings.instructions.strip():
            said["instructions"] = settings.instructions.strip()
        if scene := self.script.turns[first].scene:
            said["scene"] = scene
        said["before"] = [
            {"speaker": speaker, "text": text}
            for n in range(max(0, first - BEFORE), first)
            for speaker, text in self.turns.get(n, ((self.script.turns[n].speaker, self.script.turns[n].text),))
        ]
        said["lines"] = [
            {"n": n + 1, "speaker": self.script.turns[n].speaker, "text": self.script.turns[n].text} for n in numbers
        ]
        return [
            {"role": "system", "content": "\n\n".join(task)},
            {"role": "user", "content": json.dumps(said, ensure_ascii=False)},
        ]

    def _read(self, answer: ChatAnswer, numbers: Sequence[int]) -> list[int]:
        """Takes what an answer proposes; gives those that it has nothing of use for."""
        if why := refused(answer, self.server.without_key) or ("" if answer.text.strip() else "the answer is empty"):
            return self._failed(numbers, why)
        try:
            parts = _parts_of(answer.json())
        except ValueError as error:
            broken = "it ended early, at its longest" if answer.finish_reason == "length" else "it is broken off"
            broken = broken if answer.finish_reason in ("length", "") else f"it is no JSON of this form ({error})"
            return self._failed(numbers, f"the answer cannot be read: {broken}")
        left = []
        for number in numbers:
            try:
                if (number + 1) not in parts:
                    raise NotTheSame("the answer does not have it")
                self._take(number, parts[number + 1])
                self.reasons.pop(number, None)
                self.answered.add(number)
            except NotTheSame as error:
                other = "the answer has other words: " if number + 1 in parts else ""
                left += self._failed([number], f"{other}{error}")
        return left

    def _failed(self, numbers: Sequence[int], why: str) -> list[int]:
        self.reasons |= dict.fromkeys(numbers, why)
        return list(numbers)

    def _take(self, number: int, parts: Sequence[tuple[str, str]]) -> None:
        turn, named, notes = self.script.turns[number], [], []
        for said, text in parts:
            speaker = speaker_named(said, self.names)
            if speaker is None:
                notes.append(f"Line {number + 1}: '{shown(said, 30)}' is no speaker's name; the narrator has it.")
            named.append((speaker or "", text))
        pieces = fitted(turn, named, self.settings.tags, speakers=self.settings.speakers)
        notes += [
            f"Line {number + 1}: '{shown(token[0], 30)}' is no tag that may be placed, and is left out."
            for _, text in named
            for token in TOKEN.finditer(text)
            if token[0] not in turn.text and not known_tag(token[0], self.settings.tags)
        ]
        self.names += [one for one in dict.fromkeys(who for who, _ in pieces) if one and one not in self.names]
        if pieces != _as_it_is(turn):
            self.turns[number] = pieces
        if self.settings.tags == "v3":
            notes += [f"Line {number + 1}: {fault.message}" for _, text in pieces for fault in tag_faults(text)]
        self.notes |= dict.fromkeys(notes)

    def result(self) -> Directed:
        notes = list(self.notes)
        if len(notes) > MOST_NOTES:
            notes = [*notes[:MOST_NOTES], f"… and {len(notes) - MOST_NOTES} more"]
        asked = f"{self.server.base_url}{f' ({self.server.model})' if self.server.model else ''}"
        kept = dict(sorted(self.reasons.items()))
        turns = dict(sorted(self.turns.items()))
        script = directed(self.script, turns)
        return Directed(self.script, script, turns, kept, tuple(notes), self.requests, asked)


def _as_it_is(turn: Turn) -> Pieces:
    return ((turn.speaker, turn.text),)


def _parts_of(said: Any) -> dict[int, list[tuple[str, str]]]:
    """Number of a line -> its parts; of what has another form, nothing.

    Raises:
        ValueError: none of it has the form.
    """
    lines = said.get("lines") if isinstance(said, dict) else said
    if not isinstance(lines, list):
        raise ValueError("no list of lines")
    found: dict[int, list[tuple[str, str]]] = {}
    for line in lines:
        parts = line.get("parts") if isinstance(line, dict) else None
        number = line.get("n") if isinstance(line, dict) else None
        if isinstance(number, int) and not isinstance(number, bool) and isinstance(parts, list) and number not in found:
            pairs: list[Any] = [(one.get("speaker") or "", one.get("text")) for one in parts if isinstance(one, dict)]
            if pairs and len(pairs) == len(parts) and all(isinstance(one, str) for pair in pairs for one in pair):
                found[number] = pairs
    if lines and not found:
        raise ValueError("no line with its parts")
    return found
