"""The store of takes in one process: whole or not at all, damage, a full disk, the budget."""

from __future__ import annotations

import errno
import os
import shutil
import time
import warnings

import pytest
import torch
from helpers_checkpoint import random_codes
from helpers_examples import examples
from helpers_takes import LINE, age, files_in, key_of, path_of, same, some_take
from hypothesis import given, settings, strategies as st

from higgs_runtime import Codes, Generation, HiggsWarning, SettingError, TakeStore, atomic_write
from higgs_runtime.errors import TakeError
from higgs_runtime.takes import Take, store as store_module


@pytest.fixture
def store(tmp_path):
    return TakeStore(tmp_path / "takes")


# ---- put and get ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "codes",
    [
        random_codes(1),
        random_codes(750),
        random_codes(3, num_codebooks=1),
        random_codes(0),
        Codes(torch.tensor([[0, 1023]]), 25.0, 1024),
        Codes(torch.tensor([[0, 2**15 - 1]]), 86.13, 2**15),
        Codes(torch.tensor([[0, 2**20]], dtype=torch.int32), 12.5, 2**20 + 1, "x"),
        random_codes(9, codec="ü"),
    ],
    ids=["one frame", "30 s", "one codebook", "no frame", "ends", "all of int16", "beyond int16", "codec"],
)
def test_a_take_comes_back_bit_for_bit(store, codes):
    take = Take(Codes(codes.ids.long(), codes.frame_rate, codes.codebook_size, codes.codec), "length", 2**64 - 1, 0.1)
    assert store.get(key_of(1)) is None and key_of(1) not in store
    store.put(key_of(1), take)
    assert same(TakeStore(store.folder).get(key_of(1)), take) and key_of(1) in store
    assert path_of(store, key_of(1)).stat().st_size < 1000 + 4 * codes.ids.numel()


def test_generate_returns_a_storable_take(store):
    made = Generation(random_codes(4), torch.zeros(0, 8), "stop", 1.5, 9)
    take = Take.of(made, 7, speaker="Rose", line=3)
    assert (take.codes, take.finish_reason, take.seed, take.seconds) == (made.codes, "stop", 7, 1.5)
    assert take.meta == {"speaker": "Rose", "line": 3}


@settings(max_examples=examples(40), deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters()),
            lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_any_notes_come_back(tmp_path_factory, notes):
    store = TakeStore(tmp_path_factory.mktemp("takes"))
    store.put(key_of(1), some_take(**{"created": 1.0}))
    store.update_meta(key_of(1), **notes)
    assert store.get(key_of(1)).meta == {"created": 1.0, **notes}


@pytest.mark.parametrize("text", ["\ud800 lone", "\x00\x1b[2J", '"}\n{"', "../../etc", "😀" * 5000, "\u202e"])
def test_hostile_texts_come_back(store, text):
    store.put(key_of(1), some_take(text=text, speaker=text))
    assert store.get(key_of(1)).meta["text"] == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x", torch.zeros(1), {1j: 2}])
def test_notes_that_are_no_json_are_refused(store, value):
    with pytest.raises(SettingError, match="not JSON"):
        some_take(wer=value)
    store.put(key_of(1), some_take())
    with pytest.raises(SettingError, match="not JSON"):
        store.update_meta(key_of(1), wer=value)
    assert "wer" not in store.get(key_of(1)).meta


def test_notes_are_added_and_the_rest_stays(store):
    take = store.put(key_of(1), some_take(seed=4, speaker="Rose"))
    assert abs(take.meta["created"] - time.time()) < 60
    changed = store.update_meta(key_of(1), wer=0.1, speaker="Ross")
    assert changed.meta == {**take.meta, "wer": 0.1, "speaker": "Ross"} == store.get(key_of(1)).meta
    assert same(store.get(key_of(1)), take)
    with pytest.raises(TakeError, match="no take"):
        store.update_meta(key_of(2), wer=0.1)
    assert files_in(store) == [f"{key_of(1)}.safetensors"]


def test_the_first_codes_stay_and_notes_join(store):
    first = store.put(key_of(1), some_take(seed=1, wer=0.2, heard="a"))
    there = store.put(key_of(1), some_take(seed=2, heard="b", speaker="Rose"))
    assert same(there, first) and same(store.get(key_of(1)), first)
    assert there.meta == {**first.meta, "heard": "b", "speaker": "Rose"} == store.get(key_of(1)).meta


def test_a_cancelled_take_is_refused(store):
    with pytest.raises(TakeError, match="cancelled"):
        store.put(key_of(1), Take(random_codes(3), "cancelled", 0, 1.0))
    assert not store.folder.exists()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "../x",
        LINE,
        f"{LINE}-",
        f"{LINE}-x",
        f"{LINE.upper()}-1",
        f"{LINE}-1\n",
        None,
        f"{LINE}-1/../../x",
        f"{LINE}-{10**20}",
    ],
)
def test_only_keys_become_file_names(store, key):
    for use in (store.get, store.is_locked, store.lock_take, lambda key: store.put(key, some_take())):
        with pytest.raises(TakeError, match="not the key of a take"):
            use(key)
    assert not store.folder.exists()


