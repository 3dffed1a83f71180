"""`higgs render-script` and `higgs takes`, with the pack's checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal

import av
import pytest
import torch

from higgs_runtime import AudioClip, TakeStore, cli
from higgs_runtime.hub.catalog import embedded_voices

SCENE = "# Scene: kitchen\n[Anna] Good morning.\n[Jack] Hello, Anna.\n\nThen she smiled.\n"
VOICES = ("--voice", "Anna=rose", "--voice", "jack=ross", "--voice", "bear")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of one's own, where nothing is installed."""
    for name in ("HIGGS_MODELS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.txt").write_text(SCENE, encoding="utf-8")
    return tmp_path


def render(*more: str) -> int:
    return cli.main(["render-script", "scene.txt", "--max-seconds", "1", *VOICES, *more])


def names(folder) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "takes" not in path.parts
    }


def test_a_script_becomes_files_and_another_run_speaks_what_changed(folder, capsys):
    assert render("--stems") == 0
    said = capsys.readouterr()
    assert "3 of 3 lines" in said.out and "3 spoken now" in said.out
    assert "Jack: the voice named jack" in said.err and "Narrator: voice 2" in said.err
    assert names(folder) == {
        "scene.txt",
        "scene.flac",
        "scene.json",
        "scene.srt",
        "scene-stems/Anna.flac",
        "scene-stems/Jack.flac",
        "scene-stems/Narrator.flac",
    }
    told = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    assert [line["speaker"] for line in told["lines"]] == ["Anna", "Jack", "Narrator"]
    length = AudioClip.load(folder / "scene.flac").seconds
    assert told["lines"][-1]["end_s"] == pytest.approx(length, abs=0.01)
    assert (folder / "scene.srt").read_text(encoding="utf-8").count("-->") == 3
    (folder / "scene.txt").write_text(SCENE.replace("Hello, Anna", "Hello, my friend"), encoding="utf-8")
    assert render() == 0
    assert "2 from the store, 1 spoken now" in capsys.readouterr().out


def test_the_credit_is_the_last_subtitle_on_wish(folder, monkeypatch):
    """The pack's own model asks for none; the released ones do, in the tags of the file in any case."""
    assert render("--credit-subtitle") == 0
    assert (folder / "scene.srt").read_text(encoding="utf-8").count("-->") == 3
    monkeypatch.setattr("higgs_runtime.hub.catalog.Checkpoint.credit", "Made with Boson AI's Higgs Audio")
    assert render("--credit-subtitle") == 0
    *_, last = (folder / "scene.srt").read_text(encoding="utf-8").strip().split("\n\n")
    assert last.startswith("4\n") and last.endswith("\nMade with Boson AI's Higgs Audio")
    with av.open(str(folder / "scene.flac")) as file:
        assert "Credit: Made with" in file.metadata["comment"]


def interrupt_after(monkeypatch, lines: int):
    """Ctrl-C once so many lines are spoken."""
    pressed = []

    def show(text):
        if text.startswith(f"{lines} of") and not pressed:
            pressed.append(text)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("higgs_runtime.cli.render_view.progress", show)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_there_and_says_how_to_go_on(folder, monkeypatch, capsys):
    interrupt_after(monkeypatch, 1)
    assert render("--batch", "1") == 130
    said = capsys.readouterr()
    assert "1 of 3 lines" in said.out and "run the same command again to go on" in said.err
    assert "line 2, 3" in said.err
    assert names(folder) == {"scene.txt", "scene.partial.flac", "scene.partial.json", "scene.partial.srt"}
    monkeypatch.undo()
    monkeypatch.setenv("HIGGS_TAKES", str(folder / "takes"))
    monkeypatch.chdir(folder)
    assert render("--batch", "1") == 0
    assert "1 from the store, 2 spoken now" in capsys.readouterr().out


