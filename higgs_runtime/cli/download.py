"""`higgs download`: a released checkpoint from the hub into a models folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import SettingError
from .common import add_models_dir, progress


def add(commands) -> None:
    fetch = commands.add_parser("download", help="download a released checkpoint; without a name: list them")
    fetch.add_argument("name", nargs="?", default="", help="name of the release")
    fetch.add_argument("--revision", help="commit, branch or tag instead of the pinned one")
    fetch.add_argument("--yes", action="store_true", help="accept the licence without being asked")
    add_models_dir(fetch)
    fetch.set_defaults(run=_download)


def _download(args: argparse.Namespace) -> None:
    from ..hub import RELEASES, describe_plan, plan_download, release_named
    from ..hub.download import download

    if not args.name:
        for release in RELEASES.values():
            pin = release.revision[:12] or "the newest, pinned when it is begun"
            sys.stdout.write(
                f"{release.name}\n    {release.about}; about {release.gigabytes} GB; {release.repository} "
                f"at {pin}\n    Licence: {release.licence}\n"
            )
        return
    release, folder = release_named(args.name), _folder(args)
    plan = plan_download(release, folder, revision=args.revision)
    sys.stdout.write(f"{describe_plan(plan)}\n")
    if plan.complete:
        return
    _ask(args.yes)

    def show(done: int, total: int) -> None:
        progress(f"{done / 1e9:.2f} of {total / 1e9:.2f} GB ({100 * done / total:.0f} %)")

    try:
        done = download(release, folder, revision=plan.revision, on_progress=show)
    except KeyboardInterrupt:
        sys.stderr.write("\nhiggs: stopped; what was fetched is kept, the same command goes on from there\n")
        raise
    progress("")
    sys.stdout.write(f"{done.target}: {done.total_bytes / 1e9:.2f} GB\n")


def _folder(args: argparse.Namespace) -> Path:
    """The first models folder that is there, else the first."""
    from ..hub import EMBEDDED, model_roots

    roots = [root for root in model_roots(args.models_dir) if root != EMBEDDED]
    return next((root for root in roots if root.is_dir()), roots[0]).absolute()


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise SettingError(
            "The licence has not been accepted.",
            expected="a terminal, or --yes",
            got="neither",
            remedy="Read the licence, then add --yes.",
        )
    if input("Download it, under this licence? [y/N] ").strip().lower() not in ("y", "yes"):
        raise KeyboardInterrupt
