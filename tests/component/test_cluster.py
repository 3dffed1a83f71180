"""A script over a cluster, without one: how work is cut, told and put together. With real nodes: test_cluster_nodes."""

from __future__ import annotations

import pickle
import random
import socket
import threading
from types import SimpleNamespace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_rendering import Told, job_of, rendered, rendered_on_cluster
from helpers_takes import key_of, same, some_take

from higgs_runtime import (
    CheckpointError,
    HiggsError,
    MissingExtraError,
    RenderSettings,
    Sampling,
    Script,
    ScriptError,
    SettingError,
    TakeStore,
    Turn,
    Voice,
    cli,
    errors as all_errors,
    parse_script,
)
from higgs_runtime.cli.render_view import ProgressLine
from higgs_runtime.cluster import ClusterSettings, Engine, PoolStatus, connect
from higgs_runtime.cluster.connect import connected, room
from higgs_runtime.cluster.keeper import KeptStore
from higgs_runtime.cluster.parts import Part, Parts
from higgs_runtime.cluster.speaker import _ScriptDesk
from higgs_runtime.cluster.worker import News, Ready, Worker, _sees, condensed
from higgs_runtime.errors import ClusterError, TakeError
from higgs_runtime.rendering import Silent, SpokenLine
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.takes import ObjectStore

NO_ONE = {"Narrator": Voice(description="A woman.")}


def script_of(lengths, scenes=()):
    scene_of = [name for name, count in scenes for _ in range(count)] or [""] * len(lengths)
    return Script([Turn("", "x" * length, scene=scene) for length, scene in zip(lengths, scene_of, strict=True)])


def fetched(parts, workers):
    found = []
    while (part := parts.fetch(workers)) is not None:
        found.append(part)
    return found


# ---- what is handed out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3, 64, 5000])
def test_every_turn_is_in_one_part_in_order(workers):
    lengths = [random.Random(n).randrange(1, 400) for n in range(1000)]
    script = script_of(lengths)
    parts = fetched(Parts(script, by_scene=False, batch=8), workers)
    assert [turn for part in parts for turn in part.script.turns] == list(script.turns)
    assert [part.first for part in parts] == [
        sum(len(one.script.turns) for one in parts[:n]) for n in range(len(parts))
    ]


def test_parts_become_smaller_and_the_last_ones_fill_no_batch():
    sizes = [len(part.script.turns) for part in fetched(Parts(script_of([50] * 1000), by_scene=False, batch=8), 4)]
    assert sizes[0] == 125 and sizes == sorted(sizes, reverse=True) and sizes[-1] == 1 and 8 in sizes
    assert len(sizes) < 50


def test_the_last_lines_are_shared_and_not_all_given_to_one():
    assert [len(part.script.turns) for part in fetched(Parts(script_of([50] * 6), by_scene=False, batch=8), 3)] == [
        2,
        2,
        1,
        1,
    ]


def test_scenes_stay_whole():
    scenes = [("a", 30), ("b", 1), ("c", 9), ("a", 5), ("", 2), ("d", 40)]
    script = script_of([10] * 87, scenes)
    parts = fetched(Parts(script, by_scene=True, batch=8), 4)
    assert [turn for part in parts for turn in part.script.turns] == list(script.turns)
    starts = {sum(count for _, count in scenes[:n]) for n in range(len(scenes))}
    assert {part.first for part in parts} <= starts and len(parts) > 2


def test_what_comes_back_is_next():
    parts = Parts(script_of([10] * 100), by_scene=False, batch=4)
    first, second = parts.fetch(2), parts.fetch(2)
    left = len(parts)
    parts.give_back(first)
    assert len(parts) == left + 1 and first.losses == 1 and parts.fetch(2) is first
    assert parts.fetch(2).first == second.first + len(second.script.turns)


def test_how_far_a_line_is_is_said_once():
    events = [
        (0, "queued", 0.0),
        (0, "speaking", 0.0),
        (0, "speaking", 0.2),
        (1, "speaking", 0.0),
        (0, "spoken", 0.4),
        (2, "stored", 1.0),
        (0, "again", 0.0),
        (0, "speaking", 0.1),
        (1, "speaking", 0.5),
    ]
    assert condensed(events) == [
        (0, "spoken", 0.4),
        (2, "stored", 1.0),
        (0, "again", 0.0),
        (0, "speaking", 0.1),
        (1, "speaking", 0.5),
    ]
    assert condensed([]) == []


