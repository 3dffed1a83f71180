"""Who writes Higgs Audio v3 as GGUF, and how each calls the tensors of the released checkpoint: a table.

Nobody's layout is the common one. What is known of each was read in the public code of who writes or reads it:
audio.cpp's converter and reader (0xShug0/audio.cpp, src/framework/assets/tensor_source.cpp); the quantizer and the
search for files of Higgs-Audio-v3-Studio (Saganaki22/Higgs-Audio-v3-Studio, tools/quantize_safetensors.cpp and
src/models/higgs_tts/assets.cpp); the reader and the quantizer of bluryar/higgs-audio.cpp (src/higgs_pipeline.cpp,
scripts/quantize_higgs_gguf_q4_k.py); the converter of the llama.cpp port that writes a backbone and a companion with
codebooks and codec (mirek190/llama.cpp, tools/tts/higgs_v3/convert_higgs_audio_to_gguf.py); the converter and the
quantizer of CrispASR's form (Rafa00127/VULKAN-TORCH, tools/convert/convert-higgs-tts-to-gguf.py and
tools/quantize/main.cpp).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from ..errors import CheckpointError
from .files import V3_CODEC, V3_FUSED, some_of
from .gguf_file import LONGEST_NAME, MOST_DIMENSIONS, GgufFile

ARCHITECTURE = "general.architecture"
TIED = "tied.embedding."
HEADS = "tied.head."

# Names of llama.cpp -> of the released checkpoint.
LLAMA_CPP = (
    (r"^token_embd\.", f"{TIED}text_embedding."),
    (r"^output_norm\.", "body.norm."),
    (r"^output\.", f"{HEADS}text_head."),
    (r"^blk\.", "body.layers."),
    (r"\.attn_([qkv])\.", r".self_attn.\1_proj."),
    (r"\.attn_output\.", ".self_attn.o_proj."),
    (r"\.attn_([qk])_norm\.", r".self_attn.\1_norm."),
    (r"\.attn_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
    (r"\.ffn_(gate|up|down)\.", r".mlp.\1_proj."),
)
BLURYAR = (
    *LLAMA_CPP,
    (r"^a\.token_embd$", V3_FUSED),
    (r"^a\.output$", f"{HEADS}modality_heads.0.weight"),
    (r"^a\.ae\.", f"{V3_CODEC}acoustic_encoder."),
    (r"^a\.ad\.", f"{V3_CODEC}acoustic_decoder."),
    (r"^a\.sm\.fe\.", f"{V3_CODEC}semantic_model.feature_extractor."),
    (r"^a\.sm\.fp\.", f"{V3_CODEC}semantic_model.feature_projection."),
    (r"^a\.sm\.", f"{V3_CODEC}semantic_model."),
    (r"^a\.se\.", f"{V3_CODEC}encoder_semantic."),
    (r"^a\.q\.", f"{V3_CODEC}quantizer."),
    (r"^a\.(fc\d?)\.", rf"{V3_CODEC}\1."),
    (r"\.pce\.", ".pos_conv_embed."),
    (r"\.pz\.w", ".parametrizations.weight.original"),
    (r"\.ff\.int\.", ".feed_forward.intermediate_dense."),
    (r"\.ff\.out\.", ".feed_forward.output_dense."),
)
CRISPASR = (  # the codec first: llama.cpp's names of matrices stand in it, too
    (r"^codec\.sem\.enc\.(\d+)\.attn_([qkv])\.", rf"{V3_CODEC}semantic_model.encoder.layers.\1.attention.\2_proj."),
    (r"^codec\.sem\.enc\.(\d+)\.attn_out\.", rf"{V3_CODEC}semantic_model.encoder.layers.\1.attention.out_proj."),
    (r"^codec\.sem\.enc\.", f"{V3_CODEC}semantic_model.encoder.layers."),
    (r"^codec\.sem\.fe\.cv\.", f"{V3_CODEC}semantic_model.feature_extractor.conv_layers."),
    (r"^codec\.sem\.fp\.", f"{V3_CODEC}semantic_model.feature_projection."),
    (r"^codec\.sem\.", f"{V3_CODEC}semantic_model."),
    (r"^codec\.ac_(enc|dec)\.", rf"{V3_CODEC}acoustic_\1oder."),
    (r"^codec\.(enc|dec)_sem\.", rf"{V3_CODEC}\1oder_semantic."),
    (r"^codec\.quant\.", f"{V3_CODEC}quantizer.quantizers."),
    (r"^codec\.", V3_CODEC),
    (r"\.ln\.", ".layer_norm."),
    (r"\.fin_ln\.", ".final_layer_norm."),
    (r"\.ffn1\.", ".feed_forward.intermediate_dense."),
    (r"\.ffn2\.", ".feed_forward.output_dense."),
    (r"oder_semantic\.blk\.", "oder_semantic.conv_blocks."),
    (r"\.ru\.", ".res_units."),
    (r"\.pce\.", ".pos_conv_embed."),
    (r"\.pm\.weight\.orig", ".parametrizations.weight.original"),
    *LLAMA_CPP,
    (r"^fused_embed\.", V3_FUSED.removesuffix("weight")),
    (r"^fused_head\.", f"{HEADS}modality_heads.0."),
)
CODEBOOKS = (
    (r"^higgs\.codebook_embd\.", V3_FUSED.removesuffix("weight")),
    (r"^higgs\.codebook_head\.", f"{HEADS}modality_heads.0."),
)


class UnknownGgufError(CheckpointError):
    """A sound GGUF file that holds no Higgs model, or one in a form that is not known here."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One way in which a Higgs GGUF is written.

    Attributes:
        title: who writes it.
        fits: whether a file is of it.
        renames: (pattern, replacement) from its names to the released ones, all applied in order.
        listed: keys of two lists, names in the file and names that are meant (below `prefix`); of one list, the names
            that are meant in the order of the file. ggml allows 63 bytes, and the released names are longer.
        left_out: beginnings of names, after renaming, that no other family has: parts of the codec that nobody uses.
        config, tokenizer: key of the text where the file holds these files.
        companion: whether codebooks and codec lie in another file.
        spread: pattern of names whose numbers [C] are [1, C, 1] in the released checkpoint.
        kernels: pattern of names of three dimensions; ggml's own writer drops leading ones.
        turned: pattern of names of transposed convolutions [I, O, K] that lie as [O K, I]; O is the length of the bias.
    """

    title: str
    fits: Callable[[GgufFile], bool]
    renames: tuple[tuple[str, str], ...] = ()
    listed: tuple[str, ...] = ()
    prefix: str = ""
    left_out: tuple[str, ...] = ()
    config: str = ""
    tokenizer: str = ""
    companion: bool = False
    spread: str = ""
    kernels: str = ""
    turned: str = ""

    def names(self, file: GgufFile) -> dict[str, str]:
        """What the released checkpoint calls each tensor -> what the file does.

        Raises:
            CheckpointError: its lists of names do not fit its tensors.
        """
        found: dict[str, str] = {}
        meant = self._listed(file)
        for own in file.tensors:
            name = meant.get(own, own)
            if name is own:
                for pattern, replacement in self.renames:
                    name = re.sub(pattern, replacement, name)
            if name.startswith(self.left_out):
                continue
            if name in found:
                raise _contradicts(file, f"two tensors that are '{name}'")
            found[name] = own
        return found

    def shapes(self, file: GgufFile) -> dict[str, tuple[int, ...]]:
        """By the file's names: shapes with the leading ones that ggml's own writer drops, where a list or the names of
        the family restore them.

        Raises:
            CheckpointError: a list does not fit the tensors.
        """
        if self.kernels:
            known = {name: self._by_name(name, entry.shape) for name, entry in file.tensors.items()}
            return {name: shape for name, shape in known.items() if shape}
        ranks, sizes = file.numbers("audiocpp.tensor_ranks"), file.numbers("audiocpp.tensor_shapes")
        if ranks is None:
            return {}
        if len(ranks) != len(file.tensors) or not all(0 <= rank <= MOST_DIMENSIONS for rank in ranks):
            raise _contradicts(file, f"{len(ranks)} ranks for {len(file.tensors)} tensors")
        found, place = {}, 0
        for (name, entry), rank in zip(file.tensors.items(), ranks, strict=True):
            shape = (1,) * (rank - len(entry.shape)) + entry.shape
            if sizes is not None:
                shape, place = tuple(sizes[place : place + rank]), place + rank
            if prod(shape) != prod(entry.shape) or min(shape, default=1) < 1:
                raise _contradicts(file, f"'{name}' {list(entry.shape)} as {list(shape)}")
            found[name] = shape
        return found

    def _by_name(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that is meant, empty where it is the file's."""
        if len(shape) == 1 and re.search(self.spread, name):
            return 1, *shape, 1
        return (1,) * (3 - len(shape)) + shape if re.search(self.kernels, name) else ()

    def turned_outputs(self, file: GgufFile, names: dict[str, str]) -> dict[str, int]:
        """Of the weights that lie turned, by the released names: how many channels come out.

        Raises:
            CheckpointError: their biases do not fit them.
        """
        found = {}
        for name, own in names.items() if self.turned else ():
            shape = file.tensors[own].shape
            if not re.search(self.turned, name) or len(shape) != 2:
                continue
            bias = file.tensors.get(own.removesuffix("weight") + "bias")
            if bias is None or len(bias.shape) != 1 or shape[0] % bias.shape[0]:
                raise _contradicts(file, f"'{own}' {list(shape)} without a bias that fits it")
            found[name] = bias.shape[0]
        return found

    def _listed(self, file: GgufFile) -> dict[str, str]:
        if not self.listed or file.texts(self.listed[-1]) is None:
            return {}
        meant = file.texts(self.listed[-1]) or []
        own = (file.texts(self.listed[0]) or []) if len(self.listed) == 2 else list(file.tensors)
        if len(own) != len(meant) or not set(own) <= set(file.tensors):
            raise _contradicts(file, f"{len(meant)} names for {len(own)} tensors")
        if not all(name.isprintable() and len(name) <= LONGEST_NAME for name in meant):
            raise _contradicts(file, "names that are none")
        return {one: self.prefix + name for one, name in zip(own, meant, strict=True)}


