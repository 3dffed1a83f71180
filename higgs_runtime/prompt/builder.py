"""From a conversation to what the language model reads: ChatML token ids and delayed audio rows.

The layout is that of the transformers-native Higgs Audio v2 checkpoint (its chat_template.jinja):

    <|begin_of_text|> header(system) text [scene] <|eot_id|>
    header(user) text <|eot_id|>
    header(assistant) <|audio_out_bos|> frames <|audio_eos|> <|eot_id|>
    …
    header(assistant) <|audio_out_bos|>                     ← the model goes on from here
    header(assistant) <|audio_out_bos|> frames              ← or from here, in the midst of a turn

The original checkpoint (Boson AI's own code) differs in what stands for frames: all their rows by one token, and in a
scene, where they are heard and not spoken, <|audio_bos|> frames <|audio_eos|> by another one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..audio.clip import AudioClip
from ..choices import PromptFormat
from ..errors import PromptError
from ..model import ChatTokenizer
from ..model.tokenizer import AUDIO_BEGIN, BEGIN, CONTROL, END_OF_TURN, SCENE_END, SCENE_START
from ..text.vocabulary import extent_of, unknown_words
from ..types import Codes, Prompt, Voice
from .chatml import Encode, PromptBuilder
from .v3 import SpokenTurn, lay_out_v3

DEFAULT_SYSTEM = "Generate audio following instruction."
ROLES = ("system", "scene", "user", "assistant")
WORDS_IN_WARNING = 20

Content = str | Codes | AudioClip


@dataclass(frozen=True, eq=False)
class Message:
    """One part of a conversation.

    Attributes:
        role: "system" (first), "scene" (second, optional), then "user" and "assistant" turns.
        content: text, codes or clips. Users write, the assistant speaks: its content is one piece of audio.
        reference: a turn that was not spoken before, but shows a voice. v2 makes no difference.
        goes_on: an assistant's turn, the last message, of which these are the first frames: the model speaks on from
            there. The user's message before it holds the text of the whole turn.
    """

    role: Literal["system", "scene", "user", "assistant"]
    content: Sequence[Content]
    reference: bool = False
    goes_on: bool = False

    def __post_init__(self):
        if self.role not in ROLES:
            raise PromptError(
                "A message has an unknown role.",
                expected=", ".join(ROLES),
                got=repr(self.role),
                remedy="Use one of these roles.",
            )
        if isinstance(self.content, (str, Codes, AudioClip)):
            object.__setattr__(self, "content", [self.content])


def build_prompt(
    messages: Sequence[Message],
    tokenizer: ChatTokenizer,
    *,
    encode: Encode | None = None,
    add_generation_prefix: bool = True,
    layout: PromptFormat | str | None = None,
) -> Prompt:
    """Lay a conversation out as ids and rows.

    Args:
        encode: turns the AudioClips among the contents into Codes (`codec.encode`); not needed without clips.
        add_generation_prefix: end with the opening of the assistant's turn, from which the model speaks; an opening
            that the conversation has itself (`Message.goes_on`) is its end in any case.
        layout: None: that of the checkpoint.

    Returns:
        Prompt(token_ids [S], audio_rows [R, K], warnings): it warns of words in user messages that a model with a
        closed vocabulary does not know.

    Raises:
        PromptError: roles out of order, an empty user text, audio where none can stand, codes of another codec.
        SettingError: there is no such layout.
    """
    messages = list(messages)
    _check_order(messages)
    kind = layout or tokenizer.config.prompt_layout
    laid = PromptBuilder(tokenizer, encode, kind)
    if kind == PromptFormat.V3:
        lay_out_v3(laid, tokenizer, _v3_turns(messages), messages[-1].goes_on)
        return laid.finish(_left_out(messages) + _vocabulary_warnings(messages[1:], tokenizer))
    laid.special(BEGIN)
    laid.header("system")
    laid.text(_instruction(messages[0]))
    rest = messages[1:]
    if rest and rest[0].role == "scene":
        laid.text("\n\n").special(SCENE_START).text("\n")
        _lay_scene(laid, rest.pop(0).content)
        laid.text("\n").special(SCENE_END)
    laid.special(END_OF_TURN)
    for message in rest:
        laid.header(message.role)
        if message.goes_on:
            laid.special(AUDIO_BEGIN).begun(_spoken(message))
            return laid.finish(_tag_warnings(rest) + _vocabulary_warnings(rest, tokenizer))
        if message.role == "assistant":
            laid.audio(_spoken(message))
        else:
            laid.text(_written(message))
        laid.special(END_OF_TURN)
    if add_generation_prefix:
        laid.header("assistant").special(AUDIO_BEGIN)
    return laid.finish(_tag_warnings(rest) + _vocabulary_warnings(rest, tokenizer))


def conversation(
    text: str, voices: Sequence[Voice] = (), *, system: str = DEFAULT_SYSTEM, scene: str = ""
) -> list[Message]:
    """The usual conversation for one text: system, scene, one example turn per reference clip, the text.

    With several voices, voice n is SPEAKERn in the text ("[SPEAKER0] Hello. [SPEAKER1] Hi!"); descriptions join the
    scene as "SPEAKERn: …", as in Boson AI's examples.

    Raises:
        PromptError: the text is empty, or calls a SPEAKERn that has no voice.
    """
    if not text.strip():
        raise PromptError(
            "There is nothing to say.", expected="a text", got="an empty one", remedy="Write the text to speak."
        )
    called = {int(number) for number in re.findall(r"\[SPEAKER(\d+)\]", text)}
    if voices and called and max(called) >= len(voices):
        raise PromptError(
            f"The text calls [SPEAKER{max(called)}].",
            expected=f"SPEAKER0 to SPEAKER{len(voices) - 1}",
            got=f"{len(voices)} voice(s)",
            remedy="Connect another voice or correct the tag.",
        )
    described = [" ".join(voice.description.split()) for voice in voices]  # each on one line
    lines = [f"SPEAKER{n}: {words}" for n, words in enumerate(described) if words]
    scene_parts = [part for part in (scene.strip(), "\n".join(lines)) if part]
    messages = [Message("system", [system])]
    if scene_parts:
        messages.append(Message("scene", ["\n\n".join(scene_parts)]))
    for n, voice in enumerate(voices):
        tag = f"[SPEAKER{n}] " if len(voices) > 1 else ""
        for codes, transcript in voice.references:
            words = transcript.strip()
            messages += [
                Message("user", [tag + words if words else ""], reference=True),
                Message("assistant", [codes], reference=True),
            ]
    return [*messages, Message("user", [text])]


def _v3_turns(messages: Sequence[Message]) -> list[SpokenTurn]:
    """(text, audio, whether it is a reference) of each turn; the last one may be without audio."""
    turns, rest = [], [message for message in messages if message.role in ("user", "assistant")]
    while rest:
        asked, *rest = rest
        if asked.role != "user" or (rest and rest[0].role != "assistant"):
            raise PromptError(
                "The turns do not alternate.",
                expected="user and assistant, one after the other",
                got=", ".join(message.role for message in messages),
                remedy="Join the texts of one turn into one message.",
            )
        spoken, rest = (rest[0], rest[1:]) if rest else (None, [])
        reference = asked.reference and spoken is not None
        turns.append((_written(asked, needed=not reference), _spoken(spoken) if spoken else None, reference))
    return turns


def _left_out(messages: Sequence[Message]) -> tuple[str, ...]:
    """What v3 has no place for."""
    scene = [
        line
        for message in messages
        if message.role == "scene"
        for item in message.content
        if isinstance(item, str)
        for line in item.splitlines()
        if line.strip()
    ]
    described = sum(bool(re.match(r"SPEAKER\d+: ", line)) for line in scene)
    told = _instruction(messages[0]) not in ("", DEFAULT_SYSTEM)
    lost = {"instruction": told, "scene": len(scene) > described, "description of a voice": described}
    names = " and ".join(name for name, there in lost.items() if there)
    return (f"Higgs Audio v3 reads no {names}; left out.",) if names else ()


def _lay_scene(layout: PromptBuilder, content: Sequence[Content]) -> None:
    last = len(content) - 1
    for index, item in enumerate(content):
        if isinstance(item, str):
            layout.text(item.strip())
            if index == 0 and last > 0:
                layout.text("\n\n")
            elif 0 < index < last and isinstance(content[index + 1], str):
                layout.text("\n")
        else:
            layout.text(" ").audio(item, heard=True)
            if index < last:
                layout.text("\n")


def _check_order(messages: list[Message]) -> None:
    roles = [message.role for message in messages]
    remedy = "Order the messages: system, scene (optional), then user and assistant turns."
    if not roles or roles[0] != "system":
        raise PromptError(
            "The conversation does not begin with a system message.",
            expected="system",
            got=roles[0] if roles else "no message",
            remedy=remedy,
        )
    if "system" in roles[1:] or "scene" in roles[2:]:
        raise PromptError("A system or scene message stands in the middle.", got=", ".join(roles), remedy=remedy)
    if any(one.goes_on and (one.role != "assistant" or one.reference or one is not messages[-1]) for one in messages):
        raise PromptError(
            "A turn that goes on is not the assistant's last one.",
            expected="the last message, of the assistant, no reference",
            got=", ".join(one.role + " (goes on)" * one.goes_on for one in messages),
            remedy="Leave goes_on to the last message, after the user's with the text of the whole turn.",
        )


def _texts(message: Message) -> list[str]:
    texts = [item for item in message.content if isinstance(item, str)]
    if len(texts) != len(message.content):
        raise PromptError(
            f"A {message.role} message holds audio.",
            expected="text",
            got="audio",
            remedy="Put reference audio into an assistant message, after the user message with its transcript.",
        )
    return texts


def _instruction(message: Message) -> str:
    texts = _texts(message)
    if len(texts) > 1:
        raise PromptError(
            "A system message has several texts.",
            expected="one",
            got=str(len(texts)),
            remedy="Join them into one text.",
        )
    return texts[0].strip() if texts else ""


def _written(message: Message, needed: bool = True) -> str:
    """The text of a user message.

    Args:
        needed: False: a reference may have none.
    """
    text = "".join(item.strip() for item in _texts(message))
    if text or (message.reference and not needed):
        return text
    if message.reference:
        raise PromptError(
            "The reference clip has no transcript.",
            expected="the words that are spoken in the clip: only Higgs Audio v3 does without",
            got="an empty text",
            remedy="Type what the clip says, or have Prepare Reference write it down: the model learns the voice from "
            "the pair.",
        )
    raise PromptError(
        "A user message is empty.", expected="a text", got="an empty one", remedy="Write the text to speak."
    )


def _tag_warnings(turns: Sequence[Message]) -> tuple[str, ...]:
    """v2 would say tags aloud."""
    found = [tag for turn in turns if turn.role == "user" for tag in CONTROL.findall(_written(turn))]
    return (f"Only Higgs Audio v3 acts on tags; this model will try to say {found[0]}.",) if found else ()


def _vocabulary_warnings(turns: Sequence[Message], tokenizer: ChatTokenizer) -> tuple[str, ...]:
    """One sentence for each user turn with words that the model does not know. The last turn will be spoken, or the one
    before it where that goes on."""
    vocabulary = tokenizer.config.vocabulary
    if vocabulary is None:
        return ()
    name, found = tokenizer.config.display_name or tokenizer.checkpoint, []
    *_, to_speak = None, *(turn for turn in turns if not turn.goes_on)
    for n, turn in enumerate((turn for turn in turns if turn.role == "user"), start=1):
        words = unknown_words(_written(turn, needed=False), vocabulary)
        if words:
            spoken = turn is to_speak and not turn.reference
            head = "" if spoken else f"The transcript of reference {n} has words that "
            rest = f" and {len(words) - WORDS_IN_WARNING} more" if len(words) > WORDS_IN_WARNING else ""
            found.append(
                f"{head}{name} does not know: {', '.join(words[:WORDS_IN_WARNING])}{rest}; it knows "
                f"{extent_of(vocabulary)}, listed by `higgs models {tokenizer.checkpoint} --words`."
            )
    return tuple(found)


def _spoken(message: Message) -> Codes | AudioClip:
    if len(message.content) != 1 or isinstance(message.content[0], str):
        raise PromptError(
            "An assistant message is not one piece of audio.",
            expected="one Codes or AudioClip",
            got=f"{len(message.content)} item(s), some text or none",
            remedy="Give the assistant's turn as codes.",
        )
    return message.content[0]