# ---- the room ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nodes, asked, found",
    [
        ([{"CPU": 16, "GPU": 8}, {"CPU": 4}], (None, None), (8, 1, 1)),
        ([{"CPU": 2, "GPU": 8}], (None, None), (2, 1, 1)),
        ([{"CPU": 16}, {"CPU": 4}], (None, None), (5, 4, 0)),
        ([{"CPU": 16}, {}], (2, None), (8, 2, 0)),
        ([{"CPU": 16, "GPU": 1}], (4, 0.25), (4, 4, 0.25)),
        ([{"CPU": 16}], (None, 1), (0, 1, 1)),
        ([], (None, None), (0, 1, 0)),
    ],
)
def test_as_many_workers_as_there_is_room_for(nodes, asked, found):
    dead = {"Alive": False, "Resources": {"CPU": 64, "GPU": 64}}
    ray = SimpleNamespace(nodes=lambda: [dead, *({"Alive": True, "Resources": one} for one in nodes)])
    assert room(ray, *asked) == found


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"cpus": -1}, {"gpus": float("nan")}, {"patience_s": -1}])
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        ClusterSettings(**wrong)


def test_the_crew_in_words():
    assert str(PoolStatus(1, 0, 3, 0, 2, 2)) == "3 speaking, 1 waiting, 2 lost on 2 nodes"
    assert str(PoolStatus(0, 0, 0, 0, 0, 0)) == "no workers on 0 nodes"


def test_before_any_connection(tmp_path, monkeypatch):
    script, store = parse_script("[Eve] Hello."), TakeStore(tmp_path / "takes")
    with pytest.raises(ScriptError, match="Eve"):
        rendered_on_cluster(script, NO_ONE, Engine("x"), store=store)
    with pytest.raises(SettingError, match="through the store"):
        rendered_on_cluster(parse_script("Hello."), NO_ONE, Engine("x"))
    (tmp_path / "file").write_text("")
    with pytest.raises(TakeError, match="cannot be changed"):
        rendered_on_cluster(parse_script("Hello."), NO_ONE, Engine("x"), store=TakeStore(tmp_path / "file"))
    with pytest.raises(SettingError, match="Ray client"):
        rendered_on_cluster(
            parse_script("Hello."), NO_ONE, Engine("x"), store=store, cluster=ClusterSettings("ray://somewhere:10001")
        )
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match="pip install ray"), connected("auto"):
        pass
    assert list((tmp_path / "takes").iterdir()) == [], "no mark is left"


