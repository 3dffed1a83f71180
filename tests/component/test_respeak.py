"""A recording in another voice: its phrases, times, loudness and speakers; and what is no recording of speech."""

from __future__ import annotations

import math
import time
from itertools import count

import pytest
import torch
from helpers_audio import sine
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_rendering import Told, job_of
from helpers_workflow import PACK, load_pack, node_classes, node_inputs, node_module, pack_module

from higgs_runtime import (
    AudioClip,
    AudioError,
    LocalSpeaker,
    RenderSettings,
    Sampling,
    ScriptError,
    SettingError,
    Voice,
    cli,
    embedded_voices,
    load_model,
    render,
    rendering,
    verification,
)
from higgs_runtime.rendering import respoken, script_of_recording
from higgs_runtime.rendering.respeak import followed, phrases_of
from higgs_runtime.types import WordTime
from higgs_runtime.verification import Transcript, Word, alignment

RATE = 16_000
# Two phrases, then one that is said by somebody else, each word a tone: (word, start, end).
SAID = [
    ("Good", 0.5, 0.8),
    ("morning,", 0.8, 1.2),
    ("Ben.", 1.2, 1.5),
    ("The", 2.2, 2.4),
    ("rain", 2.4, 2.7),
    ("went", 2.7, 3.0),
    ("on.", 3.0, 3.3),
    ("Not", 3.6, 3.9),
    ("much", 3.9, 4.4),
]


class Hears:
    """In place of a recognizer: hears these words, whatever the sound; German, which is not aligned by the sound."""

    def __init__(self, said=SAID, language="de"):
        self.said, self.language = said, language

    def transcribe(self, clip, language=None, *, on_progress=None):
        for done in (0.0, clip.seconds / 2, clip.seconds):
            if on_progress is not None:
                on_progress(done, clip.seconds)
        words = [Word(text, start + alignment.LATE_S, end + alignment.LATE_S, 0.9) for text, start, end in self.said]
        return Transcript(" ".join(text for text, *_ in self.said), tuple(words), self.language)


def recording(said=SAID, levels=None, seconds=None, rate=RATE):
    """A tone for each word, at these levels in dB below -10 dBFS."""
    wave = torch.zeros(1, round((seconds or said[-1][2] + 1) * rate))
    for n, (_, start, end) in enumerate(said):
        place = torch.arange(round(start * rate), round(end * rate))
        wave[0, place] = 10 ** (((levels or [0.0] * len(said))[n] - 10) / 20) * torch.sin(place * 0.1)
    return AudioClip(wave, rate)


class Tones:
    """In place of a codec: so many frames are so much tone."""

    sample_rate = 24_000

    def decode(self, codes):
        return sine(220.0, max(0.04, codes.seconds), -14.0, rate=self.sample_rate)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.0))


@pytest.fixture(scope="module")
def voices():
    anna, ben = (Voice(random_codes(25, seed=n), "What a voice says.") for n in (1, 2))
    return {"Anna": anna, "Ben": ben, "Narrator": anna}


def performed(script, model, voices, settings=None, **told):
    settings = settings or RenderSettings(takes_per_slot=2)
    job = job_of(script, {**voices}, Sampling(temperature=1.0, max_frames=40), settings)
    return render(job, LocalSpeaker(model, Tones()), Told(**told))


def turns(script):
    return [(turn.speaker, turn.text, turn.slot) for turn in script.turns]


def slots(script):
    return [tuple(round(edge, 1) for edge in turn.slot) for turn in script.turns]


# ---- what is said, and when ------------------------------------------------------------------------------------------


def test_phrases_are_what_stands_between_pauses_with_their_times():
    script = script_of_recording(recording(), Hears())
    assert [turn.text for turn in script.turns] == ["Good morning, Ben.", "The rain went on.", "Not much"]
    assert slots(script) == [(0.5, 1.5), (2.2, 3.3), (3.6, 4.4)]


