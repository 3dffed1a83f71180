"""Lines into takes: what is stored is taken, the rest is spoken side by side, verified, and spoken again if need be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from ..model.config import PromptFormat
from ..prompt.builder import Message
from ..takes import Take, Takes, key_of_take
from ..text.vocabulary import has_words
from ..types import Generation, Sampling
from ..verification import Verdict, best_take
from .choice import check_choice
from .events import Events
from .job import RenderJob
from .lines import Line, alone, in_context, scenes_of
from .performance import Performance, SpokenLine
from .verifier import Verifier
from .voice_held import VoiceHeld, gentler

WAIT_S = 5.0  # for a take that another process renders, between two looks at should_stop


class LineRequest(Protocol):
    """What a session is asked for, for one line."""

    warnings: Sequence[str]


class LineSession(Protocol):
    """Speaks lines side by side, for one render.

    Attributes:
        frame_rate: frames of codes a second.
        prompt_layout: `PromptFormat` that text is prepared for; None: it is sent as it is written.
    """

    frame_rate: float
    prompt_layout: PromptFormat | None

    def request(self, line: Line, messages: Sequence[Message], *, check: bool = True) -> Any:
        """The request for a line, a `LineRequest`.

        Raises:
            PromptError: it cannot be asked for, or, if it is to be checked, is too long; it names the line.
        """

    def fits(self, request: Any, line: Line) -> bool:
        """Whether a request and the longest take of its line are within the model's positions."""
        ...

    def line_key(self, request: Any, sampling: Sampling) -> str:
        """Names a line in the store, whatever the seed: equal keys and seeds, equal codes."""
        ...

    def takes(
        self,
        requests: Sequence[Any],
        sampling: Sequence[Sampling],
        *,
        wanted: Callable[[int], bool],
        on_seconds: Callable[[int, float], None],
        should_stop: Callable[[], bool],
    ) -> Generator[tuple[int, Generation], None, None]:
        """Yields each take as soon as it is over, with the index of its request.

        Args:
            wanted: asked with the index when there is a free slot for a request; False leaves the request out.
            on_seconds: told the index, and the seconds of sound that there are.
        """
        ...


def perform_lines(job: RenderJob, session: LineSession, verifier: Verifier | None, events: Events) -> Performance:
    """A job whose lines a session speaks.

    Args:
        verifier: listens to each take; without it no line is spoken again.
    """
    lines = job.lines(session.frame_rate, session.prompt_layout)
    check_choice(job.settings.choose, len(lines))
    booth = _Booth(job, session, verifier, events)
    if job.settings.mode == "independent":
        work = [booth.work(line, session.request(line, alone(line, job.voices))) for line in lines]
        booth.queue(lines)
        booth.speak(work)
    else:
        booth.queue(lines)
        work = _by_scene(job, lines, booth)
    best = {one.line.number: one.best(booth.voices) for one in work}
    warnings = dict.fromkeys(warning for one in work for warning in (*one.line.warnings, *one.request.warnings))
    for turn in job.script.turns:
        if not has_words(turn.text):
            warnings[f"‘{turn.text}’ has no words, so it is silence."] = None
    return Performance(job.script, [best.get(line.number) or SpokenLine(line) for line in lines], tuple(warnings))


@dataclass(eq=False)
class _Work:
    """A line on its way."""

    line: Line
    request: LineRequest
    chosen: int | None = None  # the only take that counts, from 0
    tries: list[SpokenLine] = field(default_factory=list)
    locked: bool = False
    softened: bool = False  # its emotions stand behind the first word from here on

    def best(self, voices: VoiceHeld) -> SpokenLine:
        if not self.tries:
            return SpokenLine(self.line)
        tries = [voices.judged(spoken) for spoken in self.tries]
        heard = [(spoken, spoken.verdict) for spoken in tries if spoken.verdict is not None]
        whole = [spoken for spoken in tries if not _repeats(spoken)]
        best = heard[best_take([verdict for _, verdict in heard])][0] if heard else (whole or tries)[0]
        return replace(best, tries=len(self.tries))


