"""A script into takes: what is stored is taken, the rest is spoken side by side, heard, and spoken again if need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from ..codec import Codec
from ..errors import SettingError, check_range
from ..generation.session import Session, ShouldStop
from ..model.transformer import HiggsModel
from ..script import Script
from ..settings import SETTINGS, check_settings, default_of
from ..takes import ModelIdentity, Take, Takes, line_key, take_key
from ..types import Generation, Prompt, Sampling, Voice
from ..verification import SilenceStop, Verdict, best_take
from .choice import check_choice
from .lines import Line, alone, check_cast, fits, in_context, lay_out, lines_of, scenes_of
from .performance import Performance, SpokenLine
from .verifier import Verifier

State = Literal["queued", "speaking", "spoken", "stored", "again", "elsewhere"]
OnLine = Callable[[Line, State, float], None]
OnTake = Callable[[SpokenLine], None]
WAIT_S = 5.0  # for a take that another process renders, between two looks at should_stop


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How a script is rendered.

    Attributes:
        mode: "independent": each line knows its voice only, so all are spoken side by side and none drifts.
            "continuous": each line also hears the turns before it in its scene; scenes are spoken side by side.
        context_turns: in continuous mode, how many turns back a line hears at least, where there are so many; up to
            one less than twice that, so that most of what was read need not be read again.
        max_chars: turns that are longer are spoken in pieces of at most so many characters.
        takes: of each line; the best is chosen by listening to them.
        max_takes: go on until one passes, at most so many; as `takes` where nobody listens.
        batch: lines that are spoken side by side, at most.
        language: of the script, ISO 639-1; None: any.
        read_scenes: the model reads what the script says of a scene; else scenes only part the script.
        choose: number of a line, from 1 -> the take to use, from 1, whatever is heard in it or locked. Seeds count up
            from take to take.
        silence_s: seconds of silence that end a line which the model does not end; None: only its longest does.
        prepare: turns are prepared for the model, as `prepare_text` does; else read as they are written.
        spell_numbers: figures in words, where turns are prepared.

    Raises:
        SettingError: a value out of its range.
    """

    mode: Literal["independent", "continuous"] = "independent"
    context_turns: int = default_of("context_turns")
    max_chars: int = default_of("max_chars")
    takes: int = default_of("takes")
    max_takes: int = default_of("max_takes")
    batch: int = default_of("batch")
    language: str | None = None
    read_scenes: bool = True
    choose: Mapping[int, int] = field(default_factory=dict)
    silence_s: float | None = None
    prepare: bool = default_of("prepare")
    spell_numbers: bool = default_of("spell_numbers")

    def __post_init__(self):
        if self.mode not in ("independent", "continuous"):
            raise SettingError(
                "There is no such mode.",
                expected="'independent' or 'continuous'",
                got=repr(self.mode),
                remedy="Choose one of these.",
            )
        check_settings(self, ("context_turns", "takes", "batch"))
        SETTINGS["max_chars"].check(self.max_chars, remedy="200 to 400 suit speech.")
        if self.silence_s is not None:
            SETTINGS["silence_s"].check(self.silence_s)
        SETTINGS["max_takes"].check(self.max_takes, least=self.takes, remedy="It cannot be below `takes`.")
        for take in self.choose.values():
            check_range("choose", take, 1, 1_000_000, "Takes count from 1.")


@dataclass(eq=False)
class _Work:
    """A line on its way."""

    line: Line
    prompt: Prompt
    chosen: int | None = None  # the only take that counts, from 0
    tries: list[SpokenLine] = field(default_factory=list)
    locked: bool = False

    def best(self) -> SpokenLine:
        if not self.tries:
            return SpokenLine(self.line)
        heard = [spoken for spoken in self.tries if spoken.verdict is not None]
        best = heard[best_take([spoken.verdict for spoken in heard])] if heard else self.tries[0]
        return replace(best, tries=len(self.tries))