def test_given_words_stand_in_place_of_heard_ones():
    text = "Good morning, Ben! The rain went on. Not much."
    script = script_of_recording(recording(), Hears(), text=text)
    assert [turn.text for turn in script.turns] == ["Good morning, Ben!", "The rain went on.", "Not much."]
    assert slots(script) == [(0.5, 1.5), (2.2, 3.3), (3.6, 4.4)]


def test_a_script_keeps_its_speakers_and_their_turns():
    said = [*SAID[:7], ("Not", 3.35, 3.9), ("much", 3.9, 4.4)]  # hardly a pause before the other one speaks
    text = "[Anna] {gain=-3dB} Good morning, Ben. The rain went on.\n[Ben] Not much."
    script = script_of_recording(recording(said), Hears(said), text=text)
    assert [(turn.speaker, turn.text) for turn in script.turns] == [
        ("Anna", "Good morning, Ben."),
        ("Anna", "The rain went on."),
        ("Ben", "Not much."),
    ]
    assert script.turns[0].settings == {"gain": -3.0} and script.turns[2].slot[0] == pytest.approx(3.35, abs=0.05)


def test_words_without_blanks_between_them_stay_so():
    said = [
        ("海", 0.5, 0.8),
        ("很", 0.8, 1.1),
        ("大。", 1.1, 1.5),
        ("船", 2.5, 3.0),
        ("很", 3.0, 3.3),
        ("小", 3.3, 3.6),
    ]
    script = script_of_recording(recording(said), Hears(said, "zh"), text="海很大。船很小。")
    assert [turn.text for turn in script.turns] == ["海很大。", "船很小。"]


@pytest.mark.parametrize(
    "text",
    [
        "[Anna] Good morning, Ben. The rain went on.\n[Ben] — Not much?",
        "[Anna] « Good morning, Ben. The rain went on. »\n[Ben] « Not much? »",
    ],
)
def test_marks_stand_with_the_speaker_who_has_them(text):
    script = script_of_recording(recording(), Hears(), text=text)
    ben = text.partition("[Ben] ")[2]
    assert turns(script)[-1][:2] == ("Ben", ben) and slots(script)[-1] == (3.6, 4.4)
    assert " ".join(turn.text for turn in script.turns[:-1]) == text.partition("\n")[0].removeprefix("[Anna] ")


def test_heard_words_of_a_language_without_blanks_have_none():
    said = [("海很", 0.5, 1.0), ("大。", 1.0, 1.5), ("船很小", 2.5, 3.6)]
    script = script_of_recording(recording(said), Hears(said, "zh"))
    assert [turn.text for turn in script.turns] == ["海很大。", "船很小"]


def test_heard_marks_alone_are_no_speech():
    said = [("[Musik]", 0.5, 1.5)]
    with pytest.raises(AudioError, match="Nobody speaks.*without words"):
        script_of_recording(recording(said), Hears(said))


def word(text, start, end):
    return WordTime(text, start, end, 1.0, 0, "")


def test_a_crumb_joins_the_neighbour_that_is_nearer_and_stays_alone_where_none_is_near():
    near = [word("Oh,", 0.0, 0.2), word("I", 0.6, 0.8), word("see.", 0.8, 1.4)]
    assert [[one.text for one in phrase] for phrase in phrases_of(near)] == [["Oh,", "I", "see."]]
    far = [word("Oh.", 0.0, 0.2), word("I", 3.0, 3.2), word("see.", 3.2, 3.9)]
    assert [len(phrase) for phrase in phrases_of(far)] == [1, 2]
    long = [word("word", n * 0.3, n * 0.3 + 0.3) for n in range(100)]
    assert max(sum(len(one.text) + 1 for one in phrase) for phrase in phrases_of(long)) <= 210


# ---- how it is said again --------------------------------------------------------------------------------------------


def test_each_phrase_has_its_place_and_the_whole_is_as_long_as_the_recording(model, voices):
    clip = recording(seconds=9.0)
    script = script_of_recording(clip, Hears())
    found = respoken(clip, performed(script, model, voices), Tones())
    starts = [round(one.start_s, 1) for one in found.assembly.times]
    assert starts[0] == 0.5 and starts[1] >= 2.2 and len(found.assembly.fits) == 3
    assert found.assembly.mix().clip.seconds == pytest.approx(9.0, abs=0.001)
    assert found.assembly.stem("Narrator").seconds == pytest.approx(9.0, abs=0.001)
    spans = [(one.start_s, one.end_s) for one in found.assembly.times]
    assert all(one[1] <= following[0] + 1e-6 for one, following in zip(spans, spans[1:], strict=False))


