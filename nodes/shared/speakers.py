"""Who speaks a script: a model in this ComfyUI, a model on a server, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..host import files, handles

CPU, GPU = "cpu", "gpu"  # choices of a loader's device


@contextmanager
def speaker_here(model, tokenizer, job, verifier) -> Iterator[tuple]:
    """A LocalSpeaker and its language model, as long as the with-block runs."""
    from ...higgs_runtime import LocalSpeaker
    from ...higgs_runtime.rendering import rendering_bytes

    identity = handles.identity_of(model) if job.store else None

    def work_bytes(lm):
        return rendering_bytes(lm.config, lm.compute_dtype, job.voices, job.sampling, job.settings)

    with handles.open_speaker(model, work_bytes) as lm:
        yield LocalSpeaker(lm, tokenizer, identity, verifier), lm


def speaker_on_cluster(address: str, model, codec, listening):
    """A ChildProcessSpeaker: what the sockets hold, as all nodes of the cluster know it.

    Args:
        model, codec: the handles. What is "auto" in them each worker decides for itself.
        listening: see `listening_of`.

    Raises:
        SettingError: a workflow may not connect there, or the model is on a server.
    """
    from ...higgs_runtime.cluster import (
        ChildProcessSpeaker,
        ClusterSettings,
        ClusterSpeaker,
        Engine,
        name_on_all_nodes,
    )
    from ...higgs_runtime.remote.allowed import check_cluster

    check_cluster(address)
    handles.check_here(model)
    engine = Engine(
        name_on_all_nodes(model.path),
        device=CPU if model.device == CPU else None,
        dtype=_named(model.dtype),
        quantization=model.quantization,
        adapters=model.adapters,
        codec=name_on_all_nodes(codec.path),
        listening=listening,
        codec_dtype=_named(codec.dtype),
    )
    cluster = ClusterSettings(address, gpus={CPU: 0.0, GPU: 1.0}.get(model.device))
    return ChildProcessSpeaker(ClusterSpeaker(engine, cluster))


def listening_of(listener, compare_voices: bool, limits):
    """How workers listen as this node would; None where nobody does."""
    from ...higgs_runtime.rendering import Listening
    from ...higgs_runtime.verification import find_recognizers

    if listener is None:
        return None
    brought = find_recognizers([])  # by a package, which lies elsewhere on each node
    found = listener.name if listener.name in brought else find_recognizers(files.model_folders())[listener.name]
    return Listening(str(found), compare_voices=compare_voices, limits=limits, name=listener.name)


def _named(choice: str) -> str | None:
    return None if choice == "auto" else choice
