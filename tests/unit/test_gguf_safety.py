"""GGUF files from nobody knows where: whatever a header claims ends in our error, at once and without memory for it."""

from __future__ import annotations

import random
import struct
import sys
import time

import gguf
import helpers_gguf as forms
import numpy as np
import pytest
from test_safety import peak_bytes

from higgs_runtime import CheckpointError, load_codec, load_model
from higgs_runtime.checkpoint.gguf_file import MOST_IN_LIST, GgufFile, GgufTensors
from higgs_runtime.checkpoint.gguf_source import GgufSource
from higgs_runtime.checkpoint.gguf_tokenizer import tokenizer_of
from higgs_runtime.hub import describe_checkpoint, find_checkpoints

TB = 10**12


def text(value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def number(name: str, value: int) -> bytes:
    return text(name) + struct.pack("<II", 4, value)


def tensor(name: str | bytes, shape=(4,), kind=0, offset=0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def made(tensors=(), fields=(), *, counts=None, version=3, data=64, magic=b"GGUF", order="<") -> bytes:
    head = magic + struct.pack(f"{order}IQQ", version, *(counts or (len(tensors), len(fields))))
    head += b"".join([*fields, *tensors])
    return head + b"\0" * (-len(head) % 32) + b"\0" * data


LIES = {
    "empty": b"",
    "another format": b"PK\x03\x04" + b"\0" * 64,
    "the magic alone": b"GGUF",
    "version 1": made(version=1),
    "big-endian": made(order=">"),
    "more tensors than any": made(counts=(2**60, 0)),
    "more fields than any": made(counts=(0, 2**60)),
    "more tensors than there are": made([tensor("a")], counts=(2, 0), data=0),
    "a name of a terabyte": made(counts=(0, 1)) + struct.pack("<Q", TB),
    "a long name": made([tensor("a" * 300)]),
    "no name": made([tensor("")]),
    "a name that is no text": made([tensor(b"\xff\xfe")]),
    "a name that cannot be shown": made([tensor("a\x1b[2J")]),
    "a text of a terabyte": made(fields=[text("x") + struct.pack("<IQ", 8, TB)]),
    "a list of a terabyte": made(fields=[text("x") + struct.pack("<IIQ", 9, 4, TB)]),
    "a list that overflows": made(fields=[text("x") + struct.pack("<IIQ", 9, 4, 2**62)]),
    "a list of many texts": made(fields=[text("x") + struct.pack("<IIQ", 9, 8, 2**40)]),
    "lists of lists": made(fields=[text("x") + struct.pack("<IIQIQ", 9, 9, 1, 9, 1)]),
    "a value of no kind": made(fields=[text("x") + struct.pack("<I", 99)]),
    "a field twice": made(fields=[number("x", 1), number("x", 2)]),
    "a tensor twice": made([tensor("a"), tensor("a", offset=32)]),
    "many dimensions": made([tensor("a", (1,) * 9)]),
    "no dimensions": made([tensor("a", ())]),
    "2 ** 32 dimensions": made([text("a") + struct.pack("<I", 2**32 - 1)]),
    "shape of 1 TB in few bytes": made([tensor("a", (TB,))]),
    "shape that overflows": made([tensor("a", (2**63, 2**63, 2**63, 2**63))]),
    "no numbers": made([tensor("a", (0, 4))]),
    "a type that nobody has": made([tensor("a", kind=12345)]),
    "half a block": made([tensor("a", (16,), kind=8)]),
    "a place beyond the file": made([tensor("a", offset=2**62)]),
    "a place between two": made([tensor("a", offset=8)]),
    "overlapping": made([tensor("a", (16,)), tensor("b", offset=32)]),
    "cut off": made([tensor("a", (17,))]),
    "an alignment of 0": made([tensor("a")], [number("general.alignment", 0)]),
    "an alignment of 3": made([tensor("a")], [number("general.alignment", 3)]),
    "an alignment of gigabytes": made([tensor("a")], [number("general.alignment", 2**31)]),
    "an alignment that is a text": made([tensor("a")], [text("general.alignment") + struct.pack("<I", 8) + text("32")]),
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused_and_nothing_is_allocated_for_it(tmp_path, name):
    file = tmp_path / "model.gguf"
    file.write_bytes(LIES[name])
    before = peak_bytes()
    for read in (GgufFile, load_model, load_codec):
        with pytest.raises(CheckpointError, match="cannot be read as GGUF"):
            read(file)
    [item] = find_checkpoints([tmp_path])
    assert item.label == "model.gguf" and "damaged" in describe_checkpoint(item).problem
    assert peak_bytes() - before < 50_000_000


def test_a_sound_one_is_read(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(made([tensor("a"), tensor("b", (2, 3), offset=32)], [number("x", 7)]))
    found = GgufFile(file)
    assert found.number("x") == 7 and {name: one.shape for name, one in found.tensors.items()} == {
        "a": (4,),
        "b": (3, 2),
    }
    assert found.number("y") is found.text("x") is found.texts("x") is found.numbers("x") is None


def sound_file(folder) -> bytes:
    """A whole small file of audio.cpp's kind, with tensors, lists and files inside."""
    rng = np.random.default_rng(0)
    names = ["body.layers.0.self_attn.q_norm.weight", "body.norm.weight", "x"]

    def fields(writer) -> None:
        writer.add_string("audiocpp.model_spec.family", "higgs_audio_tts")
        writer.add_array("audiocpp.embedded_files.names", ["config.json", "tokenizer.json"])
        forms.add_numbers(writer, "audiocpp.embedded_files.offsets", [0, 2, 4], gguf.GGUFValueType.UINT64)
        writer.add_array("audiocpp.embedded_files.data", b"{}{}")
        writer.add_array("audiocpp.tensor_names", names)
        forms.add_numbers(writer, "audiocpp.tensor_ranks", [1, 1, 2], gguf.GGUFValueType.INT32)
        forms.add_numbers(writer, "audiocpp.tensor_shapes", [8, 8, 4, 64], gguf.GGUFValueType.INT64)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(["a", "b", "ab", "<|audio|>"])
        writer.add_token_types([1, 1, 1, 3])
        writer.add_token_merges(["a b"])

    blocks = gguf.quants.quantize(rng.normal(size=(4, 64)).astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
    stored = {"a": (np.ones(8, np.float32), None), "b": (np.ones(8, np.float32), None)}
    stored["c"] = (blocks, gguf.GGMLQuantizationType.Q8_0)
    return forms.write(folder / "sound.gguf", "audiocpp", stored, fields).read_bytes()


SIZES = (0, 1, 2**16, 2**31, 2**32 - 1, TB, 2**63, 2**64 - 1)
KINDS = (0, 1, 4, 8, 9, 12, 13, 30, 255, 2**31, 2**32 - 1)


def mutated(content: bytes, draw: random.Random, head: int) -> bytes:
    """One to four changes: bits, numbers that matter, pieces left out, doubled or cut off."""
    found = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(min(head, len(found)))
        how = draw.randrange(6)
        if how == 0:
            found[place] ^= 1 << draw.randrange(8)
        elif how == 1:
            found[place : place + 8] = struct.pack(
                "<Q", draw.choice([0, 1, 2**16, 2**31, 2**32 - 1, TB, 2**63, 2**64 - 1])
            )
        elif how == 2:
            found[place : place + 4] = struct.pack(
                "<I", draw.choice([0, 1, 4, 8, 9, 12, 13, 30, 255, 2**31, 2**32 - 1])
            )
        elif how == 3:
            del found[place : place + draw.randrange(1, 64)]
        elif how == 4:
            found[place:place] = found[place : place + draw.randrange(1, 64)]
        else:
            del found[draw.randrange(1, len(found)) :]
    return bytes(found)


@pytest.mark.parametrize("first, count", [(0, 200), pytest.param(200, 1800, marks=pytest.mark.slow)])
def test_mutations_end_in_our_error_or_in_tensors(tmp_path, first, count):
    """2,000 in all. What is still sound is read to the end; nothing else than CheckpointError comes out."""
    content = sound_file(tmp_path)
    head, file, refused = content.rindex(b"c\x02\0\0\0") + 40, tmp_path / "model.gguf", 0
    made_of_pieces = 0
    assert set(GgufSource(tmp_path / "sound.gguf").tensors()) >= {"body.norm.weight", "x"}
    before, began = peak_bytes(), time.monotonic()
    for seed in range(first, first + count):
        file.write_bytes(mutated(content, random.Random(seed), head))
        try:
            tensors = GgufTensors(GgufFile(file))
            assert all(tensors[name].numel() < 2**16 for name in tensors)
            source = GgufSource(file)
            found = source.tensors()
            assert all(found[name].shape == found.shape(name) for name in found)
            source.tokenizer(), source.contents(), source.missing()
            made = tokenizer_of(GgufFile(file))
            made_of_pieces += made is not None and b"audio" in made
        except CheckpointError as error:
            refused += 1
            assert len(str(error)) < 5000 and (str(error).isprintable() or "\n" in str(error))
    assert refused > count // 4 and made_of_pieces
    assert peak_bytes() - before < 100_000_000
    assert time.monotonic() - began < 0.1 * count


def test_a_list_of_too_many_numbers_is_refused(tmp_path):
    """100 MB of bytes would be a gigabyte as numbers of Python."""
    count = MOST_IN_LIST + 1
    file = tmp_path / "model.gguf"
    fields = [text("x") + struct.pack("<IIQ", 9, 0, count) + b"\0" * count, number("y", 1)]
    file.write_bytes(made([tensor("a")], fields))
    found = GgufFile(file)
    assert found.number("y") == 1 and len(found.content("x", 0, 100)) == 100
    with pytest.raises(CheckpointError, match=f"a list of {count} numbers"):
        found.numbers("x")


def test_a_shape_that_cuts_blocks_is_read_all_the_same(tmp_path):
    """A list of shapes may say anything that has as many numbers."""
    blocks = np.random.default_rng(0).integers(0, 60, (300, 1024 // 32 * 34), dtype=np.uint8)
    kind = gguf.GGMLQuantizationType.Q8_0
    file = forms.write(tmp_path / "x.gguf", "x", {"x": (blocks, kind)}, lambda writer: None)
    tensors = GgufTensors(GgufFile(file), {"x": (19200, 16)})
    wanted = gguf.quants.dequantize(blocks, kind).reshape(19200, 16)
    assert np.array_equal(tensors.rows("x", 17, 290).numpy(), wanted[17:290], equal_nan=True)


HOSTILE_LISTS = {
    "fewer names": {"names": ["a"]},
    "the same name twice": {"names": ["x", "x", "y"]},
    "names that cannot be shown": {"names": ["x", "y", "\x1b[2J"]},
    "a long name": {"names": ["x", "y", "z" * 100_000]},
    "fewer ranks": {"ranks": [1]},
    "ranks of 2 ** 30": {"ranks": [1, 1, 2**30]},
    "negative ranks": {"ranks": [1, 1, -1]},
    "shapes of other numbers": {"sizes": [8, 8, 4, 65]},
    "negative shapes": {"sizes": [8, 8, -4, -64]},
    "fewer sizes": {"sizes": [8]},
}


@pytest.mark.parametrize("name", HOSTILE_LISTS)
def test_lists_that_do_not_fit_the_tensors(tmp_path, name):
    given = {"names": ["x", "y", "z"], "ranks": [1, 1, 2], "sizes": [8, 8, 4, 64], **HOSTILE_LISTS[name]}

    def fields(writer) -> None:
        writer.add_string("audiocpp.model_spec.family", "higgs_audio_tts")
        writer.add_array("audiocpp.embedded_files.names", ["config.json"])
        writer.add_array("audiocpp.embedded_files.contents", ["{}"])
        writer.add_array("audiocpp.tensor_names", given["names"])
        forms.add_numbers(writer, "audiocpp.tensor_ranks", given["ranks"], gguf.GGUFValueType.INT32)
        forms.add_numbers(writer, "audiocpp.tensor_shapes", given["sizes"], gguf.GGUFValueType.INT64)

    stored = {name: (np.ones(8, np.float32), None) for name in "ab"} | {"c": (np.ones((4, 64), np.float32), None)}
    file = forms.write(tmp_path / "model.gguf", "audiocpp", stored, fields)
    with pytest.raises(CheckpointError, match="contradicts itself") as caught:
        GgufSource(file).tensors()
    assert len(str(caught.value)) < 2000 and str(caught.value).isprintable()
    assert [item.label for item in find_checkpoints([tmp_path])] == ["model.gguf"]


@pytest.mark.parametrize("offsets", [[0, 2**62], [5, 2], [0], [], [2**63, 2**63 + 4]])
def test_a_file_inside_that_is_not_there_counts_as_none(tmp_path, offsets):
    def fields(writer) -> None:
        writer.add_string("audiocpp.model_spec.family", "higgs_audio_tts")
        writer.add_array("audiocpp.embedded_files.names", ["config.json", "../../tokenizer.json"])
        if offsets:
            forms.add_numbers(writer, "audiocpp.embedded_files.offsets", offsets, gguf.GGUFValueType.UINT64)
        writer.add_array("audiocpp.embedded_files.data", b"{}")

    file = forms.write(tmp_path / "model.gguf", "audiocpp", {"a": (np.ones(8, np.float32), None)}, fields)
    with pytest.raises(CheckpointError, match="not a whole Higgs Audio v3"):
        GgufSource(file)


@pytest.mark.parametrize(
    "config", ["[", "[1]", "[" * 100_000, '"x"', '{"model_type": ["x"]}', '{"model_type": "llama"}']
)
def test_a_config_inside_that_is_none(tmp_path, config):
    def fields(writer) -> None:
        writer.add_string("audiocpp.model_spec.family", "higgs_audio_tts")
        writer.add_array("audiocpp.embedded_files.names", ["config.json"])
        writer.add_array("audiocpp.embedded_files.contents", [config])

    file = forms.write(tmp_path / "model.gguf", "audiocpp", {"a": (np.ones(8, np.float32), None)}, fields)
    for load in (load_model, load_codec):
        with pytest.raises(CheckpointError):
            load(file)
    [item] = find_checkpoints([tmp_path])
    assert item.kind == "" and str(describe_checkpoint(item))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_itself_hides_nothing(tmp_path):
    (tmp_path / "loop.gguf").symlink_to("loop.gguf")
    (tmp_path / "model.gguf").write_bytes(LIES["cut off"])
    assert [item.name for item in find_checkpoints([tmp_path])] == ["model.gguf"]
