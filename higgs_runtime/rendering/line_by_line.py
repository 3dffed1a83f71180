"""Lines into takes: what is stored is taken, the rest is spoken side by side, verified, and spoken again if need be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from ..codec import Codec
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
from .slots import nearest_take, speech_seconds, with_pace
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


def perform_lines(
    job: RenderJob, session: LineSession, verifier: Verifier | None, events: Events, codec: Codec | None = None
) -> Performance:
    """A job whose lines a session speaks.

    Args:
        verifier: listens to each take; without it no line is spoken again.
        codec: tells how long takes are without the silence at their ends.
    """
    lines = job.lines(session.frame_rate, session.prompt_layout)
    check_choice(job.settings.choose, len(lines))
    booth = _Booth(job, session, verifier, events, codec)
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
    takes: dict[int, SpokenLine] = field(default_factory=dict)  # by number, from 0
    locked: bool = False
    softened: bool = False  # its emotions stand behind the first word from here on

    @property
    def tries(self) -> list[SpokenLine]:
        """In the order of their numbers: of those side by side, any may be over first."""
        return [spoken for _, spoken in sorted(self.takes.items())]

    def best(self, voices: VoiceHeld) -> SpokenLine:
        if not self.takes:
            return SpokenLine(self.line)
        tries = [voices.judged(spoken) for spoken in self.tries]
        best = nearest_take(tries, self.line.slot_s) if self.line.slot_s is not None else None
        return replace(best or _most_right(tries), tries=len(tries))


def _most_right(tries: Sequence[SpokenLine]) -> SpokenLine:
    heard = [(spoken, spoken.verdict) for spoken in tries if spoken.verdict is not None]
    whole = [spoken for spoken in tries if not _repeats(spoken)]
    return heard[best_take([verdict for _, verdict in heard])][0] if heard else (whole or tries)[0]


class _Try(NamedTuple):
    """A take of a line that is asked for: its number from 0, and the line as it is read for it."""

    work: _Work
    take: int
    line: Line
    request: LineRequest


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
        going = [(scene, spoken) for scene, spoken in going if len(spoken) < len(scene) and spoken[-1].takes]
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

    def __init__(
        self, job: RenderJob, session: LineSession, verifier: Verifier | None, events: Events, codec: Codec | None
    ):
        self.settings, self.store, self.session = job.settings, job.store, session
        self.verifier, self.events = verifier, events
        self.voices, self._cast = VoiceHeld(), job.voices
        self._codec = codec
        self._measures = any(turn.wanted_s is not None for turn in job.script.turns)
        self._paced: dict[tuple[int, str], LineRequest] = {}  # requests by number and text of their line

    def queue(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self.events.on_line(line, "queued", 0.0)

    def work(self, line: Line, request: LineRequest) -> _Work:
        chosen = self.settings.choose.get(line.number + 1)
        return _Work(line, request, None if chosen is None else chosen - 1)

    def speak(self, work: Sequence[_Work]) -> None:
        """Takes of these lines until they suffice."""
        self._use_locked(work)
        self._take([(one, take) for one in work for take in range(self._side_by_side(one))])
        chosen = {one.chosen for one in work if one.chosen is not None}
        for take in sorted({*range(self.settings.max_takes), *chosen}):
            missing = [one for one in work if take not in one.takes and self._needs(one, take)]
            for one in missing:
                if one.takes:
                    self._soften(one)
                    self.events.on_line(one.line, "again", 0.0)
            self._take([(one, take) for one in missing])

    def _side_by_side(self, work: _Work) -> int:
        """How many takes of a line are spoken before one is looked at: those that its slot chooses from."""
        line = work.line
        if line.slot_s is None or line.pinned or work.locked or work.chosen is not None:
            return 0
        return max(self.settings.takes, self.settings.takes_per_slot)

    def _take(self, wanted: Sequence[tuple[_Work, int]]) -> None:
        """These takes, by number: from the store, or spoken side by side."""
        missing = [self._try(*one) for one in wanted if not self._find(*one)]
        while missing and not self.events.should_stop():
            missing = self._perform(missing)

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
                tried = [self._with_pace(line, request, take) for take in (0, 1)]
                keys = dict.fromkeys(self.session.line_key(read, line.sampling) for line, read in tried)
                locked = [key for line_key in keys for key in store.takes_of(line_key) if store.is_locked(key)]
                if locked and (take := store.get(locked[0])) is not None:
                    one.line, one.request, one.locked = line, request, True
                    self._add(_Try(one, 0, line, request), locked[0], take, stored=True)
                    break

    def _try(self, work: _Work, take: int) -> _Try:
        return _Try(work, take, *self._with_pace(work.line, work.request, take))

    def _with_pace(self, line: Line, request: LineRequest, take: int) -> tuple[Line, LineRequest]:
        """A line that has a slot, at the speed that its take of this number tries; v3 alone acts on tags of speed."""
        if self.session.prompt_layout != PromptFormat.V3 or self.settings.mode != "independent":
            return line, request
        paced = with_pace(line, take, self.settings.tempo)
        if paced is line:
            return line, request
        if (read := self._paced.get((line.number, paced.text))) is None:
            read = self._paced[line.number, paced.text] = self.session.request(paced, alone(paced, self._cast))
        return paced, read

    def _find(self, work: _Work, take: int) -> bool:
        """Whether the store has this take; one that a person chose may have been spoken with the gentler placement."""
        if self.store is None:
            return False
        for line, request in self._placements(work) if work.chosen is not None else [(work.line, work.request)]:
            tried = _Try(work, take, *self._with_pace(line, request, take))
            key = self._key(tried)
            if (found := self.store.get(key)) is not None:
                work.line, work.request = line, request
                self._add(tried, key, found, stored=True)
                return True
        return False

    def _placements(self, work: _Work) -> Iterator[tuple[Line, LineRequest]]:
        """The line as it is, and with its emotions behind the first word, where that is another one."""
        yield work.line, work.request
        if self.settings.mode == "independent" and (line := gentler(work.line)) is not None:
            yield line, self.session.request(line, alone(line, self._cast))

    def _perform(self, tries: list[_Try]) -> list[_Try]:
        """Speak these takes; returns those that another process was speaking meanwhile, if they are not there."""
        elsewhere: list[_Try] = []
        with _Claims(self.store) as claims:

            def wanted(index: int) -> bool:
                if claims.mine(self._key(tries[index]), index):
                    self.events.on_line(tries[index].work.line, "speaking", 0.0)
                    return True
                elsewhere.append(tries[index])
                self.events.on_line(tries[index].work.line, "elsewhere", 0.0)
                return False

            spoken = self.session.takes(
                [one.request for one in tries],
                [one.line.sampling_of(one.take) for one in tries],
                wanted=wanted,
                on_seconds=lambda index, seconds: self.events.on_line(tries[index].work.line, "speaking", seconds),
                should_stop=self.events.should_stop,
            )
            with closing(spoken):
                for index, generation in spoken:
                    self._keep(tries[index], generation, claims)
        return [one for one in elsewhere if not self._arrives(one)]

    def _keep(self, tried: _Try, generation: Generation, claims: _Claims) -> None:
        """Put a take into the store, and verify it."""
        key, line = self._key(tried), tried.line
        made = Take.of(
            generation, line.sampling_of(tried.take).seed, speaker=line.speaker, text=line.written, read=line.text
        )
        if self.store is not None:
            made = self.store.put(key, made)
            claims.release(key)
        self._add(tried, key, made, stored=False)

    def _arrives(self, tried: _Try) -> bool:
        """Whether a take that another process was speaking is there, after waiting for it a little."""
        if self.store is not None and not self.events.should_stop():
            with self.store.claim(self._key(tried), wait_s=WAIT_S):
                pass
        return self._find(tried.work, tried.take)

    def _add(self, tried: _Try, key: str, take: Take, stored: bool) -> None:
        work, verdict = tried.work, self._verify(tried.line, key, take)
        speech_s = speech_seconds(self._codec, take.codes) if self._measures else None
        known = key if self.store is not None else ""
        spoken = SpokenLine(tried.line, take, known, verdict, stored=stored, speech_s=speech_s)
        work.takes[tried.take] = spoken
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

    def _key(self, tried: _Try) -> str:
        if self.store is None:
            return ""
        sampling = tried.line.sampling_of(tried.take)
        return key_of_take(self.session.line_key(tried.request, sampling), sampling.seed)


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