def render_script(
    script: Script,
    voices: Mapping[str, Voice],
    model: HiggsModel,
    sampling: Sampling | None = None,
    settings: RenderSettings | None = None,
    *,
    store: Takes | None = None,
    identity: ModelIdentity | None = None,
    verifier: Verifier | None = None,
    codec: Codec | None = None,
    on_line: OnLine | None = None,
    on_take: OnTake | None = None,
    should_stop: ShouldStop | None = None,
) -> Performance:
    """Speak a script.

    Args:
        voices: by the names of the speakers; turns without one are the Narrator's.
        store: where takes are looked for first and kept as soon as they are made: what breaks off goes on there.
            Several processes may render one script from one store; each line is spoken by one of them.
        identity: of the model; needed with a store.
        verifier: listen to each take; without them no line is spoken again.
        codec: knows silence; needed with `silence_s`.
        on_line: told what happens to a line, and the seconds that there are of it; first that each is queued.
        on_take: told each take that is considered, once it was heard.
        should_stop: asked before every step; what is spoken until then is kept.

    Raises:
        ScriptError: a speaker has no voice.
        PromptError: a line cannot be spoken; it names the line. Nothing is spoken then, in independent mode.
        SettingError: a store without the model's identity, or `silence_s` without a codec; a take is chosen of a line
            that there is not.
        HiggsError: as `Session.takes`; what was spoken until then is in the store.
    """
    if store is not None and identity is None:
        raise SettingError(
            "Takes need the identity of their model.",
            expected="an identity with the store",
            got="none",
            remedy="Make it with model_identity().",
        )
    settings = settings or RenderSettings()
    check_cast(script, voices)
    lines = lines_of(
        script,
        sampling or Sampling(),
        model.config.frame_rate,
        max_chars=settings.max_chars,
        language=settings.language,
        read_scenes=settings.read_scenes,
        spell_numbers=settings.spell_numbers,
        prepare_for=model.config.prompt_layout if settings.prepare else None,
    )
    check_choice(settings.choose, len(lines))
    if settings.silence_s is not None and codec is None:
        raise SettingError(
            "Silence is known by the codec.",
            expected="a codec with silence_s",
            got="none",
            remedy="Give the codec, or leave silence_s out.",
        )
    silence = None if settings.silence_s is None else SilenceStop(codec, settings.silence_s)
    told = _Events(on_line or (lambda *_: None), on_take or (lambda _: None), should_stop or (lambda: False))
    booth = _Booth(model, settings, store, identity, verifier, silence, told)
    if settings.mode == "independent":
        work = [booth.work(line, lay_out(line, alone(line, voices), model.tokenizer, script)) for line in lines]
        told.queued(lines)
        booth.speak(work)
    else:
        told.queued(lines)
        work = _scenes(script, lines, voices, model, settings, booth)
    found = {one.line.number: one.best() for one in work}
    warnings = dict.fromkeys(warning for one in work for warning in (*one.line.warnings, *one.prompt.warnings))
    return Performance(script, [found.get(line.number) or SpokenLine(line) for line in lines], tuple(warnings))


def _scenes(
    script: Script,
    lines: list[Line],
    voices: Mapping[str, Voice],
    model: HiggsModel,
    settings: RenderSettings,
    booth: _Booth,
) -> list[_Work]:
    """Continuous mode: line after line in each scene, as many scenes side by side as there are rows."""
    waiting, going, done = scenes_of(lines, script), [], []
    while (waiting or going) and not booth.told.should_stop():
        while waiting and len(going) < settings.batch:
            going.append((waiting.pop(0), []))
        step = [
            booth.work(scene[len(spoken)], _prompt(script, scene, spoken, voices, model, settings))
            for scene, spoken in going
        ]
        booth.speak(step)
        done += step
        for (_, spoken), work in zip(going, step, strict=True):
            spoken.append(work)
        going = [(scene, spoken) for scene, spoken in going if len(spoken) < len(scene) and spoken[-1].tries]
    return done


