"""Workers that come and go, without Ray: a stand-in of its calls, and actors that end when they are told to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from helpers_rendering import Told

from higgs_runtime import PromptError, Script, Turn
from higgs_runtime.cluster import ClusterSettings
from higgs_runtime.cluster.parts import Parts
from higgs_runtime.cluster.worker import News, Ready
from higgs_runtime.cluster.worker_pool import WorkerPool
from higgs_runtime.errors import ClusterError
from higgs_runtime.model.config import V2_SAMPLING
from higgs_runtime.takes import ModelIdentity


class Died(Exception):
    pass


class Failed(Exception):
    def __init__(self, cause):
        self.cause = cause


class Ray:
    """Calls are functions or iterators; each has its answer at once."""

    exceptions = SimpleNamespace(
        ActorDiedError=Died,
        ActorUnavailableError=Died,
        WorkerCrashedError=Died,
        ObjectLostError=Died,
        RayTaskError=Failed,
    )

    def __init__(self, cpus):
        self.cpus, self.killed = cpus, []

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": self.cpus}}]

    def wait(self, calls, num_returns, timeout):
        return calls[:num_returns], calls[num_returns:]

    def get(self, call):
        return call()

    def kill(self, actor):
        self.killed.append(actor)


def identity(weights="a"):
    return ModelIdentity(weights, "cpu", "float32", "float32", None, (), V2_SAMPLING)


class Actor:
    """Ends where `dies` says: at "hello", at "open", or when it comes to this turn's text."""

    def __init__(self, dies="", fails="", weights="a", shared=True):
        self.dies, self.fails, self.weights, self.shared, self.keepers = dies, fails, weights, shared, []
        self.hello, self.open, self.stop = (
            SimpleNamespace(remote=call)
            for call in (
                lambda: lambda: self._unless("hello", ("here", 1)),
                lambda: (
                    lambda: self._unless("open", Ready("here", identity(self.weights), 25.0, "native", self.shared))
                ),
                lambda: None,
            )
        )
        self.speak = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._speak))

    def _speak(self, script, choose, keeper):
        self.keepers.append(keeper)
        for number, turn in enumerate(script.turns):
            yield lambda turn=turn, number=number: self._unless(turn.text, News([(number, "spoken", 1.0)]))
        yield lambda: News(done=[turn.text for turn in script.turns])

    def _unless(self, where, said):
        if where == self.dies:
            raise Died(where)
        if where == self.fails:
            raise Failed(PromptError("It is too long."))
        return said


def run(actors, cpus=2, turns=12, **more):
    """What was spoken, and the states of the pool; the last actor is hired again and again."""
    ray, done, states = Ray(cpus), [], []
    waiting = list(actors)
    script = Script([Turn("", f"turn {n}") for n in range(turns)])
    should_stop = more.pop("should_stop", lambda: False)
    pool = WorkerPool(
        ray=ray,
        hire=lambda cpus, gpus: waiting.pop(0)() if len(waiting) > 1 else waiting[0](),
        keeper=lambda: "a keeper",
        parts=Parts(script, by_scene=False, batch=2),
        settings=ClusterSettings(**{"cpus": 1, "gpus": 0, "patience_s": 0.2, **more}),
        desk=SimpleNamespace(
            ready=lambda ready: None, choice=lambda part: {}, news=lambda part, news: done.extend(news.done or ())
        ),
        events=Told(on_workers=states.append, should_stop=should_stop),
    )
    pool.work()
    return done, states, ray


ALL = sorted(f"turn {n}" for n in range(12))


def test_all_is_spoken_once_and_all_workers_end():
    done, states, ray = run([Actor])
    assert sorted(done) == ALL and len(ray.killed) == 2
    assert states[-1].lost == 0 and max(state.speaking for state in states) == 2


def test_a_lost_worker_is_replaced_and_its_part_goes_to_others():
    done, states, ray = run([lambda: Actor(dies="turn 1"), Actor], cpus=1)
    assert sorted(done) == ALL and states[-1].lost == 1 and len(ray.killed) == 2


def test_a_worker_lost_before_it_speaks_is_replaced():
    for moment in ("hello", "open"):
        done, states, _ = run([lambda moment=moment: Actor(dies=moment), Actor], cpus=1)
        assert sorted(done) == ALL and states[-1].lost == 1


def test_a_part_that_ends_every_worker_is_given_up():
    with pytest.raises(ClusterError, match="speaking from turn 1 on.*3 lost.*memory"):
        run([lambda: Actor(dies="turn 1")])


@pytest.mark.parametrize("moment", ["hello", "open"])
def test_a_start_that_ends_every_worker_is_given_up(moment):
    with pytest.raises(ClusterError, match=f"loading the model.*3 lost.*{moment}"):
        run([lambda: Actor(dies=moment)])


def test_what_a_worker_cannot_do_is_the_drivers_error():
    with pytest.raises(PromptError, match="too long"):
        run([lambda: Actor(fails="turn 3")])


def test_other_weights_on_a_node():
    with pytest.raises(ClusterError, match="same model.*weights='b'"):
        run([Actor, lambda: Actor(weights="b")])


def test_no_room():
    with pytest.raises(ClusterError, match="no place.*1 CPUs"):
        run([Actor], cpus=0)


def test_no_more_workers_than_asked_for_or_useful():
    assert len(run([Actor], cpus=64, workers=3)[2].killed) == 3
    assert len(run([Actor], cpus=64, turns=2)[2].killed) == 2


def test_the_keeper_is_made_for_who_needs_it():
    made = [Actor(shared=True), Actor(shared=False)]
    run([lambda: made[0]], workers=1)
    run([lambda: made[1]], workers=1)
    assert set(made[0].keepers) == {None} and set(made[1].keepers) == {"a keeper"}


def test_it_stops_before_the_first_worker():
    done, _, ray = run([Actor], should_stop=lambda: True)
    assert done == [] and ray.killed == []
