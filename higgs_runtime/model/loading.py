"""Language-model checkpoints: which layouts there are, and how their tensors come into the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoint.assign import NameRules, Rows, assign_strict
from ..checkpoint.files import V3, V3_CODEC, check_model_type
from ..checkpoint.source import ModelSource, floating_dtype, open_source
from ..devices import pick_dtype
from ..errors import CheckpointError, SettingError
from .config import ModelConfig, parse_native_v2, parse_original_v2, parse_v3
from .linear import Linear
from .memory import check_room
from .quantization import E4M3, KINDS, check_quantization, check_stored, multiplies_float8
from .tokenizer import V3_AUDIO, ChatTokenizer
from .transformer import HiggsModel

CONVERTED = "higgs_runtime_quantization"  # in the config.json of a converted checkpoint


@dataclass(frozen=True)
class Layout:
    """One released file layout.

    Attributes:
        parse: config.json → ModelConfig.
        renames: (pattern, replacement) pairs from checkpoint names to the names in `HiggsModel`, all applied in order.
        ignore: tensors that may be in the files and are not used.
        joined: name → the tensors whose rows follow each other in it, for checkpoints that have these instead.
    """

    parse: Callable[[dict[str, Any]], ModelConfig]
    renames: tuple[tuple[str, str], ...]
    ignore: tuple[str, ...] = ()
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rename(self, name: str) -> str:
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name


_LAYERS = (
    (r"\.self_attn\.(\w)_proj\.", r".attention.\1."),
    (r"\.(gate|up|down)_proj\.", r".\1."),
    (r"\.audio_mlp\.", ".audio.ffn."),
    (r"\.audio_input_layernorm\.", ".audio.attention_norm."),
    (r"\.audio_post_attention_layernorm\.", ".audio.ffn_norm."),
    (r"\.mlp\.", ".text.ffn."),
    (r"\.input_layernorm\.", ".text.attention_norm."),
    (r"\.post_attention_layernorm\.", ".text.ffn_norm."),
)

LAYOUTS = {
    "higgs_audio_v2": Layout(
        parse=parse_native_v2,
        renames=(
            (r"^model\.", ""),
            (r"^embed_tokens\.", "text_embedding."),
            (r"^embed_audio_tokens\.embed_audio_tokens\.", "audio_embedding."),
            (r"^audio_lm_head\.", "audio_head."),
            *_LAYERS,
        ),
        ignore=("text_lm_head.weight",),
    ),
    "higgs_audio": Layout(
        parse=parse_original_v2,
        renames=(
            (r"^embed_tokens\.", "text_embedding."),
            (r"^audio_codebook_embeddings\.", "audio_embedding."),
            (r"^audio_decoder_proj\.audio_lm_head\.", "audio_head."),
            *_LAYERS,
        ),
        # What writes text and what hears sound as sound are parts of it, too.
        ignore=("audio_decoder_proj.text_lm_head.*", "audio_tower.*", "audio_encoder_proj.*"),
        joined={
            "embed_tokens.weight": ("embed_tokens.embedding_frozen.weight", "embed_tokens.embedding_trainable.weight")
        },
    ),
    V3: Layout(
        parse=parse_v3,
        renames=(
            (r"^(?:body|model)\.", ""),
            (r"^embed_tokens\.", "text_embedding."),  # this and audio_embedding, audio_head: of the transformers port
            (r"^tied\.embedding\.text_embedding\.", "text_embedding."),
            (r"^tied\.embedding\.modality_embeddings\.0\.embedding\.", "audio_embedding."),
            (r"^tied\.head\.modality_heads\.0\.", "audio_head."),
            (r"\.self_attn\.([qk])_norm\.", r".attention.\1_norm."),
            *_LAYERS,
        ),
        ignore=("tied.head.text_head.*", f"{V3_CODEC}*"),  # its codec is loaded by itself
        joined={
            "tied.head.modality_heads.0.weight": ("tied.embedding.modality_embeddings.0.embedding.weight",),
            "audio_head.weight": ("audio_embedding.weight",),
        },
    ),
}


def load_model(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    quantization: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    packed: bool | None = None,
) -> HiggsModel:
    """Load a language model from a checkpoint folder; the layout is detected from its config.json.

    What is taken as it is stays mapped to the files; matrices that are packed, and tensors in another dtype or on
    another device, are copied one at a time.

    Args:
        path: folder with config.json, tokenizer.json and safetensors files; or one that `convert_model` wrote.
        dtype: of the weights, or of what remains in floating point.
        quantization: None, "int8", "int4" or "fp8": of the matrices in the layers (see quantization.py). None takes
            what the checkpoint has, where that can be: see `auto_quantization`.
        on_progress: called with (tensors in place, tensors in all) after each; what it raises ends the loading.
        packed: copy matrices that are read together below each other, as GPUs like it; False: keep bfloat16 ones as
            they lie in the files. None: unless the device is a CPU.

    Raises:
        CheckpointError: files missing, broken or of another kind; tensors unknown, missing or wrongly shaped (named).
        SettingError: there is no such quantization, or the checkpoint was converted to another one.
        MemoryShortError: the device has no room for the weights.
    """
    check_quantization(quantization)
    path = Path(path)
    source = open_source(path)
    raw = source.config
    check_model_type(raw, LAYOUTS, path)
    layout, converted = LAYOUTS[raw["model_type"]], converted_to(raw)
    config = layout.parse(raw)
    if converted:
        layout, quantization = _as_converted(config, layout.parse), _same(converted, quantization, path)
    quantization = quantization or auto_quantization(source, device, dtype)
    check_stored(quantization, str(device))
    check_room(config, device, dtype, quantization)
    tokenizer = ChatTokenizer(path, config, source.tokenizer())
    if config.begin_is_token:
        config = tokenizer.config = replace(config, audio_bos_token_id=tokenizer.special(V3_AUDIO))
    packed = torch.device(device).type != "cpu" if packed is None else packed
    apart = not packed and dtype == torch.bfloat16
    with torch.device("meta"):
        model = HiggsModel(config)
        if converted:
            quantize_layers(model, converted)
    assign_strict(
        model,
        source.tensors(),
        device=device,
        dtype=dtype,
        names=NameRules(ignore=layout.ignore, rename=layout.rename, joined=layout.joined, apart=apart),
        convert=_quantizer(quantization) if quantization and not converted else None,
        on_progress=on_progress,
        what=f"language model {path.name}",
    )
    if config.tied_head:
        model.audio_head.weight = model.audio_embedding.weight
    model.codebook_offsets = model.codebook_offsets.to(device)
    model.inverse_frequencies = model.inverse_frequencies.to(device)
    model.tokenizer = tokenizer
    return model.eval()


def auto_dtype(path: str | Path, device: str | torch.device) -> torch.dtype:
    """The number format in which a checkpoint folder is loaded where nobody chose one: `pick_dtype` of the device; on a
    CPU bfloat16 if that is what the checkpoint has, which is read there as it lies in the file.

    Raises:
        SettingError: this computer, or this torch, lacks the device.
    """
    dtype = pick_dtype(device)
    on_cpu = torch.device(device).type == "cpu"
    return torch.bfloat16 if on_cpu and floating_dtype(Path(path)) == torch.bfloat16 else dtype


def auto_quantization(source: ModelSource, device: str | torch.device, dtype: torch.dtype) -> str | None:
    """The quantization in which a checkpoint is loaded where nobody chose one: the one that it was converted to; "fp8"
    where the matrices of its layers are 8-bit floats (E4M3), on a device that multiplies these. None: nothing is
    quantized, and 8-bit floats are widened, as always with float32, which asks for exact numbers.

    Raises:
        CheckpointError: files are missing or broken.
    """
    if (converted := converted_to(source.config)) is not None:
        return converted
    if dtype == torch.float32 or not multiplies_float8(str(device)):
        return None
    if str(E4M3).removeprefix("torch.") not in source.contents().formats:
        return None
    tensors, layout = source.tensors(), LAYOUTS[source.config["model_type"]]
    names = [one for one in tensors if layout.rename(one).startswith("layers.") and len(tensors.shape(one)) == 2]
    return "fp8" if names and all(tensors.scales(name) is not None for name in names) else None


def converted_to(raw: Mapping[str, Any]) -> str | None:
    """The quantization of a checkpoint that `convert_model` wrote; None: of any other one.

    Raises:
        CheckpointError: it is of a kind that is not known here.
    """
    kind = raw.get(CONVERTED)
    if kind is not None and kind not in KINDS:
        raise CheckpointError(
            "This checkpoint was converted by another version.",
            expected=" or ".join(KINDS),
            got=repr(kind),
            remedy="Convert the original checkpoint again.",
        )
    return kind


def quantize_layers(model: HiggsModel, quantization: str) -> None:
    """Quantize every matrix of the layers."""
    convert = _quantizer(quantization)
    for name, module in list(model.layers.named_modules(prefix="layers")):
        if isinstance(module, Linear):
            parent, _, leaf = name.rpartition(".")
            weights = module.matrices
            whole = weights[0] if len(weights) == 1 else torch.cat(weights)
            setattr(model.get_submodule(parent), leaf, convert(name, module, whole))


def _as_converted(config: ModelConfig, parse: Callable[[dict[str, Any]], ModelConfig]) -> Layout:
    """Tensors under the model's own names, one matrix for two where they are tied, perhaps beside a codec."""
    joined = {"audio_head.weight": ("audio_embedding.weight",)} if config.tied_head else {}
    return Layout(parse, (), ignore=(f"{V3_CODEC}*",), joined=joined)


def _same(converted: str, asked: str | None, path: Path) -> str:
    if asked not in (None, converted):
        raise SettingError(
            f"'{path.name}' is quantized already.",
            expected=f"'{converted}', or None",
            got=f"'{asked}'",
            remedy="Leave the quantization out, or load the original checkpoint.",
        )
    return converted


def _quantizer(quantization: str) -> Callable[[str, nn.Module, torch.Tensor | Rows], nn.Module | None]:
    kind = KINDS[quantization]

    def convert(name: str, module: nn.Module, weight: torch.Tensor | Rows) -> nn.Module | None:
        return kind(weight, module.bias) if isinstance(module, Linear) and name.startswith("layers.") else None

    return convert