def _prompt(
    script: Script,
    scene: list[Line],
    spoken: list[_Work],
    voices: Mapping[str, Voice],
    model: HiggsModel,
    settings: RenderSettings,
) -> Prompt:
    """The prompt of a scene's next line. Turns drop out several at a time: what follows them is read anew then."""
    line, cast = scene[len(spoken)], list(dict.fromkeys(one.speaker for one in scene))
    first = max(0, (len(spoken) - settings.context_turns) // settings.context_turns * settings.context_turns)
    before = [(one.line, one.best().take.codes) for one in spoken[first:]]
    while before:
        prompt = lay_out(line, in_context(line, voices, cast, before), model.tokenizer, script, check=False)
        if fits(prompt, line, model.config):
            return prompt
        before = before[len(before) // 2 + 1 :]
    return lay_out(line, in_context(line, voices, cast, []), model.tokenizer, script)


@dataclass(frozen=True)
class _Events:
    """Who is told of what happens, and asked whether to go on."""

    on_line: OnLine
    on_take: OnTake
    should_stop: ShouldStop

    def queued(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self.on_line(line, "queued", 0.0)


class _Booth:
    """Where lines are spoken and heard."""

    def __init__(
        self,
        model: HiggsModel,
        settings: RenderSettings,
        store: Takes | None,
        identity: ModelIdentity | None,
        verifier: Verifier | None,
        silence: SilenceStop | None,
        told: _Events,
    ):
        self.settings, self.store, self.identity, self.verifier = settings, store, identity, verifier
        self.told, self.on_line, self.should_stop = told, told.on_line, told.should_stop
        self._codec, self._silence = model.config.codec_identity, silence
        self._ending = silence.key if silence else ""
        self._session = Session(model, batch=settings.batch)
        self._rate = model.config.frame_rate

    def work(self, line: Line, prompt: Prompt) -> _Work:
        chosen = self.settings.choose.get(line.number + 1)
        return _Work(line, prompt, None if chosen is None else chosen - 1)

    def speak(self, work: Sequence[_Work]) -> None:
        """Takes of these lines until they suffice."""
        self._use_locked(work)
        chosen = {one.chosen for one in work if one.chosen is not None}
        for take in sorted({*range(self.settings.max_takes), *chosen}):
            missing = [one for one in work if self._needs(one, take)]
            for one in missing:
                if one.tries:
                    self.on_line(one.line, "again", 0.0)
            missing = [one for one in missing if not self._find(one, take)]
            while missing and not self.should_stop():
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
        return self.verifier is not None and not any(spoken.verdict.passed for spoken in work.tries)

    def _use_locked(self, work: Sequence[_Work]) -> None:
        """A take that a person locked is the one, whatever the seed."""
        for one in work if self.store is not None else ():
            if one.chosen is not None:
                continue
            line = line_key(one.prompt, one.line.sampling, self.identity, self._codec, self._ending)
            locked = [key for key in self.store.takes_of(line) if self.store.is_locked(key)]
            if locked and (take := self.store.get(locked[0])) is not None:
                self._add(one, locked[0], take, stored=True)
                one.locked = True

    def _find(self, work: _Work, take: int) -> bool:
        """Whether the store has this take."""
        if self.store is None or (found := self.store.get(self._key(work, take))) is None:
            return False
        self._add(work, self._key(work, take), found, stored=True)
        return True

    def _perform(self, work: list[_Work], take: int) -> list[_Work]:
        """Speak one take of each; returns those that another process was speaking meanwhile, if they are not there."""
        elsewhere: list[_Work] = []
        seconds, silence = [0.0] * len(work), self._silence and self._silence.anew()
        with _Claims(self.store) as claims:

            def wanted(index: int) -> bool:
                if claims.mine(self._key(work[index], take), index):
                    self.on_line(work[index].line, "speaking", 0.0)
                    return True
                elsewhere.append(work[index])
                self.on_line(work[index].line, "elsewhere", 0.0)
                return False

            def on_frames(index: int, frames) -> None:
                seconds[index] += frames.shape[1] / self._rate
                self.on_line(work[index].line, "speaking", seconds[index])

            with closing(
                self._session.takes(
                    [one.prompt for one in work],
                    [one.line.sampling_of(take) for one in work],
                    wanted=wanted,
                    on_frames=on_frames,
                    should_stop=self.should_stop,
                    should_end=silence,
                )
            ) as spoken:
                for index, generation in spoken:
                    if silence:
                        codes = replace(generation.codes, ids=silence.cut(generation.codes.ids))
                        generation = replace(generation, codes=codes)
                    self._keep(work[index], take, generation, claims)
        return [one for one in elsewhere if not self._arrives(one, take)]

    def _keep(self, work: _Work, take: int, generation: Generation, claims: _Claims) -> None:
        """Put a take into the store, and hear it."""
        key, seed = self._key(work, take), work.line.sampling_of(take).seed
        made = Take.of(generation, seed, speaker=work.line.speaker, text=work.line.text)
        if self.store is not None:
            made = self.store.put(key, made)
            claims.release(key)
        self._add(work, key, made, stored=False)

    def _arrives(self, work: _Work, take: int) -> bool:
        """Whether a take that another process was speaking is there, after waiting for it a little."""
        if not self.should_stop():
            with self.store.claim(self._key(work, take), wait_s=WAIT_S):
                pass
        return self._find(work, take)

    def _add(self, work: _Work, key: str, take: Take, stored: bool) -> None:
        verdict = self._hear(work.line, key, take)
        spoken = SpokenLine(work.line, take, key if self.store is not None else "", verdict, stored=stored)
        work.tries.append(spoken)
        self.on_line(work.line, "stored" if stored else "spoken", take.codes.seconds)
        self.told.on_take(spoken)

    def _hear(self, line: Line, key: str, take: Take) -> Verdict | None:
        """The verdict on a take: that of the store if the same judge gave it."""
        if self.verifier is None:
            return None
        known = take.meta.get("verdict")
        if known and known["judge"] == self.verifier.judge:
            return Verdict(**{**known["found"], "reasons": tuple(known["found"]["reasons"])})
        verdict = self.verifier.hear(line, take.codes)
        if self.store is not None:
            noted = {"judge": self.verifier.judge, "found": asdict(verdict)}
            self.store.update_meta(key, verdict=noted, wer=verdict.wer, similarity=verdict.similarity)
        return verdict

    def _key(self, work: _Work, take: int) -> str:
        if self.store is None:
            return ""
        return take_key(work.prompt, work.line.sampling_of(take), self.identity, self._codec, self._ending)


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
