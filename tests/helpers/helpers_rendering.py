"""Renders in one call, and events as plain functions, for tests."""

from __future__ import annotations

from higgs_runtime import LocalSpeaker, RenderJob, RenderSettings, Sampling, render
from higgs_runtime.rendering import Events


class Told(Events):
    """Events that call these functions: on_line, on_take, on_workers, should_stop."""

    def __init__(self, **functions):
        for name, function in functions.items():
            assert hasattr(Events, name), name
            setattr(self, name, function)


def job_of(script, voices, sampling=None, settings=None, store=None) -> RenderJob:
    return RenderJob(
        script=script,
        voices=voices,
        sampling=sampling or Sampling(),
        settings=settings or RenderSettings(),
        store=store,
    )


def rendered(
    script, voices, model, sampling=None, settings=None, *, store=None, identity=None, verifier=None, codec=None, **told
):
    """The performance of a model in this process."""
    speaker = LocalSpeaker(model, codec, identity, verifier)
    return render(job_of(script, voices, sampling, settings, store), speaker, Told(**told))


def rendered_on_cluster(script, voices, engine, sampling=None, settings=None, *, store=None, cluster=None, **told):
    from higgs_runtime.cluster import ClusterSettings, ClusterSpeaker

    speaker = ClusterSpeaker(engine, cluster or ClusterSettings())
    return render(job_of(script, voices, sampling, settings, store), speaker, Told(**told))


def rendered_in_child_process(script, voices, engine, sampling=None, settings=None, *, store, cluster=None, **told):
    from higgs_runtime.cluster import ChildProcessSpeaker, ClusterSettings, ClusterSpeaker

    speaker = ChildProcessSpeaker(ClusterSpeaker(engine, cluster or ClusterSettings()))
    return render(job_of(script, voices, sampling, settings, store), speaker, Told(**told))
