"""The table of memory in docs/models.md, against what the shapes of the released models say."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache

import pytest
import torch
from helpers_checkpoint import RELEASED_V2, ROOT
from helpers_v3 import AUDIO, TEXT
from random_codec import RELEASED

from higgs_runtime.codec.higgs_config import HiggsCodecConfig
from higgs_runtime.codec.higgs_tokenizer import HiggsTokenizer
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.model import quantization as quantized
from higgs_runtime.model.config import parse_native_v2, parse_v3
from higgs_runtime.model.kv_cache import KVCache
from higgs_runtime.model.loading import quantize_layers
from higgs_runtime.model.memory import weights_bytes
from higgs_runtime.model.transformer import HiggsModel

V2 = parse_native_v2(
    {
        "vocab_size": 128256,
        **RELEASED_V2,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "num_codebooks": 8,
        "codebook_size": 1026,
        "audio_stream_bos_id": 1024,
        "audio_stream_eos_id": 1025,
        "audio_token_id": 128016,
        "audio_bos_token_id": 128013,
        "audio_delay_token_id": 128014,
    }
)
V3 = parse_v3(
    {
        "text_config": {
            **TEXT,
            "hidden_size": 2560,
            "intermediate_size": 9728,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
        },
        "audio_encoder_config": {**AUDIO, "out_dim": 2560},
    }
)
MODELS = {"v2 language model": V2, "v3 language model": V3}
FORMATS = {
    "float32": (torch.float32, None),
    "bfloat16": (torch.bfloat16, None),
    "int8": (torch.bfloat16, "int8"),
    "fp8": (torch.bfloat16, "fp8"),
    "int4": (torch.bfloat16, "int4"),
}


def table() -> dict[str, dict[str, float]]:
    """GB by row and column of the table in docs/models.md."""
    lines = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("| | float32 |"))
    columns = [cell.strip().split(" ")[0] for cell in lines[first].split("|")[2:-1]]
    found = {}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            return found
        name, *cells = (cell.strip() for cell in line.split("|")[1:-1])
        values = [re.match(r"([\d.]+) (GB|MB)", cell) for cell in cells]
        found[name] = {
            column: float(value[1]) * (1 if value[2] == "GB" else 1e-3)
            for column, value in zip(columns, values, strict=True)
            if value
        }
    raise AssertionError("the table has no end")


@cache
def made(config) -> HiggsModel:
    with torch.device("meta"):
        return HiggsModel(config)


def built(config, dtype, quantization) -> HiggsModel:
    """A model of these shapes without memory for its weights."""
    with torch.device("meta"):
        model = deepcopy(made(config)).to(dtype)
        if quantization:
            quantize_layers(model, quantization)
    if config.tied_head:
        model.audio_head.weight = model.audio_embedding.weight
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_page_agrees_with_the_shapes(name, monkeypatch):
    monkeypatch.setattr(quantized, "AT_ONCE", 2**40)  # there is nothing to save here, and each piece takes time
    row, config = table()[name], MODELS[name]
    for column, (dtype, quantization) in FORMATS.items():
        real = model_bytes(built(config, dtype, quantization))
        assert weights_bytes(config, dtype, quantization) == pytest.approx(real, rel=0.01), column
        assert row[column] == pytest.approx(real / 1e9, rel=0.02, abs=0.06), column
    minute = 60 * config.frame_rate * KVCache.bytes_per_position(config, torch.bfloat16)
    assert row["a"] == pytest.approx(minute / 1e9, rel=0.02)


def test_the_readme_repeats_the_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("v2", "v3"):
        sizes = re.search(rf"^\| Higgs Audio {name}.*?\| ([\d.]+) GB, ([\d.]+) GB", readme, re.M).groups()
        row = table()[f"{name} language model"]
        assert [float(size) for size in sizes] == [row["bfloat16"], row["int4"]]


def test_the_page_says_how_large_the_codec_is():
    """Its codebooks stay in float32."""
    with torch.device("meta"):
        codec = HiggsTokenizer(HiggsCodecConfig.from_dict(RELEASED))
    books = sum(level.codebook.embed.numel() for level in codec.quantizer.quantizers)
    rest = sum(tensor.numel() for tensor in codec.state_dict().values()) - books
    real = {"float32": 4 * (rest + books), "bfloat16": 2 * rest + 4 * books}
    row = {column: value for column, value in table()["codec of both"].items() if column in real}
    assert row and all(value == pytest.approx(real[column] / 1e9, abs=0.07) for column, value in row.items())


def test_the_cache_takes_the_bytes_of_the_table():
    """One real allocation, of four seconds of v3's cache."""
    cache = KVCache(V3, 100, torch.zeros(100, 2, V3.head_dim), dtype=torch.bfloat16)
    assert cache.keys.nbytes + cache.values.nbytes == 100 * KVCache.bytes_per_position(V3, torch.bfloat16)
