"""Takes in S3: the real client (s3fs) with a server of S3's own protocol on this machine (moto)."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers_checkpoint import random_codes
from helpers_takes import is_missing_until_put_again, key_of, line_of, same, some_take

from higgs_runtime import cli
from higgs_runtime.errors import TakeError
from higgs_runtime.takes import ObjectStore, Take

pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow  # test_object_store has the same of a store in memory
ROOT = Path(__file__).resolve().parents[2]
BUCKET = "takes-of-a-test"


@pytest.fixture(scope="module", autouse=True)
def server():
    """S3 as the environment names it, for this process and for those that it starts."""
    import s3fs

    threaded = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    threaded.start()
    host, port = threaded.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            patched.setenv(name, value)
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield
    threaded.stop()


@pytest.fixture
def store(request):
    return ObjectStore(f"s3://{BUCKET}/{request.node.name}")


def test_takes_locks_and_notes_are_kept(store):
    key, take = key_of(1), some_take(5, text="\ud800 “Hé” 😀")
    assert store.get(key) is None and key not in store and store.list() == [] and store.takes_of(line_of(1)) == []
    store.put(key, take)
    assert same(ObjectStore(store.where).get(key), take) and key in store
    assert store.update_meta(key, wer=0.5).meta == store.get(key).meta
    store.put(key_of(1, 12), some_take(12))
    assert store.takes_of(line_of(1)) == [key, key_of(1, 12)] and not store.is_locked(key)
    store.lock_take(key)
    assert store.is_locked(key) and {one.key: one.locked for one in store.list()} == {key: True, key_of(1, 12): False}
    store.unlock_take(key)
    store.unlock_take(key)
    assert not store.is_locked(key) and all(one.bytes > 400 and one.used > 1.7e9 for one in store.list())
    store.leave_mark(".mark")
    assert store.has_mark(".mark") and not store.has_mark(".other")


def test_writes_of_other_processes_are_seen_at_once(store):
    """The client remembers names; a store must not."""
    store.put(key_of(1, 5), some_take(5))
    assert store.takes_of(line_of(1)) == [key_of(1, 5)] and len(store.list()) == 1 and not store.is_locked(key_of(1))
    program = (
        f"import sys; sys.path[:0] = {[str(ROOT / folder) for folder in ('', 'tests/helpers', 'tools')]!r}\n"
        "from higgs_runtime.takes import ObjectStore; from helpers_takes import key_of, some_take\n"
        f"store = ObjectStore({store.where!r}); store.put(key_of(1), some_take(1)); store.lock_take(key_of(1))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
    assert store.takes_of(line_of(1)) == [key_of(1), key_of(1, 5)] and store.is_locked(key_of(1))
    assert len(store.list()) == 2


def test_a_damaged_take_is_missing_until_it_is_written_again(store):
    store.put(key_of(1), some_take(1))
    path = store._path(store._name(key_of(1)))
    store._files.pipe_file(path, store._files.cat_file(path)[:-20])
    is_missing_until_put_again(store, key_of(1), some_take(1))


def test_many_at_once_write_the_same_takes(store):
    def write(turn: int) -> None:
        for n in range(12):
            number = (n + 3 * turn) % 12
            store.put(key_of(number), some_take(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(store.list()) == 12 and all(same(store.get(key_of(n)), some_take(n)) for n in range(12))


def test_a_bucket_that_there_is_not_is_an_error():
    nowhere = ObjectStore("s3://no-such-bucket/takes")
    assert nowhere.get(key_of(1)) is None
    with pytest.raises(TakeError, match="cannot be changed"):
        nowhere.put(key_of(1), some_take())


def test_the_command_lists_the_takes(store, capsys):
    store.put(key_of(1), Take(random_codes(9), "stop", 0, 0.1, {"speaker": "Rose", "text": "Hello."}))
    assert cli.main(["takes", "ls", "--store", store.where]) == 0
    said = capsys.readouterr().out
    assert "Rose: Hello." in said and f"in {store.where}" in said
