"""Several takes of a line, locked ones, claims, and takes as sound files."""

from __future__ import annotations

import errno
import os
import time

import pytest
import torch
from helpers_takes import age, files_in, key_of, line_of, path_of, same, some_take

from higgs_runtime import AudioClip, HiggsWarning, TakeStore
from higgs_runtime.errors import TakeError
from higgs_runtime.takes import default_takes_folder, export_takes, store as store_module
from higgs_runtime.takes.export import file_name


@pytest.fixture
def store(tmp_path):
    return TakeStore(tmp_path / "takes")


# ---- takes of a line --------------------------------------------------------------------------------------------


def test_takes_of_a_line_by_seed(store):
    for number, seed in ((1, 10), (1, 9), (2, 3), (1, 2**64 - 1), (1, 0)):
        store.put(key_of(number, seed), some_take(seed))
    assert store.takes_of(line_of(1)) == [key_of(1, seed) for seed in (0, 9, 10, 2**64 - 1)]
    assert store.takes_of(line_of(2)) == [key_of(2, 3)] and store.takes_of(line_of(3)) == []
    with pytest.raises(TakeError, match="not the key"):
        store.takes_of("../..")


@pytest.mark.parametrize(
    "notes, best",
    [
        ({1: {}, 2: {}, 0: {}}, 0),
        ({0: {}, 1: {"wer": 0.9}, 2: {}}, 1),
        ({0: {"wer": 0.2, "similarity": 0.9}, 1: {"wer": 0.1, "similarity": 0.2}}, 1),
        ({0: {"wer": 0.1, "similarity": 0.7}, 1: {"wer": 0.1, "similarity": 0.8}, 2: {"wer": 0.1}}, 1),
        ({0: {"wer": 0}, 1: {"wer": 0.0}}, 0),
        ({0: {"wer": None}, 1: {"wer": 1.5, "similarity": None}}, 1),
        ({0: {"wer": "good"}, 1: {"wer": 0.3}}, 1),
    ],
    ids=["seed", "with a verdict", "words", "voice", "equal", "none", "text"],
)
def test_the_best_take_is_picked(store, notes, best):
    for seed, note in notes.items():
        store.put(key_of(1, seed), some_take(seed, **note))
    key, take = store.pick(line_of(1))
    assert key == key_of(1, best) and same(take, some_take(best))
    for seed in sorted(notes, reverse=True):
        store.lock_take(key_of(1, seed))
        if seed == max(notes):
            assert store.pick(line_of(1))[0] == key_of(1, seed), "the locked one"
    assert store.pick(line_of(1))[0] == key_of(1, best), "among the locked"


def test_picking_is_no_use_and_passes_damage_by(store):
    for seed in (0, 1):
        store.put(key_of(1, seed), some_take(seed))
        age(store, key_of(1, seed), 10_000)
    path_of(store, key_of(1, 0)).write_bytes(b"")
    with pytest.warns(HiggsWarning, match="damaged"):
        assert store.pick(line_of(1))[0] == key_of(1, 1)
    assert store.list()[0].used < time.time() - 9000


def test_locks_are_for_takes_that_are_there(store):
    with pytest.raises(TakeError, match="no take"):
        store.lock_take(key_of(1))
    store.unlock_take(key_of(1))
    store.put(key_of(1), some_take())
    store.lock_take(key_of(1))
    store.lock_take(key_of(1))
    assert store.is_locked(key_of(1)) and TakeStore(store.folder).is_locked(key_of(1))
    store.put(key_of(1), some_take())
    assert store.is_locked(key_of(1))


def test_the_beginning_of_a_key_is_enough(store):
    for number, seed in ((1, 0), (1, 10), (2, 0)):
        store.put(key_of(number, seed), some_take(seed))
    assert store.find("02") == key_of(2) == store.find(" 0223 ") == store.find(key_of(2))
    assert store.find("01-10") == key_of(1, 10) and store.find(key_of(1, 10).upper()) == key_of(1, 10)
    assert store.find("01-0") == key_of(1, 0)
    for start, got in (("01", "2 takes"), ("", "3 takes"), ("ff", "0 takes"), ("01-1", "0 takes"), ("-0", "2 takes")):
        with pytest.raises(TakeError, match=got):
            store.find(start)


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HIGGS_TAKES", "~/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_takes_folder() == tmp_path / "mine"
    monkeypatch.delenv("HIGGS_TAKES")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_takes_folder() == tmp_path / ".cache" / "higgs_audio" / "takes"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_takes_folder() == tmp_path / "x" / "higgs_audio" / "takes"


# ---- claims (several processes: test_takes_processes) -----------------------------------------------------------