@pytest.fixture
def silent():
    """The address of somebody who listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_somebody_who_never_answers_is_not_waited_for(tmp_path, monkeypatch, silent):
    """Ray itself would go on for minutes."""
    store, cluster = TakeStore(tmp_path), ClusterSettings(silent)
    stops = iter([False, False])
    made = rendered_on_cluster(
        parse_script("Hello."), NO_ONE, Engine("x"), store=store, cluster=cluster, should_stop=lambda: next(stops, True)
    )
    assert [one.take for one in made.lines] == [None]
    monkeypatch.setattr(connect, "CONNECT_S", 0.3)
    with pytest.raises(ClusterError, match="cannot be reached.*timed out"):
        rendered_on_cluster(parse_script("Hello."), NO_ONE, Engine("x"), store=store, cluster=cluster)
    assert list(tmp_path.iterdir()) == [], "no mark is left"


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_somebody_who_is_not_ray_is_told_apart(says):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            plug, _ = listener.accept()
            with plug:
                plug.recv(1000)
                plug.sendall(says)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ClusterError, match="not Ray"), connected("127.0.0.1:%d" % listener.getsockname()[1]):
            pass


# ---- parts and the whole ----------------------------------------------------------------------------------------


def test_numbers_of_a_part_are_numbers_of_the_script():
    """The desk of the driver: chosen takes on their way out, what was heard on its way back."""
    script = Script([Turn("", "One. " * n) for n in (1, 90, 3, 1, 2)])  # the second turn is spoken in pieces
    told, taken = [], []
    events = Told(on_line=lambda line, state, _: told.append((line.number, state)), on_take=taken.append)
    chosen = RenderSettings(max_chars=200, choose={1: 4, 4: 2, 5: 9, 7: 3})
    desk = _ScriptDesk(job_of(script, {}, settings=chosen), events)
    assert told == [] and len(desk.performance().lines) == 7, "no worker, and yet the lines are there"
    desk.ready(Ready("here", None, 25.0, "native", True))
    assert told == [(n, "queued") for n in range(7)]
    part = Part(2, Script(script.turns[2:4]))
    assert desk.choice(part) == {1: 9} and desk.choice(Part(0, Script(script.turns[:2]))) == {1: 4, 4: 2}
    assert desk.choice(Part(4, Script(script.turns[4:]))) == {1: 3}
    lines = lines_of(part.script, Sampling(), 25.0, max_chars=200)
    spoken = SpokenLine(lines[1], some_take(3), "key", stored=True)
    desk.news(part, News(((0, "speaking", 0.5), (1, "stored", 1.0)), [spoken]))
    desk.news(part, News(done=[SpokenLine(lines[0]), spoken], warnings=["Odd."]))
    assert told[7:] == [(4, "speaking"), (5, "stored")] and taken[0].line.number == 5 and taken[0].line.turn == 3
    found = desk.performance()
    assert [one.take is not None for one in found.lines] == [False] * 5 + [True, False] and found.lines[5].stored
    assert not found.complete and found.warnings == ("Odd.",)
    desk = _ScriptDesk(job_of(script, {}, settings=RenderSettings(max_chars=200, choose={8: 1})), Silent())
    with pytest.raises(SettingError, match="line 8"):
        desk.ready(Ready("here", None, 25.0, "native", True))


# ---- the command ------------------------------------------------------------------------------------------------


def test_what_a_person_sees(capsys):
    view = ProgressLine()
    for n in range(3):
        view.on_line(SimpleNamespace(number=n), "queued", 0.0)
    view.on_workers(PoolStatus(0, 2, 0, 0, 0, 1))
    assert str(view).startswith("2 loading on 1 node: 0 of 3 lines, 0.0 s")
    view.on_workers(PoolStatus(0, 0, 2, 0, 0, 1))
    view.on_line(SimpleNamespace(number=0), "spoken", 2.5)
    view.on_line(SimpleNamespace(number=1), "stored", 9.0)
    assert ": 2 of 3 lines, 2.5 s" in str(view), "what is from the store says nothing of the speed"
    view.on_workers(PoolStatus(1, 0, 1, 0, 1, 1))
    view.on_workers(PoolStatus(0, 1, 1, 0, 1, 1))
    assert capsys.readouterr().err.count("a worker is lost") == 1


def test_the_command_needs_the_store(tmp_path, monkeypatch, capsys):
    (tmp_path / "scene.txt").write_text("[Anna] Good morning.\n", encoding="utf-8")
    words = ["render-script", str(tmp_path / "scene.txt"), "--voice", "rose", "--no-store", "--cluster", "local"]
    assert cli.main(words) == 1 and "leave --no-store out" in capsys.readouterr().err


# ---- errors travel ----------------------------------------------------------------------------------------------


def test_all_errors_come_out_of_a_pickle_as_they_went_in():
    kinds = [kind for kind in vars(all_errors).values() if isinstance(kind, type) and issubclass(kind, HiggsError)]
    made = [
        kind("It broke.", expected="a", got="b", remedy="Mend it.") for kind in kinds if kind is not MissingExtraError
    ]
    made.append(MissingExtraError("A cluster", "ray", "ray"))
    made[0].line = 7
    assert len(made) > 10
    for error in made:
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error) and str(back) == str(error) and vars(back) == vars(error)


# ---- a worker, in this process ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.0)


@pytest.fixture
def work(folder, tmp_path):
    def make(model=str(folder), **settings):
        store = TakeStore(tmp_path / "takes")
        store.leave_mark(".mark")
        voices = {"Narrator": Voice(random_codes(9), "What it says.")}
        sampling = Sampling(temperature=1.0, seed=5, max_frames=8)
        worker = Worker(Engine(model, device="cpu"), voices, sampling, RenderSettings(**settings), store, ".mark")
        return worker, voices, sampling, store

    return make


def test_a_worker_speaks_and_tells(work, folder):
    from higgs_runtime import load_model

    worker, voices, sampling, store = work(batch=2)
    ready = worker.open()
    assert ready.shared and ready.frame_rate == 25.0 and ready.identity.device == "cpu"
    script = parse_script("One.\n\nTwo, three.\n\nOne.")
    news = list(worker.speak(script, {}, None))
    states = [state for one in news for _, state, _ in one.events]
    assert states.count("spoken") == 2 and states.count("stored") == 1, "the same line twice is spoken once"
    local = rendered(script, voices, load_model(folder), sampling)
    for here, there in zip(local.lines, news[-1].done, strict=True):
        assert torch.equal(here.take.codes.ids, there.take.codes.ids) and there.key in store
    assert isinstance(pickle.loads(pickle.dumps(news[-1])), News)
    assert sorted(one.line.number for part in news for one in part.takes) == [0, 1, 2]
    [third] = list(worker.speak(parse_script("Two, three."), {1: 3}, None))[-1].done
    assert third.take.seed == 7, "the take that is chosen"


def test_what_ends_a_worker_is_raised_where_it_is_read(work):
    worker, *_ = work()
    worker.open()
    long = Script([Turn("", "word " * 50, settings={"max_frames": 100_000})])
    with pytest.raises(HiggsError, match="Turn 1"):
        list(worker.speak(long, {}, None))


def test_a_worker_stops(work):
    worker, _, _, store = work()
    worker.open()
    worker.stop()
    news = list(worker.speak(parse_script("One.\n\nTwo."), {}, None))
    assert [one.take for one in news[-1].done] == [None, None] and store.list() == []


def test_a_node_without_the_model_says_which_one_it_is(work):
    worker, *_ = work("no-such-model")
    with pytest.raises(CheckpointError, match="has no model 'no-such-model'.*every node"):
        worker.open()


def test_the_embedded_model_is_named(work):
    from higgs_runtime.cluster.worker import _folder

    assert (_folder("higgs-nano") / "model.safetensors").is_file()


# ---- takes through Ray ------------------------------------------------------------------------------------------


class Called:
    """In place of an actor: calls at once, and hands over pickles."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        def remote(*args, **named):
            args, named = pickle.loads(pickle.dumps((args, named)))
            return lambda: pickle.loads(pickle.dumps(getattr(self._target, name)(*args, **named)))

        return SimpleNamespace(remote=remote)


