"""A render on a cluster in a process of its own: what goes there, what comes back, and how it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_cluster import LINES, SAMPLING, SETTINGS, VOICES, children, engine, script_of
from helpers_rendering import rendered, rendered_in_child_process
from helpers_takes import key_of, same, some_take

from higgs_runtime import (
    CheckpointError,
    MissingExtraError,
    RenderJob,
    RenderSettings,
    Sampling,
    Script,
    ScriptError,
    TakeStore,
    Turn,
    Voice,
    errors as all_errors,
    load_model,
    parse_script,
)
from higgs_runtime.cluster import ClusterSettings, ClusterSpeaker, Engine, PoolStatus, child_process
from higgs_runtime.cluster.job import read_job, remove_job, write_job
from higgs_runtime.errors import ClusterError, TakeError
from higgs_runtime.rendering import Listening
from higgs_runtime.rendering.json_events import error_fields, error_of, spoken_fields
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.rendering.performance import SpokenLine
from higgs_runtime.takes import model_identity
from higgs_runtime.verification import Limits, Verdict

LOCAL = ClusterSettings("local", cpus=1)
SCRIPT = parse_script("[Anna] One.\n[Ben] Two.\n[Anna] Three.")
CALM = {name: Voice(description="Calm.") for name in ("Anna", "Ben")}


# ---- what goes there --------------------------------------------------------------------------------------------


def test_a_job_comes_out_of_its_files_as_it_went_in(tmp_path):
    script = Script(
        [
            Turn(
                "Anna",
                "“Hé,\nyou” 😀",
                0.3,
                {"seed": 2**64 - 1, "temperature": 0.1, "take": 3},
                7,
                "a hall",
                0.2,
                (1.0, 2.5),
            ),
            Turn("", "Two.", fit_s=2.4),
        ]
    )
    voices = {
        "Anna": Voice(random_codes(9), "Words.", "Old.", ((random_codes(5, seed=3), "More."),)),
        "Narrator": Voice(description="A woman."),
    }
    job = RenderJob(
        script=script,
        voices=voices,
        sampling=Sampling(seed=2**64 - 1, top_p=0.1 + 0.2),
        settings=RenderSettings(
            mode="continuous", choose={3: 2}, silence_s=None, takes_per_slot=7, slowest=0.8, fastest=1.3
        ),
        store=TakeStore(tmp_path / "takes", None),
    )
    engine = Engine(
        "m",
        device="cpu",
        dtype="float32",
        quantization="int8",
        adapters=(("a", 0.3), ("b", 1.0)),
        codec="c",
        listening=Listening("r", compare_voices=True, limits=Limits(max_wer=0.123), name="name"),
        codec_dtype="float16",
    )
    speaker = ClusterSpeaker(engine, ClusterSettings("local", workers=2, gpus=0.25))
    file = write_job(tmp_path, job, speaker)
    back, same_speaker = read_job(file)
    assert back.script == script and back.script.turns[0].line == 7 and same_speaker == speaker
    assert (back.sampling, back.settings) == (job.sampling, job.settings)
    assert (back.store.where, back.store.max_bytes) == (job.store.where, None)
    assert list(back.voices) == list(voices)
    for here, there in zip(voices.values(), back.voices.values(), strict=True):
        assert (here.transcript, here.description) == (there.transcript, there.description)
        for (codes, words), (others, same_words) in zip(here.references, there.references, strict=True):
            assert torch.equal(codes.ids, others.ids) and words == same_words
            assert codes.origin == others.origin and codes.frame_rate == others.frame_rate
    remove_job(file)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == []


def test_errors_keep_kind_and_words():
    kinds = [
        kind
        for kind in vars(all_errors).values()
        if isinstance(kind, type) and issubclass(kind, all_errors.HiggsError) and kind is not MissingExtraError
    ]
    made = [kind("It broke.", expected="a", got="b", remedy="Mend it.") for kind in kinds]
    for error in [*made, MissingExtraError("A cluster", "ray", "ray")]:
        back = error_of(json.loads(json.dumps(error_fields(error))))
        assert type(back) is type(error) and str(back) == str(error) and back.remedy == error.remedy


# ---- what comes back, told by a program in place of the real one -------------------------------------------------


class Fake:
    """Has `render_in_child_process` start a program that tells these things, then does something else."""

    def __init__(self, monkeypatch, tmp_path):
        self.store, self.place = TakeStore(tmp_path / "takes"), tmp_path / "place"
        self.lines = lines_of(SCRIPT, Sampling(), 25.0, max_chars=300)
        self._monkeypatch, self.told = monkeypatch, []
        monkeypatch.setattr(child_process, "STOP_S", 0.5)
        folder = child_process.TemporaryDirectory
        monkeypatch.setattr(folder, "__init__", self._note(folder.__init__))

    def _note(self, init):
        def noted(this, *args, **named):
            init(this, *args, **named)
            self.place = Path(this.name)

        return noted

    def tells(self, *said: dict, then: str = "") -> None:
        words = "".join(json.dumps(one) + "\n" for one in said)
        program = f"import os, signal, sys, time; os.write(1, {words.encode()!r}); {then}"
        self._monkeypatch.setattr(child_process, "PROGRAM", program)

    def queued(self) -> list[dict]:
        return [{"event": "queued", **asdict(line)} for line in self.lines]

    def spoken(self, number: int, **more) -> dict:
        key = key_of(number)
        self.store.put(key, some_take(0))
        return spoken_fields(SpokenLine(self.lines[number], some_take(0), key, **more))

    def render(self, **more):
        told = {
            "on_line": lambda line, state, _: self.told.append((line.number, state)),
            "on_workers": self.told.append,
            "on_take": lambda spoken: self.told.append((spoken.line.number, spoken.key)),
        }
        return rendered_in_child_process(SCRIPT, CALM, Engine("x"), store=self.store, **{**told, **more})


@pytest.fixture
def fake(monkeypatch, tmp_path):
    fake = Fake(monkeypatch, tmp_path)
    yield fake
    assert not fake.place.exists(), "the job's files are gone"


def test_news_become_a_performance(fake):
    verdict = Verdict(True, 0.1, 0.05, None, 1.0, "two", ("fine",))
    first, third = fake.spoken(0, speech_s=0.7), fake.spoken(2, stored=True)
    second = fake.spoken(1, verdict=verdict, tries=2)
    fake.tells(
        {"event": "workers", "waiting": 0, "loading": 1, "speaking": 0, "idle": 0, "lost": 0, "nodes": 1},
        *fake.queued(),
        {"event": "line", "number": 0, "state": "speaking", "seconds": 0.4},
        {"event": "take", **first},
        {"event": "line", "number": 0, "state": "spoken", "seconds": 0.8},
        {"event": "take", **third},
        {"event": "done", "lines": [third, first, second], "warnings": ["Odd."], "files": []},
    )
    made = fake.render()
    assert fake.told == [
        PoolStatus(0, 1, 0, 0, 0, 1),
        (0, "queued"),
        (1, "queued"),
        (2, "queued"),
        (0, "speaking"),
        (0, key_of(0)),
        (0, "spoken"),
        (2, key_of(2)),
    ]
    assert [one.line for one in made.lines] == fake.lines and made.complete and made.warnings == ("Odd.",)
    assert [one.stored for one in made.lines] == [False, False, True] and made.lines[1].verdict == verdict
    assert [one.speech_s for one in made.lines] == [0.7, None, None]
    assert made.lines[1].tries == 2 and same(made.lines[1].take, fake.store.get(key_of(1)))


def test_a_take_that_was_told_outlives_the_store(fake):
    """A render may take longer than a take is safe from pruning."""
    first = fake.spoken(0)
    fake.tells(
        *fake.queued(), {"event": "take", **first}, {"event": "done", "lines": [first], "warnings": [], "files": []}
    )
    made = fake.render(on_take=lambda _: fake.store.prune(0, grace_s=-1))
    assert same(made.lines[0].take, some_take(0)) and fake.store.list() == []


def test_a_take_that_is_gone_is_an_error(fake):
    first = fake.spoken(0)
    fake.store.prune(0, grace_s=-1)
    fake.tells(*fake.queued(), {"event": "take", **first})
    with pytest.raises(TakeError, match="spoken on the cluster and is not in the store"):
        fake.render()


def test_an_error_is_raised_here(fake):
    fake.tells({"event": "error", **error_fields(MissingExtraError("A cluster", "ray", "ray"))}, then="sys.exit(1)")
    with pytest.raises(MissingExtraError, match="pip install ray"):
        fake.render()


@pytest.mark.parametrize(
    "then, words",
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("sys.exit('No such thing.')", r"exit status 1 \(No such thing"),
        ('os.write(1, b\'{"event": "done", "lines"\')', "exit status 0"),
    ],
)
def test_an_end_without_a_word_is_an_error_and_says_what_is_known(fake, then, words):
    fake.tells(*fake.queued(), {"event": "take", **fake.spoken(0)}, then=then)
    with pytest.raises(ClusterError, match=words) as caught:
        fake.render()
    assert "is in the store" in caught.value.remedy and len(fake.store.list()) == 1


def test_a_stop_closes_its_input_and_keeps_what_is_told_after_it(fake):
    first, second = fake.spoken(0), fake.spoken(1)
    last = json.dumps({"event": "done", "lines": [first, second], "warnings": [], "files": []}) + "\n"
    fake.tells(*fake.queued(), {"event": "take", **first}, then=f"sys.stdin.read(); os.write(1, {last.encode()!r})")
    made = fake.render(should_stop=lambda: (0, key_of(0)) in fake.told)
    assert [one.take is not None for one in made.lines] == [True, True, False] and (1, key_of(1)) not in fake.told


@pytest.mark.parametrize("deaf", ["time.sleep(60)", "signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
def test_one_that_does_not_stop_is_ended(fake, deaf):
    fake.tells(*fake.queued(), {"event": "take", **fake.spoken(0)}, then=deaf)
    began = time.monotonic()
    made = fake.render(should_stop=lambda: (0, key_of(0)) in fake.told)
    assert [one.take is not None for one in made.lines] == [True, False, False]
    assert time.monotonic() - began < 30, "of 60 s"


def test_a_stop_before_anything_is_known_has_all_lines_and_no_take(fake):
    fake.tells(then="time.sleep(60)")
    made = fake.render(should_stop=lambda: True)
    assert [one.take for one in made.lines] == [None] * 3 and not made.complete


def test_an_error_of_who_is_told_ends_it(fake):
    fake.tells(*fake.queued(), then="time.sleep(60)")

    def fail(*_):
        raise KeyError("a page that left")

    with pytest.raises(KeyError):
        fake.render(on_line=fail)
    assert not children(os.getpid(), "time.sleep")


@pytest.mark.slow
def test_it_ends_when_its_parent_is_killed(tmp_path):
    child = f"import os, sys; os.write(1, b'{{}}\\n'); sys.stdin.read(); open({str(tmp_path / 'gone')!r}, 'w')"
    parent = f"""import sys; sys.path[:0] = {sys.path!r}
