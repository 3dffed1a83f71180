"""Download Higgs Model: a released checkpoint from the hub, once its licence is accepted."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from comfy_api.latest import io

from . import sockets
from .host import files, messages
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema

NOT_ACCEPTED = "Nothing is downloaded yet. Read the licence, switch on licence_accepted and run this node again."
DONE = "All files were compared with the checksums of the hub. Press R to see it in the loaders."
TOLD_EVERY_S = 1.0


class HiggsDownloadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..higgs_runtime.hub import RELEASES

        return node_schema(
            node_id="HiggsDownloadModel",
            display_name="Download Higgs Model",
            category=f"{sockets.CATEGORY}/loaders",
            search_aliases=["download", "Hugging Face", "model manager"],
            description="Fetches a released checkpoint, at a pinned revision, from the hub into models/higgs_audio. "
            "Shows size, licence and free space first, and downloads when you accept the licence.",
            is_output_node=True,
            inputs=[
                io.Combo.Input(
                    "release",
                    options=list(RELEASES),
                    tooltip="What to fetch: a language model and its codec are two downloads; v3 brings its codec. "
                    'Those without "original" are in the layout of transformers.',
                ),
                io.Boolean.Input(
                    "licence_accepted",
                    default=False,
                    tooltip="Off: shows what would be downloaded, its size in GB, the free space and the licence. "
                    "On: I have read the licence and accept it; downloads. Opening a workflow switches it off.",
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="What was fetched and where it is, or the plan.")],
        )

    @classmethod
    def validate_inputs(cls, release) -> bool | str:
        from ..higgs_runtime import SettingError
        from ..higgs_runtime.hub import release_named

        try:
            release_named(release)
        except SettingError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, **_) -> float:
        return float("nan")  # what is on the disk and on the hub may have changed: always run

    @classmethod
    def execute(cls, release, licence_accepted) -> io.NodeOutput:
        from ..higgs_runtime import download
        from ..higgs_runtime.hub import describe_plan, plan_download, release_named

        def stop() -> bool:
            raise_if_cancelled()
            return False

        wanted, folder = release_named(release), files.model_folders()[0]
        plan = plan_download(wanted, folder, should_stop=stop)
        report = describe_plan(plan)
        if not plan.complete and not licence_accepted:
            report = f"{report}\n{NOT_ACCEPTED}"
        elif not plan.complete:
            messages.show_text(report)
            told = _DownloadProgress(report, plan)
            plan = download(wanted, folder, revision=plan.revision, on_progress=told, should_stop=stop)
            told.bar.finish()
            report = f"{describe_plan(replace(plan, complete=True))}\n{DONE}"
        messages.show_text(report)
        return io.NodeOutput(report)


def release_notes() -> dict[str, str]:
    """Beside each release: size and licence, and whether it is there."""
    from ..higgs_runtime.hub import RELEASES

    there = {name for name in RELEASES if Path(files.model_folders()[0], name).is_dir()}
    return {
        name: " · ".join((f"about {release.gigabytes} GB", release.licence, *(["there"] if name in there else [])))
        for name, release in RELEASES.items()
    }


class _DownloadProgress:
    """Progress of a download on the node: a bar, and once a second what is there and how long the rest takes."""

    def __init__(self, heading: str, plan):
        self.bar = Progress(plan.total_bytes)
        self._heading, self._before = heading, plan.present_bytes
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        self.bar.update(done, total)
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            speed = (done - self._before) / (now - self._began)  # bytes a second
            left = "what is there is checked"
            if speed > 0:
                minutes = (total - done) / speed / 60
                left = f"{speed / 1e6:.1f} MB/s, about {minutes:.0f} min left; cancel keeps what is there"
            messages.show_text(f"{self._heading}\n{done / 1e9:.2f} of {total / 1e9:.2f} GB, {left}", level=None)
