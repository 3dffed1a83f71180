"""What is kept from one start to the next is checked whenever it is read."""

from __future__ import annotations

import json

import pytest

from higgs_runtime import kept as module
from higgs_runtime.kept import kept

FROM = {"what": "numbers", "codec": "abc"}


class Maker:
    """Counts how often a value was made."""

    def __init__(self, value):
        self.value, self.times = value, 0

    def __call__(self):
        self.times += 1
        return self.value


def numbers(value) -> bool:
    return isinstance(value, list) and all(type(one) is int for one in value)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.delenv(module.SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "higgs_audio" / "kept"


def test_a_value_is_made_once_for_what_it_follows_from(folder):
    make = Maker([1, 2])
    assert [kept(FROM, make, numbers) for _ in range(3)] == [[1, 2]] * 3
    assert make.times == 1 and len(list(folder.iterdir())) == 1
    assert kept({**FROM, "codec": "abd"}, make, numbers) == [1, 2]
    assert make.times == 2


def changed(record: dict, **fields) -> str:
    return json.dumps({**record, **fields})


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: "",
        lambda record: "[" * 100_000,
        lambda record: "[]",
        lambda record: json.dumps(record)[:-3],
        lambda record: changed(record, value=[1, 3]),
        lambda record: changed(record, value="[1, 2]", hash=module._hash("[1, 2]")),
        lambda record: changed(record, made_from={**FROM, "codec": "abd"}),
        lambda record: changed(record, hash=None),
        lambda record: json.dumps(record) + " " * module.MOST_BYTES,
    ],
    ids=["empty", "deep", "list", "cut off", "value", "kind", "of another", "no hash", "long"],
)
def test_a_file_that_does_not_pass_is_made_anew(folder, damage):
    make = Maker([1, 2])
    kept(FROM, make, numbers)
    [file] = folder.iterdir()
    whole = file.read_text()
    file.write_text(damage(json.loads(whole)))
    assert kept(FROM, make, numbers) == [1, 2]
    assert make.times == 2 and file.read_text() == whole


def test_the_switch_neither_reads_nor_writes(folder, monkeypatch):
    make = Maker([1, 2])
    kept(FROM, Maker([3]), numbers)
    monkeypatch.setenv(module.SWITCH, "0")
    assert kept(FROM, make, numbers) == [1, 2]
    monkeypatch.delenv(module.SWITCH)
    assert kept(FROM, make, numbers) == [3]


def test_a_folder_that_cannot_be_written_costs_the_time_and_nothing_else(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    make = Maker([1, 2])
    assert [kept(FROM, make, numbers) for _ in range(2)] == [[1, 2]] * 2
    assert make.times == 2


def test_no_home_is_no_hindrance(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(module.Path, "home", nowhere)
    assert kept(FROM, Maker([1, 2]), numbers) == [1, 2]