# ---- damage -----------------------------------------------------------------------------------------------------


def damaged(data: bytes) -> dict[str, bytes]:
    at = data.rindex(b'"seconds') if b'"seconds' in data else len(data) // 2
    return {
        "empty": b"",
        "a byte": data[:1],
        "half": data[: len(data) // 2],
        "last byte gone": data[:-1],
        "a byte more": data + b"x",
        "noise": os.urandom(500),
        "text": b"not a take",
        "zeros": bytes(len(data)),
        "a bit of the codes": data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        "a letter of the notes": data[:at] + b"'" + data[at + 1 :],
        "huge header": (2**60).to_bytes(8, "little") + data[8:],
    }


@pytest.mark.parametrize("kind", damaged(b"0123456789"))
def test_a_damaged_file_is_set_aside_and_counts_as_missing(store, kind):
    take = some_take()
    store.put(key_of(1), take)
    path = path_of(store, key_of(1))
    path.write_bytes(damaged(path.read_bytes())[kind])
    with pytest.warns(HiggsWarning, match="damaged .* counts as missing"):
        assert store.get(key_of(1)) is None
    assert not path.exists() and len(list((store.folder / "broken").iterdir())) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.get(key_of(1)) is None
        store.put(key_of(1), take)
        assert same(store.get(key_of(1)), take)


def test_a_damaged_file_is_replaced_by_the_next_take(store):
    store.put(key_of(1), some_take(seed=1))
    path_of(store, key_of(1)).write_bytes(b"")
    with store.claim(key_of(1)) as mine:
        assert not mine, "get has to be asked first: it finds the damage"
    with pytest.warns(HiggsWarning, match="damaged"):
        there = store.put(key_of(1), some_take(seed=2))
    assert same(there, some_take(seed=2)) and same(store.get(key_of(1)), there)


def test_a_file_under_another_name_is_no_take(store):
    store.put(key_of(1), some_take())
    path = path_of(store, key_of(1))
    shutil.copy(path, path.with_name(f"{key_of(1, seed=8)}.safetensors"))
    with pytest.warns(HiggsWarning, match="do not fit"):
        assert store.get(key_of(1, seed=8)) is None
    assert store.get(key_of(1)) is not None


def test_foreign_files_are_left_alone(store):
    store.put(key_of(1), some_take())
    folder = path_of(store, key_of(1)).parent
    foreign = [
        store.folder / "notes.txt",
        store.folder / "zz",
        folder / "Thumbs.db",
        folder / f"{key_of(1)}.txt",
        folder / "x.safetensors",
        folder / f"{LINE}.safetensors",
    ]
    for file in foreign:
        file.write_text("mine")
    assert [one.key for one in store.list()] == [key_of(1)]
    assert store.prune(0, grace_s=-1).files == 1 and store.list() == []
    assert [file.read_text() for file in foreign] == ["mine"] * len(foreign)


def test_a_missing_folder_is_an_empty_store(store):
    assert store.list() == [] and store.takes_of(LINE) == [] and store.pick(LINE) is None
    assert store.prune(0).left_bytes == 0 and not store.folder.exists()


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    store = TakeStore(tmp_path / "file")
    with pytest.raises(TakeError, match="could not be stored"):
        store.put(key_of(1), some_take())
    assert store.get(key_of(1)) is None


def test_a_disk_that_fails_to_read_is_an_error_and_no_missing_take(store, monkeypatch):
    store.put(key_of(1), some_take())

    def failing(path, key):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store_module, "read_take", failing)
    with pytest.raises(TakeError, match="cannot be read.*Input/output"):
        store.get(key_of(1))
    assert not (store.folder / "broken").exists()


# ---- a full disk ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_on_a_full_disk_the_old_state_stays(store, monkeypatch, step):
    old = store.put(key_of(1), some_take(wer=0.5))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def __init__(self, *args):
            self.file = open(*args)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[:10])
            full()

    take = some_take(seed=2)
    with monkeypatch.context() as patched:
        if step == "write":
            patched.setattr(atomic_write, "open", Full, raising=False)
        else:
            patched.setattr(atomic_write.os, step, full)
        for failing in (lambda: store.put(key_of(2), take), lambda: store.update_meta(key_of(1), wer=0.1)):
            with pytest.raises(TakeError, match="No space left on device.*higgs takes prune"):
                failing()
    assert files_in(store) == [f"{key_of(1)}.safetensors"]
    assert same(store.get(key_of(1)), old) and store.get(key_of(1)).meta == old.meta
    assert same(store.put(key_of(2), take), take), "the caller still has it"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_a_really_full_device(store, monkeypatch):
    """What the system itself says: the part is a device that is always full."""
    monkeypatch.setattr(atomic_write, "open", lambda path, mode: open("/dev/full", "wb"), raising=False)
    with pytest.raises(TakeError, match="No space left"):
        store.put(key_of(1), some_take())
    assert files_in(store) == []


