"""Render Script and what follows it, in this process with ComfyUI's own modules and the pack's checkpoint."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace

import pytest
import torch
from helpers_workflow import PACK, load_pack, node_classes, node_inputs, node_module, pack_module

SCRIPT = "[Anna] Hello, my name is Anna.\n[Ben] Good morning, Anna.\n[Anna] It is a quiet morning."


@pytest.fixture
def pack(tmp_path, monkeypatch):
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    load_pack()
    node_classes()
    return __import__(f"{PACK}.higgs_runtime", fromlist=["x"])


@pytest.fixture(scope="module", autouse=True)
def models_stay_loaded():
    """From test to test; the next file finds none."""
    yield
    node_module("host.residency").model_cache().clear()


@pytest.fixture
def handles(pack):
    return node_module("host.handles")


@pytest.fixture
def events(pack, monkeypatch):
    found = []
    monkeypatch.setattr(
        node_module("host.messages"), "send_event", lambda name, **data: found.append((name, data["lines"]))
    )
    return found


@pytest.fixture
def render(pack, handles, events):
    """Runs the node as ComfyUI would, with its defaults."""
    embedded = pack_module("hub.catalog").model_roots([])[-1]

    def run(text=SCRIPT, **changes):
        defaults = {
            name: options["default"]
            for name, (_, options) in node_inputs("HiggsRenderScript").items()
            if "default" in options
        }
        values = {
            **defaults,
            "recognizer": "none",
            "max_seconds": 1.0,
            "voice_0": pack.Voice(description="Calm."),
            "voice_1": pack.Voice(description="Old."),
            **changes,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (
                node_classes()["HiggsRenderScript"]
                .execute(
                    script=pack.parse_script(text),
                    model=handles.ModelHandle("lm", str(embedded / "higgs-nano")),
                    codec=handles.ModelHandle("codec", str(embedded / "higgs-nano-codec")),
                    **values,
                )
                .args
            )

    return run


def test_it_speaks_and_the_second_run_finds_all_in_the_store(render, events):
    made, report = render()
    assert made.complete and "3 of 3 lines" in report and "3 spoken now" in report
    assert "Anna: voice 0, the next without a name" in report and "Ben: voice 1" in report
    assert report.splitlines()[-3].split()[:2] == ["1", "Anna"]
    name, first = events[0]
    assert name == "higgs.lines" and [line["state"] for line in first] == ["queued"] * 3
    assert [(line["line"], line["turn"], line["speaker"]) for line in first] == [
        (1, 1, "Anna"),
        (2, 2, "Ben"),
        (3, 3, "Anna"),
    ]
    last = {line["line"]: line for _, lines in events for line in lines}
    assert {line["state"] for line in last.values()} == {"spoken"}
    assert [last[n + 1]["take"] for n in range(3)] == [spoken.key for spoken in made.lines]
    again, report = render()
    assert "3 from the store, 0 spoken now" in report
    assert [spoken.key for spoken in again.lines] == [spoken.key for spoken in made.lines]


def test_names_bind_voices(render, pack):
    _, report = render(name_0="Ben", name_1="anna")
    assert "Anna: the voice named anna" in report and "Ben: the voice named Ben" in report
    with pytest.raises(pack.SettingError, match="name_1"):
        render(name_0="Ben", name_1="Ben")
    with pytest.raises(pack.ScriptError, match="none for Ben"):
        render(name_0="Anna", voice_1=None)


def test_a_take_is_chosen_in_the_node(render, pack):
    made, _ = render(choose="2: 3", seed=7)
    assert [spoken.take.seed for spoken in made.lines] == [7, 9, 7]
    with pytest.raises(pack.SettingError, match="line 9"):
        render(choose="9: 1")


def test_without_a_store_nothing_is_kept(render, tmp_path):
    made, _ = render(store=False)
    assert made.complete and not (tmp_path / "takes").exists()


def cancel_after(monkeypatch, lines):
    """The person presses cancel once so many lines are spoken."""
    import comfy.model_management as management

    states = node_module("shared.line_states").LineStates
    on_take, done = states.on_take, []

    def told(self, spoken):
        on_take(self, spoken)
        done.append(spoken)
        if len(done) == lines:
            management.interrupt_current_processing()

    monkeypatch.setattr(states, "on_take", told)
    return management


def test_cancel_ends_the_prompt_and_loses_nothing(render, pack, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(node_module("host.messages"), "show_text", lambda text, *_: shown.append(text))
    management = cancel_after(monkeypatch, 1)
    with pytest.raises(management.InterruptProcessingException):
        render(batch=1)
    assert "1 of 3 lines are spoken and are kept in the store" in shown[-1]
    assert len(pack.TakeStore(tmp_path / "takes").list()) == 1
    monkeypatch.undo()
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    assert "1 from the store, 2 spoken now" in render(batch=1)[1]


def test_cancel_ends_the_prompt_while_takes_of_a_slot_are_missing(render, monkeypatch):
    """Each line has one; but a run that is not cancelled would choose among four."""
    management = cancel_after(monkeypatch, 1)
    with pytest.raises(management.InterruptProcessingException):
        render("[Anna] [fit: 1s] Hello.", batch=1)


def test_cancel_may_hand_on_what_is_spoken(render, monkeypatch):
    fingerprint = node_classes()["HiggsRenderScript"].fingerprint_inputs
    before = fingerprint()
    management = cancel_after(monkeypatch, 2)
    made, report = render(batch=1, when_cancelled="hand on what is spoken")
    assert [spoken.take is not None for spoken in made.lines] == [True, True, False] and "2 of 3 lines" in report
    assert not management.processing_interrupted(), "the nodes that follow run"
    assert fingerprint() != before, "the next run is no copy of this one"


def test_a_lock_changes_the_fingerprint(render, pack, tmp_path):
    fingerprint = node_classes()["HiggsRenderScript"].fingerprint_inputs
    made, _ = render()
    before, store = fingerprint(), pack.TakeStore(tmp_path / "takes")
    assert fingerprint() == before
    store.lock_take(made.lines[0].key)
    locked = fingerprint()
    store.unlock_take(made.lines[0].key)
    assert len({before, locked, fingerprint()}) == 3


# ---- what follows it -----------------------------------------------------------------------------------------------

CUED = """# Scene: kitchen
[music: bed.flac -12dB fade=0.1s]
[Anna] Hello.
[sfx: bed.flac]
[Ben] Good morning.
[/music]

