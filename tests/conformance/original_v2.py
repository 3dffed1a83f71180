"""What Boson AI's own code makes of an original v2 checkpoint: run by tests in the environment that has that code.

    python original_v2.py lm|codec TASKS.pt ANSWERS.pt

For each task it writes a random checkpoint as that code saves it, and answers what that code makes of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}


def make_model(settings: dict):
    """A random model; `settings` of the config, `text` of its text_config, `stream_end` as in the other tools."""
    from boson_multimodal.model.higgs_audio import HiggsAudioConfig, HiggsAudioModel

    settings = dict(settings)
    text = {**SHAPE, **settings.pop("text", {})}
    frozen, stream_end = settings.pop("frozen", 0), settings.pop("stream_end", 1.0)
    base = {
        "audio_adapter_type": "dual_ffn_fast_forward",
        "audio_dual_ffn_layers": list(range(text["num_hidden_layers"])),
        "encode_whisper_embed": False,
        "encode_audio_in_tokens": True,
        "use_delay_pattern": True,
        "skip_audio_tower": True,
        "audio_num_codebooks": 8,
        "audio_codebook_size": 1024,
        "torch_dtype": "float32",
    }
    torch.manual_seed(0)
    config = HiggsAudioConfig(text_config=text, **{**base, **settings})
    config._attn_implementation = "sdpa"
    model = HiggsAudioModel(config).eval()
    for name, weight in model.named_parameters():
        weight.data.uniform_(0.5, 1.5) if name.endswith("norm.weight") else weight.data.normal_(std=0.2)
    heads = model.audio_decoder_proj.audio_lm_head.weight.data.view(config.audio_num_codebooks, -1, text["hidden_size"])
    heads[:, config.audio_stream_eos_id] *= stream_end
    if frozen:
        model.freeze_llm(freeze_embed=True, freeze_embed_until_idx=frozen)
        model.freeze_text_head(freeze_text_head_until_idx=frozen)
    return model


def sample_of(messages: list, tokenizer):
    """A conversation as that code prepares it. Each message: role and a list of texts and of codes [K, F]."""
    from boson_multimodal.data_types import AudioContent, ChatMLSample, Message, TextContent
    from boson_multimodal.dataset.chatml_dataset import ChatMLDatasetSample, prepare_chatml_sample

    codes = [item for _, content in messages for item in content if isinstance(item, torch.Tensor)]
    chat = ChatMLSample(
        [
            Message(role, [TextContent(item) if isinstance(item, str) else AudioContent("") for item in content])
            for role, content in messages
        ]
    )
    ids = prepare_chatml_sample(chat, tokenizer)[0]
    ids += tokenizer.encode(
        "<|start_header_id|>assistant<|end_header_id|>\n\n<|audio_out_bos|>", add_special_tokens=False
    )
    starts = torch.tensor([0] + [one.shape[1] for one in codes]).cumsum(0)[:-1]
    joined = torch.cat(codes, 1) if codes else torch.zeros((8, 0), dtype=torch.long)
    return ChatMLDatasetSample(torch.tensor(ids), None, joined, starts, None, None, None, None)


def answer(model, tokenizer, messages: list, frames: int) -> dict:
    """Expanded ids, which of them are the assistant's audio, the logits there, and what it says greedily."""
    from dataclasses import asdict

    from boson_multimodal.data_collator.higgs_audio_collator import HiggsAudioSampleCollator
    from boson_multimodal.model.higgs_audio.utils import revert_delay_pattern

    config = model.config
    collate = HiggsAudioSampleCollator(
        whisper_processor=None,
        encode_whisper_embed=False,
        audio_in_token_id=config.audio_in_token_idx,
        audio_out_token_id=config.audio_out_token_idx,
        audio_stream_bos_id=config.audio_stream_bos_id,
        audio_stream_eos_id=config.audio_stream_eos_id,
        pad_token_id=config.pad_token_id,
        return_audio_in_tokens=True,
        use_delay_pattern=True,
        audio_num_codebooks=config.audio_num_codebooks,
        round_to=1,
    )
    inputs = asdict(collate([sample_of(messages, tokenizer)]))
    with torch.no_grad():
        read = model(**inputs, use_cache=True)
        model.set_audio_special_tokens(tokenizer)
        _, clips = model.generate(
            **inputs,
            max_new_tokens=frames,
            use_cache=True,
            do_sample=False,
            tokenizer=tokenizer,
            audio_out_bos_token_id=model.audio_out_bos_token_id,
            audio_eos_token_id=model.audio_eos_token_id,
        )
    ended = bool((clips[0][:-1, -1] == config.audio_stream_eos_id).all())  # it leaves the last one free
    frames = revert_delay_pattern(clips[0])[:, 1:]
    stopped = (frames == config.audio_stream_eos_id).any(0)  # that code plays such a frame, clipped to the last entry
    frames = frames[:, : int(stopped.int().argmax())] if stopped.any() else frames
    return {
        "ids": read.expanded_input_ids[0],
        "spoken": read.audio_out_mask[0],
        "logits": read.audio_logits,
        "ended": ended,
        "frames": frames.clip(max=config.audio_codebook_size - 1),
    }


def language_model(task: dict) -> dict:
    from transformers import AutoTokenizer

    folder = Path(task["folder"])
    model = make_model(task["settings"])
    model.save_pretrained(folder, max_shard_size=task.get("shards", "20MB"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {name: answer(model, tokenizer, *conversation) for name, conversation in task["conversations"].items()}


def make_codec(weights: dict, config: dict, semantic: dict, width: int, decoder_width: int):
    """The original codec with the weights of a native checkpoint, in smaller networks than its code has."""
    from types import SimpleNamespace

    import boson_multimodal.audio_processing.higgs_audio_tokenizer as original
    from transformers import HubertConfig, HubertModel

    parts = original.dac2
    original.dac2 = SimpleNamespace(
        Encoder=lambda _, ratios, latent: parts.Encoder(width, ratios, latent),
        Decoder=lambda latent, _, ratios: parts.Decoder(latent, decoder_width, ratios),
    )
    hubert = HubertModel(HubertConfig(**semantic))
    original.AutoModel = SimpleNamespace(from_pretrained=lambda *_, **__: hubert)
    codec = original.HiggsAudioTokenizer(**config, device="cpu").eval()
    from higgs_runtime.codec.original import native_name

    for name, place in codec.state_dict().items():
        native = native_name(name)
        if native.endswith("weight_g"):
            place.copy_(weights[native.removesuffix("_g")].flatten(1).norm(dim=1).view_as(place))
        elif native.endswith("weight_v"):  # of another length: folding has to look at both
            place.copy_(weights[native.removesuffix("_v")] * 1.7)
        else:
            place.copy_(weights[native])
    return codec


def codec(task: dict) -> dict:
    import json

    folder, config = Path(task["folder"]), task["config"]
    model = make_codec(task["weights"], config, task["semantic"], *task["widths"])
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(model.state_dict(), folder / "model.pth")
    answers = []
    for wave in task["waves"]:
        codes = model.encode(wave.numpy(), sr=config["sample_rate"])
        answers.append((codes, torch.from_numpy(model.decode(codes[None]))[0]))
    return {"answers": answers}


if __name__ == "__main__":
    kind, asked, answered = sys.argv[1:]
    work = {"lm": language_model, "codec": codec}[kind]
    torch.save({name: work(task) for name, task in torch.load(asked, weights_only=True).items()}, answered)