# ---- budget -----------------------------------------------------------------------------------------------------


def test_prune_takes_the_least_recently_used_and_no_locked_one(store):
    for number in range(8):
        store.put(key_of(number), some_take())
        age(store, key_of(number), 10_000 - number)
    store.get(key_of(0))
    age(store, key_of(0), 5000)
    store.peek(key_of(1))
    store.lock_take(key_of(2))
    size = store.list()[0].bytes
    done = store.prune(4 * size)
    assert (done.files, done.bytes, done.left_bytes, done.kept_bytes) == (4, 4 * size, 4 * size, size)
    assert [one.key for one in store.list()] == [key_of(number) for number in (0, 7, 6, 2)]
    assert [one.locked for one in store.list()] == [False, False, False, True]
    assert store.prune(0).left_bytes == size and [one.key for one in store.list()] == [key_of(2)]
    store.unlock_take(key_of(2))
    assert store.prune(0).left_bytes == 0 == len(store.list())


def test_prune_spares_what_a_running_render_may_need(store):
    for number, seconds in enumerate((store_module.GRACE_S + 60, store_module.GRACE_S - 60, 0)):
        store.put(key_of(number), some_take())
        age(store, key_of(number), seconds)
    done = store.prune(0)
    assert done.files == 1 and [one.key for one in store.list()] == [key_of(2), key_of(1)]
    assert done.left_bytes == done.kept_bytes > 0


def test_takes_dated_in_the_future_age_like_the_others(store):
    for number, seconds in enumerate((-(10**8), -(10**6), 10_000)):
        store.put(key_of(number), some_take())
        age(store, key_of(number), seconds)
    rest = path_of(store, key_of(0)).parent / ".abc.part"
    rest.write_bytes(b"x")
    os.utime(rest, (time.time() + 10**8,) * 2)
    assert store.prune(0).files == 1 and [one.used <= time.time() for one in store.list()] == [True] * 2
    for file in (*(path_of(store, one.key) for one in store.list()), rest):
        passed = file.stat().st_mtime - store_module.GRACE_S - 60
        os.utime(file, (passed, passed))
    assert store.prune(0).files == 2 and not rest.exists()
    store.put(key_of(3), some_take())
    age(store, key_of(3), -(10**8))
    assert store.prune(0, grace_s=0).files == 1 and store.list() == []


def test_a_take_that_is_asked_for_meanwhile_stays(store, monkeypatch):
    store.put(key_of(1), some_take())
    age(store, key_of(1), 10_000)
    found = store.list()
    monkeypatch.setattr(store, "list", lambda: found)
    assert TakeStore(store.folder).get(key_of(1)) is not None
    assert store.prune(0).files == 0 and key_of(1) in store


def test_put_keeps_the_budget(store, monkeypatch):
    monkeypatch.setattr(store_module, "GRACE_S", 0.0)
    size = store_module.write_take(store.folder / "x", key_of(1), some_take(created=1.0))
    (store.folder / "x").unlink()
    store.max_bytes = 20 * size
    for number in range(50):
        store.put(key_of(number), some_take(number, created=1.0))
        age(store, key_of(number), 10_000 - number)
        if number == 0:
            store.lock_take(key_of(0))
        assert sum(one.bytes for one in store.list()) <= store.max_bytes
    kept = [one.key for one in store.list()]
    assert 17 <= len(kept) <= 21 and kept[:-1] == [key_of(n) for n in range(49, 50 - len(kept), -1)]
    assert kept[-1] == key_of(0)


def test_within_the_budget_put_does_not_look_at_the_whole_store(store, monkeypatch):
    looked = []
    everything = store.list
    monkeypatch.setattr(store, "list", lambda: looked.append(1) or everything())
    for number in range(30):
        store.put(key_of(number), some_take())
    assert len(looked) == 1


def test_prune_clears_up_after_killed_processes(store):
    store.put(key_of(1), some_take())
    folder = path_of(store, key_of(1)).parent
    old = [folder / ".abc.part", folder / f"{key_of(1, 5)}.claim"]
    for file in (*old, folder / ".new.part"):
        file.write_bytes(b"x")
    for file in old:
        os.utime(file, (1, 1))
    with store.claim(key_of(1, 9)) as mine:
        assert mine
        os.utime(folder / f"{key_of(1, 9)}.claim", (1, 1))
        store.prune(10**9)
        assert (folder / f"{key_of(1, 9)}.claim").exists(), "somebody renders it"
    assert not any(file.exists() for file in old) and (folder / ".new.part").exists() and key_of(1) in store


@pytest.mark.parametrize("size", [-1, float("nan"), float("inf")])
def test_a_budget_is_a_number_of_bytes(tmp_path, size):
    with pytest.raises(SettingError, match="max_bytes"):
        TakeStore(tmp_path, size)
    with pytest.raises(SettingError, match="max_bytes"):
        TakeStore(tmp_path).prune(size)
