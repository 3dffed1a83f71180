"""Downloads from a hub on this computer: whole or not at all, resumed, checked, stopped, refused."""

from __future__ import annotations

import errno
import json
import shutil
import sys
import threading
import time
from dataclasses import replace

import pytest
from helpers_hub import BIG, FETCHED, FILES, HUBERT, LM, NEW, content, fetched_bytes

from higgs_runtime import SettingError
from higgs_runtime.errors import DownloadError, StoppedError
from higgs_runtime.hub.catalog import find_checkpoints
from higgs_runtime.hub.download import RECORD, download, plan_download
from higgs_runtime.hub.releases import RELEASES, release_named

module = sys.modules["higgs_runtime.hub.download"]


def left_hidden(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".partial"))


def test_a_release_arrives_whole_and_says_where_it_is_from(hub, tmp_path):
    told = []
    plan = plan_download(LM, tmp_path)
    assert (plan.revision, plan.total_bytes, plan.complete) == (LM.revision, 600_000 + 1800 + 32 + 8, False)
    assert not list(tmp_path.iterdir()), "planning writes nothing"
    done = download(LM, tmp_path, on_progress=lambda *now: told.append(now))
    folder = tmp_path / LM.name
    assert done.target == folder and content(folder) == {name: FILES[name] for name in FETCHED}
    record = json.loads((folder / RECORD).read_text())
    assert (record["repository"], record["revision"]) == (LM.repository, LM.revision)
    assert "Community License" in record["licence"] and sorted(record["files"]) == FETCHED
    assert told and told[-1] == (plan.total_bytes, plan.total_bytes) and told == sorted(told)
    assert [item.label for item in find_checkpoints([tmp_path])] == [LM.name] and left_hidden(tmp_path) == []
    asked = len(hub.asked)
    assert download(LM, tmp_path).complete and len(hub.asked) == asked, "what is there is not asked for"


def test_of_one_file_and_the_same_in_shards_only_the_file_is_fetched(hub, tmp_path):
    """As v2's repository has them: 23 GB in all, where 11.6 are told."""
    index = "model.safetensors.index.json"
    shards = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    both = [*FETCHED, index, *shards, "README.md"]
    assert sorted(LM.wanted(both)) == FETCHED
    only_shards = [name for name in both if name != "model.safetensors"]
    assert sorted(LM.wanted(only_shards)) == sorted(set(only_shards) - {"README.md"})
    assert plan_download(LM, tmp_path).total_bytes < 700_000


def test_a_release_without_a_known_revision_is_pinned_when_it_is_begun(hub, tmp_path):
    hub.break_after, hub.breaks = 100, 99
    with pytest.raises(DownloadError, match="connection"):
        download(HUBERT, tmp_path)
    hub.repositories[HUBERT.repository]["b" * 40] = {"config.json": b"{}", "model.safetensors": BIG[:9000]}
    hub.breaks = 0
    assert download(HUBERT, tmp_path).revision == "a" * 40
    assert sorted(content(tmp_path / "hubert_base")) == ["config.json", "pytorch_model.bin"]
    assert download(HUBERT, tmp_path).complete
    other = tmp_path / "other"
    assert download(HUBERT, other).revision == "b" * 40
    assert sorted(content(other / "hubert_base")) == ["config.json", "model.safetensors"]


def test_a_revision_may_be_named(hub, tmp_path):
    hub.repositories[LM.repository][NEW] = {**FILES, "config.json": b'{"model_type": "higgs_audio_v2", "new": 1}'}
    assert download(LM, tmp_path, revision="main").revision == NEW
    assert download(LM, tmp_path, revision="main").complete
    with pytest.raises(DownloadError, match=f"there already.*{NEW[:12]}"):
        download(LM, tmp_path)
    with pytest.raises(DownloadError, match="no such revision"):
        download(LM, tmp_path / "x", revision="e" * 40)
    original = RELEASES["higgs-audio-v2-tokenizer-original"]
    hub.repositories[original.repository] = {original.revision: {"config.json": b"{}", "model.safetensors": BIG}}
    with pytest.raises(DownloadError, match=r"does not hold this release.*\*.pth"):
        download(original, tmp_path)


@pytest.mark.parametrize("whole_always", [False, True])
def test_a_broken_connection_is_made_again_where_it_broke(hub, tmp_path, whole_always):
    hub.break_after, hub.breaks, hub.whole_always = 200_000, 2, whole_always
    if whole_always:  # a server without ranges: each try sends all from the start
        hub.breaks = 1
    download(LM, tmp_path)
    assert content(tmp_path / LM.name)["model.safetensors"] == BIG
    assert [asked for asked in hub.ranges if asked][0].startswith("bytes=1") and hub.breaks == 0