def test_soft_phrases_stay_soft(model, voices):
    clip = recording(levels=[0.0] * 3 + [-9.0] * 4 + [0.0] * 2)
    performance = performed(script_of_recording(clip, Hears()), model, voices)
    found = respoken(clip, performance, Tones(), follow_db=24.0)
    assert found.gains_db[0] - found.gains_db[1] == pytest.approx(9.0, abs=0.7)
    tracks = found.assembly.tracks
    assert tracks[0].gain_db - tracks[1].gain_db == pytest.approx(9.0, abs=0.7)
    gains = [turn.settings["gain"] for turn in found.performance.script.turns]
    assert gains == pytest.approx(found.gains_db, abs=0.01), "and so it is in what Assemble gets"
    limited = respoken(clip, performance, Tones(), follow_db=2.0)
    assert all(abs(gain) <= 2.0 for gain in limited.gains_db) and limited.gains_db[1] == -2.0
    assert respoken(clip, performance, Tones(), follow_db=0.0).gains_db == [0.0] * 3


def test_the_gain_of_a_phrase_in_two_pieces_counts_once(model, voices):
    said = [(text, start * 1.0, start + 0.9) for start, text in enumerate("This one is long enough, I think.".split())]
    said += [("Not", 9.0, 9.4), ("this.", 9.4, 9.9)]
    clip = recording(said, [0.0] * 7 + [-9.0] * 2)
    script = script_of_recording(clip, Hears(said))
    pieces = performed(script, model, voices, RenderSettings(takes_per_slot=1, max_chars=20))
    assert [one.line.turn for one in pieces.lines] == [0, 0, 1]
    found = respoken(clip, pieces, Tones(), follow_db=24.0)
    [first, second, last] = found.gains_db
    gains = [turn.settings["gain"] for turn in found.performance.script.turns]
    assert gains == pytest.approx([(first + second) / 2, last], abs=0.01)


def test_silence_is_followed_by_no_gain():
    assert followed([-20.0, -math.inf], [-20.0, -20.0], [1.0, 1.0], 6.0) == [0.0, 0.0]
    assert followed([-math.inf], [-math.inf], [1.0], 6.0) == [0.0]
    with pytest.raises(SettingError):
        respoken(recording(), None, Tones(), follow_db=99.0)


# ---- what is no recording of speech, and cancel at every stage -------------------------------------------------------


@pytest.mark.parametrize(
    "clip", [AudioClip(torch.zeros(1, 0), RATE), AudioClip(torch.zeros(1, RATE), RATE)], ids=["no samples", "silence"]
)
def test_nothing_to_hear_is_said_before_anybody_listens(clip):
    with pytest.raises(AudioError, match="Nobody speaks"):
        script_of_recording(clip, None)


def test_sound_without_words():
    with pytest.raises(AudioError, match="Nobody speaks.*without words"):
        script_of_recording(recording(), Hears([]))


def test_a_text_of_something_else_is_refused():
    text = "Seven boats are in the harbour, and the keeper counts them again."
    with pytest.raises(AudioError, match="says something else.*Seven boats.*Good morning"):
        script_of_recording(recording(), Hears(), text=text)


@pytest.mark.parametrize("text", ["…", "[Anna] …"])
def test_a_text_without_words(text):
    with pytest.raises(ScriptError):
        script_of_recording(recording(), Hears(), text=text)


