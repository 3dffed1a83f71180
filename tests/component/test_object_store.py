"""Takes at a URL, through fsspec: in memory, in a folder that several processes use, in a store that fails."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import sys
import time

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_rendering import rendered
from helpers_takes import LINE, is_missing_until_put_again, key_of, line_of, same, some_take

from higgs_runtime import (
    HiggsWarning,
    MissingExtraError,
    RenderSettings,
    Sampling,
    SettingError,
    TakeStore,
    Voice,
    load_model,
    open_takes,
    parse_script,
)
from higgs_runtime.errors import TakeError
from higgs_runtime.takes import ObjectStore, Take, model_identity
from higgs_runtime.takes.take_files import packed_take


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    if request.param == "file":
        yield f"file://{tmp_path}/bucket/prefix"
        return
    yield "memory://bucket/prefix"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def store(url):
    return ObjectStore(url)


def object_of(store, key: str) -> tuple:
    """The file system and the path of a take."""
    return store._files, store._path(store._name(key))


# ---- what a store does -----------------------------------------------------------------------------------------


def test_takes_come_back_bit_for_bit_with_their_notes(store, url):
    key, take = key_of(1), some_take(5, speaker="Rose", text="\ud800 “Hé” 😀")
    assert store.get(key) is None and key not in store and store.list() == [] and store.takes_of(line_of(1)) == []
    assert store.put(key, take).meta["speaker"] == "Rose"
    there = ObjectStore(url).get(key)
    assert same(there, take) and there.meta["text"] == take.meta["text"] and key in store
    assert abs(there.meta["created"] - time.time()) < 60
    assert store.update_meta(key, wer=0.5).meta == {**there.meta, "wer": 0.5} == store.get(key).meta
    again = store.put(key, some_take(6, heard="a"))
    assert same(again, take) and again.meta["heard"] == "a" and again.meta["wer"] == 0.5
    [one] = store.list()
    assert (one.key, one.locked) == (key, False) and one.bytes > 400 and abs(one.used - time.time()) < 60


def test_takes_of_a_line_are_found_picked_and_locked(store):
    for seed, wer in ((12, 0.5), (3, 0.1), (7, 0.1)):
        store.put(key_of(1, seed), some_take(seed, wer=wer))
    store.put(key_of(2), some_take())
    assert store.takes_of(line_of(1)) == [key_of(1, seed) for seed in (3, 7, 12)]
    assert store.pick(line_of(1))[0] == key_of(1, 3) and store.pick(line_of(9)) is None
    store.lock_take(key_of(1, 12))
    assert store.is_locked(key_of(1, 12)) and not store.is_locked(key_of(1, 3))
    assert store.pick(line_of(1))[0] == key_of(1, 12) and store.find(f"{line_of(1)}-7") == key_of(1, 7)
    assert {one.key for one in store.list() if one.locked} == {key_of(1, 12)} and len(store.list()) == 4
    store.unlock_take(key_of(1, 12))
    store.unlock_take(key_of(1, 12))
    assert not store.is_locked(key_of(1, 12))
    with pytest.raises(TakeError, match="no take"):
        store.lock_take(key_of(5))
    with pytest.raises(TakeError, match="no take"):
        store.update_meta(key_of(5), wer=0.1)


def test_claims_only_describe_existing_takes(store):
    with store.claim(key_of(1)) as mine, store.claim(key_of(1)) as also:
        assert mine and also, "nobody has it alone"
    store.put(key_of(1), some_take())
    with store.claim(key_of(1)) as mine:
        assert not mine


@pytest.mark.parametrize("key", ["", "../x", LINE, f"{LINE}-x", None, f"{LINE}-1/../../x"])
def test_only_keys_become_names(store, key):
    for use in (store.get, store.is_locked, store.lock_take, lambda key: store.put(key, some_take())):
        with pytest.raises(TakeError, match="not the key of a take"):
            use(key)


def test_a_cancelled_take_is_refused(store):
    with pytest.raises(TakeError, match="cancelled"):
        store.put(key_of(1), Take(random_codes(3), "cancelled", 0, 1.0))
    assert store.list() == []


def test_a_pickle_opens_the_same_place(store, tmp_path):
    store.put(key_of(1), some_take())
    assert same(pickle.loads(pickle.dumps(store)).get(key_of(1)), some_take())
    folder = pickle.loads(pickle.dumps(TakeStore(tmp_path / "takes", 7)))
    assert folder.max_bytes == 7 and folder.where == str(tmp_path / "takes")


def test_marks_tell_one_place_from_another(store, tmp_path):
    for one in (store, TakeStore(tmp_path / "takes")):
        one.leave_mark(".mark")
        again = pickle.loads(pickle.dumps(one))
        assert again.has_mark(".mark") and not again.has_mark(".other") and one.list() == []
        one.remove_mark(".mark")
        one.remove_mark(".mark")
        assert not one.has_mark(".mark")


def test_a_folder_of_takes_can_be_copied_there(tmp_path):
    here, there = TakeStore(tmp_path / "here"), ObjectStore(f"file://{tmp_path}/there")
    here.put(key_of(1), some_take(3, wer=0.1))
    here.lock_take(key_of(1))
    shutil.copytree(here.folder, tmp_path / "there")
    assert same(there.get(key_of(1)), some_take(3)) and there.is_locked(key_of(1))
    assert [one.key for one in there.list()] == [key_of(1)]


# ---- which place ------------------------------------------------------------------------------------------------


def test_a_place_is_a_folder_or_a_url(tmp_path, monkeypatch):
    assert isinstance(open_takes(tmp_path), TakeStore) and open_takes(tmp_path, 5).max_bytes == 5
    assert isinstance(open_takes("memory://a"), ObjectStore) and open_takes("memory://a").max_bytes is None
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "x"))
    assert open_takes().where == str(tmp_path / "x")
    monkeypatch.setenv("HIGGS_TAKES", "s3://bucket")
    with pytest.raises(SettingError, match="names no folder"):
        open_takes()


@pytest.mark.parametrize(
    "url, words",
    [
        ("simplecache::s3://a/b", "cannot be kept there"),
        ("nonsense://a", "fsspec opens"),
        ("memory", "cannot be kept there"),
    ],
)
def test_an_invalid_location_is_refused(url, words):
    with pytest.raises(SettingError, match=words):
        ObjectStore(url).get(key_of(1))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(known_implementations, "farstore", {"class": "farfs.Far", "err": "Install farfs for this"})
    with pytest.raises(SettingError, match="Install farfs.*pip install farfs"):
        ObjectStore("farstore://bucket").get(key_of(1))
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match="pip install fsspec"):
        ObjectStore("s3://bucket").get(key_of(1))


# ---- damage and failures -----------------------------------------------------------------------------------------


def damaged(data: bytes) -> list[bytes]:
    return [
        b"",
        data[:1],
        data[: len(data) // 2],
        data[:-1],
        data + b"x",
        os.urandom(500),
        bytes(len(data)),
        data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        packed_take(key_of(2), some_take()),
    ]


def test_a_damaged_take_counts_as_missing_and_is_replaced(store):
    key, take = key_of(1), some_take(4)
    store.put(key, take)
    files, path = object_of(store, key)
    for broken in damaged(files.cat_file(path)):
        files.pipe_file(path, broken)
        with pytest.warns(HiggsWarning, match="damaged"):
            assert store.get(key) is None
        assert store.takes_of(line_of(1)) == [key], "it stays until then"
        with pytest.warns(HiggsWarning, match="damaged"):
            store.put(key, take)
        assert same(store.get(key), take)


class Failing(MemoryFileSystem):
    """A store in which calls end in the middle. `fails`: (name of the call, error, bytes that are written)."""

    protocol, cachable = "failing", False
    fails: list = []

    def _maybe(self, call: str, path: str = "", value: bytes = b"") -> None:
        if self.fails and self.fails[0][0] == call:
            _, error, written = self.fails.pop(0)
            if written is not None:
                super().pipe_file(path, value[:written])
            raise error

    def pipe_file(self, path, value, **more):
        self._maybe("put", path, value)
        return super().pipe_file(path, value, **more)

    def cat_file(self, path, **more):
        self._maybe("get")
        return super().cat_file(path, **more)

    def ls(self, path, **more):
        self._maybe("list")
        return super().ls(path, **more)


class Odd(Exception):
    """As the errors of some stores, which are no OSErrors."""


@pytest.fixture
def failing(monkeypatch):
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr(Failing, "fails", [])
    yield ObjectStore("failing://bucket/takes")
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


ERRORS = [OSError(errno.EIO, "gone"), PermissionError("Access Denied"), TimeoutError("slow"), Odd("503 Slow Down")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_failure_is_reported_and_loses_nothing(failing, error):
    failing.put(key_of(1), some_take(1))
    for call, use in (
        ("get", lambda: failing.get(key_of(1))),
        ("list", lambda: failing.takes_of(line_of(1))),
        ("list", failing.list),
        ("get", lambda: failing.is_locked(key_of(1))),
        ("get", lambda: key_of(1) in failing),
        ("put", lambda: failing.put(key_of(2), some_take(2))),
        ("put", lambda: failing.update_meta(key_of(1), wer=0.1)),
        ("put", lambda: failing.lock_take(key_of(1))),
    ):
        Failing.fails.append((call, error, None))
        with pytest.raises(TakeError, match=rf"failing://bucket/takes.*{error.args[-1]}.*still there"):
            use()
        assert Failing.fails == []
    assert same(failing.get(key_of(1)), some_take(1)) and [one.key for one in failing.list()] == [key_of(1)]
    assert "wer" not in failing.get(key_of(1)).meta and not failing.is_locked(key_of(1))


@pytest.mark.parametrize("written", [0, 1, 300])
def test_a_put_that_is_cut_off_leaves_no_take(failing, written):
    Failing.fails.append(("put", OSError("reset"), written))
    with pytest.raises(TakeError, match="reset"):
        failing.put(key_of(1), some_take(1))
    is_missing_until_put_again(failing, key_of(1), some_take(1))


def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TakeError, match="cannot be read.*Not a directory"):
        ObjectStore(f"file://{tmp_path}/file").put(key_of(1), some_take())
    with pytest.raises(TakeError, match="cannot be changed"):
        ObjectStore(f"file://{tmp_path}/file").leave_mark(".mark")


# ---- renders -----------------------------------------------------------------------------------------------------


SCRIPT = parse_script("\n".join(f"[Anna] This is line {n}." for n in range(6)))
VOICES, SETTINGS = {"Anna": Voice(random_codes(9), "Says Anna.")}, RenderSettings(batch=2)
SAMPLING = Sampling(temperature=1.0, seed=5, max_frames=8)


@pytest.fixture(scope="module")
def speaker(tmp_path_factory):
    folder = make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.0)
    model = load_model(folder, dtype=torch.float64)
    identity = model_identity(folder, device="cpu", dtype=torch.float64)

    def render(store, **more):
        return rendered(SCRIPT, VOICES, model, SAMPLING, SETTINGS, store=store, identity=identity, **more)

    return render


def test_a_render_goes_on_where_a_failing_store_ended_it(failing, speaker, tmp_path):
    expected = speaker(TakeStore(tmp_path / "takes"))
    Failing.fails += [("put", OSError("reset"), None)]
    with pytest.raises(TakeError, match="reset"):
        speaker(failing)
    kept = {one.key for one in failing.list()}
    spoken: list = []
    found = speaker(failing, on_line=lambda line, state, _: state == "spoken" and spoken.append(line.number))
    assert [one.key for one in found.lines] == [one.key for one in expected.lines]
    assert all(
        torch.equal(a.take.codes.ids, b.take.codes.ids) for a, b in zip(found.lines, expected.lines, strict=True)
    )
    assert {one.key for one in found.lines if one.stored} == kept and len(spoken) == 6 - len(kept)
    assert all(one.stored for one in speaker(failing).lines)


def test_a_locked_take_is_used_there_too(store, speaker):
    first = speaker(store).lines[0]
    other = f"{first.key.partition('-')[0]}-99"
    store.put(other, some_take(99))
    store.lock_take(other)
    assert speaker(store).lines[0].key == other
