"""The library of voices on the disk, and voices of several references."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from helpers_audio import sine
from helpers_checkpoint import make_lm_checkpoint, random_codes
from helpers_speech import speech
from helpers_v3 import make_v3_checkpoint
from safetensors import safe_open
from safetensors.torch import save_file

from higgs_runtime import (
    AudioClip,
    Codes,
    PromptError,
    Voice,
    VoiceError,
    atomic_write,
    build_prompt,
    conversation,
    find_voices,
    load_codec,
    load_model,
    load_voice,
    save_voice,
)
from higgs_runtime.audio.clip import trim
from higgs_runtime.hub.catalog import EMBEDDED, find_checkpoints
from higgs_runtime.types import combine_voices
from higgs_runtime.voices.library import VoiceCard, voice_path

MINE, OTHER = "0123456789abcdef", "fedcba9876543210"
PACK_CODEC = EMBEDDED / "higgs-nano-codec"
NOTE = "Read by Zoë for this test; she agreed to CC0."
ONE, TWO = random_codes(40, seed=1, codec=MINE), random_codes(25, seed=2, codec=MINE)
KEEPER = Voice(ONE, "The first clip.", "An old keeper.\nSlow.", ((TWO, "第二段录音。"),))


@pytest.fixture
def saved(tmp_path) -> Path:
    path = voice_path(tmp_path, "keeper")
    save_voice(path, KEEPER, VoiceCard.of(sine(440, 1.0), NOTE))
    return path


@pytest.fixture(scope="module")
def v2(tmp_path_factory):
    """The tokenizer of a v2 checkpoint."""
    return load_model(make_lm_checkpoint(tmp_path_factory.mktemp("v2"))).tokenizer


def changed(path: Path, change) -> Path:
    """The file with its header's JSON object, or its tensors, edited."""
    with safe_open(str(path), framework="pt") as file:
        header, tensors = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}
    record = json.loads(header["voice"])
    change(record, tensors)
    save_file(tensors, path, metadata={**header, "voice": json.dumps(record)})
    return path


def same(one: Voice, two: Voice) -> bool:
    pairs = list(zip(one.references, two.references, strict=True))
    return one.description == two.description and all(
        torch.equal(a.ids, b.ids)
        and b.ids.dtype == torch.int64
        and s == t
        and (a.frame_rate, a.codebook_size, a.codec) == (b.frame_rate, b.codebook_size, b.codec)
        for (a, s), (b, t) in pairs
    )


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_voice_comes_back_bit_by_bit(saved):
    card = VoiceCard.of(sine(440, 1.0), NOTE)
    voice, read = load_voice(saved)
    assert same(KEEPER, voice)
    assert read == replace(card, created=read.created) and read.note == NOTE and read.sample_rate == 48_000
    assert len(read.source_sha256) == 64 and read.created.startswith("20") and read.created.endswith("+00:00")


def test_a_real_clip_through_the_packs_codec(tmp_path):
    codec, clip = load_codec(PACK_CODEC), trim(speech()[0][0], 0.5, 1.5)
    voice = Voice(codec.encode(clip), "Words.")
    save_voice(tmp_path / "a.safetensors", voice, VoiceCard.of(clip))
    again, card = load_voice(tmp_path / "a.safetensors")
    assert same(voice, again) and again.codes.codec == codec.signature
    heard = tmp_path / "preview.flac"
    heard.write_bytes(card.preview)
    assert AudioClip.load(heard).seconds == pytest.approx(clip.seconds, abs=0.01)
    assert soundfile.info(heard).samplerate == 24_000


def test_a_described_voice_needs_no_clip(tmp_path):
    save_voice(tmp_path / "d.safetensors", Voice(description="Warm, low, slow."))
    voice, card = load_voice(tmp_path / "d.safetensors")
    assert voice.references == () and voice.description == "Warm, low, slow." and card.preview == b""


def test_preview_is_short_whatever_the_source():
    clip = sine(300, 40.0, dbfs=6.0, channels=3, rate=8_000)
    card = VoiceCard.of(clip)
    assert len(card.preview) < 3_000_000 and card.sample_rate == 8_000
    assert card.source_sha256 != VoiceCard.of(sine(301, 1.0)).source_sha256