@pytest.mark.slow
def test_a_chosen_take_and_no_store(folder, capsys):
    assert render("--choose", "2: 4", "--no-store", "-o", "other.wav") == 0
    told = json.loads((folder / "other.json").read_text(encoding="utf-8"))
    assert [line["seed"] for line in told["lines"]] == [0, 3, 0] and not (folder / "takes").exists()
    assert AudioClip.load(folder / "other.wav").seconds > 1


@pytest.mark.slow
def test_a_book_gets_chapters(folder):
    import av

    (folder / "book.txt").write_text("Chapter 1\n\nGood morning.\n\nChapter 2\n\nGood night.", encoding="utf-8")
    assert (
        cli.main(
            [
                "render-script",
                "book.txt",
                "--book",
                "--voice",
                "rose",
                "--max-seconds",
                "0.6",
                "-o",
                "book.m4b",
                "--consent",
                "Ours.",
            ]
        )
        == 0
    )
    told = json.loads((folder / "book.json").read_text(encoding="utf-8"))
    assert [chapter["title"] for chapter in told["chapters"]] == ["Chapter 1", "Chapter 2"]
    with av.open(str(folder / "book.m4b")) as file:
        assert len(file.chapters()) == 2 and "Consent: Ours." in file.metadata["comment"]


@pytest.mark.parametrize(
    "more, words",
    [
        (["-o", "scene.doc"], "cannot be saved there"),
        (["-o", "nowhere/scene.flac"], "cannot be saved there"),
        (["--voice", "Anna=nobody"], "There is no voice 'nobody'"),
        (["--choose", "9: 1"], "lines 1 to 3, got line 9"),
        (["--max-chars", "3"], "max_chars"),
        (["--codec", "unheard-of"], "Which codec"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(folder, capsys, more, words):
    assert render(*more) == 1
    assert words in capsys.readouterr().err and names(folder) == {"scene.txt"}


def test_a_speaker_without_a_voice_is_told_how_to_get_one(folder, capsys):
    assert cli.main(["render-script", "scene.txt", "--voice", "Anna=rose", "--voice", "Then=ross"]) == 1
    said = capsys.readouterr().err
    assert "got none for Jack, Narrator" in said and "as in --voice NAME=rose (or an audio file)" in said


# ---- what is there already ------------------------------------------------------------------------------------------

SUBTITLES = "1\n00:00:00,000 --> 00:00:02,000\nGood morning.\n"


def speak(file: str, *more: str) -> int:
    return cli.main(["render-script", file, "--max-seconds", "0.4", "--voice", "rose", *more])


def test_no_file_of_a_person_is_written_over(folder, capsys):
    """Its own input, a sound of the same name, another's time line; then again, over what it made itself."""
    mine = {"film.srt": SUBTITLES, "film.flac": "the sound of the film", "film.json": '{"files": ["mine"]}'}
    for name, text in mine.items():
        (folder / name).write_text(text, encoding="utf-8")
    for _ in range(2):
        assert speak("film.srt") == 0
        said = capsys.readouterr()
        for name, other in {"film.srt": "film_2.srt", "film.flac": "film_2.flac", "film.json": "film_2.json"}.items():
            assert (folder / name).read_text(encoding="utf-8") == mine[name]
            assert f"'{name}' is there" in said.err and f"'{other}' is written instead" in said.err
        assert names(folder) == {"scene.txt", *mine, "film_2.srt", "film_2.flac", "film_2.json"}
    (folder / "film_2.srt").write_text("mended by hand", encoding="utf-8")
    assert speak("film.srt") == 0
    assert (folder / "film_2.srt").read_text(encoding="utf-8") == "mended by hand" and (folder / "film_3.srt").exists()


def test_a_time_line_that_was_changed_by_hand_stays(folder):
    (folder / "one.txt").write_text("Good morning.", encoding="utf-8")
    timeline = folder / "one.json"
    for _ in range(2):
        assert speak("one.txt") == 0
        assert names(folder) == {"scene.txt", "one.txt", "one.flac", "one.srt", "one.json"}
    mine = json.dumps({**json.loads(timeline.read_text(encoding="utf-8")), "note": "of mine"})
    timeline.write_text(mine, encoding="utf-8")
    (folder / "one.txt").write_text("Good morning, my friend.", encoding="utf-8")
    for _ in range(2):
        assert speak("one.txt") == 0
        assert timeline.read_text(encoding="utf-8") == mine
        assert names(folder) == {"scene.txt", "one.txt", "one.flac", "one.srt", "one.json", "one_2.json"}


def test_what_is_read_is_refused_as_the_output(folder, capsys):
    clip = folder / "me.wav"
    AudioClip(torch.rand(1, 48_000) - 0.5, 24_000).save(clip)
    clip.with_suffix(".txt").write_text("Good morning.", encoding="utf-8")
    (folder / "sounds").mkdir()
    AudioClip(torch.rand(1, 24_000) - 0.5, 24_000).save(folder / "sounds" / "bell.wav")
    (folder / "one.txt").write_text("[Anna] Hello.\n[sfx: bell.wav]\n", encoding="utf-8")
    os.link(clip, folder / "hard.wav")
    os.symlink(clip, folder / "soft.wav")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for output in ("me.wav", "hard.wav", "soft.wav", "sounds/bell.wav"):
        assert speak("one.txt", "--voice", "Anna=me.wav", "--sounds", "sounds", "-o", output) == 1
        assert "is read for this" in capsys.readouterr().err
    assert cli.main(["say", "Hello.", "--voice", "me.wav", "-o", "soft.wav", "--max-seconds", "0.4"]) == 1
    assert "is read for this" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_clips_of_the_pack_are_read_too(folder, capsys, monkeypatch):
    """Also where a speaker's name chooses them."""
    rose = folder / "rose.flac"
    shutil.copyfile(embedded_voices()["rose"], rose)
    shutil.copyfile(embedded_voices()["rose"].with_suffix(".txt"), folder / "rose.txt")
    monkeypatch.setattr("higgs_runtime.hub.catalog.embedded_voices", lambda: {"rose": rose})
    before = rose.read_bytes()
    assert cli.main(["render-script", "scene.txt", "--voice", "rose", "-o", "rose.flac"]) == 1
    assert "is read for this" in capsys.readouterr().err and rose.read_bytes() == before


def test_own_subtitles_that_are_read_are_not_written_over(folder):
    (folder / "one.txt").write_text("Good morning.", encoding="utf-8")
    assert speak("one.txt") == 0
    read = (folder / "one.srt").read_text(encoding="utf-8")
    assert speak("one.srt") == 0
    assert (folder / "one.srt").read_text(encoding="utf-8") == read and (folder / "one_2.srt").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["render-script", "scene.txt", "-o", "/proc/scene.flac"],
        ["takes", "export", "-o", "scene.txt/takes"],
        ["master", "clip.wav", "-o", "scene.txt/out"],
        ["render", "scene.json", "-o", "scene.txt/out"],
        ["convert", "nano", "/proc/small"],
        ["convert", "nano-codec", "/proc/small", "--codec"],
        ["voices", "add", "Me", "none.wav", "--listen", "--models-dir", "/proc"],
    ],
)
def test_a_folder_that_takes_nothing_is_said_before_the_work(folder, capsys, command):
    (folder / "scene.json").write_text("{}", encoding="utf-8")
    assert cli.main(command) == 1
    assert "Nothing can be written" in capsys.readouterr().err


# ---- more that cannot be spoken -------------------------------------------------------------------------------------


def test_a_clip_without_its_words_is_refused(folder, capsys):
    AudioClip(torch.rand(1, 24_000) - 0.5, 24_000).save(folder / "me.wav")
    assert render("--voice", "Anna=me.wav") == 1
    assert "me.txt" in capsys.readouterr().err


@pytest.mark.parametrize("text, words", [("", "no turns"), ("[Anna]", "Line 1"), ("[Zoe] Hi.", "none for Zoe")])
def test_scripts_that_cannot_be_spoken(folder, capsys, text, words):
    (folder / "scene.txt").write_text(text, encoding="utf-8")
    assert cli.main(["render-script", "scene.txt"]) == 1
    assert words in capsys.readouterr().err


# ---- higgs takes ---------------------------------------------------------------------------------------------------


def test_takes_are_listed_locked_exported_and_pruned(folder, capsys):
    assert cli.main(["takes", "ls"]) == 0
    assert "0 takes" in capsys.readouterr().out
    render()
    capsys.readouterr()
    assert cli.main(["takes", "ls"]) == 0
    *rows, total = capsys.readouterr().out.splitlines()
    assert len(rows) == 3 and total.startswith("3 takes") and any("Jack: Hello, Anna." in row for row in rows)
    key = next(row for row in rows if "Jack" in row).split()[0]
    store = TakeStore(folder / "takes")
    assert cli.main(["takes", "lock", key]) == 0 and store.is_locked(store.find(key))
    assert cli.main(["takes", "export", key, "-o", "out", "--format", "wav"]) == 0
    [file] = (folder / "out").iterdir()
    assert file.name == "Jack-seed0.wav" and AudioClip.load(file).seconds > 0.5
    assert cli.main(["takes", "prune", "--gb", "0"]) == 0 and len(store.list()) == 3, "they were used just now"
    capsys.readouterr()
    assert cli.main(["takes", "prune", "--gb", "0", "--all"]) == 0
    assert "2 files deleted" in capsys.readouterr().out and [one.key for one in store.list()] == [store.find(key)]
    assert cli.main(["takes", "unlock", key]) == 0 and not store.is_locked(store.find(key))


@pytest.mark.parametrize(
    "command, words",
    [
        (["lock", "abc"], "Which take is 'abc'"),
        (["export", "abc"], "Which take"),
        (["prune", "--gb", "-1"], "gb"),
    ],
)
def test_takes_that_there_are_not(capsys, command, words):
    assert cli.main(["takes", *command]) == 1
    assert words in capsys.readouterr().err


def test_events_for_another_program(folder, capfd, monkeypatch):
    """Nothing but lines of JSON on the standard output, whatever a library prints there."""
    monkeypatch.setattr("higgs_runtime.cli.render_script.tell_what_speaks", lambda _: os.write(1, b"a library\n"))
    assert render("--events", "jsonl") == 0
    out, err = capfd.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:3] == ["queued"] * 3 and kinds.count("take") == 3 and kinds[-1] == "done"
    assert [event["speaker"] for event in events[:3]] == ["Anna", "Jack", "Narrator"]
    spoken = {event["number"]: event for event in events if event["event"] == "line"}
    assert {event["state"] for event in spoken.values()} == {"spoken"} and set(spoken) == {0, 1, 2}
    assert events[-1]["files"] == ["scene.flac", "scene.json", "scene.srt"]
    store = TakeStore(folder / "takes")
    assert all(line["key"] in store for line in events[-1]["lines"]) and "Jack: the voice named jack" in err
    assert "a library" in err


def test_an_error_is_an_event_too(folder, capfd):
    (folder / "scene.txt").write_text("[Zoe] Hello.\n", encoding="utf-8")
    assert cli.main(["render-script", "scene.txt", "--events", "jsonl"]) == 1
    out, err = capfd.readouterr()
    [event] = [json.loads(line) for line in out.splitlines()]
    assert (event["event"], event["kind"]) == ("error", "ScriptError") and "Zoe" in event["got"] and "Zoe" in err


@pytest.mark.parametrize("text", ["", "{}", '{"engine": {}, "settings": {}}', "[1]", "\x00"])
def test_a_file_that_is_no_job(folder, capsys, text):
    (folder / "job.json").write_text(text, encoding="utf-8")
    assert cli.main(["render-script", "job.json"]) == 1
    assert "is no job of a render" in capsys.readouterr().err and (folder / "job.json").exists()