def test_a_lost_connection_keeps_the_partial_file(hub, tmp_path):
    hub.break_after, hub.breaks = 300_000, 2
    hub.pause_s = 0.001
    seen = []

    def lose(done, total):
        seen.append(done)
        if done > 250_000:
            hub.breaks, hub.break_after = 99, 0

    with pytest.raises(DownloadError, match="was lost.*kept: download again"):
        download(LM, tmp_path, on_progress=lose)
    assert left_hidden(tmp_path) == [f".{LM.name}.partial"] and find_checkpoints([tmp_path]) == []
    kept = plan_download(LM, tmp_path).present_bytes
    assert kept > 200_000
    hub.breaks, hub.ranges = 0, []
    download(LM, tmp_path)
    assert content(tmp_path / LM.name)["model.safetensors"] == BIG
    assert any(asked.startswith("bytes=") and int(asked[6:-1]) > 200_000 for asked in hub.ranges)


def test_a_damaged_file_is_deleted_and_the_rest_kept(hub, tmp_path):
    hub.corrupt = {"model.safetensors"}
    with pytest.raises(DownloadError, match="model.safetensors.*damaged.*sha256"):
        download(LM, tmp_path)
    partial = tmp_path / f".{LM.name}.partial"
    assert not list(partial.glob("model*")) and (partial / "tokenizer.json").is_file()
    hub.corrupt = {"config.json"}  # a small one, known by git's checksum
    with pytest.raises(DownloadError, match="config.json.*damaged.*git"):
        download(replace(LM, name="again"), tmp_path)
    hub.corrupt = set()
    download(LM, tmp_path)
    assert content(tmp_path / LM.name)["model.safetensors"] == BIG


def test_files_of_an_earlier_attempt_are_verified_too(hub, tmp_path):
    hub.corrupt = {"model.safetensors"}
    with pytest.raises(DownloadError, match="damaged"):
        download(LM, tmp_path)
    hub.corrupt = set()
    partial = tmp_path / f".{LM.name}.partial"
    [file] = [file for file in plan_download(LM, tmp_path).files if file.name == "model.safetensors"]
    (partial / file.part).write_bytes(BIG[:1000] + b"x" * 1000)
    (partial / "config.json").write_bytes(b"{}")
    (partial / "model.safetensors.0123456789ab.part").write_bytes(b"of another revision")
    with pytest.raises(DownloadError, match="damaged"):
        download(LM, tmp_path)
    with pytest.raises(DownloadError, match="damaged"):
        download(LM, tmp_path)
    (partial / file.part).write_bytes(BIG + b"more than there is")
    download(LM, tmp_path)
    assert content(tmp_path / LM.name) == {name: FILES[name] for name in FETCHED}


def test_stopping_acts_at_once_and_keeps_the_partial_file(hub, tmp_path):
    hub.pause_s = 0.05
    stop_at = []

    def should_stop():
        if not stop_at and fetched_bytes(tmp_path) > 50_000:
            stop_at.append(time.monotonic())
        return bool(stop_at)

    with pytest.raises(StoppedError, match="kept"):
        download(LM, tmp_path, should_stop=should_stop)
    assert time.monotonic() - stop_at[0] < 0.5
    assert find_checkpoints([tmp_path]) == []
    hub.pause_s = 0
    download(LM, tmp_path)
    assert content(tmp_path / LM.name)["model.safetensors"] == BIG


def test_stopping_does_not_wait_for_a_silent_server(hub, tmp_path):
    hub.pause_s = 3.0
    started = time.monotonic()
    with pytest.raises(StoppedError):
        download(LM, tmp_path, should_stop=lambda: time.monotonic() - started > 0.3)
    assert time.monotonic() - started < 1.0
    hub.pause_s = 0


def test_an_error_of_the_progress_callback_stops_it(hub, tmp_path):
    hub.pause_s = 0.02

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(LM, tmp_path, on_progress=interrupt)
    assert find_checkpoints([tmp_path]) == []


