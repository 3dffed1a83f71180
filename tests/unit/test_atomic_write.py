"""A file is there whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import os

import pytest

from higgs_runtime.atomic_write import replacing, unfinished, write_bytes


def test_it_replaces_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    for data in (b"one", b"two"):
        write_bytes(path, data, sync=True)
        assert path.read_bytes() == data and list(tmp_path.iterdir()) == [path]


def test_a_taken_name_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"one", new=True)
    with pytest.raises(FileExistsError):
        write_bytes(path, b"two", new=True)
    assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("new", [False, True])
def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch, error, new):
    path = tmp_path / "a.txt"
    if not new:
        path.write_bytes(b"before")

    def broken(*_):
        raise error

    with pytest.raises(type(error)), replacing(path, new=new) as part:
        part.write_bytes(b"half")
        broken()
    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(type(error)):
        write_bytes(path, b"whole", new=new)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == ([] if new else [b"before"])


def test_an_unfinished_file_keeps_its_suffix_and_is_hidden(tmp_path):
    with unfinished(tmp_path / "a.flac", ".flac") as part:
        part.touch()
        assert part.suffix == ".flac" and part.name.startswith(".") and part.parent == tmp_path
    assert not part.exists()
