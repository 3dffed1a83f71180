"""Writes the pictures of the template cards: each workflow small, as `workflows/<name>.jpg`, where ComfyUI looks.

.venv/bin/python -m tools.make_cards
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
SIZE, FINER = (480, 300), 3  # drawn larger, so that lines are smooth
TITLE = 30  # of a node, above its position
GROUND, NODE, HEAD, LINK, INK, NOTE = "#16181d", "#353a45", "#4a5162", "#8aa0c8", "#e8ecf4", "#6a5a2c"


def main() -> None:
    for path in sorted(WORKFLOWS.glob("*.json")):
        picture = draw(json.loads(path.read_text(encoding="utf-8")), path.stem.replace("_", " ").capitalize())
        picture.save(path.with_suffix(".jpg"), quality=80, optimize=True)
        print(f"{path.with_suffix('.jpg').name}: {path.with_suffix('.jpg').stat().st_size / 1000:.0f} KB")


def draw(workflow: dict, title: str) -> Image.Image:
    """The nodes, links and groups of a workflow in UI format, below its title."""
    width, height = (FINER * side for side in SIZE)
    picture = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(picture)
    pen.text((24 * FINER, 16 * FINER), title, INK, ImageFont.load_default(26 * FINER))
    left, top, right, bottom = borders(workflow)
    room = (width - 48 * FINER, height - 84 * FINER)
    scale = min(room[0] / (right - left), room[1] / (bottom - top))
    shift = 24 * FINER + (room[0] - scale * (right - left)) / 2, 60 * FINER + (room[1] - scale * (bottom - top)) / 2

    def at(x: float, y: float) -> tuple[float, float]:
        return shift[0] + scale * (x - left), shift[1] + scale * (y - top)

    for group in workflow["groups"]:
        x, y, w, h = group["bounding"]
        color = mixed(group["color"], 0.35)
        pen.rounded_rectangle((*at(x, y), *at(x + w, y + h)), 6 * FINER, color, group["color"], FINER)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for _, source, _, target, *_ in workflow["links"]:
        (x, y), (w, _), (to_x, to_y) = nodes[source]["pos"], nodes[source]["size"], nodes[target]["pos"]
        pen.line((*at(x + w, y + 14), *at(to_x, to_y + 14)), LINK, FINER)
    for node in nodes.values():
        (x, y), (w, h) = node["pos"], node["size"]
        note = node["type"] == "MarkdownNote"
        pen.rounded_rectangle((*at(x, y - TITLE), *at(x + w, y + h)), 4 * FINER, NOTE if note else NODE)
        if not note:
            pen.rounded_rectangle((*at(x, y - TITLE), *at(x + w, y + 20)), 4 * FINER, HEAD)
    return picture.resize(SIZE, Image.Resampling.LANCZOS)


def borders(workflow: dict) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all there is."""
    boxes = [group["bounding"] for group in workflow["groups"]]
    boxes += [(x, y - TITLE, w, h + TITLE) for (x, y), (w, h) in ((n["pos"], n["size"]) for n in workflow["nodes"])]
    return (
        min(x for x, *_ in boxes),
        min(y for _, y, *_ in boxes),
        max(x + w for x, _, w, _ in boxes),
        max(y + h for _, y, _, h in boxes),
    )


def mixed(color: str, share: float) -> tuple[int, ...]:
    """So much of a colour on the ground."""
    pairs = zip(ImageColor.getrgb(color)[:3], ImageColor.getrgb(GROUND)[:3], strict=True)
    return tuple(round(share * one + (1 - share) * ground) for one, ground in pairs)


if __name__ == "__main__":
    main()
