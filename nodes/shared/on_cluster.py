"""Render Script on a Ray cluster: what its sockets hold, as all nodes of the cluster know it."""

from __future__ import annotations

from ..host import files, handles, messages
from ..host.progress import cancelled

CPU, GPU = "cpu", "gpu"  # choices of a loader's device


def perform(address: str, script, voices, model, codec, sampling, settings, *, store, listening, on_line, on_take):
    """The Performance; see `render_in_child_process`.

    Args:
        model, codec: the handles. What is "auto" in them each worker decides for itself.

    Raises:
        SettingError: a workflow may not connect there, takes are not to be stored, or the model is on a server.
    """
    from ...higgs_runtime import SettingError
    from ...higgs_runtime.cluster import ClusterSettings, Engine, render_in_child_process
    from ...higgs_runtime.remote.allowed import check_cluster

    check_cluster(address)
    handles.check_here(model)
    if store is None:
        raise SettingError(
            "A cluster works through the store.",
            expected="store switched on",
            got="off",
            remedy="Switch store on, or leave cluster empty.",
        )
    engine = Engine(
        _everywhere(model.path),
        device=CPU if model.device == CPU else None,
        dtype=_named(model.dtype),
        quantization=model.quantization,
        adapters=model.adapters,
        codec=_everywhere(codec.path),
        listening=listening,
        codec_dtype=_named(codec.dtype),
    )
    cluster = ClusterSettings(address, gpus={CPU: 0.0, GPU: 1.0}.get(model.device))
    return render_in_child_process(
        script,
        voices,
        engine,
        sampling,
        settings,
        store=store,
        cluster=cluster,
        on_line=on_line,
        on_take=on_take,
        on_pool=lambda pool: messages.show_text(f"Cluster: {pool}", None),
        should_stop=cancelled,
    )


def listening_of(listener, compare_voices: bool, limits):
    """How workers listen as this node would; None where nobody does."""
    from ...higgs_runtime.cluster import Listening
    from ...higgs_runtime.verification import find_recognizers

    if listener is None:
        return None
    brought = find_recognizers([])  # by a package, which lies elsewhere on each node
    found = listener.name if listener.name in brought else find_recognizers(files.model_folders())[listener.name]
    return Listening(str(found), compare_voices=compare_voices, limits=limits, name=listener.name)


def _everywhere(path: str) -> str:
    """How all nodes call a checkpoint: the pack's own by its name, others by their path."""
    from ...higgs_runtime.hub.catalog import find_checkpoints, model_roots

    return {str(item.path): item.name for item in find_checkpoints(model_roots([]))}.get(path, path)


def _named(choice: str) -> str | None:
    return None if choice == "auto" else choice