class FakeTaskError(Exception):
    def __init__(self, cause):
        self.cause = cause


def get(call):
    try:
        return call()
    except HiggsError as error:
        raise FakeTaskError(error) from error


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_kept_store_does_what_the_store_does(tmp_path, kind):
    store = TakeStore(tmp_path) if kind == "folder" else ObjectStore(f"file://{tmp_path}")
    ray = SimpleNamespace(get=get, exceptions=SimpleNamespace(RayTaskError=FakeTaskError))
    kept, key = KeptStore(ray, Called(store)), key_of(1, 3)
    assert kept.get(key) is None
    with kept.claim(key) as mine:
        assert mine
        assert same(kept.put(key, some_take(3)), some_take(3))
    with kept.claim(key) as mine:
        assert not mine
    assert same(kept.get(key), store.get(key)) and kept.takes_of(key.partition("-")[0]) == [key]
    assert kept.update_meta(key, wer=0.1).meta["wer"] == 0.1 and not kept.is_locked(key)
    store.lock_take(key)
    assert kept.is_locked(key)
    with pytest.raises(TakeError, match="key of a take"):
        kept.get("../somewhere")


def test_who_cannot_reach_the_store_does_not_see_it(tmp_path):
    """Also one of the same name that is another, as each process's memory is."""
    for store in (TakeStore(tmp_path / "takes"), ObjectStore(f"file://{tmp_path}/there")):
        assert not _sees(store, ".mark")
        store.leave_mark(".mark")
        assert _sees(pickle.loads(pickle.dumps(store)), ".mark")
    assert not _sees(ObjectStore("nonsense://bucket"), ".mark")
