"""What the loaders offer: the checkpoints in the model folders, and "auto"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from comfy_api.latest import io

from ...higgs_runtime import CheckpointError, SettingError
from ...higgs_runtime.checkpoint.packing import WHAT_IS_READ
from ...higgs_runtime.choices import QUANTIZATIONS
from ...higgs_runtime.hub import Checkpoint, default_pair, find_adapters, find_checkpoints, model_roots, without_mark
from ..host import files, handles, messages

AUTO = "auto"
KIND_NAMES = {"lm": "language model", "codec": "codec"}


def checkpoint_inputs(kind: str, note: str, dtype_tooltip: str) -> list[io.Input]:
    """What to load and how: the inputs that both loaders share. The note ends the tooltip of the first."""
    return [
        io.Combo.Input(
            "checkpoint",
            options=checkpoint_choices(kind),
            default=AUTO,
            tooltip=f"A {KIND_NAMES[kind]} in models/{files.MODEL_FOLDER} or in a folder of extra_model_paths.yaml: a "
            "folder with its files, or a GGUF file. What lacks files says which; press R after adding files. Behind "
            "each name: its size on the disk → in memory, as this node is set. auto: the first complete one of these, "
            f"if model and codec are there both; else the tiny pair that comes with the pack. {note}",
        ),
        io.Combo.Input(
            "device",
            options=handles.DEVICES,
            default="auto",
            tooltip="Where it runs. auto: the device ComfyUI uses. gpu: fails if there is none. cpu: leaves the GPU to "
            "other nodes.",
        ),
        io.Combo.Input("dtype", options=list(handles.DTYPES), default="auto", tooltip=dtype_tooltip),
    ]


def checkpoint_choices(kind: str) -> list[str]:
    """ "auto", and labels of the checkpoints for a combo; one that lacks files says which."""
    return [AUTO, *(item.label for item in find_checkpoints(_roots(), kind))]


def checkpoint_notes(kind: str, how: Mapping[str, str] | None = None) -> dict[str, str]:
    """Beside each of `checkpoint_choices`: layout, size on the disk and once it is loaded, number format, licence; of
    "auto" which one it means now.

    Args:
        how: device, dtype and quantization as the loader's lists have them; what is left out, or in none of them, is
            the default.
    """
    notes = {item.label: str(_described(item, kind, how or {})) for item in find_checkpoints(_roots(), kind)}
    try:
        now = find_checkpoint(kind, AUTO)
    except CheckpointError as error:
        return {AUTO: error.what, **notes}
    return {AUTO: f"now {now.name} · {notes.get(now.label, '')}", **notes}


def _described(checkpoint: Checkpoint, kind: str, how: Mapping[str, str]):
    from ...higgs_runtime.hub import Loading, describe_checkpoint

    device, dtype, quantization = (how.get(name) for name in ("device", "dtype", "quantization"))
    handle = handles.ModelHandle(
        kind,
        str(checkpoint.path),
        device if device in handles.DEVICES else "auto",
        dtype if dtype in handles.DTYPES else "auto",
        quantization if quantization in QUANTIZATIONS else None,
    )
    try:
        place = handles.pick_device(handle.device)
    except SettingError:  # there is no GPU: queueing says so
        return describe_checkpoint(checkpoint)
    chosen = handles.pick_dtype(handle, place)
    return describe_checkpoint(checkpoint, Loading(str(place), chosen, handle.quantization, kind))


def find_checkpoint(kind: str, choice: str) -> Checkpoint:
    """The checkpoint that a combo's choice means.

    Raises:
        CheckpointError: there is none of this name, or it lacks files.
    """
    if choice == AUTO:
        lm, codec = default_pair(find_checkpoints(_roots()))
        return {"lm": lm, "codec": codec}[kind]
    found = {item.name: item for item in find_checkpoints(_roots(), kind)}
    checkpoint = found.get(choice) or found.get(without_mark(choice))
    if checkpoint is None:
        raise CheckpointError(
            f"There is no Higgs {KIND_NAMES[kind]} '{choice}'.",
            expected=f"a model folder in {' or '.join(files.model_folders())}",
            got=", ".join(sorted(found)) or "no model folder there",
            remedy="Put the complete folder of the checkpoint there (Download Higgs Model fetches the released ones), "
            "press R and choose it.",
        )
    if checkpoint.unsupported:
        raise CheckpointError(
            f"'{checkpoint.name}' is in a form that is not supported.",
            expected=WHAT_IS_READ,
            got=checkpoint.unsupported,
            remedy="Download the model in one of these.",
        )
    if checkpoint.missing:
        raise CheckpointError(
            f"The model folder '{checkpoint.name}' is not complete.",
            expected=", ".join(checkpoint.missing),
            got=f"no such file in {checkpoint.path}",
            remedy="Download the missing files into this folder, then queue again.",
        )
    return checkpoint


def explain_choice(kind: str, choice: str) -> bool | str:
    """True if the choice can be loaded, else why not; for validate_inputs."""
    try:
        find_checkpoint(kind, choice)
    except CheckpointError as error:
        return str(error)
    return True


def choice_fingerprint(kind: str, choice: str) -> str:
    """Changes when the choice comes to mean another checkpoint, or one of its files is replaced."""
    path = find_checkpoint(kind, choice).path
    return f"{path} {files.fingerprint(path)}"


def choose_model(
    kind: str, choice: str, device: str, dtype: str, quantization: str | None = None
) -> handles.ModelHandle:
    """The handle of a chosen checkpoint, after a look whether it can run here. Shows what is not plain from the choice.

    Raises:
        CheckpointError, SettingError: as find_checkpoint and handles.pick_device.
    """
    handles.pick_device(device)
    checkpoint = find_checkpoint(kind, choice)
    loaded = _described(checkpoint, kind, {"device": device, "dtype": dtype, "quantization": quantization or ""}).loaded
    limits = f"{checkpoint.title}{checkpoint.extent}; it speaks only these." if checkpoint.extent else ""
    chosen = f"auto: {limits or checkpoint.title}" if choice == AUTO else limits
    messages.show_text("\n".join(line for line in (chosen, loaded and f"→ {loaded}", checkpoint.licence) if line))
    return handles.ModelHandle(kind, str(checkpoint.path), device, dtype, quantization)


def adapter_choices() -> list[str]:
    """Names of the LoRA adapters below the model folders."""
    return sorted(find_adapters(files.model_folders()))


def find_adapter(choice: str) -> Path:
    """The folder that a combo's choice means.

    Raises:
        CheckpointError: there is none of this name.
    """
    found = find_adapters(files.model_folders())
    if choice not in found:
        raise CheckpointError(
            f"There is no LoRA '{choice}'.",
            got=", ".join(sorted(found)) or "no adapter there",
            expected=f"a folder with adapter_config.json in {' or '.join(files.model_folders())}",
            remedy="Put the adapter's folder there, reload the page (R) and choose it.",
        )
    return found[choice]


def explain_adapter(choice: str) -> bool | str:
    """True if there is such an adapter, else why not; for validate_inputs."""
    try:
        find_adapter(choice)
    except CheckpointError as error:
        return str(error)
    return True


def _roots() -> list:
    return model_roots(files.model_folders())