AUDIOCPP_NAMES = "audiocpp.tensor_names"
FAMILIES = (
    Family(
        title="audio.cpp",
        fits=lambda file: file.text("audiocpp.model_spec.family") == "higgs_audio_tts",
        listed=(AUDIOCPP_NAMES,),
    ),
    Family(
        title="Higgs-Audio-v3-Studio",
        fits=lambda file: "body.norm.weight" in (file.texts(AUDIOCPP_NAMES) or file.tensors),
        listed=(AUDIOCPP_NAMES,),
    ),
    Family(
        title="higgs-audio.cpp",
        fits=lambda file: "a.token_embd" in file.tensors and "blk.0.attn_q.weight" in file.tensors,
        renames=BLURYAR,
        left_out=("a.",),
        config="higgs.config.json",
        tokenizer="tokenizer.huggingface.json",
    ),
    Family(
        title="CrispASR",
        fits=lambda file: file.text(ARCHITECTURE) == "higgs-tts" and "fused_embed.weight" in file.tensors,
        renames=CRISPASR,
        spread=r"\.snake\d?\.alpha$",
        kernels=r"^codec\..*\.conv\d?\.(?:weight|pm\.weight\.orig\d)$",
        turned=r"\.conv_t\d?\.weight$",
    ),
    Family(
        title="llama.cpp backbone",
        fits=lambda file: file.text(ARCHITECTURE) == "qwen3" and "blk.0.attn_q_norm.weight" in file.tensors,
        renames=LLAMA_CPP,
        companion=True,
    ),
)
COMPANION = Family(
    title="llama.cpp companion",
    fits=lambda file: file.text("higgs_audio.format") == "higgs-audio-v3-tts",
    renames=CODEBOOKS,
    listed=("higgs_audio.codec_tensor_names", "higgs_audio.codec_original_tensor_names"),
    prefix=V3_CODEC,
)


def family_of(file: GgufFile) -> Family:
    """Whose file it is.

    Raises:
        UnknownGgufError: of none that is known.
    """
    found = next((family for family in (COMPANION, *FAMILIES) if family.fits(file)), None)
    if found is not None:
        return found
    said = [file.text(key) for key in (ARCHITECTURE, "audiocpp.model_spec.family")]
    about = f"one of '{' / '.join(one[:LONGEST_NAME] for one in said if one)}'" if any(said) else "one"
    known = ", ".join(dict.fromkeys(family.title for family in (*FAMILIES, COMPANION)))
    raise UnknownGgufError(
        f"'{file.path}' is no GGUF of Higgs Audio v3 that is known here.",
        expected=f"one written for {known}",
        got=f"{about} with the keys {some_of(list(file.keys))} and the tensors {some_of(list(file.tensors))}",
        remedy="Use a GGUF of one of these, or the released checkpoint.",
    )


def _contradicts(file: GgufFile, got: str) -> CheckpointError:
    return CheckpointError(
        f"'{file.path}' contradicts itself.",
        expected="names and shapes that fit its tensors",
        got=got,
        remedy="Download the file again.",
    )
