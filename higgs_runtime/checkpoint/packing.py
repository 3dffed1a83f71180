"""Weights that other tools packed into fewer bits: 8-bit floats, which are read, and the rest, which is named.

Names of scales as their writers give them: `weight_scale` (llm-compressor, vLLM, ModelOpt), `weight_scale_inv`
(DeepSeek's writer, which multiplies by it all the same), `scale_weight` beside a marker `scaled_fp8` (ComfyUI).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CheckpointError

E4M3 = "F8_E4M3"  # as safetensors calls it
FLOAT8 = {E4M3, "F8_E5M2"}
SCALES = ("{0}_scale", "{0}_scale_inv", "{1}.scale_weight")  # {0} the tensor, {1} what it belongs to
# Scales of activations, keys and values, and marks: nothing of the weights themselves.
BESIDE = ("input_scale", "scale_input", "input_scale_inv", "output_scale", "k_scale", "v_scale", "scaled_fp8")
WHAT_IS_READ = "bfloat16, float16, float32, 8-bit floats (E4M3), GGUF, or int8 and int4 that `higgs convert` wrote"
# Endings of tensors' names -> who packs so, unless the config names another; the first that is there counts.
PACKED_BY = (
    ((".weight_scale_2", ".weight_global_scale"), "NVFP4"),
    ((".qweight",), "AWQ or GPTQ"),
    ((".weight_packed",), "compressed-tensors"),
    ((".weight.absmax", ".SCB"), "bitsandbytes"),
    ((".scales",), "MLX"),
)
METHODS = {"awq": "AWQ", "gptq": "GPTQ"}  # quant_method of a config


def scales_of(formats: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """The scales of 8-bit floats.

    Args:
        formats: name of each tensor -> its number format as safetensors has it.

    Returns:
        Tensor -> its scale, or "" where it has none, of all 8-bit floats; and the names that are no weights.
    """
    floats = [name for name, kind in formats.items() if kind in FLOAT8]
    if not floats:
        return {}, set()
    found = {}
    for name in floats:
        names = (pattern.format(name, name.rpartition(".")[0]) for pattern in SCALES)
        found[name] = next((scale for scale in names if scale in formats), "")
    beside = {name for name in formats if name.rpartition(".")[2] in BESIDE}
    return found, beside | set(found.values()) - {""}


def packed_by(config: Mapping[str, Any], names: Iterable[str]) -> str:
    """The tool or format that packed the weights in a way that is not read here, as "AWQ"; empty for what is read.

    Args:
        config: config.json.
        names: of the tensors.
    """
    names = list(names)
    found = next((tool for ends, tool in PACKED_BY if any(name.endswith(ends) for name in names)), "")
    settings = config.get("quantization_config")
    method = settings.get("quant_method") if isinstance(settings, Mapping) else None
    return METHODS.get(str(method), found) if found else ""


def refuse_packed(what: str, tool: str) -> None:
    """
    Args:
        what: the folder.
        tool: of `packed_by`.

    Raises:
        CheckpointError: it is not empty.
    """
    if tool:
        raise CheckpointError(
            f"'{what}' is quantized in a way that is not supported.",
            expected=WHAT_IS_READ,
            got=tool,
            remedy="Download the model in one of these, and choose quantization int8 or int4 when it is loaded.",
        )