def test_nothing_is_overwritten_unless_asked(saved):
    before = saved.read_bytes()
    with pytest.raises(VoiceError, match="a voice 'keeper' already"):
        save_voice(saved, Voice(description="another"))
    save_voice(saved, KEEPER, VoiceCard.of(sine(440, 1.0), NOTE))  # is there
    assert saved.read_bytes() == before
    with pytest.raises(VoiceError, match="already"):
        save_voice(saved, KEEPER, VoiceCard.of(sine(440, 1.0), "Another note."))
    save_voice(saved, Voice(description="another"), overwrite=True)
    assert load_voice(saved)[0].description == "another"
    assert [file.name for file in saved.parent.iterdir()] == ["keeper.safetensors"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("step", ["open", "replace"])
def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch, step, overwrite):
    path = tmp_path / "a.safetensors"
    if overwrite:
        save_voice(path, KEEPER)
    before = path.read_bytes() if overwrite else None

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_write if step == "open" else atomic_write.os, step, full, raising=False)
    with pytest.raises(VoiceError, match="No space left.*disk space"):
        save_voice(path, KEEPER, overwrite=overwrite)
    monkeypatch.undo()
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([before] if overwrite else [])


def test_a_folder_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "voices").write_text("")
    with pytest.raises(VoiceError, match="could not be written"):
        save_voice(voice_path(tmp_path, "a"), KEEPER)


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["keeper", "Zoë", "老船长", "قصه‌گو", "Dr. Who 2", "a" * 80, "ю" * 80])
def test_names_of_any_language(tmp_path, name):
    path = voice_path(tmp_path, name)
    assert path.parent == tmp_path / "voices"
    save_voice(path, KEEPER)
    assert list(find_voices([tmp_path])) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "..",
        ".",
        "../keeper",
        "a/b",
        "a\\b",
        "C:x",
        "a\0b",
        "a\nb",
        ".hidden",
        "end.",
        " left",
        "right ",
        "nul",
        "COM1.txt",
        "a*",
        "x" * 81,
        "漢" * 70,
        "a\u202eb",
        "\ud800",
        "a|b",
    ],
)
def test_hostile_names_are_refused(tmp_path, name):
    with pytest.raises(VoiceError, match="cannot be the name"):
        voice_path(tmp_path, name)


def test_one_spelling_of_a_name(tmp_path):
    assert voice_path(tmp_path, "Zoe\u0308") == voice_path(tmp_path, "Zo\u00eb")


def test_the_first_folder_counts(tmp_path):
    for root, said in (("one", "first"), ("two", "second")):
        save_voice(voice_path(tmp_path / root, "keeper"), Voice(description=said))
    save_voice(voice_path(tmp_path / "two", "Anna"), KEEPER)
    (tmp_path / "two" / "voices" / ".part.safetensors").write_text("")
    found = find_voices([tmp_path / "none", tmp_path / "one", tmp_path / "two"])
    assert list(found) == ["Anna", "keeper"] and load_voice(found["keeper"])[0].description == "first"


def test_voices_are_no_checkpoints(tmp_path):
    save_voice(voice_path(tmp_path, "model"), KEEPER)  # model.safetensors
    assert find_checkpoints([tmp_path]) == []


# --- broken files ---------------------------------------------------------------------------------------------------


def test_every_cut_is_noticed(saved):
    whole = saved.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(VoiceError, match="damaged.*[Cc]opy it again"):
            load_voice(saved)


