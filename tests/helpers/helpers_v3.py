"""Small random v3 checkpoints in the released layout, and a plain view of them through transformers' Qwen3Model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from helpers_vocabulary import write_qwen_tokenizer
from safetensors.torch import save_file

TEXT = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 40960,
    "rope_theta": None,
    "rope_scaling": None,
    "attention_bias": False,
    "hidden_act": "silu",
}
AUDIO = {
    "encoder_type": "discrete",
    "num_codebooks": 8,
    "vocab_size": 1026,
    "out_dim": 64,
    "tie_word_embeddings": True,
    "use_delay_pattern": True,
    "model_type": "higgs_audio_encoder",
}


def make_v3_checkpoint(
    folder: Path,
    *,
    seed: int = 0,
    stream_end: float = 1.0,
    codec: dict | None = None,
    whole_vocabulary: bool = False,
    **text,
) -> Path:
    """Write config.json, model.safetensors and tokenizer.json.

    Args:
        stream_end: factor on the stream-end rows of the fused embedding, which is the head as well.
        codec: tensors of a codec in the native layout, to be part of it.
        whole_vocabulary: all of Qwen's pieces, not only the most frequent.
        text: overrides of TEXT.
    """
    from transformers import Qwen3Config, Qwen3Model

    settings = {**TEXT, **text}
    config = {
        "model_type": "higgs_multimodal_qwen3",
        "audio_token_id": -100,
        "text_config": settings,
        "audio_encoder_config": {**AUDIO, "out_dim": settings["hidden_size"]},
        "sample_rate": 24000,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        known = {name: value for name, value in settings.items() if value is not None and name != "model_type"}
        made = Qwen3Model(Qwen3Config(**known)).state_dict()
        body = {name: torch.empty_like(weight) for name, weight in made.items()}
        for name, weight in body.items():
            weight.uniform_(0.5, 1.5) if name.endswith("norm.weight") else weight.normal_(std=0.2)
        fused = torch.randn(8 * 1026, settings["hidden_size"]) * 0.4
        fused.view(8, 1026, -1)[:, 1025] *= stream_end
    tensors = {f"body.{name}": weight for name, weight in body.items() if not name.startswith("embed_tokens")}
    tensors["tied.embedding.text_embedding.weight"] = body["embed_tokens.weight"]
    tensors["tied.embedding.modality_embeddings.0.embedding.weight"] = fused
    prefix = "tied.embedding.modality_embeddings.0.model."
    tensors.update({prefix + name: tensor for name, tensor in (codec or {}).items()})
    write_qwen_tokenizer(folder, whole_vocabulary)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


class Reference:
    """transformers' Qwen3Model with the weights of a v3 checkpoint."""

    def __init__(self, folder: Path):
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import Qwen3Config, Qwen3Model

        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))["text_config"]
        known = {name: value for name, value in settings.items() if value is not None and name != "model_type"}
        self.body = Qwen3Model(
            Qwen3Config(
                **{
                    **known,
                    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
                }
            )
        ).eval()
        tensors = load_file(folder / "model.safetensors")
        self.text = tensors["tied.embedding.text_embedding.weight"]
        self.audio = tensors["tied.embedding.modality_embeddings.0.embedding.weight"].view(8, 1026, -1)
        layers = {name.removeprefix("body."): tensor for name, tensor in tensors.items() if name.startswith("body.")}
        self.body.load_state_dict({**layers, "embed_tokens.weight": self.text})
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def tokens(self, text: str) -> list[int]:
        """Ids of a text with marks and tags, as the released tokenizer reads it."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def embedded(self, parts: list) -> torch.Tensor:
        """[S, H] of a prompt made of texts, and of delayed rows [n, 8]."""
        found = []
        for part in parts:
            if isinstance(part, str):
                found.append(self.text[self.tokens(part)])
            else:
                found.append(sum(self.audio[k][part[:, k]] for k in range(8)))
        return torch.cat(found)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """[S, H] → [S, 8, 1026]."""
        with torch.no_grad():
            hidden = self.body(inputs_embeds=x[None]).last_hidden_state[0]
        return torch.einsum("sh,kvh->skv", hidden, self.audio)

    def speak(self, parts: list, steps: int) -> torch.Tensor:
        """Greedy frames [8, F]: the state machine of the model's servers, told step by step, without a cache."""
        x, rows, delay, countdown = self.embedded(parts), [], 0, None
        while len(rows) < steps:
            row = self.logits(x)[-1].argmax(-1)
            if delay < 8:
                row[delay + 1 :] = 1024
                delay += 1
            elif countdown is not None:
                countdown -= 1
            elif row[0] == 1025:
                countdown = 6
            rows.append(row)
            if countdown == 0:
                break
            x = torch.cat((x, self.embedded([row[None]])))
        delayed = torch.stack(rows)
        frames = len(rows) - 7
        return torch.stack([delayed[k : k + frames, k] for k in range(8)]).clamp(max=1023)
