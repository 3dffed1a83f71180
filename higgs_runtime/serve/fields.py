"""The body of POST /v1/audio/speech: OpenAI's fields, those of other Higgs servers, and ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..settings import SETTINGS
from .limits import MAX_WINDOW

NO_VOICE = ("", "default", "none")  # names that ask for no voice in particular; "none": nor for the server's own
MAX_REFERENCE = 2**26  # characters of one reference; the body is limited anyhow

Format = Literal["wav", "flac", "mp3", "opus", "aac", "pcm", "codes"]
_Frame = Annotated[list[Annotated[int, Field(ge=0, lt=2**16)]], Field(max_length=64)]
Frames = Annotated[list[_Frame], Field(min_length=1, max_length=10_000)]


def _setting(name: str, note: str = "", **other: Any) -> Any:
    """The field of a setting.

    Args:
        other: what this door has another way: its default, or a narrower range.
    """
    one = SETTINGS[name]
    limits: dict[str, Any] = {"default": one.default, "ge": one.least, "le": one.most, **other}
    return Field(**limits, description=f"{one.help}{note}")


class _Strict(BaseModel):
    """Fields that are null are left out: many clients send all that they know."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None}


class Reference(_Strict):
    """A clip to sound like, with the words that are spoken in it."""

    audio_path: str | None = Field(
        None,
        max_length=MAX_REFERENCE,
        description="Data URL or base64 of a wav, flac, "
        "ogg or mp3 file; a URL or path only where this server allows it.",
    )
    text: str = Field("", max_length=20_000, description="What the clip says.")
    codes: Frames | None = Field(None, description="In place of the clip: its codes, one list of K ids a frame.")
    codec: str = Field("", max_length=64, description="Identity of the codec that made the codes; empty: not known.")

    @model_validator(mode="after")
    def _one_source(self) -> Reference:
        if (self.audio_path is None) == (self.codes is None):
            raise ValueError("a reference needs audio_path or codes, and not both")
        return self


class SpeechRequest(_Strict):
    """What to say, how, and in which form it comes back."""

    input: str = Field(min_length=1, max_length=1_000_000, description="The text to speak.")
    model: str = Field("", max_length=500, description="Name of the model that is served; may stay empty.")
    voice: str = Field(
        "default",
        max_length=300,
        description="A name from /v1/audio/voices, in any case; default: the server's own; none: the model chooses.",
    )
    prepare: bool | None = Field(
        None, description="Prepare the text for the model, as scripts are. None: as this server does."
    )
    response_format: Format = Field(
        "wav",
        description="Of the sound; pcm is 16-bit, little-endian, mono. codes: lines "
        "of JSON with the frames of the codec.",
    )
    stream: bool = Field(False, description="Send the sound while it is made.")
    stream_format: Literal["audio", "sse"] | None = Field(
        None, description="How to stream: audio: the bytes of the file; sse: OpenAI's speech.audio events."
    )
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        [],
        max_length=2,
        description="Also tell when words and sentences are said: a whole answer is then JSON, a stream has events.",
    )
    language: str | None = Field(
        None,
        pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$",
        description="Of the text, as en, de or zh: for cutting it into pieces, preparing it and timing its words. "
        "None: what it looks like.",
    )
    speed: float = Field(1.0, ge=0.25, le=4.0, description="Of the speech, at the same pitch; not while streaming.")
    instructions: str = Field("", max_length=20_000, description="Where it happens and how: the scene. v3 has none.")
    system: str | None = Field(None, max_length=20_000, description="The system message in place of the usual one.")

    ref_audio: str | None = Field(None, max_length=MAX_REFERENCE, description="Short for references[0].audio_path.")
    ref_text: str | None = Field(None, max_length=20_000, description="Short for references[0].text.")
    reference_codes: Frames | None = Field(None, description="Short for references[0].codes.")
    reference_text: str | None = Field(None, max_length=20_000, description="Short for references[0].text.")
    references: list[Reference] = Field([], max_length=1000, description="Clips to sound like.")

    seed: int | None = _setting("seed", " None: drawn, and told in the header X-Higgs-Seed.", default=None)
    temperature: float = _setting("temperature")
    top_k: int = _setting("top_k")
    top_p: float = _setting("top_p")
    ras_window: int = _setting("ras_window", le=MAX_WINDOW)
    ras_max_repeats: int = _setting("ras_max_repeats")
    max_new_tokens: int | None = _setting(
        "max_frames", " None: as long as this server allows, for each piece of a long text.", default=None
    )

    @field_validator("voice", mode="before")
    @classmethod
    def _name_of(cls, voice: Any) -> Any:
        """OpenAI's clients may send {"id": …}, others an entry of the list as it is."""
        return voice["id"] if isinstance(voice, dict) and "id" in voice and set(voice) <= {"id", "name"} else voice

    @model_validator(mode="after")
    def _one_reference_form(self) -> SpeechRequest:
        short = [(self.ref_audio, self.ref_text, "audio_path"), (self.reference_codes, self.reference_text, "codes")]
        for source, text, name in short:
            if source is None and text is not None:
                raise ValueError("the text of a reference comes with its audio or codes")
            if source is not None:
                if self.references:
                    raise ValueError("give references in one form only")
                self.references = [Reference(**{name: source, "text": text or ""})]
        if self.references and self.voice.strip().lower() not in NO_VOICE:
            raise ValueError("give a voice or references, and not both")
        if self.streamed and self.speed != 1:
            raise ValueError("speed changes whole answers only: do not stream, or leave speed at 1")
        if self.response_format == "codes" and (self.speed != 1 or self.stream_format == "sse"):
            raise ValueError("codes come as lines of JSON, at speed 1")
        if len(set(self.timestamp_granularities)) < len(self.timestamp_granularities):
            raise ValueError("each of timestamp_granularities stands there once")
        if self.timestamp_granularities and self.response_format == "codes":
            raise ValueError("codes have no timestamps: ask for sound, or leave timestamp_granularities out")
        if self.timestamp_granularities and self.streamed and self.stream_format != "sse":
            raise ValueError("timestamps are streamed as events: set stream_format to 'sse', or do not stream")
        return self

    @property
    def streamed(self) -> bool:
        """Whether the answer begins before it is whole."""
        return self.stream or self.stream_format is not None
