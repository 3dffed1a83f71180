"""A script spoken by a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from ..codec import Codec
from ..errors import PromptError, SettingError
from ..generation.request import check_length, with_length_warning
from ..generation.session import Session
from ..model.config import PromptFormat
from ..model.transformer import HiggsModel
from ..prompt.builder import Message, build_prompt
from ..script import Script
from ..takes import ModelIdentity, line_key
from ..types import Generation, Prompt, Sampling
from ..verification import SilenceStop
from .events import Events
from .job import RenderJob
from .line_by_line import perform_lines
from .lines import Line, named
from .performance import Performance
from .verifier import Verifier


@dataclass(frozen=True, eq=False)
class LocalSpeaker:
    """Speaks with a model in this process: lines side by side in one batch.

    Attributes:
        codec: the model's; needed with `RenderSettings.silence_s`.
        identity: of the model; needed with a store.
        verifier: listens to each take; without it no line is spoken again.
    """

    model: HiggsModel
    codec: Codec | None = None
    identity: ModelIdentity | None = None
    verifier: Verifier | None = None

    def perform(self, job: RenderJob, events: Events) -> Performance:
        """See `render`.

        Raises:
            SettingError: a store without the model's identity, or `silence_s` without a codec.
            HiggsError: as `Session.takes`.
        """
        if job.store is not None and self.identity is None:
            raise SettingError(
                "Takes need the identity of their model.",
                expected="an identity with the store",
                got="none",
                remedy="Make it with model_identity().",
            )
        silence = None
        if job.settings.silence_s is not None:
            if self.codec is None:
                raise SettingError(
                    "Silence is known by the codec.",
                    expected="a codec with silence_s",
                    got="none",
                    remedy="Give the codec, or leave silence_s out.",
                )
            silence = SilenceStop(self.codec, job.settings.silence_s)
        session = _LocalSession(self.model, job.settings.batch, job.script, self.identity, silence)
        return perform_lines(job, session, self.verifier, events, self.codec)


class _LocalSession:
    """The `LineSession` of a model."""

    def __init__(
        self,
        model: HiggsModel,
        batch: int,
        script: Script,
        identity: ModelIdentity | None,
        silence: SilenceStop | None,
    ):
        self.frame_rate = model.config.frame_rate
        self.prompt_layout: PromptFormat | None = model.config.prompt_layout
        self._model, self._session = model, Session(model, batch=batch)
        self._script, self._identity, self._silence = script, identity, silence

    def request(self, line: Line, messages: Sequence[Message], *, check: bool = True) -> Prompt:
        with named(line, self._script):
            prompt = build_prompt(messages, self._model.tokenizer)
            if check:
                check_length(prompt, line.sampling, self._model.config)
            return with_length_warning(prompt, line.sampling, self._model.config)

    def fits(self, request: Prompt, line: Line) -> bool:
        try:
            check_length(request, line.sampling, self._model.config)
        except PromptError:
            return False
        return True

    def line_key(self, request: Prompt, sampling: Sampling) -> str:
        assert self._identity is not None, "where there is a store"
        ending = self._silence.key if self._silence else ""
        return line_key(request, sampling, self._identity, self._model.config.codec_identity, ending)

    def takes(
        self,
        requests: Sequence[Prompt],
        sampling: Sequence[Sampling],
        *,
        wanted: Callable[[int], bool],
        on_seconds: Callable[[int, float], None],
        should_stop: Callable[[], bool],
    ) -> Generator[tuple[int, Generation], None, None]:
        frames, silence = [0] * len(requests), self._silence and self._silence.anew()

        def on_frames(index: int, new) -> None:
            frames[index] += new.shape[1]
            on_seconds(index, frames[index] / self.frame_rate)

        spoken = self._session.takes(
            requests, sampling, wanted=wanted, on_frames=on_frames, should_stop=should_stop, should_end=silence
        )
        with closing(spoken):
            for index, generation in spoken:
                if silence:
                    codes = replace(generation.codes, ids=silence.cut(generation.codes.ids))
                    generation = replace(generation, codes=codes)
                yield index, generation