def test_an_hour_is_cut_into_phrases_in_seconds():
    said = [
        (f"word{'.' * (n % 7 == 6)}", n * 0.5 + 0.4 * (n // 7), n * 0.5 + 0.4 * (n // 7) + 0.4) for n in range(6200)
    ]
    clip = AudioClip(torch.rand(1, 3600 * 8000).sub_(0.5), 8000)
    began = time.process_time()
    script = script_of_recording(clip, Hears(said))
    assert len(script.turns) > 800 and time.process_time() - began < 60


@pytest.mark.parametrize("stage", ["listening", "aligning"])
def test_cancel_while_it_is_heard(stage):
    def cancel(name, _done, _total):
        if name == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        script_of_recording(recording(), Hears(), on_stage=cancel)


def test_cancel_while_it_is_spoken_and_while_it_is_assembled(model, voices):
    script = script_of_recording(recording(), Hears())
    steps = count()
    made = performed(script, model, voices, should_stop=lambda: next(steps) > 3)
    assert not made.complete

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        respoken(recording(), performed(script, model, voices), Tones(), on_progress=cancel)


# ---- the node, and the command ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_node_says_a_clip_of_the_pack_in_another_voice(tmp_path, monkeypatch):
    pytest.importorskip("faster_whisper")
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    load_pack()
    node = node_classes()["HiggsRespeak"]
    pack = __import__(f"{PACK}.higgs_runtime", fromlist=["x"])
    monkeypatch.setattr(node_module("host.messages"), "send_event", lambda *_, **__: None)
    embedded, bear = pack_module("hub.catalog").EMBEDDED, pack.embedded_voices()["bear"]
    clip = pack.AudioClip.load(bear)
    handles = node_module("host.handles")
    values = {
        name: options["default"] for name, (_, options) in node_inputs("HiggsRespeak").items() if "default" in options
    }
    values |= {
        "audio": {"waveform": clip.samples[None], "sample_rate": clip.sample_rate},
        "model": handles.ModelHandle("lm", str(embedded / "higgs-nano")),
        "codec": handles.ModelHandle("codec", str(embedded / "higgs-nano-codec")),
        "takes_per_slot": 2,
        "text": "[Rose] " + bear.with_suffix(".txt").read_text(encoding="utf-8").strip(),
    }
    audio, performance, report = node.execute(**values).args
    length = audio["waveform"].shape[-1] / audio["sample_rate"]
    assert length == pytest.approx(clip.seconds, abs=0.01) and performance.complete
    assert "not converted" in report and "Rose: rose of the pack" in report and "within 5 % of their slot" in report
    with pytest.raises(pack.AudioError, match="says something else"):
        node.execute(**{**values, "text": "Where is the yellow book? He has twenty songs and seven green boats."})
    with pytest.raises(pack.AudioError, match="Nobody speaks"):
        node.execute(**{**values, "audio": {"waveform": torch.zeros(1, 1, 24_000), "sample_rate": 24_000}})


@pytest.mark.slow
def test_the_command_says_a_clip_in_another_voice(tmp_path, monkeypatch, capsys):
    pytest.importorskip("faster_whisper")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIGGS_TAKES", str(tmp_path / "takes"))
    command = ["respeak", str(embedded_voices()["bear"]), "--voice", "rose", "-o", "out.flac", "--takes-per-slot", "2"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "within 5 % of their slot" in said and (tmp_path / "out.srt").exists() and (tmp_path / "out.json").exists()
    assert cli.main(command) == 0
    assert ", 0 spoken now" in capsys.readouterr().out
    assert cli.main([*command, "--text", "The yellow book has twenty songs, and he can not find seven boats."]) == 1
    assert "says something else" in capsys.readouterr().err


def test_the_command_listens_with_who_knows_the_language(tmp_path, monkeypatch):
    asked = []

    class Heard(Exception):
        pass

    def listened(clip, ears, **_):
        raise Heard(ears)

    monkeypatch.setattr(
        verification, "first_recognizer", lambda code, folders: asked.append(code) or ("large", "who knows German")
    )
    monkeypatch.setattr(rendering, "script_of_recording", listened)
    clip = str(embedded_voices()["bear"])
    with pytest.raises(Heard, match="who knows German"):
        cli.main(["respeak", clip, "--voice", "rose", "-o", str(tmp_path / "out.flac"), "--language", "de"])
    assert asked == ["de"]
