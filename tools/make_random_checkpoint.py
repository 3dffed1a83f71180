"""Small random checkpoints in the exact released layout, written by transformers' own `save_pretrained`.

The tests compare against transformers with them, the benchmarks time them. What they speak is noise.
"""

from __future__ import annotations

import json
from pathlib import Path

# Llama 3's reserved tokens as the released v2 tokenizer names them.
TOKEN_NAMES = {
    128011: "<|audio_bos|>",
    128012: "<|audio_eos|>",
    128013: "<|audio_out_bos|>",
    128014: "<|reserved_special_token_6|>",
    128015: "<|AUDIO|>",
    128016: "<|AUDIO_OUT|>",
    128017: "<|scene_desc_start|>",
    128018: "<|scene_desc_end|>",
}
VOCABULARY = 128256
# transformers' usual 0.02 gives nearly flat logits, whose order rounding decides; trained heads are far from flat
SHARP = 0.3


def write_tokenizer(folder: Path, source: Path) -> None:
    """Write tokenizer.json: the vocabulary of `source` (Llama 3) with Higgs' names for the reserved tokens."""
    raw = json.loads(source.read_text(encoding="utf-8"))
    raw["added_tokens"] = [token for token in raw["added_tokens"] if token["id"] < VOCABULARY]
    for token in raw["added_tokens"]:
        if token["id"] in TOKEN_NAMES:
            token["content"] = TOKEN_NAMES[token["id"]]
        elif token["content"] in TOKEN_NAMES.values():
            token["content"] = f"<|unused_{token['id']}|>"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|end_of_text|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def make_language_model(
    folder: Path, tokenizer: Path, *, seed: int = 0, dtype: str = "float32", stream_end: float = 1.0, **overrides
) -> Path:
    """Write a random v2 language model.

    Args:
        stream_end: factor on the stream-end rows of its heads. 0: it never ends by itself, 1.3: it ends soon.
        overrides: fields of HiggsAudioV2Config.
    """
    import torch
    from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

    shape = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_codebooks": 8,
        "codebook_size": 1026,
        "max_position_embeddings": 8192,
        "initializer_range": SHARP,
        "bos_token_id": 128000,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = HiggsAudioV2Config(**{**shape, **overrides})
        model = HiggsAudioV2ForConditionalGeneration(config)
        for name, parameter in model.named_parameters():  # built as ones and zeros, which would hide a mix-up
            if name.endswith("bias"):
                parameter.data.normal_(std=0.2)
            elif name.endswith("norm.weight"):
                parameter.data.uniform_(0.5, 1.5)
    heads = model.audio_lm_head.weight.data.view(config.num_codebooks, config.codebook_size, -1)
    heads[:, config.audio_stream_eos_id] *= stream_end  # a logit of 0 among large ones is not even among the top k
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    write_tokenizer(folder, tokenizer)
    return folder


def make_sparse_language_model(folder: Path, tokenizer: Path, *, filled_layers: int = 2, **overrides) -> Path:
    """Write a v2 language model in bfloat16 whose file takes no more of the disk than its first layers: the rest is a
    hole, which reads as zeros.

    Args:
        filled_layers: how many layers have random weights.
        overrides: fields of HiggsAudioV2Config.
    """
    import torch
    from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

    config = HiggsAudioV2Config(**{"num_codebooks": 8, "codebook_size": 1026, "bos_token_id": 128000, **overrides})
    with torch.device("meta"):
        shapes = {name: one.shape for name, one in HiggsAudioV2ForConditionalGeneration(config).state_dict().items()}
    header, place = {}, 0
    for name, shape in sorted(shapes.items()):
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [place, place + 2 * shape.numel()]}
        place += 2 * shape.numel()
    write_tokenizer(folder, tokenizer)
    config.architectures = ["HiggsAudioV2ForConditionalGeneration"]
    config.save_pretrained(folder)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64 + 56)  # tensors begin at a multiple of 64
    filled = tuple(f"model.layers.{n}." for n in range(filled_layers))
    with open(folder / "model.safetensors", "wb") as sink:
        sink.write(len(text).to_bytes(8, "little") + text)
        start = sink.tell()
        for name, shape in shapes.items():
            if name.startswith(filled):
                values = torch.randn(shape) * (shape[-1] ** -0.5 if len(shape) > 1 else 1)
                sink.seek(start + header[name]["data_offsets"][0])
                sink.write(values.bfloat16().view(torch.uint8).numpy().data)
        sink.truncate(start + place)
    return folder
