"""The shared model cache: one load for many requests, least recently used out, nothing left behind."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import pytest
import torch

from higgs_runtime.errors import CheckpointError
from higgs_runtime.hub.cache import ModelCache, ModelKey, file_stats, model_bytes

KIB = 1024


def make_key(name: str, file_bytes: int = 0, mtime: int = 1, device: str = "cpu") -> ModelKey:
    return ModelKey("lm", f"/models/{name}", (("model.safetensors", file_bytes, mtime),), device, "torch.float32")


def make_model(kib: int = 1) -> torch.nn.Module:
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.zeros(kib * KIB // 4))
    return model


def use_once(cache: ModelCache, key: ModelKey, kib: int = 1) -> weakref.ref:
    with cache.use(key, lambda: make_model(kib)) as model:
        return weakref.ref(model)


def held_names(cache: ModelCache) -> list[str]:
    return [key.path.rpartition("/")[2] for key, _, _ in cache.stats().models]


def test_second_use_gets_the_same_model_without_a_load():
    cache = ModelCache()
    first = use_once(cache, make_key("a"))
    second = use_once(cache, make_key("a"))
    assert first() is second() is not None
    assert (cache.stats().loads, cache.stats().hits) == (1, 1)


def test_threads_that_ask_at_once_share_one_load():
    cache, loads, got = ModelCache(), [], []
    start = threading.Barrier(8)

    def load():
        loads.append(threading.get_ident())
        threading.Event().wait(0.1)
        return make_model()

    def ask():
        start.wait()
        with cache.use(make_key("a"), load) as model:
            got.append(id(model))

    run_threads([ask] * 8)
    assert len(loads) == 1
    assert len(got) == 8 and len(set(got)) == 1


def test_different_models_load_side_by_side():
    cache = ModelCache()
    both_loading = threading.Barrier(2, timeout=5)

    def ask(name):
        def load():
            both_loading.wait()  # breaks after 5 s if the loads come one after the other
            return make_model()

        with cache.use(make_key(name), load):
            pass

    run_threads([lambda: ask("a"), lambda: ask("b")])
    assert sorted(held_names(cache)) == ["a", "b"]


def test_failed_load_reaches_all_waiters_and_leaves_nothing():
    cache, errors = ModelCache(), []
    waiting = threading.Event()

    def fail():
        waiting.wait(5)
        raise CheckpointError("broken file")

    def ask():
        try:
            with cache.use(make_key("a"), fail):
                pass
        except CheckpointError as error:
            errors.append(str(error))

    def release():
        while cache.stats().hits < 1:
            threading.Event().wait(0.01)
        waiting.set()

    run_threads([ask, ask, release])
    assert errors == ["broken file"] * 2
    assert cache.stats().models == ()
    assert use_once(cache, make_key("a"))() is not None


def test_budget_drops_the_least_recently_used():
    cache = ModelCache(budget_bytes=3 * KIB)
    for name in "abc":
        use_once(cache, make_key(name))
    use_once(cache, make_key("a"))
    use_once(cache, make_key("d"))
    assert held_names(cache) == ["c", "a", "d"]
    assert cache.stats().bytes == 3 * KIB


def test_room_is_made_before_a_load():
    cache, held_during_load = ModelCache(budget_bytes=2 * KIB), []
    use_once(cache, make_key("a"))

    def load():
        held_during_load.extend(held_names(cache))
        return make_model(2)

    with cache.use(make_key("b", file_bytes=2 * KIB), load):
        pass
    assert held_during_load == ["b"]


def test_model_larger_than_the_budget_stays_until_the_next():
    cache = ModelCache(budget_bytes=KIB)
    use_once(cache, make_key("big"), kib=4)
    assert held_names(cache) == ["big"]
    use_once(cache, make_key("b"))
    assert held_names(cache) == ["b"]


def test_each_device_has_its_own_budget():
    cache = ModelCache(budget_bytes={"cuda:0": 2 * KIB})
    for name in "abc":
        use_once(cache, make_key(name))  # in ordinary memory, without a limit here
    for name in "xy":
        use_once(cache, make_key(name, device="cuda:0"))
    assert held_names(cache) == ["a", "b", "c", "x", "y"]
    use_once(cache, make_key("z", device="cuda:0"))
    assert held_names(cache) == ["a", "b", "c", "y", "z"]


def test_models_in_use_are_never_dropped():
    cache = ModelCache(budget_bytes=KIB)
    with cache.use(make_key("a"), make_model):
        use_once(cache, make_key("b"))
        assert "a" in held_names(cache)
        assert cache.evict(make_key("a")) is False
        cache.clear()
        assert held_names(cache) == ["a"]
    assert held_names(cache) == []


def test_asking_again_revokes_a_pending_drop():
    cache = ModelCache()
    with cache.use(make_key("a"), make_model):
        cache.evict(make_key("a"))
        use_once(cache, make_key("a"))
    assert held_names(cache) == ["a"]


def test_eviction_frees_the_weights_and_registered_state():
    cache, freed = ModelCache(), []
    model = use_once(cache, make_key("a"))
    cache.on_evict(make_key("a"), lambda: freed.append("kv cache"))
    gc.disable()  # freed by reference count, not by a later collection
    try:
        assert cache.evict(make_key("a")) is True
        assert model() is None
    finally:
        gc.enable()
    assert freed == ["kv cache"]
    assert cache.stats().evictions == 1


def test_residency_sees_each_use_and_each_drop():
    class Manager:
        def __init__(self):
            self.calls = []

        def admit(self, key, model, work_bytes):
            self.calls.append(("admit", key.path, isinstance(model, torch.nn.Module), work_bytes))

        def dropped(self, key):
            self.calls.append(("dropped", key.path))

    manager = Manager()
    cache = ModelCache(residency=manager)
    use_once(cache, make_key("a"))
    with cache.use(make_key("a"), make_model, work_bytes=lambda model: 2 * model.weight.numel()):
        pass
    cache.clear()
    assert manager.calls == [
        ("admit", "/models/a", True, 0),
        ("admit", "/models/a", True, KIB // 2),
        ("dropped", "/models/a"),
    ]


@pytest.mark.parametrize("failing", ["callback", "residency"])
def test_a_failing_drop_is_raised_and_blocks_no_other_thread(failing):
    class Manager:
        def __init__(self):
            self.dropped_names = []

        def admit(self, key, model, work_bytes):
            pass

        def dropped(self, key):
            self.dropped_names.append(key.path[-1])
            if failing == "residency":
                raise RuntimeError("graph not freed")

    def fail():
        raise RuntimeError("graph not freed")

    manager = Manager()
    cache = ModelCache(budget_bytes=2 * KIB, residency=manager)
    freed = []
    for name in "ab":
        use_once(cache, make_key(name))
        cache.on_evict(make_key(name), fail if failing == "callback" else list)
        cache.on_evict(make_key(name), lambda name=name: freed.append(name))
    with pytest.raises(RuntimeError, match="graph not freed"):
        use_once(cache, make_key("c", file_bytes=2 * KIB))
    assert sorted(manager.dropped_names) == sorted(freed) == ["a", "b"]
    assert cache.stats().models == ()
    run_threads([lambda: use_once(cache, make_key("c", file_bytes=2 * KIB))])
    assert held_names(cache) == ["c"]


def test_changed_checkpoint_replaces_the_old_one(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"1")
    cache = ModelCache()
    before = ModelKey.of("lm", tmp_path, device="cpu", dtype=torch.float32)
    use_once(cache, before)
    os.utime(weights, ns=(1, 1))
    after = ModelKey.of("lm", tmp_path, device="cpu", dtype=torch.float32)
    assert after != before
    use_once(cache, after)
    assert [key for key, _, _ in cache.stats().models] == [after]


def test_changed_checkpoint_leaves_with_its_last_user():
    cache = ModelCache()
    with cache.use(make_key("a", mtime=1), make_model):
        use_once(cache, make_key("a", mtime=2))
        assert len(cache.stats().models) == 2
    assert [key for key, _, _ in cache.stats().models] == [make_key("a", mtime=2)]


def test_the_key_distinguishes_devices_dtypes_and_quantizations(tmp_path):
    settings = [
        ("cpu", torch.float32, None),
        ("cpu", torch.bfloat16, None),
        ("cuda:0", torch.float32, None),
        ("cpu", torch.float32, "int8"),
    ]
    keys = {ModelKey.of("lm", tmp_path, device=d, dtype=t, quantization=q) for d, t, q in settings}
    assert len(keys) == 4


def test_path_and_link_to_it_are_one_model(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    keys = {ModelKey.of("lm", tmp_path / name, device="cpu", dtype=torch.float32) for name in ("real", "link")}
    assert len(keys) == 1


def test_missing_checkpoint_is_an_error_with_its_path(tmp_path):
    with pytest.raises(CheckpointError, match="gone"):
        file_stats(tmp_path / "gone")


def test_shared_weights_count_once():
    model = torch.nn.Module()
    model.embedding = torch.nn.Embedding(16, 16)
    model.head = torch.nn.Linear(16, 16, bias=False)
    model.head.weight = model.embedding.weight
    assert model_bytes(model) == 16 * 16 * 4


def run_threads(targets):
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive(), "hangs"