def test_a_claim_is_for_one(store):
    other = TakeStore(store.folder)
    with store.claim(key_of(1)) as mine:
        with other.claim(key_of(1)) as second, store.claim(key_of(1)) as third, other.claim(key_of(2)) as free:
            assert (mine, second, third, free) == (True, False, False, True)
    with other.claim(key_of(1)) as mine:
        assert mine, "it was not rendered"
        other.put(key_of(1), some_take())
    with store.claim(key_of(1)) as mine:
        assert not mine, "it is there"
    assert [name for name in files_in(store) if key_of(1) in name] == [f"{key_of(1)}.safetensors"]


def test_a_claim_ends_with_an_error(store):
    with pytest.raises(ZeroDivisionError):
        with store.claim(key_of(1)) as mine:
            assert mine
            raise ZeroDivisionError
    with store.claim(key_of(1)) as mine:
        assert mine


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM])
def test_without_locks_everybody_renders_and_the_first_take_stays(store, monkeypatch, code):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    other = TakeStore(store.folder)
    with store.claim(key_of(1)) as mine, other.claim(key_of(1)) as too:
        assert mine and too
        first, second = store.put(key_of(1), some_take(1)), other.put(key_of(1), some_take(2, heard="x"))
    assert same(first, second) and same(store.get(key_of(1)), first) and store.get(key_of(1)).meta["heard"] == "x"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX")
def test_a_folder_that_is_only_read(store, monkeypatch):
    take = store.put(key_of(1), some_take())

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(store_module.os, "utime", refused)
    monkeypatch.setattr(store_module.Path, "mkdir", refused)
    assert same(store.get(key_of(1)), take)
    with store.claim(key_of(2)) as mine:
        assert mine
    with pytest.raises(TakeError, match="Permission denied"):
        store.put(key_of(2), take)


# ---- export -----------------------------------------------------------------------------------------------------


class Tones:
    """In place of a codec: one second for each frame, as loud as it is told."""

    def __init__(self, peak=0.5):
        self.peak = peak

    def decode(self, codes):
        return AudioClip(torch.full((1, 100 * codes.frames), self.peak), 8000)


def test_export_writes_over_nothing(store, tmp_path):
    for number, seed in ((1, 3), (2, 3)):
        store.put(key_of(number, seed), some_take(seed, speaker="Rose", line=7))
        age(store, key_of(number, seed), 100 - number)
    store.put(key_of(3, 0), some_take(0, frames=0))
    out = tmp_path / "new" / "folder"
    written = export_takes(store, out, Tones())
    assert [path.name for path in written] == ["0007-Rose-seed3.flac", "0007-Rose-seed3 (2).flac"]
    assert AudioClip.load(written[0]).length == 2000
    again = export_takes(store, out, Tones(peak=3.0), [key_of(1, 3)], suffix=".wav")
    assert [path.name for path in again] == ["0007-Rose-seed3.wav"]
    assert float(AudioClip.load(again[0]).samples.max()) > 0.99
    before = written[0].read_bytes()
    assert export_takes(store, out, Tones(), [key_of(1, 3)])[0].name == "0007-Rose-seed3 (3).flac"
    assert written[0].read_bytes() == before and len(list(out.iterdir())) == 4


def test_export_that_fails_leaves_nothing(store, tmp_path):
    store.put(key_of(1), some_take())
    with pytest.raises(TakeError, match="no take"):
        export_takes(store, tmp_path / "out", Tones(), [key_of(2)])
    with pytest.raises(ValueError, match="audio format"):
        export_takes(store, tmp_path / "out", Tones(), suffix=".xyz")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(TakeError, match="cannot be written"):
        export_takes(store, tmp_path / "file", Tones())


@pytest.mark.parametrize(
    "speaker, line, name",
    [
        ("Rose", 12, "0012-Rose-seed0"),
        ("", None, "seed0"),
        ("CON", None, "CON-seed0"),
        (None, "x", "seed0"),
        ('a/b\\c:d*e?f"g<h>i|j', 1, "0001-a_b_c_d_e_f_g_h_i_j-seed0"),
        ("../..", 1, "0001-_-seed0"),
        ("aux.txt", None, "_aux.txt-seed0"),
        ("\x00\n\ud800", 1, "0001-_-seed0"),
        ("小明", 1, "0001-小明-seed0"),
        ("x" * 500, 1, f"0001-{'x' * 40}-seed0"),
        ("Dot. ", 1, "0001-Dot-seed0"),
        (17, True, "0001-17-seed0"),
    ],
)
def test_names_that_every_system_takes(speaker, line, name):
    assert file_name(some_take(speaker=speaker, line=line)) == name
    assert len(f"{name} (99).flac".encode()) < 255