REFUSED = {
    "gated": ((403, "GatedRepo"), "", "refused.*accepted its licence.*without a token.*HF_TOKEN"),
    "forbidden": ((403, ""), "of-another-account", "refused.*the answer 403.*accept the licence"),
    "no token": ((401, ""), "", "does not let us read.*got no token.*HF_TOKEN"),
    "wrong token": ((401, ""), "wrong", "does not let us read.*not accepted"),
    "moved": ((404, "RepoNotFound"), "", "no such repository"),
    "busy": ((503, ""), "", "refuses"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_says_what_to_do(hub, tmp_path, monkeypatch, case):
    gate, token, says = REFUSED[case]
    hub.gate[LM.repository] = gate
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(DownloadError, match=says):
        download(LM, tmp_path)
    assert find_checkpoints([tmp_path]) == [] and left_hidden(tmp_path) == []


def test_a_token_comes_from_the_environment_and_goes_no_further_than_the_hub(hub, tmp_path, monkeypatch):
    hub.gate[LM.repository], hub.token = (401, ""), "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download(LM, tmp_path)
    assert "hf_secret" in hub.tokens
    assert all(b"hf_secret" not in file.read_bytes() for file in (tmp_path / LM.name).iterdir())


def test_a_file_that_vanished_is_named(hub, tmp_path, monkeypatch):
    plan = plan_download(LM, tmp_path)
    del hub.repositories[LM.repository][LM.revision]["tokenizer.json"]
    monkeypatch.setattr(module, "repository_files", lambda *_: (plan.revision, plan.files))
    with pytest.raises(DownloadError, match="no tokenizer.json"):
        download(LM, tmp_path)


def test_no_hub_at_all(hub, tmp_path):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(DownloadError, match="cannot be reached.*Check the network"):
        download(LM, tmp_path)


def test_offline_mode_uses_only_files_on_disk(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    download(LM, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.asked)
    with pytest.raises(DownloadError, match="switched off.*HF_HUB_OFFLINE"):
        download(HUBERT, tmp_path)
    assert download(LM, tmp_path).complete and len(hub.asked) == asked


def test_a_full_disk_is_seen_before(hub, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=50_500_000))
    with pytest.raises(DownloadError, match="too full.*0.1 GB free"):
        download(LM, tmp_path)
    assert not [asked for asked in hub.asked if "resolve" in asked]


def test_a_full_disk_keeps_the_partial_file(hub, tmp_path, monkeypatch):
    class Full:
        """A file on a disk with room for 200 kB."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, piece):
            if self.file.tell() > 200_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(piece)

    monkeypatch.setattr(module, "open", lambda *words: Full(open(*words)), raising=False)
    with pytest.raises(DownloadError, match="No space left.*Make room.*kept"):
        download(LM, tmp_path)
    assert plan_download(LM, tmp_path).present_bytes > 200_000 and find_checkpoints([tmp_path]) == []
    monkeypatch.delattr(module, "open")
    hub.ranges = []
    download(LM, tmp_path)
    assert content(tmp_path / LM.name)["model.safetensors"] == BIG and any(hub.ranges)


def test_nothing_is_written_through_links_or_over_folders(hub, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    models = tmp_path / "models"
    models.mkdir()
    for name in (LM.name, f".{LM.name}.partial"):
        (models / name).symlink_to(outside)
        with pytest.raises(DownloadError, match="is a link"):
            download(LM, models)
        (models / name).unlink()
    (models / LM.name).mkdir()
    with pytest.raises(DownloadError, match="there already.*other origin"):
        download(LM, models)
    assert list(outside.iterdir()) == [] == list((models / LM.name).iterdir())


def test_two_at_once_do_the_work_once(hub, tmp_path):
    hub.pause_s = 0.005
    plans, errors = [], []

    def run():
        try:
            plans.append(download(LM, tmp_path))
        except DownloadError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == [] and sorted(plan.complete for plan in plans) == [False, True, True]
    assert len([path for path in hub.asked if path.startswith("/cdn/") and path.endswith("model.safetensors")]) == 1
    assert content(tmp_path / LM.name)["model.safetensors"] == BIG


def test_releases_are_pinned_and_named_as_their_folders():
    assert all(release.licence and release.gigabytes for release in RELEASES.values())
    assert [name for name, release in RELEASES.items() if len(release.revision) != 40] == ["hubert_base"]
    licence = RELEASES["higgs-audio-v3-tts-4b"].licence
    assert all(words in licence for words in ("Non-Commercial", "Creator Use Grant", "July 2026", "LICENSE"))
    for name in ("higgs-tts-3-4b", "bosonai/higgs-tts-3-4b", "bosonai/higgs-audio-v3-tts-4b", "higgs-audio-v3-tts-4b"):
        assert release_named(name).name == "higgs-audio-v3-tts-4b", "its names of today and of before"
    assert release_named("bosonai/higgs-tts-2-3b-base").name == LM.name
    with pytest.raises(SettingError, match="no release 'v4'"):
        release_named("v4")
