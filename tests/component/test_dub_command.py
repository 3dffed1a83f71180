"""`higgs dub` with the pack's checkpoint: each line in the voice of its own actor, in sync, over the film's sound."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack

import pytest
import torch
from helpers_film import RATE, film_of, lag_s, write_film
from PIL import Image

from higgs_runtime import AudioClip, SettingError, cli, write_subtitles
from higgs_runtime.dubbing import FilmSound
from higgs_runtime.dubbing.video import check_video, write_video
from higgs_runtime.verification import speaker_similarity

ACTORS = ("rose", "ross", "bear")
LINES = (
    "Good morning, my friend. I will read a letter for you, and a quiet story by the sea.",
    "Thank you. In the night I walk to the old bridge and listen.",
    "Good evening, everyone. Please wait by the old station, and take the boat.",
)
QUICK = ("--takes-per-slot", "1")


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    """A folder of one's own."""
    for name in ("HIGGS_MODELS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    monkeypatch.chdir(tmp_path)


def make_film(tmp_path, names=ACTORS, delay_s: float = 0.0, *, named: bool = True):
    """film.mp4 with this sound, original.srt with what it says, and dub.srt with LINES at the same times."""
    clip, script = film_of(names, named=named)
    write_film(tmp_path / "film.mp4", clip, delay_s)
    spans = [(turn.slot[0] + delay_s, turn.slot[1] + delay_s, turn.speaker, turn.text) for turn in script.turns]
    write_subtitles(spans, tmp_path / "original.srt")
    lines = zip(spans, LINES, strict=False)
    write_subtitles([(start, end, "", line) for (start, end, _, _), line in lines], tmp_path / "dub.srt")
    return clip, spans


def dub(*more: str) -> int:
    return cli.main(["dub", "film.mp4", "dub.srt", "--original", "original.srt", *QUICK, *more])


@pytest.mark.slow
def test_each_line_is_in_the_voice_of_its_own_actor(tmp_path, capsys):
    pytest.importorskip("resemblyzer")
    clip, spans = make_film(tmp_path)
    assert dub("-o", "dub.flac", "--stems") == 0
    told = capsys.readouterr()
    assert "3 of 3 lines" in told.out and "Rose: the voice named Rose" in told.err
    film = FilmSound.of(clip)
    heard = {name: AudioClip.load(tmp_path / "dub-stems" / f"{name.title()}.flac") for name in ACTORS}
    for name, mine in heard.items():
        alike = {
            actor: speaker_similarity(mine, film.part(*span[:2])) for actor, span in zip(ACTORS, spans, strict=True)
        }
        assert max(alike, key=alike.get) == name, alike
    assert [line["speaker"] for line in json.loads((tmp_path / "dub.json").read_text())["lines"]] == [
        "Rose",
        "Ross",
        "Bear",
    ]
    assert (tmp_path / "dub.speakers.txt").read_text().startswith("1: Rose | 0:00:00.50 | named | Good morning")
    (tmp_path / "dub.speakers.txt").write_text("2: Rose\n3: Ross\n")
    assert dub("-o", "dub.flac", "--speakers", "dub.speakers.txt") == 0
    assert "1 from the store, 2 spoken now" in capsys.readouterr().out, "only what changed is spoken"
    assert (tmp_path / "dub.speakers.txt").read_text() == "2: Rose\n3: Ross\n", "what a person wrote stays"


@pytest.mark.slow
def test_a_video_keeps_its_pictures_and_the_delay_of_its_sound(tmp_path):
    import av

    clip, _ = make_film(tmp_path, ["rose"], 1.5)
    (tmp_path / "dubbed.m4a").write_text("of somebody else")
    assert dub("-o", "dubbed.mp4", "--bed-depth", "0") == 0
    assert (tmp_path / "dubbed.m4a").read_text() == "of somebody else" and (tmp_path / "dubbed_2.m4a").exists()
    bed = torch.nn.functional.pad(clip.samples, (round(1.5 * RATE), 0))
    mixed = FilmSound.of(tmp_path / "dubbed.mp4")
    stem = AudioClip(bed, RATE)
    assert abs(lag_s(mixed.part(0, mixed.seconds), stem)) < 0.005
    pictures = []
    for name in ("film.mp4", "dubbed.mp4"):
        with av.open(str(tmp_path / name)) as file:
            pictures.append([(frame.time, frame.to_ndarray()[0, 0]) for frame in file.decode(video=0)])
    assert len(pictures[0]) > 100 and pictures[0] == pictures[1]
    with av.open(str(tmp_path / "dubbed.mp4")) as file:
        assert "Synthetic speech" in file.metadata["comment"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("kind", ["film.mkv", "film.mp4", "film.avi"])
def test_no_picture_is_lost_where_pictures_change_places(tmp_path, kind, suffix):
    """Matroska's first packets have no time to decode them; the first is a key frame."""
    import av

    def pictures(path):
        with av.open(str(path)) as file:
            return [frame.to_ndarray()[0, 0] for frame in file.decode(video=0)]

    clip = AudioClip(torch.zeros(1, 2 * RATE), RATE)
    clip.save(tmp_path / "dub.m4a")
    write_video(write_film(tmp_path / kind, clip, b_frames=2), tmp_path / "dub.m4a", tmp_path / f"made{suffix}")
    assert len(pictures(tmp_path / kind)) == 22
    assert pictures(tmp_path / f"made{suffix}") == pictures(tmp_path / kind)


def with_more(path, film, *more):
    """The film, with the first stream of each of these files too, in another language."""
    import av
    from av.stream import Disposition

    with ExitStack() as stack:
        target = stack.enter_context(av.open(str(path), "w"))
        sources = [stack.enter_context(av.open(str(one))) for one in (film, *more)]
        copies = [
            {one.index: target.add_stream_from_template(one) for one in (source.streams if not n else [found])}
            for n, source in enumerate(sources)
            for found in [source.streams[0]]
        ]
        for added in copies[1:]:
            [made] = added.values()
            made.metadata["language"] = "deu"
            if made.type == "video":
                made.disposition = Disposition.attached_pic
        for added, source in zip(copies, sources, strict=True):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = added[packet.stream.index]
                    target.mux(packet)


def test_subtitles_are_copied_where_the_container_takes_them_and_a_cover_is_no_picture(tmp_path):
    import av

    def kinds(path):
        with av.open(str(path)) as file:
            return [(one.type, one.metadata.get("language")) for one in file.streams]

    clip = AudioClip(torch.zeros(1, 2 * RATE), RATE)
    clip.save(tmp_path / "dub.m4a")
    film = write_film(tmp_path / "plain.mkv", clip)
    write_subtitles([(0.0, 1.0, "", "Hello.")], tmp_path / "texts.srt")
    with_more(tmp_path / "texts.mkv", film, tmp_path / "texts.srt")
    strange = (tmp_path / "texts.mkv").read_bytes().replace(b"S_TEXT/UTF8", b"S_TEXT/NONE")
    (tmp_path / "strange.mkv").write_bytes(strange)
    video, sound = ("video", None), ("audio", None)
    for name, made, texts in (
        ("texts.mkv", "a.mkv", [("subtitle", "deu")]),
        ("texts.mkv", "a.mp4", []),
        ("strange.mkv", "a.mkv", []),
        ("strange.mkv", "a.mp4", []),
    ):
        write_video(tmp_path / name, tmp_path / "dub.m4a", tmp_path / made)
        found = [(kind, None if language == "und" else language) for kind, language in kinds(tmp_path / made)]
        assert found == [video, *texts, sound], (name, made)
    Image.new("RGB", (64, 64)).save(tmp_path / "cover.jpg")
    with_more(tmp_path / "cover.mp4", write_film(tmp_path / "plain.mp4", clip), tmp_path / "cover.jpg")
    assert [kind for kind, _ in kinds(tmp_path / "cover.mp4")] == ["video", "audio", "video"]
    write_video(tmp_path / "cover.mp4", tmp_path / "dub.m4a", tmp_path / "a.mp4")
    assert [kind for kind, _ in kinds(tmp_path / "a.mp4")] == ["video", "audio"]
    with_more(tmp_path / "song.mp4", tmp_path / "dub.m4a", tmp_path / "cover.jpg")
    with pytest.raises(SettingError, match="no pictures"):
        check_video(tmp_path / "song.mp4")


@pytest.mark.slow
def test_a_bed_takes_the_place_of_the_films_sound(tmp_path):
    make_film(tmp_path, ["rose"])
    AudioClip(torch.zeros(1, 20 * RATE), RATE).save(tmp_path / "bed.wav")
    assert dub("-o", "dub.wav", "--bed", "bed.wav", "--stems") == 0
    assert not AudioClip.load(tmp_path / "dub-stems" / "film.wav").samples.any()
    assert AudioClip.load(tmp_path / "dub.wav").seconds == pytest.approx(20, abs=0.01)


def test_only_the_table(tmp_path, capsys):
    make_film(tmp_path, ["rose", "ross"])
    assert dub("-o", "dub.flac", "--table-only") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dub.speakers.txt",
        "dub.srt",
        "film.mp4",
        "original.srt",
    ]
    assert "Rose: 8." in capsys.readouterr().err


def test_subtitles_of_another_copy_are_retimed(tmp_path):
    make_film(tmp_path, ["rose", "ross"])
    text = (tmp_path / "dub.srt").read_text()
    at = "00:00:00,500"
    assert at in text
    (tmp_path / "dub.srt").write_text(text.replace(at, "00:00:02,500"))
    again = ["-o", "dub.flac", "--table-only", "--offset", "-2"]
    assert dub(*again) == 0 and (tmp_path / "dub.speakers.txt").read_text().startswith("1: Rose | 0:00:00.50")


@pytest.mark.parametrize(
    "more, words",
    [
        (["-o", "film.mp4"], "must not be written over"),
        (["-o", "dub.txt"], "the suffix of the name"),
        (["-o", "nowhere/dub.flac"], "no folder"),
        (["-o", "dub.flac", "--bed", "none.wav"], "no audio file"),
        (["-o", "dub.flac", "--bed-depth", "-1"], "depth_db"),
        (["-o", "dub.flac", "--offset", "-3600"], "end before the film begins"),
        (["-o", "dub.flac", "--to-fps", "25"], "frame rate of the subtitles"),
        (["-o", "dub.flac", "--count", "-1"], "count"),
        (["-o", "ben.wav", "--voice", "Ben=ben.wav"], "must not be written over"),
        (["-o", "old.mp4", "--original", "none.srt"], "none.srt"),
        (["-o", "dub.flac", "--speakers", "none.txt"], "none.txt"),
    ],
)
def test_what_cannot_be_done_is_told_before_the_long_work(tmp_path, capsys, monkeypatch, more, words):
    clip, _ = make_film(tmp_path, ["rose"])
    clip.save(tmp_path / "ben.wav")
    (tmp_path / "old.mp4").write_bytes(b"")
    monkeypatch.setattr("higgs_runtime.cli.dub.performed", lambda *_args: pytest.fail("the work began"))
    assert dub(*more) == 1
    assert words in capsys.readouterr().err


def test_a_sound_file_becomes_no_video(tmp_path, capsys):
    clip, _ = make_film(tmp_path, ["rose"])
    clip.save(tmp_path / "film.wav")
    assert cli.main(["dub", "film.wav", "dub.srt", "-o", "dub.mp4"]) == 1
    assert "no pictures" in capsys.readouterr().err


def test_an_empty_file_of_subtitles_is_told(tmp_path, capsys):
    make_film(tmp_path, ["rose"])
    (tmp_path / "dub.srt").write_text("")
    assert dub("-o", "dub.flac") == 1
    assert "no subtitle with a text" in capsys.readouterr().err


def test_ctrl_c_while_voices_are_sought_ends_at_once(tmp_path, monkeypatch, capsys):
    make_film(tmp_path, ["rose"])

    def pressed(*_args, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr("higgs_runtime.dubbing.cues.profile", pressed)
    assert dub("-o", "dub.flac", "--table-only") == 130
    assert not (tmp_path / "dub.flac").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_the_lines_that_are_spoken(tmp_path, monkeypatch, capsys):
    make_film(tmp_path)
    pressed = []

    def show(text):
        if text.startswith("1 of") and not pressed:
            pressed.append(text)
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("higgs_runtime.cli.render_view.progress", show)
        assert dub("-o", "dub.flac", "--batch", "1") == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    assert (tmp_path / "dub.partial.flac").exists() and not (tmp_path / "dub.flac").exists()
    assert dub("-o", "dub.flac", "--batch", "1") == 0
    assert "1 from the store, 2 spoken now" in capsys.readouterr().out