def test_other_files_are_refused(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"RIFF and so on, no voice at all")
    with pytest.raises(VoiceError, match="not a voice"):
        load_voice(tmp_path / "a.safetensors")
    with pytest.raises(VoiceError, match="damaged"):
        load_voice(tmp_path / "b.safetensors")
    with pytest.raises(VoiceError, match="no voice file"):
        load_voice(tmp_path / "c.safetensors")
    with pytest.raises(VoiceError, match="ending in .safetensors"):
        save_voice(tmp_path / "c.wav", KEEPER)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda record, tensors: tensors["codes_0"].__setitem__((0, 0), 1024), "leave their codebook"),
        (lambda record, tensors: tensors["codes_1"].__setitem__((7, 3), -1), "leave their codebook"),
        (lambda record, tensors: tensors.pop("codes_1"), "codes_1"),
        (lambda record, tensors: tensors.update(codes_0=torch.rand(8, 40)), "float32"),
        (lambda record, tensors: tensors.update(codes_0=torch.zeros(40, dtype=torch.int16)), "not audio codes"),
        (lambda record, tensors: record.pop("references"), "references"),
        (lambda record, tensors: record["references"][0].update(codec=OTHER), "different codecs"),
        (lambda record, tensors: record.update(note=7), "note is not text"),
        (lambda record, tensors: record.update(references=5), "damaged"),
        (lambda record, tensors: record.update(sample_rate=None), "damaged"),
        (lambda record, tensors: record.update(version=2), "newer version.*Update"),
    ],
)
def test_files_with_wrong_contents_are_refused(saved, change, words):
    with pytest.raises(VoiceError, match=words):
        load_voice(changed(saved, change))


def test_codebooks_beyond_int16_are_refused(tmp_path):
    huge = Voice(Codes(torch.full((1, 2), 40_000), 25.0, 65_536), "Words.")
    with pytest.raises(VoiceError, match="too large"):
        save_voice(tmp_path / "a.safetensors", huge)


# --- use ------------------------------------------------------------------------------------------------------------


def test_a_voice_of_another_codec_is_refused_where_it_is_used(v2, saved):
    voice, _ = load_voice(saved)
    with pytest.raises(ValueError, match="another codec|other codec"):
        load_codec(PACK_CODEC).decode(voice.codes)
    tokenizer = copy(v2)
    tokenizer.config = replace(v2.config, codec_identity=OTHER)
    with pytest.raises(PromptError, match=f"another codec.*{OTHER}, got codes of codec {MINE}.*Encode the clip"):
        build_prompt(conversation("Hello.", [voice]), tokenizer)


def test_each_reference_is_its_own_pair():
    messages = conversation("Hello.", [KEEPER])
    assert [message.role for message in messages] == ["system", "scene", *["user", "assistant"] * 2, "user"]
    assert [message.content for message in messages[2:6]] == [["The first clip."], [ONE], ["第二段录音。"], [TWO]]
    assert messages[1].content == ["SPEAKER0: An old keeper. Slow."]
    dialogue = conversation("[SPEAKER1] Hi.", [Voice(description="x"), KEEPER])
    assert [m.content[0] for m in dialogue if m.role == "user" and m.reference] == [
        "[SPEAKER1] The first clip.",
        "[SPEAKER1] 第二段录音。",
    ]


@pytest.mark.parametrize("layout", ["v2", pytest.param("v3", marks=pytest.mark.slow)])
def test_references_in_the_prompts_of_v2_and_v3(v2, tmp_path, layout):
    pairs = [Voice(ONE, "The first clip."), Voice(TWO, "The second.")]
    tokenizer = v2 if layout == "v2" else load_model(make_v3_checkpoint(tmp_path / "v3")).tokenizer
    alone = [build_prompt(conversation("Hello.", [voice]), tokenizer) for voice in pairs]
    both = build_prompt(conversation("Hello.", [combine_voices(pairs)]), tokenizer)
    assert torch.equal(both.audio_rows, torch.cat([prompt.audio_rows for prompt in alone]))
    overhead = len(build_prompt(conversation("Hello."), tokenizer))
    assert len(both) == sum(map(len, alone)) - overhead


def test_voices_are_combined_in_order():
    third = random_codes(9, seed=3)
    voice = combine_voices([Voice(description="Slow."), KEEPER, Voice(third, "Three.", "Slow.")])
    assert [codes for codes, _ in voice.references] == [ONE, TWO, third]
    assert voice.description == "Slow. An old keeper.\nSlow."
    assert combine_voices([Voice(description="Slow.")]).codes is None
    with pytest.raises(PromptError, match="different codecs.*same codec"):
        combine_voices([KEEPER, Voice(random_codes(3, codec=OTHER), "Three.")])
    with pytest.raises(PromptError, match="different codecs"):
        combine_voices([KEEPER, Voice(random_codes(3, num_codebooks=4), "Three.")])
    with pytest.raises(PromptError, match="go by"):
        combine_voices([])
    with pytest.raises(PromptError, match="second reference"):
        Voice(description="x", more=((ONE, "Words."),))