# Scene: garden
[Anna] It is a quiet morning.
"""


def assemble(handles, pack, performance, **changes):
    embedded = pack_module("hub.catalog").model_roots([])[-1]
    values = {"subtitles": "srt", "stems": False, **changes}
    return (
        node_classes()["HiggsAssemble"]
        .execute(
            performance=performance, codec=handles.ModelHandle("codec", str(embedded / "higgs-nano-codec")), **values
        )
        .args
    )


def test_assemble_gives_the_mix_and_all_that_belongs_to_it(render, pack, handles):
    made, _ = render(CUED)
    audio, stems, names, srt, chapters, timeline, _ = assemble(handles, pack, made, stems=True)
    assert names == ["Anna", "Ben", "music", "sounds"]
    assert torch.allclose(sum(stem["waveform"] for stem in stems), audio["waveform"], atol=1e-5)
    assert audio["sample_rate"] == 24_000 and float(audio["waveform"].abs().max()) > 0.01
    seconds = audio["waveform"].shape[-1] / 24_000
    marks = pack_module("audio.files.export").parse_chapters(chapters, seconds)
    assert [chapter.title for chapter in marks] == ["kitchen", "garden"]
    assert srt.count("-->") == 3 and "Anna: Hello." in srt
    told = json.loads(timeline)
    assert [line["take"] for line in told["lines"]] == [spoken.key for spoken in made.lines]
    assert [cue["kind"] for cue in told["cues"]] == ["music", "sounds"]


def test_what_is_not_asked_for_is_not_made(render, pack, handles):
    made, _ = render("[Anna] Hello.")
    _, stems, names, srt, chapters, _, _ = assemble(handles, pack, made, subtitles="off")
    assert chapters == "" and all(type(one).__name__ == "ExecutionBlocker" for one in (stems, names, srt))
    assert "Switch stems on" in stems.message


def test_assemble_needs_no_subtitle_library_for_the_sound(render, pack, handles, monkeypatch):
    monkeypatch.setitem(sys.modules, "pysubs2", None)
    made, _ = render("[Anna] Hello.")
    audio, _, _, srt, _, _, _ = assemble(handles, pack, made)
    assert audio["waveform"].shape[-1] and "pip install pysubs2" in srt.message


def test_assemble_names_the_sound_that_is_missing_before_the_work(render, pack, handles):
    made, _ = render("[sfx: nothing.wav]\n[Anna] Hello.")
    with pytest.raises(pack.ScriptError, match=r"nothing\.wav"):
        assemble(handles, pack, made)


def test_assemble_can_be_cancelled(render, pack, handles):
    import comfy.model_management as management

    made, _ = render("[Anna] Hello.")
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        assemble(handles, pack, made)


@pytest.fixture
def verify(pack):
    pytest.importorskip("faster_whisper")
    embedded = pack_module("hub.catalog").model_roots([])[-1]

    def run(text, *clips, **changes):
        files = [pack.AudioClip.load(embedded / "clips" / f"{name}.flac") for name in clips]
        least = min(clip.length for clip in files)
        wave = torch.stack([clip.samples[:, :least] for clip in files])
        values = {"recognizer": "auto", "language": "", **changes}
        return (
            node_classes()["HiggsVerifyTakes"]
            .execute(audio={"waveform": wave, "sample_rate": 24_000}, text=text, **values)
            .args
        )

    return run


@pytest.mark.slow
def test_verify_passes_what_is_said_and_says_what_is_not(verify, pack):
    said = pack.embedded_voices()["rose"].with_suffix(".txt").read_text(encoding="utf-8")
    passed, report, heard = verify(said, "rose")
    assert passed and report.startswith("passed: word errors") and "welcome" in heard.lower()
    passed, report, _ = verify("Where is the old bridge?", "rose")
    assert not passed and report.startswith("FAILED") and "- the words differ" in report


def test_verify_takes_a_line_for_each_clip(verify, pack):
    with pytest.raises(pack.SettingError, match="2 lines of text, one for each clip, got 1"):
        verify("Only one line.", "rose", "ross")
    with pytest.raises(pack.SettingError, match="1 lines of text"):
        verify(" \n", "rose")
    with pytest.raises(pack.SettingError, match="xx"):
        verify("Words.", "rose", language="xx")


@pytest.mark.slow
def test_word_times_and_captions_of_a_clip_and_of_a_script(verify, render, handles, pack):
    rose = pack.embedded_voices()["rose"]
    said, clip = rose.with_suffix(".txt").read_text(encoding="utf-8").strip(), pack.AudioClip.load(rose)
    audio = {"waveform": clip.samples[None], "sample_rate": clip.sample_rate}
    times, captions = node_classes()["HiggsWordTimes"], node_classes()["HiggsCaptions"]
    shown = {"max_chars": 42, "max_lines": 2, "max_seconds": 7.0, "chars_per_second": 17.0}
    words, report, picture = times.execute(audio=audio, text=said, recognizer="auto", language="").args
    assert " ".join(word.text for word in words) == said and len(report.splitlines()) == len(words)
    assert picture.shape == (1, 320, 1600, 3) and words[-1].end_s <= clip.seconds
    assert all(word.confidence is not None for word in words)
    heard, *_ = times.execute(audio=audio, text="", recognizer="none", language="").args
    assert abs(len(heard) - len(words)) <= 2
    for kind, style in (("srt", "captions"), ("vtt", "karaoke"), ("json", "words")):
        text, told = captions.execute(words=words, format=kind, style=style, **shown).args
        assert words[0].text in text and told.startswith(f"{len(words)} words in ")
    batch = {**audio, "waveform": clip.samples[None].repeat(2, 1, 1)}
    both, *_ = times.execute(audio=batch, text=f"{said}\n{said}", recognizer="none", language="en").args
    assert [word.line for word in both] == [0] * len(words) + [1] * len(words)
    assert both[len(words)].start_s >= clip.seconds  # the clips follow each other
    with pytest.raises(pack.SettingError, match="2 lines of text"):
        times.execute(audio=batch, text=said, recognizer="none", language="en")


def test_assemble_gives_the_words_of_a_script(render, handles, pack):
    made, _ = render("[Rose] Good morning.\n[Ross] Good night.", voice_0=None, voice_1=None)
    *_, without = assemble(handles, pack, made)
    assert not isinstance(without, list)
    *_, words = assemble(handles, pack, made, word_times=True)
    assert [(word.text, word.speaker, word.line) for word in words] == [
        ("Good", "Rose", 0),
        ("morning.", "Rose", 0),
        ("Good", "Ross", 1),
        ("night.", "Ross", 1),
    ]
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)


@pytest.mark.slow
def test_render_listens_and_says_so(render, pack):
    pytest.importorskip("faster_whisper")
    made, report = render("[Rose] Good morning.", recognizer="auto", max_takes=1, voice_0=None, voice_1=None)
    assert "Rose: rose of the pack" in report and made.lines[0].verdict is not None
    assert "morning" in made.lines[0].verdict.heard.lower()


# ---- on a cluster (with a real one: tests/system/comfyui/test_cluster_node.py) --------------------------------------


def test_what_a_cluster_is_given(render, pack, handles, events, monkeypatch):
    """The node does not load the model, and hands over how this computer would speak."""
    given, opened, voice = [], [], pack.Voice(description="Calm.")
    embedded = pack_module("hub.catalog").EMBEDDED
    monkeypatch.setattr(handles, "open_speaker", lambda *_: opened.append(True))

    def perform(self, job, events):
        given.append((job, self.speaker))
        here = pack.LocalSpeaker(
            pack.load_model(embedded / "higgs-nano"), pack.load_codec(embedded / "higgs-nano-codec")
        )
        made = pack.render(replace(job, store=None), here, events)
        events.on_workers(pack_module("cluster").PoolStatus(0, 0, 1, 0, 0, 1))
        return made

    monkeypatch.setattr(pack_module("cluster").ChildProcessSpeaker, "perform", perform)
    monkeypatch.setenv("HIGGS_CLUSTER_ADDRESSES", "10.0.0.1:6379")
    made, report = render("[Anna] Hello.", cluster=" 10.0.0.1:6379 ", seed=4, voice_0=voice, takes=2)
    [(job, speaker)] = given
    assert job.voices == {"Anna": voice} and job.store is not None
    assert (job.sampling.seed, job.sampling.max_frames, job.settings.takes) == (4, 25, 2)
    assert speaker.cluster == pack_module("cluster").ClusterSettings("10.0.0.1:6379")
    assert speaker.engine == pack_module("cluster").Engine("higgs-nano", codec="higgs-nano-codec"), "by name"
    assert made.complete and "1 of 1 lines" in report and not opened
    last = {line["line"]: line["state"] for _, lines in events for line in lines}
    assert last == {1: "spoken"}


def test_a_cluster_that_may_not_be_is_refused_before_it_is_asked(render, pack, monkeypatch):
    node = node_classes()["HiggsRenderScript"]
    assert node.validate_inputs() is node.validate_inputs(None) is node.validate_inputs(" auto ") is True
    assert "HIGGS_CLUSTER_ADDRESSES" in node.validate_inputs("10.0.0.1:6379")
    monkeypatch.setattr(pack_module("cluster"), "ChildProcessSpeaker", None)
    with pytest.raises(pack.SettingError, match="may not connect to this cluster.*HIGGS_CLUSTER_ADDRESSES"):
        render("[Anna] Hello.", cluster="10.0.0.1:6379")


def test_a_line_whose_end_nobody_told_is_spoken_in_the_end(render, pack, events, monkeypatch):
    """As after a cancel: its take is in the performance, and the row does not go on speaking."""
    states = node_module("shared.line_states").LineStates
    on_line = states.on_line
    monkeypatch.setattr(
        states,
        "on_line",
        lambda self, line, state, seconds: on_line(self, line, "speaking" if state == "spoken" else state, seconds),
    )
    made, _ = render("[Anna] Hello.")
    last = {line["line"]: line for _, lines in events for line in lines}
    assert last[1]["state"] == "spoken" and last[1]["take"] == made.lines[0].key


def test_how_a_handle_becomes_an_engine(handles):
    speakers = node_module("shared.speakers")
    codec = handles.ModelHandle("codec", "codec", dtype="float16")
    for device, gpus in (("cpu", 0.0), ("gpu", 1.0), ("auto", None)):
        model = handles.ModelHandle("lm", "folder", device, "bfloat16", "int8", (("lora", 0.5),))
        speaker = speakers.speaker_on_cluster("local", model, codec, None).speaker
        assert speaker.cluster == pack_module("cluster").ClusterSettings("local", gpus=gpus)
        assert speaker.engine == pack_module("cluster").Engine(
            "folder",
            device="cpu" if device == "cpu" else None,
            dtype="bfloat16",
            quantization="int8",
            adapters=(("lora", 0.5),),
            codec="codec",
            codec_dtype="float16",
        )


def test_workers_listen_as_the_node_would(pack, monkeypatch, tmp_path):
    from types import SimpleNamespace

    speakers = node_module("shared.speakers")
    folder = tmp_path / "recognizers" / "small"
    folder.mkdir(parents=True)
    (folder / "model.bin").touch()
    monkeypatch.setattr(node_module("host.files"), "model_folders", lambda: [str(tmp_path)])
    verification = pack_module("verification")
    limits, brought = verification.Limits(max_wer=0.3), list(verification.find_recognizers([]))
    own = speakers.listening_of(SimpleNamespace(name="small"), True, limits)
    assert own == pack_module("rendering").Listening(str(folder), compare_voices=True, limits=limits, name="small")
    for name in brought:
        assert speakers.listening_of(SimpleNamespace(name=name), False, limits).recognizer == name
    assert speakers.listening_of(None, True, limits) is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"store": False}, "Switch the store on"),
        pytest.param({"cluster": "ray://a:1"}, "Ray client", marks=pytest.mark.slow),
    ],
)
def test_a_cluster_that_cannot_be_used(render, pack, changes, words, monkeypatch):
    monkeypatch.setenv("HIGGS_CLUSTER_ADDRESSES", "ray://a:1")
    with pytest.raises(pack.SettingError, match=words):
        render(**{"cluster": "auto", **changes})