from helpers_rendering import rendered_in_child_process
from higgs_runtime.cluster import Engine
from higgs_runtime import TakeStore, Voice, parse_script
from higgs_runtime.cluster import child_process
child_process.PROGRAM = {child!r}
rendered_in_child_process(parse_script("Hi."), {{"Narrator": Voice(description="Calm.")}}, Engine("x"),
                        store=TakeStore({str(tmp_path)!r}), should_stop=lambda: print("on", flush=True))
"""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", parent],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout.readline() == b"on\n"
        process.kill()
    end = time.monotonic() + 30
    while not (tmp_path / "gone").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


# ---- the real program --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_wrong_with_the_job_is_said_there_and_raised_here(tmp_path):
    with pytest.raises(ScriptError, match="none for Ben"):
        rendered_in_child_process(SCRIPT, {"Anna": Voice(description="Calm.")}, Engine("x"), store=TakeStore(tmp_path))


@pytest.mark.slow
def test_a_stop_while_nobody_answers_takes_a_moment(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began, connected = time.monotonic(), []

        def should_stop() -> bool:
            if not connected and select.select([listener], [], [], 0)[0]:
                connected.append(time.monotonic())
            assert time.monotonic() < began + 120
            return bool(connected)

        address = f"127.0.0.1:{listener.getsockname()[1]}"
        made = rendered_in_child_process(
            SCRIPT,
            CALM,
            Engine("x"),
            store=TakeStore(tmp_path),
            cluster=ClusterSettings(address),
            should_stop=should_stop,
        )
        assert [one.take for one in made.lines] == [None] * 3 and time.monotonic() - connected[0] < 4, "of 10 s"


def test_without_ray_it_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "ray.py").write_text("raise ImportError('none')")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {child_process.PROGRAM}"
    monkeypatch.setattr(child_process, "PROGRAM", program)
    with pytest.raises(MissingExtraError, match="pip install ray"):
        rendered_in_child_process(SCRIPT, CALM, Engine("x"), store=TakeStore(tmp_path / "takes"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("ray")
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    folder = tmp_path_factory.mktemp("apart")
    make_lm_checkpoint(folder / "lm", stream_end=1.0)
    return folder


@pytest.mark.slow
def test_takes_are_those_of_this_process_and_a_killed_render_goes_on(folder, tmp_path):
    """A real Ray: the process is killed, another is stopped, a third ends; then nothing is left to speak here."""
    script, store, states = script_of(LINES), TakeStore(tmp_path / "takes"), Counter()

    def render(on_line=lambda *_: None, **more):
        return rendered_in_child_process(
            script, VOICES, engine(folder), SAMPLING, SETTINGS, store=store, cluster=LOCAL, on_line=on_line, **more
        )

    def kill(line, state, _seconds):
        if state == "spoken" and len(store.list()) >= 3:
            for pid in children(os.getpid(), "higgs_runtime.cli"):
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(ClusterError, match="killed by signal 9"):
        render(kill)
    kept = {one.key for one in store.list()}
    assert 3 <= len(kept) < LINES

    stop = threading.Event()
    stopped = render(lambda line, state, _: state == "spoken" and stop.set(), should_stop=stop.is_set)
    assert not stopped.complete and any(one.take for one in stopped.lines) and len(stopped.lines) == LINES
    kept |= {one.key for one in store.list()}

    made = render(lambda line, state, _: states.update([(state, line.number)]))
    assert made.complete and {one.key for one in made.lines if one.stored} >= kept
    assert all(states["queued", n] == 1 for n in range(LINES))
    assert len(list(store.folder.glob(".cluster-*"))) <= 1, "of the one that was killed"
    identity = model_identity(folder / "lm", device="cpu", dtype=torch.float64)
    model = load_model(folder / "lm", dtype=torch.float64)
    here = rendered(script, VOICES, model, SAMPLING, SETTINGS, store=store, identity=identity)
    assert all(one.stored for one in here.lines), "the same keys"
    alone = rendered(script, VOICES, model, SAMPLING, SETTINGS)
    for a, b, c in zip(made.lines, here.lines, alone.lines, strict=True):
        assert a.line == b.line and a.key == b.key and torch.equal(a.take.codes.ids, c.take.codes.ids)


@pytest.mark.slow
def test_an_error_of_a_worker_is_raised_here(folder, tmp_path):
    with pytest.raises(CheckpointError, match="has no model 'no-such-folder'"):
        rendered_in_child_process(
            script_of(2),
            VOICES,
            replace(engine(folder), model="no-such-folder"),
            SAMPLING,
            SETTINGS,
            store=TakeStore(tmp_path),
            cluster=LOCAL,
        )
