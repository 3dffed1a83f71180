"""`higgs render`: a workflow on a running ComfyUI."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..outputs import check_folder
from .common import progress


def add(commands) -> None:
    render = commands.add_parser("render", help="render a workflow (API format) on a running ComfyUI")
    render.add_argument("workflow", type=Path)
    render.add_argument("--server", default="http://127.0.0.1:8188", help="default: %(default)s")
    render.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        dest="assignments",
        help="change an input; NODE is an id or a title; for audio, image, video and file inputs @path uploads a file",
    )
    render.add_argument(
        "-o", "--output", type=Path, default=Path("."), help="folder for the files (default: the current one)"
    )
    render.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> None:
    from .comfy_client import ComfyClient, RenderError, set_input

    try:
        workflow = json.loads(args.workflow.read_text(encoding="utf-8"))
        if not all("class_type" in node for node in workflow.values()):
            raise ValueError("not in API format")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RenderError(
            f"{args.workflow} is no workflow to render.",
            expected="a JSON file in API format",
            got=str(error),
            remedy="In ComfyUI: Workflow → Export (API).",
        ) from error
    check_folder(args.output)
    client = ComfyClient(args.server)
    for assignment in args.assignments:
        set_input(workflow, assignment, client.upload)
    prompt_id = client.queue(workflow)
    try:
        sys.stderr.write("".join(client.notices(workflow)))
        files = client.wait(prompt_id, lambda seconds: progress(f"rendering, {seconds:.0f} s"))
    except KeyboardInterrupt:
        client.interrupt(prompt_id)
        raise
    finally:
        progress("")
        for node, text in client.warnings(prompt_id).items():
            title = workflow.get(node, {}).get("_meta", {}).get("title", "node")
            sys.stderr.write(f"higgs: {title} ({node}): {text}\n")
    for file in files:
        sys.stdout.write(f"{client.fetch(file, args.output)}\n")