def _by_scene(job: RenderJob, lines: list[Line], booth: _Booth) -> list[_Work]:
    """Continuous mode: line after line in each scene, as many scenes side by side as there are slots."""
    waiting, going, done = scenes_of(lines, job.script), [], []
    while (waiting or going) and not booth.events.should_stop():
        while waiting and len(going) < job.settings.batch:
            going.append((waiting.pop(0), []))
        step = [booth.work(scene[len(spoken)], _in_scene(job, scene, spoken, booth)) for scene, spoken in going]
        booth.speak(step)
        done += step
        for (_, spoken), work in zip(going, step, strict=True):
            spoken.append(work)
        going = [(scene, spoken) for scene, spoken in going if len(spoken) < len(scene) and spoken[-1].tries]
    return done


def _in_scene(job: RenderJob, scene: list[Line], spoken: list[_Work], booth: _Booth) -> LineRequest:
    """The request for a scene's next line. Turns drop out several at a time: what follows them is read anew then."""
    session = booth.session
    line, cast = scene[len(spoken)], list(dict.fromkeys(one.speaker for one in scene))
    turns = job.settings.context_turns
    first = max(0, (len(spoken) - turns) // turns * turns)
    best = [one.best(booth.voices) for one in spoken[first:]]
    before = [(one.line, one.take.codes) for one in best if one.take is not None]
    while before:
        request = session.request(line, in_context(line, job.voices, cast, before), check=False)
        if session.fits(request, line):
            return request
        before = before[len(before) // 2 + 1 :]
    return session.request(line, in_context(line, job.voices, cast, []))


def _repeats(spoken: SpokenLine) -> bool:
    return spoken.take is not None and spoken.take.finish_reason == "repeating"


class _Booth:
    """Where lines are spoken and verified."""

    def __init__(self, job: RenderJob, session: LineSession, verifier: Verifier | None, events: Events):
        self.settings, self.store, self.session = job.settings, job.store, session
        self.verifier, self.events = verifier, events
        self.voices, self._cast = VoiceHeld(), job.voices

    def queue(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self.events.on_line(line, "queued", 0.0)

    def work(self, line: Line, request: LineRequest) -> _Work:
        chosen = self.settings.choose.get(line.number + 1)
        return _Work(line, request, None if chosen is None else chosen - 1)

    def speak(self, work: Sequence[_Work]) -> None:
        """Takes of these lines until they suffice."""
        self._use_locked(work)
        chosen = {one.chosen for one in work if one.chosen is not None}
        for take in sorted({*range(self.settings.max_takes), *chosen}):
            missing = [one for one in work if self._needs(one, take)]
            for one in missing:
                if one.tries:
                    self._soften(one)
                    self.events.on_line(one.line, "again", 0.0)
            missing = [one for one in missing if not self._find(one, take)]
            while missing and not self.events.should_stop():
                missing = self._perform(missing, take)

    def _needs(self, work: _Work, take: int) -> bool:
        if work.locked:
            return False
        if work.chosen is not None:
            return take == work.chosen
        if take < self.settings.takes:
            return True
        if take >= self.settings.max_takes:  # others have a later one chosen
            return False
        if self.verifier is None:
            return all(_repeats(spoken) for spoken in work.tries)
        return not any(spoken.passed and not self.voices.lost(spoken) for spoken in work.tries)

    def _soften(self, work: _Work) -> None:
        """A line that lost its voice to its tags is spoken with the gentler placement next."""
        if work.softened or not any(map(self.voices.lost, work.tries)):
            return
        *_, (work.line, work.request) = self._placements(work)
        work.softened = True

    def _use_locked(self, work: Sequence[_Work]) -> None:
        """A take that a person locked is the one, whatever the seed."""
        if (store := self.store) is None:
            return
        for one in work:
            if one.chosen is not None:
                continue
            for line, request in self._placements(one):
                key = self.session.line_key(request, line.sampling)
                locked = [key for key in store.takes_of(key) if store.is_locked(key)]
                if locked and (take := store.get(locked[0])) is not None:
                    one.line, one.request, one.locked = line, request, True
                    self._add(one, locked[0], take, stored=True)
                    break

    def _find(self, work: _Work, take: int) -> bool:
        """Whether the store has this take; one that a person chose may have been spoken with the gentler placement."""
        if self.store is None:
            return False
        for line, request in self._placements(work) if work.chosen is not None else [(work.line, work.request)]:
            key = key_of_take(self.session.line_key(request, line.sampling), line.sampling_of(take).seed)
            if (found := self.store.get(key)) is not None:
                work.line, work.request = line, request
                self._add(work, key, found, stored=True)
                return True
        return False

    def _placements(self, work: _Work) -> Iterator[tuple[Line, LineRequest]]:
        """The line as it is, and with its emotions behind the first word, where that is another one."""
        yield work.line, work.request
        if self.settings.mode == "independent" and (line := gentler(work.line)) is not None:
            yield line, self.session.request(line, alone(line, self._cast))

    def _perform(self, work: list[_Work], take: int) -> list[_Work]:
        """Speak one take of each; returns those that another process was speaking meanwhile, if they are not there."""
        elsewhere: list[_Work] = []
        with _Claims(self.store) as claims:

            def wanted(index: int) -> bool:
                if claims.mine(self._key(work[index], take), index):
                    self.events.on_line(work[index].line, "speaking", 0.0)
                    return True
                elsewhere.append(work[index])
                self.events.on_line(work[index].line, "elsewhere", 0.0)
                return False

            spoken = self.session.takes(
                [one.request for one in work],
                [one.line.sampling_of(take) for one in work],
                wanted=wanted,
                on_seconds=lambda index, seconds: self.events.on_line(work[index].line, "speaking", seconds),
                should_stop=self.events.should_stop,
            )
            with closing(spoken):
                for index, generation in spoken:
                    self._keep(work[index], take, generation, claims)
        return [one for one in elsewhere if not self._arrives(one, take)]

    def _keep(self, work: _Work, take: int, generation: Generation, claims: _Claims) -> None:
        """Put a take into the store, and verify it."""
        key, seed = self._key(work, take), work.line.sampling_of(take).seed
        made = Take.of(generation, seed, speaker=work.line.speaker, text=work.line.written, read=work.line.text)
        if self.store is not None:
            made = self.store.put(key, made)
            claims.release(key)
        self._add(work, key, made, stored=False)

    def _arrives(self, work: _Work, take: int) -> bool:
        """Whether a take that another process was speaking is there, after waiting for it a little."""
        if self.store is not None and not self.events.should_stop():
            with self.store.claim(self._key(work, take), wait_s=WAIT_S):
                pass
        return self._find(work, take)

    def _add(self, work: _Work, key: str, take: Take, stored: bool) -> None:
        verdict = self._verify(work.line, key, take)
        spoken = SpokenLine(work.line, take, key if self.store is not None else "", verdict, stored=stored)
        work.tries.append(spoken)
        self.voices.hear(spoken)
        self.events.on_line(work.line, "stored" if stored else "spoken", take.codes.seconds)
        self.events.on_take(spoken)

    def _verify(self, line: Line, key: str, take: Take) -> Verdict | None:
        """The verdict on a take: that of the store if the same judge gave it."""
        if self.verifier is None:
            return None
        known = take.meta.get("verdict")
        if known and known["judge"] == self.verifier.judge:
            return Verdict.of(known["found"])
        verdict = self.verifier.hear(line, take.codes)
        if take.finish_reason == "repeating":
            verdict = replace(verdict, passed=False, reasons=(*verdict.reasons, "it repeats itself without an end"))
        if self.store is not None:
            noted = {"judge": self.verifier.judge, "found": asdict(verdict)}
            self.store.update_meta(key, verdict=noted, wer=verdict.wer, similarity=verdict.similarity)
        return verdict

    def _key(self, work: _Work, take: int) -> str:
        if self.store is None:
            return ""
        return key_of_take(self.session.line_key(work.request, work.line.sampling), work.line.sampling_of(take).seed)


class _Claims:
    """Takes that this process has said it speaks, until they are stored or it gives up."""

    def __init__(self, store: Takes | None):
        self._store = store
        self._held: dict[str, tuple[int, ExitStack]] = {}

    def __enter__(self) -> _Claims:
        return self

    def __exit__(self, *_) -> None:
        for key in list(self._held):
            self.release(key)

    def mine(self, key: str, index: int) -> bool:
        """Whether this process speaks the take, for this line: one that is written twice is spoken once."""
        if self._store is None:
            return True
        if key not in self._held:
            with ExitStack() as stack:
                if not stack.enter_context(self._store.claim(key)):
                    return False
                self._held[key] = index, stack.pop_all()
        return self._held[key][0] == index

    def release(self, key: str) -> None:
        self._held.pop(key)[1].close()
