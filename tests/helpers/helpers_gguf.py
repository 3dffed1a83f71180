"""Small GGUF files of a v3 checkpoint, written with the package `gguf` in exactly the names of each who writes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind, GGUFWriter
from safetensors.torch import load_file

FUSED = "tied.embedding.modality_embeddings.0.embedding.weight"
CODEC = "tied.embedding.modality_embeddings.0.model."
SPEC = {"family": "higgs_audio_tts", "sources": []}
LONGEST = 63  # bytes of a name that ggml takes

Chosen = Callable[[str], Kind | None]


def as_it_is(name: str) -> Kind | None:
    return None


def matrices(kind: Kind | None) -> Chosen:
    """Only the matrices of the layers in a type."""
    return lambda name: kind if "_proj.weight" in name and name.startswith("body.") else None


def everywhere(kind: Kind) -> Chosen:
    return lambda name: kind


def packed(tensor: torch.Tensor, kind: Kind | None) -> tuple[np.ndarray, Kind]:
    """A tensor as bytes of a type; None: as it is. What is no whole number of blocks stays in float16."""
    if kind is None:
        kind = {torch.float32: Kind.F32, torch.bfloat16: Kind.BF16, torch.float16: Kind.F16}[tensor.dtype]
    values = tensor.float().numpy()
    block, length = gguf.GGML_QUANT_SIZES[kind]
    if block > 1 and (values.ndim < 2 or values.shape[-1] % block):
        kind = Kind.F16
    elif kind in RANDOM:
        return random_blocks(values, kind), kind
    if kind in (Kind.F32, Kind.F16):
        return values.astype({Kind.F32: np.float32, Kind.F16: np.float16}[kind]), kind
    return gguf.quants.quantize(values, kind), kind


RANDOM = {Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}  # no writer in Python; where a block has its scales


def random_blocks(values: np.ndarray, kind: Kind) -> np.ndarray:
    """Blocks of a type that only ggml's own code writes: any bits are numbers, if the scales are small ones."""
    block, length = gguf.GGML_QUANT_SIZES[kind]
    draw = np.random.default_rng(int.from_bytes(values.tobytes()[:8], "little"))
    blocks = draw.integers(0, 256, (values.size // block, length), dtype=np.uint8)
    for place in RANDOM[kind]:
        scales = draw.uniform(1e-4, 4e-4, (len(blocks), 1)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8)
    return blocks.reshape(*values.shape[:-1], -1)


def as_ggml_writes(array: np.ndarray) -> np.ndarray:
    """Without the leading ones of a shape: ggml's own writer drops them."""
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    return array


def write(file: Path, architecture: str, tensors: Mapping[str, tuple], fields: Callable[[GGUFWriter], None]) -> Path:
    """
    Args:
        tensors: name in the file -> (bytes, type).
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(file, arch=architecture or "none")
    if not architecture:
        writer.kv_data[0].clear()
    fields(writer)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def released(source: Path) -> dict[str, torch.Tensor]:
    """All tensors of a v3 folder as the release has them: with the heads that are embeddings once more."""
    tensors = load_file(source / "model.safetensors")
    tensors["tied.head.text_head.weight"] = tensors["tied.embedding.text_embedding.weight"]
    tensors["tied.head.modality_heads.0.weight"] = tensors[FUSED]
    return dict(sorted(tensors.items()))


def audiocpp(source: Path, file: Path, chosen: Chosen = as_it_is, *, blob: bool = True) -> Path:
    """audio.cpp's single file: released names, long ones in a list, config and tokenizer inside."""
    tensors = released(source)
    data = {name: packed(tensor, chosen(name)) for name, tensor in tensors.items()}
    own = {name: name if len(name) <= LONGEST else f"_audiocpp.{index}" for index, name in enumerate(tensors)}
    inside = {name: (source / name).read_bytes() for name in ("config.json", "tokenizer.json")}

    def fields(writer: GGUFWriter) -> None:
        writer.add_string("audiocpp.tensor_name_format", "native")
        writer.add_uint32("audiocpp.model_spec.version", 1)
        writer.add_string("audiocpp.model_spec.family", SPEC["family"])
        writer.add_string("audiocpp.model_spec.json", json.dumps(SPEC))
        writer.add_array("audiocpp.embedded_files.names", list(inside))
        if blob:
            ends = np.cumsum([0, *map(len, inside.values())]).tolist()
            add_numbers(writer, "audiocpp.embedded_files.offsets", ends, gguf.GGUFValueType.UINT64)
            writer.add_array("audiocpp.embedded_files.data", b"".join(inside.values()))
        else:
            writer.add_array("audiocpp.embedded_files.contents", [one.decode() for one in inside.values()])
        writer.add_array("audiocpp.tensor_names", list(tensors))
        add_numbers(writer, "audiocpp.tensor_ranks", [one.ndim for one in tensors.values()], gguf.GGUFValueType.INT32)
        sizes = [size for one in tensors.values() for size in one.shape]
        add_numbers(writer, "audiocpp.tensor_shapes", sizes, gguf.GGUFValueType.INT64)

    stored = {own[name]: (as_ggml_writes(array), kind) for name, (array, kind) in data.items()}
    return write(file, "audiocpp", stored, fields)


def studio(source: Path, file: Path, chosen: Chosen = as_it_is, *, beside: bool = True) -> Path:
    """A file of Higgs-Audio-v3-Studio: numbered tensors, their names in a list; config and tokenizer beside it."""
    tensors = released(source)

    def fields(writer: GGUFWriter) -> None:
        writer.add_string("audiocpp.format", "tensor-archive")
        writer.add_string("audiocpp.policy", "higgs_tts")
        writer.add_array("audiocpp.tensor_names", list(tensors))
        add_numbers(writer, "audiocpp.tensor_ranks", [one.ndim for one in tensors.values()], gguf.GGUFValueType.INT32)

    data = [packed(tensor, chosen(name)) for name, tensor in tensors.items()]
    write(file, "", {f"t{index}": (as_ggml_writes(array), kind) for index, (array, kind) in enumerate(data)}, fields)
    for name in ("config.json", "tokenizer.json") if beside else ():
        shutil.copyfile(source / name, file.parent / name)
    return file


LLAMA_CPP = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def llama_cpp_name(name: str) -> str | None:
    """What llama.cpp calls a tensor of the text part; None for another."""
    if name == "body.norm.weight":
        return "output_norm.weight"
    if name == "tied.embedding.text_embedding.weight":
        return "token_embd.weight"
    if name.startswith("body.layers."):
        number, part = name.removeprefix("body.layers.").removesuffix(".weight").split(".", 1)
        return f"blk.{number}.{LLAMA_CPP[part]}.weight"
    return None


BLURYAR = {
    "acoustic_encoder": "a.ae",
    "acoustic_decoder": "a.ad",
    "semantic_model": "a.sm",
    "encoder_semantic": "a.se",
    "decoder_semantic": "a.sd",
    "quantizer": "a.q",
    "fc": "a.fc",
    "fc1": "a.fc1",
    "fc2": "a.fc2",
}
SHORTER = (
    (".feature_extractor.", ".fe."),
    (".feature_projection.", ".fp."),
    (".pos_conv_embed.", ".pce."),
    (".parametrizations.weight.original", ".pz.w"),
    (".feed_forward.intermediate_dense.", ".ff.int."),
    (".feed_forward.output_dense.", ".ff.out."),
)


def bluryar_name(name: str) -> str | None:
    """What bluryar's export calls a tensor; None for the text head, which it leaves out."""
    if name == "tied.embedding.modality_embeddings.0.embedding.weight":
        return "a.token_embd"
    if name == "tied.head.modality_heads.0.weight":
        return "a.output"
    if not name.startswith(CODEC):
        return llama_cpp_name(name)
    part, rest = name.removeprefix(CODEC).split(".", 1)
    name = f"{BLURYAR[part]}.{rest}"
    for long, short in SHORTER:
        name = name.replace(long, short)
    return name


def qwen3_fields(writer: GGUFWriter, source: Path) -> None:
    text = json.loads((source / "config.json").read_text())["text_config"]
    writer.add_uint32("qwen3.block_count", text["num_hidden_layers"])
    writer.add_uint32("qwen3.context_length", text["max_position_embeddings"])
    writer.add_float32("qwen3.attention.layer_norm_rms_epsilon", text["rms_norm_eps"])
    writer.add_float32("qwen3.rope.freq_base", 1_000_000.0)


def bluryar(source: Path, file: Path, chosen: Chosen = as_it_is) -> Path:
    """bluryar's single file: llama.cpp's names, short ones of the codec, config and tokenizer as texts."""

    def fields(writer: GGUFWriter) -> None:
        qwen3_fields(writer, source)
        writer.add_uint32("higgs.audio.num_codebooks", 8)
        writer.add_uint32("higgs.audio.vocab_size", 1026)
        writer.add_string("higgs.config.json", (source / "config.json").read_text())
        writer.add_string("tokenizer.huggingface.json", (source / "tokenizer.json").read_text())
        writer.add_array("tokenizer.ggml.tokens", ["a", "b"])

    tensors = {bluryar_name(name): packed(tensor, chosen(name)) for name, tensor in released(source).items()}
    return write(file, "qwen3", {name: one for name, one in tensors.items() if name}, fields)


def pair(
    source: Path, folder: Path, chosen: Chosen = as_it_is, *, tokenizer: bool = True, inside: Path | None = None
) -> tuple[Path, Path]:
    """The backbone that llama.cpp's converter writes, and its companion with codebooks and codec in float16.

    Args:
        tokenizer: whether a tokenizer.json lies beside them.
        inside: the tokenizer.json that the backbone holds, as pieces and merges.
    """
    tensors = released(source)

    def backbone_fields(writer: GGUFWriter) -> None:
        qwen3_fields(writer, source)
        if inside is not None:
            add_tokenizer(writer, inside)

    own = {llama_cpp_name(name): packed(tensor, chosen(name)) for name, tensor in tensors.items()}
    backbone = write(
        folder / "backbone.gguf",
        "qwen3",
        {name: one for name, one in own.items() if name},
        backbone_fields,
    )
    codec = [name for name in tensors if name.startswith(CODEC)]
    other = {f"higgs.codec.{index:04d}": packed(tensors[name], Kind.F16) for index, name in enumerate(codec)}
    other["higgs.codebook_embd.weight"] = packed(
        tensors["tied.embedding.modality_embeddings.0.embedding.weight"], Kind.F16
    )
    other["higgs.codebook_head.weight"] = other["higgs.codebook_embd.weight"]

    def fields(writer: GGUFWriter) -> None:
        writer.add_string("higgs_audio.format", "higgs-audio-v3-tts")
        writer.add_string("higgs_audio.backbone_arch", "qwen3")
        if codec:
            writer.add_array(
                "higgs_audio.codec_tensor_names", [f"higgs.codec.{index:04d}" for index in range(len(codec))]
            )
            writer.add_array("higgs_audio.codec_original_tensor_names", [name.removeprefix(CODEC) for name in codec])

    companion = write(folder / "audio.gguf", "higgs_audio", other, fields)
    if tokenizer:
        shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    return backbone, companion


CRISPASR = (  # what its converter puts for what, each where it stands, in this order
    ("tied.embedding.text_embedding.", "token_embd."),
    ("body.layers.", "blk."),
    ("body.norm.", "output_norm."),
    ("tied.head.text_head.", "output."),
    *((f".{long}.", f".{short}.") for long, short in LLAMA_CPP.items()),
    ("tied.embedding.modality_embeddings.0.embedding.", "fused_embed."),
    ("tied.head.modality_heads.0.", "fused_head."),
    (CODEC, "codec."),
    ("acoustic_encoder.", "ac_enc."),
    ("acoustic_decoder.", "ac_dec."),
    ("semantic_model.", "sem."),
    ("encoder_semantic.", "enc_sem."),
    ("decoder_semantic.", "dec_sem."),
    ("quantizer.quantizers.", "quant."),
    ("feature_extractor.", "fe."),
    ("feature_projection.", "fp."),
    ("conv_layers.", "cv."),
    ("encoder.layers.", "enc."),
    ("feed_forward.intermediate_dense", "ffn1"),
    ("feed_forward.output_dense", "ffn2"),
    *((f"attention.{one}_proj", f"attn_{one}") for one in "qkv"),
    ("attention.out_proj", "attn_out"),
    (".layer_norm.", ".ln."),
    (".final_layer_norm.", ".fin_ln."),
    (".conv_blocks.", ".blk."),
    ("res_units.", "ru."),
    ("parametrizations.", "pm."),
    ("original", "orig"),
    ("pos_conv_embed.", "pce."),
)


def crispasr_name(name: str) -> str:
    for long, short in CRISPASR:
        name = name.replace(long, short)
    return name


def crispasr(
    source: Path,
    file: Path,
    chosen: Chosen = as_it_is,
    *,
    tokenizer: bool = True,
    inside: Path | None = None,
    by_ggml: bool = False,
) -> Path:
    """CrispASR's single file: short names, [1, C, 1] as [C], transposed convolutions as [O K, I], sizes in fields.

    Args:
        by_ggml: as its quantizer writes it again, without the leading ones of shapes.
    """
    text = json.loads((source / "config.json").read_text())["text_config"]

    def fields(writer: GGUFWriter) -> None:
        writer.add_uint32("higgs.text.n_layers", text["num_hidden_layers"])
        writer.add_uint32("higgs.text.max_pos", text["max_position_embeddings"])
        writer.add_float32("higgs.text.rope_theta", 1_000_000.0)
        writer.add_float32("higgs.text.rms_norm_eps", text["rms_norm_eps"])
        writer.add_uint32("higgs.codec.hop_length", 320)
        writer.add_uint32("higgs.audio_token_id", 2**32 - 100)
        if inside is not None:
            add_tokenizer(writer, inside, kinds=False)

    data = {}
    for name, tensor in released(source).items():
        own, kind = crispasr_name(name), chosen(name)
        assert len(own) <= LONGEST, own
        if "snake" in own and tensor.ndim == 3:
            tensor = tensor.reshape(-1)
        elif "conv_t" in own and tensor.ndim == 3:
            tensor, kind = tensor.flatten(1).t().contiguous(), Kind.F32
        data[own] = packed(tensor if tensor.ndim else tensor.reshape(1), kind)
    if by_ggml:
        data = {name: (as_ggml_writes(array), kind) for name, (array, kind) in data.items()}
    write(file, "higgs-tts", data, fields)
    if tokenizer:
        shutil.copyfile(source / "tokenizer.json", file.parent / "tokenizer.json")
    return file


def add_tokenizer(writer: GGUFWriter, tokenizer: Path, *, kinds: bool = True) -> None:
    """A tokenizer.json as llama.cpp's converter writes it: every id a piece, unused ones named so.

    Args:
        kinds: False: as CrispASR's converter does, the model's own pieces alone and nothing said of them.
    """
    raw = json.loads(tokenizer.read_text(encoding="utf-8"))
    marks = {one["content"]: one["id"] for one in raw["added_tokens"]}
    pieces = {name: id for name, id in raw["model"]["vocab"].items() if name not in marks}
    merges = [one if isinstance(one, str) else " ".join(one) for one in raw["model"]["merges"]]
    if kinds:
        size = max(*pieces.values(), *marks.values()) + 5
        names = {id: (name, 1) for name, id in pieces.items()} | {id: (name, 3) for name, id in marks.items()}
        found = [names.get(id, (f"[PAD{id}]", 5)) for id in range(size)]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list([name for name, _ in found])
        writer.add_token_types([kind for _, kind in found])
    else:
        writer.add_token_list(sorted(pieces, key=pieces.__getitem__))
    writer.add_token_merges(merges)


def add_numbers(writer: GGUFWriter, key: str, values: list[int], kind: gguf.GGUFValueType) -> None:
    """A list of numbers in a type of one's own; the package would take the smallest."""
    writer.add_key_value(key, values, gguf.GGUFValueType.ARRAY, sub_type=kind)


def as_meant(source: Path, chosen: Chosen = as_it_is) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors as the package `gguf` unpacks them once they are packed so, under the released names."""
    found = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        data, kind = packed(tensor, chosen(name))
        found[name] = torch.from_numpy(gguf.quants.dequantize(data, kind).astype(np.float32)).view(tensor.shape)
    return found
